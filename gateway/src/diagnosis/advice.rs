//! The advice of an outcome: its reason's, unless a finding of the call knows better.

use trunkline_media::api::Leg;
use trunkline_media::quality::HalfLeg;

use super::{Finding, Findings, Symptom};
use crate::outcome::{DtlsFailure, Reason, RemoteHangup};

/// What a finding has to be for a row to speak.
enum When {
    /// This one lasts, on this half-leg or on any.
    Finds(Finding, Option<HalfLeg>),
    /// Anything that people report this way lasts.
    Shows(Symptom),
}
use When::{Finds, Shows};

/// The first row that fits speaks.
#[rustfmt::skip]
const BETTER: &[(Reason, When, &str)] = &[
    (Reason::MediaTimeout(Leg::Trunk), Finds(Finding::WrongSource, Some(HalfLeg::SipUp)),
        "The trunk's audio comes from an address it did not signal: correct its SDP or set rtp_source = \"latch\" on the trunk."),
    (Reason::MediaTimeout(Leg::Trunk), Finds(Finding::UnknownPayloadType, Some(HalfLeg::SipUp)),
        "The trunk sends a codec that was not negotiated, so nothing could be played: correct its codec configuration."),
    (Reason::MediaTimeout(Leg::Browser), Finds(Finding::Undecryptable, Some(HalfLeg::BrowserUp)),
        "The browser's packets came and the agreed keys did not open them: look for a middlebox between browser and gateway."),
    (Reason::MediaTimeout(Leg::Browser), Shows(Symptom::Microphone),
        "The browser reported that it has no microphone to send from: the record's findings say why."),
    (Reason::PeerVanished, Finds(Finding::UplinkLoss, None),
        "The visitor's network lost packets before it went away: a wired connection or a better Wi-Fi helps."),
    (Reason::PeerVanished, Finds(Finding::DownlinkLoss, None),
        "The visitor's network lost packets before it went away: a wired connection or a better Wi-Fi helps."),
    (Reason::DtlsFailed(DtlsFailure::HandshakeTimeout), Finds(Finding::TcpFallback, None),
        "The handshake did not finish over TCP: look for a proxy between browser and gateway that delays or cuts connections."),
    (Reason::UserHangup, Shows(Symptom::NoAudio),
        "The visitor hung up while audio did not get through: the record's findings say on which half-leg and why."),
    (Reason::UserHangup, Shows(Symptom::Microphone),
        "The visitor hung up without a microphone: the record's findings say what kept it from the page."),
    (Reason::RemoteHangup(RemoteHangup::Bye), Shows(Symptom::NoAudio),
        "The agent's side hung up while audio did not get through: the record's findings say on which half-leg and why."),
    (Reason::RemoteHangup(RemoteHangup::Bye), Shows(Symptom::Dtmf),
        "The agent's side hung up and digits could not be sent to it as telephone-events: if it is an IVR, let the trunk negotiate telephone-event."),
];

/// One sentence an operator can act on.
#[must_use]
pub fn advice(reason: Reason, findings: &Findings) -> &'static str {
    let fits = |when: &When| match when {
        Finds(finding, half_leg) => findings.has(*finding, *half_leg),
        Shows(symptom) => findings.has_symptom(*symptom),
    };
    let better = BETTER.iter().find(|(of, when, _)| *of == reason && fits(when));
    better.map_or_else(|| reason.advice(), |(_, _, advice)| advice)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::Map;

    use super::*;

    #[test]
    fn a_finding_that_explains_the_end_speaks_up() {
        let rows = [
            (Reason::MediaTimeout(Leg::Trunk), Finding::WrongSource, HalfLeg::SipUp, "rtp_source"),
            (Reason::MediaTimeout(Leg::Trunk), Finding::UnknownPayloadType, HalfLeg::SipUp, "codec"),
            (Reason::MediaTimeout(Leg::Browser), Finding::Undecryptable, HalfLeg::BrowserUp, "keys"),
            (Reason::MediaTimeout(Leg::Browser), Finding::MicDenied, HalfLeg::BrowserUp, "microphone"),
            (Reason::PeerVanished, Finding::UplinkLoss, HalfLeg::BrowserUp, "lost packets before"),
            (Reason::UserHangup, Finding::NoPackets, HalfLeg::SipUp, "did not get through"),
            (Reason::UserHangup, Finding::MicNotFound, HalfLeg::BrowserUp, "without a microphone"),
            (Reason::RemoteHangup(RemoteHangup::Bye), Finding::Silence, HalfLeg::BrowserUp, "did not get through"),
            (Reason::RemoteHangup(RemoteHangup::Bye), Finding::DtmfNotConfirmed, HalfLeg::SipDown, "IVR"),
        ];
        for (reason, finding, half_leg, expected) in rows {
            let now = Instant::now();
            let mut findings = Findings::default();
            assert_eq!(advice(reason, &findings), reason.advice());
            findings.raise(now, finding, Some(half_leg), 1.0, Map::new());
            let better = advice(reason, &findings);
            assert!(better.contains(expected) && better.ends_with('.'), "{better}");
            assert_eq!(better.matches(". ").count(), 0, "one sentence: {better}");
            findings.clear(now, finding, Some(half_leg));
            assert_eq!(advice(reason, &findings), reason.advice(), "it was over by then");
        }
    }
}
