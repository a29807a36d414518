//! The DTLS 1.2 server of one leg (RFC 6347, RFC 5764), around the handshake engine of `rtc-dtls`.
//!
//! The engine is shielded: it is handed whole handshake messages in order, records of the next epoch only once it can
//! open them, and nothing at all that a stranger could have written after the handshake. What it sends is kept here and
//! repeated here, because a slow or lost repeat is what visitors notice. A panic inside it fails its leg alone.

mod engine;
mod hello;
mod identity;
mod reassembly;
mod record;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Engine, Fed};
use hello::ClientHello;
pub use identity::{DtlsIdentity, IdentityError};
use reassembly::{Fragment, Message, Pushed, Reassembly, fragments};
use record::{Record, records};

use super::srtp::Profile;
use crate::api::SetupFailure;
use crate::outbox::{Outbox, Port};
use crate::sdp::browser::Fingerprint;

/// The first repeat of our flight comes after this; a common round trip is shorter.
const FIRST_REPEAT: Duration = Duration::from_millis(150);
/// Repeats never come more slowly than this. RFC 6347 section 4.2.4.1 would go to 60 s; a visitor is gone by then.
const SLOWEST_REPEAT: Duration = Duration::from_secs(1);
/// A peer that repeats itself gets our flight again, but not more often than this.
const REPEAT_PAUSE: Duration = Duration::from_millis(50);
/// A plain alert is believed when no handshake message followed it for so long: anyone could have sent it.
const ALERT_DOUBT: Duration = Duration::from_secs(1);
/// Handshakes that may be begun anew by another ClientHello; each costs a key pair.
const HELLO_LIMIT: u32 = 16;
/// Records of the next epoch kept until they can be opened.
const HELD_LIMIT: usize = 8;
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
    /// Fragments of a first ClientHello; apart from the rest, because a client may begin again.
    hellos: Reassembly,
    begun: u32,
    flight: Flight,
    /// Code of a plain fatal alert and when it is believed.
    alert: Option<(u8, Instant)>,
    bad: u64,
}

enum Stage {
    /// No acceptable ClientHello yet.
    Waiting,
    /// A first ClientHello was answered with a cookie, or more.
    Shaking(Box<Handshake>),
    /// Keys are in place.
    Connected { engine: Engine, sealed: u32 },
    /// Failed or closed.
    Over,
}

struct Handshake {
    engine: Engine,
    random: [u8; 32],
    profile: Profile,
    cookie: Vec<u8>,
    /// The ClientHello with the right cookie was seen.
    confirmed: bool,
    messages: Reassembly,
    cipher_changed: CipherChange,
    held: Vec<(u64, Vec<u8>)>,
    sealed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CipherChange {
    Awaited,
    /// Seen, but the engine cannot open anything yet.
    Seen,
    Done,
}

/// What we sent last, to be sent again.
#[derive(Default)]
struct Flight {
    datagrams: Vec<Vec<u8>>,
    next_sequence: u64,
    sent_at: Option<Instant>,
    repeat: Option<(Instant, Duration)>,
}

impl Dtls {
    pub(super) fn new(identity: &Arc<DtlsIdentity>, fingerprints: &[Fingerprint]) -> Self {
        Self {
            identity: Arc::clone(identity),
            fingerprints: fingerprints.into(),
            stage: Stage::Waiting,
            hellos: Reassembly::starting_at(0),
            begun: 0,
            flight: Flight::default(),
            alert: None,
            bad: 0,
        }
    }

    /// Records that could not be used, so far.
    pub(super) fn bad(&self) -> u64 {
        self.bad
    }

    /// Code of the alert with which the peer refused us, as far as one was seen.
    pub(super) fn last_alert(&self) -> Option<u8> {
        self.alert.map(|(code, _)| code)
    }

