//! Reading the trunk's offers and answers.

use std::net::{IpAddr, SocketAddr};

use super::browser::Direction;
use super::lines::{Description, Media};
use super::trunk::{DEFAULT_PTIME_MS, Encryption, Lines, LocalMedia, Refusal, SrtpKeys, TrunkMedia, TrunkSdpError};
use crate::api::RtpSource;
use crate::audio::Codec;
use crate::rtp::PayloadType;
use crate::rtp::rtcp::XrWish;

/// The shortest and longest packets worth making.
const PTIME_RANGE_MS: std::ops::RangeInclusive<u32> = 10..=60;

/// What a description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Offer,
    /// The answer to an offer of ours.
    Answer,
}

/// Finds the audio line to use among a description's m-lines, and what it says.
pub(super) fn read(
    description: &Description<'_>,
    local: &LocalMedia,
    source: RtpSource,
    role: Role,
) -> Result<TrunkMedia, TrunkSdpError> {
    if description.media.is_empty() {
        return Err(TrunkSdpError::Invalid("no m-line".into()));
    }
    let (at, media, srtp) = line(description, local.encryption.as_ref(), role).map_err(TrunkSdpError::Unacceptable)?;
    let Formats { mut codecs, events } = formats(media, &local.codecs)?;
    if codecs.is_empty() {
        return Err(TrunkSdpError::Unacceptable(Refusal::NoCodec));
    }
    let (payload_type, codec) = codecs.remove(0);
    // An event's clock is its codec's, where the peer sees to that (RFC 4733 section 2.1 does not ask for it).
    let fitting = events.iter().find(|(_, clock)| *clock == codec.clock_rate());
    let address = match media.section.connection().map_err(TrunkSdpError::Invalid)? {
        Some(address) => address,
        None => description
            .session
            .connection()
            .map_err(TrunkSdpError::Invalid)?
            .ok_or_else(|| TrunkSdpError::Invalid("no c= line".into()))?,
    };
    if local.address.is_ipv4() && address.is_ipv6() && !address.is_unspecified() {
        return Err(TrunkSdpError::Unacceptable(Refusal::Family));
    }
    let remote = SocketAddr::new(address, media.port);
    let rtcp_mux = media.section.has("rtcp-mux");
    let stated = super::direction(&media.section).or_else(|| super::direction(&description.session));
    let is_named = |number: PayloadType| media.formats.iter().any(|format| format.parse() == Ok(number.0));
    Ok(TrunkMedia {
        remote,
        remote_rtcp: if rtcp_mux { remote } else { rtcp(media, remote)? },
        codec,
        payload_type,
        telephone_event: fitting.or(events.first()).copied(),
        opus: media.section.opus_wishes(payload_type.0),
        // Of 8 kHz, which is what 13 stands for.
        comfort_noise: is_named(PayloadType::COMFORT_NOISE) && codec.clock_rate() == 8_000,
        ptime_ms: ptime(media),
        peer_direction: without_address(stated.unwrap_or_default(), address),
        source,
        srtp: srtp.map(Box::new),
        also: if role == Role::Answer { codecs } else { Vec::new() },
        rtcp_mux,
        extended: extended(description, media),
        lines: lines(description, at),
    })
}

/// The lines as they are written, all but one of them refused.
fn lines(description: &Description<'_>, taken: usize) -> Lines {
    let refused = |media: &Media<'_>| format!("m={} 0 {} {}", media.kind, media.protocol, media.formats.join(" "));
    let (before, rest) = description.media.split_at_checked(taken).unwrap_or_default();
    Lines {
        profile: rest.first().map(|media| media.protocol.to_owned()),
        before: before.iter().map(refused).collect(),
        behind: rest.iter().skip(1).map(refused).collect(),
    }
}

type Line<'a> = (usize, &'a Media<'a>, Option<SrtpKeys>);

/// The line to use: the first that is encrypted as we can, else the first plain one where that will do. Who offers both
/// leaves the choice to us.
fn line<'a>(
    description: &'a Description<'a>,
    encryption: Option<&Encryption>,
    role: Role,
) -> Result<Line<'a>, Refusal> {
    let live = description.media.iter().enumerate().filter(|(_, media)| media.kind == "audio" && media.port != 0);
    let mut plain: Option<Line<'a>> = None;
    let mut refused = Refusal::NoAudio;
    for (at, media) in live {
        match security(media, encryption, role) {
            Ok(Some(keys)) => return Ok((at, media, Some(keys))),
            Ok(None) => drop(plain.get_or_insert((at, media, None))),
            Err(why) if refused == Refusal::NoAudio => refused = why,
            Err(_) => {}
        }
    }
    plain.ok_or(refused)
}

/// The keys of a line, none if it is to be plain.
fn security(media: &Media<'_>, encryption: Option<&Encryption>, role: Role) -> Result<Option<SrtpKeys>, Refusal> {
    let demanded = match media.protocol {
        "RTP/AVP" | "RTP/AVPF" => false,
        "RTP/SAVP" | "RTP/SAVPF" => true,
        _ => return Err(Refusal::Transport),
    };
    let Some(encryption) = encryption else {
        return if demanded { Err(Refusal::Encrypted) } else { Ok(None) };
    };
    let keys = match role {
        Role::Offer => encryption.choose(&media.section),
        Role::Answer => encryption.answered(&media.section),
    };
    match keys {
        Some(keys) => Ok(Some(keys)),
        None if demanded => Err(Refusal::Keys),
        // An answer with a key that cannot be used is encrypted all the same.
        None if role == Role::Answer && media.section.has("crypto") => Err(Refusal::Keys),
        None if encryption.is_required() => Err(Refusal::Plain),
        None => Ok(None),
    }
}

#[derive(Default)]
struct Formats {
    codecs: Vec<(PayloadType, Codec)>,
    events: Vec<(PayloadType, u32)>,
}

/// Clocks that a telephone-event may have, Hz.
const EVENT_CLOCKS: std::ops::RangeInclusive<u32> = 8_000..=48_000;

/// The codecs we may use, in the peer's order, and telephone-events with their clocks.
fn formats(media: &Media<'_>, codecs: &[Codec]) -> Result<Formats, TrunkSdpError> {
    let mut formats = Formats::default();
    for number in media.payload_types().map_err(TrunkSdpError::Invalid)? {
        let map = media.section.rtpmap(number).map_err(TrunkSdpError::Invalid)?;
        let codec = match map {
            Some(map) if map.name.eq_ignore_ascii_case("telephone-event") => {
                if EVENT_CLOCKS.contains(&map.clock) {
                    formats.events.push((PayloadType(number), map.clock));
                }
                continue;
            }
            Some(map) => super::codec_named(map),
            None => super::codec_numbered(number),
        };
        if let Some(codec) = codec.filter(|c| codecs.contains(c)) {
            formats.codecs.push((PayloadType(number), codec));
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

/// `a=rtcp-xr` of the line or else of the session; who names blocks wants those and no others (RFC 3611 section 5.1).
fn extended(description: &Description<'_>, media: &Media<'_>) -> Option<XrWish> {
    let wanted = media.section.attribute("rtcp-xr").or_else(|| description.session.attribute("rtcp-xr"))?;
    let names = |name: &str| {
        let mut formats = wanted.split_ascii_whitespace().map(|format| format.split('=').next().unwrap_or_default());
        formats.any(|format| format.eq_ignore_ascii_case(name))
    };
    Some(XrWish { round_trip: names("rcvr-rtt"), voip: names("voip-metrics") })
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
