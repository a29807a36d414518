//! RFC 3263 by tables, against a DNS that says what it is told to.
#![allow(clippy::disallowed_methods)] // Any time will do to begin with.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::*;

/// Records by question; what is not there does not exist.
#[derive(Default, Clone)]
struct Zone {
    answers: HashMap<Question, Result<Answer, NoAnswer>>,
    silent: Vec<Question>,
}

const TTL: Duration = Duration::from_secs(60);

fn question(kind: Kind, name: &str) -> Question {
    Question { kind, name: name.into() }
}

impl Zone {
    fn with(mut self, kind: Kind, name: &str, records: Records) -> Self {
        self.answers.insert(question(kind, name), Ok(Answer { records, ttl: TTL }));
        self
    }

    fn naptr(self, name: &str, rows: &[(u16, u16, &str, &str, &str)]) -> Self {
        let record = |&(order, preference, flags, service, replacement): &(u16, u16, &str, &str, &str)| Naptr {
            order,
            preference,
            flags: flags.into(),
            service: service.into(),
            replacement: replacement.into(),
        };
        self.with(Kind::Naptr, name, Records::Naptr(rows.iter().map(record).collect()))
    }

    fn srv(self, name: &str, rows: &[(u16, u16, u16, &str)]) -> Self {
        let record = |&(priority, weight, port, target): &(u16, u16, u16, &str)| Srv {
            priority,
            weight,
            port,
            target: target.into(),
        };
        self.with(Kind::Srv, name, Records::Srv(rows.iter().map(record).collect()))
    }

    fn host(self, name: &str, addresses: &[&str]) -> Self {
        let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) =
            addresses.iter().map(|a| a.parse::<IpAddr>().unwrap()).partition(IpAddr::is_ipv6);
        let zone = if v4.is_empty() { self } else { self.with(Kind::A, name, Records::Addresses(v4)) };
        if v6.is_empty() { zone } else { zone.with(Kind::Aaaa, name, Records::Addresses(v6)) }
    }

    fn fails(mut self, kind: Kind, name: &str, how: NoAnswer) -> Self {
        self.answers.insert(question(kind, name), Err(how));
        self
    }

    fn silent(mut self, kind: Kind, name: &str) -> Self {
        self.silent.push(question(kind, name));
        self
    }

    fn say(&self, question: &Question) -> Option<Result<Answer, NoAnswer>> {
        let known = || self.answers.get(question).cloned().unwrap_or(Err(NoAnswer::Nothing(None)));
        (!self.silent.contains(question)).then(known)
    }
}

/// A resolver with its time and what it asked.
struct Bench {
    resolver: Resolver,
    now: Instant,
    asked: Vec<String>,
}

impl Bench {
    fn new(families: Families) -> Self {
        let now = Instant::now() + Duration::from_secs(3_600);
        Self { resolver: Resolver::new(families, [1; 32]), now, asked: Vec::new() }
    }

    /// Runs a search to its end; time passes only where DNS is silent.
    fn find(&mut self, zone: &Zone, wanted: &Wanted, anew: bool) -> Found {
        let id = self.resolver.find(self.now, wanted.clone(), anew);
        for _ in 0..100 {
            while let Some(question) = self.resolver.poll_question() {
                self.asked.push(format!("{} {}", question.kind.word(), question.name));
                if let Some(answer) = zone.say(&question) {
                    self.resolver.handle_answer(self.now, &question, answer);
                }
            }
            if let Some((found, result)) = self.resolver.poll_found() {
                assert_eq!(found, id);
                return result;
            }
            self.now = self.resolver.poll_timeout().expect("something is waited for").0;
            self.resolver.handle_timeout(self.now);
        }
        panic!("it does not end: {:?}", self.asked);
    }

    fn targets(&mut self, zone: &Zone, wanted: &Wanted) -> Vec<String> {
        match self.find(zone, wanted, false).targets {
            Ok(targets) => targets.iter().map(ToString::to_string).collect(),
            Err(why) => vec![why.to_string()],
        }
    }
}

/// `[sips:]host[:port][;transport]`
fn wanted(text: &str) -> Wanted {
    let (secure, rest) = text.strip_prefix("sips:").map_or((false, text), |rest| (true, rest));
    let (rest, transport) = rest.split_once(';').map_or((rest, None), |(rest, transport)| (rest, Some(transport)));
    let transport = transport.map(|transport| match transport {
        "udp" => Protocol::Udp,
        "tcp" => Protocol::Tcp,
        "tls" => Protocol::Tls,
        other => panic!("{other}"),
    });
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port.parse().unwrap())),
        Some(_) | None => (rest, None),
    };
    Wanted { host: host.into(), port, transport, secure }
}

