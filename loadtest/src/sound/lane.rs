//! One call in process and virtual time, along which speech goes one way over an impaired network of the browser's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use str0m::rtp::RtpPacket;
use trunkline_media::api::{CallKey, Command, Limits, MediaEvent, OpenCall, Path as Over};
use trunkline_media::audio::Codec;
use trunkline_media::browser::transport::DtlsIdentity;
use trunkline_media::call::{Call, Surroundings};
use trunkline_media::outbox::{Outbox, Port};
use trunkline_media::quality::Policy;
use trunkline_media::rtp::PayloadType;
use trunkline_media::rtp::red::Red;
use trunkline_media::sdp::browser::Offer;

use super::asked::Asked;
use super::listener::Listener;
use super::network::{Impairment, Link};
use super::paths::{Path, Way};
use crate::browser::{Browser, Kit, Out};
use crate::row::{OPUS, RED};
use crate::stream::{Content, Format, Voice};
use crate::trunk;

/// A call and both its ends.
pub(super) struct Lane {
    now: Instant,
    call: Call,
    browser: Browser,
    path: Path,
    /// What the browser was asked for.
    pub(super) asked: Asked,
    out: Outbox,
    /// To and from the browser; only one way is impaired.
    up: Link,
    down: Link,
    seed: u64,
    is_up: bool,
    listeners: Vec<(u8, Listener)>,
}

const STEP: Duration = Duration::from_millis(1);
const PACKET: u64 = 20;

fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], port))
}

pub(super) fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => OPUS,
        Codec::G722 => 9,
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
    }
}

impl Lane {
    pub(super) fn open(path: Path, identity: &Arc<DtlsIdentity>, kit: &Kit, seed: u64) -> Result<Self> {
        let now = Instant::now();
        let offering = if path.red { Browser::redundant } else { Browser::new };
        let (mut browser, offer) = offering(now, kit, at(1, 50_000), path.offered)?;
        let mut offer = Offer::parse(offer.as_bytes()).ok().context("the offer does not parse")?;
        offer.redundancy = path.red.then_some(PayloadType(RED));
        let surroundings = Surroundings {
            identity: Arc::clone(identity),
            candidates: Arc::from([format!("candidate:1 1 udp 2130706431 {} {} typ host", at(2, 0).ip(), 4_443)]),
            wall: Duration::from_secs(1_800_000_000),
            wall_at: now,
            policy: Policy::default(),
        };
        let second = Duration::from_secs(1);
        let open = OpenCall {
            key: CallKey(1),
            offer,
            codecs: path.offered.to_vec(),
            prefer: path.offered.first().copied(),
            playback_rate: path.trunk.playback_rate(),
            limits: Limits { setup: 20 * second, inactivity: 600 * second, grace: 30 * second },
            seed: [7; 32],
        };
        let (mut call, opened) = Call::open(now, &open, &surroundings)?;
        call.permit_complexity(path.complexity);
        browser.accept(&opened.answer)?;
        let (up, down) = (Link::new(Impairment::NONE, 1), Link::new(Impairment::NONE, 2));
        let out = Outbox::new();
        let asked = Asked::by(&opened.answer);
        let mut lane =
            Self { now, call, browser, path, asked, out, up, down, seed, is_up: false, listeners: Vec::new() };
        lane.connect()?;
        Ok(lane)
    }

    /// Says these packets over an impaired network, and what was heard of them, from the first to a second after the last.
    pub(super) fn run(mut self, spoken: Arc<[Vec<u8>]>, impairment: Impairment) -> Result<Vec<i16>> {
        match self.path.way {
            Way::Up => self.up = Link::new(impairment, self.seed),
            Way::Down => self.down = Link::new(impairment, self.seed),
        }
        let (codec, heard_in) = match self.path.way {
            Way::Up => (self.path.browser(), vec![self.path.trunk]),
            Way::Down => (self.path.trunk, self.path.offered.to_vec()),
        };
        let count = spoken.len() as u64;
        let number = if self.asked.twice && self.path.way == Way::Up { RED } else { payload_type(codec) };
        let format = Format { payload_type: number, ticks: codec.clock_rate() / 50 };
        let mut voice = Voice::new(0, Content::Speech(spoken), format);
        for codec in heard_in {
            self.listeners.push((payload_type(codec), Listener::new(self.now, codec, self.path.rate, true)?));
        }
        let mut rtp = Vec::new();
        for ms in 0..(count + 50) * PACKET {
            if ms % PACKET == 0 && ms / PACKET < count {
                rtp.clear();
                match self.path.way {
                    Way::Up => self.browser.say(self.now, 0, &mut voice),
                    Way::Down => {
                        voice.write_rtp(0, &mut rtp);
                        self.call.handle_trunk_rtp(self.now, at(3, 30_000), &rtp, &mut self.out);
                    }
                }
            }
            self.step()?;
        }
        Ok(mixed(self.listeners))
    }

