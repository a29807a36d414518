//! `[sip]`

use super::shapes::is_host;
use super::{authorities, listen, listen_if_any, told_ip};
use crate::model::{Media, Sip};
use crate::raw::RawSip;
use crate::report::Report;
use crate::secrets::Secrets;

pub(super) fn sip(raw: &RawSip, secrets: &Secrets<'_>, report: &mut Report) -> Option<Sip> {
    let udp_listen = listen("sip.udp_listen", &raw.udp_listen, report);
    let tcp_listen = listen_if_any("sip.tcp_listen", &raw.tcp_listen, report);
    let tls_listen = listen_if_any("sip.tls_listen", &raw.tls_listen, report);
    for (key, text) in [("sip.tcp_listen", &raw.tcp_listen), ("sip.tls_listen", &raw.tls_listen)] {
        if !text.is_empty() {
            report.note(key, "not active yet: nothing listens there");
        }
    }
    let advertise = match raw.advertise.as_str() {
        "" => Some(None),
        text => told_ip("sip.advertise", text, report).map(Some),
    };
    if let (Some(listen), true) = (udp_listen, raw.advertise.is_empty())
        && listen.ip().is_unspecified()
    {
        let message = format!("trunks cannot be told {}: name the address, or set sip.advertise", listen.ip());
        report.problem("sip.udp_listen", message);
    }
    let is_ipv6 =
        raw.domain.starts_with('[') && super::shapes::host_port(&raw.domain).is_ok_and(|(_, port)| port.is_none());
    if !raw.domain.is_empty() && !is_host(&raw.domain) && !is_ipv6 {
        report.problem("sip.domain", format!("{:?} is no host name or address", raw.domain));
    }
    let tls_ca = authorities("sip.tls_ca", &raw.tls_ca, secrets, report);
    Some(Sip {
        udp_listen: udp_listen?,
        tcp_listen: tcp_listen?,
        tls_listen: tls_listen?,
        advertise: advertise?,
        domain: raw.domain.clone(),
        tls_ca: tls_ca?,
    })
}

/// SDP names `sip.advertise`, else the address the RTP sockets listen on; one of them must be somewhere.
pub(super) fn rtp_address(media: &Media, sip: &Sip, report: &mut Report) {
    if media.rtp_listen.is_unspecified() && sip.advertise.is_none() {
        let message = format!("trunks cannot be told {}: name the address, or set sip.advertise", media.rtp_listen);
        report.problem("media.rtp_listen", message);
    }
}
