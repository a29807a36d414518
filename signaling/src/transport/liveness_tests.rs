//! Connections that live and die in virtual time.

use super::*;

const ACCEPTED: Rules = Rules { first: Some(Duration::from_secs(10)), ping: None, idle: Duration::from_secs(3_600) };
const OPENED: Rules = Rules { first: None, ping: Some(Duration::from_secs(100)), idle: Duration::from_secs(86_400) };

/// What happens to it, at which second.
enum Deed {
    Message,
    /// Octets of a message that is not whole.
    Piece,
    /// Something to say.
    Say,
    /// It is taken.
    Taken,
    Pong,
}

/// What it does within a day, and when, seconds; at most twenty things.
fn run(rules: Rules, deeds: &[(u64, Deed)]) -> Vec<(u64, Verdict)> {
    #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    let start = Instant::now() + Duration::from_secs(3_600);
    let (mut life, mut done, mut deeds) = (Liveness::new(start, rules), Vec::new(), deeds.iter().peekable());
    while done.len() < 20 {
        let due = life.poll_timeout();
        if let Some((at, deed)) = deeds.next_if(|(at, _)| start + Duration::from_secs(*at) <= due) {
            let now = start + Duration::from_secs(*at);
            match deed {
                Deed::Message => {
                    life.message(now);
                    life.heard(now, false);
                }
                Deed::Piece => life.heard(now, true),
                Deed::Say => life.say(now),
                Deed::Taken => life.taken(),
                Deed::Pong => life.ponged(),
            }
            continue;
        }
        if let Some(verdict) = life.handle_timeout(due) {
            done.push((due.duration_since(start).as_secs(), verdict));
            match verdict {
                Verdict::Ping => {
                    life.say(due);
                    life.taken();
                }
                Verdict::Close(_) => break,
            }
        }
    }
    done
}

#[test]
fn a_connection_that_is_of_no_use_is_closed_in_time() {
    use Deed::{Message, Piece, Pong, Say, Taken};
    let close = |at, ending| vec![(at, Verdict::Close(ending))];
    let drip: Vec<(u64, Deed)> = (1..30).map(|at| (at, Piece)).collect();
    type Row = (&'static str, Rules, Vec<(u64, Deed)>, Vec<(u64, Verdict)>);
    let rows: [Row; 8] = [
        ("nothing comes", ACCEPTED, vec![], close(10, Ending::Slow)),
        ("an octet a second", ACCEPTED, drip, close(10, Ending::Slow)),
        ("a second message stops halfway", ACCEPTED, vec![(1, Message), (20, Piece)], close(30, Ending::Slow)),
        ("nothing more to say", ACCEPTED, vec![(1, Message)], close(3_601, Ending::Idle)),
        ("it does not take an answer", ACCEPTED, vec![(1, Message), (2, Say)], close(7, Ending::Stalled)),
        (
            "it took everything",
            ACCEPTED,
            vec![(1, Message), (2, Say), (6, Taken), (100, Message)],
            close(3_700, Ending::Idle),
        ),
        (
            "it answered pings once and does not any more",
            OPENED,
            vec![(101, Pong)],
            vec![(100, Verdict::Ping), (200, Verdict::Ping), (210, Verdict::Close(Ending::Silent))],
        ),
        (
            "after a ping it talks",
            OPENED,
            vec![(101, Pong), (205, Message), (305, Message), (405, Message)],
            vec![
                (100, Verdict::Ping),
                (200, Verdict::Ping),
                (300, Verdict::Ping),
                (400, Verdict::Ping),
                (500, Verdict::Ping),
                (510, Verdict::Close(Ending::Silent)),
            ],
        ),
    ];
    for (name, rules, deeds, expected) in rows {
        assert_eq!(run(rules, &deeds), expected, "{name}");
    }
}

#[test]
fn who_knows_no_pings_is_pinged_all_the_same_and_kept() {
    let done = run(OPENED, &[]);
    assert_eq!(done.len(), 20);
    assert!(done.iter().all(|(_, verdict)| *verdict == Verdict::Ping), "{done:?}");
}
