//! The demo: a gateway, an agent that answers, and a page with a call button, all on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trunkline_media::audio::prompt::Prompt;

use crate::daemon::Daemon;
use crate::ids::random_bits;

pub mod agent;
mod pages;

use agent::Agent;

/// What the demo is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Port of the page; the control listener takes the next, 0 takes any free port for everything.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 8080 }
    }
}

/// A demo that runs.
pub struct Demo {
    /// The gateway.
    pub daemon: Daemon,
    /// Who answers.
    pub agent: Agent,
    /// Key of the control listener, made for this run.
    pub control_key: String,
    _data: Folder,
}

/// A folder that goes with the demo.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is in the system's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Demo {
    /// Starts gateway and agent.
    ///
    /// # Errors
    /// What kept one of them from starting.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let greeting = Arc::new(Prompt::from_wav(include_bytes!("greeting.wav"))?);
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, if options.port == 0 { 0 } else { port }));
        let agent = Agent::start(at(5070), greeting).context("the demo's agent cannot start")?;
        let control_key = URL_SAFE_NO_PAD.encode(random_bits::<24>());
        let localhost = match options.port {
            0 => String::new(),
            port => format!("\"http://localhost:{port}\""),
        };
        let bits = u64::from_be_bytes(random_bits());
        let data = Folder(std::env::temp_dir().join(format!("trunkline-demo-{bits:016x}")));
        let template = include_str!("demo.toml").replace("{key}", &control_key).replace("{localhost}", &localhost);
        let template = template.replace("{data}", &data.0.display().to_string());
        let filled = [
            ("{public}", at(options.port)),
            ("{control}", at(options.port.saturating_add(1))),
            ("{media}", at(20_000)),
            ("{sip}", at(5060)),
            ("{agent}", agent.address),
        ]
        .iter()
        .fold(template, |text, (name, address)| text.replace(name, &address.to_string()));
        let loaded = trunkline_config::load_str(&filled, Path::new("."), std::iter::empty())?.for_run()?;
        let daemon = Daemon::start_with(loaded.config, None, pages::router()).await?;
        Ok(Self { daemon, agent, control_key, _data: data })
    }
}

/// Runs the demo until it is interrupted.
///
/// # Errors
/// What kept it from starting.
pub async fn run(options: Options, say: impl Fn(&str)) -> anyhow::Result<()> {
    let demo = Demo::start(options).await?;
    say(&format!(
        "Open http://{} in a browser, click Call, and hear yourself through a SIP agent.\n\
         Console: http://{}/console (API key {}). Ctrl-C ends it.",
        demo.daemon.public_addr, demo.daemon.control_addr, demo.control_key
    ));
    tokio::signal::ctrl_c().await?;
    demo.daemon.shutdown().await;
    Ok(())
}
