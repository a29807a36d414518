//! Offer and answer towards the trunk: RTP audio (RFC 3264, RFC 3551, RFC 4733), encrypted by keys in the description
//! where the trunk does that (RFC 4568).
//!
//! Where encryption is optional it is offered as RFC 8643 has it: keys on a plain RTP/AVP line, which who does not know
//! them passes over. Where it is required the line is RTP/SAVP, which nobody can take for a plain one.

use std::net::SocketAddr;

use super::browser::Direction;
pub use super::crypto::{Encryption, KeySource, SrtpKeys};
use super::lines::Description;
use super::{push_line, trunk_read};
use crate::api::RtpSource;
use crate::audio::Codec;
use crate::rtp::PayloadType;

/// The number everybody knows it by.
const TELEPHONE_EVENT: PayloadType = PayloadType(101);
/// RFC 3551 section 4.2.
pub(super) const DEFAULT_PTIME_MS: u32 = 20;

/// What we put into an offer or an answer of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where we receive RTP (the RTCP port is one above). `advertise`d address where one is configured.
    pub address: SocketAddr,
    /// Codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// `o=` session id.
    pub session_id: u64,
    /// `o=` version; one more for every changed description.
    pub version: u64,
    /// We have put the peer on hold: we send, and do not listen (RFC 3264 section 8.4).
    pub holding: bool,
    /// Encryption and our keys for it; without, the leg is plain.
    pub encryption: Option<Encryption>,
}

/// What the trunk leg needs to know to send and to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkMedia {
    /// Where RTP goes and, unless latching is on, comes from.
    pub remote: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// The codec in use.
    pub codec: Codec,
    /// Its payload type (theirs, which an answer shares with the offer).
    pub payload_type: PayloadType,
    /// telephone-event at 8000 Hz, if agreed.
    pub telephone_event: Option<PayloadType>,
    /// How many milliseconds of audio the peer wants in a packet (`a=ptime`, default 20).
    pub ptime_ms: u32,
    /// As the peer writes it, less what we do not listen to: `SendOnly` means it has put us on hold with music,
    /// `Inactive` on silent hold.
    pub peer_direction: Direction,
    /// Whom to believe.
    pub source: RtpSource,
    /// The keys of both directions; without, the leg is plain.
    pub srtp: Option<SrtpKeys>,
}

/// Why a description from the trunk cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrunkSdpError {
    /// Not SDP, or broken.
    #[error("invalid SDP: {0}")]
    Invalid(String),
    /// Sound, but not something we can do, or may (488).
    #[error("unacceptable SDP: {0}")]
    Unacceptable(Refusal),
}

/// What there is no agreement on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No line of audio is offered, or all are refused.
    #[error("there is no audio")]
    NoAudio,
    /// None of the codecs is one of ours.
    #[error("no codec in common")]
    NoCodec,
    /// Neither RTP/AVP nor RTP/SAVP, nor their siblings with feedback.
    #[error("the audio's transport is none of ours")]
    Transport,
    /// The line is encrypted, and this leg is not to be.
    #[error("encryption is demanded, and switched off here")]
    Encrypted,
    /// This leg has to be encrypted, and the line is plain.
    #[error("encryption is required, and there is no key")]
    Plain,
    /// No key that we could use exactly as it is meant.
    #[error("none of the keys can be used")]
    Keys,
}

/// Our offer.
#[must_use]
pub fn offer(local: &LocalMedia) -> String {
    let mut text = head(local);
    let numbers: String = local.codecs.iter().map(|codec| format!(" {}", payload_type(*codec).0)).collect();
    let event = TELEPHONE_EVENT.0;
    let profile = if local.encryption.as_ref().is_some_and(Encryption::is_required) { "RTP/SAVP" } else { "RTP/AVP" };
    push_line(&mut text, format_args!("m=audio {} {profile}{numbers} {event}", local.address.port()));
    for codec in &local.codecs {
        push_codec(&mut text, payload_type(*codec), *codec);
    }
    push_telephone_event(&mut text, TELEPHONE_EVENT);
    for line in local.encryption.iter().flat_map(Encryption::offered) {
        push_line(&mut text, format_args!("{line}"));
    }
    push_line(&mut text, format_args!("a=ptime:{DEFAULT_PTIME_MS}"));
    push_line(&mut text, format_args!("a={}", if local.holding { "sendonly" } else { "sendrecv" }));
    text
}

/// Reads the trunk's answer to [`offer`].
pub fn accept_answer(local: &LocalMedia, answer: &[u8], source: RtpSource) -> Result<TrunkMedia, TrunkSdpError> {
    let description = Description::parse(answer).map_err(TrunkSdpError::Invalid)?;
    let (_, media) = trunk_read::read(&description, local, source, trunk_read::Role::Answer)?;
    Ok(heard_by(local, media))
}

