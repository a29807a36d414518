//! The registry and its drivers, with stand-ins for media and SIP.

use std::time::{Duration, Instant};

use serde_json::json;
use trunkline_config::Config;
use trunkline_media::api::{Leg, MediaEvent, Path};
use trunkline_signaling::endpoint::{Failure, Fork, LegId};

use super::testing::{FakeMedia, FakeSip, OFFER};
use super::*;
use crate::events::{Feed, Filter, Heard};

mod admission;
mod drained;
mod forgotten;
mod inbound;
mod kept;
mod transfers;

struct Bench {
    calls: Calls,
    media: Arc<FakeMedia>,
    sip: Arc<FakeSip>,
    reports: mpsc::Sender<Report>,
    events: mpsc::Sender<Event>,
}

impl Bench {
    fn new() -> Self {
        Self::of(|_| {})
    }

    fn of(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Clock::system(), change)
    }

    fn at(clock: Clock, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = crate::testing::config();
        for trunk in &mut config.trunks {
            (trunk.target.host, trunk.enabled) = ("127.0.0.1".into(), true);
        }
        change(&mut config);
        let (media, sip) = (Arc::new(FakeMedia::default()), Arc::new(FakeSip::default()));
        let calls = Calls::new(config.into(), media.clone(), sip.clone(), Prompts::none(), clock);
        let (reports, reports_in) = mpsc::channel(16);
        let (events, events_in) = mpsc::channel(16);
        calls.listen(reports_in, events_in);
        Self { calls, media, sip, reports, events }
    }

    fn session(&self, id: &str) -> Session {
        let config = self.calls.shared.settings.load();
        let app = config.apps.first().unwrap();
        Session {
            id: SessionId::from_client(id),
            profile: app.default_profile.clone(),
            context: vec![("plan".into(), "gold".into())],
            metadata: Some(json!({"ticket": 7})),
            ..crate::testing::session(&app.id)
        }
    }

    async fn start(&self, session: &str) -> Result<CallId, Problem> {
        self.calls.start(&self.session(session), OFFER).await.map(|started| started.call)
    }

    async fn report(&self, n: u64, event: MediaEvent) {
        self.reports.send(Report { key: CallKey(n), at: Instant::now(), event }).await.unwrap();
    }

    /// A call that is answered.
    async fn talking(&self, session: &str) -> CallId {
        let call = self.start(session).await.unwrap();
        let mut events = self.calls.events(&call, 0).unwrap();
        let leg = self.leg_of(&call).await;
        self.events
            .send(Event::Answered { leg, fork: Fork::default(), sdp: Some(testing::ANSWER.into()) })
            .await
            .unwrap();
        while events.next().await.unwrap().name != "call_answered" {}
        call
    }

    /// Waits for the call's INVITE.
    async fn leg_of(&self, call: &CallId) -> LegId {
        loop {
            let record = self.calls.record(call).unwrap();
            if let Some(id) = record["sip"]["call_id"].as_str() {
                return LegId(id.strip_prefix("call-").unwrap().parse().unwrap());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Every event's name but those of findings, once the call is over.
    async fn story(&self, call: &CallId) -> Vec<&'static str> {
        let mut events = self.calls.events(call, 0).unwrap();
        let (mut names, mut seq) = (Vec::new(), 0);
        while let Some(event) = events.next().await {
            seq += 1;
            assert_eq!(event.seq, seq);
            names.push(event.name);
        }
        names.retain(|name| *name != "issue_detected");
        names
    }

    fn live_on_trunks(&self) -> u32 {
        self.calls.counters().live_by_trunk.iter().map(|(_, live)| live).sum()
    }
}

#[tokio::test]
async fn a_call_lives_and_leaves_a_record() {
    let bench = Bench::new();
    let mut feed = Feed::open(bench.calls.store(), Filter::default(), None).await.unwrap().unwrap();
    let call = bench.talking("ses_1").await;
    assert_eq!(bench.calls.live(), 1);
    assert_eq!(bench.live_on_trunks(), 1);
    assert_eq!(bench.calls.session_of(&call), Some(SessionId::from_client("ses_1")));
    bench.report(1, MediaEvent::IceConnected { remote: "192.0.2.1:5".parse().unwrap(), path: Path::Udp }).await;
    bench.report(99, MediaEvent::Crashed).await;
    while bench.calls.record(&call).unwrap()["browser"]["path"].is_null() {
        tokio::task::yield_now().await;
    }
    bench.calls.client_report(&SessionId::from_client("ses_1"), "autoplay_blocked", None);
    assert!(bench.calls.hangup(&call, HangupBy::Visitor));
    assert_eq!(bench.story(&call).await, ["call_started", "call_answered", "call_ended"]);
    let record = bench.calls.record(&call).unwrap();
    assert_eq!(record["state"], "ended");
    assert_eq!(record["outcome"]["reason"], "user_hangup");
    assert_eq!(record["metadata"], json!({"ticket": 7}));
    assert_eq!(record["client_reports"][0]["code"], "autoplay_blocked");
    // The browser's summary of a call comes when the call is over.
    assert!(bench.calls.takes_report(&SessionId::from_client("ses_1")));
    assert!(bench.calls.client_report(&SessionId::from_client("ses_1"), "other", Some("the end")));
    assert!(!bench.calls.client_report(&SessionId::from_client("ses_2"), "other", None));
    let reports = bench.calls.record(&call).unwrap()["client_reports"].clone();
    assert_eq!((&reports[1]["code"], &reports[1]["detail"]), (&json!("other"), &json!("the end")));
    assert_eq!(reports.as_array().map(Vec::len), Some(2));
    assert_eq!(bench.calls.outcomes(), [(["ended", "user_hangup", "talking"], 1)]);
    assert_eq!((bench.calls.live(), bench.live_on_trunks()), (0, 0));
    assert_eq!(bench.calls.session_of(&call), Some(SessionId::from_client("ses_1")));
    assert_eq!(bench.calls.live_call_of(&SessionId::from_client("ses_1")), None);
    assert!(bench.calls.hangup(&call, HangupBy::Visitor), "ending an ended call is no error");
    assert!(!bench.calls.hangup(&CallId::from_client("call_x"), HangupBy::Visitor));
    let hangups = bench.sip.hangups.lock().unwrap().clone();
    assert_eq!((hangups.len(), hangups[0].1.cause), (1, 16));
    let Heard::Event(first) = feed.next().await.unwrap() else { panic!("it keeps up") };
    assert_eq!((first.name, first.data()["context"]["plan"].as_str()), ("call_started", Some("gold")));
}

#[tokio::test]
async fn a_session_has_one_call_at_a_time() {
    let bench = Bench::new();
    let call = bench.start("ses_1").await.unwrap();
    let refused = bench.start("ses_1").await.unwrap_err();
    assert_eq!(
        (refused.status, refused.slug, &refused.extra["call"]),
        (409, "call-in-progress", &json!(call.as_str()))
    );
    bench.calls.hangup(&call, HangupBy::Operator("test".into()));
    bench.story(&call).await;
    bench.start("ses_1").await.unwrap();
}

#[tokio::test]
async fn caps_hold_exactly_and_places_come_back() {
    let bench = Bench::of(|config| config.apps[0].max_calls = 2);
    let first = bench.start("ses_1").await.unwrap();
    bench.start("ses_2").await.unwrap();
    let refused = bench.start("ses_3").await.unwrap_err();
    assert_eq!((refused.status, refused.slug, refused.retry_after), (503, "capacity", Some(5)));
    assert_eq!(bench.calls.live_call_of(&SessionId::from_client("ses_3")), None);
    bench.calls.hangup(&first, HangupBy::Visitor);
    bench.story(&first).await;
    bench.start("ses_3").await.unwrap();
    assert!(bench.calls.outcomes().contains(&(["refused", "capacity", "admission"], 1)));
}

#[tokio::test]
async fn a_full_trunk_fails_the_destination() {
    let bench = Bench::of(|config| config.trunks.iter_mut().for_each(|t| t.max_calls = 1));
    bench.talking("ses_1").await;
    let second = bench.start("ses_2").await.unwrap();
    assert_eq!(bench.story(&second).await, ["call_started", "call_error"]);
    let outcome = bench.calls.record(&second).unwrap()["outcome"].clone();
    assert_eq!((&outcome["reason"], &outcome["detail"]), (&json!("dest_unavailable"), &json!("trunk_full")));
    assert_eq!(bench.live_on_trunks(), 1);
}

#[tokio::test]
async fn a_panic_ends_its_call_alone() {
    let bench = Bench::new();
    let (unlucky, other) = (bench.talking("ses_1").await, bench.talking("ses_2").await);
    bench.calls.shared.get_live(&unlucky).unwrap().inbox.offer(Input::Panic);
    assert_eq!(bench.story(&unlucky).await.last(), Some(&"call_error"));
    let outcome = bench.calls.record(&unlucky).unwrap()["outcome"].clone();
    assert_eq!((&outcome["reason"], &outcome["evidence"]["error"]), (&json!("internal_error"), &json!("asked for")));
    assert_eq!(bench.calls.record(&other).unwrap()["state"], "talking");
    assert_eq!((bench.calls.counters().panics, bench.calls.live()), (1, 1));
    let hangups = bench.sip.hangups.lock().unwrap().clone();
    assert_eq!((hangups.len(), hangups[0].1.protocol.as_str(), hangups[0].1.cause), (1, "SIP", 500));
}

#[tokio::test]
async fn an_inbox_that_overflows_ends_the_call() {
    let bench = Bench::new();
    let call = bench.talking("ses_1").await;
    let live = bench.calls.shared.get_live(&call).unwrap();
    for _ in 0..1_000 {
        live.inbox.offer(Input::Media(MediaEvent::Sample(Box::default())));
    }
    assert!(bench.calls.counters().samples_dropped > 0);
    tokio::task::yield_now().await;
    assert_eq!(bench.calls.record(&call).unwrap()["state"], "talking", "samples may be lost");
    for _ in 0..1_000 {
        live.inbox.offer(Input::Api(Api::Restarted));
    }
    assert_eq!(bench.story(&call).await.last(), Some(&"call_error"));
    assert_eq!(bench.calls.record(&call).unwrap()["outcome"]["reason"], "internal_error");
}

#[tokio::test]
async fn an_early_answer_finds_its_call() {
    let bench = Bench::new();
    // The first leg will be number 1; its answer is here before the call has heard so.
    bench.calls.shared.desk.placing();
    let answer = || Event::Answered { leg: LegId(1), fork: Fork::default(), sdp: Some(testing::ANSWER.into()) };
    bench.calls.shared.desk.dispatch(answer(), &bench.calls.shared.counters);
    let call = bench.start("ses_1").await.unwrap();
    let mut events = bench.calls.events(&call, 0).unwrap();
    while events.next().await.unwrap().name != "call_answered" {}
    bench.calls.shared.desk.placed(None);
}

#[tokio::test]
async fn a_sip_side_that_stops_ends_its_calls() {
    let mut bench = Bench::new();
    let call = bench.talking("ses_1").await;
    // Replacing the only sender closes the channel.
    bench.events = mpsc::channel(1).0;
    assert_eq!(bench.story(&call).await.last(), Some(&"call_error"));
    assert_eq!(bench.calls.record(&call).unwrap()["outcome"]["reason"], "sip_transport_lost");
}

#[tokio::test]
async fn a_shutdown_ends_all_calls_and_lets_none_in() {
    let bench = Bench::new();
    let calls = [bench.talking("ses_1").await, bench.start("ses_2").await.unwrap()];
    tokio::time::timeout(Duration::from_secs(4), bench.calls.shutdown()).await.expect("all ended");
    for call in &calls {
        assert_eq!(bench.calls.record(call).unwrap()["outcome"]["reason"], "node_shutdown");
    }
    assert!(bench.calls.is_draining());
    let refused = bench.start("ses_3").await.unwrap_err();
    assert_eq!((refused.status, refused.slug), (503, "draining"));
    let closed = bench
        .media
        .commands
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, c)| matches!(c, trunkline_media::api::Command::Close))
        .count();
    assert_eq!(closed, 2);
}

