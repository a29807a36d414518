//! Percentiles, and what the kernel says of a process.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

/// A distribution, in the unit of its samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of microseconds; in milliseconds.
    pub(crate) fn of_us(mut samples: Vec<u32>) -> Self {
        samples.sort_unstable();
        let at = |share: f64| {
            let rank = (samples.len() as f64 * share).ceil() as usize;
            samples.get(rank.saturating_sub(1)).map_or(0.0, |us| f64::from(*us) / 1000.0)
        };
        Self { count: samples.len(), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
    }
}

/// CPU seconds a process has used, user and system (proc(5), `stat`).
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    /// Units of proc(5) on every Linux that runs this.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    let ticks = cpu_ticks(&stat).context("/proc/PID/stat looks odd")?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    // The command's name, in parentheses, may hold anything; utime is the 12th field after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

/// Nanoseconds of CPU this thread has used.
pub(crate) fn thread_cpu_ns() -> Result<u64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(stat.split(' ').next().context("/proc/thread-self/schedstat looks odd")?.parse()?)
}

/// Resident memory of a process, KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Datagrams the kernel threw away because the sockets on these local ports were full, since those were bound.
pub(crate) fn socket_drops(wanted: impl Fn(u16) -> bool) -> u64 {
    let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    table.lines().filter_map(port_and_drops).filter(|(port, _)| wanted(*port)).map(|(_, drops)| drops).sum()
}

fn port_and_drops(line: &str) -> Option<(u16, u64)> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.split_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, fields.last()?.parse().ok()?))
}

/// The scheduler's group of a session shares the machine with those of others; this weighs ours, for gateway, floor and
/// load alike, until it is dropped. Without the right to it nothing changes.
pub(crate) struct Priority {
    before: Option<String>,
}

const AUTOGROUP: &str = "/proc/self/autogroup";

impl Priority {
    /// `nice` as of nice(1): lower is more.
    pub(crate) fn raise(nice: i32) -> Self {
        let before = fs::read_to_string(AUTOGROUP).ok();
        let nice_before = before.as_deref().and_then(|line| line.trim().rsplit(' ').next().map(str::to_owned));
        let raised = fs::write(AUTOGROUP, nice.to_string()).is_ok();
        Self { before: nice_before.filter(|_| raised) }
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.before.is_some()
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        if let Some(nice) = &self.before {
            let _ = fs::write(AUTOGROUP, nice);
        }
    }
}

/// A command for a program that is measured: it runs before the load, which elsewhere would have a machine of its own. Where
/// that is not permitted it runs beside it.
pub(crate) fn ahead_of_the_load(program: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "-10", "--"]).arg(program);
    command
}

/// The first port the kernel hands out by itself: fixed ports belong below.
pub(crate) fn first_ephemeral_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let spread = Spread::of_us((1..=100).rev().map(|ms| ms * 1000).collect());
        assert_eq!((spread.p50, spread.p95, spread.p99, spread.max), (50.0, 95.0, 99.0, 100.0));
        assert_eq!(Spread::of_us(Vec::new()), Spread::default());
    }

    #[test]
    fn a_command_with_odd_name_is_read() {
        let stat = "12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(42));
    }

    #[test]
    fn drops_stand_in_the_last_column() {
        let line =
            " 971: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 17 2 0 5";
        assert_eq!(port_and_drops(line), Some((8080, 5)));
        assert_eq!(port_and_drops("  sl  local_address rem_address"), None);
    }
}
