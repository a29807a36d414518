//! One row from the gateway's start to its end.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;
use tokio::time::sleep;
use trunkline_media::audio::Codec;

use crate::agent::{self, Agent, AgentParts};
use crate::bench::{BenchArgs, DRAIN, SETTLE, cpu_per_call};
use crate::browser::{Browser, Kit};
use crate::browsers::{self, Answered, Browsers};
use crate::client::{Client, Started};
use crate::control::Control;
use crate::flood::Flood;
use crate::gateway::{Gateway, Metrics};
use crate::lines::Line;
use crate::reactor::{Phase, wall_ns};
use crate::report::{Course, DirectionReport, RowReport, SetupReport};
use crate::row::Row;
use crate::speech::Speech;
use crate::stats::{Spread, cpu_seconds, resident_kib, socket_drops};
use crate::stream::{Content, Format, Heard, Voice};

/// How long calls may take to talk, and to be gone.
const PATIENCE: Duration = Duration::from_secs(15);
/// After the last call, for memory to come back.
const REST: Duration = Duration::from_secs(2);

const LEASED: &str = "trunkline_worker_leased_pairs";
const LIVE: &str = "trunkline_calls";

/// A row being taken.
pub(crate) struct Take<'a> {
    args: &'a BenchArgs,
    row: Row,
    gateway: Gateway,
    control: Arc<Control>,
    browsers: Browsers,
    agent: Agent,
    caller: Caller,
    failures: Vec<String>,
}

/// All a call's set-up needs.
#[derive(Clone)]
struct Caller {
    client: Client,
    browsers: browsers::Handle,
    kit: Kit,
    row: Row,
    content: Content,
    format: Format,
    epoch: Instant,
    of: usize,
}

/// A call whose offer was answered, and when the offer was sent.
struct Begun {
    party: u32,
    started: Started,
    offered_ns: u64,
}

impl<'a> Take<'a> {
    pub(crate) async fn new(args: &'a BenchArgs, row: Row, speech: &Speech) -> Result<Self> {
        let control = Arc::new(Control::default());
        let epoch = Instant::now();
        let (content, _) = row.agent_says(speech);
        let parts = AgentParts {
            control: Arc::clone(&control),
            calls: args.calls,
            epoch,
            listen: agent::anywhere(),
            codec: Codec::Pcmu,
            says: Arc::new(move |_| content.clone()),
        };
        let agent = Agent::start(parts)?;
        let browsers = Browsers::start(Arc::clone(&control))?;
        let gateway = Gateway::start(&args.gateway, row, agent.address, args.workers).await?;
        let (content, format) = row.browser_says(speech);
        let client = Client::new(gateway.public)?;
        let thread = browsers.handle.clone();
        let caller = Caller { client, browsers: thread, kit: Kit::new()?, row, content, format, epoch, of: args.calls };
        Ok(Self { args, row, gateway, control, browsers, agent, caller, failures: Vec::new() })
    }

    pub(crate) async fn run(mut self) -> Result<RowReport> {
        let calls = self.args.calls;
        self.warm_up().await.with_context(|| format!("the first call; the gateway says:\n{}", self.gateway.log()))?;
        let mut resident = Course { start: resident_kib(self.gateway.pid())? as f64, ..Course::default() };
        let mut leased = Course { start: self.gateway.metrics().await?.get(LEASED), ..Course::default() };

        let cpu_before = cpu_seconds(self.gateway.pid())?;
        let ramp = Instant::now();
        let begun = self.begin().await;
        self.until_talking(1 + begun.len()).await;
        let ramp_seconds = Instant::now().saturating_duration_since(ramp).as_secs_f64();
        let ramp_cpu = cpu_seconds(self.gateway.pid())? - cpu_before;

        sleep(SETTLE).await;
        self.control.set_measuring(true);
        let flood = (self.row == Row::Flooded).then(|| Flood::start(self.gateway.sip)).transpose()?;
        let cpu = cpu_per_call(self.gateway.pid(), calls, Duration::from_secs(self.args.seconds)).await?;
        let flooded = flood.map(Flood::end).transpose()?;
        self.control.set_measuring(false);
        let busy = self.gateway.metrics().await?;
        (resident.peak, leased.peak) = (resident_kib(self.gateway.pid())? as f64, busy.get(LEASED));
        self.control.hush();
        sleep(DRAIN).await;
        let gateway_drops = socket_drops(|port| self.gateway.owns(port));
        let load_drops = socket_drops(|port| !self.gateway.owns(port));

        self.hang_up(&begun).await;
        let after = self.until_gone().await?;
        sleep(REST).await;
        (resident.end, leased.end) = (resident_kib(self.gateway.pid())? as f64, after.get(LEASED));

        let offered: BTreeMap<u32, u64> = begun.iter().map(|begun| (begun.party, begun.offered_ns)).collect();
        // While calls come at a steady rate, half of them are there on average.
        let talking_cpu = cpu / 100.0 * begun.len() as f64 * ramp_seconds / 2.0;
        let mut setup = SetupReport {
            completed: begun.len(),
            connected_ms: Spread::default(),
            per_second: begun.len() as f64 / ramp_seconds,
            cpu_ms_per_call: 1000.0 * (ramp_cpu - talking_cpu).max(0.0) / begun.len().max(1) as f64,
        };
        let (row, log) = (self.row, self.gateway.log());
        self.control.end();
        let browsers = self.browsers.join()?;
        let agent = self.agent.join()?;
        self.gateway.stop().await?;
        self.failures.extend(browsers.failures.iter().chain(&agent.failures).cloned());
        setup.connected_ms = since(&offered, &browsers.connected_ns);
        let lateness_ms = Spread::of_us(browsers.lateness_us.clone());
        let [up, down] = directions(&offered, browsers, agent);
        Ok(RowReport {
            row,
            calls,
            cpu_percent_per_call: cpu,
            setup,
            up,
            down,
            resident_kib: resident,
            flooded,
            leased_pairs: leased,
            calls_left: after.get(LIVE),
            gateway_socket_drops: gateway_drops,
            load_socket_drops: load_drops,
            send_failures: busy.get("trunkline_worker_send_failures_total"),
            stray: busy.get("trunkline_worker_stray_datagrams_total"),
            load_lateness_ms: lateness_ms,
            failures: self.failures,
            log,
        })
    }

