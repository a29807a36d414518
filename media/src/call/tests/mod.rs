//! A whole call in virtual time: a real WebRTC peer on one side, a plain RTP phone on the other.

mod audio;
mod browser;
mod digits;
mod lifecycle;
mod phone;
mod world;
