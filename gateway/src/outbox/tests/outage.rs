//! An hour in which the receiver is away, in virtual time: through the real core and a real database.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::future::join_all;
use jiff::SignedDuration;

use super::counters::Counters;
use super::lane::{Plan, Verdict, WINDOW};
use super::outlet::Outlet;
use super::send::Outcome;
use super::*;
use crate::clock::Now;
use crate::store::IntegrationState;

const HOUR: u64 = 3_600;
const EVENTS_A_SECOND: u64 = 20;
/// Calls at once, and events of each.
const CALLS: u64 = 40;
const EVENTS_A_CALL: u64 = 10;
/// A receiver somewhere on the internet.
const LATENCY: Duration = Duration::from_millis(50);
/// What may be held in memory: the window's bodies, and the page that filled it.
const BYTES_MAX: usize = 3 << 20;

struct World {
    start: Now,
    time: Duration,
    store: Store,
    outlet: Outlet,
    /// Attempts under way, by when they are over.
    under_way: BTreeMap<(Duration, i64), Arc<Envelope>>,
    is_up: bool,
    /// What the receiver took: each call's events in order.
    taken: HashMap<String, Vec<u64>>,
    ids: HashSet<String>,
    attempts: u64,
    most_held: (usize, usize),
}

impl World {
    fn new(store: Store) -> Self {
        let waits = [1, 5, 30, 120, 600].map(Duration::from_secs).to_vec();
        let state = IntegrationState {
            id: "crm".into(),
            paused: false,
            consecutive_failures: 0,
            last_error: None,
            paused_at: None,
        };
        let plan = Plan { waits, in_flight_max: 16 };
        let outlet = Outlet::new(store.clone(), plan, state, 11, Arc::<Counters>::default());
        Self {
            start: Now { instant: Instant::now(), wall: Timestamp::from_second(1_800_000_000).unwrap() },
            time: Duration::ZERO,
            store,
            outlet,
            under_way: BTreeMap::new(),
            is_up: false,
            taken: HashMap::new(),
            ids: HashSet::new(),
            attempts: 0,
            most_held: (0, 0),
        }
    }

    fn now(&self) -> Now {
        let wall = self.start.wall + SignedDuration::try_from(self.time).unwrap();
        Now { instant: self.start.instant + self.time, wall }
    }

    /// The events of a second, each call's turn by turn.
    fn happen(&self, second: u64) {
        for n in second * EVENTS_A_SECOND..(second + 1) * EVENTS_A_SECOND {
            let (round, call) = (n / (CALLS * EVENTS_A_CALL), n % CALLS);
            let seq = n % (CALLS * EVENTS_A_CALL) / CALLS + 1;
            file(&self.store, event(&format!("call_{round}_{call}"), seq, 400), &["crm"]);
        }
    }

