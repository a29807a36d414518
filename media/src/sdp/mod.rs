//! SDP: the browser's offer and our answer (JSEP), the trunk's offer/answer (RFC 3264), ICE fragments (RFC 8840).

pub mod browser;
pub mod fragment;
pub mod trunk;
