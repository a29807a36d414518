//! The watch and the test against a prober that says what it is told to.

use trunkline_signaling::targets::{Answer, Families, NoAnswer, Question, Records};

use super::*;
use crate::targets::Dns;
use crate::testing;

/// Answers every OPTIONS alike, or never.
struct Fixed(Option<Result<(u16, Duration), Failure>>);

impl Prober for Fixed {
    fn ping(&self, _: SocketAddr, _: Transport, _: String) -> BoxFuture<'static, Result<(u16, Duration), Failure>> {
        match self.0.clone() {
            Some(answer) => Box::pin(std::future::ready(answer)),
            None => Box::pin(std::future::pending()),
        }
    }

    fn reach(&self, _: SocketAddr, _: Transport) -> BoxFuture<'static, Option<Reached>> {
        Box::pin(std::future::ready(None))
    }
}

/// Reaches nobody.
pub(crate) struct Unasked;

impl Prober for Unasked {
    fn ping(&self, _: SocketAddr, _: Transport, _: String) -> BoxFuture<'static, Result<(u16, Duration), Failure>> {
        Box::pin(std::future::ready(Err(Failure::Transport)))
    }

    fn reach(&self, _: SocketAddr, _: Transport) -> BoxFuture<'static, Option<Reached>> {
        Box::pin(std::future::ready(None))
    }
}

/// Trunks of which the first is asked every second.
fn trunks(answer: Option<Result<(u16, Duration), Failure>>) -> (Trunks, Trunk) {
    let mut config = testing::config();
    config.trunks[0].options = Some(Duration::from_secs(1));
    config.trunks[0].enabled = true;
    config.trunks[0].target.host = "127.0.0.1".into();
    let trunk = config.trunks[0].clone();
    let settings = Settings::new(config);
    let calls = crate::calls::testing::calls(&settings);
    (Trunks::new(settings, Clock::system(), Arc::new(Fixed(answer)), &calls), trunk)
}

