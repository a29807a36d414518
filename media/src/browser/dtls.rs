//! The DTLS 1.2 server of one leg (RFC 6347, RFC 5764), around the handshake engine of `rtc-dtls`.
//!
//! The engine is shielded: it is handed whole handshake messages in order, records of the next epoch only once it can
//! open them, and nothing at all that a stranger could have written after the handshake. It does not exist before a
//! peer has returned our cookie: ICE has shown who receives at an address, not who sends in its name. What the engine
//! sends is kept here and repeated here, because a slow or lost repeat is what visitors notice. A panic inside it fails
//! its leg alone.

mod asleep;
mod engine;
mod flight;
mod handshake;
mod hello;
mod identity;
mod reassembly;
mod record;

use std::sync::Arc;
use std::time::{Duration, Instant};

use asleep::Asleep;
use engine::{Engine, EngineError};
use flight::Flight;
use handshake::Handshake;
use hello::Cookie;
pub use identity::{DtlsIdentity, IdentityError};
use reassembly::Reassembly;
use record::{Record, records};

use super::srtp::Profile;
use crate::api::SetupFailure;
use crate::outbox::{Outbox, Remote};
use crate::sdp::browser::Fingerprint;

/// A plain alert is believed when no handshake message followed it for so long: anyone could have sent it.
const ALERT_DOUBT: Duration = Duration::from_secs(2);
/// Encrypted handshake records handed to the engine, before and after the handshake, and the octets of each: a
/// Finished message has 48, and comes again when ours was lost.
const SEALED_LIMIT: u32 = 32;
const SEALED_SIZE: usize = 128;

/// `insufficient_security`: what a hello is refused with that has nothing in common with us.
const INSUFFICIENT_SECURITY: u8 = 71;

/// What happened in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DtlsEvent {
    /// The handshake is done.
    Keyed {
        profile: Profile,
        /// RFC 5764 section 4.2, for both directions.
        keying_material: Vec<u8>,
    },
    /// The handshake failed for good.
    Failed(SetupFailure),
    /// The peer said goodbye, authentically.
    Closed,
}

/// One leg's DTLS.
pub(super) struct Dtls {
    identity: Arc<DtlsIdentity>,
    fingerprints: Arc<[Fingerprint]>,
    stage: Stage,
    /// Fragments of ClientHello messages, first and second.
    hellos: [Reassembly; 2],
    cookie: Option<Cookie>,
    flight: Flight,
    /// Code of a plain fatal alert and when it is believed.
    alert: Option<(u8, Instant)>,
    /// A ClientHello had nothing in common with us, and no acceptable one came since.
    refused: bool,
    bad: u64,
}

enum Stage {
    /// No ClientHello with our cookie yet.
    Waiting,
    /// The peer reads what we send.
    Shaking(Box<Handshake>),
    /// Keys are in place; the peer may not know yet that they are.
    Connected { engine: Box<Engine>, sealed: u32 },
    /// The peer uses its keys.
    Settled(Asleep),
    /// Failed or closed.
    Over,
}

impl Dtls {
    /// A server that accepts these certificates. `secret` is known to us and the peer alone.
    pub(super) fn new(identity: &Arc<DtlsIdentity>, fingerprints: &[Fingerprint], secret: &str) -> Self {
        Self {
            identity: Arc::clone(identity),
            fingerprints: fingerprints.into(),
            stage: Stage::Waiting,
            hellos: [Reassembly::starting_at(0), Reassembly::starting_at(1)],
            cookie: hello::make_cookie(secret, &**identity.provider()),
            flight: Flight::default(),
            alert: None,
            refused: false,
            bad: 0,
        }
    }

    /// Records that could not be used, so far.
    pub(super) fn bad(&self) -> u64 {
        self.bad
    }

    /// Code of the alert with which the peer refused us, or we would have refused it.
    pub(super) fn last_alert(&self) -> Option<u8> {
        self.alert.map(|(code, _)| code).or(self.refused.then_some(INSUFFICIENT_SECURITY))
    }

