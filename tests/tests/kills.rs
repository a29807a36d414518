//! A gateway's process is killed again and again, at random moments of its calls: being set up, ringing, just answered,
//! talking, hanging up. Each next one hangs up the telephones that the one before left off the hook, and closes its
//! calls. No event that a back end has heard of is lost or changed, and each call is told to its one end.
//!
//! `KILLS` says how often (50), `SEED` repeats a run.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Response;
use serde_json::Value;
use tokio::process::Child;
use trunkline_media::audio::Codec;
use trunkline_tests::process::Node;
use trunkline_tests::switchboard::Switchboard;
use trunkline_tests::web_client::Caller;

/// Calls of each process.
const CALLS: u32 = 6;
/// How long anything is waited for; a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls that a gateway has accepted, by party.
type Accepted = Arc<Mutex<BTreeMap<String, String>>>;

/// Events by id, as a back end has read them.
type Seen = Arc<Mutex<BTreeMap<String, Value>>>;

/// Reads events until the stream breaks, or nothing has come for a while.
async fn read(mut stream: Response, seen: Seen, quiet: Duration) {
    let mut text = String::new();
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(quiet, stream.chunk()).await {
        text.push_str(&String::from_utf8_lossy(&chunk));
        while let Some((frame, rest)) = text.split_once("\n\n") {
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                seen.lock().unwrap().insert(id.to_owned(), serde_json::from_str(data).unwrap());
            }
            text = rest.to_owned();
        }
    }
}

/// What a back end was told before the kill is what it is told again, and each call's events are whole.
async fn none_lost(node: &Node, before: &Seen, accepted: &BTreeMap<String, String>) -> Result<usize> {
    let before = before.lock().unwrap().clone();
    let calls: BTreeSet<&str> = accepted.values().map(String::as_str).collect();
    let end = Instant::now() + PATIENCE;
    loop {
        let all = Seen::default();
        read(node.events(Some("evt_none")).await?, Arc::clone(&all), Duration::from_millis(300)).await;
        let all = all.lock().unwrap().clone();
        let changed: Vec<_> = before.iter().filter(|(id, event)| all.get(*id) != Some(*event)).collect();
        ensure!(changed.is_empty(), "not told again: {changed:#?}");
        let mut of_call: BTreeMap<&str, BTreeMap<u64, &str>> = BTreeMap::new();
        for event in all.values() {
            if let (Some(call), Some(seq)) = (event["data"]["call"].as_str(), event["seq"].as_u64()) {
                let twice = of_call.entry(call).or_default().insert(seq, event["name"].as_str().unwrap_or_default());
                ensure!(twice.is_none(), "{call} has two events {seq}: {event:#}");
            }
        }
        let whole = |events: &BTreeMap<u64, &str>| {
            let ends = events.values().filter(|name| ["call_ended", "call_error"].contains(name)).count();
            let last = events.last_key_value().map(|(seq, _)| *seq);
            ends == 1 && last == u64::try_from(events.len()).ok()
        };
        let open: Vec<_> = of_call.iter().filter(|(_, events)| !whole(events)).collect();
        // A call that has left no event at all is looked for among the records.
        if open.is_empty() {
            return Ok(of_call.keys().filter(|call| calls.contains(*call)).count());
        }
        ensure!(Instant::now() < end, "not whole: {open:#?}");
    }
}

