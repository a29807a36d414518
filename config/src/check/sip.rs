//! `[sip]`

use std::net::{IpAddr, SocketAddr};

use super::shapes::is_host;
use super::{authorities, every, listen, told_ip};
use crate::host::Host;
use crate::model::{Media, Sip};
use crate::raw::RawSip;
use crate::report::Report;
use crate::secrets::Secrets;

pub(super) fn sip(raw: &RawSip, host: &Host, secrets: &Secrets<'_>, report: &mut Report) -> Option<Sip> {
    let udp_listen = addresses("sip.udp_listen", &raw.udp_listen, report);
    let tcp_listen = addresses("sip.tcp_listen", &raw.tcp_listen, report);
    let tls_listen = addresses("sip.tls_listen", &raw.tls_listen, report);
    let advertise =
        each("sip.advertise", &raw.advertise, |text, report| told_ip("sip.advertise", text, report), report);
    let advertise = one_of_each("sip.advertise", advertise, IpAddr::is_ipv4, report);
    if raw.udp_listen.is_empty() {
        report.problem("sip.udp_listen", "must name an address and port");
    }
    let tls = raw.tls.as_ref().and_then(|tls| super::tls::tls("sip.tls", tls, host, secrets, report));
    if !raw.tls_listen.is_empty() && raw.tls.is_none() {
        report.problem("sip.tls_listen", "needs a certificate: set sip.tls");
    }
    let sockets = [("sip.udp_listen", &udp_listen), ("sip.tcp_listen", &tcp_listen), ("sip.tls_listen", &tls_listen)];
    for (key, addresses) in sockets {
        for ip in addresses.iter().flatten().map(SocketAddr::ip).filter(IpAddr::is_unspecified) {
            let is_told = advertise.iter().flatten().any(|told| told.is_ipv4() == ip.is_ipv4());
            if !is_told && advertise.is_some() {
                let message = format!("trunks cannot be told {ip}: name the address, or set sip.advertise");
                report.problem(key, message);
            }
        }
    }
    let is_ipv6 =
        raw.domain.starts_with('[') && super::shapes::host_port(&raw.domain).is_ok_and(|(_, port)| port.is_none());
    if !raw.domain.is_empty() && !is_host(&raw.domain) && !is_ipv6 {
        report.problem("sip.domain", format!("{:?} is no host name or address", raw.domain));
    }
    let tls_ca = authorities("sip.tls_ca", &raw.tls_ca, secrets, report);
    let dns_servers = every("sip.dns_servers", &raw.dns_servers, |key, text| listen(key, text, report));
    let udp_listen = udp_listen?;
    let mut udp = udp_listen.iter().copied();
    Some(Sip {
        dns_servers: dns_servers?,
        udp_listen: udp.next()?,
        udp_listen_beside: udp.next(),
        tcp_listen: tcp_listen?,
        tls_listen: tls_listen?,
        tls: if raw.tls.is_some() { Some(tls?) } else { None },
        max_connections: raw.max_connections,
        max_connections_per_address: raw.max_connections_per_address,
        advertise: advertise?,
        domain: raw.domain.clone(),
        tls_ca: tls_ca?,
        strangers: super::inbound::strangers(raw.strangers),
    })
}

/// SDP names `sip.advertise`, else the address the RTP sockets listen on; one of them must be somewhere.
pub(super) fn rtp_address(media: &Media, sip: &Sip, report: &mut Report) {
    if media.rtp_listen.is_unspecified() && sip.rtp_told(media.rtp_listen).is_empty() {
        let message = format!("trunks cannot be told {}: name the address, or set sip.advertise", media.rtp_listen);
        report.problem("media.rtp_listen", message);
    }
}

/// None, an address and port, or one of each family.
fn addresses(key: &str, text: &str, report: &mut Report) -> Option<Vec<SocketAddr>> {
    let found = each(key, text, |text, report| listen(key, text, report), report);
    one_of_each(key, found, SocketAddr::is_ipv4, report)
}

/// What stands between commas.
fn each<T>(
    key: &str,
    text: &str,
    read: impl Fn(&str, &mut Report) -> Option<T>,
    report: &mut Report,
) -> Option<Vec<T>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    if text.matches(',').count() > 1 {
        report.problem(key, "names more than one address of each family");
        return None;
    }
    // All are looked at before the verdict, so that all problems are found.
    let found: Vec<Option<T>> = text.split(',').map(|text| read(text.trim(), report)).collect();
    found.into_iter().collect()
}

fn one_of_each<T>(
    key: &str,
    found: Option<Vec<T>>,
    is_ipv4: impl Fn(&T) -> bool,
    report: &mut Report,
) -> Option<Vec<T>> {
    let found = found?;
    if let [one, other] = found.as_slice()
        && is_ipv4(one) == is_ipv4(other)
    {
        report.problem(key, "names two addresses of one family");
        return None;
    }
    Some(found)
}
