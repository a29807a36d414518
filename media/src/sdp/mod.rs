//! SDP: the browser's offer and our answer (JSEP), the trunk's offer/answer (RFC 3264), ICE fragments (RFC 8840).

pub mod browser;
mod browser_answer;
mod browser_offer;
pub mod fragment;
mod lines;
pub mod trunk;
mod trunk_read;

use std::fmt;

/// Appends a line with the ending SDP wants.
fn push_line(text: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = fmt::Write::write_fmt(text, line);
    text.push_str("\r\n");
}
