//! The finder against a DNS of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use trunkline_signaling::targets::{Protocol, Records};

use super::*;

/// Answers every question alike, a little later.
struct Fixed(Result<Records, NoAnswer>, AtomicU32);

impl Dns for Fixed {
    fn ask(&self, _: Question) -> BoxFuture<'static, Result<Answer, NoAnswer>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        let answer = self.0.clone().map(|records| Answer { records, ttl: Duration::from_secs(60) });
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer
        })
    }
}

fn wanted(host: &str, port: Option<u16>) -> Wanted {
    Wanted { host: host.into(), port, transport: None, secure: false }
}

fn fixed(answer: Result<&[&str], NoAnswer>) -> (Arc<Fixed>, Finder) {
    let addresses = |list: &[&str]| Records::Addresses(list.iter().map(|a| a.parse().unwrap()).collect());
    let dns = Arc::new(Fixed(answer.map(addresses), AtomicU32::new(0)));
    (Arc::clone(&dns), Finder::asking(dns, Families::V4))
}

fn target(address: &str) -> Target {
    let name: Arc<str> = "h.example".into();
    Target { address: address.parse().unwrap(), over: Protocol::Udp.towards(&name), name }
}

#[tokio::test]
async fn literals_need_no_name_server() {
    let (dns, finder) = fixed(Err(NoAnswer::TimedOut));
    for (host, port, expected) in [
        ("192.0.2.1", Some(5070), "udp:192.0.2.1:5070"),
        ("192.0.2.1", None, "udp:192.0.2.1:5060"),
        ("2001:db8::1", None, "udp:[2001:db8::1]:5060"),
    ] {
        let found = finder.targets(wanted(host, port)).await.unwrap();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
    }
    assert_eq!(dns.1.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn many_calls_at_once_ask_once_and_all_are_told() {
    let (dns, finder) = fixed(Ok(&["192.0.2.1", "192.0.2.2"]));
    let searches = (0..50).map(|_| finder.targets(wanted("h.example", Some(5060))));
    let found = futures::future::join_all(searches).await;
    assert!(found.iter().all(|found| found.as_ref().unwrap().len() == 2), "{found:?}");
    assert_eq!(dns.1.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn dead_targets_come_last_and_resting_ones_not_at_all() {
    let (_, finder) = fixed(Ok(&["192.0.2.1", "192.0.2.2"]));
    let wanted = || wanted("h.example", Some(5060));
    let (first, second) = (target("192.0.2.1:5060"), target("192.0.2.2:5060"));
    finder.note_call(&first, Sign::Dead);
    assert_eq!(finder.targets(wanted()).await, Ok(vec![second.clone(), first.clone()]));
    finder.note_call(&second, Sign::Resting(Duration::from_secs(60)));
    assert_eq!(finder.targets(wanted()).await, Ok(vec![first.clone()]));
    finder.note_call(&first, Sign::Resting(Duration::from_secs(60)));
    assert_eq!(finder.targets(wanted()).await, Err(ResolveError::Resting));
}

#[tokio::test]
async fn a_failure_of_dns_is_said_as_what_it_is() {
    for (answer, expected) in [
        (NoAnswer::Nothing(None), ResolveError::Failed("the name has no address".into())),
        (NoAnswer::Failed("SERVFAIL".into()), ResolveError::Failed("SERVFAIL".into())),
        (NoAnswer::TimedOut, ResolveError::TimedOut),
    ] {
        let (_, finder) = fixed(Err(answer));
        assert_eq!(finder.targets(wanted("h.example", Some(5060))).await, Err(expected));
    }
}