#[tokio::test]
async fn what_is_no_offer_is_refused_and_leaves_nothing() {
    let bench = Bench::new();
    let refused = bench.calls.start(&bench.session("ses_1"), b"nonsense").await.unwrap_err();
    assert_eq!((refused.status, refused.slug), (400, "invalid-sdp"));
    assert_eq!(bench.media.opened.lock().unwrap().len(), 0);
    assert_eq!(bench.calls.live_call_of(&SessionId::from_client("ses_1")), None);
}

#[tokio::test]
async fn digits_need_an_answered_call() {
    let bench = Bench::new();
    let early = bench.start("ses_1").await.unwrap();
    let talking = bench.talking("ses_2").await;
    let slug = |call: &CallId, digits: &str, ms| bench.calls.dtmf(call, Leg::Trunk, digits, ms).err().map(|p| p.slug);
    assert_eq!(slug(&early, "12#", 100), Some("call-not-connected"));
    assert_eq!(slug(&talking, "12#", 100), None);
    assert_eq!(slug(&talking, "", 100), Some("invalid-digits"));
    assert_eq!(slug(&talking, "12x", 100), Some("invalid-digits"));
    assert_eq!(slug(&talking, &"1".repeat(65), 100), Some("invalid-digits"));
    assert_eq!(slug(&talking, "1", 10), Some("invalid-digits"));
    assert_eq!(slug(&CallId::from_client("call_x"), "1", 100), Some("unknown-call"));
    bench.calls.hangup(&talking, HangupBy::Visitor);
    bench.story(&talking).await;
    assert_eq!(slug(&talking, "1", 100), Some("call-ended"));
    assert_eq!(bench.calls.mute(&talking, Leg::Browser, true).map_err(|p| p.slug), Err("call-ended"));
}

