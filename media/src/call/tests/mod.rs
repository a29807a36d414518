//! A whole call in virtual time: a real WebRTC peer on one side, a plain RTP phone on the other.

mod allocations;
mod audio;
pub(crate) mod browser;
mod codecs;
mod digits;
mod elastic;
mod hostile;
mod instructions;
mod lifecycle;
mod matrix;
pub(crate) mod phone;
mod quality;
mod renegotiation;
mod reports;
mod resting;
mod secure;
mod sounds;
mod tones;
mod world;
