//! Whether a call is for this gateway at all: the host of its Request-URI (RFC 3261 section 8.2.2.1).

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use trunkline_config::{Config, Trunk};
use trunkline_signaling::message::{Host, Uri};

/// What a host is held against.
pub struct Ours<'a> {
    /// Listeners, addresses and names as configured.
    pub config: &'a Config,
    /// Who calls; its own names may stand for us, and others that it is configured with.
    pub trunk: &'a Trunk,
    /// Where the trunk was told that we are: behind a NAT nobody else knows.
    pub told: &'a [Host],
    /// Whether an address is one of this machine's, for listeners at all of them.
    pub is_local: fn(IpAddr) -> bool,
}

impl Ours<'_> {
    /// Whether a call to this host is one to us. Of names only whoever gave them knows: while `inbound.hosts` lists none,
    /// any name is.
    #[must_use]
    pub fn has(&self, host: &Host) -> bool {
        let listed = self.trunk.inbound.as_ref().map_or(&[][..], |inbound| &inbound.hosts);
        let is_open = listed.is_empty() && matches!(host, Host::Name(_));
        is_open
            || self.told.contains(host)
            || self.texts(listed).any(|text| is_same(text, host))
            || self.registered().any(|own| own == *host)
            || matches!(host, Host::Ip(ip) if self.listens_at(ip.to_canonical()))
    }

    /// Names and addresses in words: those listed, ours, and the trunk's own.
    fn texts<'b>(&'b self, listed: &'b [String]) -> impl Iterator<Item = &'b str> {
        let (trunk, registration) = (self.trunk, self.trunk.registration.as_ref());
        let targets = [Some(&trunk.target), trunk.outbound_proxy.as_ref()].into_iter().flatten();
        let registrars = registration.into_iter().flat_map(|registration| &registration.registrars);
        let named = targets.chain(registrars).map(|target| target.host.as_str());
        named.chain([self.config.sip.domain.as_str()]).chain(listed.iter().map(String::as_str))
    }

    /// Hosts of what is registered with the trunk.
    fn registered(&self) -> impl Iterator<Item = Host> {
        let registration = self.trunk.registration.iter();
        let uris = registration.flat_map(|found| found.contacts.iter().chain([&found.address_of_record]));
        uris.filter_map(|uri| host_of_uri(uri))
    }

    fn listens_at(&self, ip: IpAddr) -> bool {
        let sip = &self.config.sip;
        let is_all = |own: IpAddr| own.is_unspecified() && own.is_ipv4() == ip.is_ipv4();
        let listeners = sip.udp().chain(sip.tcp_listen.iter().chain(&sip.tls_listen).copied()).map(|own| own.ip());
        let mut own = sip.advertise.iter().copied().chain(listeners);
        own.any(|own| own == ip || (is_all(own) && (self.is_local)(ip)))
    }
}

/// The host of a SIP URI.
#[must_use]
pub fn host_of_uri(uri: &str) -> Option<Host> {
    Uri::parse(&Bytes::copy_from_slice(uri.as_bytes())).ok()?.as_sip().map(|uri| uri.host.clone())
}

/// Whether an address is one of this machine's, as whoever may bind a socket to it finds out.
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    !ip.is_unspecified() && std::net::UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

fn is_same(text: &str, host: &Host) -> bool {
    match host {
        Host::Ip(ip) => text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|own| own == ip.to_canonical()),
        Host::Name(name) => {
            !text.is_empty() && text.trim_end_matches('.').eq_ignore_ascii_case(name.trim_end_matches('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIP: &str = "[sip]\nudp_listen = '192.0.2.1:5060, [2001:db8::1]:5060'\ntcp_listen = '192.0.2.3:5060'\n\
                       advertise = '198.51.100.7'\ndomain = 'Voice.Acme.example'\n";
    const TRUNK: &str = "target = 'sip:sbc.carrier.example'\noutbound_proxy = 'sip:192.0.2.50:5080'\nregister = true\n\
                         auth = { username = 'u', password = 'p' }\n\
                         registration = { registrars = ['sip:reg.carrier.example'], address = 'sip:u@ims.carrier.example', \
                         contacts = ['sip:u@edge.acme.example'] }\n";

    /// Which of these hosts are ours.
    fn ours(sip: &str, inbound: &str, hosts: &[&str]) -> Vec<bool> {
        let text = format!("{sip}[[trunks]]\nid = 't'\n{TRUNK}inbound = {{ enabled = true, {inbound} }}\n");
        let loaded = trunkline_config::load_str(&text, std::path::Path::new("."), std::iter::empty());
        let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
        let told = [Host::Ip("203.0.113.9".parse().unwrap())];
        let is_local = |ip: IpAddr| ip == "10.0.0.5".parse::<IpAddr>().unwrap();
        let ours = Ours { config: &config, trunk: &config.trunks[0], told: &told, is_local };
        hosts.iter().map(|host| ours.has(&Host::parse(host.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn calls_are_for_our_addresses_and_the_names_that_are_listed() {
        let own = ["192.0.2.1", "[2001:db8::1]", "192.0.2.3", "198.51.100.7", "203.0.113.9", "192.0.2.50"];
        let known = ["voice.acme.example", "VOICE.acme.example.", "sbc.carrier.example", "reg.carrier.example"];
        let by_registration = ["ims.carrier.example", "edge.acme.example"];
        let foreign = ["192.0.2.2", "10.0.0.5", "127.0.0.1", "[2001:db8::2]"];
        let names = ["gw.acme.example", "acme.example", "other.example"];
        let listed = "hosts = ['GW.acme.example', '192.0.2.77']";
        for inbound in ["", listed] {
            for hosts in [&own[..], &known, &by_registration] {
                assert!(ours(SIP, inbound, hosts).into_iter().all(|is_ours| is_ours), "{inbound}: {hosts:?}");
            }
            assert_eq!(ours(SIP, inbound, &foreign), [false; 4], "{inbound}");
        }
        // Nobody has said which names are ours; then somebody does.
        assert_eq!(ours(SIP, "", &names), [true; 3]);
        assert_eq!(ours(SIP, listed, &names), [true, false, false]);
        assert_eq!(ours(SIP, listed, &["192.0.2.77"]), [true]);
        // A listener at every address of the machine, of its own family.
        let all = "[sip]\nudp_listen = '0.0.0.0:5060'\nadvertise = '198.51.100.7'\n";
        assert_eq!(
            ours(all, "", &["10.0.0.5", "198.51.100.7", "10.0.0.6", "[2001:db8::1]"]),
            [true, true, false, false]
        );
        assert!(is_local("127.0.0.1".parse().unwrap()) && !is_local("192.0.2.1".parse().unwrap()));
        assert!(!is_local("0.0.0.0".parse().unwrap()));
    }
}