    /// All that happens up to `end`.
    async fn run_to(&mut self, end: Duration) {
        loop {
            self.outlet.fill(self.now()).await.unwrap();
            let (held, bytes) = self.outlet.held();
            self.most_held = (self.most_held.0.max(held), self.most_held.1.max(bytes));
            while let Some((id, event)) = self.outlet.next(self.now().instant) {
                self.under_way.insert((self.time + LATENCY, id), event);
            }
            let timeout = self.outlet.timeout().map(|at| at.saturating_duration_since(self.start.instant));
            let next = self.under_way.keys().next().map(|(at, _)| *at).into_iter().chain(timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.time = next.max(self.time);
            self.answer().await;
        }
        self.time = end;
    }

    /// Everything that is over by now, written in one go.
    async fn answer(&mut self) {
        let later = self.under_way.split_off(&(self.time + Duration::from_nanos(1), i64::MIN));
        let over = std::mem::replace(&mut self.under_way, later);
        let mut attempts = Vec::new();
        for ((_, id), event) in over {
            self.attempts += 1;
            let outcome = self.outcome();
            let (attempt, _) = self.outlet.answered(self.now(), id, &outcome).unwrap();
            if self.is_up {
                assert!(self.ids.insert(event.id.to_string()), "delivered twice");
                let call = event.call.as_ref().unwrap().to_string();
                self.taken.entry(call).or_default().push(event.seq);
            }
            attempts.push((id, attempt));
        }
        let written = attempts.iter().map(|(_, attempt)| self.store.attempted(attempt.clone()));
        assert!(join_all(written).await.into_iter().all(|written| written.unwrap()));
        for (id, _) in attempts {
            self.outlet.recorded(id);
        }
    }

    fn outcome(&self) -> Outcome {
        if self.is_up {
            return Outcome { verdict: Verdict::Accepted, status: Some(200), error: None, word: "2xx" };
        }
        let verdict = Verdict::Failed { retry_after: None };
        Outcome { verdict, status: None, error: Some("no connection".into()), word: "connect" }
    }

    fn is_paused(&self) -> bool {
        self.outlet.state().paused
    }

    fn waits(&self) -> u64 {
        self.store.pending_counts().get("crm").copied().unwrap_or(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_outage_at_20_events_a_second_loses_nothing_and_is_drained_in_minutes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut world = World::new(store.clone());
    let mut paused_at = None;
    for second in 0..HOUR {
        world.happen(second);
        if !world.is_paused() || second % 60 == 0 || second == HOUR - 1 {
            assert!(store.flush(SOON));
        }
        world.outlet.nudge();
        world.run_to(Duration::from_secs(second + 1)).await;
        if world.is_paused() && paused_at.is_none() {
            paused_at = Some((second, world.attempts));
        }
    }
    let total = HOUR * EVENTS_A_SECOND;
    let (second, attempts) = paused_at.expect("it was paused");
    assert!((60..1_200).contains(&second), "after {second} s");
    assert!(world.attempts <= attempts + 16, "only what was under way was sent after that");
    assert!(store.integrations().await.unwrap()[0].paused, "a restart would know");
    assert!(world.waits() >= total - 20, "{}", world.waits());

    // Somebody mends the receiver, and says so. Calls go on meanwhile.
    world.is_up = true;
    world.outlet.reactivate(world.now().wall).await.unwrap();
    let mut last = HOUR;
    while world.waits() > 0 {
        if last < HOUR + 60 {
            world.happen(last);
            assert!(store.flush(SOON));
            world.outlet.nudge();
        }
        last += 1;
        assert!(last < HOUR + 300, "{} wait after five minutes", world.waits());
        world.run_to(Duration::from_secs(last)).await;
    }
    let total = total + EVENTS_A_SECOND * (last - HOUR).min(60);
    assert_eq!(u64::try_from(world.ids.len()).unwrap(), total, "lost");
    for (call, seqs) in &world.taken {
        let in_order: Vec<u64> = (1..=u64::try_from(seqs.len()).unwrap()).collect();
        assert_eq!(*seqs, in_order, "{call}");
    }
    assert!(world.most_held.0 <= WINDOW && world.most_held.1 <= BYTES_MAX, "{:?}", world.most_held);
    assert_eq!((world.is_paused(), world.outlet.state().consecutive_failures), (false, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_again_while_its_outcome_is_being_written_goes_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(open(dir.path()));
    world.is_up = true;
    let told = EventId::from_client(&tell(&world.store, "call_1", 1, &["crm"])[0]);
    assert!(world.store.flush(SOON));
    world.outlet.fill(world.now()).await.unwrap();
    let (id, _) = world.outlet.next(world.now().instant).unwrap();
    let (attempt, _) = world.outlet.answered(world.now(), id, &world.outcome()).unwrap();
    world.store.attempted(attempt).await.unwrap();
    assert!(world.outlet.redeliver(&told, world.now().wall).await.unwrap());
    world.outlet.fill(world.now()).await.unwrap();
    assert!(world.outlet.next(world.now().instant).is_none());
    world.outlet.recorded(id);
    world.outlet.fill(world.now()).await.unwrap();
    assert_eq!(world.outlet.next(world.now().instant).map(|(id, _)| id), Some(id));
}
