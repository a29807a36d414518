//! The call as a table of what happens and what it does about it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use trunkline_config::{ContextFields, Dtmf, Secret, Srtp, Tones};
use trunkline_media::api::{
    BackCause, BrowserLoss, CallStats, Command, Digit, GapKind, Leg, Limits, MediaEvent, Path, RtpSource, SetupFailure,
    StreamStats,
};
use trunkline_media::audio::Codec;
use trunkline_media::audio::prompt::Prompt;
use trunkline_signaling::endpoint::{Failure, Fork, Reason as ReasonHeader};
use trunkline_signaling::targets::{Protocol, Sign, Target, Wanted};

use super::*;
use crate::outcome::{Unavailable, table};
use crate::routing::{Planned, Route};

pub(super) const LEASED: &str = "127.0.0.1:30000";

pub(super) fn route(destination: &str) -> Planned {
    Planned::Dial(Arc::new(Route {
        destination: destination.into(),
        trunk: "acme".into(),
        request_uri: format!("{destination}.example"),
        wanted: wanted(),
        credentials: Some(("user".into(), Secret::new("password"))),
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        ring_timeout: Duration::from_secs(60),
        max_duration: Duration::from_secs(7_200),
        warning: Some(Duration::from_secs(60)),
        session_expires: 1800,
        rtp_source: RtpSource::Signalled,
        srtp: Srtp::Off,
        rtp_told: Vec::new(),
        transfers: true,
        relay: false,
        elastic: false,
        on_arrival: false,
        context_fields: ContextFields { prefix: "X-C2C-".into(), allow: vec!["*".into()] },
        user_to_user: None,
        dtmf: Dtmf::Rfc4733,
        calls: trunkline_config::Calls::default(),
        failover_statuses: vec![500, 408],
        tones: Tones { ringback: false, ..Tones::default() },
    }))
}

pub(super) fn wanted() -> Wanted {
    Wanted { host: "trunk.example".into(), port: Some(5070), transport: None, secure: false }
}

pub(super) fn target(address: &str) -> Target {
    let name = wanted().host;
    Target { address: address.parse().unwrap(), over: Protocol::Udp.towards(&name), name }
}

pub(crate) fn about(now: Instant) -> About {
    About {
        call: CallId::from_client("call_1"),
        session: Some(SessionId::from_client("ses_1")),
        caller: None,
        app: "acme".into(),
        profile: Some("main".into()),
        context: vec![("plan".into(), "gold".into())],
        metadata: None,
        has_form_values: true,
        headers: Vec::new(),
        browser_codec: Codec::Opus,
        advertise: None,
        sdp_session: 7,
        keys: KeySource::new([7; 32]),
        limits: Limits {
            setup: Duration::from_secs(20),
            inactivity: Duration::from_secs(20),
            grace: Duration::from_secs(30),
        },
        poor_after: Duration::from_secs(5),
        asked_profile: None,
        no_destination: None,
        ending_soon: None,
        hold: None,
        please_wait: None,
        call_failed: None,
        lang: "en".into(),
        question: None,
        wall: Now { instant: now, wall: Timestamp::from_second(1_700_000_000).unwrap() },
    }
}

pub(super) fn sdp(port: u16, codec: &str, direction: &str) -> Bytes {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio {port} RTP/AVP {codec}\r\na={direction}\r\n"
    )
    .into()
}

