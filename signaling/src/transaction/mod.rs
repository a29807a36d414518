//! The four transaction machines of RFC 3261 section 17 with the corrections of RFC 6026, as pure values: told the
//! time, they say what to send, what to pass up, and when they want to be called. They know bytes and status codes;
//! who they belong to is the endpoint's business.

mod client;
mod client_invite;
mod key;
mod server;
mod server_invite;
#[cfg(test)]
mod tests;
mod timer;

pub use client::{Client, ClientState};
pub use client_invite::{ClientInvite, ClientInviteState};
pub use key::{ClientKey, MAGIC_COOKIE, ServerKey};
pub use server::{Server, ServerState};
pub use server_invite::{ServerInvite, ServerInviteState};
pub use timer::{Deadlines, Reliability, Timer, Timers};

use bytes::Bytes;

/// What a machine wants done after an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    /// Goes on the wire.
    pub transmit: Option<Bytes>,
    /// Whether the input goes up to the transaction's user.
    pub deliver: bool,
    /// The transaction failed, or is about to.
    pub fault: Option<Fault>,
}

/// Why a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No (final) response or no ACK came in time.
    Timeout,
    /// Provisional responses came, a final one did not. The machine waits for the outcome of the CANCEL that the user
    /// has to send; if it brings nothing, [`Fault::Timeout`] follows.
    NoFinal,
    /// The network refused the request.
    Transport,
}

impl Reaction {
    /// Nothing to do.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Only send.
    #[must_use]
    pub fn transmit(bytes: Bytes) -> Self {
        Self { transmit: Some(bytes), ..Self::default() }
    }

    /// Only pass up.
    #[must_use]
    pub fn deliver() -> Self {
        Self { deliver: true, ..Self::default() }
    }

    /// Only report a failure.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }
}
