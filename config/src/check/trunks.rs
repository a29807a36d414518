//! `[[trunks]]`

use super::calls::calls;
use super::context::{context_fields, user_to_user};
use super::registration::registration;
use super::shapes::host_port;
use super::tones::tones;
use super::urls::is_local;
use super::{codecs, every, id, seconds, unique};
use crate::host::Host;
use crate::lines::item;
use crate::model::{BrowserAudio, Dtmf, RtpSource, Sip, SipTransport, Srtp, Transfers, Trunk, TrunkAuth, TrunkTarget};
use crate::raw::{RawAuth, RawBrowserAudio, RawDtmf, RawJitterBuffer, RawRtpSource, RawSrtp, RawTransfers, RawTrunk};
use crate::report::Report;
use crate::secrets::Secrets;

/// The least session interval, seconds (RFC 4028 section 4).
const MIN_SESSION: u32 = 90;

pub(super) fn trunks(
    raw: &[RawTrunk],
    sip: Option<&Sip>,
    host: &Host,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Vec<Trunk>> {
    let ids = raw.iter().enumerate().map(|(at, trunk)| (format!("{}.id", item("trunks", at)), trunk.id.as_str()));
    unique(ids, report);
    let trunks = every("trunks", raw, |key, raw| trunk(key, raw, host, secrets, report))?;
    one_certificate_each(&trunks, report);
    if let Some(sip) = sip {
        within_reach(&trunks, sip, report);
    }
    Some(trunks)
}

fn trunk(key: &str, raw: &RawTrunk, host: &Host, secrets: &Secrets<'_>, report: &mut Report) -> Option<Trunk> {
    let id = id(&format!("{key}.id"), &raw.id, report);
    let target_key = format!("{key}.target");
    let target = match target(&raw.target) {
        Ok(target) => Some(target),
        Err(message) => {
            report.problem(&target_key, message);
            None
        }
    };
    let tls = raw.tls.as_ref().map(|tls| super::tls::tls(&format!("{key}.tls"), tls, host, secrets, report));
    let codecs = codecs(&format!("{key}.codecs"), &raw.codecs, report);
    let auth = auth(key, &raw.auth, secrets, report);
    let inbound = super::inbound::inbound(&format!("{key}.inbound"), &raw.inbound, secrets, report);
    let outbound_proxy = proxy(&format!("{key}.outbound_proxy"), &raw.outbound_proxy, report);
    let registration = registration(key, raw, (target.as_ref(), auth.as_ref()), report);
    if (1..MIN_SESSION).contains(&raw.session_expires_seconds) {
        let message = format!("must be 0 (off) or {MIN_SESSION} and more");
        report.problem(&format!("{key}.session_expires_seconds"), message);
    }
    for (at, status) in raw.failover_statuses.iter().enumerate() {
        if *status != 408 && !(500..=599).contains(status) {
            report.problem(&item(&format!("{key}.failover_statuses"), at), "must be 408 or 500 to 599");
        }
    }
    let context_fields = context_fields(&format!("{key}.context_fields"), &raw.context_fields, report);
    let user_to_user = user_to_user(&format!("{key}.user_to_user"), &raw.user_to_user, report);
    let calls = calls(&format!("{key}.calls"), &raw.calls, report);
    let tones = tones(&format!("{key}.tones"), &raw.tones, report);
    let warning = (raw.max_duration_warning_seconds > 0).then(|| seconds(raw.max_duration_warning_seconds));
    let trunk = Trunk {
        id: raw.id.clone(),
        target: target?,
        codecs,
        browser_audio: match raw.browser_audio {
            RawBrowserAudio::Relay => BrowserAudio::Relay,
            RawBrowserAudio::Elastic => BrowserAudio::Elastic,
            RawBrowserAudio::Opus => BrowserAudio::Opus,
        },
        transparent: match raw.jitter_buffer {
            RawJitterBuffer::Adaptive => false,
            RawJitterBuffer::Transparent => true,
        },
        srtp: match raw.srtp {
            RawSrtp::Off => Srtp::Off,
            RawSrtp::Optional => Srtp::Optional,
            RawSrtp::Required => Srtp::Required,
        },
        auth,
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        registration,
        outbound_proxy,
        options: (raw.options_seconds > 0).then(|| seconds(raw.options_seconds)),
        dtmf: match raw.dtmf {
            RawDtmf::Auto => Dtmf::Auto,
            RawDtmf::Rfc4733 => Dtmf::Rfc4733,
            RawDtmf::Info => Dtmf::Info,
            RawDtmf::Inband => Dtmf::Inband,
        },
        max_calls: raw.max_calls,
        max_calls_per_second: raw.max_calls_per_second,
        failover_statuses: raw.failover_statuses.clone(),
        ring_timeout: seconds(raw.ring_timeout_seconds),
        max_duration: seconds(raw.max_duration_seconds),
        session_expires: raw.session_expires_seconds,
        enabled: raw.enabled,
        rtp_source: match raw.rtp_source {
            RawRtpSource::Signalled => RtpSource::Signalled,
            RawRtpSource::Latch => RtpSource::Latch,
        },
        transfers: match raw.transfers {
            RawTransfers::Off => Transfers::Off,
            RawTransfers::Bridge => Transfers::Bridge,
        },
        max_duration_warning: warning,
        context_fields: context_fields?,
        user_to_user: user_to_user?,
        inbound: inbound?,
        calls: calls?,
        tones: tones?,
    };
    keys_in_clear(key, &trunk, report);
    id.map(|()| trunk)
}

fn proxy(key: &str, text: &str, report: &mut Report) -> Option<TrunkTarget> {
    if text.is_empty() {
        return None;
    }
    target(text).map_err(|message| report.problem(key, message)).ok()
}

/// `[sip:|sips:]host[:port][;transport=udp|tcp|tls]`
pub(super) fn target(text: &str) -> Result<TrunkTarget, String> {
    let (secure, rest) = match text.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sip") => (false, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sips") => (true, rest),
        Some(_) | None => (false, text),
    };
    let (address, parameters) = rest.split_once(';').unwrap_or((rest, ""));
    if address.contains('@') {
        // Not quoted: there may be a password before the @.
        return Err("must not hold a user: credentials belong to auth, users to destinations".to_owned());
    }
    let (host, port) = host_port(address)?;
    let mut transport = None;
    for parameter in parameters.split(';').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !name.eq_ignore_ascii_case("transport") {
            return Err(format!("{name:?} is no parameter of a target: only transport is"));
        }
        transport = match value.to_ascii_lowercase().as_str() {
            "udp" if !secure => Some(SipTransport::Udp),
            "tcp" if !secure => Some(SipTransport::Tcp),
            "tls" => Some(SipTransport::Tls),
            "udp" | "tcp" => return Err(format!("sips: and transport={value} contradict each other")),
            _ => return Err(format!("transport {value:?} is none of udp, tcp, tls")),
        };
    }
    Ok(TrunkTarget { host: host.to_owned(), port, transport, secure })
}

