//! Where calls go: `sip:`, `sips:` and `tel:` URIs.

use std::collections::HashMap;

use super::shapes::host_port;
use crate::lines::item;
use crate::raw::{RawTrunk, RawTrunkGroup};
use crate::report::Report;
use crate::shape::suggestion;

/// The trunks there are.
pub(super) struct TrunkIds<'a> {
    /// And whether each is in use.
    ids: HashMap<&'a str, bool>,
    /// Some trunk's id could not be read, so that a missing one may be that.
    incomplete: bool,
}

impl<'a> TrunkIds<'a> {
    pub(super) fn of(trunks: &'a [RawTrunk], groups: &'a [RawTrunkGroup], report: &Report) -> Self {
        let broken = |at| report.is_broken(&format!("{}.id", item("trunks", at)));
        let broken_group = |at| report.is_broken(&format!("{}.id", item("trunk_groups", at)));
        let mut ids: HashMap<&str, bool> = trunks.iter().map(|trunk| (trunk.id.as_str(), trunk.enabled)).collect();
        for group in groups {
            let enabled = group.trunks.iter().any(|member| ids.get(member.id.as_str()) == Some(&true));
            ids.entry(&group.id).or_insert(enabled);
        }
        let incomplete = report.is_broken("trunks") || (0..trunks.len()).any(broken);
        let incomplete = incomplete || report.is_broken("trunk_groups") || (0..groups.len()).any(broken_group);
        Self { ids, incomplete }
    }

    /// Reports a trunk that does not exist, and says so of one that is switched off.
    pub(super) fn expect(&self, key: &str, id: &str, report: &mut Report) {
        match self.ids.get(id) {
            Some(true) => {}
            Some(false) => report.note(key, format!("trunk {id:?} is switched off")),
            None if self.incomplete => {}
            None => report.problem(key, format!("there is no trunk {id:?}{}", self.near(id))),
        }
    }

    fn has(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    fn near(&self, id: &str) -> String {
        suggestion(id, self.ids.keys().copied())
    }
}

/// Checks one destination; `app_trunk` is empty when the app has none.
pub(super) fn destination(
    key: &str,
    text: &str,
    app_trunk: &str,
    trunks: &TrunkIds<'_>,
    report: &mut Report,
) -> Option<()> {
    let uri = match parse(text) {
        Ok(uri) => uri,
        Err(message) => {
            report.problem(key, message);
            return None;
        }
    };
    match uri {
        Uri::Sip { secure, host } => {
            if secure {
                report.blocking_note(
                    key,
                    "sips is not active yet, and calls must not go out unencrypted instead",
                    true,
                );
            }
            if trunks.has(host) {
                trunks.expect(key, host, report);
                return Some(());
            }
            if let Err(message) = host_port(host) {
                report.problem(key, format!("{message}{}", trunks.near(host)));
                return None;
            }
            if app_trunk.is_empty() && !trunks.incomplete {
                report.problem(key, format!("{host:?} is no trunk and the app has none{}", trunks.near(host)));
            }
        }
        Uri::Tel => {
            if app_trunk.is_empty() {
                report.problem(key, "a tel URI names no trunk, and the app has none");
            }
        }
    }
    Some(())
}

/// What matters of a destination.
#[derive(Debug, PartialEq, Eq)]
enum Uri<'a> {
    /// `host` may be a trunk's id, or carry a port.
    Sip { secure: bool, host: &'a str },
    /// Goes to the app's trunk.
    Tel,
}

/// RFC 3261 section 19.1.1 and RFC 3966 section 3, as far as a destination may use them.
fn parse(text: &str) -> Result<Uri<'_>, String> {
    let not_one = || format!("{text:?} is no sip:, sips: or tel: URI");
    let (scheme, rest) = text.split_once(':').ok_or_else(not_one)?;
    match scheme.to_ascii_lowercase().as_str() {
        "sip" => sip(rest, false),
        "sips" => sip(rest, true),
        "tel" => tel(rest).ok_or_else(|| format!("{text:?} is no telephone number: write tel:+ and digits")),
        _ => Err(not_one()),
    }
}

fn sip(rest: &str, secure: bool) -> Result<Uri<'_>, String> {
    let (user, after) = match rest.rsplit_once('@') {
        Some((user, after)) => (Some(user), after),
        None => (None, rest),
    };
    if let Some(user) = user {
        if user.contains(':') {
            // Not quoted: what follows the colon is a password.
            return Err("must not hold a password: credentials belong to the trunk's auth".to_owned());
        }
        if user.is_empty() || !is_escaped(user, b"-_.!~*'()&=+$,;?/#") {
            return Err(format!("{user:?} is no user part: percent-encode what is neither letter nor digit"));
        }
    }
    if after.contains('?') {
        return Err("must not hold headers".to_owned());
    }
    let (host, parameters) = after.split_once(';').unwrap_or((after, ""));
    if !is_escaped(parameters, b"-_.!~*'()[]/:&+$;=") {
        return Err(format!("{parameters:?} are no URI parameters"));
    }
    if host.is_empty() {
        return Err("lacks a host".to_owned());
    }
    Ok(Uri::Sip { secure, host })
}

fn tel(rest: &str) -> Option<Uri<'_>> {
    let (number, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    let digits = number.strip_prefix('+').unwrap_or(number);
    let is_number = digits.bytes().all(|b| b.is_ascii_digit() || b"-.()*#".contains(&b));
    let has_digit = digits.bytes().any(|b| b.is_ascii_digit() || b == b'*' || b == b'#');
    let fits = digits.len() <= 64 && is_escaped(parameters, b"-_.!~*'()[]/:&+$;=");
    (is_number && has_digit && fits).then_some(Uri::Tel)
}

/// Letters, digits, `also`, and whole percent escapes.
fn is_escaped(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => {
                bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|b| b.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || also.contains(&byte),
        };
        if !good {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let sip = |host| Ok(Uri::Sip { secure: false, host });
        assert_eq!(parse("sip:agent@acme"), sip("acme"));
        assert_eq!(parse("SIP:+34600000000@10.0.0.1:5070;user=phone"), sip("10.0.0.1:5070"));
        assert_eq!(parse("sip:a%20b@[::1]"), sip("[::1]"));
        assert_eq!(parse("sip:acme"), sip("acme"));
        assert_eq!(parse("sips:a@b"), Ok(Uri::Sip { secure: true, host: "b" }));
        assert_eq!(parse("tel:+34-600-00-00-00"), Ok(Uri::Tel));
        assert_eq!(parse("tel:7042;phone-context=example.com"), Ok(Uri::Tel));
        for bad in [
            "",
            "agent",
            "agent@acme",
            "http://a",
            "sip:",
            "sip:@acme",
            "sip:a b@acme",
            "sip:a%2@acme",
            "sip:a:secret@acme",
            "sip:a@acme?X=1",
            "sip:a@acme;x=\r\n",
            "sip:a\r\nVia: x@acme",
            "tel:",
            "tel:abc",
            "tel:+",
        ] {
            let message = parse(bad).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
