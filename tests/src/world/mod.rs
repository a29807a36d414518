//! The simulated world: the gateway's own cores, phones and browsers, on a seeded network, in virtual time. No socket, no
//! task, no sleep: a day of calls over a bad network is a matter of seconds, and a seed repeats it.
//!
//! ```text
//! World ── SimClock
//!   ├─ SimNet        datagrams under way, links, address translators
//!   ├─ SimGateway    signaling::Endpoint + gateway::call::Call + media::call::Call, joined as the edges join them
//!   ├─ SimPhone      a second Endpoint, plain RTP, a script
//!   ├─ SimBrowser    another project's WebRTC stack
//!   ├─ Reference     who should hear whom
//!   └─ check         what must hold after every step
//! ```

pub mod browser;
pub mod chance;
mod check;
pub mod clock;
mod deeds;
pub mod dial;
mod dns;
pub mod gateway;
mod inbound;
pub mod net;
pub mod phone;
pub mod ports;
pub mod reader;
pub mod reference;
pub mod sdp;
mod view;
pub mod voice;
mod watch;
#[allow(clippy::module_inception)]
pub mod world;

pub use browser::{BrowserId, SimBrowser, Visitor};
pub use dial::Dial;
pub use dns::{SimDns, Trouble};
pub use gateway::{CallNo, SimGateway};
pub use net::{Link, Loss, SimNet, Towards};
pub use phone::{Answer, Lie, Obeys, PhoneEnd, PhoneId, Rtcp, Script, SimPhone};
pub use trunkline_media::quality::HalfLeg;
pub use voice::{Manner, Says};
pub use world::World;

use std::time::Duration;

/// What browsers say, Hz.
pub const BROWSER_TONE: f64 = 440.0;
/// What phones say, Hz.
pub const PHONE_TONE: f64 = 1000.0;

/// Seconds.
#[must_use]
pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
#[must_use]
pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The seeds a test of many tries: `usual` of them, or as many as the environment variable `SEEDS` says, or the one in
/// `SEED` alone.
pub fn seeds(usual: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("SEEDS").unwrap_or(usual) + 1,
    }
}