    /// Takes a datagram that came from a validated pair. What is to be sent goes to `to`.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8], to: Remote, out: &mut Outbox) -> Option<DtlsEvent> {
        let mut event = None;
        let mut repeats = false;
        for record in records(datagram) {
            let taken = match record {
                Some(record) => self.take(now, record, to, out),
                None => Taken::Bad,
            };
            match taken {
                Taken::Used => {}
                Taken::Bad => self.bad = self.bad.saturating_add(1),
                Taken::Repeat => repeats = true,
                Taken::Event(e) => event = Some(e),
            }
        }
        if repeats && event.is_none() {
            self.flight.send_again(now, to, out);
        }
        event
    }

    /// The peer has keys, too: it has sent something with them.
    pub(super) fn peer_is_keyed(&mut self) {
        let Stage::Connected { engine, .. } = &self.stage else { return };
        // Without it the call goes on: the keys for the audio are elsewhere.
        self.stage = Asleep::new(engine, &self.identity).map_or(Stage::Over, Stage::Settled);
        self.flight.forget();
    }

    /// Repeats our flight, believes an alert.
    pub(super) fn handle_timeout(&mut self, now: Instant, to: Remote, out: &mut Outbox) -> Option<DtlsEvent> {
        if let Some((code, at)) = self.alert
            && now >= at
            && matches!(self.stage, Stage::Shaking(_))
        {
            self.stage = Stage::Over;
            self.flight.forget();
            return Some(DtlsEvent::Failed(SetupFailure::DtlsAlert(Some(code))));
        }
        self.flight.handle_timeout(now, to, out);
        None
    }

    pub(super) fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let repeat = self.flight.poll_timeout().map(|at| (at, "DTLS flight"));
        let shaking = matches!(self.stage, Stage::Shaking(_));
        let alert = self.alert.filter(|_| shaking).map(|(_, at)| (at, "DTLS alert"));
        repeat.into_iter().chain(alert).min_by_key(|(at, _)| *at)
    }

    /// Sends close_notify.
    pub(super) fn close(&mut self, now: Instant, to: Remote, out: &mut Outbox) {
        let last = std::mem::replace(&mut self.stage, Stage::Over);
        self.flight.forget();
        let goodbye = match last {
            Stage::Connected { engine, .. } => engine.close(now),
            Stage::Shaking(handshake) => handshake.engine.close(now),
            Stage::Settled(asleep) => asleep.close(now, &self.identity),
            Stage::Waiting | Stage::Over => return,
        };
        for datagram in goodbye {
            self.flight.send_once(datagram, to, out);
        }
    }

    fn take(&mut self, now: Instant, record: Record<'_>, to: Remote, out: &mut Outbox) -> Taken {
        match (&self.stage, record.epoch) {
            (Stage::Over, _) => Taken::Used,
            (Stage::Connected { .. } | Stage::Settled(_), 0) => Taken::Bad,
            (Stage::Connected { .. } | Stage::Settled(_), _) => self.take_sealed(now, record, to, out),
            (Stage::Waiting, 1..) => Taken::Bad,
            (Stage::Shaking(_), 1..) => self.hold_or_open(now, record, to, out),
            (Stage::Waiting | Stage::Shaking(_), 0) => match record.kind {
                record::HANDSHAKE => self.take_fragments(now, record.body, to, out),
                record::CHANGE_CIPHER_SPEC => self.take_cipher_change(now, record.body, to, out),
                record::ALERT => self.take_plain_alert(now, record.body),
                _ => Taken::Bad,
            },
        }
    }

    /// After the handshake only what is encrypted counts: alerts, and a Finished that comes again.
    fn take_sealed(&mut self, now: Instant, record: Record<'_>, to: Remote, out: &mut Outbox) -> Taken {
        if record.epoch != 1 || record.body.len() > SEALED_SIZE {
            return Taken::Bad;
        }
        let whole = record.whole.to_vec();
        let fed = match (&mut self.stage, record.kind) {
            (Stage::Connected { engine, sealed }, record::HANDSHAKE) if *sealed < SEALED_LIMIT => {
                *sealed += 1;
                engine.feed(now, whole)
            }
            (Stage::Connected { engine, .. }, record::ALERT) => engine.feed(now, whole),
            (Stage::Settled(asleep), record::ALERT) => asleep.feed(now, &self.identity, whole),
            _ => return Taken::Bad,
        };
        let fed = match fed {
            Ok(fed) => fed,
            Err(EngineError::Unusable | EngineError::Refused { .. }) => return Taken::Bad,
            Err(EngineError::Panicked) => {
                // The keys for the audio are elsewhere; the call goes on without DTLS.
                self.stage = Stage::Over;
                return Taken::Bad;
            }
        };
        if fed.datagrams.is_empty() {
            return Taken::Bad; // it did not open
        }
        for datagram in fed.datagrams {
            self.flight.send_once(datagram, to, out);
        }
        if fed.closed {
            self.stage = Stage::Over;
            self.flight.forget();
            return Taken::Event(DtlsEvent::Closed);
        }
        Taken::Used
    }

    fn take_plain_alert(&mut self, now: Instant, body: &[u8]) -> Taken {
        const FATAL: u8 = 2;
        const CLOSE_NOTIFY: u8 = 0;
        match (&self.stage, body) {
            (Stage::Shaking(_), &[FATAL, code] | &[_, code @ CLOSE_NOTIFY]) => {
                if self.alert.is_none() {
                    self.alert = Some((code, now + ALERT_DOUBT));
                }
                Taken::Used
            }
            _ => Taken::Bad,
        }
    }
}

/// What became of a record.
enum Taken {
    Used,
    Bad,
    /// The peer repeats itself: our answer was lost.
    Repeat,
    Event(DtlsEvent),
}

impl Taken {
    /// The weightier of two.
    fn or(self, other: Self) -> Self {
        let weight = |t: &Self| match t {
            Self::Used => 0,
            Self::Repeat => 1,
            Self::Bad => 2,
            Self::Event(_) => 3,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }
}
