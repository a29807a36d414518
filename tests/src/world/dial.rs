//! How calls are dialled.

use std::time::Duration;

use trunkline::routing::Route;
use trunkline_config::{Calls, ContextFields, Dtmf, Srtp, Tones};
use trunkline_media::api::{Limits, RtpSource};
use trunkline_media::audio::Codec;
use trunkline_signaling::targets::Wanted;

use super::browser::Visitor;
use super::secs;

/// How a call is dialled.
#[derive(Debug, Clone)]
pub struct Dial {
    /// What the browser offers, best first; empty: a call without media.
    pub browser: Vec<Codec>,
    /// What the trunk is offered.
    pub trunk: Vec<Codec>,
    /// The trunk's codec is relayed to the browser, if the browser has it.
    pub relay: bool,
    /// What the browser is sent follows its network.
    pub elastic: bool,
    /// The trunk evens out the browser's jitter.
    pub on_arrival: bool,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// Time limits of the media.
    pub limits: Limits,
    /// What is odd about the visitor's browser or way.
    pub visitor: Visitor,
    /// The trunk's longest call.
    pub max_duration: Duration,
    /// How often the SIP session is refreshed, seconds (RFC 4028).
    pub session_expires: u32,
    /// Whose RTP is believed.
    pub rtp_source: RtpSource,
    /// Encryption of the trunk's audio.
    pub srtp: Srtp,
    /// How digits go and come.
    pub dtmf: Dtmf,
    /// How the trunk is called.
    pub calls: Calls,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            browser: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
            trunk: vec![Codec::Pcmu, Codec::Pcma],
            relay: false,
            elastic: false,
            on_arrival: false,
            ring_timeout: secs(60),
            limits: Limits { setup: secs(20), inactivity: secs(20), grace: secs(30) },
            visitor: Visitor::default(),
            max_duration: secs(4 * 3600),
            session_expires: 1800,
            rtp_source: RtpSource::Signalled,
            srtp: Srtp::Off,
            dtmf: Dtmf::Auto,
            calls: Calls::default(),
        }
    }
}

impl Dial {
    /// Signalling only.
    #[must_use]
    pub fn without_media() -> Self {
        Self { browser: Vec::new(), ..Self::default() }
    }
}

/// The route to a host.
#[must_use]
pub fn route(dial: &Dial, host: &str) -> Route {
    Route {
        destination: format!("sip:agent@{host}"),
        trunk: host.to_owned(),
        request_uri: format!("sip:agent@{host}.example"),
        wanted: Wanted { host: host.into(), port: Some(5060), transport: None, secure: false },
        credentials: None,
        codecs: dial.trunk.clone(),
        ring_timeout: dial.ring_timeout,
        max_duration: dial.max_duration,
        warning: None,
        session_expires: dial.session_expires,
        rtp_source: dial.rtp_source,
        srtp: dial.srtp,
        rtp_told: Vec::new(),
        transfers: true,
        relay: dial.relay,
        elastic: dial.elastic,
        on_arrival: dial.on_arrival,
        context_fields: ContextFields { prefix: "X-C2C-".into(), allow: vec!["*".into()] },
        user_to_user: None,
        dtmf: dial.dtmf,
        calls: dial.calls.clone(),
        failover_statuses: Vec::new(),
        tones: Tones { ringback: false, ..Tones::default() },
    }
}
