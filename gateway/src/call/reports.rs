//! What the visitor's browser reports of itself: microphone, autoplay, its own statistics. Whatever it says is kept as
//! text; nothing of it is believed beyond a finding.

use std::time::Instant;

use serde::Deserialize;
use serde_json::Map;
use trunkline_media::quality::HalfLeg;

use super::Call;
use crate::diagnosis::{Evidence, Finding};

/// What is read of a report whose detail is a JSON object.
#[derive(Debug, Default, Deserialize)]
struct Detail {
    #[serde(default)]
    stats: Option<Stats>,
}

/// The browser's own getStats, in short. Of what it says only this is looked at.
#[derive(Debug, Default, Deserialize)]
struct Stats {
    #[serde(default)]
    packets_received: Option<u64>,
    #[serde(default)]
    playing: Option<bool>,
    #[serde(default)]
    audio_playing: Option<bool>,
}

/// Why the visitor may hear nothing of what arrives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unheard {
    seen: &'static str,
    /// The browser itself counts the packets that it does not play.
    packets_received: Option<u64>,
}

impl Call {
    /// The browser reports something.
    pub(super) fn client_reported(&mut self, now: Instant, code: String, detail: Option<String>) {
        let finding = match code.as_str() {
            "mic_denied" => Some(Finding::MicDenied),
            "mic_not_found" => Some(Finding::MicNotFound),
            "mic_policy_blocked" => Some(Finding::MicPolicyBlocked),
            "insecure_context" => Some(Finding::InsecureContext),
            _ => None,
        };
        let told = detail.as_deref().unwrap_or_default();
        if let Some(finding) = finding {
            let mut evidence = reported(&code);
            evidence.insert("detail".into(), super::record::short(told).into());
            self.raise(now, finding, Some(HalfLeg::BrowserUp), 0.9, evidence);
        }
        if code == "autoplay_blocked" {
            self.unheard = Some(Unheard { seen: "autoplay_blocked", packets_received: None });
        } else if let Ok(Detail { stats: Some(stats) }) = serde_json::from_str(told) {
            match stats.playing.or(stats.audio_playing) {
                Some(false) => {
                    self.unheard =
                        Some(Unheard { seen: "stats_not_playing", packets_received: stats.packets_received });
                }
                Some(true) => {
                    self.unheard = None;
                    self.clear(now, Finding::DeliveredButUnheard, Some(HalfLeg::BrowserDown));
                }
                None => {}
            }
        }
        self.notes.client_report(now, code, detail);
        self.look_for_unheard(now);
    }

    /// The browser plays nothing: once it is sure that audio arrives there, the fault is behind the network.
    pub(super) fn look_for_unheard(&mut self, now: Instant) {
        let Some(unheard) = self.unheard else { return };
        let counted = unheard.packets_received.is_some_and(|packets| packets > 0);
        if !counted && !self.quality.is_delivered(HalfLeg::BrowserDown) {
            return;
        }
        self.unheard = None;
        let mut evidence = reported(unheard.seen);
        evidence.insert("packets_received".into(), unheard.packets_received.into());
        evidence.insert("delivery".into(), if counted { "browser_stats" } else { "receiver_report" }.into());
        self.raise(now, Finding::DeliveredButUnheard, Some(HalfLeg::BrowserDown), 0.8, evidence);
    }

    /// The visitor's voice came: whatever kept the microphone away is over.
    pub(super) fn microphone_works(&mut self, now: Instant) {
        for finding in [Finding::MicDenied, Finding::MicNotFound, Finding::MicPolicyBlocked, Finding::InsecureContext] {
            self.clear(now, finding, Some(HalfLeg::BrowserUp));
        }
    }
}

fn reported(code: &str) -> Evidence {
    let mut evidence = Map::new();
    evidence.insert("client_report".into(), code.into());
    evidence
}
