//! The control plane under load, beside a bare server of the same HTTP library on the same core: sessions, call starts,
//! events to many listeners.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::Serialize;

use crate::bare::Bare;
use crate::fanout::{self, FanoutReport};
use crate::gateway::{Gateway, KEY};
use crate::pump::{self, Connection, Stretch};
use crate::row::Row;
use crate::starts::{self, StartsReport};
use crate::stats::{Priority, Spread};
use crate::{answerer, sys};

/// What is asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaneArgs {
    /// The gateway's binary (a release build).
    #[arg(long)]
    pub(crate) gateway: PathBuf,
    /// Length of each stretch.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Call starts offered a second.
    #[arg(long, default_value_t = 200.0)]
    pub(crate) starts: f64,
    /// Listeners of all events.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) listeners: usize,
    /// Only this row.
    #[arg(long)]
    pub(crate) only: Option<Only>,
    /// Writes all numbers to this file, too.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Scheduler weight of the whole run, as nice(1).
    #[arg(long, default_value_t = -10, allow_hyphen_values = true)]
    pub(crate) nice: i32,
}

/// A row of the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Only {
    /// `POST /v1/sessions`.
    Sessions,
    /// `POST /v1/calls` up to the agent's answer.
    Starts,
    /// `GET /v1/events` with many listeners.
    Fanout,
}

/// Connections of the load.
pub(crate) const CONNECTIONS: usize = 32;
/// The server under test has this core, the load another one.
const SERVER: usize = 0;
const LOAD: usize = 1;

#[derive(Debug, Serialize)]
struct PlaneReport {
    sessions: Option<SessionsReport>,
    starts: Option<StartsReport>,
    fanout: Option<FanoutReport>,
}

/// Session creation.
#[derive(Debug, Serialize)]
struct SessionsReport {
    request_bytes: usize,
    answer_bytes: usize,
    failed: u64,
    per_second: f64,
    bare_per_second: f64,
    half_rate: f64,
    at_half_ms: Spread,
    bare_at_half_ms: Spread,
}

/// Starts a server on its core; whatever else this process starts has the other.
pub(crate) fn on_its_core<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    sys::pin(SERVER)?;
    let started = start();
    sys::pin(LOAD)?;
    started
}

/// A session's request, as a widget sends it.
pub(crate) fn session_request(public: &str) -> Bytes {
    let body = r#"{"app":"load","widget_key":"wk_load","profile":"main","lang":"en","context":{"plan":"gold"}}"#;
    pump::request("POST", "/v1/sessions", &[("Origin", public), ("Content-Type", "application/json")], body)
}

/// Runs the rows; `true` if nothing failed.
pub(crate) async fn run(args: &PlaneArgs) -> Result<bool> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores > LOAD, "a core for the server and one for the load are needed");
    let _priority = Priority::raise(args.nice);
    let wanted = |row: Only| args.only.is_none_or(|only| only == row);
    sys::pin(LOAD)?;
    let (agent, counts) = answerer::start()?;
    let mut report = PlaneReport { sessions: None, starts: None, fanout: None };
    if wanted(Only::Sessions) {
        let gateway = on_its_core_async(args, agent).await?;
        let row = sessions(args, &gateway).await;
        report.sessions = Some(row.with_context(|| format!("sessions\n{}", gateway.log()))?);
        gateway.stop().await?;
    }
    if wanted(Only::Starts) {
        let gateway = on_its_core_async(args, agent).await?;
        let row = starts::run(args, &gateway, &counts).await;
        report.starts = Some(row.with_context(|| format!("starts\n{}", gateway.log()))?);
        gateway.stop().await?;
    }
    if wanted(Only::Fanout) {
        let gateway = on_its_core_async(args, agent).await?;
        let row = fanout::run(args, &gateway).await;
        report.fanout = Some(row.with_context(|| format!("fanout\n{}", gateway.log()))?);
        gateway.stop().await?;
    }
    let text = serde_json::to_string_pretty(&report)?;
    writeln!(std::io::stdout(), "{text}")?;
    if let Some(path) = &args.json {
        std::fs::write(path, &text)?;
    }
    Ok(report.is_clean())
}

async fn on_its_core_async(args: &PlaneArgs, agent: std::net::SocketAddr) -> Result<Gateway> {
    sys::pin(SERVER)?;
    let gateway = Gateway::start(&args.gateway, Row::Relay, agent, 1).await;
    sys::pin(LOAD)?;
    gateway
}

impl PlaneReport {
    fn is_clean(&self) -> bool {
        self.sessions.as_ref().is_none_or(|row| row.failed == 0)
            && self.starts.as_ref().is_none_or(StartsReport::is_clean)
            && self.fanout.as_ref().is_none_or(FanoutReport::is_clean)
    }
}

async fn sessions(args: &PlaneArgs, gateway: &Gateway) -> Result<SessionsReport> {
    let request = session_request(&format!("http://{}", gateway.public));
    let first = Connection::open(gateway.public).await?.exchange(&request).await?;
    ensure!(first.status == 201, "{} {}", first.status, String::from_utf8_lossy(&first.body));
    let bare = on_its_core(|| Bare::start(first.body.len(), 0))?;
    let length = Duration::from_secs(args.seconds);
    let press = async |to| pump::press(to, &request, 201, CONNECTIONS, length).await;
    let bare_press = press(bare.address).await?;
    let own_press = press(gateway.public).await?;
    let half_rate = own_press.per_second() / 2.0;
    let length = length.min(Duration::from_secs_f64(pump::MOST as f64 / half_rate.max(1.0)));
    let pace = async |to| pump::pace(to, &request, 201, CONNECTIONS, (half_rate, length)).await;
    let bare_pace: Stretch = pace(bare.address).await?;
    let own_pace = pace(gateway.public).await?;
    Ok(SessionsReport {
        request_bytes: request.len(),
        answer_bytes: first.body.len(),
        failed: own_press.failed + own_pace.failed,
        per_second: own_press.per_second(),
        bare_per_second: bare_press.per_second(),
        half_rate,
        at_half_ms: own_pace.spread_ms(),
        bare_at_half_ms: bare_pace.spread_ms(),
    })
}

/// What `bare` answers a call with, octets.
pub(crate) async fn answer_length(gateway: &Gateway) -> Result<usize> {
    let mut connection = Connection::open(gateway.public).await?;
    let token = starts::token(&mut connection, gateway.public).await?;
    let call = connection.exchange(&starts::call_request(gateway.public, &token)).await?;
    ensure!(call.status == 201, "{} {}", call.status, String::from_utf8_lossy(&call.body));
    Ok(call.body.len())
}

/// The `Authorization` of the control listener.
pub(crate) fn bearer() -> String {
    format!("Bearer {KEY}")
}
