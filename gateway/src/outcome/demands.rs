//! What each reason demands: the evidence that has to be there, and whose quality counts.

use trunkline_media::api::Leg;

use super::{Reason, RemoteHangup};

impl Reason {
    /// The leg that was lost, if the end was a loss.
    #[must_use]
    pub fn lost_leg(self) -> Option<Leg> {
        match self {
            Self::IpChange | Self::PeerVanished | Self::ClientGone | Self::NetworkPoor => Some(Leg::Browser),
            Self::MediaTimeout(leg) => Some(leg),
            Self::SessionTimerExpired | Self::TrunkLost | Self::SipTransportLost => Some(Leg::Trunk),
            Self::UserHangup
            | Self::RemoteHangup(_)
            | Self::NoDestination
            | Self::DestBusy
            | Self::DestRejected
            | Self::DestNotFound
            | Self::DestNoAnswer
            | Self::DestTimeout(_)
            | Self::DestAuth
            | Self::DestCodec
            | Self::DestUnavailable(_)
            | Self::DestDns
            | Self::DestUnreachable
            | Self::DestTls
            | Self::IceFailed(_)
            | Self::DtlsFailed(_)
            | Self::NodeShutdown
            | Self::NodeCrash
            | Self::InternalError => None,
        }
    }

    /// What its evidence has beyond what every outcome's has: names in the evidence's object.
    #[must_use]
    pub fn required_evidence(self) -> &'static [&'static str] {
        match self {
            Self::UserHangup => &["hung_up_by"],
            Self::RemoteHangup(RemoteHangup::Bye | RemoteHangup::Cancel) => &["hung_up_by"],
            Self::RemoteHangup(RemoteHangup::MaxDuration) => &["limit_seconds"],
            Self::RemoteHangup(RemoteHangup::Operator) => &["hung_up_by", "operator_reason"],
            Self::NoDestination => &["destinations", "prompt_played"],
            Self::DestBusy
            | Self::DestRejected
            | Self::DestNotFound
            | Self::DestNoAnswer
            | Self::DestTimeout(_)
            | Self::DestAuth
            | Self::DestCodec
            | Self::DestUnavailable(_)
            | Self::DestDns
            | Self::DestUnreachable
            | Self::DestTls => &["attempts"],
            Self::IceFailed(_) => &["candidates", "checks_udp", "checks_tcp"],
            Self::DtlsFailed(_) => &["dtls_flight", "dtls_alert"],
            Self::IpChange => &["loss", "lost_for_ms", "last_good_age_ms", "levels_before", "change"],
            Self::PeerVanished | Self::ClientGone => &["loss", "lost_for_ms", "last_good_age_ms", "levels_before"],
            Self::NetworkPoor => &["levels_before", "half_leg", "red_for_ms", "reasons"],
            Self::MediaTimeout(_) => &["limit_ms", "expected_direction"],
            Self::SessionTimerExpired => &["session_interval_seconds"],
            Self::TrunkLost => &["status"],
            Self::SipTransportLost => &["sip_side"],
            Self::NodeShutdown => &["node"],
            Self::NodeCrash => &["last_known_at"],
            Self::InternalError => &["error"],
        }
    }
}
