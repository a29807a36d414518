//! Header fields: names compared without case and in compact form, values as they came, typed access on demand.

use bytes::{Bytes, BytesMut};

use super::grammar::{Split, clean, is_token, number, separator_at};
pub use super::header_name::HeaderName;
use super::{Method, NameAddr, Via};

/// CSeq numbers stay below this (RFC 3261 section 8.1.1.5).
const CSEQ_LIMIT: u64 = 1 << 31;

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
    /// No fields yet, room for some.
    pub(crate) fn with_capacity(fields: usize) -> Self {
        Self { entries: Vec::with_capacity(fields) }
    }

    /// Adds a field at the end. Control characters in the value are the caller's bug; they are replaced by spaces, so
    /// that no header can be smuggled in. A name that is no token is not added at all.
    pub fn push(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        if let Some(name) = checked(name) {
            self.entries.push((name, clean(value.into())));
        }
    }

    /// Adds a field at the front (Via).
    pub fn push_front(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        if let Some(name) = checked(name) {
            // A request of ours is kept as long as its leg: no more room than it takes.
            self.entries.reserve_exact(1);
            self.entries.insert(0, (name, clean(value.into())));
        }
    }

    /// Adds a value that stood in a parsed message, byte by byte: it holds no line end, but it may hold quoted control
    /// characters, which an answer has to repeat.
    pub(crate) fn push_verbatim(&mut self, name: HeaderName, value: Bytes) {
        self.entries.push((name, value));
    }

    /// Adds all fields of a name from another message, unchanged.
    pub fn copy_from(&mut self, other: &Self, name: &HeaderName) {
        self.entries.extend(other.entries.iter().filter(|(n, _)| n == name).cloned());
    }

    /// Removes all fields of a name.
    pub fn remove(&mut self, name: &HeaderName) {
        self.entries.retain(|(n, _)| n != name);
    }

    /// Replaces all fields of a name by one, in the place of the first.
    pub fn set(&mut self, name: HeaderName, value: impl Into<Bytes>) {
        let Some(name) = checked(name) else { return };
        let place = self.entries.iter().position(|(n, _)| *n == name);
        self.remove(&name);
        let place = place.unwrap_or(self.entries.len());
        self.entries.insert(place, (name, clean(value.into())));
    }

    /// Replaces the topmost Via, and leaves those below it (also in the same field).
    pub fn set_top_via(&mut self, via: &Via) {
        let value = via.to_value();
        let Some((_, top)) = self.entries.iter_mut().find(|(n, _)| *n == HeaderName::Via) else {
            return self.push_front(HeaderName::Via, value);
        };
        *top = match separator_at(top, b',', true).and_then(|at| top.get(at..)) {
            Some(below) => {
                let mut joined = BytesMut::from(value.as_ref());
                joined.extend_from_slice(below);
                joined.freeze()
            }
            None => value,
        };
    }

    /// First value of a name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&Bytes> {
        self.entries.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// All values of a name, one per header field line (comma lists not split).
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a Bytes> {
        self.entries.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    /// All values of a name with comma lists split (quotes, angle brackets and comments respected); empty ones skipped.
    pub fn list<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = Bytes> + 'a {
        self.pieces(name).filter(|value| !value.is_empty())
    }

    /// As [`Headers::list`], with the empty values that a stray comma makes.
    pub(crate) fn pieces<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = Bytes> + 'a {
        self.get_all(name).flat_map(|value| Split::list(value.clone()))
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &Bytes)> {
        self.entries.iter().map(|(n, v)| (n, v))
    }

    /// How many fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Topmost Via.
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        let first = self.pieces(&HeaderName::Via).next().ok_or(HeaderError::missing("Via"))?;
        Via::parse(&first).map_err(|what| HeaderError { name: "Via", what })
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        self.name_addr(&HeaderName::From, "From")
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        self.name_addr(&HeaderName::To, "To")
    }

    /// First Contact (`*` is an error: it is no address).
    pub fn contact(&self) -> Option<Result<NameAddr, HeaderError>> {
        let first = self.pieces(&HeaderName::Contact).next()?;
        Some(NameAddr::parse(&first).map_err(|what| HeaderError { name: "Contact", what }))
    }

    /// Call-ID.
    pub fn call_id(&self) -> Result<Bytes, HeaderError> {
        let value = self.get(&HeaderName::CallId).ok_or(HeaderError::missing("Call-ID"))?;
        if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
            return Err(HeaderError { name: "Call-ID", what: "malformed" });
        }
        Ok(value.clone())
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        let error = |what| HeaderError { name: "CSeq", what };
        let value = self.get(&HeaderName::CSeq).ok_or(HeaderError::missing("CSeq"))?;
        let digits = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
        let number = value
            .get(..digits)
            .and_then(|digits| number(digits, CSEQ_LIMIT - 1))
            .and_then(|number| u32::try_from(number).ok())
            .ok_or(error("number malformed or out of range"))?;
        let rest = value.slice(digits..);
        let method = super::grammar::trim(&rest);
        if method.len() == rest.len() {
            return Err(error("no method"));
        }
        Ok(CSeq { number, method: Method::parse(&method).ok_or(error("malformed method"))? })
    }

    /// Record-Route or Route values, split.
    pub fn routes(&self, name: &HeaderName) -> Result<Vec<NameAddr>, HeaderError> {
        let error =
            |what| HeaderError { name: if *name == HeaderName::Route { "Route" } else { "Record-Route" }, what };
        self.pieces(name).map(|value| NameAddr::parse(&value).map_err(error)).collect()
    }

    fn name_addr(&self, name: &HeaderName, called: &'static str) -> Result<NameAddr, HeaderError> {
        let value = self.get(name).ok_or(HeaderError::missing(called))?;
        NameAddr::parse(value).map_err(|what| HeaderError { name: called, what })
    }
}

impl HeaderError {
    /// One string for both halves where the answer's reader needs the name; else what is wrong alone.
    pub(crate) fn text(&self) -> &'static str {
        match (self.name, self.what) {
            ("Via", "missing") => "Via missing",
            ("From", "missing") => "From missing",
            ("To", "missing") => "To missing",
            ("Call-ID", "missing") => "Call-ID missing",
            ("CSeq", "missing") => "CSeq missing",
            ("Call-ID", _) => "malformed Call-ID",
            ("CSeq", _) => "CSeq malformed or out of range",
            (_, what) => what,
        }
    }

    const fn missing(name: &'static str) -> Self {
        Self { name, what: "missing" }
    }
}

/// The name in its one spelling; `None` if it is no token.
fn checked(name: HeaderName) -> Option<HeaderName> {
    if let HeaderName::Other(spelled) = &name {
        return is_token(spelled).then(|| HeaderName::parse(spelled));
    }
    Some(name)
}
