//! Reading the browser's offer (RFC 8829, RFC 8839, RFC 8842, RFC 9143).

use super::browser::{Direction, Fingerprint, IceCredentials, Offer, OfferError};
use super::candidate;
use super::lines::{Description, Media, Section};
use crate::audio::Codec;
use crate::rtp::{PayloadType, Ssrc};

const PROTOCOLS: [&str; 2] = ["UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF"];
/// More would not be looked at anyway: the certificate has to match one.
const FINGERPRINTS_LIMIT: usize = 8;
/// What goes back into the answer has to be short.
const MID_LIMIT: usize = 64;

pub(super) fn parse(bytes: &[u8]) -> Result<Offer, OfferError> {
    let description = Description::parse(bytes).map_err(OfferError::Invalid)?;
    let [media] = description.media.as_slice() else {
        return Err(OfferError::Unsupported("exactly one m-line is wanted".into()));
    };
    if media.kind != "audio" || media.port == 0 {
        return Err(OfferError::Unsupported("no live audio".into()));
    }
    if !PROTOCOLS.contains(&media.protocol) {
        return Err(OfferError::Unsupported("not DTLS-SRTP with feedback".into()));
    }
    let both = Both { session: &description.session, media: &media.section };
    let mid = mid(&both)?;
    if !media.section.has("rtcp-mux") {
        return Err(OfferError::Unsupported("no rtcp-mux".into()));
    }
    check_setup(&both)?;
    let (codecs, telephone_events) = formats(media)?;
    let candidate_lines = candidate::lines_of(&media.section);
    let opus = codecs.iter().find(|(_, codec)| *codec == Codec::Opus);
    let opus = opus.map(|(number, _)| media.section.opus_wishes(number.0)).unwrap_or_default();
    Ok(Offer {
        mid,
        ice: ice(&both)?,
        fingerprints: fingerprints(&both)?,
        codecs,
        telephone_events,
        opus,
        redundancy: redundancy(media)?,
        ssrc: ssrc(&media.section)?,
        direction: direction(&both),
        candidates: candidate_lines.len(),
        candidate_addresses: candidate::addresses(&candidate_lines),
        candidate_lines,
        protocol: media.protocol.to_owned(),
        rtcp_rsize: media.section.has("rtcp-rsize"),
        nacks: nacks(media).map_err(OfferError::Invalid)?,
    })
}

/// Attributes that stand in the media section, or else in the session section for all of them.
struct Both<'s, 'a> {
    session: &'s Section<'a>,
    media: &'s Section<'a>,
}

impl<'a> Both<'_, 'a> {
    fn attribute(&self, name: &str) -> Option<&'a str> {
        self.media.attribute(name).or_else(|| self.session.attribute(name))
    }
}

fn mid(both: &Both<'_, '_>) -> Result<String, OfferError> {
    let mid = both.media.attribute("mid").unwrap_or_default();
    if mid.is_empty() || mid.len() > MID_LIMIT || !mid.bytes().all(is_token) {
        return Err(OfferError::Invalid("no sound a=mid".into()));
    }
    let mut groups = both.session.attributes("group").map(str::split_ascii_whitespace);
    if !groups.any(|mut group| group.next() == Some("BUNDLE") && group.any(|member| member == mid)) {
        return Err(OfferError::Unsupported("the audio is not in a BUNDLE group".into()));
    }
    Ok(mid.to_owned())
}

/// `token` of RFC 8866 section 9.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte)
}

/// We are the DTLS server, so the browser must be willing to be the client (RFC 8842 section 5.3).
fn check_setup(both: &Both<'_, '_>) -> Result<(), OfferError> {
    match both.attribute("setup") {
        Some("actpass" | "active") => Ok(()),
        Some("passive" | "holdconn") => Err(OfferError::Unsupported("a=setup leaves us no passive role".into())),
        Some(_) | None => Err(OfferError::Invalid("no sound a=setup".into())),
    }
}

fn ice(both: &Both<'_, '_>) -> Result<IceCredentials, OfferError> {
    match (both.attribute("ice-ufrag"), both.attribute("ice-pwd")) {
        (Some(ufrag), Some(password)) => IceCredentials::checked(ufrag, password),
        _ => Err(OfferError::Invalid("no ice-ufrag or ice-pwd".into())),
    }
}