#[tokio::test]
async fn a_patch_is_trickle_or_restart() {
    let bench = Bench::new();
    let call = bench.talking("ses_1").await;
    let fragment = |ufrag: &str| format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:0123456789012345678901\r\n");
    let (same, new) = (fragment(testing::UFRAG), fragment("newufrag"));
    let tag = |tag: &str| IfMatch::Tag(tag.into());
    let stale = bench.calls.patch(&call, &tag("old"), same.as_bytes()).await.unwrap_err();
    assert_eq!((stale.status, stale.slug), (412, "precondition-failed"));
    assert!(matches!(bench.calls.patch(&call, &tag("tag"), same.as_bytes()).await, Ok(Patched::Trickled)));
    assert!(matches!(bench.calls.patch(&call, &IfMatch::Any, same.as_bytes()).await, Ok(Patched::Trickled)));
    let Ok(Patched::Restarted(restart)) = bench.calls.patch(&call, &IfMatch::Any, new.as_bytes()).await else {
        panic!()
    };
    assert_eq!(restart.etag, "tag3");
    assert!(bench.calls.patch(&call, &tag("tag"), new.as_bytes()).await.is_err(), "the tag has changed");
    assert!(matches!(bench.calls.patch(&call, &tag("tag3"), new.as_bytes()).await, Ok(Patched::Trickled)));
    let again = bench.calls.reattach(&call, OFFER).await.unwrap();
    assert_eq!((again.call, again.etag.as_str()), (call, "tag2"));
}

