//! Request methods.

use bytes::Bytes;

/// A request method (case-sensitive).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    /// Any other token.
    Other(Bytes),
}

impl Method {
    /// As on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        todo!()
    }
}
