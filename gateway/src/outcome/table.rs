//! The one table between SIP statuses, Q.850 causes and reasons (RFC 3398, RFC 3326).

use trunkline_media::api::Leg;
use trunkline_signaling::endpoint::Reason as ReasonHeader;

use super::{DestTimeout, Reason, Unavailable};

/// What a final status of 300 or more to our INVITE means. Redirections are not followed.
#[must_use]
pub fn reason_of_status(status: u16) -> Reason {
    match status {
        486 | 600 => Reason::DestBusy,
        404 | 410 | 416 | 484 | 485 | 604 => Reason::DestNotFound,
        480 | 487 => Reason::DestNoAnswer,
        408 => Reason::DestTimeout(DestTimeout::Status),
        401 | 407 => Reason::DestAuth,
        406 | 415 | 488 | 606 => Reason::DestCodec,
        400..=499 | 600..=699 => Reason::DestRejected,
        _ => Reason::DestUnavailable(Unavailable::Status),
    }
}

/// SIP status → Q.850 cause, RFC 3398 section 8.2.6.1. `None` where it names none (487: we cancelled; 488 and 606:
/// depends on the Warning) or does not speak of the status.
#[must_use]
pub fn q850_of_status(status: u16) -> Option<u16> {
    Some(match status {
        404 | 485 | 604 => 1,
        486 | 600 => 17,
        480 => 18,
        401 | 402 | 403 | 407 | 603 => 21,
        410 => 22,
        482 | 483 => 25,
        484 => 28,
        502 => 38,
        400 | 481 | 500 | 503 => 41,
        405 => 63,
        406 | 415 | 501 => 79,
        408 | 504 => 102,
        413 | 414 | 416 | 420 | 421 | 423 | 505 | 513 => 127,
        _ => return None,
    })
}

/// Q.850 cause → SIP status, RFC 3398 section 7.2.4.1. `None` for normal clearing (16) and for causes that only mean
/// something between switches.
#[must_use]
pub fn status_of_q850(cause: u16) -> Option<u16> {
    Some(match cause {
        1..=3 | 26 => 404,
        17 => 486,
        18 => 408,
        19 | 20 | 31 => 480,
        21 | 55 | 57 | 87 => 403,
        22 | 23 => 410,
        27 => 502,
        28 => 484,
        29 | 79 => 501,
        34 | 38 | 41 | 42 | 47 | 58 | 88 => 503,
        65 | 70 => 488,
        102 => 504,
        111 | 127 => 500,
        _ => return None,
    })
}

/// What the trunk's INVITE is answered with when its call comes to nothing for this reason.
#[must_use]
pub fn status_of_reason(reason: Reason) -> u16 {
    match reason {
        Reason::DestBusy => 486,
        Reason::DestCodec => 488,
        Reason::DestNotFound => 404,
        Reason::DestRejected | Reason::UserHangup | Reason::RemoteHangup(_) => 603,
        Reason::DestUnavailable(_) | Reason::NodeShutdown | Reason::NodeCrash => 503,
        Reason::InternalError => 500,
        // Whoever was to answer is not there, or not any more.
        Reason::DestNoAnswer
        | Reason::NoDestination
        | Reason::DestTimeout(_)
        | Reason::DestAuth
        | Reason::DestDns
        | Reason::DestUnreachable
        | Reason::DestTls
        | Reason::IceFailed(_)
        | Reason::DtlsFailed(_)
        | Reason::IpChange
        | Reason::PeerVanished
        | Reason::ClientGone
        | Reason::NetworkPoor
        | Reason::MediaTimeout(_)
        | Reason::SessionTimerExpired
        | Reason::TrunkLost
        | Reason::SipTransportLost => 480,
    }
}

