//! The messages of each leg, told as events for ladders and support. They never crowd out what a call has to hear.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;

use super::{Event, LegId, Traced, compose};
use crate::message::{HeaderName, read_fields, take_line};

/// Messages told of one leg; further ones are counted.
const MAX_PER_LEG: u16 = 64;
/// Messages that wait to be fetched, over all legs; further ones are counted.
const MAX_WAITING: usize = 4_096;
/// Longest start line told, octets.
const MAX_START_LINE: usize = 256;
/// Longest CSeq and Reason told, octets.
const MAX_FIELD: usize = 256;

/// Who is traced, and how far.
#[derive(Debug, Default)]
pub(super) struct Tracer {
    told: HashMap<LegId, u16>,
    /// Traces in the event queue.
    pub(super) waiting: usize,
}

impl Tracer {
    /// A leg has begun.
    pub(super) fn begin(&mut self, leg: LegId) {
        self.told.insert(leg, 0);
    }

    /// A leg is gone; what is left of its transactions is not told.
    pub(super) fn end(&mut self, leg: LegId) {
        self.told.remove(&leg);
    }

    /// Whether one more message of the leg may be told: `None` for a leg that is not traced.
    pub(super) fn admit(&mut self, leg: LegId) -> Option<bool> {
        let told = self.told.get_mut(&leg)?;
        if *told >= MAX_PER_LEG || self.waiting >= MAX_WAITING {
            return Some(false);
        }
        *told = told.saturating_add(1);
        self.waiting = self.waiting.saturating_add(1);
        Some(true)
    }

    /// An event was fetched.
    pub(super) fn fetched(&mut self, event: &Event) {
        if matches!(event, Event::Traced { .. }) {
            self.waiting = self.waiting.saturating_sub(1);
        }
    }
}

/// What is told of a message.
pub(super) fn describe(bytes: &Bytes, peer: SocketAddr, outgoing: bool, repeated: bool) -> Traced {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let mut rest = bytes.slice(start..);
    let line = take_line(&mut rest).unwrap_or_default();
    let (headers, body) = read_fields(rest);
    let field = |name: &HeaderName| headers.get(name).map(|value| legible(value, MAX_FIELD));
    Traced {
        outgoing,
        peer,
        start_line: without_password(legible(&line, MAX_START_LINE)),
        cseq: field(&HeaderName::CSeq).unwrap_or_default(),
        reason: field(&HeaderName::Reason),
        sdp: compose::sdp_of(&headers, &body),
        repeated,
    }
}

/// Text of at most `limit` octets; what would disturb a terminal or is no UTF-8 becomes a question mark.
fn legible(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(bytes).chars() {
        let letter = if letter.is_control() || letter == char::REPLACEMENT_CHARACTER { '?' } else { letter };
        if text.len() + letter.len_utf8() > limit {
            break;
        }
        text.push(letter);
    }
    text
}

/// A request line whose URI has lost its password (RFC 3261 section 19.1.1 has a place for one).
fn without_password(line: String) -> String {
    let Some((before, uri)) = line.split_once(" sip:").or_else(|| line.split_once(" sips:")) else { return line };
    let Some((user_info, after)) = uri.split_once(' ').unwrap_or((uri, "")).0.rsplit_once('@') else {
        // Cut within its user part, it may end with half a password.
        return if uri.contains(' ') { line } else { format!("{before} sip:…") };
    };
    let Some((user, _)) = user_info.split_once(':') else { return line };
    let scheme = if line.contains(" sips:") { "sips" } else { "sip" };
    let tail = uri.split_once(' ').map_or(String::new(), |(_, tail)| format!(" {tail}"));
    format!("{before} {scheme}:{user}@{after}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: impl Into<Bytes>) -> Traced {
        describe(&bytes.into(), "192.0.2.1:5060".parse().unwrap(), false, false)
    }

    #[test]
    fn start_lines() {
        let check = |line: &str, expected: &str| {
            let traced = told(format!("{line}\r\nCSeq: 1 X\r\n\r\n"));
            assert_eq!(traced.start_line, expected);
        };
        check("SIP/2.0 200 OK", "SIP/2.0 200 OK");
        check("SIP/2.0 200 \u{1b}[2J\tOK", "SIP/2.0 200 ?[2J?OK");
        check("INVITE sip:a@h SIP/2.0", "INVITE sip:a@h SIP/2.0");
        check("INVITE sip:a:secret@h SIP/2.0", "INVITE sip:a@h SIP/2.0");
        check("INVITE sips:a:se@cret@h;x SIP/2.0", "INVITE sips:a@h;x SIP/2.0");
        let long = told(format!("INVITE sip:u:{}@h SIP/2.0\r\n\r\n", "p".repeat(400)));
        assert!(long.start_line.len() <= MAX_START_LINE && !long.start_line.contains("ppp"), "{}", long.start_line);
        let wide = told(format!("SIP/2.0 200 {}\r\n\r\n", "é".repeat(400)));
        assert!(wide.start_line.len() <= MAX_START_LINE);
    }

    #[test]
    fn of_header_fields_only_two_are_told() {
        let text =
            "BYE sip:a@h SIP/2.0\r\ncseq: 7 BYE\r\nAuthorization: Digest secret\r\nReason: Q.850;cause=16\r\n\r\n";
        let traced = told(text);
        assert_eq!((traced.cseq.as_str(), traced.reason.as_deref()), ("7 BYE", Some("Q.850;cause=16")));
        assert!(traced.sdp.is_none() && !format!("{traced:?}").contains("secret"));
        assert_eq!(told("no message").start_line, "");
    }
}
