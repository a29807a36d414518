//! From what was read to what is true: the rules no type can state, section by section.
//!
//! Every check reports what is wrong and goes on; a section with a problem becomes `None`, and so does the whole.

mod answer;
mod apps;
mod calls;
mod clashes;
mod context;
mod destinations;
mod hours;
mod ice;
mod inbound;
mod integrations;
mod media;
mod public;
mod quality;
mod registration;
mod shapes;
mod sip;
mod tls;
mod tokens;
mod tones;
mod trunk_groups;
mod trunks;
mod urls;
mod validity;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::host::Host;
use crate::lines::item;
use crate::model::{Codec, Config, Node, Outbound};
use crate::raw::{Raw, RawCodec, RawNode, RawTrunks};
use crate::report::Report;
use crate::secrets::Secrets;

/// The configuration, if nothing is wrong with it.
pub(crate) fn check(raw: &Raw, host: &Host, secrets: &Secrets<'_>, report: &mut Report) -> Option<Config> {
    let node = node(&raw.node, secrets, report);
    let public = public::public(&raw.public, host, secrets, report);
    let control = public::control(&raw.control, secrets, report);
    let media = media::media(&raw.media, host, secrets, report);
    let sip = sip::sip(&raw.sip, host, secrets, report);
    let quality = quality::quality(&raw.quality, report);
    let outbound =
        authorities("outbound.tls_ca", &raw.outbound.tls_ca, secrets, report).map(|tls_ca| Outbound { tls_ca });
    let trunks = trunks::trunks(&raw.trunks, sip.as_ref(), host, secrets, report);
    let raw_trunks = RawTrunks { trunks: &raw.trunks, groups: &raw.trunk_groups };
    let trunk_groups = trunk_groups::trunk_groups(&raw_trunks, report);
    let apps = apps::apps(&raw.apps, &raw_trunks, secrets, report);
    inbound::known_apps(&raw.trunks, &raw.apps, report);
    if let (Some(public), Some(control)) = (&public, &control) {
        clashes::tcp(public, control, media.as_ref(), sip.as_ref(), report);
    }
    if let (Some(media), Some(sip)) = (&media, &sip) {
        clashes::udp(media, sip, host, report);
        sip::rtp_address(media, sip, report);
    }
    if let (Some(public), Some(media)) = (&public, &media) {
        media::reachable(public, media, report);
    }
    Some(Config {
        node: node?,
        public: public?,
        control: control?,
        media: media?,
        sip: sip?,
        quality: quality?,
        records: quality::records(&raw.records),
        events: quality::events(&raw.events),
        outbound: outbound?,
        trunks: trunks?,
        trunk_groups: trunk_groups?,
        apps: apps?,
    })
}

fn node(raw: &RawNode, secrets: &Secrets<'_>, report: &mut Report) -> Option<Node> {
    if raw.data_dir.is_empty() {
        report.problem("node.data_dir", "must not be empty");
    }
    id("node.name", &raw.name, report)?;
    Some(Node { name: raw.name.clone(), data_dir: path(&raw.data_dir, secrets), drain: seconds(raw.drain_seconds) })
}

/// Reports an id no key, destination or metric could carry.
fn id(key: &str, text: &str, report: &mut Report) -> Option<()> {
    if shapes::is_id(text) {
        return Some(());
    }
    report.problem(key, "must be 1 to 64 of the characters a-z A-Z 0-9 _ - .");
    None
}

/// Reports ids that occur twice; `keys` are the full keys with their ids.
fn unique<'a>(ids: impl Iterator<Item = (String, &'a str)>, report: &mut Report) {
    let mut seen: HashMap<&str, String> = HashMap::new();
    for (key, id) in ids {
        // What is no id at all has been reported, and stand-ins for it are all alike.
        if id.is_empty() || report.is_broken(&key) {
            continue;
        }
        match seen.get(id) {
            Some(first) => report.problem(&key, format!("{id:?} is taken by {first}")),
            None => {
                seen.insert(id, key);
            }
        }
    }
}

/// `address:port`
fn listen(key: &str, text: &str, report: &mut Report) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        report.problem(key, format!("{text:?} is no address and port, as 127.0.0.1:8080 or [::1]:8080"));
    }
    address
}

/// `address:port`, or nothing; the outer `None` is a problem.
#[expect(clippy::option_option, reason = "absent and broken are two things")]
fn listen_if_any(key: &str, text: &str, report: &mut Report) -> Option<Option<SocketAddr>> {
    if text.is_empty() { Some(None) } else { listen(key, text, report).map(Some) }
}

fn ip(key: &str, text: &str, report: &mut Report) -> Option<IpAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        report.problem(key, format!("{text:?} is no IP address"));
    }
    address
}

/// An address others are told, which therefore must be somewhere.
fn told_ip(key: &str, text: &str, report: &mut Report) -> Option<IpAddr> {
    let address = ip(key, text, report)?;
    if address.is_unspecified() || address.is_multicast() {
        report.problem(key, format!("{address} is nobody's address"));
        return None;
    }
    Some(address)
}

/// Every one of a list, or `None` if any is a problem.
fn every<R, T>(key: &str, raw: &[R], mut one: impl FnMut(&str, &R) -> Option<T>) -> Option<Vec<T>> {
    // All are looked at before the verdict, so that all problems are found.
    let checked: Vec<Option<T>> = raw.iter().enumerate().map(|(at, raw)| one(&item(key, at), raw)).collect();
    checked.into_iter().collect()
}

fn codecs(key: &str, raw: &[RawCodec], report: &mut Report) -> Vec<Codec> {
    let mut codecs = Vec::new();
    for (at, raw) in raw.iter().enumerate() {
        let codec = match raw {
            RawCodec::Opus => Codec::Opus,
            RawCodec::G722 => Codec::G722,
            RawCodec::Pcmu => Codec::Pcmu,
            RawCodec::Pcma => Codec::Pcma,
        };
        if codecs.contains(&codec) {
            report.problem(&item(key, at), format!("{codec} is listed twice"));
        }
        codecs.push(codec);
    }
    if codecs.is_empty() {
        report.problem(key, "must name at least one codec");
    }
    codecs
}

fn path(text: &str, secrets: &Secrets<'_>) -> PathBuf {
    secrets.base_dir.join(text)
}

/// A file of certificate authorities, or nothing; the outer `None` is a problem.
#[expect(clippy::option_option, reason = "absent and broken are two things")]
fn authorities(key: &str, text: &str, secrets: &Secrets<'_>, report: &mut Report) -> Option<Option<PathBuf>> {
    let file = (!text.is_empty()).then(|| path(text, secrets));
    if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
        report.problem(key, format!("{} is no file", file.display()));
        return None;
    }
    Some(file)
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn text_if_any(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
