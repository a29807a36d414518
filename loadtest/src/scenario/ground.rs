//! What a scenario is played on: the gateway, the agent, the browsers' thread.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use trunkline_media::audio::Codec;

use super::file::{GatewayPart, Scenario};
use super::plan::Planned;
use crate::agent::{Agent, AgentParts, Says};
use crate::browser::Kit;
use crate::browsers::Browsers;
use crate::client::{Client, Widget};
use crate::control::Control;
use crate::gateway::{Gateway, KEY, Kind, Metrics};
use crate::row::OPUS;
use crate::speech::Speech;
use crate::stream::{Content, Format};
use crate::web::Web;

pub(super) struct Ground {
    pub(super) control: Arc<Control>,
    pub(super) agent: Agent,
    pub(super) browsers: Browsers,
    pub(super) client: Client,
    pub(super) kit: Kit,
    pub(super) speech: Arc<Speech>,
    pub(super) epoch: Instant,
    /// One that was started for this.
    pub(super) own: Option<Gateway>,
    pub(super) scrape: Option<Scrape>,
}

/// Reads a gateway's `/metrics`.
#[derive(Clone)]
pub(super) struct Scrape {
    control: Web,
    key: String,
}

impl Scrape {
    pub(super) async fn read(&self) -> Result<Metrics> {
        Metrics::fetch(&self.control, &self.key).await
    }
}

impl Ground {
    pub(super) async fn prepare(scenario: &Scenario, plan: &[Planned]) -> Result<Self> {
        let speech = Arc::new(Speech::new()?);
        let (control, epoch, codec) = (Arc::new(Control::default()), Instant::now(), scenario.agent_codec()?);
        control.set_measuring(true);
        let agent = Agent::start(AgentParts {
            control: Arc::clone(&control),
            calls: scenario.load.most,
            epoch,
            listen: scenario.agent.listen,
            codec,
            says: says(plan, codec, &speech),
        })?;
        let browsers = Browsers::start(Arc::clone(&control))?;
        let part = &scenario.gateway;
        let (own, client, scrape) = match &part.binary {
            Some(binary) => {
                let browser_audio = part.browser_audio.as_deref().unwrap_or("elastic");
                let kind = Kind { browser_audio, trunk: codec, measured: true };
                let own = Gateway::start_as(binary, kind, agent.address, 0).await?;
                let scrape = Scrape { control: Web::to(&format!("http://{}", own.control), None)?, key: KEY.into() };
                let client = Client::new(own.public)?;
                (Some(own), client, Some(scrape))
            }
            None => (None, client(part)?, of_running(part)?),
        };
        Ok(Self { control, agent, browsers, client, kit: Kit::new()?, speech, epoch, own, scrape })
    }
}

/// What browsers say, and what they offer, in this codec. What is relayed untouched carries stamps.
pub(super) fn voice(codec: Codec, agent: Codec, speech: &Speech) -> (Content, Format) {
    let payload_type = match codec {
        Codec::Opus => OPUS,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
    };
    (content(codec, codec == agent, speech), Format { payload_type, ticks: codec.clock_rate() / 50 })
}

fn content(codec: Codec, relayed: bool, speech: &Speech) -> Content {
    if relayed && codec != Codec::Opus { Content::Stamped } else { Content::Speech(speech.of(codec)) }
}

fn says(plan: &[Planned], codec: Codec, speech: &Arc<Speech>) -> Says {
    let browsers: BTreeMap<u32, Codec> = plan.iter().map(|planned| (planned.party, planned.codec)).collect();
    let speech = Arc::clone(speech);
    Arc::new(move |party| content(codec, browsers.get(&party) == Some(&codec), &speech))
}

fn client(part: &GatewayPart) -> Result<Client> {
    let url = part.url.as_deref().context("no gateway")?;
    let widget = Widget {
        app: part.app.clone().unwrap_or_default(),
        key: secret("widget_key", part.widget_key.as_deref())?,
        profile: part.profile.clone(),
        origin: part.origin.clone(),
    };
    Ok(Client::at(Web::to(url, part.ca.as_deref())?, widget))
}

fn of_running(part: &GatewayPart) -> Result<Option<Scrape>> {
    let Some(control) = &part.control else { return Ok(None) };
    let key = secret("api_key", part.api_key.as_deref())?;
    Ok(Some(Scrape { control: Web::to(control, part.ca.as_deref())?, key }))
}

/// The value of a key that may be elsewhere: `env:NAME`.
fn secret(key: &str, value: Option<&str>) -> Result<String> {
    let value = value.unwrap_or_default();
    match value.strip_prefix("env:") {
        Some(name) => std::env::var(name).with_context(|| format!("{key}: no variable {name}")),
        None => Ok(value.to_owned()),
    }
}
