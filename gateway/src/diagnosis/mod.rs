//! Diagnosis: the symptoms people report, found by the gateway itself.
//!
//! One catalogue of findings with the symptom each explains and one sentence of advice; [`crate::call::Call`] raises and
//! clears them from what its media, its signalling and its browser say.

use trunkline_media::detect::Issue;
use trunkline_media::quality::HalfLeg;

use crate::outcome::Reason;

mod advice;
mod findings;

pub use advice::advice;
pub use findings::{Evidence, Findings, facts};

macro_rules! findings {
    ($($(#[$doc:meta])* $variant:ident => $word:literal, $symptom:ident, $advice:literal;)+) => {
        /// A cause the gateway can name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Finding {
            $($(#[$doc])* $variant,)+
            /// A destination did not take the call; the finding's word, advice and evidence are the reason's.
            DestinationFailed(Reason),
        }

        impl Finding {
            /// All of them but [`Self::DestinationFailed`].
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The contract's word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::DestinationFailed(reason) => reason.word(),
                }
            }

            /// What people report.
            #[must_use]
            pub fn symptom(self) -> Symptom {
                match self {
                    $(Self::$variant => Symptom::$symptom,)+
                    Self::DestinationFailed(_) => Symptom::NotReached,
                }
            }

            /// One sentence an operator can act on.
            #[must_use]
            pub fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)+
                    Self::DestinationFailed(reason) => reason.advice(),
                }
            }
        }
    };
}

/// What people report, as an operator's support page is organised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Symptom {
    /// Connects, no audio one way or no way.
    NoAudio,
    /// A corporate network.
    UdpBlocked,
    /// Sounds bad.
    SoundsBad,
    /// Echo, feedback.
    Echo,
    /// Starts, does not reach the agent.
    NotReached,
    /// The microphone is refused.
    Microphone,
    /// The IVR ignores digits.
    Dtmf,
}

impl Symptom {
    /// Its name in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoAudio => "no_audio",
            Self::UdpBlocked => "udp_blocked",
            Self::SoundsBad => "sounds_bad",
            Self::Echo => "echo",
            Self::NotReached => "not_reached",
            Self::Microphone => "microphone",
            Self::Dtmf => "dtmf",
        }
    }
}

findings! {
    /// Nothing comes.
    NoPackets => "no_packets", NoAudio, "No audio packets arrive on this half-leg: check firewalls, NAT and the RTP ports on the way.";
    /// What comes cannot be opened.
    Undecryptable => "undecryptable", NoAudio, "Packets arrive that the agreed keys do not open: look for a middlebox, or a sender that re-keyed without saying so.";
    /// What comes, comes from elsewhere.
    WrongSource => "wrong_source", NoAudio, "Audio comes from an address that was not signalled: correct the peer's SDP or set rtp_source = \"latch\" on the trunk.";
    /// What comes is something else.
    UnknownPayloadType => "unknown_payload_type", NoAudio, "The peer sends a codec that was not negotiated: correct its codec configuration.";
    /// Nothing is in it.
    Silence => "silence", NoAudio, "Packets arrive but carry silence: look for a muted microphone, a wrong input device, or an agent's muted headset.";
    /// It arrives, and nobody hears it.
    DeliveredButUnheard => "delivered_but_unheard", NoAudio, "The browser confirms that audio arrives: look at autoplay, volume and the output device on the visitor's side.";
    /// UDP does not pass.
    UdpBlocked => "udp_blocked", UdpBlocked, "The visitor's network lets no UDP out to this gateway: open the media ports, or offer ICE-TCP or TURN on 443.";
    /// TCP instead of UDP.
    TcpFallback => "tcp_fallback", UdpBlocked, "Media runs over TCP, where each loss becomes delay: let UDP through to the media ports.";
    /// A relay in between.
    RelayInUse => "relay_in_use", UdpBlocked, "Media runs through a TURN relay: its location adds delay; let UDP through to the media ports.";
    /// The visitor's packets get lost on the way here.
    UplinkLoss => "uplink_loss", SoundsBad, "The visitor's network loses packets towards the gateway: a wired connection or a better Wi-Fi helps.";
    /// Our packets get lost on the way to the visitor.
    DownlinkLoss => "downlink_loss", SoundsBad, "Packets get lost on the way to the visitor: their network, or ours out, is congested.";
    /// The trunk loses packets.
    SipLoss => "sip_loss", SoundsBad, "Packets get lost between gateway and trunk: look at the path to the trunk, not at the visitor.";
    /// The visitor's packets come unevenly.
    HighJitter => "high_jitter", SoundsBad, "Packets arrive unevenly on the visitor's side: look for a busy Wi-Fi or a saturated uplink.";
    /// The way is long.
    HighRtt => "high_rtt", SoundsBad, "The round trip is long: people talk over each other; look for a detour, a VPN or a relay far away.";
    /// The trunk's packets come unevenly.
    SipJitter => "sip_jitter", SoundsBad, "Packets arrive unevenly between gateway and trunk: look at the trunk's path, not at the visitor.";
    /// Too quiet.
    MicLow => "mic_low", SoundsBad, "The visitor's microphone is very quiet: raise its gain or move closer.";
    /// Too loud.
    MicClipping => "mic_clipping", SoundsBad, "The visitor's microphone clips: lower its gain.";
    /// Up and down.
    MicUnstableGain => "mic_unstable_gain", SoundsBad, "The visitor's level goes up and down: two gain controls may work against each other.";
    /// Half the spectrum.
    NarrowbandMic => "narrowband_mic", SoundsBad, "The visitor's microphone sends nothing over 4 kHz: a Bluetooth headset in hands-free mode; use the device's own microphone.";
    /// Noise.
    BackgroundNoise => "background_noise", SoundsBad, "There is much noise behind the visitor's voice: a headset or a quieter place helps.";
    /// The agent's side returns the visitor's voice.
    AgentEcho => "agent_echo", Echo, "The visitor's voice comes back from the agent's side: an agent on loudspeaker, or a line without echo cancelling.";
    /// The visitor's side returns the agent's voice.
    VisitorEcho => "visitor_echo", Echo, "The agent's voice comes back from the visitor's side: loudspeaker without echo cancelling; headphones help.";
    /// The profile asked for does not exist.
    ProfileFallback => "profile_fallback", NotReached, "The widget asked for a profile that does not exist: correct its link or add the profile.";
    /// Nothing to dial.
    NoDestination => "no_destination", NotReached, "Give the profile a destination, or pass one with the session.";
    /// The visitor refused.
    MicDenied => "mic_denied", Microphone, "The visitor refused the microphone: show how to allow it for this page.";
    /// There is none.
    MicNotFound => "mic_not_found", Microphone, "The visitor's device has no microphone that the browser can use.";
    /// The page refused.
    MicPolicyBlocked => "mic_policy_blocked", Microphone, "The page around the widget does not pass the microphone on: its frame needs allow=\"microphone\".";
    /// No HTTPS.
    InsecureContext => "insecure_context", Microphone, "The page is not served over HTTPS: browsers give no microphone to it.";
    /// Digits may not get through.
    DtmfNotConfirmed => "dtmf_not_confirmed", Dtmf, "Digits cannot be sent as telephone-events on this leg: let the trunk negotiate telephone-event.";
}

