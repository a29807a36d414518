//! Load for Trunkline: a gateway under many calls, measured beside the least that the same packets can cost.

mod agent;
mod allocations;
mod answerer;
mod bare;
mod bench;
mod browser;
mod browsers;
mod client;
mod codec_floor;
mod control;
mod fanout;
mod flood;
mod floor;
mod gateway;
mod growth;
mod lines;
mod packets;
mod plane;
mod pump;
mod reactor;
mod report;
mod row;
mod scenario;
mod signalling;
mod sound;
mod speech;
mod starts;
mod stats;
mod stream;
mod sys;
mod take;
mod trunk;
mod web;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

#[derive(Parser)]
#[command(about = "Load for Trunkline")]
struct Cli {
    #[command(subcommand)]
    command: Do,
}

#[derive(Subcommand)]
enum Do {
    /// Puts calls on a gateway and measures it, and the floor beside it.
    Bench(bench::BenchArgs),
    /// Plays a scenario against a gateway: its exit code says whether every threshold holds.
    Run(scenario::RunArgs),
    /// Puts sessions, call starts and listeners on a gateway's HTTP side, and on a bare server beside it.
    Plane(plane::PlaneArgs),
    /// Makes calls by the SIP side alone, beside as many bare datagrams.
    Signalling(signalling::SignallingArgs),
    /// One side of `signalling`, which starts it by itself.
    #[command(hide = true)]
    Caller(signalling::CallerArgs),
    /// Drives calls' media in process: time and allocations per packet.
    Packets {
        /// Packet times of 20 ms to measure.
        #[arg(long, default_value_t = 5_000)]
        count: usize,
        /// Calls that take turns; what one alone keeps in the caches many do not.
        #[arg(long, default_value_t = 1)]
        calls: usize,
        /// Rows to run; all without.
        #[arg(long = "row")]
        rows: Vec<row::Row>,
    },
    /// Sends speech through calls in process, over networks that lose and delay, and says how it sounds.
    Sound(sound::SoundArgs),
    /// The bare server; `plane` starts it by itself.
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        session_bytes: usize,
        #[arg(long)]
        answer_bytes: usize,
    },
    /// The floor's relay; a bench starts it by itself.
    #[command(hide = true)]
    Floor {
        #[arg(long)]
        calls: usize,
        #[arg(long)]
        threads: usize,
    },
}

fn main() -> Result<ExitCode> {
    match Cli::parse().command {
        Do::Bench(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let clean = runtime.block_on(bench::run(&args))?;
            Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Do::Run(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let kept = runtime.block_on(scenario::run(&args))?;
            Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Do::Plane(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let clean = runtime.block_on(plane::run(&args))?;
            Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Do::Signalling(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let clean = runtime.block_on(signalling::run(&args))?;
            Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Do::Caller(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(signalling::caller(&args)).map(|()| ExitCode::SUCCESS)
        }
        Do::Bare { session_bytes, answer_bytes } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(bare::serve(session_bytes, answer_bytes)).map(|()| ExitCode::SUCCESS)
        }
        Do::Sound(args) => Ok(if sound::run(&args)? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Do::Packets { count, calls, rows } => {
            let rows = if rows.is_empty() { &row::Row::ALL[..] } else { &rows };
            packets::run(count, calls, rows).map(|()| ExitCode::SUCCESS)
        }
        Do::Floor { calls, threads } => floor::run(calls, threads).map(|()| ExitCode::SUCCESS),
    }
}