    fn connect(&mut self) -> Result<()> {
        for _ in 0..2_000 {
            self.step()?;
            if self.is_up && self.browser.is_connected() {
                self.call.attach_trunk(self.now, at(2, 20_000));
                let codec = self.path.trunk;
                let media = trunk::plain(at(3, 30_000), codec, payload_type(codec));
                let audio = Command::SetAudio { elastic: self.path.elastic, on_arrival: self.path.on_arrival };
                for command in [Command::ConnectTrunk(media), audio, Command::Answered] {
                    self.call.handle_command(self.now, command, &mut self.out);
                }
                return Ok(());
            }
        }
        anyhow::bail!("no connection")
    }

    /// A millisecond passes.
    fn step(&mut self) -> Result<()> {
        self.now += STEP;
        self.browser.handle_timeout(self.now)?;
        self.drain_browser()?;
        while let Some(mut datagram) = self.up.receive(self.now) {
            self.call.handle_browser(self.now, Over::Udp, at(1, 50_000), &mut datagram, &mut self.out);
        }
        while self.call.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.call.handle_timeout(self.now, &mut self.out);
        }
        while let Some(event) = self.call.poll_event() {
            self.is_up |= matches!(event, MediaEvent::DtlsConnected { .. });
        }
        for datagram in self.out.iter() {
            match datagram.port {
                Port::Browser => carry(&mut self.down, self.now, datagram.bytes.to_vec()),
                Port::TrunkRtp if self.path.way == Way::Up => {
                    self.listeners.iter_mut().for_each(|(_, ear)| ear.push(self.now, datagram.bytes));
                }
                Port::TrunkRtp | Port::TrunkRtcp | Port::BrowserTcp => {}
            }
        }
        self.out.clear();
        while let Some(datagram) = self.down.receive(self.now) {
            self.browser.handle_datagram(self.now, at(2, 4_443), &datagram)?;
            self.drain_browser()?;
        }
        self.listeners.iter_mut().for_each(|(_, ear)| ear.play(self.now));
        Ok(())
    }

    /// The browser has heard this.
    fn hear(&mut self, packet: &RtpPacket) {
        let (sequence, timestamp, number) =
            (packet.header.sequence_number, packet.header.timestamp, *packet.header.payload_type);
        let red = Red::parse(&packet.payload).filter(|_| number == RED);
        let (number, payload) =
            red.map_or((number, &*packet.payload), |Red { primary: (pt, payload), .. }| (pt.0, payload));
        let Some((_, ear)) = self.listeners.iter_mut().find(|(pt, _)| *pt == number) else { return };
        ear.packet(self.now, sequence, timestamp, payload);
        for earlier in red.iter().flat_map(Red::earlier) {
            ear.recover(earlier.ago, timestamp.wrapping_sub(earlier.offset), earlier.payload);
        }
    }

    fn drain_browser(&mut self) -> Result<()> {
        loop {
            match self.browser.poll()? {
                Out::Send(_, bytes) => carry(&mut self.up, self.now, bytes),
                Out::Audio(packet) => self.hear(&packet),
                Out::Connected => {}
                Out::Wait(_) => return Ok(()),
                Out::Gone => anyhow::bail!("the browser's connection is gone"),
            }
        }
    }
}

/// Audio is lost by a chance of its own.
fn carry(link: &mut Link, now: Instant, datagram: Vec<u8>) {
    // RFC 7983 section 7, RFC 5761 section 4.
    match datagram.as_slice() {
        [128..=191, second, ..] if !(192..=223).contains(second) => link.send(now, datagram),
        _ => link.send_other(now, datagram),
    }
}

/// What all of them heard together: while one codec comes, the listeners of the others are silent.
fn mixed(listeners: Vec<(u8, Listener)>) -> Vec<i16> {
    let mut all: Vec<i16> = Vec::new();
    for (_, listener) in listeners {
        all.resize(all.len().max(listener.heard.len()), 0);
        all.iter_mut().zip(listener.heard).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }
    all
}
