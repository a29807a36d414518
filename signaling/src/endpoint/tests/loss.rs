//! Whole calls over a link that loses nearly a third of everything: nothing may be left, and both ends agree.

use super::*;

/// What one seed does to a call.
struct Plan {
    answers_after: Option<Duration>,
    offers: [Option<Duration>; 2],
    hangups: [Option<Duration>; 2],
}

impl Plan {
    fn draw(rng: &mut StdRng) -> Self {
        let mut maybe = |permille: u32, most_ms: u64| {
            let (dice, time) = (rng.next_u32() % 1000, rng.next_u64() % most_ms);
            (dice < permille).then_some(ms(time))
        };
        Self {
            answers_after: maybe(850, 3_000),
            offers: [maybe(400, 20_000), maybe(400, 20_000)],
            hangups: [maybe(600, 25_000), maybe(600, 25_000)],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Answer,
    Offer(usize),
    Hangup(usize),
}

fn live(seed: u64) -> World {
    let mut world = World::new(seed);
    world.loss_permille = 300;
    world.latency_ms = 5..400;
    let plan = Plan::draw(&mut world.rng);
    let mut steps: Vec<(Duration, Step)> = Vec::new();
    steps.extend(plan.answers_after.map(|at| (at, Step::Answer)));
    for side in [A, B] {
        steps.extend(plan.offers[side].map(|at| (at, Step::Offer(side))));
        steps.extend(plan.hangups[side].map(|at| (at, Step::Hangup(side))));
    }
    steps.push((secs(30), Step::Hangup(A)));
    steps.push((secs(30), Step::Hangup(B)));
    steps.sort();
    let caller = world.call();
    let mut passed = Duration::ZERO;
    let answer_offers = |end: &mut Endpoint, now: Instant, _: usize, event: &Event| {
        if let Event::Offer { leg, .. } = event {
            // It may be withdrawn already.
            let _ = end.answer_offer(now, *leg, Ok(answer()));
        }
    };
    for (at, step) in steps {
        world.run(at - passed, answer_offers);
        passed = at;
        let callee = world.events[B].first().map(leg_of);
        let leg_of_side = |side: usize| if side == A { Some(caller) } else { callee };
        let now = world.now;
        match step {
            Step::Answer => {
                if let Some(leg) = callee {
                    let _ = world.ends[B].ring(now, leg, 180, None);
                    let _ = world.ends[B].accept(now, leg, answer());
                }
            }
            Step::Offer(side) => {
                if let Some(leg) = leg_of_side(side) {
                    let _ = world.ends[side].reinvite(now, leg, answer());
                }
            }
            Step::Hangup(side) => {
                if let Some(leg) = leg_of_side(side) {
                    let _ = world.ends[side].hangup(now, leg, None);
                }
            }
        }
    }
    // What waits for its ACK may have to wait, then its BYE: twice 64*T1, and the ringing of a caller that is gone.
    world.run(secs(300), answer_offers);
    world
}

#[test]
fn a_thousand_bad_calls_leave_nothing() {
    let mut answered = 0;
    for seed in 0..1000 {
        let world = live(seed);
        for (side, end) in world.ends.iter().enumerate() {
            let stats = end.stats();
            assert_eq!((stats.legs, stats.transactions), (0, 0), "seed {seed}, side {side}");
            let ends = world.events[side].iter().filter(|event| is_end(event)).count();
            assert!(ends <= 1, "seed {seed}, side {side}: ended twice: {:?}", world.names(side));
            if let Some(at) = world.events[side].iter().position(is_end) {
                assert_eq!(at + 1, world.events[side].len(), "seed {seed}: events after the end");
            }
        }
        // Nobody believes in a call that the other never had.
        let confirmed = world.events[B].iter().any(|event| matches!(event, Event::Confirmed { .. }));
        let heard = world.log.iter().any(|(_, side, bytes)| *side == A && bytes.starts_with(b"ACK"));
        assert!(!confirmed || heard, "seed {seed}");
        answered += usize::from(world.events[A].iter().any(|event| matches!(event, Event::Answered { .. })));
    }
    assert!((300..900).contains(&answered), "the plans are lopsided: {answered} answered");
}

#[test]
fn an_established_call_always_ends_on_both_sides_within_the_limit() {
    for seed in 0..300 {
        let (mut world, caller, callee) = talking(seed);
        world.loss_permille = 300;
        world.latency_ms = 5..400;
        let (side, leg) = if seed % 2 == 0 { (A, caller) } else { (B, callee) };
        world.ends[side].hangup(world.now, leg, None).unwrap();
        // 64*T1 for the BYE, as much for its answer's memory, and T4.
        world.rest(secs(32 + 32 + 6));
        assert_eq!(world.names(1 - side), ["ended"], "seed {seed}");
        world.assert_empty();
    }
}

#[test]
fn copies_of_everything_change_nothing() {
    let (mut world, caller, _) = talking(7);
    // The whole conversation so far comes once more, out of order.
    for (_, side, bytes) in world.log.clone().into_iter().rev() {
        world.ends[1 - side].handle_datagram(world.now, address(side), bytes);
    }
    world.run(secs(5), obliging);
    assert!(world.names(A).is_empty() && world.names(B).is_empty());
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.rest(secs(80));
    assert_eq!(world.names(B), ["ended"]);
    let log = world.log.clone();
    for (_, side, bytes) in log.into_iter().rev().filter(|(_, side, bytes)| *side == A && !bytes.starts_with(b"INVITE"))
    {
        world.ends[1 - side].handle_datagram(world.now, address(side), bytes);
    }
    world.rest(secs(80));
    assert_eq!(world.names(B), ["ended"]);
    world.assert_empty();
}
