//! One call's RTP socket: the edge around [`Voice`].
#![allow(clippy::disallowed_methods)] // The edge: it reads the clock once per wake-up.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use trunkline_media::audio::prompt::Prompt;
use trunkline_media::sdp::trunk::TrunkMedia;

use super::voice::{FRAME, Voice};
use crate::ids::random_bits;

/// Largest RTP datagram worth reading.
const MTU: usize = 1500;
const ATTEMPTS: usize = 64;

/// A bound port pair.
pub(super) struct Line {
    /// Where RTP arrives.
    pub(super) address: SocketAddr,
    rtp: UdpSocket,
    /// Held so that reports sent here have somewhere to go.
    _rtcp: UdpSocket,
}

impl Line {
    /// Binds an even port and the odd one above it.
    pub(super) async fn bind(ip: IpAddr) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..ATTEMPTS {
            let rtp = UdpSocket::bind((ip, 0)).await?;
            let address = rtp.local_addr()?;
            if !address.port().is_multiple_of(2) {
                continue;
            }
            match UdpSocket::bind((ip, address.port().saturating_add(1))).await {
                Ok(rtcp) => return Ok(Self { address, rtp, _rtcp: rtcp }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Talks until the call is over (`changes` ends: `false`) or the caller pressed `*` (`true`: hang up).
    pub(super) async fn talk(
        self,
        media: TrunkMedia,
        greeting: Arc<Prompt>,
        mut changes: mpsc::Receiver<TrunkMedia>,
    ) -> bool {
        let Ok(mut voice) = Voice::new(media, greeting, random_bits()) else { return true };
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut received, mut sent) = (vec![0; MTU], Vec::with_capacity(MTU));
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(media) => voice.set_media(media),
                    None => return false,
                },
                Ok((length, _)) = self.rtp.recv_from(&mut received) => {
                    let digit = voice.handle_rtp(Instant::now(), received.get(..length).unwrap_or_default());
                    if digit.is_some_and(|digit| digit.as_char() == '*') {
                        return true;
                    }
                }
                _ = frames.tick() => {
                    voice.tick(Instant::now(), &mut sent);
                    if !sent.is_empty() {
                        // Whoever does not listen any more hangs up by SIP.
                        let _ = self.rtp.send_to(&sent, voice.media().remote).await;
                    }
                }
            }
        }
    }
}