/// The `Reason` header (RFC 3326) of the BYE or CANCEL a reason leads to. Its text is the reason's own word, then its
/// detail: what the other side's logs show is what the record says.
#[must_use]
pub fn reason_header(reason: Reason) -> ReasonHeader {
    let (protocol, cause) = match reason {
        Reason::UserHangup | Reason::RemoteHangup(_) => ("Q.850", 16),
        Reason::DestNoAnswer => ("Q.850", 19),
        Reason::DestTimeout(_) | Reason::SessionTimerExpired => ("Q.850", 102),
        Reason::DestCodec => ("Q.850", 88),
        Reason::IceFailed(_) | Reason::DtlsFailed(_) | Reason::IpChange | Reason::NetworkPoor => ("Q.850", 41),
        Reason::MediaTimeout(Leg::Browser | Leg::Trunk) => ("Q.850", 38),
        Reason::NodeShutdown | Reason::NodeCrash => ("SIP", 503),
        Reason::InternalError => ("SIP", 500),
        Reason::PeerVanished
        | Reason::ClientGone
        | Reason::NoDestination
        | Reason::DestBusy
        | Reason::DestRejected
        | Reason::DestNotFound
        | Reason::DestAuth
        | Reason::DestUnavailable(_)
        | Reason::DestDns
        | Reason::DestUnreachable
        | Reason::DestTls
        | Reason::TrunkLost
        | Reason::SipTransportLost => ("Q.850", 31),
    };
    let text = match reason.detail() {
        Some(detail) => format!("{} {detail}", reason.word()),
        None => reason.word().to_owned(),
    };
    ReasonHeader { protocol: protocol.into(), cause, text: Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{DtlsFailure, IceFailure, RemoteHangup};

    #[test]
    fn each_status_has_its_reason() {
        let rows = [
            (486, "dest_busy"),
            (600, "dest_busy"),
            (403, "dest_rejected"),
            (603, "dest_rejected"),
            (607, "dest_rejected"),
            (404, "dest_not_found"),
            (410, "dest_not_found"),
            (484, "dest_not_found"),
            (604, "dest_not_found"),
            (480, "dest_no_answer"),
            (408, "dest_timeout"),
            (401, "dest_auth"),
            (407, "dest_auth"),
            (415, "dest_codec"),
            (488, "dest_codec"),
            (606, "dest_codec"),
            (500, "dest_unavailable"),
            (503, "dest_unavailable"),
            (599, "dest_unavailable"),
            (302, "dest_unavailable"),
            (400, "dest_rejected"),
            (699, "dest_rejected"),
        ];
        for (status, word) in rows {
            assert_eq!(reason_of_status(status).word(), word, "{status}");
        }
    }

    #[test]
    fn statuses_map_to_causes_as_rfc_3398_says() {
        #[rustfmt::skip]
        let rows = [
            (400, 41), (401, 21), (402, 21), (403, 21), (404, 1), (405, 63), (406, 79), (407, 21), (408, 102), (410, 22),
            (413, 127), (414, 127), (415, 79), (416, 127), (420, 127), (421, 127), (423, 127), (480, 18), (481, 41),
            (482, 25), (483, 25), (484, 28), (485, 1), (486, 17), (500, 41), (501, 79), (502, 38), (503, 41), (504, 102),
            (505, 127), (513, 127), (600, 17), (603, 21), (604, 1),
        ];
        for (status, cause) in rows {
            assert_eq!(q850_of_status(status), Some(cause), "{status}");
        }
        for status in [200, 487, 488, 606, 700] {
            assert_eq!(q850_of_status(status), None, "{status}");
        }
    }

    #[test]
    fn causes_map_to_statuses_as_rfc_3398_says() {
        #[rustfmt::skip]
        let rows = [
            (1, 404), (2, 404), (3, 404), (17, 486), (18, 408), (19, 480), (20, 480), (21, 403), (22, 410), (23, 410),
            (26, 404), (27, 502), (28, 484), (29, 501), (31, 480), (34, 503), (38, 503), (41, 503), (42, 503), (47, 503),
            (55, 403), (57, 403), (58, 503), (65, 488), (70, 488), (79, 501), (87, 403), (88, 503), (102, 504), (111, 500),
            (127, 500),
        ];
        for (cause, status) in rows {
            assert_eq!(status_of_q850(cause), Some(status), "{cause}");
        }
        for cause in [0, 16, 44, 128] {
            assert_eq!(status_of_q850(cause), None, "{cause}");
        }
    }

    #[test]
    fn a_bye_carries_the_contracts_cause() {
        let rows = [
            (Reason::UserHangup, "Q.850", 16),
            (Reason::RemoteHangup(RemoteHangup::Operator), "Q.850", 16),
            (Reason::RemoteHangup(RemoteHangup::MaxDuration), "Q.850", 16),
            (Reason::IceFailed(IceFailure::UdpBlocked), "Q.850", 41),
            (Reason::DtlsFailed(DtlsFailure::Alert), "Q.850", 41),
            (Reason::IpChange, "Q.850", 41),
            (Reason::PeerVanished, "Q.850", 31),
            (Reason::ClientGone, "Q.850", 31),
            (Reason::NetworkPoor, "Q.850", 41),
            (Reason::MediaTimeout(Leg::Browser), "Q.850", 38),
            (Reason::MediaTimeout(Leg::Trunk), "Q.850", 38),
            (Reason::DestCodec, "Q.850", 88),
            (Reason::NodeShutdown, "SIP", 503),
            (Reason::NodeCrash, "SIP", 503),
            (Reason::InternalError, "SIP", 500),
        ];
        for (reason, protocol, cause) in rows {
            let header = reason_header(reason);
            assert_eq!((header.protocol.as_str(), header.cause), (protocol, cause), "{reason:?}");
        }
    }
}
