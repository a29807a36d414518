//! `trunks.inbound`

use std::net::IpAddr;

use super::every;
use super::shapes::{is_host, is_id};
use super::trunks::auth;
use crate::lines::join;
use crate::model::{Inbound, Network, Number, Receive, Strangers};
use crate::raw::{RawApp, RawInbound, RawReceive, RawStrangers, RawTrunk};
use crate::report::Report;
use crate::secrets::Secrets;

/// `None`: there is a mistake; `Some(None)`: no calls are taken.
pub(super) fn inbound(
    key: &str,
    raw: &RawInbound,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Option<Inbound>> {
    let allow = every(&format!("{key}.allow"), &raw.allow, |key, text| {
        let network = network(text);
        if network.is_none() {
            let message =
                format!("{text:?} is no address, and no network as 192.0.2.0/24 without bits beyond its prefix");
            report.problem(key, message);
        }
        network
    });
    let auth = auth(key, &raw.auth, secrets, report);
    let mut numbers = Vec::new();
    for (number, who) in &raw.numbers {
        match who.split_once('/').filter(|(_, name)| is_id(name)) {
            Some((app, name)) => numbers.push(Number { number: number.clone(), app: app.into(), name: name.into() }),
            None => report.problem(&join(&format!("{key}.numbers"), number), format!("{who:?} is not app/name")),
        }
    }
    let hosts = every(&format!("{key}.hosts"), &raw.hosts, |key, text| {
        if !is_host(text) {
            report.problem(key, format!("{text:?} is no host name or address"));
        }
        is_host(text).then(|| text.clone())
    });
    let inbound = Inbound { allow: allow?, auth, numbers, hosts: hosts? };
    Some(Some(inbound).filter(|_| raw.enabled))
}

/// The apps that numbers name.
pub(super) fn known_apps(trunks: &[RawTrunk], apps: &[RawApp], report: &mut Report) {
    for (at, trunk) in trunks.iter().enumerate() {
        let key = format!("{}.inbound.numbers", crate::lines::item("trunks", at));
        for (number, who) in &trunk.inbound.numbers {
            let app = who.split('/').next().unwrap_or_default();
            if !apps.iter().any(|known| known.id == app) {
                report.problem(&join(&key, number), format!("there is no app {app:?}"));
            }
        }
    }
}

pub(super) fn receive(raw: RawReceive) -> Receive {
    match raw {
        RawReceive::Off => Receive::Off,
        RawReceive::BackEnd => Receive::BackEnd,
        RawReceive::Widget => Receive::Widget,
    }
}

pub(super) fn strangers(raw: RawStrangers) -> Strangers {
    match raw {
        RawStrangers::Refuse => Strangers::Refuse,
        RawStrangers::Silent => Strangers::Silent,
    }
}

fn network(text: &str) -> Option<Network> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let (number, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let bits: u8 = bits.map_or(Some(width), |bits| bits.parse().ok()).filter(|bits| *bits <= width)?;
    let beyond = u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
    (number & beyond == 0).then_some(Network { address, bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), shown);
        }
        for bad in ["", "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/x", "host", "2001:db8::1/32"] {
            assert_eq!(network(bad), None, "{bad}");
        }
    }
}
