//! Which flow is whose: a leg is muted where it speaks, held where it speaks and where it listens.

use std::sync::Arc;
use std::time::Instant;

use super::Call;
use crate::api::Leg;
use crate::audio::Codec;
use crate::audio::prompt::Prompt;
use crate::bridge::Flow;

impl Call {
    /// What this leg says.
    pub(super) fn flow_from(&mut self, leg: Leg) -> &mut Flow {
        match leg {
            Leg::Browser => &mut self.to_trunk,
            Leg::Trunk => &mut self.to_browser,
        }
    }

    /// What this leg hears.
    pub(super) fn flow_to(&mut self, leg: Leg) -> &mut Flow {
        match leg {
            Leg::Browser => &mut self.to_browser,
            Leg::Trunk => &mut self.to_trunk,
        }
    }

    /// How hard its encoders may try, by libopus' measure: more is permitted while there is time for it.
    pub fn permit_complexity(&mut self, complexity: u8) {
        self.to_browser.permit_complexity(complexity);
        self.to_trunk.permit_complexity(complexity);
    }

    /// A held leg is not heard, and hears something else.
    pub(super) fn set_held(&mut self, now: Instant, leg: Leg, held: bool, audio: Option<Arc<Prompt>>) {
        self.flow_from(leg).set_held(now, held);
        if held {
            self.flow_to(leg).hold(now, audio);
        } else {
            self.flow_to(leg).unhold(now);
        }
        self.tell_withheld(leg);
    }

    /// Silence of a leg that is not let through is nobody's fault.
    pub(super) fn tell_withheld(&mut self, leg: Leg) {
        let withheld = self.flow_from(leg).is_muted();
        self.quality.set_muted(leg, withheld);
    }
}

/// PCM between the legs has the rate of the one that hears less, so that Opus is coded at it and nothing is carried that
/// nobody hears.
pub(super) fn pcm_rate(trunk: Option<Codec>, browser: Codec) -> u32 {
    trunk.map_or(8_000, |trunk| trunk.pcm_rate().min(browser.pcm_rate()))
}
