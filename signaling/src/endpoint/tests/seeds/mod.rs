//! Every race and failure of a call, a thousand seeds of each: each application sees one end of each of its legs, and no
//! endpoint keeps a leg longer than it has to.

mod field;
mod people;
mod proxy;
mod streams;

use self::field::Field;
use self::people::{Act, Faults, Manners, Node};
use super::*;

/// What a leg may outlast its end by: 64*T1, and 5 s.
const PATIENCE: Duration = Duration::from_secs(32 + 5);

/// Repetitions come after it, on both sides of an end.
const SHORT_DARKNESS_MS: u64 = 20_000;

/// Which race a seed makes likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Race {
    /// Nothing in particular.
    Any,
    /// The caller gives up while somebody answers.
    CancelAndAnswer,
    /// One hangs up while the other changes the call.
    ByeAndOffer,
    /// Both change the call.
    Glare,
    /// Both hang up.
    ByeAndBye,
    /// No ACK, or none for a long time.
    LostAck,
    /// The answer comes after a long time.
    LateAnswer,
    /// Several phones answer.
    Forks,
    /// The phone's process is another one all of a sudden.
    Restart,
    /// Nothing gets through for a while.
    Darkness,
    /// The connection dies, is noticed or not, and comes up again.
    DeadConnection,
    /// No connection proves to be to whom it should be.
    BadCertificate,
}

const RACES: [Race; 12] = [
    Race::Any,
    Race::CancelAndAnswer,
    Race::ByeAndOffer,
    Race::Glare,
    Race::ByeAndBye,
    Race::LostAck,
    Race::LateAnswer,
    Race::Forks,
    Race::Restart,
    Race::Darkness,
    Race::DeadConnection,
    Race::BadCertificate,
];

struct Dice(StdRng);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn ms(&mut self, range: std::ops::Range<u64>) -> Duration {
        ms(range.start + self.below(range.end - range.start))
    }

    /// Near to a time, before or after it.
    fn around(&mut self, time: Duration) -> Duration {
        (time + self.ms(0..400)).saturating_sub(ms(200))
    }
}

/// The network of a seed.
fn faults(dice: &mut Dice, race: Race, answer: Duration) -> Faults {
    let bad = dice.one_in(2);
    let is_dark = race == Race::Darkness || race == Race::DeadConnection;
    let swallowed = if race == Race::LostAck {
        Some(("ACK", "ACK", [1, 3, 1000][dice.below(3) as usize]))
    } else if race == Race::LateAnswer {
        Some(("SIP/2.0 200", "INVITE", 1 + dice.below(6) as u32))
    } else {
        let some =
            [("BYE", "BYE", 4), ("CANCEL", "CANCEL", 4), ("SIP/2.0 487", "INVITE", 3), ("SIP/2.0 1", "INVITE", 3)];
        some.get(dice.below(8) as usize).copied()
    };
    let dark_from = dice.around(answer);
    Faults {
        lost: if bad { dice.below(300) as u32 } else { 0 },
        doubled: if bad { dice.below(200) as u32 } else { 0 },
        latency_ms: if bad { 5..400 } else { 20..60 },
        // A part of them longer than anything is repeated.
        dark: is_dark.then(|| {
            let longest = if dice.one_in(4) { 60_000 } else { SHORT_DARKNESS_MS };
            (dark_from, dark_from + dice.ms(500..longest))
        }),
        swallowed,
        over: match race {
            Race::DeadConnection => Transport::Tcp,
            Race::BadCertificate => Transport::Tls("phone.example".into()),
            Race::Any
            | Race::CancelAndAnswer
            | Race::ByeAndOffer
            | Race::Glare
            | Race::ByeAndBye
            | Race::LostAck
            | Race::LateAnswer
            | Race::Forks
            | Race::Restart
            | Race::Darkness => Transport::Udp,
        },
    }
}

