//! Who should hear whom: a model of a call so small that it can be seen to be right.

use super::{BROWSER_TONE, PHONE_TONE};

/// What was done to a call so far, as far as it decides what is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The phone has answered and nobody has hung up.
    pub talking: bool,
    /// The browser says its tone.
    pub browser_speaks: bool,
    /// The phone says its tone.
    pub phone_speaks: bool,
    /// The gateway withholds what the browser says.
    pub browser_muted: bool,
    /// The gateway withholds what the phone says.
    pub phone_muted: bool,
    /// The browser is on hold.
    pub browser_held: bool,
    /// The phone is on hold.
    pub phone_held: bool,
    /// What the phone wants to do: `sendrecv`, `sendonly`, `inactive`.
    pub phone_direction: &'static str,
}

impl Default for Reference {
    fn default() -> Self {
        Self {
            talking: false,
            browser_speaks: true,
            phone_speaks: true,
            browser_muted: false,
            phone_muted: false,
            browser_held: false,
            phone_held: false,
            phone_direction: "sendrecv",
        }
    }
}

impl Reference {
    /// The tone the phone should hear.
    #[must_use]
    pub fn phone_hears(&self) -> Option<f64> {
        let listens = self.phone_direction == "sendrecv";
        let free = self.talking && !self.browser_held && !self.phone_held;
        (free && self.browser_speaks && !self.browser_muted && listens).then_some(BROWSER_TONE)
    }

    /// The tone the browser should hear.
    #[must_use]
    pub fn browser_hears(&self) -> Option<f64> {
        let sends = self.phone_direction != "inactive";
        let free = self.talking && !self.browser_held && !self.phone_held;
        (free && self.phone_speaks && !self.phone_muted && sends).then_some(PHONE_TONE)
    }
}
