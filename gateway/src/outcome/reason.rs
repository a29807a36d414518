//! The reasons, each with its detail, class, blame and advice.

use trunkline_media::api::Leg;

use super::{Blame, Class};

/// Why a call ended. Details live inside their reason, so that no wrong pair can be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The visitor hung up (DELETE on the call).
    UserHangup,
    /// Ended in order from our side of the visitor.
    RemoteHangup(RemoteHangup),
    /// Nothing to dial.
    NoDestination,
    /// 486, 600.
    DestBusy,
    /// 403, 603, 607 and requests the trunk would not take.
    DestRejected,
    /// 404, 410, 484, 604 and what means the same.
    DestNotFound,
    /// 480, or it rang too long.
    DestNoAnswer,
    /// 408, or silence.
    DestTimeout(DestTimeout),
    /// 401, 407.
    DestAuth,
    /// 415, 488, 606, or an answer that cannot be used.
    DestCodec,
    /// 5xx, 3xx, or the trunk cannot be used now.
    DestUnavailable(Unavailable),
    /// The trunk's name does not resolve.
    DestDns,
    /// The network refused our datagrams.
    DestUnreachable,
    /// No encrypted connection to the trunk: its certificate or the handshake is at fault.
    DestTls,
    /// The browser's path never came up.
    IceFailed(IceFailure),
    /// The browser's keys never came to be.
    DtlsFailed(DtlsFailure),
    /// The visitor changed networks and did not come back in time.
    IpChange,
    /// Everything of the browser stopped at once.
    PeerVanished,
    /// The browser said goodbye without a DELETE.
    ClientGone,
    /// The visitor's network was bad for a while, then it carried nothing any more.
    NetworkPoor,
    /// A leg that owes us audio sends none.
    MediaTimeout(Leg),
    /// Nobody refreshed the SIP session in time (RFC 4028).
    SessionTimerExpired,
    /// The trunk does not know the call any more.
    TrunkLost,
    /// The trunk does not answer any more, or our SIP side is gone.
    SipTransportLost,
    /// This node stops.
    NodeShutdown,
    /// This node stopped without ending the call; found when it started again.
    NodeCrash,
    /// A fault of this gateway.
    InternalError,
}

/// Details of [`Reason::RemoteHangup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemoteHangup {
    /// The agent's BYE.
    Bye,
    /// The caller's CANCEL, of a call from the trunk that nobody had answered.
    Cancel,
    /// The trunk's longest call.
    MaxDuration,
    /// The control API.
    Operator,
}

/// Details of [`Reason::DestTimeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DestTimeout {
    /// A 408 came: no detail.
    Status,
    /// Nothing at all came.
    NoProvisional,
    /// A provisional came, then nothing.
    NoFinal,
}

/// Details of [`Reason::DestUnavailable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unavailable {
    /// The trunk's final answer says so: no detail.
    Status,
    /// Switched off in the configuration, or no trunk serves the destination.
    TrunkDisabled,
    /// At its `max_calls`.
    TrunkFull,
    /// Has to be registered with, and no registrar knows us now.
    TrunkUnregistered,
    /// It did not answer OPTIONS, and another was tried.
    TrunkDown,
    /// At its `max_calls_per_second`.
    TrunkRate,
    /// It asked to be left alone for a while (503 with Retry-After).
    RetryAfter,
    /// This gateway has no RTP port or SIP transaction left.
    GatewayFull,
}

/// Details of [`Reason::IceFailed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IceFailure {
    /// The browser has candidates, none of its checks arrived.
    UdpBlocked,
    /// The browser named no candidate and sent nothing.
    NoCandidates,
    /// Checks arrived, none was good in time.
    ChecksTimeout,
}

/// Details of [`Reason::DtlsFailed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsFailure {
    /// The certificate is not the one in the SDP.
    Fingerprint,
    /// Not finished in time.
    HandshakeTimeout,
    /// Refused.
    Alert,
}

/// Why a call was refused before it was one. A problem response and a counter, not a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// Outside business hours.
    ClosedHours,
    /// The session is a preview.
    PreviewSession,
    /// Too many requests.
    RateLimited,
    /// A cap is reached.
    Capacity,
    /// This node takes no new calls.
    Draining,
    /// The trunk calls a name under which nobody waits and that is no number of it.
    UnknownAddress,
}

impl Refusal {
    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::ClosedHours => "closed_hours",
            Self::PreviewSession => "preview_session",
            Self::RateLimited => "rate_limited",
            Self::Capacity => "capacity",
            Self::Draining => "draining",
            Self::UnknownAddress => "unknown_address",
        }
    }
}

