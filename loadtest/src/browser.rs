//! One browser: another project's WebRTC stack, told the time, with a voice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::DtlsCert;
use str0m::crypto::CryptoProvider;
use str0m::format::{Codec as StrCodec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};
use trunkline_media::audio::Codec;

use crate::row::{OPUS, RED};
use crate::stream::Voice;

/// What all browsers share: making it is not what is measured.
#[derive(Clone)]
pub(crate) struct Kit {
    provider: Arc<CryptoProvider>,
    certificate: DtlsCert,
}

impl Kit {
    pub(crate) fn new() -> Result<Self> {
        let provider = str0m::crypto::from_feature_flags();
        let certificate = provider.dtls_provider.generate_certificate().context("cannot make a certificate")?;
        Ok(Self { provider: Arc::new(provider), certificate })
    }
}

/// A browser without a socket.
pub(crate) struct Browser {
    rtc: Rtc,
    mid: Mid,
    pending: Option<SdpPendingOffer>,
    address: SocketAddr,
    connected: bool,
}

/// What comes out of a browser.
pub(crate) enum Out {
    /// A datagram to send.
    Send(SocketAddr, Vec<u8>),
    /// ICE and DTLS are done.
    Connected,
    /// Audio.
    Audio(Box<RtpPacket>),
    /// Nothing until then.
    Wait(Instant),
    /// The connection is gone.
    Gone,
}

impl Browser {
    /// A browser at `address` that offers these codecs, and its offer.
    pub(crate) fn new(now: Instant, kit: &Kit, address: SocketAddr, codecs: &[Codec]) -> Result<(Self, String)> {
        Self::make(now, kit, address, codecs, false)
    }

    /// The same that takes redundant audio, too. This stack knows none: its offer calls it Opus of one channel, and what
    /// comes is handed over as that.
    pub(crate) fn redundant(now: Instant, kit: &Kit, address: SocketAddr, codecs: &[Codec]) -> Result<(Self, String)> {
        Self::make(now, kit, address, codecs, true)
    }

    fn make(now: Instant, kit: &Kit, address: SocketAddr, codecs: &[Codec], redundant: bool) -> Result<(Self, String)> {
        let mut config = Rtc::builder()
            .set_crypto_provider(Arc::clone(&kit.provider))
            .set_dtls_cert(kit.certificate.clone())
            .set_rtp_mode(true)
            .clear_codecs();
        for codec in codecs {
            let fec = FormatParams { use_inband_fec: Some(true), min_p_time: Some(10), ..FormatParams::default() };
            let (pt, name, clock, channels, format) = match codec {
                Codec::Opus => (OPUS, StrCodec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), fec),
                Codec::G722 => (9, StrCodec::G722, Frequency::EIGHT_KHZ, None, FormatParams::default()),
                Codec::Pcmu => (0, StrCodec::PCMU, Frequency::EIGHT_KHZ, None, FormatParams::default()),
                Codec::Pcma => (8, StrCodec::PCMA, Frequency::EIGHT_KHZ, None, FormatParams::default()),
            };
            config.codec_config().add_config(pt.into(), None, name, clock, channels, format);
        }
        if redundant {
            let (clock, format) = (Frequency::FORTY_EIGHT_KHZ, FormatParams::default());
            config.codec_config().add_config(RED.into(), None, StrCodec::Opus, clock, None, format);
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        let mut change = rtc.sdp_api();
        let mid = change.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = change.apply().context("no offer")?;
        let browser = Self { rtc, mid, pending: Some(pending), address, connected: false };
        Ok((browser, offer.to_sdp_string()))
    }

    /// Takes the gateway's answer.
    pub(crate) fn accept(&mut self, answer: &str) -> Result<()> {
        let answer = answer.replace("63 red/48000/2", "63 opus/48000").replace("a=fmtp:63 111/111\r\n", "");
        let answer = SdpAnswer::from_sdp_string(&answer)?;
        let pending = self.pending.take().context("answered twice")?;
        Ok(self.rtc.sdp_api().accept_answer(pending, answer)?)
    }

    /// Whether it may speak.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Says the next packet of `voice`.
    pub(crate) fn say(&mut self, now: Instant, now_ns: u64, voice: &mut Voice) {
        let payload_type = voice.format.payload_type;
        let (sequence, timestamp, payload) = voice.next(now_ns);
        if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(self.mid, None) {
            let sequence = u64::from(sequence);
            stream.write_rtp(RtpWrite::new(payload_type.into(), sequence.into(), timestamp, now, payload));
        }
    }

    /// Time has passed. Needed after [`Self::say`], too: one packet leaves for each time the clock is driven.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<()> {
        Ok(self.rtc.handle_input(Input::Timeout(now))?)
    }

    /// A datagram came; what is none of WebRTC's is passed over.
    pub(crate) fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Result<()> {
        match Receive::new(Protocol::Udp, from, self.address, bytes) {
            Ok(receive) => Ok(self.rtc.handle_input(Input::Receive(now, receive))?),
            Err(_) => Ok(()),
        }
    }

    /// What comes out; ask until it is [`Out::Wait`].
    pub(crate) fn poll(&mut self) -> Result<Out> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(Out::Wait(at)),
                Output::Transmit(transmit) => return Ok(Out::Send(transmit.destination, transmit.contents.into())),
                Output::Event(Event::RtpPacket(packet)) => return Ok(Out::Audio(Box::new(packet))),
                Output::Event(Event::Connected) => {
                    self.connected = true;
                    return Ok(Out::Connected);
                }
                Output::Event(Event::IceConnectionStateChange(state)) if state.is_disconnected() => {
                    return Ok(Out::Gone);
                }
                Output::Event(_) => {}
            }
        }
    }
}
