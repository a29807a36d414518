//! Trunkline's simulated world and the real peers its tests talk to.

// All of this crate is test code: a panic is a failed test, and the real peers need the real clock.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

pub mod baresip;
pub mod browser;
pub mod console;
pub mod gateway;
pub mod hook_server;
pub mod kamailio;
pub mod media_phone;
pub mod name_server;
pub mod namespace;
pub mod page;
pub mod pjsua;
pub mod process;
pub mod registrar;
pub mod relay;
pub mod sipp;
pub mod switchboard;
pub mod web_client;
pub mod world;
