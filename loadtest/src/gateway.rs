//! The gateway under test, as a child process on loopback.
#![allow(clippy::disallowed_methods)] // The edge: a child process is waited for in real time.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use tempfile::TempDir;
use trunkline_media::audio::Codec;

use crate::row::Row;
use crate::stats::{ahead_of_the_load, first_ephemeral_port};
use crate::sys;
use crate::web::Web;

const READY: Duration = Duration::from_secs(20);
const GONE: Duration = Duration::from_secs(10);
/// Of the control listener, with every scope.
pub(crate) const KEY: &str = "loadtest-control-key";

/// Where fixed ports are looked for; media ports stand above.
const FIRST_PORT: u16 = 10_000;
const FIRST_RTP_PORT: u16 = 14_000;

/// What calls it carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind<'a> {
    /// The trunk's `browser_audio`.
    pub(crate) browser_audio: &'a str,
    /// What the trunk speaks.
    pub(crate) trunk: Codec,
    /// Quality is measured and listened to.
    pub(crate) measured: bool,
}

/// A running gateway.
pub(crate) struct Gateway {
    child: Child,
    home: TempDir,
    operator: Web,
    /// Where operators go.
    pub(crate) control: SocketAddr,
    /// Where browsers go.
    pub(crate) public: SocketAddr,
    /// Where SIP goes.
    pub(crate) sip: SocketAddr,
    /// Its fixed UDP ports, media and SIP.
    ports: RangeInclusive<u16>,
    rtp: RangeInclusive<u16>,
}

/// `/metrics`: samples by name, summed over labels.
#[derive(Debug, Default)]
pub(crate) struct Metrics(HashMap<String, f64>);

impl Metrics {
    /// Asks a control listener.
    pub(crate) async fn fetch(control: &Web, key: &str) -> Result<Self> {
        let request = control.request("GET", "/metrics").header(AUTHORIZATION, format!("Bearer {key}"));
        Ok(Self::parse(&control.send(request, "").await?.expect(StatusCode::OK)?.text()?))
    }

    fn parse(text: &str) -> Self {
        let mut sums = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse::<f64>()
            {
                *sums.entry(name.split('{').next().unwrap_or(name).to_owned()).or_default() += value;
            }
        }
        Self(sums)
    }

    /// A sum; 0 if there is none.
    pub(crate) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

impl Gateway {
    /// Starts one for a row of calls to `agent`, and waits until it is ready. `workers` 0: one per core.
    pub(crate) async fn start(binary: &Path, row: Row, agent: SocketAddr, workers: usize) -> Result<Self> {
        let kind = Kind { browser_audio: row.policy(), trunk: Codec::Pcmu, measured: row.is_measured() };
        Self::start_as(binary, kind, agent, workers).await
    }

    /// The same for calls of any kind.
    pub(crate) async fn start_as(binary: &Path, kind: Kind<'_>, agent: SocketAddr, workers: usize) -> Result<Self> {
        let threads = if workers > 0 { workers } else { std::thread::available_parallelism()?.get() };
        let base = free_ports(u16::try_from(threads + 3)?)?;
        let at = |nth: u16| SocketAddr::from(([127, 0, 0, 1], base + nth));
        let rtp = FIRST_RTP_PORT..=(first_ephemeral_port() - 1) & !1;
        let home = tempfile::Builder::new().prefix("trunkline-loadtest-").tempdir()?;
        let config = home.path().join("trunkline.toml");
        let text = configuration(kind, [at(0), at(1), at(2), at(3)], &rtp, agent, workers);
        fs::write(&config, text)?;
        let log = File::create(home.path().join("log"))?;
        let binary = binary.canonicalize().with_context(|| format!("no gateway at {}", binary.display()))?;
        let child = ahead_of_the_load(&binary)
            .args(["run", "--config"])
            .arg(&config)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let ports = at(2).port()..=at(3).port() + u16::try_from(threads - 1)?;
        let operator = Web::to(&format!("http://{}", at(1)), None)?;
        let mut gateway = Self { child, home, operator, control: at(1), public: at(0), sip: at(2), ports, rtp };
        gateway.wait_until_ready().await?;
        Ok(gateway)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether a local UDP port is one of the gateway's.
    pub(crate) fn owns(&self, port: u16) -> bool {
        self.ports.contains(&port) || self.rtp.contains(&port)
    }

    pub(crate) async fn metrics(&self) -> Result<Metrics> {
        Metrics::fetch(&self.operator, KEY).await
    }

    /// The last lines it logged.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// Asks it to end, and sees to it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        sys::terminate(self.pid());
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if Instant::now().saturating_duration_since(start) > GONE {
                self.child.kill()?;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            let asked = self.operator.send(self.operator.request("GET", "/readyz"), "").await;
            if asked.is_ok_and(|answer| answer.status.is_success()) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the gateway ended with {status}:\n{}", self.log());
            }
            if Instant::now().saturating_duration_since(start) > READY {
                bail!("the gateway is not ready after {READY:?}:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // An error on the way must not leave it running; after `stop` this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(
    Kind { browser_audio, trunk, measured }: Kind<'_>,
    [public, control, sip, media]: [SocketAddr; 4],
    rtp: &RangeInclusive<u16>,
    agent: SocketAddr,
    workers: usize,
) -> String {
    let (first, last, trunk) = (rtp.start(), rtp.end(), trunk.name());
    format!(
        r#"[node]
name = "loadtest"
drain_seconds = 1
[public]
listen = "{public}"
url = "http://{public}"
limits = {{ sessions_per_minute_per_address = 0, calls_per_minute_per_address = 0 }}
[control]
listen = "{control}"
api_keys = [{{ name = "loadtest", key = "{KEY}", scopes = ["read", "control", "admin"] }}]
[media]
workers = {workers}
udp_listen = "{media}"
browser_codecs = ["opus", "G722", "PCMU", "PCMA"]
rtp_listen = "127.0.0.1"
rtp_ports = "{first}-{last}"
[sip]
udp_listen = "{sip}"
[quality]
measure = {measured}
listen = {measured}
[[trunks]]
id = "agent"
target = "sip:{agent}"
codecs = ["{trunk}"]
browser_audio = "{browser_audio}"
options_seconds = 0
max_calls = 100000
[[apps]]
id = "load"
widget_keys = ["wk_load"]
allowed_origins = ["http://{public}"]
trunk = "agent"
default_profile = "main"
max_calls = 100000
[[apps.profiles]]
id = "main"
destinations = ["sip:agent@agent"]
"#
    )
}

/// The first of so many free ports in a row, for TCP and UDP, below those the kernel hands out by itself.
fn free_ports(count: u16) -> Result<u16> {
    let is_free =
        |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok();
    let start = FIRST_PORT + rand::random::<u16>() % (FIRST_RTP_PORT - FIRST_PORT) / 2;
    (start..FIRST_RTP_PORT - count)
        .step_by(usize::from(count))
        .find(|base| (*base..base + count).all(is_free))
        .context("no free ports")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_labels() {
        let text = "# TYPE a gauge\na{worker=\"0\"} 1\na{worker=\"1\"} 2.5\nb 7\n";
        let metrics = Metrics::parse(text);
        assert_eq!((metrics.get("a"), metrics.get("b"), metrics.get("c")), (3.5, 7.0, 0.0));
    }
}
