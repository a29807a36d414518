//! The report as one page that needs nothing else: verdicts, plots, numbers.

use std::fmt::Write as _;

use super::plot::{Series, plot};
use super::tale::{Left, Sample, Tale, Verdict};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;width:100%}td,th{padding:.2em .6em;border-bottom:1px solid #ddd;text-align:left}\
    td+td,th+th{text-align:right}figure{margin:1.5em 0}figcaption{font-weight:600}svg{width:100%}svg line{stroke:#ddd}\
    svg polyline{stroke-width:1.6}text{font-size:11px;fill:#666}.y{text-anchor:end}.x{text-anchor:middle}\
    .ok{color:#197a3b}.fail{color:#b3261e;font-weight:600}pre{white-space:pre-wrap}";

/// The page.
pub(super) fn page(tale: &Tale) -> String {
    let name = escaped(&tale.scenario.name);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{name}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><h1>{name}</h1>\
         <p>{} of {} calls talked, {:.0} s, seed {}.</p>",
        tale.talked, tale.planned, tale.seconds, tale.scenario.seed
    );
    page.push_str(&verdicts(&tale.verdicts));
    page.push_str(&plots(tale));
    page.push_str(&numbers(tale));
    if !tale.failures.is_empty() {
        let failures: Vec<String> = tale.failures.iter().take(50).map(|why| escaped(why)).collect();
        let _ = write!(page, "<h2>Failures</h2><pre>{}</pre>", failures.join("\n"));
    }
    if !tale.log.is_empty() {
        let _ = write!(page, "<h2>The gateway's last words</h2><pre>{}</pre>", escaped(&tale.log));
    }
    page + "</body></html>\n"
}

fn verdicts(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let row = |Verdict { what, measured, allowed, kept }: &Verdict| {
        let measured = measured.map_or("not known".into(), |measured| format!("{measured:.4}"));
        let (class, word) = if *kept { ("ok", "kept") } else { ("fail", "not kept") };
        format!("<tr><td>{what}</td><td>{measured}</td><td>{allowed}</td><td class=\"{class}\">{word}</td></tr>")
    };
    let rows: String = verdicts.iter().map(row).collect();
    format!("<h2>Thresholds</h2><table><tr><th></th><th>measured</th><th>allowed</th><th></th></tr>{rows}</table>")
}

fn plots(tale: &Tale) -> String {
    let over = |read: fn(&Sample) -> Option<f64>| -> Vec<(f64, f64)> {
        tale.samples.iter().filter_map(|sample| Some((sample.at_seconds, read(sample)?))).collect()
    };
    let line = |name, colour, points| Series { name, colour, points, dots: false };
    let mut plots = vec![plot(
        "Calls",
        "at once",
        &[
            line("live", "#1f6feb", over(|sample| Some(sample.live as f64))),
            line("port pairs", "#b26a00", over(|sample| sample.leased_pairs)),
            line("failed so far", "#b3261e", over(|sample| Some(sample.failed as f64))),
        ],
    )];
    let first = Series { name: "a call", colour: "#1f6feb", points: tale.first_audio.clone(), dots: true };
    plots.push(plot("First audio in the browser, by when it called", "ms after the offer", &[first]));
    if tale.samples.iter().any(|sample| sample.cpu_seconds.is_some()) {
        plots.push(plot("Processor", "% of a core", &[line("gateway", "#1f6feb", cpu(&tale.samples))]));
        let memory = over(|sample| sample.resident_mib);
        plots.push(plot("Resident memory", "MiB", &[line("gateway", "#197a3b", memory)]));
    }
    format!("<h2>Course</h2>{}", plots.concat())
}

/// Of one core, from sample to sample.
fn cpu(samples: &[Sample]) -> Vec<(f64, f64)> {
    let step = |pair: &[Sample]| {
        let [before, after] = pair else { return None };
        let passed = after.at_seconds - before.at_seconds;
        let spent = after.cpu_seconds? - before.cpu_seconds?;
        (passed > 0.0).then(|| (after.at_seconds, 100.0 * spent / passed))
    };
    samples.windows(2).filter_map(step).collect()
}

fn numbers(tale: &Tale) -> String {
    let mut rows = String::new();
    for (what, spread) in tale.spreads().into_iter().filter(|(_, spread)| spread.count > 0) {
        let _ = write!(
            rows,
            "<tr><td>{what}, ms</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td></tr>",
            spread.p50, spread.p95, spread.p99, spread.max
        );
    }
    let mut text = format!(
        "<h2>Numbers</h2><table><tr><th></th><th>p50</th><th>p95</th><th>p99</th><th>max</th></tr>{rows}</table>\
         <p>{} packets heard, {} lost, of which the scenario's network took {}; {} digits pressed, {} heard.</p>",
        tale.packets,
        tale.lost,
        tale.weathered.iter().sum::<u64>(),
        tale.digits_pressed,
        tale.digits_heard
    );
    if let Some(cpu) = tale.cpu_percent_per_call {
        let _ = write!(text, "<p>{cpu:.3} % of a core for a call.</p>");
    }
    let left = |Left { what, before, after }: &Left| {
        format!("<tr><td>{what}</td><td>{before:.1}</td><td>{after:.1}</td></tr>")
    };
    if !tale.left.is_empty() {
        let rows: String = tale.left.iter().map(left).collect();
        let _ = write!(text, "<table><tr><th></th><th>before</th><th>after</th></tr>{rows}</table>");
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
