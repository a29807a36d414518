//! What a call counts, as it goes to the control plane once a second.

use std::net::SocketAddr;

use crate::detect::Verdict;
use crate::quality::{Bursts, HalfLegSample, RttSource};

/// One call's counters. All monotonic unless named otherwise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallStats {
    /// Browser leg, received.
    pub browser_in: StreamStats,
    /// Browser leg, sent.
    pub browser_out: SentStats,
    /// Trunk leg, received.
    pub trunk_in: StreamStats,
    /// Trunk leg, sent.
    pub trunk_out: SentStats,
    /// Packets of audio that the browser asked for again and was sent; not counted in `browser_out`.
    pub resent: u64,
    /// Datagrams dropped, by reason.
    pub drops: DropStats,
    /// Of those, the ones that came to the trunk leg's ports.
    pub trunk_drops: DropStats,
    /// Milliseconds since the last authentic STUN check, if any.
    pub last_check_age_ms: Option<u64>,
    /// The browser's current address.
    pub browser_remote: Option<SocketAddr>,
    /// The last second of each half-leg, in the order of [`crate::quality::HalfLeg::ALL`].
    pub quality: [HalfLegSample; 4],
    /// Of the browser's speech so far, how many samples were looked at, and how many were at full scale.
    pub speech_samples: (u64, u64),
    /// Whether each half-leg's audio gets through, in the same order.
    pub verdicts: [Verdict; 4],
}

/// What was received on a leg.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StreamStats {
    /// RTP packets accepted.
    pub packets: u64,
    /// Their payload octets.
    pub octets: u64,
    /// Lost so far (RFC 3550 A.3; may go down when late packets come).
    pub lost: i64,
    /// Interarrival jitter (RFC 3550 A.8), milliseconds.
    pub jitter_ms: f64,
    /// How the loss was distributed (RFC 3611 section 4.7.2).
    pub bursts: Bursts,
    /// Came too late to be played, or twice, or overflowed the buffer; not what was left out on purpose.
    pub discarded: u64,
    /// Samples made up by concealment, milliseconds.
    pub concealed_ms: u64,
    /// What became of packets that came out of order, where there is no jitter buffer to sort them.
    pub reorder: ReorderStats,
    /// Milliseconds since the last RTP packet, if any.
    pub last_rtp_age_ms: Option<u64>,
    /// Round trip of the leg, milliseconds, measured in the last seconds.
    pub rtt_ms: Option<f64>,
    /// Where that was measured.
    pub rtt_source: Option<RttSource>,
    /// Jitter buffer's delay now, milliseconds (0 in relay).
    pub buffer_ms: u32,
    /// What it aims at, milliseconds (0 in relay).
    pub buffer_target_ms: u32,
}

/// Packets out of order in audio that is coded as it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReorderStats {
    /// Packets that were overtaken and waited for.
    pub put_right: u64,
    /// Gaps waited for in vain: what was missing is lost, or later than anybody waits.
    pub given_up: u64,
}

/// What was sent on a leg, and what the peer says of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SentStats {
    /// RTP packets sent.
    pub packets: u64,
    /// Their payload octets.
    pub octets: u64,
    /// Fraction lost in the peer's last receiver report (0..1).
    pub remote_fraction_lost: Option<f64>,
    /// Cumulative loss in the peer's last report.
    pub remote_lost: Option<i64>,
    /// Jitter in the peer's last report, milliseconds.
    pub remote_jitter_ms: Option<f64>,
}

/// Why datagrams were dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DropStats {
    /// Neither STUN, DTLS, RTP nor RTCP, or too short for what it claims to be.
    pub malformed: u64,
    /// A STUN check whose integrity is wrong.
    pub bad_integrity: u64,
    /// From an address no check has proven, or not the trunk's.
    pub wrong_source: u64,
    /// SRTP or SRTCP that does not decrypt.
    pub undecryptable: u64,
    /// SRTP replayed or too old.
    pub replayed: u64,
    /// A payload type nobody negotiated.
    pub unknown_payload: u64,
    /// DTLS records that could not be used.
    pub bad_dtls: u64,
    /// RTCP that does not parse, or says of our stream what cannot be true.
    pub bad_rtcp: u64,
}
