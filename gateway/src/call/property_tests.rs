//! Whatever happens, in whatever order: one end, nothing after it, no gap, no leak.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use trunkline_media::api::{BackCause, BrowserLoss, Command, GapKind, Leg, MediaEvent, Path, SetupFailure};
use trunkline_media::audio::Codec;
use trunkline_signaling::endpoint::{Asked as Referral, Failure, Fork, LegId, Refer, Transfer, TransferOrder};
use trunkline_signaling::message::Uri;

use super::tests::called::answerer;
use super::tests::{LEASED, about, route, sdp, target};
use super::*;
use crate::hook::{Asked, Unanswered};
use crate::outcome::Unavailable;

fn media() -> impl Strategy<Value = MediaEvent> {
    let leg = prop_oneof![Just(Leg::Browser), Just(Leg::Trunk)];
    let loss = prop_oneof![Just(BrowserLoss::Silence), Just(BrowserLoss::CloseNotify), Just(BrowserLoss::RtcpBye)];
    let remote: SocketAddr = "198.51.100.7:5000".parse().unwrap();
    prop_oneof![
        Just(MediaEvent::IceConnected { remote, path: Path::Udp }),
        Just(MediaEvent::DtlsConnected { profile: "SRTP_AEAD_AES_128_GCM" }),
        Just(MediaEvent::SetupFailed(SetupFailure::DtlsTimeout)),
        Just(MediaEvent::BrowserMoved { remote, path: Path::Udp }),
        loss.clone().prop_map(|how| MediaEvent::BrowserLost { how }),
        Just(MediaEvent::BrowserBack { gap_ms: 1, cause: BackCause::SamePath, gap: GapKind::Unknown }),
        loss.prop_map(|how| MediaEvent::GraceExpired { how }),
        leg.clone().prop_map(|from| MediaEvent::FirstAudio { from }),
        leg.clone().prop_map(|leg| MediaEvent::MediaTimeout { leg }),
        (leg, 0..4_u32).prop_map(|(leg, id)| MediaEvent::PromptFinished { leg, id }),
        Just(MediaEvent::Crashed),
    ]
}

fn sip() -> impl Strategy<Value = SipEvent> {
    let any_sdp = prop_oneof![
        Just(None),
        Just(Some(sdp(4_000, "0", "sendrecv"))),
        Just(Some(sdp(4_002, "8", "sendonly"))),
        Just(Some(bytes::Bytes::from_static(b"nonsense"))),
    ];
    prop_oneof![
        Just(SipEvent::Sent(None)),
        Just(SipEvent::NotSent(NotSent::Full)),
        (100..200_u16, any_sdp.clone()).prop_map(|(status, sdp)| SipEvent::Provisional {
            fork: Fork::default(),
            status,
            sdp
        }),
        any_sdp.clone().prop_map(|sdp| SipEvent::Answered { fork: Fork::default(), sdp }),
        (300..700_u16).prop_map(|status| SipEvent::Failed(Failure::Rejected {
            status,
            phrase: String::new(),
            reason: None,
            retry_after: None
        })),
        Just(SipEvent::Failed(Failure::NoProvisional)),
        Just(SipEvent::Failed(Failure::Cancelled)),
        any_sdp.clone().prop_map(|sdp| SipEvent::Offer { fork: Fork::default(), sdp }),
        any_sdp.clone().prop_map(|sdp| SipEvent::OfferAnswered(sdp.ok_or(488))),
        Just(SipEvent::Ended { reason: None }),
        Just(SipEvent::Cancelled { reason: None }),
        any_sdp.prop_map(|sdp| SipEvent::Confirmed { sdp }),
        proptest::option::of(400..500_u16).prop_map(|status| SipEvent::Lost { status }),
        (90..3600_u64, any::<bool>()).prop_map(|(seconds, refresher_is_us)| SipEvent::SessionExpired {
            interval: Duration::from_secs(seconds),
            refresher_is_us,
            since: Duration::from_secs(seconds),
        }),
    ]
}

fn uri() -> Uri {
    Uri::parse(&bytes::Bytes::from_static(b"sip:other@trunk.example")).unwrap()
}

