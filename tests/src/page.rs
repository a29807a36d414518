//! A shop's page: it lives on an origin of its own and uses the gateway through `trunkline.js`, as a widget does.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use trunkline_media::audio::tone::{Tone, detect, level};

use crate::browser::Browser;
use crate::gateway::{APP, Gateway, WIDGET_KEY};
use crate::namespace::Namespace;

const CLIENT: &str = include_str!("../../gateway/web/trunkline.js");
const PAGE: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/page.js");
const TAP: &str = include_str!("page/tap.js");
/// The rate of what [`Page::hear`] returns.
pub const RATE: u32 = 48_000;

/// A Chromium on the shop's page, whose microphone hears a tone.
pub struct Page {
    browser: Browser,
    origin: String,
    server: JoinHandle<()>,
    _microphone: TempDir,
}

impl Page {
    /// Serves the page and opens it in a browser of its own.
    pub async fn open(microphone_hz: f64) -> Result<Self> {
        Self::open_on(None, microphone_hz).await
    }

    /// As [`Page::open`], in a browser on a machine of its own.
    pub async fn open_on(machine: Option<&Namespace>, microphone_hz: f64) -> Result<Self> {
        let host = machine.map_or(Ipv4Addr::LOCALHOST, Namespace::outside);
        let listener = TcpListener::bind((host, 0)).await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let script = |text: &'static str| get(async move || ([(CONTENT_TYPE, "text/javascript")], text));
        let router = Router::new()
            .route("/", get(async || ([(CONTENT_TYPE, "text/html")], PAGE)))
            // The same without the right to a microphone.
            .route(
                "/framed",
                get(async || ([("permissions-policy", "microphone=()"), ("content-type", "text/html")], PAGE)),
            )
            .route("/page.js", script(SCRIPT))
            .route("/tap.js", script(TAP))
            .route("/trunkline.js", script(CLIENT));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        let directory = TempDir::new()?;
        let voice = directory.path().join("voice.wav");
        write_tone(&voice, microphone_hz, RATE, 1)?;
        let browser = Browser::start_on(machine, &origin, &voice).await?;
        browser.open(&origin).await?;
        browser.wait_for("window.ready", Duration::from_secs(20)).await?;
        Ok(Self { browser, origin, server, _microphone: directory })
    }

    /// What the app must list in its `allowed_origins`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The browser itself.
    #[must_use]
    pub fn browser(&self) -> &Browser {
        &self.browser
    }

    /// Starts a call and returns its id; `codecs` go first in the offer.
    pub async fn call(&self, gateway: &Gateway, codecs: &[&str]) -> Result<String> {
        self.call_with(gateway, json!({"codecs": codecs})).await
    }

    /// As [`Page::call`], with any options of `page.js`.
    pub async fn call_with(&self, gateway: &Gateway, mut options: Value) -> Result<String> {
        options["client"] = json!({"url": gateway.public(), "app": APP, "widgetKey": WIDGET_KEY});
        let id = self.browser.run("return begin(args)", options).await?;
        id.as_str().map(String::from).context("no call")
    }

    /// Waits for the call's state.
    pub async fn state(&self, state: &str) -> Result<()> {
        let wanted = format!("call.state === '{state}'");
        match self.browser.wait_for(&wanted, Duration::from_secs(20)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.context(format!("{:?}\n{:?}", self.events().await, self.browser.console().await))),
        }
    }

    /// What arrives in the page from now on for `length`, as PCM at [`RATE`].
    pub async fn hear(&self, length: Duration) -> Result<Vec<i16>> {
        pcm(&self.browser.run("return hear(args)", json!(u64::try_from(length.as_millis())?)).await?)
    }

    /// Begins to record what arrives for `length`, while the page does other things; [`Page::taped`] has it.
    pub async fn tape(&self, length: Duration) -> Result<()> {
        let ms = u64::try_from(length.as_millis())?;
        self.browser.run("window.taped = hear(args)", json!(ms)).await.map(drop)
    }

    /// Waits for the end of [`Page::tape`].
    pub async fn taped(&self) -> Result<Vec<i16>> {
        pcm(&self.browser.run("return window.taped", Value::Null).await?)
    }

    /// Listens until the page hears exactly this tone and nothing of the other.
    pub async fn hears(&self, tone: f64, not: f64) -> Result<()> {
        let mut last = String::new();
        for _ in 0..20 {
            let pcm = self.hear(Duration::from_millis(500)).await?;
            match judge(&pcm, RATE, tone, not) {
                Ok(()) => return Ok(()),
                Err(why) => last = why,
            }
        }
        anyhow::bail!("the page does not hear {tone} Hz: {last}\n{:?}", self.browser.console().await?)
    }

    /// Every event so far.
    pub async fn events(&self) -> Result<Vec<Value>> {
        let events = self.browser.run("return events", Value::Null).await?;
        Ok(events.as_array().cloned().unwrap_or_default())
    }

    /// Waits for an event and returns its data.
    pub async fn event(&self, name: &str) -> Result<Value> {
        let expression = format!("events.find(e => e.name === '{name}')");
        Ok(self.browser.wait_for(&expression, Duration::from_secs(20)).await?["data"].clone())
    }

    /// The client module's statistics.
    pub async fn stats(&self) -> Result<Value> {
        self.browser.run("return call.stats()", Value::Null).await
    }

    /// Closes the browser and the server.
    pub async fn close(self) {
        self.browser.close().await;
        self.server.abort();
    }
}

fn pcm(heard: &Value) -> Result<Vec<i16>> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(heard.as_str().context("nothing heard")?)?;
    Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}

/// Some seconds of a tone; of whole hertz, it loops without a seam.
pub fn write_tone(path: &std::path::Path, hz: f64, rate: u32, seconds: u32) -> Result<()> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec)?;
    for sample in Tone::new(hz, rate, -12.0).take((rate * seconds) as usize) {
        writer.write_sample(sample)?;
    }
    Ok(writer.finalize()?)
}

/// Whether `pcm` is `tone` and nothing but it; the other party's own tone is looked for by name.
pub fn judge(pcm: &[i16], rate: u32, tone: f64, not: f64) -> Result<(), String> {
    let (all, wanted, foreign) = (level(pcm), detect(pcm, rate, tone), detect(pcm, rate, not));
    let good = pcm.len() >= rate as usize / 5 && wanted > -30.0 && wanted > all - 1.5 && foreign < wanted - 35.0;
    let said = format!("{} samples, all {all:.1}, {tone} Hz {wanted:.1}, {not} Hz {foreign:.1} dBov", pcm.len());
    if good { Ok(()) } else { Err(said) }
}