#[tokio::test]
async fn lists_are_newest_first_in_pages_and_filtered() {
    let bench = Bench::new();
    let mut all = Vec::new();
    for n in 0..5 {
        let call = bench.start(&format!("ses_{n}")).await.unwrap();
        if n % 2 == 0 {
            let leg = bench.leg_of(&call).await;
            bench.events.send(Event::Failed { leg, failure: Failure::NoFinal }).await.unwrap();
            bench.story(&call).await;
        }
        all.insert(0, call.as_str().to_owned());
    }
    let ids = |page: &CallPage| -> Vec<String> {
        page.calls.iter().map(|c| c["call"].as_str().unwrap().to_owned()).collect()
    };
    let filter = |limit| CallFilter { limit, ..CallFilter::default() };
    let first = bench.calls.list(&filter(3)).await.unwrap();
    assert_eq!(ids(&first), all[..3]);
    let second = bench.calls.list(&CallFilter { cursor: first.next_cursor, ..filter(3) }).await.unwrap();
    assert_eq!((ids(&second), second.next_cursor), (all[3..].to_vec(), None));
    for (filter, expected) in [
        (CallFilter { reason: Some("dest_timeout".into()), ..filter(50) }, 3),
        (CallFilter { state: Some("ended".into()), ..filter(50) }, 3),
        (CallFilter { state: Some("setup".into()), ..filter(50) }, 2),
        (CallFilter { app: Some("other".into()), ..filter(50) }, 0),
        (CallFilter { since: Some("2100-01-01T00:00:00Z".into()), ..filter(50) }, 0),
        (CallFilter { until: Some("2100-01-01T00:00:00Z".into()), ..filter(50) }, 5),
        (CallFilter { cursor: Some("nonsense".into()), ..filter(50) }, 0),
    ] {
        assert_eq!(bench.calls.list(&filter).await.unwrap().calls.len(), expected, "{filter:?}");
    }
}

