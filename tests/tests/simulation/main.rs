//! Scenarios in the simulated world: the gateway's cores, phones and browsers in virtual time.

// Test code: a panic is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::disallowed_methods)]

mod crossing;
mod diagnosis;
mod dialogs;
mod digits;
mod failover;
mod hold;
mod inbound;
mod junk;
mod loss;
mod lying;
mod moving;
mod outcomes;
mod quality;
mod resolving;
mod setup;
mod signalling;
mod talk;
mod teardown;
mod transfer;
mod walk;
