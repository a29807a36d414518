//! The files of `config/deploy` use what is in the catalogue, and only that.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::catalogue::ALL;
use super::super::definition::{Definition, Kind};
use super::promql::{Query, Use, scan};
use super::rules::{self, Rule};

fn file(name: &str) -> String {
    let path = format!("{}/../config/deploy/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn alerts() -> Vec<Rule> {
    rules::read(&file("prometheus-alerts.yml"))
}

fn records() -> Vec<Rule> {
    rules::read(&file("prometheus-recording.yml"))
}

fn dashboard() -> Value {
    serde_json::from_str(&file("grafana-dashboard.json")).unwrap()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().collect()
}

/// Every query of the dashboard, with its legend.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let targets = panels(dashboard).into_iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| (text(&target["expr"]), text(&target["legendFormat"]))).collect()
}

/// Where each query stands, and the query.
fn all_queries() -> Vec<(String, String)> {
    let name = |rule: &Rule| rule.get("alert").or_else(|| rule.get("record")).cloned().unwrap_or_default();
    let rules = alerts().into_iter().chain(records()).map(|rule| (name(&rule), rule["expr"].clone()));
    rules.chain(queries(&dashboard()).into_iter().map(|(query, _)| ("dashboard".to_owned(), query))).collect()
}

/// The definition of a name in a query, with the suffixes of histograms.
fn definition_of(name: &str) -> Option<&'static Definition> {
    ALL.iter().copied().find(|definition| match definition.kind {
        Kind::Gauge | Kind::Counter | Kind::Trouble => definition.name == name,
        Kind::Histogram(_) => {
            ["_bucket", "_sum", "_count"].iter().any(|s| name.strip_suffix(s) == Some(definition.name))
        }
    })
}

/// The labels a query may name: of its metrics, and those every scrape adds.
fn labels_of(query: &Query) -> BTreeSet<&'static str> {
    let used = query.uses.iter().filter_map(|used| definition_of(&used.name));
    let own = used.flat_map(|definition| definition.labels.iter().map(|label| label.name));
    let recorded = query.uses.iter().any(|used| used.name.starts_with("trunkline:"));
    own.chain(["instance", "job", "le"]).chain(recorded.then_some("half_leg")).collect()
}

#[test]
fn every_query_uses_metrics_and_labels_of_the_catalogue() {
    let recorded: BTreeSet<_> = records().iter().map(|rule| rule["record"].clone()).collect();
    for (place, text) in all_queries() {
        let query = scan(&text);
        for used in &query.uses {
            if used.name.starts_with("trunkline:") {
                assert!(recorded.contains(&used.name), "{place}: {} is not recorded", used.name);
            } else {
                let known = definition_of(&used.name).unwrap_or_else(|| panic!("{place}: no metric {}", used.name));
                check_matchers(&place, known, used);
            }
        }
        let labels = labels_of(&query);
        for label in &query.grouping {
            assert!(labels.contains(label.as_str()), "{place}: no label {label} in {text}");
        }
    }
}

#[track_caller]
fn check_matchers(place: &str, definition: &Definition, used: &Use) {
    for [name, operator, value] in &used.matchers {
        if ["instance", "job"].contains(&name.as_str()) || (name == "le" && used.name.ends_with("_bucket")) {
            continue;
        }
        let label = definition.labels.iter().find(|label| label.name == name);
        let label = label.unwrap_or_else(|| panic!("{place}: {} has no label {name}", definition.name));
        let Some(words) = label.values.words() else { continue };
        let wanted: Vec<_> = if operator.contains('~') { value.split('|').collect() } else { vec![value.as_str()] };
        for word in wanted {
            let found = match word.strip_suffix(".*") {
                Some(start) => words.iter().any(|known| known.starts_with(start)),
                None => words.contains(&word),
            };
            assert!(found, "{place}: {name} of {} is never {word}", definition.name);
        }
    }
}

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do() {
    let alerts = alerts();
    let mut names = BTreeSet::new();
    for rule in &alerts {
        let name = &rule["alert"];
        assert!(name.starts_with("Trunkline") && names.insert(name), "{name}");
        for key in ["expr", "for", "severity", "summary", "runbook"] {
            assert!(rule.get(key).is_some_and(|text| !text.is_empty()), "{name} has no {key}");
        }
        assert!(["critical", "warning", "info"].contains(&rule["severity"].as_str()), "{name}: {}", rule["severity"]);
        assert!(rule["runbook"].ends_with('.') && rule["runbook"].len() > 40, "{name}: {}", rule["runbook"]);
        let labels = labels_of(&scan(&rule["expr"]));
        for used in rule["summary"].split("$labels.").skip(1) {
            let label = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            assert!(labels.contains(label), "{name}: no label {label}");
        }
    }
    assert!(alerts.len() >= 25, "{}", alerts.len());
}

#[test]
fn every_trouble_has_an_alert_or_a_place_on_the_dashboard() {
    let watched: BTreeSet<_> =
        all_queries().iter().flat_map(|(_, query)| scan(query).uses.into_iter().map(|used| used.name)).collect();
    for definition in ALL.iter().filter(|definition| definition.kind == Kind::Trouble) {
        assert!(watched.contains(definition.name), "nobody would see {}", definition.name);
    }
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut rows = Vec::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's");
        let place = &panel["gridPos"];
        let place = ["x", "y", "w", "h"].map(|key| place[key].as_u64().unwrap());
        assert!(place[0] + place[2] <= 24, "{title}: {place:?}");
        if panel["type"] == "row" {
            rows.push(title);
        } else {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{title}");
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title}");
        }
    }
    #[rustfmt::skip]
    let expected = [
        "Calls", "Quality per half-leg", "Set-up stages", "Trunks", "Media workers", "SIP", "HTTP and sessions", "Store",
        "Process",
    ];
    assert_eq!(rows, expected);
    let variables: Vec<_> = dashboard["templating"]["list"].as_array().unwrap().iter().collect();
    assert_eq!((&variables[0]["name"], &variables[0]["type"]), (&"datasource".into(), &"datasource".into()));
    for (query, legend) in queries(&dashboard) {
        assert!(query.contains(r#"instance=~"$instance""#), "{query}");
        let labels = labels_of(&scan(&query));
        for used in legend.split("{{").skip(1) {
            let label = used.split("}}").next().unwrap().trim();
            assert!(labels.contains(label), "{legend}: {query}");
        }
    }
}

#[test]
fn the_unit_runs_the_daemon_and_waits_for_a_drain() {
    let unit = file("trunkline.service");
    let mut keys = Vec::new();
    for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !(line.starts_with('[') && line.ends_with(']')) {
            keys.push(line.split_once('=').unwrap_or_else(|| panic!("{line}")));
        }
    }
    let value = |key: &str| keys.iter().find(|(have, _)| *have == key).map_or("", |(_, value)| *value);
    assert!(value("ExecStart").contains("trunkline run --config "), "{}", value("ExecStart"));
    assert_eq!(value("KillSignal"), "SIGTERM", "which drains");
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/trunkline.example.toml"));
    let drain = example
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("drain_seconds = ")?.split_whitespace().next()?.parse::<u64>().ok());
    assert!(value("TimeoutStopSec").parse::<u64>().unwrap() > drain.unwrap());
    for hardened in ["NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "MemoryDenyWriteExecute"] {
        assert!(["yes", "strict"].contains(&value(hardened)), "{hardened}");
    }
    assert!(!value("SystemCallFilter").is_empty() && !value("RestrictAddressFamilies").is_empty());
}
