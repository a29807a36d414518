//! Calls come, talk and go as planned, while the gateway is looked at once a second.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::file::Scenario;
use super::ground::{Ground, Scrape, voice};
use super::plan::Planned;
use super::tale::{Begun, Home, Sample, Tale};
use super::weather::Weather;
use crate::browser::{Browser, Kit};
use crate::browsers::{Answered, Handle};
use crate::client::{Client, Started};
use crate::gateway::Metrics;
use crate::lines::Line;
use crate::reactor::{Phase, wall_ns};
use crate::speech::Speech;
use crate::stream::Voice;

/// From the last hang-up to no call left.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the first, lone call lasts, and the rest after it.
const FIRST: Duration = Duration::from_secs(1);
/// Progress is told this often.
const TOLD: u64 = 5;
/// Digits are pressed this long after a call came about, if it lasts so long.
const PRESSED: Duration = Duration::from_millis(1_500);

/// How many calls there are, by what became of them.
#[derive(Default)]
struct Tally {
    begun: AtomicUsize,
    failed: AtomicUsize,
    over: AtomicUsize,
    /// All of them are over.
    all: AtomicBool,
}

/// All a call needs.
struct Stage {
    client: Client,
    browsers: Handle,
    kit: Kit,
    speech: Arc<Speech>,
    scenario: Scenario,
    epoch: Instant,
    tally: Tally,
    most: Arc<Semaphore>,
}

/// Plays the plan; the tale of it.
pub(super) async fn conduct(scenario: &Scenario, plan: &[Planned], ground: Ground, aloud: bool) -> Result<Tale> {
    let Ground { control, agent, browsers, client, kit, speech, epoch, own, scrape } = ground;
    let stage = Arc::new(Stage {
        client,
        browsers: browsers.handle.clone(),
        kit,
        speech,
        scenario: scenario.clone(),
        epoch,
        tally: Tally::default(),
        most: Arc::new(Semaphore::new(scenario.load.most)),
    });
    if own.is_some() {
        stage.warm_up(plan, scrape.as_ref()).await?;
    }
    let before = metrics(scrape.as_ref()).await?;
    let start = Instant::now();
    let watch = tokio::spawn(watch(start, Arc::clone(&stage), scrape.clone(), aloud));
    let started_ns = wall_ns();
    let mut calls = JoinSet::new();
    for planned in plan.iter().copied() {
        tokio::time::sleep_until((start + planned.at).into()).await;
        // Whoever comes beyond the most waits here, and all behind.
        let seat = Arc::clone(&stage.most).acquire_owned().await?;
        let stage = Arc::clone(&stage);
        calls.spawn(async move {
            let (begun, _seat) = (stage.call(planned).await, seat);
            begun.map_err(|error| (planned.party, format!("{error:#}")))
        });
    }
    let told = calls.join_all().await;
    stage.tally.all.store(true, Ordering::Relaxed);
    let after = settle(scrape.as_ref(), scenario.load.rest_seconds, aloud).await?;
    control.end();
    let home = Home {
        seconds: Instant::now().saturating_duration_since(start).as_secs_f64(),
        started_ns,
        samples: watch.await.unwrap_or_default(),
        before,
        after,
        browsers: browsers.join()?,
        agent: agent.join()?,
        log: own.as_ref().map(|gateway| gateway.log()).unwrap_or_default(),
        told,
    };
    if let Some(own) = own {
        own.stop().await?;
    }
    Ok(Tale::of(scenario, plan.len(), home))
}

impl Stage {
    /// One call that comes and goes, so that what every gateway has only once is there before it is looked at. What is wrong
    /// with it the others tell.
    async fn warm_up(&self, plan: &[Planned], scrape: Option<&Scrape>) -> Result<()> {
        let (Some(first), party) = (plan.first(), u32::try_from(plan.len())?) else { return Ok(()) };
        let _ = self.play(Planned { party, at: Duration::ZERO, hold: FIRST, ..*first }).await;
        let _ = self.browsers.remove(party);
        settle(scrape, FIRST.as_secs(), false).await.map(drop)
    }

