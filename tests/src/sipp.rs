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
    /// Starts `tests/sipp/<scenario>.xml` on a free loopback port; `keys` are its `[key]`s.
    pub async fn start(scenario: &str, keys: &[(&str, String)]) -> Result<Self> {
        let directory = TempDir::new()?;
        let address = free_udp_port()?;
        let mut command = Command::new("sipp");
        command
            .args(["-sf", &scenario_file(scenario).to_string_lossy()])
            .args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(["-m", "1", "-nostdin", "-trace_err", "-trace_msg", "-timeout", "120", "-timeout_error"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        for (key, value) in keys {
            command.args(["-key", key, value]);
        }
        let child = command.spawn().context("sipp is not installed")?;
        let sipp = Self { child, address, directory };
        sipp.wait_until_bound().await?;
        Ok(sipp)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the scenario has run to its end; an error carries SIPp's own trace.
    pub async fn finish(mut self) -> Result<()> {
        let status = tokio::time::timeout(Duration::from_secs(60), self.child.wait()).await;
        match status {
            Ok(Ok(status)) if status.success() => Ok(()),
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
            text += &std::fs::read_to_string(entry.path()).unwrap_or_default();
        }
        text
    }

    async fn wait_until_bound(&self) -> Result<()> {
        for _ in 0..200 {
            if std::net::UdpSocket::bind(self.address).is_err() {
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

fn free_udp_port() -> Result<SocketAddr> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?)
}
