//! baresip as the agent: a real SIP user agent with its own media engine, steered over its control socket.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

/// A running baresip that answers every call, says `voice`, and records what it hears.
pub struct Baresip {
    _child: Child,
    address: SocketAddr,
    directory: TempDir,
    control: OwnedWriteHalf,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Baresip {
    /// Starts one with these codecs (baresip's names, e.g. `PCMA`), saying the WAV file `voice` (8000 Hz, mono).
    pub async fn start(codecs: &str, voice: &Path) -> Result<Self> {
        Self::start_with(codecs, "", voice).await
    }

    /// The same with media encrypted as baresip calls it: `srtp`, `srtp-mand`, nothing.
    pub async fn start_with(codecs: &str, encryption: &str, voice: &Path) -> Result<Self> {
        // A port that was free may be somebody's by now.
        for _ in 0..4 {
            match Self::launch(codecs, encryption, voice).await {
                Err(error) if format!("{error:#}").contains("Address already in use") => {}
                launched => return launched,
            }
        }
        Self::launch(codecs, encryption, voice).await
    }

    async fn launch(codecs: &str, encryption: &str, voice: &Path) -> Result<Self> {
        let directory = TempDir::new()?;
        let encryption = if encryption.is_empty() { String::new() } else { format!(";mediaenc={encryption}") };
        let (sip, control) = (free_pair()?, free_port()?);
        let at = directory.path();
        std::fs::create_dir(at.join("heard"))?;
        std::fs::write(at.join("config"), config(sip, control, voice, &at.join("heard")))?;
        std::fs::write(at.join("contacts"), "")?;
        std::fs::write(
            at.join("accounts"),
            format!("<sip:agent@127.0.0.1:{sip}>;regint=0;answermode=auto;audio_codecs={codecs}{encryption}\n"),
        )?;
        let log = std::fs::File::create(at.join("log"))?;
        let child = Command::new("baresip")
            .arg("-f")
            .arg(at)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("baresip is not installed")?;
        let said = || std::fs::read_to_string(at.join("log")).unwrap_or_default();
        let (reader, writer) = connect(control).await.with_context(said)?.into_split();
        let events = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(collect(reader, Arc::clone(&events)));
        let address = SocketAddr::from(([127, 0, 0, 1], sip));
        Ok(Self { _child: child, address, directory, control: writer, events })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hangs up.
    pub async fn hangup(&mut self) -> Result<()> {
        self.command("hangup", "").await
    }

    /// Puts the other side on hold, or takes it back.
    pub async fn hold(&mut self, held: bool) -> Result<()> {
        self.command(if held { "hold" } else { "resume" }, "").await
    }

    /// Hands its caller to somebody else, by REFER.
    pub async fn transfer(&mut self, to: &str) -> Result<()> {
        self.command("transfer", to).await
    }

    /// Sends one digit.
    pub async fn send_digit(&mut self, digit: char) -> Result<()> {
        self.command("sndcode", &digit.to_string()).await
    }

    /// Digits it has received, in order.
    #[must_use]
    pub fn digits(&self) -> String {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let pressed = events.iter().filter(|e| e["type"] == "CALL_DTMF_START");
        pressed.filter_map(|e| e["param"].as_str()).collect()
    }

    /// Names of the events seen so far.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().filter_map(|e| e["type"].as_str().map(String::from)).collect()
    }

    /// What it heard in the call that has ended, as PCM with its rate. Each hold begins another recording.
    pub fn heard(&self) -> Result<(Vec<i16>, u32)> {
        let (mut pcm, mut rate) = (Vec::new(), None);
        for entry in std::fs::read_dir(self.directory.path().join("heard"))? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-dec.wav") {
                let mut reader = hound::WavReader::open(&path)?;
                rate = Some(reader.spec().sample_rate);
                // One ear is enough.
                let channels = usize::from(reader.spec().channels.max(1));
                for sample in reader.samples::<i16>().step_by(channels) {
                    pcm.push(sample?);
                }
            }
        }
        rate.map(|rate| (pcm, rate)).with_context(|| format!("baresip recorded nothing\n{}", self.log()))
    }

    /// Its own log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    async fn command(&mut self, command: &str, params: &str) -> Result<()> {
        let text = json!({"command": command, "params": params, "token": "test"}).to_string();
        self.control.write_all(format!("{}:{text},", text.len()).as_bytes()).await?;
        Ok(())
    }
}

/// A port that is free with the one above it, where baresip takes TLS. It does not ask to share them, so one on which a
/// connection ended a minute ago is not free to it.
fn free_pair() -> Result<u16> {
    let is_free = |port| TcpSocket::new_v4().and_then(|socket| socket.bind(([127, 0, 0, 1], port).into())).is_ok();
    for _ in 0..100 {
        let port = free_port()?;
        if port.checked_add(1).is_some_and(|above| is_free(port) && is_free(above)) {
            return Ok(port);
        }
    }
    bail!("no two ports in a row are free")
}

async fn connect(port: u16) -> Result<TcpStream> {
    for _ in 0..250 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
            return Ok(stream);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("baresip never listened")
}

/// Reads netstrings of JSON until baresip is gone.
async fn collect(reader: OwnedReadHalf, events: Arc<Mutex<Vec<Value>>>) {
    let mut reader = BufReader::new(reader);
    let mut length = Vec::new();
    while reader.read_until(b':', &mut length).await.is_ok_and(|n| n > 0) {
        let digits = String::from_utf8_lossy(&length).trim_matches([',', ':']).to_owned();
        length.clear();
        let Ok(size) = digits.parse::<usize>() else { return };
        let mut text = vec![0; size];
        if reader.read_exact(&mut text).await.is_err() {
            return;
        }
        if let Ok(value) = serde_json::from_slice::<Value>(&text)
            && value["event"] == true
        {
            events.lock().unwrap_or_else(PoisonError::into_inner).push(value);
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn config(sip: u16, control: u16, voice: &Path, heard: &Path) -> String {
    format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{sip}\nsip_trans_def udp\nnet_interface 127.0.0.1\ncall_max_calls 4\n\
         audio_player aubridge,nowhere\naudio_source aufile,{}\naudio_alert aubridge,nowhere\n\
         ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\naudio_txmode poll\naudio_level no\n\
         rtcp_mux no\njitter_buffer_delay 1-5\nrtp_stats no\nmodule_path /usr/lib/baresip/modules\n\
         module g711.so\nmodule g722.so\nmodule opus.so\nmodule srtp.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nsnd_path {}\n\
         module_app account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\n",
        voice.display(),
        heard.display(),
    )
}
