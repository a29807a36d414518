//! Trunkline, the daemon: composition, the call state machine, admission, routing, outcomes, the two HTTP listeners,
//! events, metrics, and the demo.
//!
//! ```text
//! public_api ─┐                    ┌─ media::worker::Plane
//!             ├─ calls::Calls ─ call::Call (pure) ─ driver ─┤
//! control_api ┘        │                                     └─ sip (task around signaling::Endpoint)
//!                      └─ events
//! ```

pub mod call;
pub mod calls;
pub mod clock;
pub mod console;
pub mod control_api;
#[cfg(test)]
mod counting;
pub mod daemon;
pub mod demo;
pub mod diagnosis;
pub mod events;
pub mod hook;
pub mod ids;
pub mod limiter;
pub mod metrics;
pub mod openapi;
pub mod outbound;
pub mod outbox;
pub mod outcome;
pub mod problem;
pub mod prompts;
pub mod public_api;
pub mod receivers;
pub mod recordings;
pub mod reload;
mod room;
pub mod routing;
pub mod session;
pub mod settings;
pub mod sip;
pub mod speech;
pub mod store;
pub mod targets;
#[cfg(test)]
mod testing;
pub mod trunks;
