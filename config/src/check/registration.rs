//! `trunks.registration`

use super::seconds;
use super::shapes::host_port;
use super::trunks::target;
use crate::lines::item;
use crate::model::{Registration, TrunkAuth, TrunkTarget};
use crate::raw::RawTrunk;
use crate::report::Report;

/// What is registered; `None` if the trunk is not to be registered with, or something is wrong with it.
pub(super) fn registration(
    key: &str,
    raw: &RawTrunk,
    (main, auth): (Option<&TrunkTarget>, Option<&TrunkAuth>),
    report: &mut Report,
) -> Option<Registration> {
    let (table, key) = (&raw.registration, format!("{key}.registration"));
    let registrars = registrars(&format!("{key}.registrars"), &table.registrars, main, report);
    let address_key = format!("{key}.address");
    let address = match (table.address.as_str(), auth, registrars.first()) {
        ("", None, _) if raw.register => {
            report.problem(&address_key, "is missing, and there is no auth.username to take its place");
            None
        }
        ("", None, _) | ("", Some(_), None) => None,
        ("", Some(auth), Some(first)) => Some(format!("sip:{}@{}", escaped(&auth.username), bracketed(&first.host))),
        (text, ..) => said(&address_key, sip_uri(text, true).map(|()| text.to_owned()), report),
    };
    for (at, contact) in table.contacts.iter().enumerate() {
        said(&item(&format!("{key}.contacts"), at), sip_uri(contact, false), report);
    }
    if table.retry_max_seconds < table.retry_seconds {
        report.problem(&format!("{key}.retry_max_seconds"), "must not be less than retry_seconds");
    }
    let address_of_record = address.filter(|_| raw.register && !registrars.is_empty())?;
    Some(Registration {
        registrars,
        address_of_record,
        contacts: table.contacts.clone(),
        expires_seconds: table.expires_seconds,
        retry: seconds(table.retry_seconds),
        retry_max: seconds(table.retry_max_seconds),
    })
}

fn registrars(key: &str, named: &[String], main: Option<&TrunkTarget>, report: &mut Report) -> Vec<TrunkTarget> {
    if named.is_empty() {
        return main.cloned().into_iter().collect();
    }
    let mut found: Vec<TrunkTarget> = Vec::new();
    for (at, text) in named.iter().enumerate() {
        let Some(registrar) = said(&item(key, at), target(text), report) else { continue };
        if found.contains(&registrar) {
            report.problem(&item(key, at), "is listed twice");
        } else {
            found.push(registrar);
        }
    }
    found
}

fn said<T>(key: &str, result: Result<T, String>, report: &mut Report) -> Option<T> {
    result.map_err(|message| report.problem(key, message)).ok()
}

/// `sip:user@host`, elsewhere with a port and parameters too.
fn sip_uri(text: &str, is_address: bool) -> Result<(), String> {
    let wrong = || Err(format!("{text:?} is no SIP URI, as sip:user@example.com"));
    let lower = text.to_ascii_lowercase();
    let Some(rest) = ["sip:", "sips:"].iter().find_map(|scheme| lower.strip_prefix(scheme)) else { return wrong() };
    let good = |byte: u8| byte.is_ascii_graphic() && !b"<>\",?\\".contains(&byte);
    let Some((user, rest)) = rest.split_once('@').filter(|_| rest.bytes().all(good)) else { return wrong() };
    let (host, parameters) = rest.split_once(';').map_or((rest, None), |(host, rest)| (host, Some(rest)));
    if user.is_empty() || user.contains(':') || parameters.is_some_and(|rest| rest.split(';').any(str::is_empty)) {
        return wrong();
    }
    let (_, port) = host_port(host)?;
    if is_address && (port.is_some() || parameters.is_some()) {
        return Err("must not hold a port or parameters: it says who, not where".to_owned());
    }
    Ok(())
}

/// A user part (RFC 3261 section 25.1).
fn escaped(user: &str) -> String {
    let mut out = String::new();
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        for good in ["sip:acme@example.com", "SIPS:+34910000000@[2001:db8::1]", "sip:a%20b@192.0.2.1"] {
            assert_eq!(sip_uri(good, true), Ok(()), "{good}");
        }
        for good in ["sip:acme@192.0.2.1:5070", "sip:a@h.example;transport=tcp;x"] {
            assert_eq!(sip_uri(good, false), Ok(()), "{good}");
            assert!(sip_uri(good, true).is_err(), "{good}");
        }
        for bad in [
            "",
            "acme@h",
            "tel:+1",
            "sip:h",
            "sip:@h",
            "sip:u:secret@h",
            "sip:u@",
            "sip:u@h;",
            "sip:u@h>x",
            "sip:u@a@b",
            "sip:ä@h",
        ] {
            assert!(sip_uri(bad, false).is_err(), "{bad}");
        }
        assert_eq!(escaped("a b@c"), "a%20b%40c");
    }
}