#[tokio::test]
async fn over_real_sip_context_arrives_and_both_sides_can_hang_up() {
    let (agent, mut agent_events, agent_address) = testing::sip_socket(true);
    let mut config = crate::testing::config();
    for trunk in &mut config.trunks {
        (trunk.target.host, trunk.target.port) = ("127.0.0.1".into(), Some(agent_address.port()));
    }
    let (handle, events, _) = testing::sip_socket(false);
    let (reports, reports_in) = mpsc::channel(16);
    let media = Arc::new(FakeMedia::default());
    let sip = Arc::new(FakeSip::default());
    let calls =
        Calls::new(config.into(), media.clone(), Arc::new(testing::RealSip(handle)), Prompts::none(), Clock::system());
    calls.listen(reports_in, events);
    let bench = Bench { calls, media, sip, reports, events: mpsc::channel(1).0 };

    for by_agent in [true, false] {
        let call = bench.start("ses_1").await.unwrap();
        let Some(Event::Incoming { leg, headers, sdp, uri, .. }) = agent_events.recv().await else { panic!("no call") };
        let name = trunkline_signaling::message::HeaderName::Other("X-C2C-plan".into());
        assert_eq!(headers.get(&name).map(|v| &v[..]), Some(&b"gold"[..]));
        assert!(String::from_utf8_lossy(&sdp.unwrap()).contains("m=audio 30000 RTP/AVP 0"));
        assert_eq!(uri.to_string(), format!("sip:agent@{agent_address}"));
        agent.call(move |endpoint, now| endpoint.ring(now, leg, 180, None)).await.unwrap().unwrap();
        let answer = testing::ANSWER.into();
        agent.call(move |endpoint, now| endpoint.accept(now, leg, answer)).await.unwrap().unwrap();
        assert!(matches!(agent_events.recv().await, Some(Event::Confirmed { .. })));
        let mut events = bench.calls.events(&call, 0).unwrap();
        while events.next().await.unwrap().name != "call_answered" {}
        let reason = if by_agent {
            agent.call(move |endpoint, now| endpoint.hangup(now, leg, None)).await.unwrap().unwrap();
            "remote_hangup"
        } else {
            bench.calls.hangup(&call, HangupBy::Visitor);
            let Some(Event::Ended { reason: Some(reason), .. }) = agent_events.recv().await else { panic!("no BYE") };
            assert_eq!((reason.protocol.as_str(), reason.cause), ("Q.850", 16));
            "user_hangup"
        };
        assert_eq!(bench.story(&call).await, ["call_started", "call_ringing", "call_answered", "call_ended"]);
        assert_eq!(bench.calls.record(&call).unwrap()["outcome"]["reason"], reason);
    }
}