/// What a URI leads to, and what was asked on the way.
fn check(zone: &Zone, families: Families, uri: &str, expected: &[&str], asked: &[&str]) {
    let mut bench = Bench::new(families);
    assert_eq!(bench.targets(zone, &wanted(uri)), expected, "{uri}");
    assert_eq!(bench.asked, asked, "{uri}");
}

#[test]
fn addresses_and_ports_are_taken_as_they_are() {
    let zone = Zone::default().host("h.example", &["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    let rows: [(&str, &[&str], &[&str]); 9] = [
        ("192.0.2.9", &["udp:192.0.2.9:5060"], &[]),
        ("192.0.2.9:5080", &["udp:192.0.2.9:5080"], &[]),
        ("192.0.2.9;tcp", &["tcp:192.0.2.9:5060"], &[]),
        ("192.0.2.9;tls", &["tls:192.0.2.9:5061"], &[]),
        ("sips:192.0.2.9", &["tls:192.0.2.9:5061"], &[]),
        ("2001:db8::9", &["udp:[2001:db8::9]:5060"], &[]),
        ("h.example:5080", &["udp:192.0.2.1:5080", "udp:192.0.2.2:5080"], &["A h.example"]),
        ("h.example:5080;tcp", &["tcp:192.0.2.1:5080", "tcp:192.0.2.2:5080"], &["A h.example"]),
        ("sips:h.example:5081", &["tls:192.0.2.1:5081", "tls:192.0.2.2:5081"], &["A h.example"]),
    ];
    for (uri, expected, asked) in rows {
        check(&zone, Families::V4, uri, expected, asked);
    }
}

#[test]
fn families_are_asked_for_in_their_order() {
    let zone = Zone::default().host("h.example", &["192.0.2.1", "2001:db8::1"]);
    let (v4, v6) = ("udp:192.0.2.1:5060", "udp:[2001:db8::1]:5060");
    check(&zone, Families::V4, "h.example:5060", &[v4], &["A h.example"]);
    check(&zone, Families::V6, "h.example:5060", &[v6], &["AAAA h.example"]);
    check(&zone, Families::V4ThenV6, "h.example:5060", &[v4, v6], &["A h.example", "AAAA h.example"]);
    check(&zone, Families::V6ThenV4, "h.example:5060", &[v6, v4], &["AAAA h.example", "A h.example"]);
}

#[test]
fn a_transport_that_is_named_leads_to_its_srv_records() {
    let zone = Zone::default()
        .naptr("example.com", &[(1, 1, "s", "SIPS+D2T", "_sips._tcp.example.com")])
        .srv("_sip._tcp.example.com", &[(1, 0, 5070, "a.example.com")])
        .srv("_sips._tcp.example.com", &[(1, 0, 5071, "a.example.com")])
        .host("a.example.com", &["192.0.2.1"])
        .host("example.com", &["192.0.2.80"]);
    check(
        &zone,
        Families::V4,
        "example.com;tcp",
        &["tcp:192.0.2.1:5070"],
        &["SRV _sip._tcp.example.com", "A a.example.com"],
    );
    check(
        &zone,
        Families::V4,
        "example.com;tls",
        &["tls:192.0.2.1:5071"],
        &["SRV _sips._tcp.example.com", "A a.example.com"],
    );
    check(
        &zone,
        Families::V4,
        "example.com;udp",
        &["udp:192.0.2.80:5060"],
        &["SRV _sip._udp.example.com", "A example.com"],
    );
}

#[test]
fn naptr_records_choose_the_transport() {
    let zone = Zone::default()
        .naptr(
            "example.com",
            &[
                (20, 5, "s", "SIP+D2U", "_sip._udp.example.com"),
                (10, 50, "s", "SIP+D2T", "_sip._tcp.example.com"),
                (10, 10, "s", "SIP+D2S", "_sip._sctp.example.com"),
                (10, 20, "u", "E2U+sip", "x.example.com"),
            ],
        )
        .srv("_sip._tcp.example.com", &[(1, 0, 5070, "a.example.com")])
        .srv("_sip._udp.example.com", &[(2, 0, 5060, "b.example.com"), (1, 0, 5060, "a.example.com")])
        .host("a.example.com", &["192.0.2.1"])
        .host("b.example.com", &["192.0.2.2"]);
    let expected = ["tcp:192.0.2.1:5070", "udp:192.0.2.1:5060", "udp:192.0.2.2:5060"];
    let mut bench = Bench::new(Families::V4);
    let found = bench.find(&zone, &wanted("example.com"), false);
    let targets = found.targets.unwrap();
    assert_eq!(targets.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    assert_eq!(
        targets.iter().map(|target| &*target.name).collect::<Vec<_>>(),
        ["a.example.com", "a.example.com", "b.example.com"]
    );
    assert_eq!(bench.asked.len(), 5, "{:?}", bench.asked);
    assert_eq!(found.steps.len(), 5);
}

#[test]
fn encryption_that_is_preferred_is_never_given_up() {
    let zone = Zone::default()
        .naptr(
            "example.com",
            &[(1, 1, "s", "SIPS+D2T", "_sips._tcp.example.com"), (2, 1, "s", "SIP+D2U", "_sip._udp.example.com")],
        )
        .srv("_sips._tcp.example.com", &[(1, 0, 5061, "a.example.com")])
        .srv("_sip._udp.example.com", &[(1, 0, 5060, "a.example.com")])
        .host("a.example.com", &["192.0.2.1"]);
    for uri in ["example.com", "sips:example.com"] {
        let mut bench = Bench::new(Families::V4);
        let targets = bench.find(&zone, &wanted(uri), false).targets.unwrap();
        let [target] = &targets[..] else { panic!("{targets:?}") };
        assert_eq!(target.to_string(), "tls:192.0.2.1:5061", "{uri}");
        assert_eq!(target.over, Transport::Tls("example.com".into()), "whoever takes it is the domain, not the host");
    }
}

#[test]
fn without_naptr_records_each_transport_is_looked_for() {
    let srv = ["SRV _sip._udp.example.com", "SRV _sip._tcp.example.com", "SRV _sips._tcp.example.com"];
    let host = Zone::default().host("example.com", &["192.0.2.80"]).host("a.example.com", &["192.0.2.1"]);
    let asked = |last: &'static str| [&["NAPTR example.com"][..], &srv, &[last]].concat();
    check(&host, Families::V4, "example.com", &["udp:192.0.2.80:5060"], &asked("A example.com"));
    let tcp = host.clone().srv("_sip._tcp.example.com", &[(1, 0, 5070, "a.example.com")]);
    check(&tcp, Families::V4, "example.com", &["tcp:192.0.2.1:5070"], &asked("A a.example.com"));
    let secure = ["NAPTR example.com", "SRV _sips._tcp.example.com", "A example.com"];
    check(&tcp, Families::V4, "sips:example.com", &["tls:192.0.2.80:5061"], &secure);
}

#[test]
fn a_domain_may_say_that_it_offers_no_sip() {
    let zone = Zone::default().srv("_sip._udp.example.com", &[(0, 0, 0, "")]).host("example.com", &["192.0.2.80"]);
    let asked = ["SRV _sip._udp.example.com"];
    check(&zone, Families::V4, "example.com;udp", &["the domain offers no SIP"], &asked);
}

#[test]
fn nobody_is_led_to_more_targets_than_the_limit() {
    let hosts: Vec<String> = (0..40).map(|n| format!("h{n}.example.com")).collect();
    let rows: Vec<_> = hosts.iter().enumerate().map(|(n, host)| (n as u16, 0, 5060, host.as_str())).collect();
    let addresses: Vec<String> = (0..40).map(|n| format!("192.0.2.{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut zone = Zone::default().srv("_sip._udp.example.com", &rows);
    for host in &hosts {
        zone = zone.host(host, &addresses);
    }
    let mut bench = Bench::new(Families::V4);
    assert_eq!(bench.targets(&zone, &wanted("example.com;udp")).len(), 16);
    assert!(bench.asked.len() <= 9, "{:?}", bench.asked);
}

#[test]
fn failures_of_dns_are_told_from_names_that_do_not_exist() {
    let servfail = || NoAnswer::Failed("SERVFAIL".into());
    let rows: [(Zone, &str); 5] = [
        (Zone::default(), "the name has no address"),
        (Zone::default().fails(Kind::A, "example.com", servfail()), "SERVFAIL"),
        (Zone::default().fails(Kind::A, "example.com", NoAnswer::TimedOut), "no answer from DNS in time"),
        (Zone::default().silent(Kind::A, "example.com"), "no answer from DNS in time"),
        // A server that cannot do NAPTR or SRV does not make a host unreachable.
        (
            Zone::default()
                .fails(Kind::Naptr, "example.com", servfail())
                .fails(Kind::Srv, "_sip._udp.example.com", servfail())
                .host("example.com", &["192.0.2.1"]),
            "udp:192.0.2.1:5060",
        ),
    ];
    for (zone, expected) in rows {
        assert_eq!(Bench::new(Families::V4).targets(&zone, &wanted("example.com")), [expected]);
    }
}

#[test]
fn a_silent_dns_is_waited_for_no_longer_than_two_seconds_a_question() {
    let zone = Zone::default().silent(Kind::Naptr, "example.com").silent(Kind::A, "example.com");
    let mut bench = Bench::new(Families::V4);
    let start = bench.now;
    assert_eq!(bench.targets(&zone, &wanted("example.com")), ["no answer from DNS in time"]);
    assert_eq!(bench.now - start, Duration::from_secs(4));
    let again = bench.now;
    bench.targets(&zone, &wanted("example.com"));
    assert_eq!(bench.now - again, Duration::ZERO, "the next one does not wait again");
}

#[test]
fn the_last_good_targets_serve_while_dns_fails() {
    let good = Zone::default().host("example.com", &["192.0.2.1"]);
    let bad = [
        Zone::default().fails(Kind::A, "example.com", NoAnswer::Failed("SERVFAIL".into())),
        Zone::default().silent(Kind::A, "example.com"),
    ];
    for bad in bad {
        let mut bench = Bench::new(Families::V4);
        let wanted = wanted("example.com:5060");
        assert_eq!(bench.targets(&good, &wanted), ["udp:192.0.2.1:5060"]);
        bench.now += TTL + Duration::from_secs(1);
        let start = bench.now;
        let found = bench.find(&bad, &wanted, false);
        assert_eq!(found.targets.unwrap()[0].to_string(), "udp:192.0.2.1:5060");
        assert_eq!(found.steps[0].source, Source::LastGood);
        assert!(bench.now - start <= Duration::from_millis(500));
        assert_eq!(bench.resolver.stats().last_good, 1);
        // And when it is well again, what it says then.
        bench.now += Duration::from_secs(11);
        let moved = Zone::default().host("example.com", &["192.0.2.2"]);
        assert_eq!(bench.targets(&moved, &wanted), ["udp:192.0.2.2:5060"]);
        assert_eq!(bench.targets(&Zone::default(), &wanted), ["udp:192.0.2.2:5060"], "within its TTL");
        bench.now += TTL;
        assert_eq!(bench.targets(&Zone::default(), &wanted), ["the name has no address"], "it is gone, says DNS");
    }
}

#[test]
fn an_answer_is_used_again_until_its_ttl_is_over_and_a_test_asks_anew() {
    let zone = Zone::default().host("example.com", &["192.0.2.1"]);
    let mut bench = Bench::new(Families::V4);
    let wanted = wanted("example.com:5060");
    bench.targets(&zone, &wanted);
    bench.now += TTL - Duration::from_secs(1);
    let found = bench.find(&zone, &wanted, false);
    assert_eq!((bench.asked.len(), found.steps[0].source), (1, Source::Cache));
    let found = bench.find(&zone, &wanted, true);
    assert_eq!((bench.asked.len(), found.steps[0].source), (2, Source::Dns));
}

#[test]
fn a_question_is_asked_once_however_many_wait_for_it() {
    let mut resolver = Resolver::new(Families::V4, [1; 32]);
    let now = Instant::now();
    let ids: Vec<_> = (0..50).map(|_| resolver.find(now, wanted("example.com:5060"), false)).collect();
    let asked = resolver.poll_question().unwrap();
    assert_eq!(resolver.poll_question(), None);
    let answer = Answer { records: Records::Addresses(vec!["192.0.2.1".parse().unwrap()]), ttl: TTL };
    resolver.handle_answer(now, &asked, Ok(answer));
    let found: Vec<_> = std::iter::from_fn(|| resolver.poll_found()).collect();
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    assert!(found.iter().all(|(_, found)| found.targets.is_ok()));
    assert_eq!(resolver.poll_timeout(), None);
}