impl Finding {
    /// Every word a finding can have, those of failed destinations among them.
    pub fn words() -> impl Iterator<Item = &'static str> {
        let mut of_destinations: Vec<_> =
            Reason::ALL.iter().filter(|reason| reason.is_of_destination()).map(|reason| reason.word()).collect();
        of_destinations.dedup();
        Self::ALL.iter().map(|finding| finding.word()).chain(of_destinations)
    }

    /// What an issue of the media is called where it was seen.
    #[must_use]
    pub fn of(issue: Issue, half_leg: HalfLeg) -> Self {
        let browser = matches!(half_leg, HalfLeg::BrowserUp | HalfLeg::BrowserDown);
        match issue {
            Issue::NoPackets => Self::NoPackets,
            Issue::Undecryptable => Self::Undecryptable,
            Issue::WrongSource => Self::WrongSource,
            Issue::UnknownPayloadType => Self::UnknownPayloadType,
            Issue::Silence => Self::Silence,
            Issue::Loss if half_leg == HalfLeg::BrowserUp => Self::UplinkLoss,
            Issue::Loss if browser => Self::DownlinkLoss,
            Issue::Loss => Self::SipLoss,
            Issue::Jitter if browser => Self::HighJitter,
            Issue::Jitter => Self::SipJitter,
            Issue::Rtt => Self::HighRtt,
            Issue::MicLow => Self::MicLow,
            Issue::MicClipping => Self::MicClipping,
            Issue::MicUnstableGain => Self::MicUnstableGain,
            Issue::NarrowbandMic => Self::NarrowbandMic,
            Issue::BackgroundNoise => Self::BackgroundNoise,
            Issue::Echo if browser => Self::VisitorEcho,
            Issue::Echo => Self::AgentEcho,
            Issue::TcpFallback => Self::TcpFallback,
            Issue::RelayInUse => Self::RelayInUse,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_finding_has_one_word_and_one_sentence() {
        let words: Vec<_> = Finding::words().collect();
        assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "{words:?}");
        for word in ["udp_blocked", "dest_busy", "dest_tls", "dest_unavailable", "delivered_but_unheard", "sip_jitter"]
        {
            assert!(words.contains(&word), "{word}");
        }
        let destinations = Reason::ALL.iter().filter(|reason| reason.is_of_destination());
        let of_destinations = destinations.map(|reason| Finding::DestinationFailed(*reason));
        for finding in Finding::ALL.iter().copied().chain(of_destinations) {
            let advice = finding.advice();
            assert!(advice.ends_with('.') && advice.matches(". ").count() == 0, "{advice}");
            assert!(!finding.symptom().word().is_empty());
        }
    }
}