fn transfer() -> impl Strategy<Value = SipEvent> {
    let offer =
        prop_oneof![Just(None), Just(Some(sdp(4_010, "0", "sendrecv"))), Just(Some(sdp(4_010, "18", "sendrecv")))];
    let referral = Referral { to: uri(), replaces: None, referred_by: None };
    let what = prop_oneof![
        3 => Just(Transfer::Asked(Box::new(referral))),
        2 => (1..9_u64, offer).prop_map(|(by, sdp)| Transfer::Replaced { by: LegId(by), call_id: "c".into(), sdp }),
        1 => any::<bool>().prop_map(|watched| Transfer::Accepted { watched }),
        1 => (100..700_u16).prop_map(Transfer::Progress),
        1 => Just(Transfer::Untold),
    ];
    what.prop_map(|transfer| SipEvent::Transfer(Box::new(transfer)))
}

fn handed_over() -> impl Strategy<Value = Api> {
    let plan = proptest::collection::vec(0..4_u8, 0..3).prop_map(|kinds| plan(&kinds));
    let order = prop_oneof![
        3 => plan.prop_map(|plan| HandOver::Bridge { destination: "sip:other@acme".into(), plan, replaces: None }),
        1 => Just(HandOver::Refer { destination: "sip:other@acme".into(), refer: Box::new(Refer { to: uri(), replaces: None }) }),
    ];
    order.prop_map(|order| Api::Transfer(Box::new(order)))
}

/// Something that happens; attempts are named from the newest backwards.
#[derive(Debug, Clone)]
enum Step {
    Media(MediaEvent),
    Sip(u32, SipEvent),
    Leased(u32, bool),
    Resolved(u32, usize),
    Api(Api),
    Asked(Option<Vec<Action>>),
    Fetched(u32, bool),
    Receiver(u8, u8),
    Planned(u8),
    Other(u8),
    NextTimer,
}

fn prompt() -> Arc<Prompt> {
    Arc::new(Prompt::from_pcm(8_000, vec![1; 800]).unwrap())
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let sound = prop_oneof![
        Just(Sound::Prompt(prompt())),
        Just(Sound::Url("https://prompts.example/a.wav".into())),
        Just(Sound::Say { text: "hello".into(), lang: "en".into() }),
        Just(Sound::Missing("none".into())),
    ];
    let plan = proptest::collection::vec(0..4_u8, 0..3).prop_map(|kinds| plan(&kinds));
    let action = prop_oneof![
        4 => (sound, any::<bool>()).prop_map(|(sound, over)| Action::Hear(sound, Manner { over, ..Manner::default() })),
        3 => plan.prop_map(|plan| Action::Connect(Box::new(Connect { plan, headers: Vec::new() }))),
        1 => Just(Action::Hangup("answer_hook")),
    ];
    proptest::collection::vec(action, 0..5)
}

