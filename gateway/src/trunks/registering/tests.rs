//! Registrations against a registrar that says what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};
use trunkline_config::{Config, Trunk};
use trunkline_signaling::endpoint::{Failure, Transport};
use trunkline_signaling::message::{HeaderName, Request, Response};
use trunkline_signaling::targets::Target;

use super::*;
use crate::clock::Clock;
use crate::settings::Settings;
use crate::testing;
use crate::trunks::tests::Unasked;
use crate::trunks::{State as TrunkState, Trunks};

/// Answers every REGISTER with one status; a 2xx names a Service-Route.
struct Fixed {
    status: AtomicU16,
    asked: mpsc::UnboundedSender<(Target, Request)>,
}

impl Carrier for Fixed {
    fn ask(&self, target: Target, request: Request) -> BoxFuture<'static, Result<Box<Response>, Failure>> {
        let status = self.status.load(Ordering::Relaxed);
        let mut response = Response::to_request(&request, status, Some("far"));
        for contact in request.headers.get_all(&HeaderName::Contact) {
            response.headers.push(HeaderName::Contact, contact.clone());
        }
        response.headers.push(HeaderName::other("Service-Route"), "<sip:127.0.0.9:5099;lr>");
        let _ = self.asked.send((target, request));
        let result = if status == 0 { Err(Failure::NoProvisional) } else { Ok(Box::new(response)) };
        Box::pin(std::future::ready(result))
    }

    fn reached_at(&self, _: Transport, _: SocketAddr) -> BoxFuture<'static, Option<SocketAddr>> {
        Box::pin(std::future::ready(Some(SocketAddr::from(([192, 0, 2, 1], 5060)))))
    }
}

struct Bench {
    trunks: Trunks,
    settings: Settings,
    carrier: Arc<Fixed>,
    asked: mpsc::UnboundedReceiver<(Target, Request)>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

fn registering(change: impl FnOnce(&mut Trunk)) -> Config {
    let registering = "target = \"sip:127.0.0.1:9\"\nregister = true\nauth = { username = \"acme\", password = \"p\" }\n\
                       registration = { retry_seconds = 1, retry_max_seconds = 1 }";
    let text = testing::TOML.replacen("target = \"sip:127.0.0.1:9\"", registering, 1);
    let loaded = trunkline_config::load_str(&text, std::path::Path::new("."), std::iter::empty());
    let mut config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
    config.node.data_dir = testing::config().node.data_dir;
    change(&mut config.trunks[0]);
    config
}

impl Bench {
    fn start(config: Config, status: u16) -> Self {
        let settings = Settings::new(config);
        let calls = crate::calls::testing::calls(&settings);
        let trunks = Trunks::new(settings.clone(), Clock::system(), Arc::new(Unasked), &calls);
        let (sender, asked) = mpsc::unbounded_channel();
        let carrier = Arc::new(Fixed { status: AtomicU16::new(status), asked: sender });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(trunks.clone().register(carrier.clone(), stopped));
        Self { trunks, settings, carrier, asked, stop, task }
    }

    fn trunk(&self) -> Trunk {
        self.settings.load().trunks[0].clone()
    }

    async fn asked(&mut self) -> (Target, Request) {
        tokio::time::timeout(Duration::from_secs(30), self.asked.recv()).await.unwrap().unwrap()
    }