/// A call whose trunk has answered, with nothing left to be carried out.
pub(crate) fn answered(now: Instant, about: About) -> Call {
    let mut bench = Bench::of(Call::new(now, about, vec![route("sip:agent@acme")]), now);
    bench.feed(Input::Start);
    let mut bench = bench.invite(1);
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    bench.call
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn pcmu() -> Option<Bytes> {
    Some(sdp(4_000, "0", "sendrecv"))
}

/// A call, its clock, and what it has done so far.
struct Bench {
    call: Call,
    now: Instant,
    done: Vec<Effect>,
    /// What it told of quality and findings on the way, which stands aside of everything else.
    told: Vec<CallEvent>,
    /// What it said of targets.
    met: Vec<(String, Sign)>,
}

fn is_aside(effect: &Effect) -> bool {
    let names = ["network_quality_changed", "issue_detected", "issue_cleared"];
    matches!(effect, Effect::Emit(event) if names.contains(&event.name)) || matches!(effect, Effect::Met { .. })
}

impl Bench {
    fn new(plan: Vec<Planned>) -> Self {
        let now = Instant::now() + Duration::from_secs(3_600);
        Self::of(Call::new(now, about(now), plan), now)
    }

    fn of(call: Call, now: Instant) -> Self {
        Self { call, now, done: Vec::new(), told: Vec::new(), met: Vec::new() }
    }

    /// Started, with one destination.
    fn started() -> Self {
        let mut bench = Self::new(vec![route("sip:agent@acme")]);
        bench.feed(Input::Start);
        bench
    }

    /// The INVITE of attempt 1 is out.
    fn inviting() -> Self {
        Self::started().invite(1)
    }

    fn invite(mut self, attempt: u32) -> Self {
        self.leased(attempt);
        self.resolved(attempt, &["192.0.2.9:5070"]);
        self
    }

    fn ringing() -> Self {
        let mut bench = Self::inviting();
        bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 180, sdp: None });
        bench
    }

    /// Answered, with the browser connected.
    fn talking() -> Self {
        let mut bench = Self::ringing();
        bench.connect();
        bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
        assert_eq!(bench.call.state(), State::Talking);
        bench.done.clear();
        bench
    }

    /// Feeds one input; what came of it.
    fn feed(&mut self, input: Input) -> Vec<Effect> {
        self.call.handle(self.now, input);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Effect> {
        let all = std::iter::from_fn(|| self.call.poll_effect());
        let (aside, new): (Vec<_>, Vec<_>) = all.partition(is_aside);
        for effect in aside {
            if let Effect::Met { target, sign } = &effect {
                self.met.push((target.to_string(), *sign));
            }
            if let Effect::Emit(event) = effect {
                self.told.push(event);
            }
        }
        self.done.extend(new.iter().cloned());
        new
    }

    fn media(&mut self, event: MediaEvent) -> Vec<Effect> {
        self.feed(Input::Media(event))
    }

    fn sip(&mut self, event: SipEvent) -> Vec<Effect> {
        self.feed(Input::Sip { attempt: AttemptId(self.call.attempts), event })
    }

    fn leased(&mut self, attempt: u32) -> Vec<Effect> {
        self.feed(Input::TrunkLeased { attempt: AttemptId(attempt), result: Ok(LEASED.parse().unwrap()) })
    }

    fn resolved(&mut self, attempt: u32, addresses: &[&str]) -> Vec<Effect> {
        let targets = addresses.iter().map(|address| target(address)).collect();
        self.feed(Input::Resolved { attempt: AttemptId(attempt), result: Ok(targets) })
    }

    fn connect(&mut self) {
        self.media(MediaEvent::IceConnected { remote: "198.51.100.7:5000".parse().unwrap(), path: Path::Udp });
        self.media(MediaEvent::DtlsConnected { profile: "SRTP_AEAD_AES_128_GCM" });
    }

    /// Jumps to the next deadline and lets it pass; its reason.
    fn timeout(&mut self) -> &'static str {
        let (at, why) = self.call.poll_timeout().expect("a deadline");
        self.now = at;
        self.call.handle_timeout(at);
        self.drain();
        why
    }

    fn after(mut self, seconds: u64) -> Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    fn events(&self) -> Vec<&'static str> {
        let name = |e: &Effect| if let Effect::Emit(event) = e { Some(event.name) } else { None };
        self.done.iter().filter_map(name).collect()
    }

    /// A finding of the record.
    fn finding(&self, word: &str) -> Option<Value> {
        let record = self.record();
        record["findings"].as_array().unwrap().iter().find(|found| found["finding"] == word).cloned()
    }

    /// Events of that name told aside: their data.
    fn told(&self, name: &str) -> Vec<Value> {
        let named = self.told.iter().filter(|event| event.name == name);
        named.map(|event| Value::Object(event.data.clone())).collect()
    }

    fn record(&self) -> Value {
        self.call.record(self.now)
    }

    fn outcome(&self) -> Value {
        serde_json::to_value(self.call.outcome().expect("the call is over")).unwrap()
    }
}

/// The outcome's words, in one line: class, reason, detail, phase, blame.
fn words(outcome: &Value) -> String {
    let word = |key: &str| outcome[key].as_str().unwrap_or("-").to_owned();
    ["class", "reason", "detail", "phase", "blame"].map(word).join(" ")
}

/// What a call does when it ends: BYE or CANCEL if there is a leg, close, one event, done.
fn check_end(effects: &[Effect], header: Option<(&str, u16)>, event: &str) {
    let rest = match header {
        Some((protocol, cause)) => {
            let Some((Effect::Hangup { reason, .. }, rest)) = effects.split_first() else { panic!("{effects:?}") };
            assert_eq!((reason.protocol.as_str(), reason.cause), (protocol, cause));
            rest
        }
        None => effects,
    };
    let [Effect::Media(Command::Close), Effect::Emit(last), Effect::Finished(_)] = rest else { panic!("{effects:?}") };
    assert_eq!(last.name, event);
}

mod browser;
pub(super) mod called;
mod crossing;
mod dialing;
mod dialogs;
mod digits;
mod ending;
mod failover;
mod findings;
mod quality;
mod replaced;
mod script;
mod security;
mod sounds;
mod steering;
mod talking;
mod trail;
mod transfer;
