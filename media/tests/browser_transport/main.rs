//! A whole browser (ICE, DTLS client, SRTP) against our transport, without sockets and in virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // helpers of tests are tests, which the lint does not see

mod setup;
mod talk;
mod world;