/// Answers an offer from the trunk (re-INVITE; first offer when we are called): what to apply, and the SDP to send.
/// Hold is answered as RFC 3264 section 8.4 says.
pub fn answer_offer(
    local: &LocalMedia,
    offer: &[u8],
    source: RtpSource,
) -> Result<(TrunkMedia, String), TrunkSdpError> {
    let description = Description::parse(offer).map_err(TrunkSdpError::Invalid)?;
    let (taken, media) = trunk_read::read(&description, local, source, trunk_read::Role::Offer)?;
    let media = heard_by(local, media);
    let mut text = head(local);
    for (at, line) in description.media.iter().enumerate() {
        if at == taken {
            push_answer(&mut text, local, &media, line.protocol);
        } else {
            let formats = line.formats.join(" ");
            push_line(&mut text, format_args!("m={} 0 {} {formats}", line.kind, line.protocol));
        }
    }
    Ok((media, text))
}

/// Answers an offer that changes what is under way, as `current` says it is, and makes `local` what was answered; on an
/// error all stays as it was. Who moves elsewhere, or comes with another key, may be somebody new who has never heard
/// how far our key has come (RFC 4568 section 7.1.4): it gets a fresh one.
pub fn renegotiate(
    local: &mut LocalMedia,
    current: &TrunkMedia,
    offer: &[u8],
    keys: &mut KeySource,
) -> Result<(TrunkMedia, String), TrunkSdpError> {
    let mut next = LocalMedia { version: local.version.saturating_add(1), ..local.clone() };
    let (mut media, mut answer) = answer_offer(&next, offer, current.source)?;
    let theirs = |media: &TrunkMedia| media.srtp.map(|srtp| srtp.theirs);
    if theirs(&media) != theirs(current) || media.remote != current.remote {
        next.encryption = next.encryption.map(|encryption| keys.draw(encryption.is_required()));
        if media.srtp.is_some() {
            (media, answer) = answer_offer(&next, offer, current.source)?;
        }
    }
    *local = next;
    Ok((media, answer))
}

/// What a peer that we hold sends is not asked for, whatever it says.
fn heard_by(local: &LocalMedia, mut media: TrunkMedia) -> TrunkMedia {
    if local.holding {
        media.peer_direction = match media.peer_direction {
            Direction::SendRecv | Direction::RecvOnly => Direction::RecvOnly,
            Direction::SendOnly | Direction::Inactive => Direction::Inactive,
        };
    }
    media
}

/// Our payload types: the fixed ones of RFC 3551, and those most of the world uses for the others.
fn payload_type(codec: Codec) -> PayloadType {
    match codec {
        Codec::Pcmu => PayloadType(0),
        Codec::Pcma => PayloadType(8),
        Codec::Opus => PayloadType(96),
    }
}

fn head(local: &LocalMedia) -> String {
    let mut text = String::with_capacity(400);
    let ip = local.address.ip();
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    push_line(&mut text, format_args!("v=0"));
    push_line(&mut text, format_args!("o=- {} {} IN {family} {ip}", local.session_id, local.version));
    push_line(&mut text, format_args!("s=-"));
    push_line(&mut text, format_args!("c=IN {family} {ip}"));
    push_line(&mut text, format_args!("t=0 0"));
    text
}

/// One codec only, so that nobody changes codecs in the middle of a call, with the offer's numbers.
fn push_answer(text: &mut String, local: &LocalMedia, media: &TrunkMedia, protocol: &str) {
    let event: String = media.telephone_event.map(|event| format!(" {}", event.0)).unwrap_or_default();
    let number = media.payload_type.0;
    push_line(text, format_args!("m=audio {} {protocol} {number}{event}", local.address.port()));
    push_codec(text, media.payload_type, media.codec);
    if let Some(event) = media.telephone_event {
        push_telephone_event(text, event);
    }
    if let Some(srtp) = &media.srtp {
        push_line(text, format_args!("{}", srtp.line()));
    }
    push_line(text, format_args!("a=ptime:{DEFAULT_PTIME_MS}"));
    // RFC 3264 section 6.1: what the peer only sends we only receive.
    let direction = match media.peer_direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "recvonly",
        Direction::RecvOnly => "sendonly",
        Direction::Inactive => "inactive",
    };
    push_line(text, format_args!("a={direction}"));
}

fn push_codec(text: &mut String, payload_type: PayloadType, codec: Codec) {
    let (number, name, clock) = (payload_type.0, codec.name(), codec.clock_rate());
    match codec {
        Codec::Opus => {
            push_line(text, format_args!("a=rtpmap:{number} {name}/{clock}/2"));
            push_line(text, format_args!("a=fmtp:{number} useinbandfec=1;stereo=0"));
        }
        Codec::Pcmu | Codec::Pcma => push_line(text, format_args!("a=rtpmap:{number} {name}/{clock}")),
    }
}

fn push_telephone_event(text: &mut String, payload_type: PayloadType) {
    let number = payload_type.0;
    push_line(text, format_args!("a=rtpmap:{number} telephone-event/8000"));
    push_line(text, format_args!("a=fmtp:{number} 0-15"));
}

#[cfg(test)]
#[path = "trunk_tests.rs"]
mod tests;
