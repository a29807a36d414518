//! A gateway's process is killed again and again, at random moments of its calls: being set up, ringing, just answered,
//! talking, hanging up. Each next one hangs up the telephones that the one before left off the hook, and closes its calls.
//!
//! `KILLS` says how often (50), `SEED` repeats a run.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
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
}

impl Findings {
    fn print(&self, seed: u64) {
        let worst = |times: &[Duration]| times.iter().max().copied().unwrap_or_default().as_millis();
        let mean = |times: &[Duration]| times.iter().sum::<Duration>().as_millis() / times.len().max(1) as u128;
        println!(
            "seed {seed}: {} kills, legs {:?}; ready after {} ms (mean {}), legs ended within {} ms (mean {})",
            self.ready.len(),
            self.legs,
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
    note_legs(board, round, findings);

    let start = Instant::now();
    let next = node.start().await?;
    findings.ready.push(Instant::now() - start);
    all_hung_up(board, round, start, findings).await?;
    let accepted = accepted.lock().unwrap().clone();
    all_closed(node, board, round, &accepted).await?;
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
