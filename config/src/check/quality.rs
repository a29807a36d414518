//! `[quality]`, `[records]` and `[events]`

use std::time::Duration;

use super::seconds;
use crate::lines::join;
use crate::model::{Bands, Events, Quality, Records};
use crate::raw::{RawBands, RawEvents, RawQuality, RawRecords};
use crate::report::Report;

/// Bytes.
const MEGABYTE: u64 = 1024 * 1024;
/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn quality(raw: &RawQuality, report: &mut Report) -> Option<Quality> {
    let mos = raw.mos_hundredths;
    let rising = |bands: RawBands| bands.amber < bands.red;
    let rows = [
        ("loss_permille", rising(raw.loss_permille), "amber must be below red"),
        ("loss_permille", raw.loss_permille.red <= 1000, "red must be at most 1000, which is all of it"),
        ("rtt_ms", rising(raw.rtt_ms), "amber must be below red"),
        ("jitter_ms", rising(raw.jitter_ms), "amber must be below red"),
        ("mos_hundredths", mos.amber > mos.red, "amber must be above red: a good score is a high one"),
        ("mos_hundredths", mos.amber <= 500, "a score is at most 500"),
        ("gap_ms", rising(raw.gap_ms), "amber must be below red"),
    ];
    for (name, holds, message) in rows {
        let key = format!("quality.{name}");
        // What is missing or broken has been reported, and stands in for nothing.
        let broken = ["amber", "red"].iter().any(|band| report.is_broken(&join(&key, band)));
        if !holds && !broken {
            report.problem(&key, message);
        }
    }
    let whole = rows.iter().all(|(_, holds, _)| *holds);
    if raw.listen && !raw.measure {
        report.note("quality.listen", "has no effect while measure is false");
    }
    let bands = |raw: RawBands, unit: f64| Bands { amber: f64::from(raw.amber) / unit, red: f64::from(raw.red) / unit };
    whole.then(|| Quality {
        measure: raw.measure,
        listen: raw.listen && raw.measure,
        loss: bands(raw.loss_permille, 1000.0),
        rtt_ms: bands(raw.rtt_ms, 1.0),
        jitter_ms: bands(raw.jitter_ms, 1.0),
        mos: bands(raw.mos_hundredths, 100.0),
        gap_ms: bands(raw.gap_ms, 1.0),
        poor_after: seconds(raw.poor_after_seconds),
    })
}

pub(super) fn records(raw: &RawRecords) -> Records {
    Records { keep: DAY * raw.keep_days, keep_bytes: u64::from(raw.keep_megabytes) * MEGABYTE }
}

pub(super) fn events(raw: &RawEvents) -> Events {
    Events {
        keep: DAY * raw.keep_days,
        keep_bytes: u64::from(raw.keep_megabytes) * MEGABYTE,
        backlog_bytes: u64::from(raw.backlog_megabytes) * MEGABYTE,
        pending_max: u64::from(raw.pending_max),
    }
}
