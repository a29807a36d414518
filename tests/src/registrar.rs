//! Kamailio, as far as a test needs it: a configuration of `kamailio/`, on a loopback port.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::sipp::free_udp_port;

/// A running Kamailio; it ends with this.
pub struct Registrar {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

impl Registrar {
    /// Starts `tests/kamailio/registrar.cfg`. `None`: it is not installed.
    pub async fn start() -> Result<Option<Self>> {
        let Some(program) =
            ["/usr/sbin/kamailio", "/usr/bin/kamailio"].into_iter().find(|path| Path::new(path).exists())
        else {
            return Ok(None);
        };
        let (home, address) = (TempDir::new()?, free_udp_port()?);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("kamailio/registrar.cfg");
        let text = std::fs::read_to_string(file)?.replace("[address]", &address.to_string());
        std::fs::write(home.path().join("kamailio.cfg"), text)?;
        let log = std::fs::File::create(home.path().join("log"))?;
        let child = Command::new(program)
            .args(["-f", "kamailio.cfg", "-D", "-E", "-m", "16", "-M", "4"])
            .arg("-Y")
            .arg(home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("kamailio does not start")?;
        let mut started = Self { child, address, home };
        started.wait_until_it_answers().await?;
        Ok(Some(started))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_nonblocking(true)?;
        let (from, to) = (socket.local_addr()?, self.address);
        for n in 0..300 {
            if let Some(status) = self.child.try_wait()? {
                bail!("kamailio did not start: {status}\n{}", self.log());
            }
            let question = format!(
                "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
                 From: <sip:test@{from}>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: start-{n}@{from}\r\nCSeq: 1 OPTIONS\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            // While nothing is bound the kernel says so at the next call; both are tried again.
            let _ = socket.send_to(question.as_bytes(), to);
            tokio::time::sleep(Duration::from_millis(100)).await;
            if socket.recv(&mut [0; 2048]).is_ok() {
                return Ok(());
            }
        }
        bail!("kamailio never answered\n{}", self.log())
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        // It ends its children, if it is asked and not killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
