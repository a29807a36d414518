//! Webhooks: events on their way to the integrations that asked for them (Standard Webhooks 1.0.0).
//!
//! ```text
//! store (deliveries, durable with their events)
//!    │ pages                        ┌─ signature ─▶ outbound::Client ─▶ receiver
//!    ▼                              │
//! Outlet ─ Lane (pure: order, waits, breaker) ─ Worker, a task for each integration
//!    ▲ attempts, pause                                   ▲ started, changed, stopped
//!    store                                           Webhooks ◀─ configuration, control API
//! ```
//!
//! Each integration has a task, a window and a limit of its own: a slow one holds up nobody else. Nothing is forgotten
//! before it is written: a crash sends an event again, under the same id, rather than never.

pub mod breaker;
mod counters;
mod dispatcher;
pub mod lane;
#[cfg(test)]
mod lane_tests;
mod outlet;
mod send;
pub mod signature;
#[cfg(test)]
mod tests;
mod worker;

pub use counters::{DELIVERIES, OutletStats};
pub use dispatcher::{AskError, Overview, Target, Webhooks};
pub use send::RESULTS;
