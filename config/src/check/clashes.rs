//! Sockets that would want the same port.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::host::Host;
use crate::model::{Control, Media, Public, Sip};
use crate::report::Report;

/// The listeners: HTTP, browsers' media and SIP over connections.
pub(super) fn tcp(public: &Public, control: &Control, media: Option<&Media>, sip: Option<&Sip>, report: &mut Report) {
    let mut taken = vec![("public.listen", public.listen)];
    let over_tcp = sip.into_iter().flat_map(|sip| &sip.tcp_listen).map(|listen| ("sip.tcp_listen", *listen));
    let over_tls = sip.into_iter().flat_map(|sip| &sip.tls_listen).map(|listen| ("sip.tls_listen", *listen));
    let media = media.and_then(|media| media.tcp_listen).map(|listen| ("media.tcp_listen", listen));
    let http = [("control.listen", control.listen)].into_iter();
    for (key, listen) in http.chain(media).chain(over_tcp).chain(over_tls) {
        let same = |other: &SocketAddr| {
            listen.port() != 0 && listen.port() == other.port() && overlap(listen.ip(), other.ip())
        };
        if let Some((by, _)) = taken.iter().find(|(_, other)| same(other)) {
            report.problem(key, format!("{listen} is taken by {by}"));
        }
        taken.push((key, listen));
    }
}

/// Workers, trunk legs, SIP; and whatever the kernel hands out.
pub(super) fn udp(media: &Media, sip: &Sip, host: &Host, report: &mut Report) {
    let workers = ports(media.udp_listen.port(), media.workers);
    let clash = |ports: &RangeInclusive<u16>, ip: IpAddr, others: &RangeInclusive<u16>, other: IpAddr| {
        overlap(ip, other) && ports.start() <= others.end() && others.start() <= ports.end()
    };
    if let Some(workers) = &workers
        && clash(workers, media.udp_listen.ip(), &media.rtp_ports, media.rtp_listen)
    {
        let message = format!("ports {} to {} lie in media.rtp_ports", workers.start(), workers.end());
        report.problem("media.udp_listen", message);
    }
    for (sip_port, sip_ip) in sip.udp().filter_map(|listen| Some((ports(listen.port(), 1)?, listen.ip()))) {
        let sip_port = &sip_port;
        if clash(sip_port, sip_ip, &media.rtp_ports, media.rtp_listen) {
            report.problem("sip.udp_listen", format!("port {} lies in media.rtp_ports", sip_port.start()));
        }
        let in_workers = |workers| clash(sip_port, sip_ip, workers, media.udp_listen.ip());
        if workers.as_ref().is_some_and(in_workers) {
            report.problem("sip.udp_listen", format!("port {} is a media worker's", sip_port.start()));
        }
    }
    ephemeral("media.rtp_ports", media.rtp_ports.clone(), host, report);
    if let Some(workers) = workers {
        ephemeral("media.udp_listen", workers, host, report);
    }
}

/// Any other program's outgoing socket may sit on such a port just when a call wants it.
fn ephemeral(key: &str, ports: RangeInclusive<u16>, host: &Host, report: &mut Report) {
    let shown = format!("{}-{}", ports.start(), ports.end());
    let (Some(range), Some(first)) = (&host.ephemeral, host.first_taken(ports)) else { return };
    let (low, high) = (range.start(), range.end());
    let what = format!("from port {first} on it overlaps the kernel's ephemeral range {low}-{high}");
    report.note(key, format!("{what}: set sysctl net.ipv4.ip_local_reserved_ports={shown}, or choose lower ports"));
}

fn ports(first: u16, count: usize) -> Option<RangeInclusive<u16>> {
    let more = u16::try_from(count.saturating_sub(1)).unwrap_or(u16::MAX);
    (first != 0).then(|| first..=first.saturating_add(more))
}

fn overlap(a: IpAddr, b: IpAddr) -> bool {
    a == b || a.is_unspecified() || b.is_unspecified()
}