/// A visitor: comes after a while, calls, may hang up after another while. Fails when the gateway dies on the way.
async fn visit(node: Arc<Node>, accepted: Accepted, party: String, offer: String, plan: Plan) -> Result<()> {
    tokio::time::sleep(plan.comes).await;
    let token = node.session(&party).await?;
    let call = node.offer(&token, &offer).await?;
    accepted.lock().unwrap().insert(party, call.clone());
    if let Some(stays) = plan.stays {
        tokio::time::sleep(stays).await;
        node.hang_up(&token, &call).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Plan {
    comes: Duration,
    stays: Option<Duration>,
}

impl Plan {
    fn by_chance(rng: &mut StdRng) -> Self {
        let upto = |rng: &mut StdRng, ms: u32| Duration::from_millis(u64::from(rng.next_u32() % ms));
        let comes = upto(rng, 300);
        let hangs_up = rng.next_u32().is_multiple_of(3);
        Self { comes, stays: hangs_up.then(|| upto(rng, 900)) }
    }
}

/// What the kills came to.
#[derive(Default)]
struct Findings {
    ready: Vec<Duration>,
    /// From the start of the next process to the end of a leg.
    ended: Vec<Duration>,
    legs: BTreeMap<&'static str, u32>,
    /// Events seen before a kill, and calls whose events are whole after it.
    events: usize,
    calls: usize,
}

impl Findings {
    fn print(&self, seed: u64) {
        let worst = |times: &[Duration]| times.iter().max().copied().unwrap_or_default().as_millis();
        let mean = |times: &[Duration]| times.iter().sum::<Duration>().as_millis() / times.len().max(1) as u128;
        println!(
            "seed {seed}: {} kills, legs {:?}, {} events seen before, {} calls told whole; ready after {} ms (mean {}), legs ended within {} ms (mean {})",
            self.ready.len(),
            self.legs,
            self.events,
            self.calls,
            worst(&self.ready),
            mean(&self.ready),
            worst(&self.ended),
            mean(&self.ended),
        );
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_leaves_a_telephone_off_the_hook_or_a_call_open() -> Result<()> {
    let seed = number("SEED").unwrap_or_else(rand::random);
    let kills = number("KILLS").unwrap_or(50);
    let board = Switchboard::start(seed)?;
    let node = Arc::new(Node::new(&board.address.to_string())?);
    let mut findings = Findings::default();
    let mut process = node.start().await?;
    for round in 0..kills {
        let next = kill_once(&node, process, &board, seed, round, &mut findings).await;
        process = next.with_context(|| format!("SEED={seed}, kill {round}\n{}", node.log()))?;
    }
    process.kill().await?;
    findings.print(seed);
    Ok(())
}

/// Calls of a process, its sudden end, and what the next one makes of it.
async fn kill_once(
    node: &Arc<Node>,
    mut process: Child,
    board: &Switchboard,
    seed: u64,
    round: u64,
    findings: &mut Findings,
) -> Result<Child> {
    let mut rng = StdRng::seed_from_u64(seed.wrapping_add(round));
    let accepted = Accepted::default();
    let seen = Seen::default();
    let reader = tokio::spawn(read(node.events(None).await?, Arc::clone(&seen), PATIENCE));
    let mut visits = Vec::new();
    for n in 0..CALLS {
        // Made before, for it takes time of its own.
        let offer = Caller::new(Codec::Pcmu).await?.offer;
        let (party, plan) = (format!("{round}-{n}"), Plan::by_chance(&mut rng));
        visits.push(tokio::spawn(visit(Arc::clone(node), Arc::clone(&accepted), party, offer, plan)));
    }
    tokio::time::sleep(Duration::from_millis(u64::from(50 + rng.next_u32() % 1_200))).await;
    process.kill().await?;
    for visit in visits {
        visit.abort();
        let _ = visit.await;
    }
    let _ = reader.await;
    findings.events += seen.lock().unwrap().len();
    note_legs(board, round, findings);

    let start = Instant::now();
    let next = node.start().await?;
    findings.ready.push(Instant::now() - start);
    all_hung_up(board, round, start, findings).await?;
    let accepted = accepted.lock().unwrap().clone();
    all_closed(node, board, round, &accepted).await?;
    findings.calls += none_lost(node, &seen, &accepted).await?;
    Ok(next)
}

/// How the calls stood when the process was killed.
fn note_legs(board: &Switchboard, round: u64, findings: &mut Findings) {
    for call in of_round(board, round) {
        let how = match (&call.ended, call.answered) {
            (Some(_), _) => "ended",
            (None, true) => "answered",
            (None, false) => "ringing",
        };
        *findings.legs.entry(how).or_default() += 1;
    }
}

fn of_round(board: &Switchboard, round: u64) -> Vec<trunkline_tests::switchboard::Taken> {
    let ours = format!("{round}-");
    board.calls().into_iter().filter(|call| call.party.starts_with(&ours)).collect()
}

async fn all_hung_up(board: &Switchboard, round: u64, start: Instant, findings: &mut Findings) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !board.off_the_hook().is_empty() {
        ensure!(Instant::now() < end, "off the hook: {:?}", board.off_the_hook());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for call in of_round(board, round) {
        let Some((at, reason)) = call.ended else { bail!("{call:?}") };
        if at > start {
            findings.ended.push(at - start);
            ensure!(reason.starts_with("SIP;cause=503") && reason.contains("node_crash"), "{reason}");
        }
    }
    Ok(())
}

/// Every call the contact centre has heard of has a record, and every record says how the call ended.
async fn all_closed(node: &Node, board: &Switchboard, round: u64, accepted: &BTreeMap<String, String>) -> Result<()> {
    let heard: BTreeSet<String> = of_round(board, round).into_iter().map(|call| call.party).collect();
    for (party, call) in accepted {
        let response = node.ask(&format!("/v1/calls/{call}")).await?;
        let (status, record): (u16, Value) = (response.status().as_u16(), response.json().await?);
        // One that was killed within moments of its birth may have left nothing, here and there.
        if status == 404 && !heard.contains(party) {
            continue;
        }
        ensure!(status == 200 && record["state"] == "ended", "{party}: {status} {record:#}");
        let reason = record["outcome"]["reason"].as_str().unwrap_or_default();
        let expected = ["node_crash", "user_hangup"];
        ensure!(expected.contains(&reason), "{party}: {reason}");
    }
    let page = node.get("/v1/calls?limit=200").await?;
    let records = page["calls"].as_array().context("no calls")?;
    ensure!(records.iter().all(|record| record["state"] == "ended"), "{page:#}");
    let party = |record: &Value| record["context"]["party"].as_str().map(str::to_owned);
    let known: BTreeSet<String> = records.iter().filter_map(party).collect();
    let unknown: Vec<_> = heard.difference(&known).collect();
    ensure!(unknown.is_empty(), "no record of {unknown:?}: {page:#}");
    Ok(())
}
