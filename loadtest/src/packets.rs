//! Calls' media in process, without sockets: what a packet costs in time and in allocations. One call finds all it
//! touches in the caches; of many, as in a gateway, each finds what the others have left it.
#![allow(clippy::disallowed_methods)] // The edge: the work is timed; the call itself is told a time of its own.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use trunkline_media::api::{CallKey, Command, Limits, MediaEvent, OpenCall, Path};
use trunkline_media::audio::Codec;
use trunkline_media::browser::transport::DtlsIdentity;
use trunkline_media::call::{Call, Surroundings};
use trunkline_media::outbox::{Outbox, Port};
use trunkline_media::quality::Policy;
use trunkline_media::rtp::PayloadType;
use trunkline_media::sdp::browser::Offer;
use trunkline_media::sdp::trunk::TrunkMedia;

use crate::allocations;
use crate::browser::{Browser, Kit, Out};
use crate::reactor::PACKET_TIME;
use crate::row::Row;
use crate::speech::Speech;
use crate::stream::Voice;
use crate::trunk;

/// Before the steady state: buffers grow, the jitter buffer settles.
const WARM_UP: usize = 500;

/// Packet times of a second: what a call does once a second is in each block of so many.
const SECOND: usize = 50;

/// Runs each row for so many packet times and prints what a packet cost, and what measuring adds to it.
pub(crate) fn run(packet_times: usize, calls: usize, rows: &[Row]) -> Result<()> {
    let speech = Speech::new()?;
    let mut out = std::io::stdout().lock();
    let mut costs = Vec::new();
    for &row in rows {
        let mut worlds = (0..calls).map(|_| World::connected(row, &speech)).collect::<Result<Vec<_>>>()?;
        talk(&mut worlds, WARM_UP)?;
        let spent = talk(&mut worlds, packet_times)?;
        ensure!(spent.to_trunk > 0 && spent.to_browser > 0, "{row:?}: nothing comes through");
        let packets = (2 * packet_times * calls) as f64;
        let name = format!("{row:?}").to_lowercase();
        let (ns, allocations) = (usual(&spent.ns) / (2 * calls) as f64, spent.allocations as f64 / packets);
        costs.push((row, ns));
        let (up, down) = (spent.to_trunk, spent.to_browser);
        writeln!(
            out,
            "{name:<11} {ns:>8.0} ns a packet {allocations:>8.3} allocations a packet ({up} up, {down} down)"
        )?;
    }
    let of = |row| costs.iter().find(|(of, _)| *of == row).map(|(_, ns)| *ns);
    if let (Some(off), Some(on)) = (of(Row::Unmeasured), of(Row::Relay)) {
        // A hundred packets a second, two ways.
        let us = (on - off) * 100.0 / 1000.0;
        writeln!(out, "quality and diagnosis add {us:+.1} us a second to a relayed call's media ({:.2} x)", on / off)?;
    }
    Ok(())
}

/// What a stretch of time came to.
#[derive(Default)]
struct Spent {
    /// Nanoseconds of each packet time.
    ns: Vec<u32>,
    allocations: u64,
    to_trunk: usize,
    to_browser: usize,
}

/// The mean of a packet time in the faster half of the seconds; in the others the machine did something else, too.
fn usual(ns: &[u32]) -> f64 {
    let mut seconds: Vec<u64> = ns.chunks(SECOND).map(|second| second.iter().map(|ns| u64::from(*ns)).sum()).collect();
    seconds.sort_unstable();
    seconds.truncate(seconds.len().div_ceil(2));
    seconds.iter().sum::<u64>() as f64 / (seconds.len().max(1) * SECOND) as f64
}

struct World {
    now: Instant,
    call: Call,
    browser: Browser,
    voices: [Voice; 2],
    row: Row,
    out: Outbox,
    /// Datagrams of the browser that are under way to the call.
    under_way: Vec<Vec<u8>>,
    /// The phone's packet.
    rtp: Vec<u8>,
    dtls_is_up: bool,
}

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], port))
}

impl World {
    fn connected(row: Row, speech: &Speech) -> Result<Self> {
        let mut world = Self::new(row, speech)?;
        world.connect()?;
        Ok(world)
    }

    fn new(row: Row, speech: &Speech) -> Result<Self> {
        let now = Instant::now();
        let (mut browser, offer) = Browser::new(now, &Kit::new()?, at(1, 50_000), row.offered())?;
        let surroundings = Surroundings {
            identity: Arc::new(DtlsIdentity::generate()?),
            candidates: Arc::from([format!("candidate:1 1 udp 2130706431 {} {} typ host", at(2, 0).ip(), 4_443)]),
            wall: Duration::from_secs(1_800_000_000),
            wall_at: now,
            policy: Policy { measure: row.is_measured(), listen: row.is_measured(), ..Policy::default() },
        };
        let second = Duration::from_secs(1);
        let open = OpenCall {
            key: CallKey(1),
            offer: Offer::parse(offer.as_bytes()).ok().context("the offer does not parse")?,
            codecs: vec![Codec::Opus, Codec::Pcmu],
            prefer: row.offered().first().copied(),
            playback_rate: Codec::Opus.playback_rate(),
            limits: Limits { setup: 20 * second, inactivity: 20 * second, grace: 30 * second },
            seed: [7; 32],
        };
        let (call, opened) = Call::open(now, &open, &surroundings)?;
        browser.accept(&opened.answer)?;
        let ((up, up_format), (down, down_format)) = (row.browser_says(speech), row.agent_says(speech));
        let voices = [Voice::new(0, up, up_format), Voice::new(0, down, down_format)];
        let (out, under_way, rtp) = (Outbox::new(), Vec::new(), Vec::new());
        Ok(Self { now, call, browser, voices, row, out, under_way, rtp, dtls_is_up: false })
    }

