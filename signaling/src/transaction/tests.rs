//! The figures of RFC 3261 section 17 as corrected by RFC 6026, row by row, and whole ladders of retransmissions.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::message::{Message, parse};

const TIMERS: Timers =
    Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };

#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn start() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn request() -> Bytes {
    Bytes::from_static(b"request")
}

fn ack() -> Bytes {
    Bytes::from_static(b"ack")
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn sent(text: &'static str) -> Reaction {
    Reaction::transmit(bytes(text))
}

fn sent_and_delivered(text: &'static str) -> Reaction {
    Reaction { transmit: Some(bytes(text)), deliver: true, fault: None }
}

/// What a machine does by itself: at which millisecond, the reaction in a word, until it has no timer left.
fn ladder(from: Instant, mut poll: impl FnMut() -> Option<(Instant, Option<Reaction>)>) -> Vec<(u128, &'static str)> {
    let mut steps = Vec::new();
    while let Some((at, reaction)) = poll() {
        let reaction = reaction.expect("a timer that is due does something");
        let word = match (&reaction.transmit, reaction.fault) {
            (Some(_), None) => "send",
            (_, Some(Fault::Timeout)) => "timeout",
            (_, Some(Fault::NoFinal)) => "no final",
            (_, Some(Fault::Transport)) => "transport",
            (None, None) => "end",
        };
        steps.push(((at - from).as_millis(), word));
        assert!(steps.len() < 100);
    }
    steps
}

macro_rules! ladder_of {
    ($machine:ident, $from:expr) => {
        ladder($from, || {
            let (at, _) = $machine.poll_timeout()?;
            Some((at, $machine.handle_timeout(at)))
        })
    };
}

fn calling() -> (Instant, ClientInvite) {
    let now = start();
    (now, ClientInvite::new(now, request(), TIMERS, Reliability::Unreliable))
}

#[test]
fn client_invite_transitions() {
    use ClientInviteState as S;
    let proceeding = || S::Proceeding { cancelled: false };
    let completed = || S::Completed { ack: ack() };
    let check = |before: &[u16], status: u16, reaction: Reaction, state: S| {
        let (now, mut machine) = calling();
        for status in before {
            machine.handle_response(now, *status, ack);
        }
        assert_eq!(machine.handle_response(now, status, ack), reaction, "{before:?} then {status}");
        assert_eq!(*machine.state(), state, "{before:?} then {status}");
    };
    // Calling.
    check(&[], 100, Reaction::deliver(), proceeding());
    check(&[], 200, Reaction::deliver(), S::Accepted);
    check(&[], 302, sent_and_delivered("ack"), completed());
    check(&[], 699, sent_and_delivered("ack"), completed());
    // Proceeding.
    check(&[100], 180, Reaction::deliver(), proceeding());
    check(&[180], 299, Reaction::deliver(), S::Accepted);
    check(&[180], 486, sent_and_delivered("ack"), completed());
    // Completed.
    check(&[486], 486, sent("ack"), completed());
    check(&[486], 180, Reaction::nothing(), completed());
    check(&[486], 200, Reaction::nothing(), completed());
    // Accepted.
    check(&[200], 200, Reaction::deliver(), S::Accepted);
    check(&[200], 180, Reaction::nothing(), S::Accepted);
    check(&[200], 486, Reaction::nothing(), S::Accepted);
}

#[test]
fn client_invite_ladders() {
    let (now, mut machine) = calling();
    let all = [500, 1500, 3500, 7500, 15500, 31500].map(|at| (at, "send"));
    assert_eq!(ladder_of!(machine, now), [&all[..], &[(32_000, "timeout")]].concat());

    let (now, mut machine) = calling();
    machine.handle_response(now, 180, ack);
    assert_eq!(ladder_of!(machine, now), [(180_000, "no final"), (212_000, "timeout")]);

    let (now, mut machine) = calling();
    machine.handle_response(now, 180, ack);
    machine.handle_response(now + Duration::from_secs(100), 180, ack);
    machine.handle_cancel(now + Duration::from_secs(150));
    machine.handle_response(now + Duration::from_secs(160), 180, ack);
    assert_eq!(ladder_of!(machine, now), [(182_000, "timeout")]);

    let (now, mut machine) = calling();
    machine.handle_response(now, 486, ack);
    assert_eq!(machine.poll_timeout().map(|(_, timer)| timer), Some(Timer::D));
    assert_eq!(ladder_of!(machine, now), [(32_000, "end")]);
    assert_eq!(*machine.state(), ClientInviteState::Terminated);

    let (now, mut machine) = calling();
    machine.handle_response(now, 200, ack);
    assert_eq!(machine.poll_timeout().map(|(_, timer)| timer), Some(Timer::M));
    assert_eq!(ladder_of!(machine, now), [(32_000, "end")]);

    let now = start();
    let mut machine = ClientInvite::new(now, request(), TIMERS, Reliability::Reliable);
    assert_eq!(ladder_of!(machine, now), [(32_000, "timeout")]);
    let mut machine = ClientInvite::new(now, request(), TIMERS, Reliability::Reliable);
    machine.handle_response(now, 404, ack);
    assert_eq!(*machine.state(), ClientInviteState::Terminated);
}

#[test]
fn client_invite_transport_errors() {
    let check = |before: &[u16], reaction: Reaction| {
        let (now, mut machine) = calling();
        for status in before {
            machine.handle_response(now, *status, ack);
        }
        assert_eq!(machine.handle_transport_error(), reaction, "{before:?}");
    };
    check(&[], Reaction::fault(Fault::Transport));
    check(&[180], Reaction::nothing());
    check(&[200], Reaction::nothing());
    check(&[486], Reaction::fault(Fault::Transport));
}

#[test]
fn client_transitions_and_ladders() {
    let now = start();
    let new = |reliability| Client::new(now, request(), TIMERS, reliability);
    let mut machine = new(Reliability::Unreliable);
    let sends = [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500].map(|at| (at, "send"));
    assert_eq!(ladder_of!(machine, now), [&sends[..], &[(32_000, "timeout")]].concat());
    assert_eq!(machine.state(), ClientState::Terminated);

    // Proceeding: every T2, beginning with the interval that runs.
    let mut machine = new(Reliability::Unreliable);
    assert_eq!(machine.handle_response(now, 100), Reaction::deliver());
    assert_eq!(machine.state(), ClientState::Proceeding);
    let sends = [500, 4500, 8500, 12500, 16500, 20500, 24500, 28500].map(|at| (at, "send"));
    assert_eq!(ladder_of!(machine, now), [&sends[..], &[(32_000, "timeout")]].concat());

    let mut machine = new(Reliability::Unreliable);
    assert_eq!(machine.handle_response(now, 481), Reaction::deliver());
    assert_eq!(machine.handle_response(now, 481), Reaction::nothing());
    assert_eq!(machine.handle_transport_error(), Reaction::nothing());
    assert_eq!(machine.state(), ClientState::Completed);
    assert_eq!(machine.poll_timeout().map(|(_, timer)| timer), Some(Timer::K));
    assert_eq!(ladder_of!(machine, now), [(5_000, "end")]);

    let mut machine = new(Reliability::Reliable);
    assert_eq!(ladder_of!(machine, now), [(32_000, "timeout")]);
    let mut machine = new(Reliability::Reliable);
    machine.handle_response(now, 200);
    assert_eq!(machine.state(), ClientState::Terminated);
    let mut machine = new(Reliability::Unreliable);
    assert_eq!(machine.handle_transport_error(), Reaction::fault(Fault::Transport));
}

#[test]
fn server_invite_transitions_and_ladders() {
    let now = start();
    let new = |reliability| ServerInvite::new(TIMERS, reliability);
    let mut machine = new(Reliability::Unreliable);
    assert_eq!(machine.handle_request(), Reaction::nothing());
    assert_eq!(machine.handle_ack(now), Reaction::nothing());
    assert_eq!(machine.handle_answer(now, 100, bytes("100")), sent("100"));
    assert_eq!(machine.handle_answer(now, 180, bytes("180")), sent("180"));
    assert_eq!(machine.handle_request(), sent("180"));
    assert_eq!(machine.poll_timeout(), None);

    // Refused: repeated until the ACK.
    assert_eq!(machine.handle_answer(now, 486, bytes("486")), sent("486"));
    assert_eq!(machine.handle_answer(now, 200, bytes("200")), Reaction::nothing());
    assert_eq!(machine.handle_request(), sent("486"));
    let sends = [500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500].map(|at| (at, "send"));
    assert_eq!(ladder_of!(machine, now), [&sends[..], &[(32_000, "timeout")]].concat());

    let mut machine = new(Reliability::Unreliable);
    machine.handle_answer(now, 603, bytes("603"));
    assert_eq!(machine.handle_ack(now), Reaction::nothing());
    assert_eq!(*machine.state(), ServerInviteState::Confirmed);
    assert_eq!(machine.handle_ack(now), Reaction::nothing());
    assert_eq!(machine.handle_request(), Reaction::nothing());
    assert_eq!(machine.poll_timeout().map(|(_, timer)| timer), Some(Timer::I));
    assert_eq!(ladder_of!(machine, now), [(5_000, "end")]);

    // Accepted: only absorbs, and passes on what its user repeats.
    let mut machine = new(Reliability::Unreliable);
    assert_eq!(machine.handle_answer(now, 200, bytes("200")), sent("200"));
    assert_eq!(machine.handle_request(), Reaction::nothing());
    assert_eq!(machine.handle_answer(now, 200, bytes("200")), sent("200"));
    assert_eq!(machine.handle_answer(now, 486, bytes("486")), Reaction::nothing());
    assert_eq!(machine.handle_ack(now), Reaction::deliver());
    assert_eq!(machine.poll_timeout().map(|(_, timer)| timer), Some(Timer::L));
    assert_eq!(ladder_of!(machine, now), [(32_000, "end")]);

    let mut machine = new(Reliability::Reliable);
    machine.handle_answer(now, 486, bytes("486"));
    assert_eq!(machine.poll_timeout().map(|(_, timer)| timer), Some(Timer::H));
    machine.handle_ack(now);
    assert_eq!(*machine.state(), ServerInviteState::Terminated);
}

#[test]
fn server_transitions_and_ladders() {
    let now = start();
    let mut machine = Server::new(TIMERS, Reliability::Unreliable);
    assert_eq!(machine.handle_request(), Reaction::nothing());
    assert_eq!(machine.handle_answer(now, 100, bytes("100")), sent("100"));
    assert_eq!(machine.handle_request(), sent("100"));
    assert_eq!(machine.handle_answer(now, 200, bytes("200")), sent("200"));
    assert_eq!(machine.handle_answer(now, 500, bytes("500")), Reaction::nothing());
    assert_eq!(machine.handle_request(), sent("200"));
    assert_eq!(ladder_of!(machine, now), [(32_000, "end")]);
    assert_eq!(*machine.state(), ServerState::Terminated);
    let mut machine = Server::new(TIMERS, Reliability::Reliable);
    machine.handle_answer(now, 200, bytes("200"));
    assert_eq!(*machine.state(), ServerState::Terminated);
}

fn key(method: &str, via: &str, more: &str) -> ServerKey {
    let text = format!(
        "{method} sip:a@b SIP/2.0\r\nVia: {via}\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:a@b>{more}\r\n\
         Call-ID: c\r\nCSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
    );
    let Message::Request(request) = parse(text.into()).unwrap() else { panic!("a request") };
    ServerKey::of_request(&request).unwrap()
}

#[test]
fn keys() {
    let new = "SIP/2.0/UDP h.example:5070;branch=z9hG4bKx";
    assert_eq!(key("INVITE", new, ""), key("ACK", "SIP/2.0/UDP H.EXAMPLE:5070;rport;branch=z9hG4bKx", ";tag=2"));
    assert_ne!(key("INVITE", new, ""), key("CANCEL", new, ""));
    assert_ne!(key("INVITE", new, ""), key("INVITE", "SIP/2.0/UDP h.example;branch=z9hG4bKx", ""));
    assert_ne!(key("INVITE", new, ""), key("INVITE", "SIP/2.0/UDP h.example:5070;branch=z9hG4bKy", ""));
    for old in ["SIP/2.0/UDP h.example", "SIP/2.0/UDP h.example;branch=1", "SIP/2.0/UDP h.example;branch=z9hG4bK"] {
        assert_eq!(key("INVITE", old, ""), key("ACK", old, ";tag=2"));
        assert_ne!(key("INVITE", old, ""), key("BYE", old, ""));
        assert_ne!(key("INVITE", old, ""), key("INVITE", &format!("{old};x=1"), ""));
    }
}
