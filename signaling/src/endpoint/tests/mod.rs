//! Two endpoints, or one and a peer made by hand, in virtual time over a link that loses datagrams from a seed.

mod admission;
mod asking;
mod auth;
mod calls;
mod delayed;
mod digits;
mod early;
mod forks;
mod hostile;
mod ladder;
mod large;
mod lone;
mod loss;
mod lost;
mod modify;
mod nat;
mod oracle;
mod pings;
mod prack;
mod races;
mod redirects;
mod replacing;
mod requests;
mod seeds;
mod session_timers;
mod streams;
mod strict;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::lone::Lone;
use super::*;
use crate::message::{Headers, Message, Request, Response, Uri, parse};

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const OFFER: &str = "v=0\r\no=a offer\r\n";
pub(super) const ANSWER: &str = "v=0\r\no=b answer\r\n";

pub(super) const TIMERS: Timers =
    Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };

pub(super) fn address(side: usize) -> SocketAddr {
    if side == A { "198.51.100.1:5060" } else { "203.0.113.2:5080" }.parse().unwrap()
}

pub(super) fn config(side: usize) -> EndpointConfig {
    EndpointConfig {
        advertised: address(side),
        domain: "example.com".into(),
        user_agent: "Trunkline test".into(),
        accepts_calls: true,
        timers: TIMERS,
        max_transactions: 1000,
        trace: false,
        snapshots: None,
    }
}

pub(super) fn call(target: SocketAddr) -> Invite {
    Invite {
        target,
        over: Transport::Udp,
        uri: Uri::parse(&Bytes::from(format!("sip:agent@{target}"))).unwrap(),
        from_user: "visitor 7".into(),
        from_display: Some("Ann \"A\" Visitor".into()),
        headers: Headers::default(),
        sdp: Bytes::from_static(OFFER.as_bytes()),
        credentials: None,
        session_expires: 0,
        reliable: Reliable::Off,
        anonymous: false,
        label: "trunk a".into(),
    }
}