impl Reason {
    /// Every reason, with every detail.
    pub const ALL: &[Self] = &[
        Self::UserHangup,
        Self::RemoteHangup(RemoteHangup::Bye),
        Self::RemoteHangup(RemoteHangup::Cancel),
        Self::RemoteHangup(RemoteHangup::MaxDuration),
        Self::RemoteHangup(RemoteHangup::Operator),
        Self::NoDestination,
        Self::DestBusy,
        Self::DestRejected,
        Self::DestNotFound,
        Self::DestNoAnswer,
        Self::DestTimeout(DestTimeout::Status),
        Self::DestTimeout(DestTimeout::NoProvisional),
        Self::DestTimeout(DestTimeout::NoFinal),
        Self::DestAuth,
        Self::DestCodec,
        Self::DestUnavailable(Unavailable::Status),
        Self::DestUnavailable(Unavailable::TrunkDisabled),
        Self::DestUnavailable(Unavailable::TrunkFull),
        Self::DestUnavailable(Unavailable::TrunkUnregistered),
        Self::DestUnavailable(Unavailable::TrunkDown),
        Self::DestUnavailable(Unavailable::TrunkRate),
        Self::DestUnavailable(Unavailable::RetryAfter),
        Self::DestUnavailable(Unavailable::GatewayFull),
        Self::DestDns,
        Self::DestUnreachable,
        Self::DestTls,
        Self::IceFailed(IceFailure::UdpBlocked),
        Self::IceFailed(IceFailure::NoCandidates),
        Self::IceFailed(IceFailure::ChecksTimeout),
        Self::DtlsFailed(DtlsFailure::Fingerprint),
        Self::DtlsFailed(DtlsFailure::HandshakeTimeout),
        Self::DtlsFailed(DtlsFailure::Alert),
        Self::IpChange,
        Self::PeerVanished,
        Self::ClientGone,
        Self::NetworkPoor,
        Self::MediaTimeout(Leg::Browser),
        Self::MediaTimeout(Leg::Trunk),
        Self::SessionTimerExpired,
        Self::TrunkLost,
        Self::SipTransportLost,
        Self::NodeShutdown,
        Self::NodeCrash,
        Self::InternalError,
    ];

