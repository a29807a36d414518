//! The words in which the control plane and the media plane talk: commands in, reports out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::audio::Codec;
use crate::audio::prompt::Prompt;
use crate::audio::signal::Region;
use crate::detect::IssueChange;
use crate::sdp::browser::{Candidate, IceCredentials, Offer};
use crate::sdp::trunk::TrunkMedia;

mod absence;
mod digit;
mod stats;

pub use self::absence::{BackCause, BrowserLoss, GapKind};
pub use self::digit::{Digit, DigitWay};
pub use self::stats::{CallStats, DropStats, ReorderStats, SentStats, StreamStats};

/// Names one call inside the media plane. The control plane chooses it and never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub u64);

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leg {
    /// The visitor's browser.
    Browser,
    /// The contact centre's trunk (`sip` in the public API).
    Trunk,
}

/// Everything needed to open a call's browser leg.
#[derive(Debug, Clone)]
pub struct OpenCall {
    /// The call's name in the media plane.
    pub key: CallKey,
    /// The browser's offer, already parsed.
    pub offer: Offer,
    /// Codecs the browser may be answered with, most wanted first; order of the answer follows the offer
    /// unless `prefer` says otherwise.
    pub codecs: Vec<Codec>,
    /// Put this codec first if the browser offers it (relay policy of the trunk).
    pub prefer: Option<Codec>,
    /// The highest rate at which anybody the browser may talk to can play what it says, Hz: it is asked for no wider sound
    /// (see [`Codec::playback_rate`]).
    pub playback_rate: u32,
    /// The call's time limits.
    pub limits: Limits,
    /// Seed of every random choice of the call (ufrag, pwd, SSRCs, first sequence numbers).
    pub seed: [u8; 32],
}

/// Time limits of a call's media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the offer to a finished DTLS handshake.
    pub setup: Duration,
    /// No RTP on a leg that owes us some.
    pub inactivity: Duration,
    /// How long a vanished browser is waited for.
    pub grace: Duration,
}

/// A browser leg that is registered and can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The SDP answer.
    pub answer: String,
    /// Names the ICE session (the local ufrag); strong, changes with each restart.
    pub ice_session: String,
    /// The codec both sides prefer: what the browser will send.
    pub codec: Codec,
}

/// Why an offer could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The offer parses but asks for what we do not do.
    #[error("unsupported offer: {0}")]
    Unsupported(String),
    /// No room on this worker.
    #[error("the media plane is full")]
    Full,
    /// No such call (reattach, restart).
    #[error("no such call")]
    NoSuchCall,
    /// The worker is gone.
    #[error("the media plane has stopped")]
    Stopped,
}

/// Answer to an ICE restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// Our new credentials.
    pub local: IceCredentials,
    /// Our candidates, as `a=candidate` values without the `a=`.
    pub candidates: Vec<String>,
    /// Names the new ICE session.
    pub ice_session: String,
}

/// How the trunk leg decides whom to believe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RtpSource {
    /// Only packets from the address in the SDP.
    #[default]
    Signalled,
    /// The SDP's IP address, any port, locked on the first four packets in sequence.
    Latch,
}

/// What the control plane may ask of a live call. Commands for an unknown call are counted and dropped.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Apply the trunk's negotiated media (answer, early media, re-INVITE); audio may flow from now on.
    ConnectTrunk(TrunkMedia),
    /// The trunk leg is over (attempt failed, next destination follows): quarantine its ports.
    ReleaseTrunk,
    /// The leg on the pair leased beside the trunk's takes the trunk's place, with this media; nothing is left of the old
    /// leg. Without such a pair nothing changes.
    SwapTrunk(TrunkMedia),
    /// The pair leased beside the trunk's is not needed: quarantine it.
    ReleaseSpare,
    /// The trunk has answered: from now on silence is nobody's right.
    Answered,
    /// The browser told more of its candidates.
    AddCandidates {
        /// How many.
        count: usize,
        /// Those whose address is one.
        addresses: Vec<Candidate>,
    },
    /// Stop or resume what this leg sends towards the other side.
    SetMuted {
        /// The leg whose speech is withheld.
        leg: Leg,
        /// Muted or not.
        muted: bool,
    },
    /// Send these digits, in order, towards a leg.
    SendDtmf {
        /// The leg that shall receive them.
        leg: Leg,
        /// The digits.
        digits: Vec<Digit>,
        /// How long each lasts, 40..=6000.
        duration_ms: u32,
    },
    /// How audio goes across from now on; neither, until this says otherwise.
    SetAudio {
        /// The browser is sent the trunk's codec while its network is good, and Opus while it loses packets.
        elastic: bool,
        /// What the trunk is sent is coded as it comes, without a jitter buffer here.
        on_arrival: bool,
    },
    /// How digits reach the trunk from now on, and whether its tones are listened for. As telephone-events, and not, until
    /// this says otherwise; another trunk leg begins so again.
    SetDigits {
        /// How the trunk is sent digits, the browser's among them.
        way: DigitWay,
        /// Digits that come as tones are reported too.
        listen: bool,
    },
    /// Put a leg on hold or take it back: while held it is not heard, and hears this recording over and over (comfort
    /// noise without one).
    SetHeld {
        /// Who is held.
        leg: Leg,
        /// Held or taken back.
        held: bool,
        /// What it hears while it is held.
        audio: Option<Arc<Prompt>>,
    },
    /// Play a prompt to a leg; takes the place of one that plays, and of digits that go as tones.
    Play {
        /// Who hears it.
        leg: Leg,
        /// Names it in [`MediaEvent::PromptFinished`].
        id: u32,
        /// What is heard.
        prompt: Arc<Prompt>,
        /// Start again at the end, until stopped.
        looped: bool,
        /// Over what the other side says, which is lowered meanwhile; else instead of it.
        over: bool,
    },
    /// Stop playing to a leg; digits go on.
    StopPlaying {
        /// The leg.
        leg: Leg,
    },
    /// It rings at the trunk's end: let the browser hear so for as long as nothing comes from there, until the answer or
    /// the end of the trunk leg. `None`: no more.
    Ring {
        /// Whose ringing.
        region: Option<Region>,
    },
    /// What the browser says goes back to it: there is no trunk, the path alone is tried.
    Echo,
    /// The call is over: free everything.
    Close,
}

