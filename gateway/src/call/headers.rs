//! What travels with an INVITE: the back end's own `X-` header fields and the session's context as `X-C2C-<key>`.
//! Values are the visitor's: they are cleaned so that none can become a header field of its own.

use crate::session::Session;

/// Most further header fields in an INVITE.
pub const MAX_FIELDS: usize = 16;
/// Longest value, octets after encoding.
pub const MAX_VALUE: usize = 256;
/// What an INVITE may measure in all. RFC 3261 section 18.1.1 sends anything above 1300 octets over TCP; a UDP trunk
/// behind a tunnel may lose it.
pub const MAX_INVITE: usize = 1_250;
/// Octets of an INVITE beside Request-URI, SDP and further fields: request line, Via, From, Call-ID, CSeq, Contact,
/// Max-Forwards, Allow, Supported, User-Agent, Content-*, blank line, and an Authorization is not counted.
const BASE: usize = 610;

/// Header fields in order, name and value.
pub type Fields = Vec<(String, String)>;

/// The clean fields of a session, within the number limit, and how many were dropped. Of two names that differ only in
/// case the first is kept: header field names are case-insensitive, context keys are not.
#[must_use]
pub fn of_session(session: &Session) -> (Fields, usize) {
    let own = session.headers.iter().map(|(name, value)| (name.clone(), value));
    let context = session.context.iter().map(|(key, value)| (format!("X-C2C-{key}"), value));
    let mut fields = Fields::new();
    let mut dropped = 0;
    for (name, value) in own.chain(context) {
        let taken = fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(&name));
        if is_name(&name) && !taken && fields.len() < MAX_FIELDS {
            fields.push((name, clean(value)));
        } else {
            dropped += 1;
        }
    }
    (fields, dropped)
}

/// As many fields as an INVITE has room for, first come first kept, and how many were dropped.
#[must_use]
pub fn fit(fields: &Fields, request_uri: &str, sdp: &str) -> (Fields, usize) {
    // The URI stands in the request line and in To.
    let used = BASE.saturating_add(request_uri.len().saturating_mul(2)).saturating_add(sdp.len());
    let mut room = MAX_INVITE.saturating_sub(used);
    let mut kept = Fields::new();
    for (name, value) in fields {
        let size = name.len().saturating_add(value.len()).saturating_add(4);
        if let Some(left) = room.checked_sub(size) {
            room = left;
            kept.push((name.clone(), value.clone()));
        }
    }
    let dropped = fields.len().saturating_sub(kept.len());
    (kept, dropped)
}

/// `X-` and an RFC 3261 token.
fn is_name(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    name.len() > 2
        && name.len() <= 80
        && name.get(..2).is_some_and(|x| x.eq_ignore_ascii_case("x-"))
        && name.bytes().all(token)
}

/// Controls become spaces; whatever is not ASCII, and `%` itself, is percent-encoded; cut where it grows too long, never
/// inside a character.
fn clean(value: &str) -> String {
    let mut out = String::new();
    let mut unit = String::new();
    for c in value.trim().chars() {
        unit.clear();
        if c.is_control() {
            unit.push(' ');
        } else if c.is_ascii() && c != '%' {
            unit.push(c);
        } else {
            let mut utf8 = [0; 4];
            c.encode_utf8(&mut utf8).bytes().for_each(|b| unit.push_str(&format!("%{b:02X}")));
        }
        if out.len().saturating_add(unit.len()) > MAX_VALUE {
            break;
        }
        out.push_str(&unit);
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_cleaned() {
        let rows = [
            ("gold", "gold"),
            ("a\r\nEvil: 1", "a  Evil: 1"),
            ("nul\0tab\t", "nul tab"),
            ("Köln", "K%C3%B6ln"),
            ("100 %", "100 %25"),
            ("  both ends ", "both ends"),
            ("\u{85}x", "x"),
        ];
        for (value, expected) in rows {
            assert_eq!(clean(value), expected);
        }
    }

    #[test]
    fn only_tokens_that_begin_with_x_are_names() {
        for good in ["X-Case", "x-a", "X-C2C-Order_Id.1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "X-", "Via", "X-a b", "X-a:", "X-a\r\n", "Xé-a", "é-a"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let fields: Fields = (0..10).map(|n| (format!("X-F{n}"), "v".repeat(100))).collect();
        let (kept, dropped) = fit(&fields, "sip:agent@192.0.2.1:5060", &"s".repeat(250));
        assert_eq!((kept.len(), dropped), (3, 7));
        let (kept, dropped) = fit(&fields, "sip:a@b", &"s".repeat(2_000));
        assert_eq!((kept.len(), dropped), (0, 10));
    }

    proptest! {
        #[test]
        fn a_clean_value_is_printable_ascii_within_the_limit(value in any::<String>()) {
            let value = clean(&value);
            prop_assert!(value.len() <= MAX_VALUE);
            prop_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)));
        }
    }
}