async fn state_comes(trunks: &Trunks, trunk: &Trunk, state: State) {
    for _ in 0..1000 {
        if trunks.health(&trunk.id).state() == state {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{state:?} does not come: {:?}", trunks.health(&trunk.id));
}

#[tokio::test]
async fn a_trunk_that_answers_is_up_and_one_that_is_closed_goes_down() {
    for (answer, state) in [(Ok((405, Duration::from_millis(3))), State::Up), (Err(Failure::Transport), State::Down)] {
        let (trunks, trunk) = trunks(Some(answer));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(trunks.clone().watch(stopped));
        state_comes(&trunks, &trunk, state).await;
        stop.send_replace(true);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_trunk_without_options_is_not_asked() {
    let (trunks, trunk) = trunks(Some(Ok((200, Duration::ZERO))));
    let mut config = (*trunks.shared.settings.load()).clone();
    config.trunks[0].options = None;
    trunks.shared.settings.replace(config);
    trunks.ask_those_due();
    assert!(trunks.watched().get(&trunk.id).is_none());
    assert_eq!(trunks.health(&trunk.id).state(), State::Unknown);
}

#[tokio::test]
async fn a_test_ends_with_the_step_that_fails() {
    let steps = |tested: &Value| -> Vec<String> {
        let of = |step: &Value| format!("{} {}", step["step"].as_str().unwrap(), step["ok"]);
        tested["steps"].as_array().unwrap().iter().map(of).collect()
    };
    let (all_good, trunk) = trunks(Some(Ok((200, Duration::from_millis(2)))));
    let tested = all_good.test(&trunk).await.unwrap();
    assert_eq!(steps(&tested), ["dns true", "transport true", "options true"]);
    assert_eq!((&tested["ok"], &tested["steps"][2]["rtt_ms"]), (&Value::Bool(true), &Value::from(2.0)));

    let (closed, trunk) = trunks(Some(Err(Failure::Transport)));
    let tested = closed.test(&trunk).await.unwrap();
    assert_eq!(steps(&tested), ["dns true", "transport true", "options false"]);
    assert_eq!((&tested["ok"], tested["steps"][2]["error"].as_str()), (&Value::Bool(false), Some("unreachable")));

    let nowhere = Trunk {
        target: trunkline_config::TrunkTarget { host: "no such name.invalid".into(), ..trunk.target },
        ..trunk
    };
    let tested = closed.test(&nowhere).await.unwrap();
    assert_eq!(steps(&tested), ["dns false", "dns false"], "the question, and what it was for");
}

/// A name of three addresses.
struct Three;

impl Dns for Three {
    fn ask(&self, _: Question) -> BoxFuture<'static, Result<Answer, NoAnswer>> {
        let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|address| address.parse().unwrap());
        let records = Records::Addresses(addresses.into());
        Box::pin(std::future::ready(Ok(Answer { records, ttl: Duration::from_secs(60) })))
    }
}

#[tokio::test(start_paused = true)]
async fn targets_that_do_not_answer_are_waited_for_together() {
    let (_, trunk) = trunks(None);
    let target = trunkline_config::TrunkTarget { host: "sbc.example".into(), port: Some(5060), ..trunk.target };
    let trunk = Trunk { target, ..trunk };
    let finder = Finder::asking(Arc::new(Three), Families::V4);
    let start = tokio::time::Instant::now();
    let tested = test::run(&finder, &Fixed(None), &trunk).await;
    let of = |step: &str| tested["steps"].as_array().unwrap().iter().filter(|s| s["step"] == step).count();
    assert_eq!((&tested["ok"], of("transport"), of("options")), (&Value::Bool(false), 3, 3), "{tested:#}");
    assert!(start.elapsed() < 2 * LIMIT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_destination_is_tested_over_each_trunk_that_may_take_its_calls() {
    let (trunks, trunk) = trunks(Some(Ok((200, Duration::from_millis(2)))));
    let mut config = (*trunks.shared.settings.load()).clone();
    let second = Trunk { id: "second".into(), enabled: false, ..trunk.clone() };
    config.trunks.push(second);
    let member = |id: &str, priority| trunkline_config::GroupMember { trunk: id.into(), priority, weight: 1 };
    let members = vec![member(&trunk.id, 1), member("second", 2)];
    config.trunk_groups = vec![trunkline_config::TrunkGroup { id: "both".into(), members }];

    let tested = trunks.test_destination(&config, "", "sip:agent@both").await.unwrap();
    assert_eq!((tested["destination"].as_str(), &tested["ok"]), (Some("sip:agent@both"), &Value::Bool(true)));
    let ways = tested["ways"].as_array().unwrap();
    assert_eq!(ways.iter().map(|way| way["trunk"].as_str().unwrap()).collect::<Vec<_>>(), [&trunk.id, "second"]);
    assert_eq!((&ways[0]["ok"], ways[0]["state"].as_str()), (&Value::Bool(true), Some("unknown")));
    assert_eq!(ways[0]["steps"].as_array().map(Vec::len), Some(3));
    assert!(ways[0]["request_uri"].as_str().unwrap().starts_with("sip:agent@"), "{tested:#}");
    assert_eq!((&ways[1]["ok"], ways[1]["detail"].as_str()), (&Value::Bool(false), Some("trunk_disabled")));

    let tested = trunks.test_destination(&config, "", "no uri at all").await.unwrap();
    assert_eq!((&tested["ok"], tested["ways"][0]["reason"].as_str()), (&Value::Bool(false), Some("dest_not_found")));
}

#[tokio::test]
async fn a_trunk_says_how_each_target_is() {
    let (trunks, trunk) = trunks(Some(Err(Failure::Transport)));
    for _ in 0..2 {
        trunks.watched().entry(trunk.id.clone()).or_default();
        trunks.ask(&trunk).await;
    }
    let [(target, state)] = &*trunks.targets(&trunk.id) else { panic!("one target") };
    assert_eq!((target.name.as_ref(), *state), ("127.0.0.1", TargetState::Dead));
    assert!(trunks.targets("nobody").is_empty());
}

/// Whoever is asked no more cannot show that it is back: it is not passed over for ever for what it was.
#[tokio::test]
async fn a_trunk_that_is_asked_no_more_is_not_down_for_that() {
    let (trunks, trunk) = trunks(Some(Err(Failure::Transport)));
    trunks.ask_those_due();
    for _ in 0..2 {
        trunks.ask(&trunk).await;
    }
    assert!(trunks.finder().is_trunk_down(&trunk.id));
    let mut config = (*trunks.settings().load()).clone();
    config.trunks[0].options = None;
    trunks.settings().replace(config);
    trunks.ask_those_due();
    assert!(!trunks.finder().is_trunk_down(&trunk.id));
}
