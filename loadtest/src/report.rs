//! What a run found: a table for people, JSON for machines, and whether anything was lost.

use std::io::{self, Write};

use serde::Serialize;

use crate::flood::Flooded;
use crate::growth::Growth;
use crate::row::Row;
use crate::scenario::Tale;
use crate::stats::Spread;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) calls: usize,
    pub(crate) seconds: u64,
    /// Calls offered a second.
    pub(crate) rate: f64,
    pub(crate) priority_raised: bool,
    pub(crate) floor: FloorReport,
    pub(crate) rows: Vec<RowReport>,
    pub(crate) growth: Option<Growth>,
    pub(crate) churn: Option<Tale>,
}

/// What the same packets cost with nothing done to them.
#[derive(Debug, Serialize)]
pub(crate) struct FloorReport {
    pub(crate) cpu_percent_per_call: f64,
    /// Decoding and encoding 20 ms both ways, CPU microseconds.
    pub(crate) codec_us_per_packet_time: f64,
    /// The same from the browser to the trunk alone.
    pub(crate) codec_up_us_per_packet_time: f64,
    pub(crate) transit_up_ms: Spread,
    pub(crate) transit_down_ms: Spread,
    pub(crate) lost: u64,
}

impl FloorReport {
    /// The floor of a row, `%` of one core per call.
    fn of(&self, row: Row) -> f64 {
        match row {
            Row::Unmeasured | Row::Relay | Row::Flooded => self.cpu_percent_per_call,
            // Of 20,000 us, as a percentage.
            Row::Transcode => self.cpu_percent_per_call + self.codec_us_per_packet_time / 200.0,
            Row::Elastic => self.cpu_percent_per_call + self.codec_up_us_per_packet_time / 200.0,
        }
    }
}

/// A row of calls.
#[derive(Debug, Serialize)]
pub(crate) struct RowReport {
    pub(crate) row: Row,
    pub(crate) calls: usize,
    pub(crate) cpu_percent_per_call: f64,
    pub(crate) setup: SetupReport,
    /// Browser to agent.
    pub(crate) up: DirectionReport,
    /// Agent to browser.
    pub(crate) down: DirectionReport,
    pub(crate) resident_kib: Course,
    pub(crate) leased_pairs: Course,
    /// What came meanwhile from somebody who may not.
    pub(crate) flooded: Option<Flooded>,
    pub(crate) calls_left: f64,
    /// Datagrams dropped at full sockets.
    pub(crate) gateway_socket_drops: u64,
    pub(crate) load_socket_drops: u64,
    /// Datagrams the kernel did not take from the gateway.
    pub(crate) send_failures: f64,
    /// Datagrams that belonged to no call.
    pub(crate) stray: f64,
    /// How late the load itself was.
    pub(crate) load_lateness_ms: Spread,
    pub(crate) failures: Vec<String>,
    /// The gateway's last words.
    pub(crate) log: String,
}

/// How calls came to be.
#[derive(Debug, Serialize)]
pub(crate) struct SetupReport {
    pub(crate) completed: usize,
    /// From the first offer to audio both ways in the last call.
    pub(crate) per_second: f64,
    /// The gateway's CPU for a set-up, what talking costs taken off.
    pub(crate) cpu_ms_per_call: f64,
    /// From the offer to ICE and DTLS done in the browser.
    pub(crate) connected_ms: Spread,
}

/// A direction of a row.
#[derive(Debug, Serialize)]
pub(crate) struct DirectionReport {
    /// Calls in which no voice was heard.
    pub(crate) silent: usize,
    /// From the offer.
    pub(crate) first_audio_ms: Spread,
    pub(crate) sent: u64,
    pub(crate) heard: u64,
    /// Stamped packets that never came, after a call's first one.
    pub(crate) lost: u64,
    /// Missing RTP sequence numbers.
    pub(crate) gaps: u64,
    /// Packets heard in another call.
    pub(crate) misrouted: u64,
    /// Longer than 20 ms under way.
    pub(crate) late: usize,
    /// From the sender's clock to the receiving socket.
    pub(crate) transit_ms: Spread,
}