fn live(seed: u64) -> Field {
    let mut dice = Dice(StdRng::seed_from_u64(seed));
    let race = RACES[(seed % RACES.len() as u64) as usize];
    let answer = if race == Race::LateAnswer { dice.ms(3_000..15_000) } else { dice.ms(50..3_000) };
    let may_fork = race != Race::DeadConnection && race != Race::BadCertificate;
    let phones = if race == Race::Forks { 2 + dice.below(2) } else { 1 + u64::from(may_fork && dice.one_in(4)) };
    let manners: Vec<_> = (0..phones)
        .map(|_| Manners {
            rings_after: (!dice.one_in(5)).then(|| dice.ms(0..600)),
            answers: match dice.below(8) {
                0 if race == Race::Any => None,
                1 if race == Race::Any || race == Race::Forks => Some((dice.around(answer), 486)),
                _ => Some((dice.around(answer), 200)),
            },
        })
        .collect();
    let faults = faults(&mut dice, race, answer);
    // The rest of it happens near to one moment; that of an answer comes after a round trip or two.
    let moment = answer + if race == Race::CancelAndAnswer { ms(40) } else { dice.ms(0..8_000) };
    let mut acts = vec![(Duration::ZERO, 0, Act::Dial)];
    let mut near = |dice: &mut Dice, node: usize, act: Act| acts.push((dice.around(moment), node, act));
    match race {
        Race::CancelAndAnswer => near(&mut dice, 0, Act::HangUp),
        Race::ByeAndOffer => {
            let side = dice.below(2) as usize;
            near(&mut dice, side, Act::HangUp);
            near(&mut dice, 1 - side, Act::Offer);
        }
        Race::Glare => {
            near(&mut dice, 0, Act::Offer);
            near(&mut dice, 1, Act::Offer);
        }
        Race::ByeAndBye => {
            near(&mut dice, 0, Act::HangUp);
            near(&mut dice, 1, Act::HangUp);
        }
        Race::Restart => near(&mut dice, 1, Act::Restart),
        Race::DeadConnection => {
            // That it is dead is found when it could be alive again.
            let found = faults.dark.map_or(moment, |(_, to)| to) + dice.ms(0..100);
            acts.push((found, 0, Act::Break));
        }
        Race::Any | Race::LostAck | Race::LateAnswer | Race::Forks | Race::Darkness | Race::BadCertificate => {}
    }
    for node in 0..=phones as usize {
        for act in [Act::Offer, Act::HangUp] {
            if dice.one_in(3) {
                acts.push((dice.ms(0..20_000), node, act));
            }
        }
        // Nobody stays for ever.
        acts.push((secs(70), node, Act::HangUp));
    }
    let mut field = Field::new(dice.0, &manners, faults);
    for (after, node, act) in acts {
        field.at(after, node, act);
    }
    // The transaction of a re-INVITE whose answer was lost with the call waits longest: three minutes from its 1xx.
    field.run_until(secs(70) + secs(200));
    field
}

fn check(seed: u64) -> Field {
    let field = live(seed);
    let race = RACES[(seed % RACES.len() as u64) as usize];
    for (index, node) in field.nodes.iter().enumerate() {
        let what = format!("seed {seed} ({race:?}), node {index}");
        let stats = node.end.stats();
        assert_eq!((stats.legs, stats.transactions), (0, 0), "{what} keeps something\n{}", field.tell());
        for (leg, life) in &node.lives {
            assert_eq!(life.ends.len(), 1, "{what}, {leg:?}: {life:?}\n{}", field.tell());
        }
        let (done, clear) = (node.done.unwrap(), node.clear.unwrap());
        let outlasted = clear.saturating_duration_since(done);
        let waits = node.lives.values().any(|life| life.waits_for_ack);
        let patience = if waits { PATIENCE + TIMERS.patience() } else { PATIENCE };
        assert!(outlasted <= patience, "{what} keeps a leg for {outlasted:?}\n{}", field.tell());
    }
    // Nobody talks on to somebody who has gone, where what is repeated gets through.
    if let [caller, phone] = field.nodes.as_slice()
        && field.faults.dark.is_none_or(|(from, to)| to - from <= ms(SHORT_DARKNESS_MS) && field.faults.lost == 0)
        && race != Race::Restart
    {
        let over = |node: &Node| node.lives.values().filter_map(|life| life.over_at).max();
        if let (Some(a), Some(b)) = (over(caller), over(phone)) {
            let apart = a.max(b) - a.min(b);
            assert!(apart <= PATIENCE, "seed {seed} ({race:?}): {apart:?} apart\n{}", field.tell());
        }
    }
    field
}

/// `SEED=7` repeats one seed, `SEEDS=100000` searches through so many.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(count),
    }
}

#[test]
fn a_thousand_seeds_of_bad_certificates_end_once_and_nothing_is_said() {
    let races = RACES.len() as u64;
    let race = RACES.iter().position(|race| *race == Race::BadCertificate).unwrap() as u64;
    let mut said = BTreeSet::new();
    for seed in seeds(1_000) {
        let field = check(seed * races + race);
        for end in field.nodes[0].lives.values().map(|life| &life.ends[0]) {
            assert!(end.starts_with("failed Tls") || end.starts_with("failed Cancelled"), "seed {seed}: {end}");
            said.insert(end.clone());
        }
        // No phone has ever heard of it.
        assert!(field.nodes[1..].iter().all(|phone| phone.lives.is_empty()), "seed {seed}\n{}", field.tell());
    }
    assert!(std::env::var_os("SEED").is_some() || said.len() > 6, "{said:?}");
}

#[test]
fn each_race_ends_once_on_every_side_and_in_time() {
    let mut ends = BTreeMap::<String, u32>::new();
    for seed in seeds(1_000 * RACES.len() as u64) {
        for life in check(seed).nodes.iter().flat_map(|node| node.lives.values()) {
            *ends.entry(life.ends[0].clone()).or_default() += 1;
        }
    }
    // Those races did take place.
    let seen = |start: &str| ends.iter().filter(|(end, _)| end.starts_with(start)).map(|(_, count)| count).sum::<u32>();
    for end in ["ended", "cancelled", "lost", "failed Cancelled", "failed NoProvisional", "rejected 486", "hung up"] {
        assert!(std::env::var_os("SEED").is_some() || seen(end) > 0, "{end}: {ends:?}");
    }
}
