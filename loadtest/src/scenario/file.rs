//! A scenario as an operator writes it: which load on which gateway, and what must hold. TOML.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use trunkline_media::audio::Codec;

/// A scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The same seed makes the same calls over the same network.
    #[serde(default)]
    pub(crate) seed: u64,
    pub(crate) gateway: GatewayPart,
    #[serde(default)]
    pub(crate) agent: AgentPart,
    pub(crate) load: Load,
    #[serde(default)]
    pub(crate) network: Network,
    #[serde(default)]
    pub(crate) thresholds: Thresholds,
}

/// The gateway: a binary that is started on loopback, or one that runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GatewayPart {
    pub(crate) binary: Option<PathBuf>,
    /// The started gateway's `browser_audio`.
    pub(crate) browser_audio: Option<String>,
    /// The public listener of one that runs, `http` or `https`.
    pub(crate) url: Option<String>,
    /// A PEM file of those who vouch for certificates of `https` URLs, in place of the system's.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) app: Option<String>,
    /// The key, or `env:NAME`.
    #[serde(skip_serializing)]
    pub(crate) widget_key: Option<String>,
    pub(crate) profile: Option<String>,
    /// The page's origin, if it is not that of `url`.
    pub(crate) origin: Option<String>,
    /// Its control listener, for its load and what is left behind; with an API key that may read.
    pub(crate) control: Option<String>,
    /// The key, or `env:NAME`.
    #[serde(skip_serializing)]
    pub(crate) api_key: Option<String>,
}

/// Where the trunk's calls end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AgentPart {
    /// The SIP socket: what the gateway's trunk must name, if it runs already. Its address is where RTP goes, too.
    pub(crate) listen: SocketAddr,
    pub(crate) codec: String,
}

impl Default for AgentPart {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 0).into(), codec: "PCMU".into() }
    }
}

/// Which calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Load {
    /// New calls a second.
    pub(crate) rate: f64,
    /// Until that rate is reached.
    #[serde(default)]
    pub(crate) ramp_seconds: f64,
    /// For how long calls are begun.
    pub(crate) seconds: f64,
    /// How long each talks: somewhere between the two.
    pub(crate) hold_seconds: [f64; 2],
    /// Calls at once; whoever comes beyond that waits.
    #[serde(default = "most")]
    pub(crate) most: usize,
    /// What browsers speak, and how many of them.
    #[serde(default = "codecs")]
    pub(crate) codecs: BTreeMap<String, u32>,
    /// Pressed once in each call.
    #[serde(default)]
    pub(crate) dtmf: String,
    /// After the last call, before what is left is counted.
    #[serde(default = "rest")]
    pub(crate) rest_seconds: u64,
}

fn most() -> usize {
    1_000
}

/// The gateway gives memory back at once, when SIP has forgotten its last call (64*T1), and when sessions have expired (ten
/// minutes).
fn rest() -> u64 {
    45
}

fn codecs() -> BTreeMap<String, u32> {
    BTreeMap::from([("opus".into(), 1)])
}

/// What the way between browsers and gateway does, in both directions.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    /// Share of datagrams lost, 0..1.
    pub(crate) loss: f64,
    /// How many are lost in a row, on average.
    pub(crate) burst: f64,
    pub(crate) delay_ms: f64,
    /// Each is up to so much later.
    pub(crate) jitter_ms: f64,
}

/// What must hold; what is not named may be as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Thresholds {
    /// Calls that did not come about, of all, 0..1. Calls without audio on either side are among them.
    pub(crate) failed_ratio: Option<f64>,
    /// Packets lost that the network of the scenario did not take, of all, 0..1.
    pub(crate) lost_ratio: Option<f64>,
    pub(crate) connected_p95_ms: Option<f64>,
    pub(crate) first_audio_p95_ms: Option<f64>,
    /// Of packets relayed untouched.
    pub(crate) transit_p99_ms: Option<f64>,
    /// Digits that did not reach the agent, of all pressed, 0..1.
    pub(crate) digits_lost_ratio: Option<f64>,
    /// Of one core, for each call at once, the mean over the run.
    pub(crate) cpu_percent_per_call: Option<f64>,
    /// Resident memory after the run beyond that before it.
    pub(crate) memory_left_mib: Option<f64>,
    /// Open descriptors after the run beyond those before it.
    pub(crate) descriptors_left: Option<f64>,
}