/// A gauge before, during and after the calls.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Course {
    pub(crate) start: f64,
    pub(crate) peak: f64,
    pub(crate) end: f64,
}

impl RowReport {
    /// Every call talked, nothing was lost in the gateway, nothing is left behind.
    pub(crate) fn is_clean(&self) -> bool {
        self.complaints().is_empty()
    }

    /// What must not be. A packet that the load's own full socket dropped is not the gateway's.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let lost = |direction: &DirectionReport| direction.lost.max(direction.gaps);
        let lost = (lost(&self.up) + lost(&self.down)).saturating_sub(self.load_socket_drops);
        let silent = self.up.silent + self.down.silent;
        let misrouted = self.up.misrouted + self.down.misrouted;
        let leaked = self.leased_pairs.end - self.leased_pairs.start;
        let counts = [
            (lost as f64, "packets lost"),
            (self.gateway_socket_drops as f64, "datagrams dropped at the gateway's full sockets"),
            (self.send_failures, "datagrams the kernel did not take"),
            (silent as f64, "half calls without audio"),
            (misrouted as f64, "packets heard in another call"),
            (leaked.max(0.0), "port pairs not given back"),
            (self.calls_left, "calls that did not end"),
            ((self.calls - self.setup.completed) as f64, "calls that were refused"),
            (self.failures.len() as f64, "failures"),
        ];
        counts.into_iter().filter(|(count, _)| *count > 0.0).map(|(count, what)| format!("{count} {what}")).collect()
    }

    pub(crate) fn memory_per_call_kib(&self) -> f64 {
        (self.resident_kib.peak - self.resident_kib.start) / self.calls.max(1) as f64
    }
}

impl Report {
    /// The table.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let priority = if self.priority_raised { "raised" } else { "as it was" };
        writeln!(out, "{} calls, {} s, offered at {}/s; priority {priority}", self.calls, self.seconds, self.rate)?;
        self.floor.print(&mut out)?;
        for row in &self.rows {
            row.print(&mut out, self.floor.of(row.row))?;
        }
        self.print_cost_of_quality(&mut out)?;
        self.print_cost_of_a_flood(&mut out)?;
        if let Some(growth) = &self.growth {
            growth.print(&mut out)?;
        }
        if let Some(churn) = &self.churn {
            writeln!(out, "\n{}", churn.summary())?;
        }
        Ok(())
    }

    /// Nothing lost, nothing left behind, every threshold kept.
    pub(crate) fn is_clean(&self) -> bool {
        let grown = self.growth.as_ref().is_none_or(Growth::is_clean);
        let churned = self.churn.as_ref().is_none_or(|tale| tale.verdicts.iter().all(|verdict| verdict.kept));
        grown && churned && self.rows.iter().all(RowReport::is_clean)
    }

    /// What a flood of SIP requests adds to relayed calls.
    fn print_cost_of_a_flood(&self, out: &mut impl Write) -> io::Result<()> {
        let of = |row| self.rows.iter().find(|report| report.row == row);
        let (Some(dry), Some(wet)) = (of(Row::Relay), of(Row::Flooded)) else { return Ok(()) };
        let Some(Flooded { sent, answers }) = wet.flooded else { return Ok(()) };
        writeln!(out, "\nflood of {sent} requests, {answers} answers, relay")?;
        let p99 = |a: &DirectionReport, b: &DirectionReport| {
            let (a, b) = (a.transit_ms.p99, b.transit_ms.p99);
            format!("p99 {:+.2} ms, {:.2} x that without", b - a, b / a.max(f64::EPSILON))
        };
        line(out, "transit up", p99(&dry.up, &wet.up))?;
        line(out, "transit down", p99(&dry.down, &wet.down))?;
        let memory =
            (wet.resident_kib.peak - wet.resident_kib.start) - (dry.resident_kib.peak - dry.resident_kib.start);
        line(out, "memory", format!("{:+.1} MiB", memory / 1024.0))?;
        line(out, "CPU", format!("{:.2} x that without", wet.cpu_percent_per_call / dry.cpu_percent_per_call))
    }

    /// What measuring and listening add to a relayed call.
    fn print_cost_of_quality(&self, out: &mut impl Write) -> io::Result<()> {
        let of = |row| self.rows.iter().find(|report| report.row == row);
        let (Some(off), Some(on)) = (of(Row::Unmeasured), of(Row::Relay)) else { return Ok(()) };
        let cpu = 100.0 * (on.cpu_percent_per_call / off.cpu_percent_per_call - 1.0);
        let memory = on.memory_per_call_kib() - off.memory_per_call_kib();
        writeln!(out, "\nquality and diagnosis, relay")?;
        line(out, "CPU", format!("{cpu:+.1} % of an unmeasured call"))?;
        line(out, "memory", format!("{memory:+.1} KiB a call"))
    }
}

