//! SDP: the browser's offer and our answer (JSEP), the trunk's offer/answer (RFC 3264), ICE fragments (RFC 8840).

pub mod browser;
mod browser_answer;
mod browser_offer;
mod candidate;
#[cfg(test)]
mod codec_tests;
mod crypto;
pub mod fragment;
mod lines;
mod opus_asked;
pub mod trunk;
mod trunk_read;
mod trunk_write;

use std::fmt;

use browser::Direction;
use lines::{RtpMap, Section};

use crate::audio::Codec;

/// Appends a line with the ending SDP wants.
fn push_line(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = fmt::Write::write_fmt(text, line);
    text.push_str("\r\n");
}

/// The codec an `a=rtpmap` names, if it is one of ours. Names are read without regard to case (RFC 4855 section 3).
fn codec_named(map: RtpMap<'_>) -> Option<Codec> {
    let is = |name: &str, clock, channels| {
        map.name.eq_ignore_ascii_case(name) && (map.clock, map.channels) == (clock, channels)
    };
    if is("opus", 48_000, 2) {
        Some(Codec::Opus)
    } else if is("G722", 8000, 1) {
        Some(Codec::G722)
    } else if is("PCMU", 8000, 1) {
        Some(Codec::Pcmu)
    } else if is("PCMA", 8000, 1) {
        Some(Codec::Pcma)
    } else {
        None
    }
}

/// The codec that a payload type stands for without an `a=rtpmap` (RFC 3551 section 6).
fn codec_numbered(payload_type: u8) -> Option<Codec> {
    match payload_type {
        0 => Some(Codec::Pcmu),
        8 => Some(Codec::Pcma),
        9 => Some(Codec::G722),
        _ => None,
    }
}

/// The direction a section states.
fn direction(section: &Section<'_>) -> Option<Direction> {
    section.lines(b'a').find_map(|line| match line {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    })
}
