//! SIPp as the contact centre: one scenario, one call.

use std::net::{IpAddr, SocketAddr};
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
        Self::launch_anywhere("u1", scenario, keys).await
    }

    /// As [`Sipp::start`], at an address of [`free_udp_port`] that somebody already knows.
    pub async fn start_at(address: SocketAddr, scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        Self::launch(&[], address, "u1", scenario, keys).await
    }

    /// As [`Sipp::start`], reached over TCP.
    pub async fn start_tcp(scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        Self::launch_anywhere("t1", scenario, keys).await
    }

    /// Runs a scenario that begins by itself so many times, each after the one before, over `u1` or `t1`; its trace.
    pub async fn run(target: SocketAddr, transport: &str, scenario: &str, times: u32) -> Result<String> {
        let directory = TempDir::new()?;
        let ran = Command::new("sipp")
            .arg(target.to_string())
            .args(["-sf".into(), scenario_file(scenario)])
            .args(["-t", transport, "-i", &target.ip().to_string(), "-m", &times.to_string(), "-l", "1", "-r", "50"])
            .args(["-nostdin", "-trace_err", "-trace_msg", "-timeout", "60", "-timeout_error"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .context("sipp is not installed")?;
        let trace = logs(directory.path());
        if ran.success() { Ok(trace) } else { bail!("SIPp: {ran}\n{trace}") }
    }

    /// As [`Sipp::start`], for a scenario that calls this address.
    pub async fn call(to: SocketAddr, scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        let mut keys = keys.to_vec();
        keys.push(("gateway", to.to_string()));
        Self::launch(&[], free_udp_port()?, &format!("u1 {to}"), scenario, &keys).await
    }

    /// On a port that was free a moment ago; somebody's outgoing connection may have taken it since.
    async fn launch_anywhere(transport: &str, scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        let port = || if transport == "t1" { free_tcp_port() } else { free_udp_port() };
        for _ in 0..2 {
            if let Ok(sipp) = Self::launch(&[], port()?, transport, scenario, keys).await {
                return Ok(sipp);
            }
        }
        Self::launch(&[], port()?, transport, scenario, keys).await
    }

    /// Over `u1` or `t1`, at an address that is free; as a program that the words before run.
    pub async fn launch(
        before: &[String],
        address: SocketAddr,
        transport: &str,
        scenario: &str,
        keys: &[(&str, String)],
    ) -> Result<Self> {
        let directory = TempDir::new()?;
        // Whom it calls, if it calls, follows the transport.
        let (transport, target) = transport.split_once(' ').unwrap_or((transport, ""));
        let words: Vec<&str> = before.iter().map(String::as_str).chain(["sipp"]).collect();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(Some(target).filter(|target| !target.is_empty()))
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
        // Where the phone is, unless the test says so.
        let text = text.replace("[media_at]", "IP4 127.0.0.1");
        std::fs::write(directory.path().join("scenario.xml"), text)?;
        let child = command.spawn().context("sipp is not installed")?;
        let mut sipp = Self { child, address, directory };
        sipp.wait_until_bound(if transport == "t1" { Table::Tcp } else { Table::Udp }).await?;
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
        logs(self.directory.path())
    }

    /// Looks without touching: a probe that bound the port itself could be what keeps SIPp from it, and a TCP socket
    /// that is bound does not listen yet.
    async fn wait_until_bound(&mut self, table: Table) -> Result<()> {
        for _ in 0..500 {
            if let Some(status) = self.child.try_wait()? {
                bail!("SIPp did not start: {status}\n{}", self.trace());
            }
            if table.has(self.child.id(), self.address)? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("SIPp never listened\n{}", self.trace())
    }
}

/// The kernel's list of sockets (`proc_pid_net(5)`).
#[derive(Clone, Copy)]
enum Table {
    Tcp,
    Udp,
}

impl Table {
    /// Whether something receives at this address.
    fn has(self, process: Option<u32>, address: SocketAddr) -> Result<bool> {
        // Addresses are in the machine's own order, word by word; 0A is LISTEN, 07 an unconnected UDP socket.
        let octets = match address.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let word = |octets: &[u8]| octets.try_into().map(u32::from_ne_bytes).unwrap_or_default();
        let words: String = octets.chunks(4).map(|octets| format!("{:08X}", word(octets))).collect();
        let local = format!("{words}:{:04X}", address.port());
        let (file, state) = match self {
            Self::Tcp => ("tcp", "0A"),
            Self::Udp => ("udp", "07"),
        };
        // The process may be in a network of its own; none that has ended is in any.
        let Some(process) = process else { return Ok(false) };
        let family = if address.is_ipv4() { "" } else { "6" };
        let sockets = std::fs::read_to_string(format!("/proc/{process}/net/{file}{family}"))?;
        Ok(sockets.lines().any(|line| {
            let mut columns = line.split_whitespace().skip(1);
            columns.next() == Some(&local) && columns.nth(1) == Some(state)
        }))
    }
}

fn logs(directory: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            text += &std::fs::read_to_string(entry.path()).unwrap_or_default();
        }
    }
    text
}

fn scenario_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(format!("{name}.xml"))
}

/// A loopback port nobody has.
pub fn free_udp_port() -> Result<SocketAddr> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?)
}

fn free_tcp_port() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
