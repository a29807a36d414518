//! The command line of Trunkline.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;
use trunkline::{daemon, demo};
use trunkline_config::{Loaded, Problems};

/// A media gateway between browsers (WebRTC) and contact centres (SIP).
#[derive(Parser)]
#[command(name = "trunkline", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines are written.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto, global = true)]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the gateway until SIGTERM (which waits for live calls) or SIGINT (which does not). SIGHUP reads the
    /// configuration anew.
    Run {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Says what is wrong with a configuration, or what the gateway would do with it.
    Check {
        /// The configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Prints the JSON Schema of the configuration file.
    Schema,
    /// Runs everything on this machine, with an agent that answers.
    Demo {
        /// Port of the page; the control listener takes the next. 0: any free ports.
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// For machines: an object a line.
    Json,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "trunkline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Run { config } => {
            daemon::be_frugal();
            let source = source(config.clone());
            let loaded = source().map_err(|problems| wrong(config, &problems))?;
            log(cli.log_format);
            for note in &loaded.notes {
                tracing::warn!("{note}");
            }
            runtime()?.block_on(daemon::run(loaded.config, source)).context("the gateway stopped")
        }
        Command::Check { config } => {
            // As a run does: what is right here starts there.
            let loaded = source(config.clone())().map_err(|problems| wrong(config, &problems))?;
            let notes: String = loaded.notes.iter().map(|note| format!("note: {note}\n")).collect();
            print(&format!("{notes}{}", trunkline_config::describe(&loaded.config)))
        }
        Command::Schema => print(&format!("{:#}\n", trunkline_config::schema())),
        Command::Demo { port } => {
            daemon::be_frugal();
            log(cli.log_format);
            let say = |text: &str| drop(print(&format!("\n{text}\n")));
            runtime()?.block_on(demo::run(demo::Options { port: *port }, say))
        }
    }
}

fn wrong(config: &Path, problems: &Problems) -> anyhow::Error {
    anyhow::anyhow!("{}:\n{problems}", config.display())
}

/// Reads the same file and the environment each time it is asked.
fn source(path: PathBuf) -> trunkline::reload::Source {
    Arc::new(move || load(&path).and_then(Loaded::for_run))
}

fn load(path: &Path) -> Result<Loaded, Problems> {
    // A variable whose name or value is no UTF-8 cannot be one of ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    trunkline_config::load(path, environment)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime could not be started")
}

/// Logs go to standard error; `RUST_LOG` says which, else INFO and above.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("standard output")
}
