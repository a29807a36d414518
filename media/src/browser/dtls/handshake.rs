//! The handshake: what is done with its records before the engine sees them, and after it has.

use std::time::Instant;

use super::engine::{self, Engine, EngineError, Fed};
use super::hello::{self, ClientHello};
use super::reassembly::{Fragment, Message, Pushed, Reassembly, fragments};
use super::record::{self, Record};
use super::{Dtls, DtlsEvent, SEALED_LIMIT, SEALED_SIZE, Stage, Taken};
use crate::api::SetupFailure;
use crate::browser::srtp::Profile;
use crate::outbox::{Outbox, Remote};

/// Our last flight is repeated so often, because a browser that misses it waits a second and more before it says so.
/// Its first audio tells us that it does not.
const LAST_REPEATS: u32 = 5;
/// Records of the next epoch kept until they can be opened.
const HELD_LIMIT: usize = 8;
/// A handshake with a peer that reads what we send.
pub(super) struct Handshake {
    pub(super) engine: Engine,
    profile: Profile,
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

impl Dtls {
    pub(super) fn take_fragments(&mut self, now: Instant, body: &[u8], to: Remote, out: &mut Outbox) -> Taken {
        let mut taken = Taken::Used;
        for fragment in fragments(body) {
            let Some(fragment) = fragment else { return taken.or(Taken::Bad) };
            taken = taken.or(match self.stage {
                Stage::Waiting => self.take_hello(now, fragment, to, out),
                // A first ClientHello that comes late is of no use any more, and no offence.
                Stage::Shaking(_) if fragment.sequence == 0 => Taken::Used,
                Stage::Shaking(_) => self.take_fragment(now, fragment, to, out),
                Stage::Connected { .. } | Stage::Settled(_) | Stage::Over => Taken::Used,
            });
        }
        taken
    }

    /// A ClientHello without our cookie is answered with the cookie and forgotten; one with it begins the handshake.
    fn take_hello(&mut self, now: Instant, fragment: Fragment<'_>, to: Remote, out: &mut Outbox) -> Taken {
        let Some(hellos) = self.hellos.get_mut(usize::from(fragment.sequence)) else { return Taken::Bad };
        if hellos.push(fragment) == Pushed::Refused {
            return Taken::Bad;
        }
        let Some(message) = hellos.pop() else { return Taken::Used };
        *hellos = Reassembly::starting_at(fragment.sequence);
        let hello = Some(&message).filter(|m| m.kind == hello::CLIENT_HELLO);
        let Some(hello) = hello.and_then(|m| ClientHello::parse(&m.body, &engine::SUITE_NUMBERS)) else {
            self.refused = true;
            return Taken::Bad;
        };
        self.refused = false;
        let Some(cookie) = self.cookie else { return Taken::Bad };
        if hello.cookie == cookie {
            return self.begin(now, &hello, &message, to, out);
        }
        if fragment.sequence != 0 {
            return Taken::Bad;
        }
        self.flight.send_once(record::plain(record::HANDSHAKE, 0, &hello::verify_request(&cookie)), to, out);
        Taken::Used
    }

    fn begin(&mut self, now: Instant, hello: &ClientHello, message: &Message, to: Remote, out: &mut Outbox) -> Taken {
        let Some(mut engine) = Engine::new(&self.identity, &self.fingerprints, hello) else {
            return Taken::Bad;
        };
        // The engine wants to give out the cookie itself.
        let asked = engine.feed_plain(now, record::HANDSHAKE, &hello::without_cookie(&message.body));
        let gives_ours = |fed: &Fed| fed.datagrams.first().and_then(|d| hello::cookie(d)) == Some(&*hello.cookie);
        if !asked.is_ok_and(|fed| gives_ours(&fed)) {
            return Taken::Bad;
        }
        let fed = engine.feed_plain(now, record::HANDSHAKE, &message.whole);
        self.stage = Stage::Shaking(Box::new(Handshake {
            engine,
            profile: hello.profile,
            messages: Reassembly::starting_at(2),
            cipher_changed: CipherChange::Awaited,
            held: Vec::new(),
            sealed: 0,
        }));
        self.after(now, fed, to, out)
    }

