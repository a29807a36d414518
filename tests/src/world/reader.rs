//! A support person with nothing but the bundle: reads it and names the cause.

use serde_json::Value;

/// How bad a half-leg must be before it is named when nothing else explains a call.
const BAD: [&str; 2] = ["red", "amber"];

/// What people complain of, the worst first.
const GRAVE_FIRST: [&str; 7] = ["not_reached", "microphone", "no_audio", "udp_blocked", "echo", "dtmf", "sounds_bad"];

/// What a bundle says is wrong, most telling first: why the call failed, what was found, which half-leg is bad.
/// `"uplink_loss at browser_up"`, `"dest_busy"`, `"ice_failed: udp_blocked"`, `"nothing"`.
#[must_use]
pub fn cause(bundle: &Value) -> String {
    let outcome = &bundle["outcome"];
    if outcome["class"] == "error" {
        return with(&outcome["reason"], ": ", &outcome["detail"]);
    }
    let findings = bundle["diagnosis"]["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let weight = |finding: &&Value| {
        let symptom = finding["symptom"].as_str().unwrap_or_default();
        let rank = GRAVE_FIRST.iter().position(|grave| *grave == symptom).unwrap_or(GRAVE_FIRST.len());
        (GRAVE_FIRST.len() - rank, (finding["confidence"].as_f64().unwrap_or(0.0) * 1000.0) as i64)
    };
    if let Some(finding) = findings.iter().rev().max_by_key(weight) {
        return with(&finding["finding"], " at ", &finding["half_leg"]);
    }
    let levels = bundle["record"]["quality"].as_object();
    let bad = |level: &str| levels.into_iter().flatten().find(|(_, half_leg)| half_leg["level"] == level);
    match BAD.iter().find_map(|level| bad(level)) {
        Some((name, half_leg)) => format!("{} at {name}", half_leg["reasons"][0].as_str().unwrap_or("?")),
        None => "nothing".to_owned(),
    }
}

/// All findings of a bundle with their half-leg, in order.
#[must_use]
pub fn findings(bundle: &Value) -> Vec<String> {
    let findings = bundle["diagnosis"]["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    findings.iter().map(|finding| with(&finding["finding"], " at ", &finding["half_leg"])).collect()
}

fn with(word: &Value, between: &str, further: &Value) -> String {
    let word = word.as_str().unwrap_or("?");
    further.as_str().map_or_else(|| word.to_owned(), |further| format!("{word}{between}{further}"))
}