fn fingerprints(both: &Both<'_, '_>) -> Result<Vec<Fingerprint>, OfferError> {
    let own: Vec<_> = both.media.attributes("fingerprint").take(FINGERPRINTS_LIMIT).collect();
    let lines = match own.is_empty() {
        true => both.session.attributes("fingerprint").take(FINGERPRINTS_LIMIT).collect(),
        false => own,
    };
    if lines.is_empty() {
        return Err(OfferError::Invalid("no a=fingerprint".into()));
    }
    let mut fingerprints = Vec::new();
    for line in lines {
        let (algorithm, hex) = line.split_once(' ').ok_or_else(|| OfferError::Invalid("a=fingerprint".into()))?;
        let algorithm = algorithm.to_ascii_lowercase();
        let length = match algorithm.as_str() {
            "sha-256" => 32,
            "sha-384" => 48,
            "sha-512" => 64,
            _ => continue,
        };
        let octets = hex.trim().split(':').map(|octet| match octet.len() {
            2 => u8::from_str_radix(octet, 16).ok(),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = octets.collect();
        let bytes = bytes.filter(|b| b.len() == length);
        let bytes = bytes.ok_or_else(|| OfferError::Invalid("a=fingerprint has a bad hash".into()))?;
        fingerprints.push(Fingerprint { algorithm, bytes });
    }
    if fingerprints.is_empty() {
        return Err(OfferError::Unsupported("no fingerprint with SHA-256, SHA-384 or SHA-512".into()));
    }
    Ok(fingerprints)
}

type Formats = (Vec<(PayloadType, Codec)>, Vec<(PayloadType, u32)>);

fn formats(media: &Media<'_>) -> Result<Formats, OfferError> {
    let (mut codecs, mut events) = (Vec::new(), Vec::new());
    for number in media.payload_types().map_err(OfferError::Invalid)? {
        // With rtcp-mux these look like RTCP (RFC 5761 section 4).
        if (64..=95).contains(&number) {
            continue;
        }
        let map = media.section.rtpmap(number).map_err(OfferError::Invalid)?;
        let payload_type = PayloadType(number);
        match map {
            Some(map) if map.name.eq_ignore_ascii_case("telephone-event") => events.push((payload_type, map.clock)),
            Some(map) => {
                if let Some(codec) = super::codec_named(map) {
                    codecs.push((payload_type, codec));
                }
            }
            None => codecs.extend(super::codec_numbered(number).map(|codec| (payload_type, codec))),
        }
    }
    Ok((codecs, events))
}

/// Payload types with plain `nack` feedback, by name or by `*`.
fn nacks(media: &Media<'_>) -> Result<Vec<PayloadType>, String> {
    let mut numbers = media.payload_types()?;
    numbers.retain(|number| {
        let number = number.to_string();
        media.section.attributes("rtcp-fb").any(|line| {
            let mut words = line.split_ascii_whitespace();
            words.next().is_some_and(|of| of == "*" || of == number) && words.eq(["nack"])
        })
    });
    Ok(numbers.into_iter().map(PayloadType).collect())
}

/// The payload type of `red` on Opus' clock.
fn redundancy(media: &Media<'_>) -> Result<Option<PayloadType>, OfferError> {
    for number in media.payload_types().map_err(OfferError::Invalid)? {
        let map = media.section.rtpmap(number).map_err(OfferError::Invalid)?;
        if map.is_some_and(|map| map.name.eq_ignore_ascii_case("red") && (map.clock, map.channels) == (48_000, 2)) {
            return Ok((!(64..=95).contains(&number)).then_some(PayloadType(number)));
        }
    }
    Ok(None)
}

/// The first `a=ssrc` (RFC 5576).
fn ssrc(media: &Section<'_>) -> Result<Option<Ssrc>, OfferError> {
    let Some(line) = media.attribute("ssrc") else { return Ok(None) };
    let number = line.split(' ').next().and_then(|n| n.parse().ok());
    number.map(|n| Some(Ssrc(n))).ok_or_else(|| OfferError::Invalid("a=ssrc without a number".into()))
}

fn direction(both: &Both<'_, '_>) -> Direction {
    super::direction(both.media).or_else(|| super::direction(both.session)).unwrap_or_default()
}
