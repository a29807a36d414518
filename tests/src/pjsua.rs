//! PJSIP as the agent (`pjsua/agent.py`): another SIP stack with its own media engine, steered over its standard input.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::gateway::until;
use crate::page::write_tone;
use crate::sipp::free_udp_port;

/// RIFF, format and data heads.
const WAV_HEAD: usize = 44;

/// A running phone that answers every call, says a tone, and records what it hears.
pub struct Pjsua {
    _child: Child,
    input: ChildStdin,
    address: SocketAddr,
    directory: TempDir,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Pjsua {
    /// Starts one that says a tone of `hz`; `options` are those of the script.
    pub async fn start(hz: f64, options: Value) -> Result<Self> {
        let directory = TempDir::new()?;
        let at = directory.path();
        write_tone(&at.join("voice.wav"), hz, 8000, 60)?;
        let address = free_udp_port()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let log = std::fs::File::create(at.join("errors"))?;
        let mut child = Command::new(python())
            .arg(root.join("pjsua/agent.py"))
            .arg(address.to_string())
            .args([at.join("voice.wav"), at.join("heard.wav")])
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("no Python in target/python")?;
        let (input, output) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(event) = serde_json::from_str::<Value>(&line) {
                    told.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                }
            }
        });
        let phone = Self { _child: child, input, address, directory, events };
        until("PJSIP", Duration::from_secs(30), || phone.has(&|event| event["event"] == "ready"))
            .await
            .with_context(|| phone.log())?;
        Ok(phone)
    }

    /// Where it listens, over UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One command of the script.
    pub async fn command(&mut self, line: &str) -> Result<()> {
        self.input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.input.flush().await?)
    }

    /// Everything it told.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many calls have ended at its side.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.events().iter().filter(|event| event["event"] == "gone").count()
    }

    /// Whether it told something like this.
    pub fn has(&self, good: &dyn Fn(&Value) -> bool) -> bool {
        self.events().iter().any(good)
    }

    /// What it heard in the last call so far, as PCM at 8000 Hz. The sizes in the recording's head may not be written yet.
    pub fn heard(&self) -> Result<Vec<i16>> {
        let bytes = std::fs::read(self.directory.path().join("heard.wav")).with_context(|| self.log())?;
        let samples = bytes.get(WAV_HEAD..).unwrap_or_default().chunks_exact(2);
        Ok(samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
    }

    /// Its own log, the end of it.
    #[must_use]
    pub fn log(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        let log = read("heard.wav.log");
        let lines: Vec<&str> = log.lines().collect();
        format!("{}\n{}", lines[lines.len().saturating_sub(300)..].join("\n"), read("errors"))
    }
}

/// The one that `.ci/install` has set up.
fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python")
}
