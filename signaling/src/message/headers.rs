//! Header fields: names compared without case and in compact form, values as they came, typed access on demand.

use bytes::Bytes;

use super::{Method, NameAddr, Via};

/// A header field's name. The ones the core works with are variants; others keep their spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum HeaderName {
    Accept,
    AcceptEncoding,
    AcceptLanguage,
    Allow,
    Authorization,
    CallId,
    Contact,
    ContentDisposition,
    ContentEncoding,
    ContentLength,
    ContentType,
    CSeq,
    Date,
    Event,
    Expires,
    From,
    MaxForwards,
    MinSe,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyRequire,
    RAck,
    Reason,
    RecordRoute,
    ReferTo,
    Require,
    RetryAfter,
    Route,
    RSeq,
    Server,
    SessionExpires,
    Supported,
    To,
    Unsupported,
    UserAgent,
    UserToUser,
    Via,
    Warning,
    WwwAuthenticate,
    /// Any other name; compared without case.
    Other(Bytes),
}

/// Header fields in wire order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(HeaderName, Bytes)>,
}

/// Sequence number and method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method,
}

/// A header field is missing or does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct HeaderError {
    /// Its name.
    pub name: &'static str,
    /// What is wrong.
    pub what: &'static str,
}

impl Headers {
    /// Adds a field at the end. Control characters in the value are the caller's bug; they are replaced by spaces, so
    /// that no header can be smuggled in.
    pub fn push(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        todo!()
    }
    /// Adds a field at the front (Via).
    pub fn push_front(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        todo!()
    }
    /// Removes all fields of a name.
    pub fn remove(&mut self, name: &HeaderName) {
        todo!()
    }
    /// Replaces all fields of a name by one.
    pub fn set(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        todo!()
    }
    /// First value of a name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&Bytes> {
        todo!()
    }
    /// All values of a name, one per header field line (comma lists not split).
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a Bytes> {
        self.entries.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }
    /// All values of a name with comma lists split (quotes and angle brackets respected).
    pub fn list<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = Bytes> + 'a {
        std::iter::from_fn(|| todo!())
    }
    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &Bytes)> {
        self.entries.iter().map(|(n, v)| (n, v))
    }
    /// Topmost Via.
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        todo!()
    }
    /// From.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        todo!()
    }
    /// To.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        todo!()
    }
    /// First Contact.
    pub fn contact(&self) -> Option<Result<NameAddr, HeaderError>> {
        todo!()
    }
    /// Call-ID.
    pub fn call_id(&self) -> Result<Bytes, HeaderError> {
        todo!()
    }
    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        todo!()
    }
    /// Record-Route or Route values, split.
    pub fn routes(&self, name: &HeaderName) -> Result<Vec<NameAddr>, HeaderError> {
        todo!()
    }
}
