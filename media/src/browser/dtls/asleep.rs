//! An association after its handshake, while there is nothing to say and nothing to open.
//!
//! The engine keeps every message of its handshake, the certificates and tables of its settings: some 12 KiB. What it
//! needs to say goodbye, and to understand one, are keys.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use rtc_dtls::state::State;

use super::engine::{Engine, EngineError, Fed};
use super::identity::DtlsIdentity;

/// What an engine is made of again.
pub(super) struct Asleep {
    state: Box<[u8]>,
}

impl Asleep {
    /// Of an engine that has done its handshake, and whose peer has all of it.
    pub(super) fn new(engine: &Engine, identity: &DtlsIdentity) -> Option<Self> {
        let awake = engine.state()?;
        let state = catch_unwind(AssertUnwindSafe(|| {
            let mut state = revived(&awake.marshal_binary().ok()?, identity)?;
            // They were checked; nobody asks for them again.
            state.peer_certificates = Vec::new();
            state.marshal_binary().ok()
        }));
        Some(Self { state: state.ok()??.into() })
    }

    /// Feeds a record.
    pub(super) fn feed(&mut self, now: Instant, identity: &DtlsIdentity, record: Vec<u8>) -> Result<Fed, EngineError> {
        let mut engine = self.wake(now, identity).ok_or(EngineError::Panicked)?;
        let fed = engine.feed(now, record)?;
        if !fed.datagrams.is_empty() && !fed.closed {
            // What it said is numbered.
            *self = Self::new(&engine, identity).ok_or(EngineError::Panicked)?;
        }
        Ok(fed)
    }

    /// Ends the association; what is returned is to be sent.
    pub(super) fn close(&self, now: Instant, identity: &DtlsIdentity) -> Vec<Vec<u8>> {
        self.wake(now, identity).map(|engine| engine.close(now)).unwrap_or_default()
    }

    fn wake(&self, now: Instant, identity: &DtlsIdentity) -> Option<Engine> {
        catch_unwind(AssertUnwindSafe(|| Engine::resume(now, identity, revived(&self.state, identity)?))).ok()?
    }
}

fn revived(state: &[u8], identity: &DtlsIdentity) -> Option<State> {
    let mut revived = State::new(Arc::clone(identity.provider()), false);
    revived.unmarshal_binary(state).ok()?;
    Some(revived)
}