    async fn comes_to(&self, state: State) {
        for _ in 0..1_500 {
            if self.trunks.registrations().state(&self.trunk()) == Some(state) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{state:?} does not come: {}", self.trunks.registrations().to_json(&self.trunk()));
    }
}

#[tokio::test]
async fn a_trunk_that_must_register_carries_calls_once_it_is_and_goes_the_way_it_is_told() {
    let mut bench = Bench::start(registering(|_| {}), 200);
    assert_eq!(bench.trunks.state(&bench.trunk()), TrunkState::Unknown);
    let (target, request) = bench.asked().await;
    assert_eq!((target.to_string().as_str(), request.uri.to_string().as_str()), ("udp:127.0.0.1:9", "sip:127.0.0.1:9"));
    let contact = String::from_utf8_lossy(request.headers.get(&HeaderName::Contact).unwrap()).into_owned();
    assert_eq!(contact, "<sip:acme@192.0.2.1:5060>;expires=3600");
    bench.comes_to(State::Registered).await;
    let (trunk, registrations) = (bench.trunk(), bench.trunks.registrations().clone());
    assert!(registrations.may_carry(&trunk) && bench.trunks.state(&trunk) == TrunkState::Up);
    assert_eq!(registrations.routes(&trunk), ["<sip:127.0.0.9:5099;lr>"]);
    assert_eq!(
        (&*registrations.first_hop(&trunk).host, registrations.first_hop(&trunk).port),
        ("127.0.0.9", Some(5099))
    );
    let shown = registrations.to_json(&trunk);
    assert_eq!((&shown["state"], &shown["last_failure"]), (&json!("registered"), &Value::Null));
    assert!(shown["expires_at"].is_string() && shown["registrars"][0]["contacts"][0] == "sip:acme@192.0.2.1:5060");
    assert_eq!(registrations.counts()[0].succeeded, 1);

    // The stop removes what is bound, and waits for that.
    bench.stop.send_replace(true);
    bench.task.await.unwrap();
    assert_eq!(bench.asked.recv().await.unwrap().1.headers.expires(), Some(0));
}

#[tokio::test]
async fn a_refused_trunk_is_down_says_why_and_comes_back() {
    let mut bench = Bench::start(registering(|_| {}), 403);
    bench.comes_to(State::Failed).await;
    let trunk = bench.trunk();
    assert!(!bench.trunks.registrations().may_carry(&trunk) && bench.trunks.state(&trunk) == TrunkState::Down);
    let shown = bench.trunks.registrations().to_json(&trunk);
    assert_eq!(shown["last_failure"]["error"], "status_403");
    assert_eq!(bench.trunks.registrations().routes(&trunk), Vec::<String>::new());
    bench.carrier.status.store(200, Ordering::Relaxed);
    bench.comes_to(State::Registered).await;
    assert_eq!(bench.trunks.registrations().to_json(&trunk)["last_failure"]["error"], "status_403", "it stays");
    bench.asked().await;
}

#[tokio::test]
async fn a_reload_ends_one_registration_before_the_next_begins() {
    let mut bench = Bench::start(registering(|_| {}), 200);
    bench.comes_to(State::Registered).await;
    bench.asked().await;
    // Another registrar.
    bench.settings.replace(registering(|trunk| {
        let registration = trunk.registration.as_mut().unwrap();
        registration.registrars[0].port = Some(10);
    }));
    let (removal, next) = (bench.asked().await, bench.asked().await);
    assert_eq!((removal.0.address.port(), removal.1.headers.expires()), (9, Some(0)));
    assert_eq!((next.0.address.port(), next.1.headers.expires()), (10, Some(3600)));
    // Switched off.
    bench.settings.replace(registering(|trunk| trunk.enabled = false));
    let (target, removal) = bench.asked().await;
    assert_eq!((target.address.port(), removal.headers.expires()), (10, Some(0)));
    for _ in 0..500 {
        if bench.trunks.registrations().counts().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is still there: {:?}", bench.trunks.registrations().counts());
}

#[test]
fn a_registration_and_the_answers_to_options_make_one_state() {
    use TrunkState::{Down, Unknown, Up};
    for (health, registration, expected) in [
        (Up, None, Up),
        (Up, Some(State::Registering), Unknown),
        (Unknown, Some(State::Registered), Up),
        (Down, Some(State::Registered), Down),
        (Up, Some(State::Registered), Up),
        (Up, Some(State::Failed), Down),
        (Down, Some(State::Registering), Down),
        (Up, Some(State::Unregistered), Down),
    ] {
        assert_eq!(combined(health, registration), expected, "{health:?} {registration:?}");
    }
}

#[test]
fn routes_begin_with_the_proxy_and_never_leave_encryption() {
    let told = |routes: &[&str], target: &str, proxy: Option<&str>| {
        let config = registering(|_| {});
        let mut trunk = config.trunks[0].clone();
        let text =
            format!("[[trunks]]\nid = 'acme'\ntarget = '{target}'\noutbound_proxy = '{}'", proxy.unwrap_or_default());
        let read = trunkline_config::load_str(&text, std::path::Path::new("."), std::iter::empty());
        let read = read.unwrap_or_else(|problems| panic!("{problems}")).config.trunks.remove(0);
        (trunk.target, trunk.outbound_proxy) = (read.target, read.outbound_proxy);
        let registrations = Registrations::default();
        let plan = Plan::all(&config).remove(0);
        let standing = Standing {
            registrar: plan.registrar_text(),
            state: State::Registered,
            expires_at: None,
            last_failure: None,
            contacts: Vec::new(),
            service_route: routes.iter().map(|route| (*route).to_owned()).collect(),
            path: Vec::new(),
            observed: None,
            succeeded: 1,
            failed: 0,
        };
        registrations.put(&plan, standing);
        let hop = registrations.first_hop(&trunk);
        (registrations.routes(&trunk), format!("{} {:?}", hop.host, hop.default_transport()))
    };
    let check = |(routes, hop): (Vec<String>, String), expected: &[&str], first: &str| {
        assert_eq!(
            (routes.as_slice(), hop.as_str()),
            (&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..], first)
        );
    };
    check(told(&[], "h", None), &[], "h Udp");
    check(told(&["<sip:p1;lr>", "<sip:p2;lr>"], "h", None), &["<sip:p1;lr>", "<sip:p2;lr>"], "p1 Udp");
    check(
        told(&["<sip:p1;lr>"], "h", Some("edge;transport=tcp")),
        &["<sip:edge;transport=tcp;lr>", "<sip:p1;lr>"],
        "edge Tcp",
    );
    check(told(&["<sip:edge;lr>"], "h", Some("edge")), &["<sip:edge;lr>"], "edge Udp");
    check(told(&["<sip:p1;lr>"], "h;transport=tls", None), &["<sip:p1;lr>"], "p1 Tls");
    check(told(&["<sip:p1;transport=udp;lr>"], "h;transport=tls", None), &["<sip:p1;transport=udp;lr>"], "h Tls");
}
