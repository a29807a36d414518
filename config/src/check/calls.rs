//! How calls over a trunk are made.

use super::every;
use super::shapes::is_host;
use crate::model::{Calls, ReliableProvisional};
use crate::raw::{RawCalls, RawPassed, RawPrivacy, RawReliable};
use crate::report::Report;

/// Longest name or URI that is said of a caller.
const MAX_NAME: usize = 128;

pub(super) fn calls(key: &str, raw: &RawCalls, report: &mut Report) -> Option<Calls> {
    let redirect_hosts = every(&format!("{key}.redirect_hosts"), &raw.redirect_hosts, |key, host| {
        let known = is_host(host) || host.parse::<std::net::IpAddr>().is_ok();
        if !known {
            report.problem(key, format!("{host:?} is no host name or address"));
        }
        known.then(|| host.to_ascii_lowercase())
    });
    let is_name = |text: &str| text.len() <= MAX_NAME && !text.chars().any(char::is_control);
    let mut sound = true;
    if raw.from_user.is_empty() || !is_name(&raw.from_user) {
        report.problem(&format!("{key}.from_user"), "must be 1 to 128 octets without control characters");
        sound = false;
    }
    if !is_name(&raw.from_name) {
        report.problem(&format!("{key}.from_name"), "must be at most 128 octets without control characters");
        sound = false;
    }
    if !raw.asserted_identity.is_empty() && !is_identity(&raw.asserted_identity) {
        report.problem(&format!("{key}.asserted_identity"), "must be a sip:, sips: or tel: URI");
        sound = false;
    }
    let words: Vec<&str> = raw.privacy.iter().map(|word| privacy(*word)).collect();
    let passed = raw.pass_headers.iter().map(|passed| match passed {
        RawPassed::Diversion => "Diversion",
        RawPassed::HistoryInfo => "History-Info",
    });
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let calls = Calls {
        reliable: match raw.reliable_provisional {
            RawReliable::Off => ReliableProvisional::Off,
            RawReliable::Supported => ReliableProvisional::Supported,
            RawReliable::Required => ReliableProvisional::Required,
        },
        late_offer: raw.late_offer,
        redirects: raw.redirects,
        redirect_hosts: redirect_hosts?,
        from_user: raw.from_user.clone(),
        from_name: said(&raw.from_name),
        asserted_identity: said(&raw.asserted_identity),
        privacy: said(&words.join(";")),
        pass_headers: passed.collect(),
    };
    sound.then_some(calls)
}

fn privacy(word: RawPrivacy) -> &'static str {
    match word {
        RawPrivacy::Id => "id",
        RawPrivacy::Header => "header",
        RawPrivacy::Session => "session",
        RawPrivacy::User => "user",
        RawPrivacy::Critical => "critical",
    }
}

/// It stands between angle brackets: nothing that could end them.
fn is_identity(text: &str) -> bool {
    let schemes = ["sip:", "sips:", "tel:"];
    let known = schemes.iter().any(|scheme| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && text.len() > scheme.len()
    });
    known && text.len() <= MAX_NAME && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\",".contains(&byte))
}
