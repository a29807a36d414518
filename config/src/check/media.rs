//! `[media]`

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::{codecs, every, ip, listen, listen_if_any, path, seconds, text_if_any, told_ip};
use crate::host::Host;
use crate::model::{HoldAudio, Media, Public};
use crate::raw::{RawHoldAudio, RawMedia};
use crate::report::Report;
use crate::secrets::Secrets;

/// Ports below need privileges and belong to other services.
const RTP_PORT_MIN: u16 = 1024;

pub(super) fn media(raw: &RawMedia, host: &Host, secrets: &Secrets<'_>, report: &mut Report) -> Option<Media> {
    let workers = if raw.workers == 0 { host.cores.max(1) } else { usize::try_from(raw.workers).unwrap_or(1) };
    let udp_listen = listen("media.udp_listen", &raw.udp_listen, report);
    if let Some(address) = udp_listen {
        worker_ports(address, workers, report);
    }
    let tcp_listen = listen_if_any("media.tcp_listen", &raw.tcp_listen, report);
    let advertise = every("media.advertise", &raw.advertise, |key, text| {
        let address = told_ip(key, text, report)?;
        udp_listen.map_or(Some(address), |listen| same_family(key, address, listen.ip(), report))
    });
    if let (Some(listen), true) = (udp_listen, raw.advertise.is_empty())
        && listen.ip().is_unspecified()
    {
        let message = format!("browsers cannot be told {}: name the address, or set media.advertise", listen.ip());
        report.problem("media.udp_listen", message);
    }
    let rtp_listen = ip("media.rtp_listen", &raw.rtp_listen, report);
    let rtp_ports = rtp_ports(&raw.rtp_ports, report);
    Some(Media {
        workers,
        udp_listen: udp_listen?,
        tcp_listen: tcp_listen?,
        advertise: advertise?,
        browser_codecs: codecs("media.browser_codecs", &raw.browser_codecs, report),
        rtp_listen: rtp_listen?,
        rtp_ports: rtp_ports?,
        quarantine: seconds(raw.rtp_quarantine_seconds),
        setup: seconds(raw.setup_seconds),
        inactivity: seconds(raw.inactivity_seconds),
        grace: seconds(raw.grace_seconds),
        prompts_dir: prompts_dir(raw, secrets, report),
        hold_audio: match raw.hold_audio {
            RawHoldAudio::Prompt => HoldAudio::Prompt,
            RawHoldAudio::Music => HoldAudio::Music,
            RawHoldAudio::Noise => HoldAudio::Noise,
        },
        say_command: text_if_any(&raw.say_command),
    })
}

/// Says so when pages can be used from elsewhere but audio cannot.
pub(super) fn reachable(public: &Public, media: &Media, report: &mut Report) {
    let audio_stays = media.udp_listen.ip().is_loopback() && media.advertise.is_empty();
    if audio_stays && !public.listen.ip().is_loopback() {
        report.note("media.udp_listen", "a loopback address: browsers on other machines get no audio");
    }
}

fn worker_ports(address: SocketAddr, workers: usize, report: &mut Report) {
    // Port 0 is any free port for each worker.
    let room = usize::from(u16::MAX - address.port()).saturating_add(1);
    if address.port() != 0 && workers > room {
        let message =
            format!("worker n listens on port + n, and {workers} workers do not fit above {}", address.port());
        report.problem("media.udp_listen", message);
    }
}

fn same_family(key: &str, address: IpAddr, listen: IpAddr, report: &mut Report) -> Option<IpAddr> {
    // The unspecified IPv6 address takes IPv4 as well.
    let reachable = address.is_ipv4() == listen.is_ipv4() || (listen.is_ipv6() && listen.is_unspecified());
    if !reachable {
        report.problem(key, format!("{address} cannot lead to {listen}: one is IPv4, the other IPv6"));
        return None;
    }
    Some(address)
}

/// `low-high`, the low end rounded up to an even port.
fn rtp_ports(text: &str, report: &mut Report) -> Option<RangeInclusive<u16>> {
    const KEY: &str = "media.rtp_ports";
    let parsed = text.split_once('-').and_then(|(low, high)| {
        let port = |text: &str| text.trim().parse::<u16>().ok();
        Some((port(low)?, port(high)?))
    });
    let Some((low, high)) = parsed else {
        report.problem(KEY, format!("{text:?} is no range of ports, as 30000-39998"));
        return None;
    };
    let message = if low < RTP_PORT_MIN {
        format!("must not begin below {RTP_PORT_MIN}")
    } else if low >= high {
        format!("{low} is not below {high}")
    } else {
        let even = low.saturating_add(low % 2);
        if even < high {
            return Some(even..=high);
        }
        "holds no pair of an even port and the odd one above".to_owned()
    };
    report.problem(KEY, message);
    None
}

fn prompts_dir(raw: &RawMedia, secrets: &Secrets<'_>, report: &mut Report) -> Option<PathBuf> {
    if raw.prompts_dir.is_empty() {
        return None;
    }
    let path = path(&raw.prompts_dir, secrets);
    if !path.is_dir() {
        report.problem("media.prompts_dir", format!("{} is no directory", path.display()));
    }
    Some(path)
}
