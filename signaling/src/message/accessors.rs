//! Typed access to the header fields that are read now and then. What does not parse here is as good as absent: nothing
//! of this decides identity, framing or routing.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::grammar::{Split, find, is_space, number, parameters, put_quoted, trim, unquote};
use super::{HeaderName, Headers, Method};

/// RFC 3326: why a request was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// `Q.850` or `SIP`.
    pub protocol: String,
    /// Cause.
    pub cause: u16,
    /// Text.
    pub text: Option<String>,
}

/// Who refreshes a session (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresher {
    /// The one that sent the request.
    Uac,
    /// The one that answered it.
    Uas,
}

/// Session-Expires (RFC 4028 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionExpires {
    /// Interval, seconds.
    pub seconds: u32,
    /// Who refreshes, if said.
    pub refresher: Option<Refresher>,
}

/// RAck (RFC 3262 section 7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RAck {
    /// The provisional answer's RSeq.
    pub rseq: u32,
    /// CSeq number of the request it answers.
    pub cseq: u32,
    /// And its method.
    pub method: Method,
}

impl Headers {
    /// Max-Forwards, hops; `None` where it is missing (RFC 2543) or malformed.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        number(self.get(&HeaderName::MaxForwards)?, u64::from(u8::MAX)).and_then(|hops| u8::try_from(hops).ok())
    }

    /// Media type of the body, lower case, without parameters: `application/sdp`.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        let value = Split::quoted(self.get(&HeaderName::ContentType)?.clone(), b';').next()?;
        let text: String =
            value.iter().filter(|b| !is_space(**b)).map(|b| char::from(b.to_ascii_lowercase())).collect();
        text.contains('/').then_some(text)
    }

    /// Expires, seconds; what is too large for the field counts as its largest value.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        seconds(self.get(&HeaderName::Expires)?)
    }

    /// Retry-After, seconds, without its comment and parameters.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        seconds(self.get(&HeaderName::RetryAfter)?)
    }

    /// Min-SE, seconds.
    #[must_use]
    pub fn min_se(&self) -> Option<u32> {
        seconds(self.get(&HeaderName::MinSe)?)
    }

    /// RSeq.
    #[must_use]
    pub fn rseq(&self) -> Option<u32> {
        number(self.get(&HeaderName::RSeq)?, u64::from(u32::MAX)).and_then(|rseq| u32::try_from(rseq).ok())
    }

    /// RAck.
    #[must_use]
    pub fn rack(&self) -> Option<RAck> {
        let value = self.get(&HeaderName::RAck)?;
        let mut words = value.split(|b| is_space(*b)).filter(|word| !word.is_empty()).map(|word| value.slice_ref(word));
        let mut next_number = || number(&words.next()?, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
        let (rseq, cseq) = (next_number()?, next_number()?);
        Some(RAck { rseq, cseq, method: Method::parse(&words.next()?)? })
    }

    /// Session-Expires.
    #[must_use]
    pub fn session_expires(&self) -> Option<SessionExpires> {
        let value = self.get(&HeaderName::SessionExpires)?;
        let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let parameters = parameters(&value.slice(end..)).unwrap_or_default();
        let refresher = match find(&parameters, b"refresher").and_then(Option::as_deref).map(<[u8]>::to_ascii_lowercase)
        {
            Some(who) if who == b"uac" => Some(Refresher::Uac),
            Some(who) if who == b"uas" => Some(Refresher::Uas),
            Some(_) | None => None,
        };
        Some(SessionExpires { seconds: seconds(&value.slice(..end))?, refresher })
    }

    /// All Reason values that parse.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        self.list(&HeaderName::Reason).filter_map(|value| Reason::parse(&value)).collect()
    }

    /// Whether a list (Supported, Require, Allow, …) names a token; without case.
    #[must_use]
    pub fn lists(&self, name: &HeaderName, token: &str) -> bool {
        self.list(name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Option tags of a list that are not among `supported`: what goes into Unsupported (RFC 3261 section 8.2.2.3).
    #[must_use]
    pub fn unsupported(&self, name: &HeaderName, supported: &[&str]) -> Vec<Bytes> {
        self.list(name)
            .filter(|tag| !supported.iter().any(|known| tag.eq_ignore_ascii_case(known.as_bytes())))
            .collect()
    }
}

impl Reason {
    /// One value of a Reason header field. A value without a cause says nothing we could use.
    #[must_use]
    pub fn parse(value: &Bytes) -> Option<Self> {
        let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let parameters = parameters(&value.slice(end..)).ok()?;
        let cause = find(&parameters, b"cause").and_then(Option::as_ref).map(unquote)?;
        let text = find(&parameters, b"text").and_then(Option::as_ref).map(unquote);
        Some(Self {
            protocol: String::from_utf8_lossy(&trim(&value.slice(..end))).into_owned(),
            cause: number(&cause, u64::from(u16::MAX)).and_then(|cause| u16::try_from(cause).ok())?,
            text: text.map(|text| String::from_utf8_lossy(&text).into_owned()),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};cause={}", self.protocol, self.cause)?;
        let Some(text) = &self.text else { return Ok(()) };
        let mut quoted = BytesMut::with_capacity(text.len() + 2);
        put_quoted(&mut quoted, text.as_bytes());
        write!(f, ";text={}", String::from_utf8_lossy(&quoted))
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// The digits a value begins with, saturating.
fn seconds(value: &[u8]) -> Option<u32> {
    let end = value.iter().position(|b| !b.is_ascii_digit()).unwrap_or(value.len());
    let digits = value.get(..end).filter(|digits| !digits.is_empty())?;
    Some(number(digits, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok()).unwrap_or(u32::MAX))
}