    /// Whether it says how one destination failed, rather than how a call ended.
    #[must_use]
    pub fn is_of_destination(self) -> bool {
        self.word().starts_with("dest_")
    }

    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::UserHangup => "user_hangup",
            Self::RemoteHangup(_) => "remote_hangup",
            Self::NoDestination => "no_destination",
            Self::DestBusy => "dest_busy",
            Self::DestRejected => "dest_rejected",
            Self::DestNotFound => "dest_not_found",
            Self::DestNoAnswer => "dest_no_answer",
            Self::DestTimeout(_) => "dest_timeout",
            Self::DestAuth => "dest_auth",
            Self::DestCodec => "dest_codec",
            Self::DestUnavailable(_) => "dest_unavailable",
            Self::DestDns => "dest_dns",
            Self::DestUnreachable => "dest_unreachable",
            Self::DestTls => "dest_tls",
            Self::IceFailed(_) => "ice_failed",
            Self::DtlsFailed(_) => "dtls_failed",
            Self::IpChange => "ip_change",
            Self::PeerVanished => "peer_vanished",
            Self::ClientGone => "client_gone",
            Self::NetworkPoor => "network_poor",
            Self::MediaTimeout(_) => "media_timeout",
            Self::SessionTimerExpired => "session_timer_expired",
            Self::TrunkLost => "trunk_lost",
            Self::SipTransportLost => "sip_transport_lost",
            Self::NodeShutdown => "node_shutdown",
            Self::NodeCrash => "node_crash",
            Self::InternalError => "internal_error",
        }
    }

    /// The contract's detail, where the reason has one.
    #[must_use]
    #[rustfmt::skip]
    pub fn detail(self) -> Option<&'static str> {
        Some(match self {
            Self::RemoteHangup(RemoteHangup::Bye) => "bye",
            Self::RemoteHangup(RemoteHangup::Cancel) => "cancel",
            Self::RemoteHangup(RemoteHangup::MaxDuration) => "max_duration",
            Self::RemoteHangup(RemoteHangup::Operator) => "operator",
            Self::DestTimeout(DestTimeout::NoProvisional) => "no_provisional",
            Self::DestTimeout(DestTimeout::NoFinal) => "no_final",
            Self::DestUnavailable(Unavailable::TrunkDisabled) => "trunk_disabled",
            Self::DestUnavailable(Unavailable::TrunkFull) => "trunk_full",
            Self::DestUnavailable(Unavailable::TrunkUnregistered) => "trunk_unregistered",
            Self::DestUnavailable(Unavailable::TrunkDown) => "trunk_down",
            Self::DestUnavailable(Unavailable::TrunkRate) => "trunk_rate",
            Self::DestUnavailable(Unavailable::RetryAfter) => "retry_after",
            Self::DestUnavailable(Unavailable::GatewayFull) => "gateway_full",
            Self::IceFailed(IceFailure::UdpBlocked) => "udp_blocked",
            Self::IceFailed(IceFailure::NoCandidates) => "no_candidates",
            Self::IceFailed(IceFailure::ChecksTimeout) => "checks_timeout",
            Self::DtlsFailed(DtlsFailure::Fingerprint) => "fingerprint",
            Self::DtlsFailed(DtlsFailure::HandshakeTimeout) => "handshake_timeout",
            Self::DtlsFailed(DtlsFailure::Alert) => "alert",
            Self::MediaTimeout(Leg::Browser) => "browser",
            Self::MediaTimeout(Leg::Trunk) => "sip",
            Self::DestTimeout(DestTimeout::Status) | Self::DestUnavailable(Unavailable::Status)
            | Self::UserHangup | Self::NoDestination | Self::DestBusy | Self::DestRejected | Self::DestNotFound
            | Self::DestNoAnswer | Self::DestAuth | Self::DestCodec | Self::DestDns | Self::DestUnreachable
            | Self::DestTls | Self::IpChange | Self::PeerVanished | Self::ClientGone | Self::NetworkPoor
            | Self::SessionTimerExpired | Self::TrunkLost | Self::SipTransportLost | Self::NodeShutdown
            | Self::NodeCrash | Self::InternalError => return None,
        })
    }

    /// Clean or not.
    #[must_use]
    pub fn class(self) -> Class {
        if matches!(self, Self::UserHangup | Self::RemoteHangup(_)) { Class::Ended } else { Class::Error }
    }

    /// Who can do something about it.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::UserHangup
            | Self::RemoteHangup(RemoteHangup::Bye | RemoteHangup::Cancel | RemoteHangup::MaxDuration) => Blame::None,
            Self::RemoteHangup(RemoteHangup::Operator)
            | Self::NoDestination
            | Self::DestNotFound
            | Self::DestAuth
            | Self::DestDns
            | Self::DestTls
            | Self::DestUnavailable(Unavailable::TrunkDisabled | Unavailable::TrunkFull | Unavailable::TrunkRate) => {
                Blame::Operator
            }
            Self::DestUnavailable(Unavailable::TrunkUnregistered) => Blame::Trunk,
            Self::DestBusy | Self::DestRejected | Self::DestNoAnswer => Blame::Agent,
            Self::DestTimeout(_)
            | Self::DestCodec
            | Self::DestUnavailable(Unavailable::Status | Unavailable::TrunkDown | Unavailable::RetryAfter)
            | Self::DestUnreachable
            | Self::MediaTimeout(Leg::Trunk)
            | Self::SessionTimerExpired
            | Self::TrunkLost
            | Self::SipTransportLost => Blame::Trunk,
            Self::IceFailed(_)
            | Self::DtlsFailed(DtlsFailure::Fingerprint | DtlsFailure::HandshakeTimeout)
            | Self::IpChange
            | Self::PeerVanished
            | Self::NetworkPoor => Blame::VisitorNetwork,
            Self::DtlsFailed(DtlsFailure::Alert) | Self::ClientGone | Self::MediaTimeout(Leg::Browser) => {
                Blame::Visitor
            }
            Self::DestUnavailable(Unavailable::GatewayFull)
            | Self::NodeShutdown
            | Self::NodeCrash
            | Self::InternalError => Blame::Gateway,
        }
    }

    /// One sentence an operator can act on.
    #[must_use]
    #[rustfmt::skip]
    pub fn advice(self) -> &'static str {
        match self {
            Self::UserHangup => "Nothing to do: the visitor hung up.",
            Self::RemoteHangup(RemoteHangup::Bye) => "Nothing to do: the agent's side hung up.",
            Self::RemoteHangup(RemoteHangup::Cancel) => "Answer sooner, or let more browsers wait: the caller gave up.",
            Self::RemoteHangup(RemoteHangup::MaxDuration) => "Raise the trunk's max_duration_seconds if calls may last longer.",
            Self::RemoteHangup(RemoteHangup::Operator) => "Nothing to do: the call was ended through the control API.",
            Self::NoDestination => "Give the profile a destination, or pass one with the session.",
            Self::DestBusy => "Add an agent, a queue or a further destination to the profile.",
            Self::DestRejected => "Ask the trunk's operator why it refuses calls to this destination; check caller and permissions.",
            Self::DestNotFound => "Check the destination's spelling and that the trunk knows it.",
            Self::DestNoAnswer => "Check that somebody is signed in there, or add a further destination.",
            Self::DestTimeout(DestTimeout::NoProvisional) => "Check the trunk's address and that SIP passes the firewalls both ways: not one answer came.",
            Self::DestTimeout(DestTimeout::NoFinal | DestTimeout::Status) => "Ask the trunk's operator why the call was taken up but never decided.",
            Self::DestAuth => "Check the trunk's user name and password.",
            Self::DestCodec => "Compare the trunk's codecs and encryption with what the destination accepts.",
            Self::DestUnavailable(Unavailable::Status) => "The trunk says it cannot take calls now; look at its status or add a second trunk.",
            Self::DestUnavailable(Unavailable::TrunkDisabled) => "Enable a trunk that serves this destination.",
            Self::DestUnavailable(Unavailable::TrunkUnregistered) => "No registrar of the trunk knows this gateway now; GET /v1/trunks says why.",
            Self::DestUnavailable(Unavailable::TrunkFull) => "Raise the trunk's max_calls or add a second trunk.",
            Self::DestUnavailable(Unavailable::TrunkDown) => "The trunk does not answer OPTIONS: see its state and last failure in GET /v1/trunks.",
            Self::DestUnavailable(Unavailable::TrunkRate) => "Raise the trunk's max_calls_per_second or add a second trunk.",
            Self::DestUnavailable(Unavailable::RetryAfter) => "The trunk asked for a pause (503 with Retry-After); look at its load or add a second trunk.",
            Self::DestUnavailable(Unavailable::GatewayFull) => "Widen rtp_ports or spread the load over more nodes.",
            Self::DestDns => "Check the trunk's host name and this machine's DNS servers.",
            Self::DestUnreachable => "Check routes and firewalls towards the trunk: the network refused the packets.",
            Self::DestTls => "Check the trunk's certificate, its name and the configured certificate authority: no encrypted connection came up.",
            Self::IceFailed(IceFailure::UdpBlocked) => "The visitor's network lets no UDP out to this gateway; offer ICE-TCP or TURN, and check that the media port is open.",
            Self::IceFailed(IceFailure::NoCandidates) => "The browser found no network of its own; a privacy setting or policy may forbid WebRTC.",
            Self::IceFailed(IceFailure::ChecksTimeout) => "Packets arrive but no valid check; look for a proxy or an address rewritten on the way.",
            Self::DtlsFailed(DtlsFailure::Fingerprint) => "Something on the way changed the SDP or sits between browser and gateway.",
            Self::DtlsFailed(DtlsFailure::HandshakeTimeout) => "Large UDP packets may be dropped on the visitor's way; check the path's MTU and firewalls.",
            Self::DtlsFailed(DtlsFailure::Alert) => "The browser refused the handshake; note its version and the alert.",
            Self::IpChange => "The visitor changed networks and did not come back; check that the widget does ICE restarts.",
            Self::PeerVanished => "The visitor's network or device went away; nothing to mend here unless it happens often.",
            Self::ClientGone => "The visitor closed the page without hanging up; let the widget send a DELETE when it unloads.",
            Self::NetworkPoor => "The visitor's network was too bad for a call before it carried nothing any more; a wired connection or a better Wi-Fi helps.",
            Self::MediaTimeout(Leg::Browser) => "The browser stopped sending audio while connected; ask for the microphone and the tab's state.",
            Self::MediaTimeout(Leg::Trunk) => "The trunk sends no audio; check its RTP address, NAT and the RTP ports of the firewall.",
            Self::SessionTimerExpired => "Nobody refreshed the SIP session in time; compare the session timers of the trunk with this gateway's.",
            Self::TrunkLost => "The trunk forgot a live call; ask its operator for a restart or failover at that time.",
            Self::SipTransportLost => "The trunk stopped answering during the call; check the path to it.",
            Self::NodeShutdown => "Drain the node before stopping it, or raise drain_seconds.",
            Self::NodeCrash => "The node stopped without ending its calls; look at its log and the machine's at that time.",
            Self::InternalError => "A fault of the gateway: report it with this record.",
        }
    }
}