impl Scenario {
    /// Reads a file; `url`: the gateway that it is played against, whatever the file says.
    pub(crate) fn read(path: &Path, url: Option<&str>) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        Self::parse(&text, url).with_context(|| format!("{}", path.display()))
    }

    /// Reads TOML.
    pub(crate) fn parse(text: &str, url: Option<&str>) -> Result<Self> {
        let mut scenario: Self = toml::from_str(text)?;
        if let Some(url) = url {
            scenario.gateway.binary = None;
            scenario.gateway.url = Some(url.to_owned());
        }
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<()> {
        let Self { gateway, load, network, .. } = self;
        ensure!(gateway.binary.is_some() != gateway.url.is_some(), "gateway: either `binary` or `url`");
        ensure!(gateway.binary.is_some() || gateway.app.is_some(), "gateway: a `url` needs its `app`");
        for (key, url) in [("url", &gateway.url), ("control", &gateway.control)] {
            let good = url.as_ref().is_none_or(|url| url.starts_with("http://") || url.starts_with("https://"));
            ensure!(good, "gateway.{key}: http://… or https://…");
        }
        ensure!(load.rate > 0.0 && load.rate <= 10_000.0, "load.rate: more than 0, 10,000 at most");
        ensure!(load.seconds > 0.0 && load.ramp_seconds >= 0.0, "load: `seconds` and `ramp_seconds` are lengths");
        let [least, most] = load.hold_seconds;
        ensure!(least >= 0.0 && most >= least, "load.hold_seconds: the least, then the most");
        ensure!(load.most > 0, "load.most: one call at least");
        ensure!(load.codecs.values().any(|weight| *weight > 0), "load.codecs: somebody must speak something");
        load.codecs.keys().chain([&self.agent.codec]).try_for_each(|name| codec(name).map(drop))?;
        let digits = load.dtmf.chars().all(|digit| "0123456789*#ABCD".contains(digit));
        ensure!(digits, "load.dtmf: 0 to 9, *, #, A to D");
        ensure!((0.0..1.0).contains(&network.loss), "network.loss: 0 to below 1");
        ensure!(network.delay_ms >= 0.0 && network.jitter_ms >= 0.0, "network: delays are lengths");
        Ok(())
    }

    /// What the agent speaks.
    pub(crate) fn agent_codec(&self) -> Result<Codec> {
        codec(&self.agent.codec)
    }
}

/// The codec of this name.
pub(crate) fn codec(name: &str) -> Result<Codec> {
    let all = [Codec::Opus, Codec::G722, Codec::Pcmu, Codec::Pcma];
    all.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name)).with_context(|| format!("no codec {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str =
        "name = \"a\"\n[gateway]\nbinary = \"x\"\n[load]\nrate = 5\nseconds = 2\nhold_seconds = [1, 2]\n";

    #[test]
    fn the_example_and_the_least_are_read() {
        let example = Scenario::parse(include_str!("../../scenarios/evening.toml"), None).unwrap();
        assert_eq!((example.load.codecs.len(), example.load.dtmf.as_str()), (3, "12#"));
        let least = Scenario::parse(SMALL, None).unwrap();
        assert_eq!((least.agent_codec().unwrap(), least.load.most), (Codec::Pcmu, 1_000));
    }

    #[test]
    fn another_gateway_takes_the_place_of_the_files() {
        let text = SMALL.replace("binary = \"x\"", "binary = \"x\"\napp = \"acme\"");
        let gateway = Scenario::parse(&text, Some("https://gateway.example")).unwrap().gateway;
        assert_eq!((gateway.binary, gateway.url.as_deref()), (None, Some("https://gateway.example")));
        let error = Scenario::parse(SMALL, Some("https://gateway.example")).unwrap_err();
        assert!(format!("{error:#}").contains("needs its `app`"), "{error:#}");
    }

    #[test]
    fn mistakes_are_named() {
        for (change, by, named) in [
            ("rate = 5", "rate = 0", "load.rate"),
            ("[1, 2]", "[2, 1]", "load.hold_seconds"),
            ("binary = \"x\"", "", "either `binary` or `url`"),
            ("binary = \"x\"", "url = \"http://x\"", "needs its `app`"),
            ("binary = \"x\"", "url = \"gateway:8080\"\napp = \"a\"", "gateway.url"),
            ("seconds = 2", "seconds = 2\ncodecs = { GSM = 1 }", "no codec GSM"),
            ("seconds = 2", "seconds = 2\ndtmf = \"x\"", "load.dtmf"),
            ("seconds = 2", "seconds = 2\nsecnods = 3", "secnods"),
        ] {
            let error = Scenario::parse(&SMALL.replace(change, by), None).unwrap_err();
            assert!(format!("{error:#}").contains(named), "{by}: {error:#}");
        }
    }
}
