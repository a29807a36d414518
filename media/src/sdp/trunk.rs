//! Offer and answer towards the trunk: RTP audio (RFC 3264, RFC 3551, RFC 4733), encrypted by keys in the description
//! where the trunk does that (RFC 4568).
//!
//! Where encryption is optional it is offered as RFC 8643 has it: keys on a plain RTP/AVP line, which who does not know
//! them passes over. Where it is required the line is RTP/SAVP, which nobody can take for a plain one.

use std::net::SocketAddr;

use super::browser::Direction;
pub use super::crypto::{Encryption, KeySource, SrtpKeys};
use super::lines::Description;
use super::{trunk_read, trunk_write};
use crate::api::RtpSource;
use crate::audio::{Codec, OpusWishes};
use crate::rtp::PayloadType;
use crate::rtp::rtcp::XrWish;

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
#[repr(C)]
pub struct TrunkMedia {
    /// Where RTP goes and, unless latching is on, comes from.
    pub remote: SocketAddr,
    /// The codec in use.
    pub codec: Codec,
    /// Its payload type (theirs, which an answer shares with the offer).
    pub payload_type: PayloadType,
    /// telephone-event and its clock, Hz, if agreed: the codec's, or what else the peer has.
    pub telephone_event: Option<(PayloadType, u32)>,
    /// The peer may rest with comfort noise (RFC 3389), and said so.
    pub comfort_noise: bool,
    /// RTCP shares the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// What the peer wants of Opus.
    pub opus: OpusWishes,
    /// How many milliseconds of audio the peer wants in a packet (`a=ptime`, default 20).
    pub ptime_ms: u32,
    /// As the peer writes it, less what we do not listen to: `SendOnly` means it has put us on hold with music,
    /// `Inactive` on silent hold.
    pub peer_direction: Direction,
    /// Whom to believe.
    pub source: RtpSource,
    /// The keys of both directions; without, the leg is plain.
    pub srtp: Option<Box<SrtpKeys>>,
    /// Further codecs it may send: all that it took of our offer (RFC 3264 section 7).
    pub also: Vec<(PayloadType, Codec)>,
    /// The extended reports the peer asks for, if it says anything of them (RFC 3611 section 5).
    pub extended: Option<XrWish>,
    /// The session's m-lines.
    pub lines: Lines,
}

/// The m-lines of a session: as many, and in this order, for as long as it lasts (RFC 3264 section 8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// The profile of the line that is used, as the peer writes it.
    pub(super) profile: Option<String>,
    /// Refused ones, whole, before the one that is used and behind it.
    pub(super) before: Vec<String>,
    pub(super) behind: Vec<String>,
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
    /// Its address is of IPv6, and ours of IPv4.
    #[error("the audio's address cannot be reached from ours")]
    Family,
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

/// Our first offer.
#[must_use]
pub fn offer(local: &LocalMedia) -> String {
    trunk_write::offer(local, None)
}

/// An offer in a session that has media already: its lines and the meaning of its payload types stay (RFC 3264 sections
/// 8 and 8.3.2).
#[must_use]
pub fn offer_again(local: &LocalMedia, current: &TrunkMedia) -> String {
    trunk_write::offer(local, Some(current))
}

/// Reads the trunk's answer to an offer of ours.
pub fn accept_answer(local: &LocalMedia, answer: &[u8], source: RtpSource) -> Result<TrunkMedia, TrunkSdpError> {
    let description = Description::parse(answer).map_err(TrunkSdpError::Invalid)?;
    let media = trunk_read::read(&description, local, source, trunk_read::Role::Answer)?;
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
    let media = trunk_read::read(&description, local, source, trunk_read::Role::Offer)?;
    let media = heard_by(local, media);
    let answer = trunk_write::answer(local, &media);
    Ok((media, answer))
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
    let theirs = |media: &TrunkMedia| media.srtp.as_ref().map(|srtp| srtp.theirs);
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

#[cfg(test)]
#[path = "extended_tests.rs"]
mod extended_tests;
#[cfg(test)]
#[path = "trunk_tests.rs"]
mod tests;
