//! Kamailio as the proxy in front of an agent: records its route, so that everything of a call goes through it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::{TcpStream, UdpSocket};

/// A running Kamailio. Ends when dropped, with its children.
pub struct Kamailio {
    child: Child,
    address: SocketAddr,
    tls: SocketAddr,
    directory: TempDir,
}

/// A certificate and its key, as PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Kamailio {
    /// Starts one that sends every call to `agent`. Of a hundred messages `lost` go nowhere. With an identity it listens for
    /// TLS as well.
    pub async fn start(agent: SocketAddr, lost: u32, identity: Option<&Identity>) -> Result<Self> {
        let directory = TempDir::new()?;
        let (address, tls) = (free_port()?, free_port()?);
        let at = directory.path();
        if let Some(identity) = identity {
            std::fs::write(at.join("certificate.pem"), &identity.certificate)?;
            std::fs::write(at.join("key.pem"), &identity.key)?;
        }
        let tls_listen = identity.map(|_| tls);
        std::fs::write(at.join("kamailio.cfg"), config(at, agent, address, tls_listen, lost))?;
        let log = std::fs::File::create(at.join("log"))?;
        let child = Command::new("kamailio")
            .args(["-DD", "-E", "-m", "16", "-M", "4", "-f", "kamailio.cfg", "-Y", ".", "-w", "."])
            .current_dir(at)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("kamailio is not installed")?;
        let mut kamailio = Self { child, address, tls, directory };
        kamailio.wait_until_it_answers().await?;
        Ok(kamailio)
    }

    /// Where it listens, over UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TLS.
    #[must_use]
    pub fn tls_address(&self) -> SocketAddr {
        self.tls
    }

    /// What it relayed within dialogs, by its route: `BYE`, …, with what they came over.
    #[must_use]
    pub fn routed(&self) -> Vec<String> {
        self.log().lines().filter_map(|line| line.split_once("routed: ").map(|(_, what)| what.to_owned())).collect()
    }

    /// Its own log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let own = socket.local_addr()?;
        let ping = format!(
            "OPTIONS sip:ping@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKup;rport\r\nFrom: <sip:t@{own}>;tag=1\r\n\
             To: <sip:ping@{to}>\r\nCall-ID: up\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\nContent-Length: 0\r\n\r\n",
            to = self.address
        );
        let mut buffer = [0; 2048];
        for _ in 0..200 {
            if let Some(status) = self.child.try_wait()? {
                bail!("kamailio did not start: {status}\n{}", self.log());
            }
            // An ICMP error of an earlier try.
            let _ = socket.send_to(ping.as_bytes(), self.address).await;
            let answer = tokio::time::timeout(Duration::from_millis(100), socket.recv_from(&mut buffer)).await;
            if matches!(answer, Ok(Ok(_))) && TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
        }
        bail!("kamailio never answered\n{}", self.log())
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its children end with it if it is asked to end, not if it is killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
    }
}

/// Free for UDP and TCP a moment ago.
fn free_port() -> Result<SocketAddr> {
    loop {
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        if std::net::UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
}

fn config(at: &Path, agent: SocketAddr, address: SocketAddr, tls: Option<SocketAddr>, lost: u32) -> String {
    let (listen, module) = match tls {
        Some(tls) => (
            format!("enable_tls=yes\nlisten=tls:{tls}\n"),
            format!(
                "loadmodule \"tls.so\"\nmodparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
                 modparam(\"tls\", \"certificate\", \"{at}/certificate.pem\")\n\
                 modparam(\"tls\", \"private_key\", \"{at}/key.pem\")\n",
                at = at.display()
            ),
        ),
        None => Default::default(),
    };
    format!(
        r#"#!KAMAILIO
debug=0
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
{listen}listen=udp:{address}
listen=tcp:{address}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "cfgutils.so"
{module}modparam("cfgutils", "initial_probability", {lost})
modparam("rr", "enable_full_lr", 1)
request_route {{
  if (rand_event()) exit;
  if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (has_totag()) {{
    if (loose_route()) {{ xlog("L_ALERT", "routed: $rm $proto\n"); t_relay(); exit; }}
    if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
    sl_send_reply("404", "No route");
    exit;
  }}
  if (t_check_trans()) exit;
  if (is_method("INVITE")) record_route();
  $du = "sip:{agent}";
  t_relay();
}}
reply_route {{
  if (rand_event()) drop;
}}
"#
    )
}
