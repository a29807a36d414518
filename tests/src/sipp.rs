//! SIPp as the contact centre: one scenario, one call.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A running SIPp that serves one call and then exits.
pub struct Sipp {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Sipp {
    /// Starts `tests/sipp/<scenario>.xml` on a free loopback port; `keys` fill in its `[key]`s.
    pub async fn start(scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        Self::start_at(free_udp_port()?, scenario, keys).await
    }

    /// As [`Sipp::start`], at an address of [`free_udp_port`] that somebody already knows.
    pub async fn start_at(address: SocketAddr, scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        Self::launch(address, "u1", scenario, keys).await
    }

    /// As [`Sipp::start`], reached over TCP.
    pub async fn start_tcp(scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        Self::launch(free_udp_port()?, "t1", scenario, keys).await
    }

    async fn launch(address: SocketAddr, transport: &str, scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        let directory = TempDir::new()?;
        let mut command = Command::new("sipp");
        command
            .args(["-sf", "scenario.xml", "-t", transport])
            .args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(["-m", "1", "-nostdin", "-trace_err", "-trace_msg", "-timeout", "120", "-timeout_error"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // SIPp takes no `[key]` in a status line, so that all of them are filled in here.
        let mut text = std::fs::read_to_string(scenario_file(scenario))?;
        for (key, value) in keys {
            text = text.replace(&format!("[{key}]"), value);
        }
        std::fs::write(directory.path().join("scenario.xml"), text)?;
        let child = command.spawn().context("sipp is not installed")?;
        let sipp = Self { child, address, directory };
        sipp.wait_until_bound(transport == "t1").await?;
        Ok(sipp)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the scenario has run to its end and returns its trace; an error carries it as well.
    pub async fn finish(mut self) -> Result<String> {
        let status = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        match status {
            Ok(Ok(status)) if status.success() => Ok(self.trace()),
            Ok(Ok(status)) => bail!("SIPp: {status}\n{}", self.trace()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => bail!("SIPp's scenario did not come to its end\n{}", self.trace()),
        }
    }

    /// Everything SIPp logged.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.directory.path()).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                text += &std::fs::read_to_string(entry.path()).unwrap_or_default();
            }
        }
        text
    }

    async fn wait_until_bound(&self, tcp: bool) -> Result<()> {
        for _ in 0..200 {
            let is_free = if tcp {
                std::net::TcpListener::bind(self.address).is_ok()
            } else {
                std::net::UdpSocket::bind(self.address).is_ok()
            };
            if !is_free {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("SIPp never listened\n{}", self.trace())
    }
}

fn scenario_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(format!("{name}.xml"))
}

/// A loopback port nobody has.
pub fn free_udp_port() -> Result<SocketAddr> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?)
}
