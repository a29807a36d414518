//! `run`: a scenario against a gateway, with progress, a report and an exit code.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

mod chance;
mod conduct;
pub(crate) mod file;
mod ground;
mod html;
pub(crate) mod plan;
mod plot;
mod tale;
pub(crate) mod weather;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use self::file::Scenario;
pub(crate) use self::tale::Tale;
use crate::stats::Priority;

/// What is asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunArgs {
    /// The scenario (TOML).
    scenario: PathBuf,
    /// Plays it against the gateway with this public listener, in place of the file's.
    #[arg(long)]
    url: Option<String>,
    /// Writes all numbers to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes a page with plots to this file.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Scheduler weight of the whole run, as nice(1).
    #[arg(long, default_value_t = -10, allow_hyphen_values = true)]
    nice: i32,
}

/// Runs a scenario; `true` if every threshold holds.
pub(crate) async fn run(args: &RunArgs) -> Result<bool> {
    let scenario = Scenario::read(&args.scenario, args.url.as_deref())?;
    let _priority = Priority::raise(args.nice);
    let tale = play(&scenario, true).await?;
    writeln!(std::io::stdout(), "{}", tale.summary())?;
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&tale)?)?;
    }
    if let Some(path) = &args.html {
        std::fs::write(path, html::page(&tale))?;
    }
    Ok(tale.verdicts.iter().all(|verdict| verdict.kept))
}

/// Plays a scenario to its end; `aloud`: with progress on standard error.
pub(crate) async fn play(scenario: &Scenario, aloud: bool) -> Result<Tale> {
    let plan = plan::plan(scenario)?;
    let ground = ground::Ground::prepare(scenario, &plan).await?;
    conduct::conduct(scenario, &plan, ground, aloud).await
}