/// Datagrams of `side` that begin so and have such a CSeq method are lost, as often as `times` says.
pub(super) struct Loss {
    pub(super) side: usize,
    pub(super) start: &'static str,
    pub(super) method: &'static str,
    pub(super) times: u32,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) ends: [Endpoint; 2],
    pub(super) events: [Vec<Event>; 2],
    /// What was sent: when, by whom, what.
    pub(super) log: Vec<(Instant, usize, Bytes)>,
    pub(super) losses: Vec<Loss>,
    /// Of a thousand datagrams, how many are lost.
    pub(super) loss_permille: u32,
    pub(super) latency_ms: std::ops::Range<u64>,
    pub(super) rng: StdRng,
    wire: BTreeMap<(Instant, u64), (usize, Bytes)>,
    sent: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut seeds = [[0; 32], [1; 32]];
        for bytes in &mut seeds {
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
        }
        // An hour ahead: whatever asks the real clock is found out.
        #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
        let now = Instant::now() + Duration::from_secs(3600);
        Self {
            now,
            ends: [Endpoint::new(config(A), seeds[A]), Endpoint::new(config(B), seeds[B])],
            events: [Vec::new(), Vec::new()],
            log: Vec::new(),
            losses: Vec::new(),
            loss_permille: 0,
            latency_ms: 20..21,
            rng: StdRng::seed_from_u64(seed),
            wire: BTreeMap::new(),
            sent: 0,
        }
    }

    pub(super) fn lose(&mut self, side: usize, start: &'static str, method: &'static str, times: u32) {
        self.losses.push(Loss { side, start, method, times });
    }

    pub(super) fn call(&mut self) -> LegId {
        self.ends[A].invite(self.now, call(address(B))).unwrap()
    }

    /// Lets time pass; `react` sees each event.
    pub(super) fn run(&mut self, time: Duration, mut react: impl FnMut(&mut Endpoint, Instant, usize, &Event)) {
        let end = self.now + time;
        let mut steps = 0;
        loop {
            self.drain(&mut react);
            let next = [self.wire.first_key_value().map(|((at, _), _)| *at)]
                .into_iter()
                .chain(self.ends.iter().map(|end| end.poll_timeout().map(|(at, _)| at)))
                .flatten()
                .min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (from, bytes) = entry.remove();
                self.ends[1 - from].handle_datagram(self.now, address(from), bytes);
            }
            for end in &mut self.ends {
                end.handle_timeout(self.now);
                assert!(end.poll_timeout().is_none_or(|(at, _)| at > self.now), "it spins");
            }
            steps += 1;
            assert!(steps < 100_000, "no end");
        }
        self.now = end;
    }

    pub(super) fn rest(&mut self, time: Duration) {
        self.run(time, |_, _, _, _| {});
    }

    fn drain(&mut self, react: &mut impl FnMut(&mut Endpoint, Instant, usize, &Event)) {
        for side in [A, B] {
            while let Some(event) = self.ends[side].poll_event() {
                react(&mut self.ends[side], self.now, side, &event);
                if !is_trying(&event) {
                    self.events[side].push(event);
                }
            }
        }
        for side in [A, B] {
            while let Some(transmit) = self.ends[side].poll_transmit() {
                assert_eq!(transmit.to, address(1 - side), "sent to a stranger");
                oracle::assert_read_alike(&transmit.bytes);
                self.log.push((self.now, side, transmit.bytes.clone()));
                if self.is_lost(side, &transmit.bytes) {
                    continue;
                }
                let delay = self.latency_ms.start + self.rng.next_u64() % (self.latency_ms.end - self.latency_ms.start);
                self.sent += 1;
                let key = (self.now + Duration::from_millis(delay), self.sent);
                self.wire.insert(key, (side, transmit.bytes));
            }
        }
    }

    fn is_lost(&mut self, side: usize, bytes: &Bytes) -> bool {
        let text = String::from_utf8_lossy(bytes);
        let rule = self.losses.iter_mut().find(|loss| {
            loss.times > 0 && loss.side == side && text.starts_with(loss.start) && cseq_method(&text) == loss.method
        });
        if let Some(rule) = rule {
            rule.times -= 1;
            return true;
        }
        self.rng.next_u32() % 1000 < self.loss_permille
    }

    /// Times since `start` at which `side` sent something that begins so.
    pub(super) fn sent_ms(&self, start: Instant, side: usize, prefix: &str) -> Vec<u128> {
        let of_side = self
            .log
            .iter()
            .filter(|(at, sender, bytes)| *at >= start && *sender == side && bytes.starts_with(prefix.as_bytes()));
        of_side.map(|(at, _, _)| (*at - start).as_millis()).collect()
    }

    pub(super) fn assert_empty(&self) {
        for (side, end) in self.ends.iter().enumerate() {
            let stats = end.stats();
            assert_eq!((stats.legs, stats.transactions), (0, 0), "side {side} keeps something");
            assert_eq!(end.poll_timeout(), None, "side {side} waits for something");
        }
    }

    pub(super) fn names(&self, side: usize) -> Vec<String> {
        self.events[side].iter().map(name).collect()
    }
}

pub(super) fn cseq_method(text: &str) -> &str {
    let line = text.lines().find(|line| line.starts_with("CSeq:")).unwrap_or_default();
    line.split_whitespace().nth(2).unwrap_or_default()
}

/// An event in a word, for lists.
pub(super) fn name(event: &Event) -> String {
    match event {
        Event::Provisional { status, .. } => format!("provisional {status}"),
        Event::Answered { .. } => "answered".into(),
        Event::Failed { failure: Failure::Rejected { status, .. }, .. } => format!("rejected {status}"),
        Event::Failed { failure: Failure::Redirected { contacts, .. }, .. } => format!("redirected {}", contacts.len()),
        Event::Failed { failure, .. } => format!("failed {failure:?}"),
        Event::Offer { sdp, .. } => if sdp.is_some() { "offer" } else { "offer wanted" }.into(),
        Event::OfferAnswered { result, .. } => match result {
            Ok(_) => "offer answered".into(),
            Err(status) => format!("offer refused {status}"),
        },
        Event::Ended { reason, .. } => match reason {
            Some(reason) => format!("ended {reason}"),
            None => "ended".into(),
        },
        Event::Lost { status, .. } => format!("lost {status:?}"),
        Event::SessionExpired { interval, refresher_is_us, .. } => {
            format!("expired {} {}", interval.as_secs(), if *refresher_is_us { "ours" } else { "theirs" })
        }
        Event::Incoming { .. } => "incoming".into(),
        Event::Confirmed { .. } => "confirmed".into(),
        Event::Cancelled { reason, .. } => match reason {
            Some(reason) => format!("cancelled {reason}"),
            None => "cancelled".into(),
        },
        Event::Pinged { result: Ok((status, after)), .. } => format!("pinged {status} {}", after.as_millis()),
        Event::Pinged { result: Err(failure), .. } => format!("ping failed {failure:?}"),
        Event::Replied { result: Ok(response), .. } => format!("replied {}", response.status),
        Event::Replied { result: Err(failure), .. } => format!("no reply {failure:?}"),
        Event::Digit { digit, duration, .. } => format!("digit {digit} {:?}", duration.map(|time| time.as_millis())),
        Event::DigitsSent { .. } => "digits sent".into(),
        Event::DigitsRefused { status, digits, .. } => {
            format!("digits refused {status:?} {}", digits.iter().map(|(digit, _)| *digit).collect::<String>())
        }
        Event::Trying { .. } => "trying".into(),
        Event::Snapshot { .. } => "snapshot".into(),
        Event::Transfer { transfer, .. } => transferred(transfer),
        Event::Traced { .. } => "traced".into(),
    }
}

