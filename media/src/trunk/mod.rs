//! The trunk leg: RTP and RTCP on a leased port pair.