    /// Takes a datagram that came from a validated pair. What is to be sent goes to `to`.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        datagram: &[u8],
        to: SocketAddr,
        out: &mut Outbox,
    ) -> Option<DtlsEvent> {
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

    /// Repeats our flight, believes an alert.
    pub(super) fn handle_timeout(&mut self, now: Instant, to: SocketAddr, out: &mut Outbox) -> Option<DtlsEvent> {
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
        let repeat = self.flight.repeat.map(|(at, _)| (at, "DTLS flight"));
        let shaking = matches!(self.stage, Stage::Shaking(_));
        let alert = self.alert.filter(|_| shaking).map(|(_, at)| (at, "DTLS alert"));
        repeat.into_iter().chain(alert).min_by_key(|(at, _)| *at)
    }

    /// Sends close_notify.
    pub(super) fn close(&mut self, now: Instant, to: SocketAddr, out: &mut Outbox) {
        let last = std::mem::replace(&mut self.stage, Stage::Over);
        self.flight.forget();
        let engine = match last {
            Stage::Connected { engine, .. } => engine,
            Stage::Shaking(handshake) => handshake.engine,
            Stage::Waiting | Stage::Over => return,
        };
        for datagram in engine.close(now) {
            self.flight.send_once(datagram, to, out);
        }
    }

    fn take(&mut self, now: Instant, record: Record<'_>, to: SocketAddr, out: &mut Outbox) -> Taken {
        match (&self.stage, record.epoch) {
            (Stage::Over, _) => Taken::Used,
            (Stage::Connected { .. }, 0) => Taken::Bad,
            (Stage::Connected { .. }, _) => self.take_sealed(now, record, to, out),
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

    fn take_fragments(&mut self, now: Instant, body: &[u8], to: SocketAddr, out: &mut Outbox) -> Taken {
        let mut taken = Taken::Used;
        for fragment in fragments(body) {
            let Some(fragment) = fragment else { return taken.or(Taken::Bad) };
            taken = taken.or(match fragment.sequence {
                0 => self.take_first_hello(now, fragment, to, out),
                _ => self.take_fragment(now, fragment, to, out),
            });
        }
        taken
    }

    /// A first ClientHello, whole or in part, begins a handshake or begins it anew, unless one is already past the
    /// point which only a peer that reads our answers can reach.
    fn take_first_hello(&mut self, now: Instant, fragment: Fragment<'_>, to: SocketAddr, out: &mut Outbox) -> Taken {
        if matches!(&self.stage, Stage::Shaking(h) if h.confirmed) {
            return Taken::Used;
        }
        if self.hellos.push(fragment) == Pushed::Refused {
            self.hellos = Reassembly::starting_at(0);
            if self.hellos.push(fragment) == Pushed::Refused {
                return Taken::Bad;
            }
        }
        let Some(message) = self.hellos.pop() else { return Taken::Used };
        self.hellos = Reassembly::starting_at(0);
        let hello = Some(&message).filter(|m| m.kind == hello::CLIENT_HELLO);
        let Some(hello) = hello.and_then(|m| ClientHello::parse(&m.body, &engine::SUITE_NUMBERS)) else {
            self.alert = Some((INSUFFICIENT_SECURITY, now));
            return Taken::Bad;
        };
        if matches!(&self.stage, Stage::Shaking(h) if h.random == hello.random) {
            return Taken::Repeat;
        }
        if self.begun >= HELLO_LIMIT || !hello.cookie.is_empty() {
            return Taken::Bad;
        }
        self.begun += 1;
        self.begin(now, &hello, &message, to, out)
    }

    fn begin(
        &mut self,
        now: Instant,
        hello: &ClientHello,
        message: &Message,
        to: SocketAddr,
        out: &mut Outbox,
    ) -> Taken {
        let Some(mut engine) = Engine::new(&self.identity, &self.fingerprints, hello.profile) else {
            return Taken::Bad;
        };
        let Ok(answer) = engine.feed_plain(now, record::HANDSHAKE, &message.whole) else { return Taken::Bad };
        let Some(cookie) = answer.datagrams.first().and_then(|d| hello::cookie(d)) else { return Taken::Bad };
        self.alert = None;
        self.flight.send(now, answer.datagrams, false, to, out);
        self.stage = Stage::Shaking(Box::new(Handshake {
            engine,
            random: hello.random,
            profile: hello.profile,
            cookie,
            confirmed: false,
            messages: Reassembly::starting_at(1),
            cipher_changed: CipherChange::Awaited,
            held: Vec::new(),
            sealed: 0,
        }));
        Taken::Used
    }

    fn take_fragment(&mut self, now: Instant, fragment: Fragment<'_>, to: SocketAddr, out: &mut Outbox) -> Taken {
        let Stage::Shaking(handshake) = &mut self.stage else { return Taken::Bad };
        match handshake.messages.push(fragment) {
            Pushed::Kept => {}
            Pushed::Repeated => return Taken::Repeat,
            Pushed::Refused => return Taken::Bad,
        }
        while let Stage::Shaking(handshake) = &mut self.stage {
            let Some(message) = handshake.messages.pop() else { break };
            if !handshake.confirmed && !handshake.confirms(&message) {
                handshake.messages = Reassembly::starting_at(1);
                return Taken::Bad;
            }
            handshake.confirmed = true;
            self.alert = None;
            // The peer has all of our flight when it answers the end of it.
            self.flight.stop_repeating();
            let fed = handshake.engine.feed_plain(now, record::HANDSHAKE, &message.whole);
            let taken = self.after(now, fed, to, out);
            if !matches!(taken, Taken::Used) {
                return taken;
            }
        }
        self.change_cipher(now, to, out)
    }

    fn take_cipher_change(&mut self, now: Instant, body: &[u8], to: SocketAddr, out: &mut Outbox) -> Taken {
        match &mut self.stage {
            Stage::Shaking(handshake) if body == [1] && handshake.confirmed => {
                if handshake.cipher_changed == CipherChange::Awaited {
                    handshake.cipher_changed = CipherChange::Seen;
                }
                self.change_cipher(now, to, out)
            }
            Stage::Shaking(_) | Stage::Waiting | Stage::Connected { .. } | Stage::Over => Taken::Bad,
        }
    }

    /// Lets the engine change ciphers once the change was seen and the keys are there, then opens what was held.
    fn change_cipher(&mut self, now: Instant, to: SocketAddr, out: &mut Outbox) -> Taken {
        let Stage::Shaking(handshake) = &mut self.stage else { return Taken::Used };
        if handshake.cipher_changed != CipherChange::Seen || !handshake.engine.can_open() {
            return Taken::Used;
        }
        handshake.cipher_changed = CipherChange::Done;
        let fed = handshake.engine.feed_plain(now, record::CHANGE_CIPHER_SPEC, &[1]);
        let held = std::mem::take(&mut handshake.held);
        let mut taken = self.after(now, fed, to, out);
        for (_, whole) in held {
            if let Stage::Shaking(handshake) = &mut self.stage {
                let fed = handshake.engine.feed(now, whole);
                taken = taken.or(self.after(now, fed, to, out));
            }
        }
        taken
    }

    fn hold_or_open(&mut self, now: Instant, record: Record<'_>, to: SocketAddr, out: &mut Outbox) -> Taken {
        let Stage::Shaking(handshake) = &mut self.stage else { return Taken::Bad };
        let fits = record.epoch == 1 && record.kind == record::HANDSHAKE && record.body.len() <= SEALED_SIZE;
        let is_repeat = handshake.held.iter().any(|(sequence, _)| *sequence == record.sequence);
        if !fits || is_repeat || !handshake.confirmed || handshake.sealed >= SEALED_LIMIT {
            return Taken::Bad;
        }
        if handshake.cipher_changed == CipherChange::Done {
            handshake.sealed += 1;
            let fed = handshake.engine.feed(now, record.whole.to_vec());
            return self.after(now, fed, to, out);
        }
        if handshake.held.len() >= HELD_LIMIT {
            return Taken::Bad;
        }
        handshake.held.push((record.sequence, record.whole.to_vec()));
        Taken::Used
    }

    /// After the handshake only what is encrypted counts: alerts, and a Finished that comes again.
    fn take_sealed(&mut self, now: Instant, record: Record<'_>, to: SocketAddr, out: &mut Outbox) -> Taken {
        let Stage::Connected { engine, sealed } = &mut self.stage else { return Taken::Bad };
        if record.epoch != 1 || record.body.len() > SEALED_SIZE {
            return Taken::Bad;
        }
        match record.kind {
            record::HANDSHAKE if *sealed < SEALED_LIMIT => {
                *sealed += 1;
                let Ok(fed) = engine.feed(now, record.whole.to_vec()) else { return Taken::Bad };
                let answered = !fed.datagrams.is_empty();
                for datagram in fed.datagrams {
                    self.flight.send_once(datagram, to, out);
                }
                if answered { Taken::Used } else { Taken::Bad }
            }
            record::ALERT => match engine.feed(now, record.whole.to_vec()) {
                Ok(fed) if fed.closed => {
                    self.stage = Stage::Over;
                    Taken::Event(DtlsEvent::Closed)
                }
                Ok(_) | Err(_) => Taken::Bad,
            },
            _ => Taken::Bad,
        }
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

    /// Sends what the engine answered and judges how it stands.
    fn after(
        &mut self,
        now: Instant,
        fed: Result<Fed, engine::EngineError>,
        to: SocketAddr,
        out: &mut Outbox,
    ) -> Taken {
        let fed = match fed {
            Ok(fed) => fed,
            Err(error) => return self.after_error(error, to, out),
        };
        if !fed.connected {
            if !fed.datagrams.is_empty() {
                self.flight.send(now, fed.datagrams, true, to, out);
            }
            return Taken::Used;
        }
        self.flight.send(now, fed.datagrams, false, to, out);
        self.flight.datagrams.clear();
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Shaking(handshake) => {
                let Handshake { engine, profile, .. } = *handshake;
                let Some(keying_material) = engine.keying_material(profile) else {
                    return Taken::Event(DtlsEvent::Failed(SetupFailure::DtlsAlert(None)));
                };
                self.stage = Stage::Connected { engine, sealed: 0 };
                Taken::Event(DtlsEvent::Keyed { profile, keying_material })
            }
            Stage::Waiting | Stage::Connected { .. } | Stage::Over => Taken::Bad,
        }
    }

    fn after_error(&mut self, error: engine::EngineError, to: SocketAddr, out: &mut Outbox) -> Taken {
        let failure = match error {
            engine::EngineError::Unusable => return Taken::Bad,
            engine::EngineError::Panicked => SetupFailure::DtlsAlert(None),
            engine::EngineError::Refused { code, fingerprint, datagrams } => {
                for datagram in datagrams {
                    self.flight.send_once(datagram, to, out);
                }
                if fingerprint { SetupFailure::DtlsFingerprint } else { SetupFailure::DtlsAlert(Some(code)) }
            }
        };
        self.stage = Stage::Over;
        self.flight.forget();
        Taken::Event(DtlsEvent::Failed(failure))
    }
}

impl Handshake {
    /// Whether this is the ClientHello which returns our cookie. Only who reads our answers can write it.
    fn confirms(&self, message: &Message) -> bool {
        let hello = Some(message).filter(|m| m.kind == hello::CLIENT_HELLO);
        let hello = hello.and_then(|m| ClientHello::parse(&m.body, &engine::SUITE_NUMBERS));
        hello.is_some_and(|h| h.cookie == self.cookie && h.random == self.random && h.profile == self.profile)
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

impl Flight {
    fn send(&mut self, now: Instant, datagrams: Vec<Vec<u8>>, repeats: bool, to: SocketAddr, out: &mut Outbox) {
        self.datagrams = datagrams;
        self.repeat = repeats.then(|| (now + FIRST_REPEAT, FIRST_REPEAT));
        self.transmit(now, to, out);
    }

    fn send_once(&mut self, mut datagram: Vec<u8>, to: SocketAddr, out: &mut Outbox) {
        record::renumber(&mut datagram, &mut self.next_sequence);
        out.push(Port::Browser, to, &datagram);
    }

    fn send_again(&mut self, now: Instant, to: SocketAddr, out: &mut Outbox) {
        let pause = |sent| now.saturating_duration_since(sent) >= REPEAT_PAUSE;
        if self.sent_at.is_some_and(pause) {
            self.transmit(now, to, out);
        }
    }

    fn handle_timeout(&mut self, now: Instant, to: SocketAddr, out: &mut Outbox) {
        if let Some((at, interval)) = self.repeat
            && now >= at
        {
            let interval = (interval * 2).min(SLOWEST_REPEAT);
            self.repeat = Some((now + interval, interval));
            self.transmit(now, to, out);
        }
    }

    fn stop_repeating(&mut self) {
        self.repeat = None;
    }

    fn forget(&mut self) {
        self.datagrams.clear();
        self.repeat = None;
    }

    fn transmit(&mut self, now: Instant, to: SocketAddr, out: &mut Outbox) {
        self.sent_at = Some(now);
        for datagram in &mut self.datagrams {
            record::renumber(datagram, &mut self.next_sequence);
            out.push(Port::Browser, to, datagram);
        }
    }
}
