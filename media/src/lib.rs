//! Trunkline's media plane: bytes in, audio across, bytes out.
//!
//! Everything here but [`worker`] is sans-IO: values that are told the time, take datagrams, and put
//! datagrams and events out. [`worker`] owns the sockets and threads and holds no logic.
//!
//! ```text
//! worker (threads, sockets) ── call::Call ─┬─ call::BrowserLeg over browser::BrowserTransport (ICE-lite, DTLS, SRTP)
//!                                          ├─ bridge::Flow, one a direction (relay or transcode)
//!                                          └─ trunk::TrunkLeg (RTP/RTCP on a leased port pair)
//! ```

pub mod api;
pub mod audio;
pub mod bridge;
pub mod browser;
pub mod call;
#[cfg(test)]
mod counting;
pub mod detect;
pub mod outbox;
pub mod quality;
pub mod rtp;
pub mod sdp;
pub mod srtp;
mod stream;
pub mod trunk;
pub mod worker;
