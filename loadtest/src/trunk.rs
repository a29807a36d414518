//! A trunk as a call in process is told of it.

use std::net::SocketAddr;

use trunkline_media::api::RtpSource;
use trunkline_media::audio::{Codec, OpusWishes};
use trunkline_media::rtp::PayloadType;
use trunkline_media::sdp::browser::Direction;
use trunkline_media::sdp::trunk::TrunkMedia;

/// One at this address that speaks this codec and knows nothing else.
pub(crate) fn plain(remote: SocketAddr, codec: Codec, payload_type: u8) -> TrunkMedia {
    TrunkMedia {
        remote,
        remote_rtcp: SocketAddr::new(remote.ip(), remote.port() + 1),
        codec,
        payload_type: PayloadType(payload_type),
        telephone_event: None,
        opus: OpusWishes::default(),
        comfort_noise: false,
        ptime_ms: 20,
        peer_direction: Direction::SendRecv,
        source: RtpSource::Signalled,
        srtp: None,
        also: Vec::new(),
        rtcp_mux: false,
        extended: None,
        lines: Default::default(),
    }
}
