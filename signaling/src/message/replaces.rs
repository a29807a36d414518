//! Replaces (RFC 3891): which dialog a new INVITE takes the place of, as a header field and inside a Refer-To.

use std::fmt::{self, Write};

use bytes::Bytes;

use super::grammar::{self, find, split_once, trim};
use super::uri::unescape;
use super::{HeaderName, Headers, SipUri};

/// The field's name.
pub const REPLACES: &str = "Replaces";

/// A dialog as the one that holds it knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: Bytes,
    /// The tag of whoever receives this.
    pub to_tag: Bytes,
    /// The tag of its peer.
    pub from_tag: Bytes,
    /// Only while it is not answered.
    pub early_only: bool,
}

/// What a request says of the dialog it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacing {
    /// It replaces none.
    Nothing,
    /// This one.
    Dialog(Replaces),
    /// What nobody can make sense of, and gets a 400 (RFC 3891 section 3).
    Nonsense,
}

impl Replaces {
    /// One value of the header field.
    #[must_use]
    pub fn parse(value: &Bytes) -> Option<Self> {
        let (call_id, rest) = split_once(value, b';')?;
        let call_id = trim(&call_id);
        let mut parameters = b";".to_vec();
        parameters.extend_from_slice(&rest);
        let parameters = grammar::parameters(&Bytes::from(parameters)).ok()?;
        let tag = |name: &[u8]| find(&parameters, name).cloned().flatten().filter(|tag| grammar::is_token(tag));
        let is_clean = !call_id.is_empty() && call_id.iter().all(|b| (0x21..0x7f).contains(b) && *b != b',');
        Some(Self {
            call_id: Some(call_id).filter(|_| is_clean)?,
            to_tag: tag(b"to-tag")?,
            from_tag: tag(b"from-tag")?,
            early_only: find(&parameters, b"early-only").is_some(),
        })
    }

    /// Of a request's header fields. At most one is allowed, and none beside Join.
    #[must_use]
    pub fn of(headers: &Headers) -> Replacing {
        let name = HeaderName::other(REPLACES);
        let mut values = headers.get_all(&name);
        match (values.next(), values.next()) {
            (None, _) => Replacing::Nothing,
            (Some(value), None) if headers.get(&HeaderName::other("Join")).is_none() => {
                Self::parse(value).map_or(Replacing::Nonsense, Replacing::Dialog)
            }
            (Some(_), _) => Replacing::Nonsense,
        }
    }

    /// Takes the headers of a Refer-To's URI off it, and gives what they say of a dialog.
    #[must_use]
    pub fn take_from(uri: &mut SipUri) -> Replacing {
        let Some(fields) = uri.headers.take() else { return Replacing::Nothing };
        let mut found = Replacing::Nothing;
        for field in fields.split(|b| *b == b'&') {
            let Some(at) = field.iter().position(|b| *b == b'=') else { continue };
            let (name, value) = (field.get(..at).unwrap_or_default(), field.get(at + 1..).unwrap_or_default());
            if unescape(name).eq_ignore_ascii_case(REPLACES.as_bytes()) {
                let parsed = Self::parse(&unescape(value).into()).map_or(Replacing::Nonsense, Replacing::Dialog);
                found = if found == Replacing::Nothing { parsed } else { Replacing::Nonsense };
            }
        }
        found
    }

    /// As the headers of a Refer-To's URI, escaped.
    #[must_use]
    pub fn to_uri_headers(&self) -> Bytes {
        let mut out = format!("{REPLACES}=");
        for byte in self.to_string().bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
            let _ = if plain { out.write_char(char::from(byte)) } else { write!(out, "%{byte:02X}") };
        }
        out.into()
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        write!(f, "{};to-tag={};from-tag={}", text(&self.call_id), text(&self.to_tag), text(&self.from_tag))?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Uri;
    use super::*;

    fn parsed(value: &'static str) -> Option<String> {
        Replaces::parse(&Bytes::from_static(value.as_bytes())).map(|replaces| replaces.to_string())
    }

    #[test]
    fn a_replaced_dialog_is_read_as_rfc_3891_writes_it() {
        let rows = [
            (
                "98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff",
                "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r",
            ),
            ("12adf2f34456gs5 ; to-tag=12345 ;from-tag=54321", "12adf2f34456gs5;to-tag=12345;from-tag=54321"),
            (
                "87134@171.161.34.23;to-tag=24796;from-tag=0;early-only",
                "87134@171.161.34.23;to-tag=24796;from-tag=0;early-only",
            ),
        ];
        for (value, expected) in rows {
            assert_eq!(parsed(value).as_deref(), Some(expected));
        }
        for bad in [
            "",
            "a",
            "a;to-tag=1",
            "a;from-tag=1",
            ";to-tag=1;from-tag=2",
            "a b;to-tag=1;from-tag=2",
            "a;to-tag;from-tag=2",
            "a,b;to-tag=1;from-tag=2",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    #[test]
    fn one_replaces_and_no_join() {
        let headers = |fields: &[(&'static str, &'static str)]| {
            let mut headers = Headers::default();
            fields.iter().for_each(|(name, value)| headers.push(HeaderName::other(name), *value));
            headers
        };
        let (good, join) = (("Replaces", "a;to-tag=1;from-tag=2"), ("Join", "b;to-tag=1;from-tag=2"));
        assert_eq!(Replaces::of(&headers(&[])), Replacing::Nothing);
        assert!(matches!(Replaces::of(&headers(&[good])), Replacing::Dialog(_)));
        for bad in [&[good, good][..], &[good, join], &[("Replaces", "a")]] {
            assert_eq!(Replaces::of(&headers(bad)), Replacing::Nonsense);
        }
    }

    #[test]
    fn a_refer_to_carries_it_escaped() {
        let replaces = Replaces::parse(&Bytes::from_static(b"call@host;to-tag=a~1;from-tag=b")).unwrap();
        let text = format!("sip:bob@192.0.2.9?{}", String::from_utf8_lossy(&replaces.to_uri_headers()));
        assert_eq!(text, "sip:bob@192.0.2.9?Replaces=call%40host%3Bto-tag%3Da~1%3Bfrom-tag%3Db");
        let Ok(Uri::Sip(mut uri)) = Uri::parse(&text.into()) else { panic!("no SIP URI") };
        assert_eq!(Replaces::take_from(&mut uri), Replacing::Dialog(replaces));
        assert_eq!(Uri::Sip(uri).to_string(), "sip:bob@192.0.2.9");
        for bad in ["Replaces=a&Replaces=b", "replaces=nonsense"] {
            let Ok(Uri::Sip(mut uri)) = Uri::parse(&format!("sip:b@h?Subject=x&{bad}").into()) else { panic!("{bad}") };
            assert_eq!(Replaces::take_from(&mut uri), Replacing::Nonsense);
        }
    }
}