impl FloorReport {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\nfloor")?;
        line(out, "CPU per call", format!("{:.3} % of a core", self.cpu_percent_per_call))?;
        line(out, "codecs, 20 ms both ways", format!("{:.1} us", self.codec_us_per_packet_time))?;
        line(out, "transit up", transit(&self.transit_up_ms))?;
        line(out, "transit down", transit(&self.transit_down_ms))?;
        line(out, "lost", self.lost.to_string())
    }
}

impl RowReport {
    fn print(&self, out: &mut impl Write, floor: f64) -> io::Result<()> {
        let (cpu, ratio) = (self.cpu_percent_per_call, self.cpu_percent_per_call / floor);
        writeln!(out, "\n{}", format!("{:?}", self.row).to_lowercase())?;
        line(out, "CPU per call", format!("{cpu:.3} % of a core, {ratio:.2} x the floor ({floor:.3} %)"))?;
        let course = |course: &Course| format!("{} -> {} -> {}", course.start, course.peak, course.end);
        let memory = format!("{:.1} KiB (resident {} KiB)", self.memory_per_call_kib(), course(&self.resident_kib));
        line(out, "memory per call", memory)?;
        line(out, "leased port pairs", course(&self.leased_pairs))?;
        let SetupReport { completed, per_second, cpu_ms_per_call, connected_ms } = self.setup;
        line(out, "set-up", format!("{completed} calls, {per_second:.1}/s, {cpu_ms_per_call:.2} ms CPU each"))?;
        line(out, "connected", since_offer(&connected_ms))?;
        self.up.print(out, "up")?;
        self.down.print(out, "down")?;
        let drops = format!("gateway {}, load {}", self.gateway_socket_drops, self.load_socket_drops);
        line(out, "dropped at full sockets", drops)?;
        line(out, "not sent / of no call", format!("{} / {}", self.send_failures, self.stray))?;
        line(out, "load's own lateness", transit(&self.load_lateness_ms))?;
        let complaints = self.complaints();
        if complaints.is_empty() {
            return line(out, "verdict", "nothing lost, nothing left behind".into());
        }
        line(out, "verdict", complaints.join(", "))?;
        for failure in self.failures.iter().take(5) {
            line(out, "", failure.clone())?;
        }
        if self.log.is_empty() { Ok(()) } else { writeln!(out, "the gateway's last words:\n{}", self.log) }
    }
}

impl DirectionReport {
    fn print(&self, out: &mut impl Write, name: &str) -> io::Result<()> {
        line(out, &format!("first audio {name}"), since_offer(&self.first_audio_ms))?;
        if self.transit_ms.count > 0 {
            line(out, &format!("transit {name}"), format!("{}, {} late", transit(&self.transit_ms), self.late))?;
        }
        let Self { sent, heard, lost, gaps, .. } = self;
        line(out, &format!("packets {name}"), format!("{sent} sent, {heard} heard, {lost} lost, {gaps} gaps"))
    }
}

fn since_offer(spread: &Spread) -> String {
    format!("p50 {:.1} ms, p95 {:.1} ms, max {:.1} ms", spread.p50, spread.p95, spread.max)
}

fn transit(spread: &Spread) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms", spread.p50, spread.p99, spread.max)
}

fn line(out: &mut impl Write, name: &str, value: String) -> io::Result<()> {
    writeln!(out, "  {name:<26}{value}")
}