    /// One call that comes and goes, so that what every gateway has only once is there before memory is looked at.
    async fn warm_up(&mut self) -> Result<()> {
        let party = u32::try_from(self.args.calls)?;
        let begun = self.caller.clone().call(party).await?;
        self.until_talking(1).await;
        if self.control.talking() < 1 {
            bail!("no audio both ways within {PATIENCE:?}");
        }
        self.caller.client.hang_up(&begun.started).await?;
        self.caller.browsers.remove(party)?;
        self.until_gone().await?;
        Ok(())
    }

    /// Sets all calls up at the rate asked for.
    async fn begin(&mut self) -> Vec<Begun> {
        let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / self.args.rate.max(0.1)));
        let mut setting_up = JoinSet::new();
        for party in 0..u32::try_from(self.args.calls).unwrap_or(u32::MAX) {
            tick.tick().await;
            let caller = self.caller.clone();
            setting_up.spawn(async move { caller.call(party).await.with_context(|| format!("call {party}")) });
        }
        let done = setting_up.join_all().await;
        let begun =
            done.into_iter().filter_map(|done| done.map_err(|error| self.failures.push(format!("{error:#}"))).ok());
        begun.collect()
    }

    async fn until_talking(&self, calls: usize) {
        let start = Instant::now();
        while self.control.talking() < calls && Instant::now().saturating_duration_since(start) < PATIENCE {
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn hang_up(&mut self, begun: &[Begun]) {
        for each in begun {
            if let Err(error) = self.caller.client.hang_up(&each.started).await {
                self.failures.push(format!("hanging up call {}: {error:#}", each.party));
            }
        }
    }

    /// Waits until no call and no leased port is left, for a while; the last metrics.
    async fn until_gone(&self) -> Result<Metrics> {
        let start = Instant::now();
        loop {
            let metrics = self.gateway.metrics().await?;
            let left = metrics.get(LIVE) + metrics.get(LEASED);
            if left == 0.0 || Instant::now().saturating_duration_since(start) > PATIENCE {
                return Ok(metrics);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Caller {
    /// A session, an offer, an answer; from then on the browser looks after itself.
    async fn call(self, party: u32) -> Result<Begun> {
        let token = self.client.session(party).await?;
        let socket = Line::socket()?;
        let address = socket.local_addr()?;
        let (mut browser, offer) = Browser::new(Instant::now(), &self.kit, address, self.row.offered())?;
        let offered_ns = wall_ns();
        let started = self.client.call(token, offer).await?;
        browser.accept(&started.answer)?;
        let phase = Phase::new(self.epoch, party as usize, self.of, false);
        let voice = Voice::new(party, self.content, self.format);
        self.browsers.add(Answered { party, browser, socket, voice, phase, weather: None })?;
        Ok(Begun { party, started, offered_ns })
    }
}

/// What each direction came to, for the calls that were offered: up to the agent, down to the browsers.
fn directions(offered: &BTreeMap<u32, u64>, browsers: browsers::Report, agent: agent::Report) -> [DirectionReport; 2] {
    let [up, down] = [(agent.heard, browsers.sent), (browsers.heard, agent.sent)];
    [direction(offered, up), direction(offered, down)]
}

/// How long after its offer something happened to each call.
fn since(offered: &BTreeMap<u32, u64>, happened: &BTreeMap<u32, u64>) -> Spread {
    let us = offered.iter().filter_map(|(party, at_ns)| {
        let us = happened.get(party)?.saturating_sub(*at_ns) / 1000;
        u32::try_from(us).ok()
    });
    Spread::of_us(us.collect())
}

fn direction(offered: &BTreeMap<u32, u64>, (heard, sent): (Heard, BTreeMap<u32, u32>)) -> DirectionReport {
    let ours = |party: &&u32| offered.contains_key(*party);
    let late = heard.transit_us.iter().filter(|us| **us > 20_000).count();
    DirectionReport {
        silent: offered.keys().filter(|party| !heard.first_ns.contains_key(party)).count(),
        first_audio_ms: since(offered, &heard.first_ns),
        sent: offered.keys().filter_map(|party| sent.get(party)).map(|count| u64::from(*count)).sum(),
        heard: heard.rtp.iter().filter(|(party, _)| ours(party)).map(|(_, ear)| ear.heard).sum(),
        lost: heard
            .stamped
            .iter()
            .filter(|(party, _)| ours(party))
            .map(|(party, ear)| ear.lost(sent.get(party).copied()))
            .sum(),
        gaps: heard.rtp.iter().filter(|(party, _)| ours(party)).map(|(_, ear)| ear.lost(None)).sum(),
        misrouted: heard.misrouted,
        late,
        transit_ms: Spread::of_us(heard.transit_us),
    }
}
