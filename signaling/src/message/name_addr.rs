//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route.

use std::fmt::{self, Write};

use bytes::{Bytes, BytesMut};

use super::Uri;
use super::grammar::{self, find, quoted_len, split_once, trim, unquote};

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
    /// A URI alone.
    #[must_use]
    pub fn new(uri: impl Into<Uri>) -> Self {
        Self { display: None, uri: uri.into(), parameters: Vec::new() }
    }

    /// One value (no comma list). The URI is only ever taken from between the angle brackets, or from an `addr-spec`
    /// that stands alone: text in a display name is never an identity.
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let value = trim(value);
        let (display, rest) = if value.starts_with(b"\"") {
            let end = quoted_len(&value).ok_or("quoted string without an end")?;
            (text(&unquote(&value.slice(..end))), trim(&value.slice(end..)))
        } else {
            match value.iter().position(|b| matches!(b, b'<' | b'"' | b';')) {
                Some(at) if value.get(at) == Some(&b'<') => {
                    let display = trim(&value.slice(..at));
                    // Not only tokens: umlauts and the like arrive unquoted, and harm nobody.
                    if display.iter().any(|b| b.is_ascii_control() || matches!(b, b',' | b'>' | b':' | b'@' | b'\\')) {
                        return Err("character not allowed in an unquoted display name");
                    }
                    (text(&display), value.slice(at..))
                }
                _ => return Self::parse_addr_spec(&value),
            }
        };
        let (uri, parameters) =
            split_once(&rest, b'>').filter(|(uri, _)| uri.starts_with(b"<")).ok_or("URI without angle brackets")?;
        Ok(Self { display, uri: Uri::parse(&uri.slice(1..))?, parameters: grammar::parameters(&parameters)? })
    }

    /// Without brackets, everything after `;` belongs to the header field, and `?` and `,` may not occur (RFC 3261
    /// section 20).
    fn parse_addr_spec(value: &Bytes) -> Result<Self, &'static str> {
        let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let uri = trim(&value.slice(..end));
        if uri.iter().any(|b| matches!(b, b'?' | b',')) {
            return Err("URI needs angle brackets");
        }
        Ok(Self { display: None, uri: Uri::parse(&uri)?, parameters: grammar::parameters(&value.slice(end..))? })
    }

    /// The `tag` parameter.
    #[must_use]
    pub fn tag(&self) -> Option<&Bytes> {
        find(&self.parameters, b"tag").and_then(Option::as_ref)
    }

    /// Value of a parameter (`Some(None)`: there without a value).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Option<&Bytes>> {
        find(&self.parameters, name.as_bytes()).map(Option::as_ref)
    }

    /// With this `tag`, in place of any other.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<Bytes>) -> Self {
        self.parameters.retain(|(name, _)| !name.eq_ignore_ascii_case(b"tag"));
        self.parameters.push((Bytes::from_static(b"tag"), Some(tag.into())));
        self
    }

    /// With this display name.
    #[must_use]
    pub fn with_display(mut self, display: Option<String>) -> Self {
        self.display = display.filter(|name| !name.is_empty());
        self
    }

    /// As on the wire: always with angle brackets, the display name always quoted.
    #[must_use]
    pub fn to_value(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(96);
        if let Some(display) = &self.display {
            grammar::put_quoted(&mut out, display.as_bytes());
            out.extend_from_slice(b" ");
        }
        // Writing to a growable buffer cannot fail.
        let _ = write!(out, "<{}>", self.uri);
        grammar::put_parameters(&mut out, &self.parameters);
        out.freeze()
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_value()))
    }
}