    fn take_fragment(&mut self, now: Instant, fragment: Fragment<'_>, to: Remote, out: &mut Outbox) -> Taken {
        let Stage::Shaking(handshake) = &mut self.stage else { return Taken::Bad };
        let pushed = handshake.messages.push(fragment);
        if pushed == Pushed::Refused {
            return Taken::Bad;
        }
        // Who goes on has not refused us.
        self.alert = None;
        if pushed == Pushed::Repeated {
            return Taken::Repeat;
        }
        // The peer has all of our flight when it answers it.
        self.flight.stop_repeating();
        while let Stage::Shaking(handshake) = &mut self.stage {
            let Some(message) = handshake.messages.pop() else { break };
            let fed = handshake.engine.feed_plain(now, record::HANDSHAKE, &message.whole);
            let taken = self.after(now, fed, to, out);
            if !matches!(taken, Taken::Used) {
                return taken;
            }
        }
        self.change_cipher(now, to, out)
    }

    pub(super) fn take_cipher_change(&mut self, now: Instant, body: &[u8], to: Remote, out: &mut Outbox) -> Taken {
        match &mut self.stage {
            Stage::Shaking(handshake) if body == [1] => {
                if handshake.cipher_changed == CipherChange::Awaited {
                    handshake.cipher_changed = CipherChange::Seen;
                }
                self.change_cipher(now, to, out)
            }
            Stage::Shaking(_) | Stage::Waiting | Stage::Connected { .. } | Stage::Settled(_) | Stage::Over => {
                Taken::Bad
            }
        }
    }

    /// Lets the engine change ciphers once the change was seen and the keys are there, then opens what was held.
    fn change_cipher(&mut self, now: Instant, to: Remote, out: &mut Outbox) -> Taken {
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

    pub(super) fn hold_or_open(&mut self, now: Instant, record: Record<'_>, to: Remote, out: &mut Outbox) -> Taken {
        let Stage::Shaking(handshake) = &mut self.stage else { return Taken::Bad };
        let fits = record.epoch == 1 && record.kind == record::HANDSHAKE && record.body.len() <= SEALED_SIZE;
        let is_repeat = handshake.held.iter().any(|(sequence, _)| *sequence == record.sequence);
        if !fits || is_repeat || handshake.sealed >= SEALED_LIMIT {
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

    /// Sends what the engine answered and judges how it stands.
    fn after(&mut self, now: Instant, fed: Result<Fed, EngineError>, to: Remote, out: &mut Outbox) -> Taken {
        let fed = match fed {
            Ok(fed) => fed,
            Err(error) => return self.after_error(error, to, out),
        };
        if !fed.connected {
            if !fed.datagrams.is_empty() {
                self.flight.send(now, fed.datagrams, u32::MAX, to, out);
            }
            return Taken::Used;
        }
        self.flight.send(now, fed.datagrams, LAST_REPEATS, to, out);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Shaking(handshake) => {
                let Handshake { engine, profile, .. } = *handshake;
                let Some(keying_material) = engine.keying_material(profile) else {
                    return Taken::Event(DtlsEvent::Failed(SetupFailure::DtlsAlert(None)));
                };
                self.stage = Stage::Connected { engine: Box::new(engine), sealed: 0 };
                Taken::Event(DtlsEvent::Keyed { profile, keying_material })
            }
            Stage::Waiting | Stage::Connected { .. } | Stage::Settled(_) | Stage::Over => Taken::Bad,
        }
    }

    fn after_error(&mut self, error: EngineError, to: Remote, out: &mut Outbox) -> Taken {
        let failure = match error {
            EngineError::Unusable => return Taken::Bad,
            EngineError::Panicked => SetupFailure::DtlsAlert(None),
            EngineError::Refused { code, fingerprint, datagrams } => {
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
