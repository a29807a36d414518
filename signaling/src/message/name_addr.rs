//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route.

use bytes::Bytes;

use super::Uri;

/// A display name, a URI and header parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// Display name without quotes and escapes.
    pub display: Option<String>,
    /// The URI.
    pub uri: Uri,
    /// Parameters after it.
    pub parameters: Vec<(Bytes, Option<Bytes>)>,
}

impl NameAddr {
    /// The `tag` parameter.
    #[must_use]
    pub fn tag(&self) -> Option<&Bytes> {
        todo!()
    }
}