/// A 100 comes or does not, as the peer's haste has it.
pub(super) fn is_trying(event: &Event) -> bool {
    matches!(event, Event::Trying { .. })
}

/// Whether it is the last of its leg.
pub(super) fn is_end(event: &Event) -> bool {
    let name = name(event);
    ["rejected", "failed", "ended", "lost", "expired", "cancelled"].iter().any(|end| name.starts_with(end))
}

fn transferred(transfer: &Transfer) -> String {
    match transfer {
        Transfer::Accepted { watched } => if *watched { "refer accepted" } else { "refer accepted unwatched" }.into(),
        Transfer::Progress(status) => format!("refer progress {status}"),
        Transfer::Refused(status) => format!("refer refused {status:?}"),
        Transfer::Untold => "refer untold".into(),
        Transfer::Asked(asked) => format!("asked for {}", asked.to),
        Transfer::Replaced { .. } => "replaced".into(),
    }
}

pub(super) fn leg_of(event: &Event) -> LegId {
    match event {
        Event::Trying { leg }
        | Event::Provisional { leg, .. }
        | Event::Answered { leg, .. }
        | Event::Failed { leg, .. }
        | Event::Offer { leg, .. }
        | Event::OfferAnswered { leg, .. }
        | Event::Ended { leg, .. }
        | Event::Lost { leg, .. }
        | Event::SessionExpired { leg, .. }
        | Event::Incoming { leg, .. }
        | Event::Confirmed { leg, .. }
        | Event::Cancelled { leg, .. }
        | Event::Pinged { leg, .. }
        | Event::Replied { leg, .. }
        | Event::Digit { leg, .. }
        | Event::DigitsSent { leg }
        | Event::DigitsRefused { leg, .. }
        | Event::Snapshot { leg, .. }
        | Event::Transfer { leg, .. }
        | Event::Traced { leg, .. } => *leg,
    }
}

pub(super) fn answer() -> Bytes {
    Bytes::from_static(ANSWER.as_bytes())
}

/// Rings, answers calls and offers at once.
pub(super) fn obliging(end: &mut Endpoint, now: Instant, _side: usize, event: &Event) {
    match event {
        Event::Incoming { leg, .. } => {
            end.ring(now, *leg, 180, None).unwrap();
            end.accept(now, *leg, answer()).unwrap();
        }
        Event::Offer { leg, .. } => end.answer_offer(now, *leg, Ok(answer())).unwrap(),
        Event::Trying { .. }
        | Event::Provisional { .. }
        | Event::Answered { .. }
        | Event::Failed { .. }
        | Event::OfferAnswered { .. }
        | Event::Ended { .. }
        | Event::Lost { .. }
        | Event::SessionExpired { .. }
        | Event::Confirmed { .. }
        | Event::Cancelled { .. }
        | Event::Pinged { .. }
        | Event::Replied { .. }
        | Event::Digit { .. }
        | Event::DigitsSent { .. }
        | Event::DigitsRefused { .. }
        | Event::Snapshot { .. }
        | Event::Transfer { .. }
        | Event::Traced { .. } => {}
    }
}

/// A world with a call up on both sides.
pub(super) fn talking(seed: u64) -> (World, LegId, LegId) {
    let mut world = World::new(seed);
    let caller = world.call();
    world.run(secs(1), obliging);
    assert_eq!(world.names(A), ["provisional 180", "answered"]);
    assert_eq!(world.names(B), ["incoming", "confirmed"]);
    let callee = leg_of(&world.events[B][0]);
    world.events = [Vec::new(), Vec::new()];
    (world, caller, callee)
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}