    fn connect(&mut self) -> Result<()> {
        for _ in 0..500 {
            self.now += Duration::from_millis(5);
            self.browser.handle_timeout(self.now)?;
            self.drain_browser()?;
            self.exchange()?;
            if self.dtls_is_up && self.browser.is_connected() {
                self.call.attach_trunk(self.now, at(2, 20_000));
                let telephone_event = Some((PayloadType(101), 8_000));
                let media = TrunkMedia { telephone_event, ..trunk::plain(at(3, 30_000), Codec::Pcmu, 0) };
                self.call.handle_command(self.now, Command::ConnectTrunk(media), &mut self.out);
                let audio = Command::SetAudio { elastic: self.row == Row::Elastic, on_arrival: false };
                self.call.handle_command(self.now, audio, &mut self.out);
                self.call.handle_command(self.now, Command::Answered, &mut self.out);
                self.out.clear();
                return Ok(());
            }
        }
        anyhow::bail!("{:?}: no connection", self.row)
    }

    /// Carries what is under way until nothing is.
    fn exchange(&mut self) -> Result<()> {
        while !self.under_way.is_empty() {
            for mut datagram in std::mem::take(&mut self.under_way) {
                self.call.handle_browser(self.now, Path::Udp, at(1, 50_000), &mut datagram, &mut self.out);
            }
            self.call_due();
            self.answer_browser()?;
        }
        self.call_due();
        self.answer_browser()
    }

    fn call_due(&mut self) {
        while self.call.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.call.handle_timeout(self.now, &mut self.out);
        }
        while let Some(event) = self.call.poll_event() {
            self.dtls_is_up |= matches!(event, MediaEvent::DtlsConnected { .. });
        }
    }

    fn answer_browser(&mut self) -> Result<()> {
        for datagram in self.out.iter().filter(|datagram| datagram.port == Port::Browser) {
            self.browser.handle_datagram(self.now, at(2, 4_443), datagram.bytes)?;
            while let Out::Send(_, bytes) = settle(&mut self.browser)? {
                self.under_way.push(bytes);
            }
        }
        self.out.clear();
        Ok(())
    }

    fn drain_browser(&mut self) -> Result<()> {
        while let Out::Send(_, bytes) = settle(&mut self.browser)? {
            self.under_way.push(bytes);
        }
        Ok(())
    }

    /// A packet time passes, and both sides say something.
    fn say(&mut self) -> Result<()> {
        self.now += PACKET_TIME;
        let [up, down] = &mut self.voices;
        self.browser.say(self.now, 0, up);
        self.browser.handle_timeout(self.now)?;
        self.rtp.clear();
        down.write_rtp(0, &mut self.rtp);
        self.drain_browser()
    }

    /// What was said comes to the call.
    fn carry(&mut self) {
        for datagram in &mut self.under_way {
            self.call.handle_browser(self.now, Path::Udp, at(1, 50_000), datagram, &mut self.out);
            // As whoever keeps the call asks after each.
            std::hint::black_box((self.call.poll_event(), self.call.poll_timeout()));
        }
        self.call.handle_trunk_rtp(self.now, at(3, 30_000), &self.rtp, &mut self.out);
        self.call_due();
    }

    /// How many datagrams the call has sent to this port.
    fn sent(&self, port: Port) -> usize {
        self.out.iter().filter(|datagram| datagram.port == port).count()
    }

    /// What the call has sent comes to the browser.
    fn hear(&mut self) -> Result<()> {
        self.under_way.clear();
        self.answer_browser()
    }
}

/// All sides talk for so many packet times. Only the calls' own work is counted.
fn talk(worlds: &mut [World], packet_times: usize) -> Result<Spent> {
    let mut spent = Spent::default();
    for _ in 0..packet_times {
        worlds.iter_mut().try_for_each(World::say)?;
        let (allocated, started) = (allocations::count(), Instant::now());
        worlds.iter_mut().for_each(World::carry);
        let took = Instant::now().saturating_duration_since(started);
        spent.ns.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        spent.allocations += allocations::count() - allocated;
        for world in worlds.iter_mut() {
            spent.to_trunk += world.sent(Port::TrunkRtp);
            spent.to_browser += world.sent(Port::Browser);
            world.hear()?;
        }
    }
    Ok(spent)
}

/// The next datagram a browser wants sent, or that it waits.
fn settle(browser: &mut Browser) -> Result<Out> {
    loop {
        match browser.poll()? {
            out @ (Out::Send(..) | Out::Wait(_)) => return Ok(out),
            Out::Connected | Out::Audio(_) => {}
            Out::Gone => anyhow::bail!("the browser's connection is gone"),
        }
    }
}
