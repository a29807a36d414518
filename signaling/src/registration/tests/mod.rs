//! A registrar of a few lines, and hours of virtual time.

use super::*;
use crate::auth::Credentials;
use crate::message::{HeaderName, Uri, parse};

mod bindings;

const CONTACT: &str = "sip:acme@192.0.2.10:5060";

fn uri(text: &str) -> SipUri {
    match Uri::parse(&Bytes::from(text.to_owned())).unwrap() {
        Uri::Sip(uri) => uri,
        Uri::Tel(_) | Uri::Other(_) => panic!("{text}"),
    }
}

fn settings() -> Settings {
    Settings {
        registrar: uri("sip:registrar.example"),
        address_of_record: uri("sip:acme@registrar.example"),
        contacts: vec![uri(CONTACT)],
        expires: 3600,
        credentials: None,
        outbound_proxy: None,
        pace: Pace::default(),
        follow_observed: false,
    }
}

fn known_user(settings: Settings) -> Settings {
    let credentials = Credentials { username: "acme".into(), password: "geheim".into() };
    Settings { credentials: Some(credentials), ..settings }
}

/// Header fields by name.
type Fields = Vec<(&'static str, String)>;

/// What the registrar says to a request.
enum Said {
    /// Nothing.
    Silence,
    /// A status with these fields.
    Status(u16, Fields),
}

fn ok(expires: u32) -> Said {
    Said::Status(200, vec![("Contact", format!("<{CONTACT}>;expires={expires}"))])
}

fn status(status: u16, fields: &[(&'static str, &str)]) -> Said {
    Said::Status(status, fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
}

struct Case {
    start: Instant,
    now: Instant,
    registration: Registration,
    /// Second of each request, and the request.
    log: Vec<(u64, Order)>,
}

impl Case {
    fn new(settings: Settings) -> Self {
        #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
        let start = Instant::now() + Duration::from_secs(3_600);
        Self { start, now: start, registration: Registration::new(start, settings, [7; 32]), log: Vec::new() }
    }

    /// Lets time pass; what is not answered fails after 32 s (Timer F).
    fn run(&mut self, seconds: u64, mut say: impl FnMut(&Order, usize) -> Said) -> &mut Self {
        let end = self.now + Duration::from_secs(seconds);
        let mut silent_until = None;
        loop {
            while let Some(order) = self.registration.poll_order() {
                let mut whole = order.request.clone();
                whole.headers.push_front(HeaderName::Via, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1");
                assert!(parse(whole.to_bytes()).is_ok(), "the REGISTER is none: {whole:?}");
                match say(&order, self.log.len()) {
                    Said::Silence => silent_until = Some(self.now + Duration::from_secs(32)),
                    Said::Status(status, fields) => {
                        let mut response = Response::to_request(&order.request, status, Some("far"));
                        for (name, value) in fields {
                            response.headers.push(HeaderName::other(name), value);
                        }
                        self.log.push(((self.now - self.start).as_secs(), order));
                        self.registration.handle_response(self.now, &response);
                        continue;
                    }
                }
                self.log.push(((self.now - self.start).as_secs(), order));
            }
            let next = self.registration.poll_timeout().map(|(at, _)| at).into_iter().chain(silent_until).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if silent_until.is_some_and(|until| until <= self.now) {
                silent_until = None;
                self.registration.handle_failure(self.now, Failure::NoAnswer);
            }
            self.registration.handle_timeout(self.now);
            assert!(self.log.len() < 10_000, "it spins");
        }
        self.now = end;
        self
    }

    fn field(&self, at: usize, name: &'static str) -> Vec<String> {
        let name = HeaderName::other(name);
        let values = self.log[at].1.request.headers.get_all(&name);
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    fn seconds(&self) -> Vec<u64> {
        self.log.iter().map(|(at, _)| *at).collect()
    }

    fn left(&self) -> Option<u64> {
        self.registration.bound_until().map(|until| (until - self.now).as_secs())
    }
}

#[test]
fn the_first_register_says_who_where_and_for_how_long() {
    let mut case = Case::new(settings());
    case.run(1, |_, _| ok(3600));
    let (_, order) = &case.log[0];
    assert_eq!(
        (order.hop.to_string(), order.request.uri.to_string()),
        ("sip:registrar.example".into(), "sip:registrar.example".into())
    );
    for (name, expected) in [
        ("To", "<sip:acme@registrar.example>"),
        ("CSeq", "1 REGISTER"),
        ("Contact", "<sip:acme@192.0.2.10:5060>;expires=3600"),
        ("Expires", "3600"),
        ("Supported", "path"),
        ("Max-Forwards", "70"),
    ] {
        assert_eq!(case.field(0, name), [expected], "{name}");
    }
    assert!(case.field(0, "From")[0].starts_with("<sip:acme@registrar.example>;tag="));
    assert_eq!((case.registration.state(), case.left()), (State::Registered, Some(3599)));
}

/// What the answer says, what holds, and within which seconds the next request comes.
#[test]
fn the_expiry_is_the_answers_and_the_refresh_comes_before_it() {
    let contact = |rest: &str| ("Contact", format!("<{CONTACT}>{rest}"));
    let other = || ("Contact", "<sip:acme@198.51.100.9:5060>;expires=77".to_owned());
    let expires = |seconds: &str| ("Expires", seconds.to_owned());
    type Row = (Fields, u64, std::ops::RangeInclusive<u64>);
    let rows: [Row; 9] = [
        (vec![contact(";expires=3600")], 3600, 2700..=3000),
        (vec![contact(";expires=60")], 60, 27..=30),
        (vec![contact(";expires=1200")], 1200, 540..=600),
        (vec![contact(""), expires("120")], 120, 54..=60),
        (vec![contact(";q=0.5;expires=300"), expires("120")], 300, 135..=150),
        (vec![other(), contact(";expires=200")], 200, 90..=100),
        (vec![("Contact", format!("<{CONTACT};transport=tcp>;expires=9")), contact(";expires=100")], 100, 45..=50),
        // A registrar that writes down what it sees.
        (vec![other()], 77, 34..=38),
        (vec![expires("90")], 90, 40..=45),
    ];
    for (fields, lasts, next) in rows {
        let mut case = Case::new(settings());
        case.run(0, |_, _| Said::Status(200, fields.clone()));
        assert_eq!(case.left(), Some(lasts), "{fields:?}");
        case.run(4_000, |_, n| if n == 1 { Said::Silence } else { ok(100_000) });
        assert!(next.contains(&case.seconds()[1]), "{fields:?}: {:?}", case.seconds());
    }
}

#[test]
fn refreshes_keep_the_call_id_and_count_on_and_the_binding_never_runs_out() {
    let mut case = Case::new(settings());
    case.run(0, |_, _| ok(60));
    for _ in 0..600 {
        case.run(60, |_, _| ok(60));
        assert_eq!(case.registration.state(), State::Registered);
    }
    assert!(case.log.len() > 1_100, "{}", case.log.len());
    let first = (case.field(0, "Call-ID"), case.field(0, "From"));
    for at in 0..case.log.len() {
        assert_eq!((case.field(at, "Call-ID"), case.field(at, "From")), first);
        assert_eq!(case.field(at, "CSeq"), [format!("{} REGISTER", at + 1)]);
    }
}

#[test]
fn a_nonce_is_used_again_with_its_count_until_the_registrar_has_another() {
    let challenge = |nonce: &str, rest: &str| {
        status(401, &[("WWW-Authenticate", &format!(r#"Digest realm="r", nonce="{nonce}", qop="auth"{rest}"#))])
    };
    let mut case = Case::new(known_user(settings()));
    case.run(250, |_, n| match n {
        0 => challenge("one", ""),
        3 => challenge("two", ", stale=true"),
        _ => ok(100),
    });
    let used = |at: usize| {
        let value = case.field(at, "Authorization").first().cloned().unwrap_or_default();
        let part = |name: &str| {
            let rest = value.split_once(name).map(|(_, rest)| rest).unwrap_or_default();
            rest.split(&['"', ','][..]).find(|part| !part.is_empty()).unwrap_or_default().to_owned()
        };
        (part("nonce=\""), part("nc="))
    };
    let told: Vec<_> = (0..5).map(used).collect();
    let expected = [("", ""), ("one", "00000001"), ("one", "00000002"), ("one", "00000003"), ("two", "00000001")];
    assert_eq!(told, expected.map(|(nonce, count)| (nonce.to_owned(), count.to_owned())));
}

/// Whatever a registrar goes on saying, a round ends.
#[test]
fn loops_of_challenges_and_redirections_end() {
    type Row = (fn(usize) -> Said, &'static str);
    let always: [Row; 5] = [
        (
            |n| status(401, &[("WWW-Authenticate", &format!(r#"Digest realm="r", nonce="{n}", stale=true"#))]),
            "credentials",
        ),
        (|n| status(407, &[("Proxy-Authenticate", &format!(r#"Digest realm="r{n}", nonce="{n}""#))]), "credentials"),
        (|_| status(302, &[("Contact", "<sip:registrar.example>")]), "redirected"),
        (|_| status(301, &[]), "redirected"),
        (|n| status(423, &[("Min-Expires", &(4_000 + n).to_string())]), "status_423"),
    ];
    for (say, word) in always {
        let mut case = Case::new(known_user(settings()));
        case.run(0, |_, n| say(n));
        assert!((1..=5).contains(&case.log.len()), "{word}: {}", case.log.len());
        assert_eq!(
            (case.registration.state(), case.registration.failure().unwrap().word().as_str()),
            (State::Failed, word)
        );
        assert!(case.registration.poll_timeout().is_some(), "it tries again later");
    }
}

#[test]
fn a_brief_interval_is_asked_for_longer_and_stays_so() {
    let mut case = Case::new(Settings { expires: 60, ..settings() });
    case.run(3_500, |_, n| if n == 0 { status(423, &[("Min-Expires", "1800")]) } else { ok(1800) });
    assert_eq!((case.field(0, "Expires"), case.field(1, "Expires")), (vec!["60".to_owned()], vec!["1800".to_owned()]));
    assert_eq!(case.field(2, "Expires"), ["1800"]);
    assert_eq!(case.field(1, "CSeq"), ["2 REGISTER"]);
}

#[test]
fn redirections_are_followed_but_take_no_credentials_to_strangers_and_no_step_into_plain_text() {
    let challenge = status(401, &[("WWW-Authenticate", r#"Digest realm="r", nonce="n""#)]);
    let mut case = Case::new(known_user(settings()));
    case.run(0, |_, n| match n {
        0 => status(401, &[("WWW-Authenticate", r#"Digest realm="r", nonce="n""#)]),
        1 => status(302, &[("Contact", "<sip:other.example:5070;method=INVITE?x=y>")]),
        _ => challenge.again(),
    });
    let (_, moved) = &case.log[2];
    assert_eq!(
        (moved.hop.to_string(), moved.request.uri.to_string()),
        ("sip:other.example:5070".into(), "sip:other.example:5070".into())
    );
    assert!(case.field(2, "Authorization").is_empty(), "the answer is for the registrar alone");
    assert_eq!(case.registration.failure(), Some(&Failure::Credentials));

    let mut same = Case::new(known_user(settings()));
    same.run(0, |_, n| if n == 0 { status(302, &[("Contact", "<sip:registrar.example:5070>")]) } else { ok(60) });
    assert_eq!((same.log[1].1.hop.port, same.registration.state()), (Some(5070), State::Registered));
    // The next refresh begins where it is configured.
    same.run(31, |_, _| ok(60));
    assert_eq!(same.log[2].1.hop.port, None);

    let encrypted = Settings { registrar: uri("sip:registrar.example;transport=tls"), ..settings() };
    for (contact, expected) in
        [("<sip:registrar.example>", State::Failed), ("<sip:b.example;transport=TLS>", State::Registered)]
    {
        let mut case = Case::new(encrypted.clone());
        case.run(0, |_, n| if n == 0 { status(302, &[("Contact", contact)]) } else { ok(60) });
        assert_eq!(case.registration.state(), expected, "{contact}");
    }
}

impl Said {
    fn again(&self) -> Self {
        match self {
            Self::Silence => Self::Silence,
            Self::Status(status, fields) => Self::Status(*status, fields.clone()),
        }
    }
}

#[test]
fn pauses_after_failures_double_with_chance_up_to_their_limit() {
    let mut case = Case::new(settings());
    case.run(20_000, |_, _| status(503, &[]));
    let pauses: Vec<u64> = case.seconds().windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (n, pause) in pauses.iter().enumerate() {
        let most = (30_u64 << (n + 1).min(6)).min(1_800);
        assert!((most / 2 - 1..=most).contains(pause), "pause {n}: {pause} of {most}");
    }
    assert!(pauses.len() > 8, "{pauses:?}");
    // Another seed waits otherwise: a hundred gateways do not come back in one second.
    let mut firsts = std::collections::HashSet::new();
    for seed in 0..100 {
        let mut other = Case::new(settings());
        other.registration = Registration::new(other.start, settings(), [seed; 32]);
        other.run(61, |_, _| status(503, &[]));
        firsts.insert(other.seconds()[1]);
    }
    assert!(firsts.len() > 15, "{firsts:?}");
}

#[test]
fn a_registrar_that_names_a_time_is_left_alone_until_then() {
    let mut case = Case::new(settings());
    case.run(400, |_, n| if n == 0 { status(503, &[("Retry-After", "300 (in five minutes)")]) } else { ok(60) });
    assert_eq!(case.seconds()[1], 300);
    let mut patient = Case::new(settings());
    patient.run(3_601, |_, n| if n == 0 { status(503, &[("Retry-After", "4294967295")]) } else { ok(60) });
    assert_eq!(patient.seconds()[1], 3_600, "an hour is the most");
}

#[test]
fn wrong_credentials_are_not_tried_over_and_over() {
    let mut case = Case::new(known_user(settings()));
    case.run(3_600, |_, _| status(401, &[("WWW-Authenticate", r#"Digest realm="r", nonce="n""#)]));
    assert!(case.log.len() <= 8, "{:?}", case.seconds());
    let mut none = Case::new(settings());
    none.run(0, |_, _| status(401, &[("WWW-Authenticate", r#"Digest realm="r", nonce="n""#)]));
    assert_eq!((none.log.len(), none.registration.failure()), (1, Some(&Failure::Credentials)));
}

/// What comes instead of an answer to a refresh, and how it stands just after it and when the old binding has run out.
#[test]
fn a_failed_refresh_keeps_what_is_bound_unless_it_was_refused() {
    type Row = (fn() -> Said, State, &'static str);
    let rows: [Row; 6] = [
        (|| Said::Silence, State::Registered, "no_answer"),
        (|| status(503, &[]), State::Registered, "status_503"),
        (|| status(480, &[]), State::Registered, "status_480"),
        (|| status(403, &[]), State::Failed, "status_403"),
        (|| status(404, &[]), State::Failed, "status_404"),
        (|| status(200, &[("Contact", "<sip:acme@192.0.2.10:5060>;expires=0")]), State::Failed, "not_bound"),
    ];
    for (say, after, word) in rows {
        let mut case = Case::new(settings());
        case.run(0, |_, _| ok(600));
        case.run(340, |_, _| say());
        assert_eq!((case.registration.state(), case.registration.failure().unwrap().word().as_str()), (after, word));
        case.run(300, |_, _| say());
        assert_eq!((case.registration.state(), case.left()), (State::Failed, None), "{word}");
        // Back again.
        case.run(2_000, |_, _| ok(600));
        assert_eq!(case.registration.state(), State::Registered, "{word}");
    }
}

#[test]
fn a_binding_about_to_run_out_is_tried_for_more_often_than_the_back_off_says() {
    let mut case = Case::new(settings());
    case.run(0, |_, _| ok(120));
    case.run(119, |_, _| status(500, &[]));
    assert!(case.log.len() >= 5, "{:?}", case.seconds());
    assert_eq!(case.registration.state(), State::Registered);
}