fn steered() -> impl Strategy<Value = Api> {
    let leg = prop_oneof![Just(Leg::Browser), Just(Leg::Trunk)];
    prop_oneof![
        (leg.clone(), any::<bool>()).prop_map(|(leg, held)| Api::Hold { leg, held }),
        (leg.clone(), any::<bool>(), any::<bool>()).prop_map(|(leg, looped, over)| Api::Play {
            leg,
            sound: Sound::Prompt(prompt()),
            manner: Manner { looped, over },
        }),
        leg.prop_map(|leg| Api::Stop { leg }),
        actions().prop_map(Api::Act),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let back = || prop_oneof![9 => Just(0_u32), 1 => 1..3_u32];
    prop_oneof![
        4 => media().prop_map(Step::Media),
        12 => (back(), sip()).prop_map(|(n, e)| Step::Sip(n, e)),
        9 => (back(), proptest::bool::weighted(0.9)).prop_map(|(n, ok)| Step::Leased(n, ok)),
        9 => (back(), 0..4_usize).prop_map(|(n, addresses)| Step::Resolved(n, addresses)),
        1 => prop_oneof![
            Just(Api::VisitorHangup),
            Just(Api::OperatorHangup("x".into())),
            Just(Api::Restarted),
            Just(Api::Reattached { codec: Codec::Pcmu }),
            Just(Api::Mute { leg: Leg::Browser, muted: true }),
        ].prop_map(Step::Api),
        4 => steered().prop_map(Step::Api),
        3 => handed_over().prop_map(Step::Api),
        4 => (back(), transfer()).prop_map(|(n, e)| Step::Sip(n, e)),
        3 => (0..4_u8).prop_map(Step::Planned),
        2 => proptest::option::of(actions()).prop_map(Step::Asked),
        2 => (0..4_u32, any::<bool>()).prop_map(|(id, good)| Step::Fetched(id, good)),
        4 => (0..3_u8, 0..4_u8).prop_map(|(says, who)| Step::Receiver(says, who)),
        1 => (0..3_u8).prop_map(Step::Other),
        1 => Just(Step::NextTimer),
    ]
}

fn input(step: Step, newest: u32) -> Option<Input> {
    let attempt = |back: u32| AttemptId(newest.saturating_sub(back));
    Some(match step {
        Step::Media(event) => Input::Media(event),
        Step::Sip(back, event) => Input::Sip { attempt: attempt(back), event },
        Step::Leased(back, ok) => Input::TrunkLeased {
            attempt: attempt(back),
            result: if ok { Ok(LEASED.parse().unwrap()) } else { Err(LeaseRefused::NoPorts) },
        },
        Step::Resolved(back, addresses) => {
            Input::Resolved { attempt: attempt(back), result: Ok(vec![target("192.0.2.9:5070"); addresses]) }
        }
        Step::Api(api) => Input::Api(api),
        Step::Asked(actions) => Input::Asked(Box::new(Asked {
            tries: Vec::new(),
            took: Duration::ZERO,
            actions: actions.ok_or(Unanswered::Failed),
        })),
        Step::Fetched(id, good) => Input::Fetched { id, result: if good { Ok(prompt()) } else { Err("no".into()) } },
        Step::Receiver(says, who) => Input::Receiver(match says {
            0 => ReceiverSays::Answered(Box::new(answerer(who))),
            1 => ReceiverSays::Declined(session(who)),
            _ => ReceiverSays::Joined(session(who)),
        }),
        Step::Planned(kind) => Input::TransferPlanned(plan(&[kind]).remove(0)),
        Step::Other(0) => Input::SipGone,
        Step::Other(1) => Input::Broken("broken".into()),
        Step::Other(_) => Input::Shutdown,
        Step::NextTimer => return None,
    })
}

/// What a driver would hold, and what it has seen.
#[derive(Default)]
struct Watch {
    seq: u64,
    terminal: usize,
    finished: usize,
    leased: bool,
    spare: bool,
    closed: bool,
    /// INVITEs whose end nobody has told us, nor we them.
    open_legs: Vec<AttemptId>,
}

impl Watch {
    fn see(&mut self, effect: Effect) {
        assert_eq!(self.finished, 0, "an effect after the end: {effect:?}");
        match effect {
            Effect::Emit(event) => {
                assert_eq!(event.seq, self.seq + 1, "{}", event.name);
                self.seq = event.seq;
                self.terminal += usize::from(event.name == "call_ended" || event.name == "call_error");
            }
            Effect::Media(Command::ReleaseTrunk) => self.leased = false,
            Effect::Media(Command::ReleaseSpare) => self.spare = false,
            Effect::Media(Command::SwapTrunk(_)) => {
                assert!(self.spare, "a swap without a pair");
                (self.leased, self.spare) = (true, false);
            }
            Effect::Media(Command::Close) => (self.leased, self.spare, self.closed) = (false, false, true),
            Effect::Media(Command::ConnectTrunk(_)) => assert!(self.leased, "media without a port"),
            Effect::LeaseTrunk { .. } => {
                assert!(!self.leased, "a second lease without a release");
                self.leased = true;
            }
            Effect::LeaseSpare { .. } => {
                assert!(!self.spare, "a second spare lease without a release");
                self.spare = true;
            }
            Effect::Adopt { attempt, .. } => self.open_legs.push(attempt),
            Effect::Transfer { attempt, order: TransferOrder::Reject(_) | TransferOrder::Finish(_) } => {
                self.open_legs.retain(|a| *a != attempt);
            }
            Effect::Transfer { attempt, .. } => assert!(self.open_legs.contains(&attempt)),
            Effect::Invite(order) => self.open_legs.push(order.attempt),
            Effect::Ring { attempt } | Effect::Accept { attempt, .. } => assert!(self.open_legs.contains(&attempt)),
            Effect::Tell { sessions, .. } => assert!(!sessions.is_empty()),
            Effect::Hangup { attempt, .. } | Effect::Refuse { attempt, .. } => self.open_legs.retain(|a| *a != attempt),
            Effect::AnswerOffer { attempt, .. }
            | Effect::Offer { attempt, .. }
            | Effect::SendDigits { attempt, .. } => {
                assert!(self.open_legs.contains(&attempt))
            }
            Effect::Finished(_) => self.finished += 1,
            Effect::Media(_)
            | Effect::Resolve { .. }
            | Effect::Met { .. }
            | Effect::PlanTransfer { .. }
            | Effect::Ask(_)
            | Effect::Fetch { .. } => {}
        }
    }
}

fn session(who: u8) -> SessionId {
    SessionId::from_client(&format!("ses_{who}"))
}

fn called(now: Instant, kinds: &[u8]) -> Call {
    let offer = kinds.first().map(|kind| sdp(4_000, if *kind == 0 { "18" } else { "0" }, "sendrecv"));
    super::tests::called::call(now, offer, kinds.iter().map(|kind| session(*kind)).collect())
}

fn plan(kinds: &[u8]) -> Vec<Planned> {
    let planned = |kind: &u8| match kind {
        0 => Planned::Skip {
            destination: "sip:x@off".into(),
            trunk: None,
            reason: Reason::DestUnavailable(Unavailable::TrunkDisabled),
        },
        _ => route("sip:agent@acme"),
    };
    kinds.iter().map(planned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn one_end_no_gap_no_leak(
        kinds in proptest::collection::vec(0..4_u8, 0..4),
        asks in any::<bool>(),
        is_called in any::<bool>(),
        steps in proptest::collection::vec((step(), 0..3_000_u64), 0..60),
    ) {
        let mut now = Instant::now();
        let question = asks.then(|| Arc::new(Question::for_tests()));
        let mut call = match is_called {
            false => Call::new(now, About { question, ..about(now) }, plan(&kinds)),
            true => called(now, &kinds),
        };
        let mut watch = Watch { open_legs: Vec::from_iter(is_called.then_some(AttemptId(1))), ..Watch::default() };
        call.handle(now, Input::Start);
        let last = [(Step::Api(Api::VisitorHangup), 0), (Step::Api(Api::VisitorHangup), 0)];
        for (step, ms) in steps.into_iter().chain(last) {
            std::iter::from_fn(|| call.poll_effect()).for_each(|e| watch.see(e));
            now += Duration::from_millis(ms);
            if let Step::Sip(back, SipEvent::Failed(_) | SipEvent::NotSent(_) | SipEvent::Ended { .. } | SipEvent::Cancelled { .. } | SipEvent::Lost { .. } | SipEvent::SessionExpired { .. }) = &step {
                let gone = AttemptId(call.attempts.saturating_sub(*back));
                watch.open_legs.retain(|a| *a != gone);
            }
            if matches!(step, Step::Other(0)) {
                // The SIP side takes all its legs with it.
                watch.open_legs.clear();
            }
            match input(step, call.attempts) {
                Some(input) => call.handle(now, input),
                None => {
                    now = call.poll_timeout().map_or(now, |(at, _)| at);
                    call.handle_timeout(now);
                }
            }
        }
        std::iter::from_fn(|| call.poll_effect()).for_each(|e| watch.see(e));
        prop_assert_eq!((watch.finished, watch.terminal, watch.leased, watch.closed), (1, 1, false, call.has_browser()));
        prop_assert!(watch.open_legs.is_empty());
        prop_assert!(call.poll_timeout().is_none());
        let outcome = serde_json::to_value(call.outcome()).unwrap();
        prop_assert!(outcome["advice"].is_string());
        prop_assert_ne!(&outcome["reason"], "unknown");
        let always = ["last_rtp_age_ms", "last_stun_check_age_ms", "ice_state", "selected_path", "last_sip", "timers_fired"];
        let reason = call.outcome().unwrap().reason;
        for key in always.iter().chain(reason.required_evidence()) {
            prop_assert!(outcome["evidence"].get(key).is_some(), "{key} of {reason:?}: {outcome:#}");
        }
        prop_assert!(watch.open_legs.is_empty(), "never hung up: {:?}", watch.open_legs);
    }
}