    /// A call from its session to its end.
    async fn call(&self, planned: Planned) -> Result<Begun> {
        self.tally.begun.fetch_add(1, Ordering::Relaxed);
        let played = self.play(planned).await;
        let _ = self.browsers.remove(planned.party);
        self.tally.over.fetch_add(1, Ordering::Relaxed);
        if played.is_err() {
            self.tally.failed.fetch_add(1, Ordering::Relaxed);
        }
        played
    }

    async fn play(&self, planned: Planned) -> Result<Begun> {
        let begun = Begun { party: planned.party, offered_ns: wall_ns(), codec: planned.codec.name(), digits: 0 };
        let started = self.begin(planned).await?;
        let talk = async {
            let digits = &self.scenario.load.dtmf;
            let pressed = if digits.is_empty() || planned.hold < 2 * PRESSED { 0 } else { digits.len() };
            if pressed > 0 {
                tokio::time::sleep(PRESSED).await;
                self.client.press(&started, digits).await?;
            }
            let rest = if pressed > 0 { planned.hold.saturating_sub(PRESSED) } else { planned.hold };
            tokio::time::sleep(rest).await;
            anyhow::Ok(pressed)
        };
        let talked = talk.await;
        self.client.hang_up(&started).await.context("hanging up")?;
        Ok(Begun { digits: talked?, ..begun })
    }

    async fn begin(&self, planned: Planned) -> Result<Started> {
        let Planned { party, codec, .. } = planned;
        let token = self.client.session(party).await?;
        let socket = Line::socket_at(self.scenario.agent.listen.ip())?;
        let address = socket.local_addr()?;
        let (mut browser, offer) = Browser::new(Instant::now(), &self.kit, address, &[codec])?;
        let started = self.client.call(token, offer).await?;
        browser.accept(&started.answer)?;
        let (content, format) = voice(codec, self.scenario.agent_codec()?, &self.speech);
        let nth = party as usize % self.scenario.load.most;
        self.browsers.add(Answered {
            party,
            browser,
            socket,
            voice: Voice::new(party, content, format),
            phase: Phase::new(self.epoch, nth, self.scenario.load.most, false),
            weather: Weather::new(self.scenario.network, self.scenario.seed ^ u64::from(party)),
        })?;
        Ok(started)
    }
}

/// Looks at the gateway once a second, for ever.
async fn watch(start: Instant, stage: Arc<Stage>, scrape: Option<Scrape>, aloud: bool) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let Tally { begun, failed, over, all } = &stage.tally;
    // No scenario is longer than a day.
    for second in 0..86_400 {
        tick.tick().await;
        let metrics = metrics(scrape.as_ref()).await.unwrap_or_default();
        let [begun, failed, over] = [begun, failed, over].map(|count| count.load(Ordering::Relaxed));
        let at = Instant::now().saturating_duration_since(start).as_secs_f64();
        let sample = Sample::of(at, begun, failed, begun.saturating_sub(over), metrics.as_ref());
        if aloud && second % TOLD == 0 {
            let _ = writeln!(std::io::stderr(), "{}", sample.line());
        }
        samples.push(sample);
        if all.load(Ordering::Relaxed) {
            break;
        }
    }
    samples
}

async fn metrics(scrape: Option<&Scrape>) -> Result<Option<Metrics>> {
    match scrape {
        Some(scrape) => scrape.read().await.context("the gateway's metrics").map(Some),
        None => Ok(None),
    }
}

/// Waits until no call is left, and then for what comes back after; the last metrics.
async fn settle(scrape: Option<&Scrape>, rest: u64, aloud: bool) -> Result<Option<Metrics>> {
    let Some(scrape) = scrape else { return Ok(None) };
    let start = Instant::now();
    let since = || Instant::now().saturating_duration_since(start);
    while since() < PATIENCE && scrape.read().await?.get("trunkline_calls") > 0.0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if aloud {
        writeln!(std::io::stderr(), "the last call is over; {rest} s for what comes back")?;
    }
    tokio::time::sleep(Duration::from_secs(rest)).await;
    scrape.read().await.map(Some)
}