pub(super) fn auth(key: &str, raw: &RawAuth, secrets: &Secrets<'_>, report: &mut Report) -> Option<TrunkAuth> {
    let password_key = format!("{key}.auth.password");
    let password = secrets.optional(report, &password_key, &raw.password);
    match (raw.username.is_empty(), password) {
        (true, None) => None,
        (true, Some(_)) => {
            report.problem(&format!("{key}.auth.username"), "is missing, though there is a password");
            None
        }
        (false, None) => {
            report.problem(&password_key, "is missing, though there is a user name");
            None
        }
        (false, Some(password)) => {
            if raw.username.chars().any(|c| c.is_control() || c == '"') {
                report.problem(&format!("{key}.auth.username"), "holds a character no user name may have");
            }
            Some(TrunkAuth { username: raw.username.clone(), password })
        }
    }
}

/// What is shown to a peer is found by the name it is asked for.
fn one_certificate_each(trunks: &[Trunk], report: &mut Report) {
    for (at, trunk) in trunks.iter().enumerate() {
        let Some(tls) = &trunk.tls else { continue };
        let is_like = |other: &&Trunk| {
            other.target.host.eq_ignore_ascii_case(&trunk.target.host)
                && other.tls.as_ref().is_some_and(|other| other.certificate != tls.certificate)
        };
        if let Some(other) = trunks.iter().take(at).find(is_like) {
            let message = format!("{} is shown another certificate by trunk {:?}", trunk.target.host, other.id);
            report.problem(&format!("{}.tls", item("trunks", at)), message);
        }
    }
}

/// RFC 4568 section 8.3: keys are as secret as the messages they travel in.
fn keys_in_clear(key: &str, trunk: &Trunk, report: &mut Report) {
    if trunk.srtp != Srtp::Off && trunk.target.transport != Some(SipTransport::Tls) {
        let message = "the keys travel in SIP messages that are not encrypted themselves: use ;transport=tls";
        report.note(&format!("{key}.srtp"), message);
    }
}

/// A socket on loopback leads nowhere else.
fn within_reach(trunks: &[Trunk], sip: &Sip, report: &mut Report) {
    for (at, trunk) in trunks.iter().enumerate() {
        if trunk.enabled && sip.udp().all(|own| own.ip().is_loopback()) && !is_local(&trunk.target.host) {
            let message =
                format!("sip.udp_listen is a loopback address, from which {} is out of reach", trunk.target.host);
            report.note(&format!("{}.target", item("trunks", at)), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let check = |text: &str, host: &str, port, transport, known| {
            let checked = target(text).unwrap();
            assert_eq!((checked.host.as_str(), checked.port, checked.transport), (host, port, transport), "{text}");
            assert_eq!(checked.known_transport(), known, "{text}");
            assert_eq!(checked.secure, text.starts_with("sips"), "{text}");
        };
        let [udp, tcp, tls] = [SipTransport::Udp, SipTransport::Tcp, SipTransport::Tls].map(Some);
        check("sip:127.0.0.1:5070", "127.0.0.1", Some(5070), None, udp);
        check("127.0.0.1:5070", "127.0.0.1", Some(5070), None, udp);
        check("192.0.2.1", "192.0.2.1", None, None, udp);
        check("sip.example.com:5060", "sip.example.com", Some(5060), None, udp);
        check("sip.example.com", "sip.example.com", None, None, None);
        check("SIP:[2001:db8::1]:5060;Transport=TCP", "2001:db8::1", Some(5060), tcp, tcp);
        check("example.com;transport=tls", "example.com", None, tls, tls);
        check("example.com;transport=udp", "example.com", None, udp, udp);
        check("sips:example.com", "example.com", None, None, tls);
        for bad in
            ["", "sip:", "sip:a b", "sip:u:secret@h", "h;lr", "h;transport=ws", "sips:h;transport=udp", "2001:db8::1"]
        {
            let message = target(bad).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
