//! STUN and TURN servers that browsers are told of.

use super::shapes::host_port;
use super::{every, seconds};
use crate::model::{IceCredentials, IceServer};
use crate::raw::RawIceServer;
use crate::report::Report;
use crate::secrets::Secrets;

pub(super) fn ice_servers(raw: &[RawIceServer], secrets: &Secrets<'_>, report: &mut Report) -> Option<Vec<IceServer>> {
    every("public.ice_servers", raw, |key, raw| ice_server(key, raw, secrets, report))
}

fn ice_server(key: &str, raw: &RawIceServer, secrets: &Secrets<'_>, report: &mut Report) -> Option<IceServer> {
    let urls_key = format!("{key}.urls");
    if raw.urls.is_empty() {
        report.problem(&urls_key, "must name at least one");
    }
    let relays = every(&urls_key, &raw.urls, |key, url| match is_relay(url) {
        Ok(relay) => Some(relay),
        Err(message) => {
            report.problem(key, message);
            None
        }
    });
    let credentials = credentials(key, raw, secrets, report);
    let (relays, credentials) = (relays?, credentials?);
    let bare = matches!(credentials, IceCredentials::None);
    if relays.contains(&true) && bare {
        report.problem(key, "a TURN server needs username and credential, or secret");
    } else if !relays.contains(&true) && !bare {
        report.problem(key, "a STUN server takes no credentials");
    }
    Some(IceServer { urls: raw.urls.clone(), credentials })
}

fn credentials(key: &str, raw: &RawIceServer, secrets: &Secrets<'_>, report: &mut Report) -> Option<IceCredentials> {
    let credential_key = format!("{key}.credential");
    let credential = secrets.optional(report, &credential_key, &raw.credential);
    let secret = secrets.optional(report, &format!("{key}.secret"), &raw.secret);
    // Both go into a header field.
    let plain = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !plain(&raw.username) {
        report.problem(&format!("{key}.username"), "holds a character that is not printable ASCII");
    }
    if credential.as_ref().is_some_and(|credential| !plain(credential.reveal())) {
        report.problem(&credential_key, "holds a character that is not printable ASCII");
    }
    match (raw.username.is_empty(), credential, secret) {
        (true, None, None) => Some(IceCredentials::None),
        (false, Some(credential), None) => Some(IceCredentials::Fixed { username: raw.username.clone(), credential }),
        (true, None, Some(secret)) => Some(IceCredentials::Shared { secret, ttl: seconds(raw.ttl_seconds) }),
        (_, _, Some(_)) => {
            report.problem(&format!("{key}.secret"), "stands instead of username and credential");
            None
        }
        (true, Some(_), None) => {
            report.problem(&format!("{key}.username"), "is missing, though there is a credential");
            None
        }
        (false, None, None) => {
            report.problem(&credential_key, "is missing, though there is a user name");
            None
        }
    }
}

/// Whether it is a TURN server's (RFC 7064 section 3.1, RFC 7065 section 3.1).
fn is_relay(url: &str) -> Result<bool, String> {
    let no_url = || format!("{url:?} is no stun:, stuns:, turn: or turns: URL");
    let (scheme, rest) = url.split_once(':').ok_or_else(no_url)?;
    let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    let relay = match scheme {
        "turn" | "turns" => true,
        "stun" | "stuns" => false,
        _ => return Err(no_url()),
    };
    host_port(address)?;
    match query {
        None => Ok(relay),
        Some("transport=udp" | "transport=tcp") if relay => Ok(relay),
        Some(query) => Err(format!("{query:?} is nothing a {scheme} URL may ask for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for stun in ["stun:stun.example.net", "stuns:192.0.2.1:5349", "stun:[2001:db8::1]:3478"] {
            assert_eq!(is_relay(stun), Ok(false), "{stun}");
        }
        for turn in ["turn:turn.example.net?transport=udp", "turns:turn.example.net:443?transport=tcp", "turn:[::1]"] {
            assert_eq!(is_relay(turn), Ok(true), "{turn}");
        }
        for bad in [
            "",
            "stun:",
            "stun://x",
            "turn:u@x",
            "turn:x?transport=tls",
            "stun:x?transport=udp",
            "http:x",
            "turn:a b",
            "turn:x>",
        ] {
            assert!(is_relay(bad).is_err(), "{bad}");
        }
    }
}
