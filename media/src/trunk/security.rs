//! What stands between the trunk leg's packets and the network: nothing, or SRTP.

use std::net::SocketAddr;

use rtc_crypto::RTCCryptoProvider;

use crate::api::DropStats;
use crate::outbox::{Outbox, Port};
use crate::rtp::RtpPacket;
use crate::sdp::trunk::SrtpKeys;
use crate::srtp::{Inbound, KeyError, Outbound, Refusal};

/// Plain, or the contexts of both directions.
#[derive(Default)]
pub(super) enum Security {
    #[default]
    Plain,
    Keyed(Box<Keyed>),
    /// Keys that came to nothing: silence, rather than audio for everybody.
    Mute,
}

pub(super) struct Keyed {
    keys: SrtpKeys,
    outbound: Outbound,
    inbound: Inbound,
}

impl Security {
    /// Goes over to these keys. What stays the same goes on as it is, roll-over counts and all. `true` if what we send
    /// has to be a new stream: under a key a stream begins with, no count can have gone astray, and no number comes
    /// twice. (RFC 4568 section 7.1.4 has a peer count from 0 under a new key, RFC 3711 section 3.3.1 has it go on.)
    pub(super) fn apply(&mut self, keys: Option<&SrtpKeys>, provider: &dyn RTCCryptoProvider) -> bool {
        let begun = match (&mut *self, keys) {
            (Self::Keyed(keyed), Some(keys)) => keyed.rekey(keys, provider),
            (_, Some(keys)) => Keyed::new(keys, provider).map(|keyed| {
                *self = Self::Keyed(Box::new(keyed));
                true
            }),
            (_, None) => {
                *self = Self::Plain;
                Ok(false)
            }
        };
        begun.unwrap_or_else(|error| {
            tracing::error!(%error, "the trunk leg is silent");
            *self = Self::Mute;
            false
        })
    }

    pub(super) fn open_rtp<'a>(&'a mut self, datagram: &'a [u8], drops: &mut DropStats) -> Option<&'a [u8]> {
        match self {
            Self::Plain => Some(datagram),
            Self::Keyed(keyed) => counted(keyed.inbound.unprotect_rtp(datagram), drops),
            Self::Mute => None,
        }
    }

    pub(super) fn open_rtcp<'a>(&'a mut self, datagram: &'a [u8], drops: &mut DropStats) -> Option<&'a [u8]> {
        match self {
            Self::Plain => Some(datagram),
            Self::Keyed(keyed) => counted(keyed.inbound.unprotect_rtcp(datagram), drops),
            Self::Mute => None,
        }
    }

    pub(super) fn send_rtp(&mut self, to: SocketAddr, packet: &RtpPacket<'_>, out: &mut Outbox) {
        match self {
            Self::Plain => out.push_with(Port::TrunkRtp, to, |buffer| packet.write(buffer)),
            Self::Keyed(keyed) => out.push_if(Port::TrunkRtp, to, |buffer, start| {
                packet.write(buffer);
                keyed.outbound.protect_rtp(buffer, start)
            }),
            Self::Mute => {}
        }
    }

    /// `shares`: RTCP goes by the port of RTP.
    pub(super) fn send_rtcp(&mut self, shares: bool, to: SocketAddr, report: &[u8], out: &mut Outbox) {
        let port = if shares { Port::TrunkRtp } else { Port::TrunkRtcp };
        match self {
            Self::Plain => out.push(port, to, report),
            Self::Keyed(keyed) => out.push_if(port, to, |buffer, start| {
                buffer.extend_from_slice(report);
                keyed.outbound.protect_rtcp(buffer, start)
            }),
            Self::Mute => {}
        }
    }
}

impl Keyed {
    fn new(keys: &SrtpKeys, provider: &dyn RTCCryptoProvider) -> Result<Self, KeyError> {
        Ok(Self {
            keys: *keys,
            outbound: Outbound::new(&keys.ours, provider.crypto())?,
            inbound: Inbound::new(&keys.theirs, provider.crypto())?,
        })
    }

    fn rekey(&mut self, keys: &SrtpKeys, provider: &dyn RTCCryptoProvider) -> Result<bool, KeyError> {
        if keys.theirs != self.keys.theirs {
            self.inbound.rekey(&keys.theirs, provider.crypto())?;
        }
        let begun = keys.ours != self.keys.ours;
        if begun {
            self.outbound = Outbound::new(&keys.ours, provider.crypto())?;
        }
        self.keys = *keys;
        Ok(begun)
    }
}

fn counted<'a>(opened: Result<&'a [u8], Refusal>, drops: &mut DropStats) -> Option<&'a [u8]> {
    match opened {
        Ok(plain) => Some(plain),
        Err(Refusal::Undecryptable) => {
            drops.undecryptable += 1;
            None
        }
        Err(Refusal::Replayed) => {
            drops.replayed += 1;
            None
        }
    }
}
