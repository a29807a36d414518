//! Reading the trunk's offers and answers.

use std::net::{IpAddr, SocketAddr};

use super::browser::Direction;
use super::lines::{Description, Media};
use super::trunk::{DEFAULT_PTIME_MS, TrunkMedia, TrunkSdpError};
use crate::api::RtpSource;
use crate::audio::Codec;
use crate::rtp::PayloadType;

/// The shortest and longest packets worth making.
const PTIME_RANGE_MS: std::ops::RangeInclusive<u32> = 10..=60;

/// Finds the audio line to use among a description's m-lines, and what it says.
pub(super) fn read(
    description: &Description<'_>,
    codecs: &[Codec],
    source: RtpSource,
) -> Result<(usize, TrunkMedia), TrunkSdpError> {
    let unacceptable = |why: &str| Err(TrunkSdpError::Unacceptable(why.into()));
    if description.media.is_empty() {
        return Err(TrunkSdpError::Invalid("no m-line".into()));
    }
    let live = || description.media.iter().enumerate().filter(|(_, m)| m.kind == "audio" && m.port != 0);
    let plain = |protocol: &str| ["RTP/AVP", "RTP/AVPF"].contains(&protocol);
    let Some((at, media)) = live().find(|(_, m)| plain(m.protocol)) else {
        return match live().next() {
            Some(_) => unacceptable("encryption or an unknown transport is demanded"),
            None => unacceptable("audio is refused"),
        };
    };
    let Formats { codec: Some((payload_type, codec)), telephone_event } = formats(media, codecs)? else {
        return unacceptable("no codec in common");
    };
    let address = match media.section.connection().map_err(TrunkSdpError::Invalid)? {
        Some(address) => address,
        None => description
            .session
            .connection()
            .map_err(TrunkSdpError::Invalid)?
            .ok_or_else(|| TrunkSdpError::Invalid("no c= line".into()))?,
    };
    let remote = SocketAddr::new(address, media.port);
    let stated = super::direction(&media.section).or_else(|| super::direction(&description.session));
    let media = TrunkMedia {
        remote,
        remote_rtcp: rtcp(media, remote)?,
        codec,
        payload_type,
        telephone_event,
        ptime_ms: ptime(media),
        peer_direction: without_address(stated.unwrap_or_default(), address),
        source,
    };
    Ok((at, media))
}

#[derive(Default)]
struct Formats {
    codec: Option<(PayloadType, Codec)>,
    telephone_event: Option<PayloadType>,
}

/// The first codec we may use, in the peer's order, and telephone-event at 8000 Hz.
fn formats(media: &Media<'_>, codecs: &[Codec]) -> Result<Formats, TrunkSdpError> {
    let mut formats = Formats::default();
    for number in media.payload_types().map_err(TrunkSdpError::Invalid)? {
        let map = media.section.rtpmap(number).map_err(TrunkSdpError::Invalid)?;
        let codec = match map {
            Some(map) if map.name.eq_ignore_ascii_case("telephone-event") => {
                if map.clock == 8000 {
                    formats.telephone_event.get_or_insert(PayloadType(number));
                }
                continue;
            }
            Some(map) => super::codec_named(map),
            None if number == 0 => Some(Codec::Pcmu),
            None if number == 8 => Some(Codec::Pcma),
            None => None,
        };
        if let Some(codec) = codec.filter(|c| codecs.contains(c)) {
            formats.codec.get_or_insert((PayloadType(number), codec));
        }
    }
    Ok(formats)
}

/// `a=rtcp` (RFC 3605), or the port above.
fn rtcp(media: &Media<'_>, remote: SocketAddr) -> Result<SocketAddr, TrunkSdpError> {
    let Some(line) = media.section.attribute("rtcp") else {
        return Ok(SocketAddr::new(remote.ip(), remote.port().checked_add(1).unwrap_or(remote.port())));
    };
    let invalid = || TrunkSdpError::Invalid("a=rtcp is broken".into());
    let mut words = line.split_ascii_whitespace();
    let port: u16 = words.next().and_then(|w| w.parse().ok()).ok_or_else(invalid)?;
    let address = match (words.next(), words.next(), words.next()) {
        (None, ..) => remote.ip(),
        (Some("IN"), Some("IP4" | "IP6"), Some(address)) => address.parse().map_err(|_| invalid())?,
        _ => return Err(invalid()),
    };
    Ok(SocketAddr::new(address, port))
}

fn ptime(media: &Media<'_>) -> u32 {
    let number = |name| media.section.attribute(name).and_then(|value| value.trim().parse::<u32>().ok());
    let wanted = number("ptime").filter(|ms| *ms > 0).unwrap_or(DEFAULT_PTIME_MS);
    let most = number("maxptime").filter(|ms| *ms > 0).unwrap_or(u32::MAX);
    wanted.min(most).clamp(*PTIME_RANGE_MS.start(), *PTIME_RANGE_MS.end())
}

/// Who names the unspecified address cannot receive: the hold of RFC 2543, still to be understood (RFC 3264
/// section 8.4).
fn without_address(stated: Direction, address: IpAddr) -> Direction {
    if !address.is_unspecified() {
        return stated;
    }
    match stated {
        Direction::SendRecv | Direction::SendOnly => Direction::SendOnly,
        Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
    }
}