/// Something happened to a call's media.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whose.
    pub key: CallKey,
    /// When, on the worker's clock.
    pub at: Instant,
    /// What.
    pub event: MediaEvent,
}

/// What can happen to a call's media.
#[derive(Debug, Clone, PartialEq)]
pub enum MediaEvent {
    /// The first STUN check with good integrity arrived.
    IceConnected {
        /// The browser's address.
        remote: SocketAddr,
        /// Over what.
        path: Path,
    },
    /// Keys are in place.
    DtlsConnected {
        /// The SRTP profile's registered name, e.g. `SRTP_AEAD_AES_128_GCM`.
        profile: &'static str,
    },
    /// The set-up limit passed, or the handshake failed for good.
    SetupFailed(SetupFailure),
    /// First packet of audio from this leg.
    FirstAudio {
        /// The leg it came from.
        from: Leg,
    },
    /// A digit arrived in full.
    Dtmf {
        /// The leg it came from.
        from: Leg,
        /// Which.
        digit: Digit,
        /// How long it was held.
        duration_ms: u32,
    },
    /// Everything asked for with [`Command::SendDtmf`] has been sent to this leg.
    DtmfSent {
        /// The leg it was sent to.
        leg: Leg,
    },
    /// Digits for this leg were not sent, or not all: it has no telephone-event, does not listen, is not connected, too many
    /// wait, or something was played in their place.
    DtmfNotSent {
        /// The leg they were meant for.
        leg: Leg,
    },
    /// The browser's packets come from a new address whose STUN check was authentic.
    BrowserMoved {
        /// The new address.
        remote: SocketAddr,
        /// Over what.
        path: Path,
    },
    /// Nothing authentic (RTP, RTCP, STUN) from the browser for a while, or it said goodbye.
    BrowserLost {
        /// How.
        how: BrowserLoss,
    },
    /// The browser is back after [`MediaEvent::BrowserLost`].
    BrowserBack {
        /// How long nothing was heard.
        gap_ms: u64,
        /// What brought it back.
        cause: BackCause,
        /// What the gap in its packets says of where they were.
        gap: GapKind,
    },
    /// The grace for a lost browser passed.
    GraceExpired {
        /// How it was lost.
        how: BrowserLoss,
    },
    /// No RTP for the inactivity limit from a leg that owes us some (not held, not silent by DTX or CN).
    MediaTimeout {
        /// The silent leg.
        leg: Leg,
    },
    /// A prompt that does not loop came to its end.
    PromptFinished {
        /// Who heard it.
        leg: Leg,
        /// Which.
        id: u32,
    },
    /// What the browser is sent goes on in another codec, because its network grew worse or better.
    CodecSwitched {
        /// The codec from now on.
        to: Codec,
    },
    /// A panic inside this call was caught; the call's media is gone.
    Crashed,
    /// Something wrong with the audio begins or ends.
    Issue(Box<IssueChange>),
    /// Counters and quality, once a second.
    Sample(Box<CallStats>),
}

/// How a browser reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Path {
    /// Plain UDP.
    Udp,
    /// ICE-TCP.
    Tcp,
}

/// Why a browser leg never became usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupFailure {
    /// No authentic check within the limit.
    Ice {
        /// Candidates the browser told us about.
        candidates: usize,
        /// STUN requests for this leg, authentic or not.
        checks: u64,
    },
    /// The certificate does not match the fingerprint in the SDP.
    DtlsFingerprint,
    /// The handshake did not finish within the limit.
    DtlsTimeout,
    /// The handshake was refused, with the alert's number where there was one.
    DtlsAlert(Option<u8>),
}
