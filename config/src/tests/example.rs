use serde_json::Value;

use super::load_with;
use crate::{Hours, schema};

const EXAMPLE: &str = include_str!("../../trunkline.example.toml");
const ENV: [(&str, &str); 2] =
    [("TRUNKLINE_OPS_KEY", "an-operator's-key"), ("CRM_WHSEC", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")];

#[test]
fn the_example_is_a_configuration_that_runs() {
    let loaded = load_with(EXAMPLE, &ENV).unwrap();
    assert_eq!(loaded.config.control.api_keys[0].key.reveal(), "an-operator's-key");
    assert_eq!(loaded.config.apps[0].profiles[0].destinations, ["sip:agent@acme"]);
    assert!(loaded.for_run().is_ok());
}

#[test]
fn without_its_secrets_the_example_says_which_are_missing() {
    let problems = load_with(EXAMPLE, &[]).unwrap_err();
    let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["control.api_keys[0].key", "apps[0].integrations[0].secret"]);
}

/// What is commented out in the example is right, too.
#[test]
fn the_example_is_right_where_it_is_commented_out() {
    let text: String = EXAMPLE
        .lines()
        .filter(|line| !line.starts_with("hours ="))
        .map(|line| if line.starts_with("# hours") { &line[2..] } else { line })
        .flat_map(|line| [line, "\n"])
        .collect();
    let loaded = load_with(&text, &ENV).unwrap();
    assert!(matches!(&loaded.config.apps[0].hours, Hours::Schedule(schedule) if schedule.exceptions.len() == 2));
    assert!(matches!(&loaded.config.apps[0].profiles[0].hours, Some(Hours::Schedule(_))));
    assert!(loaded.for_run().is_ok());
    let text = EXAMPLE.replace("# tls =", "tls =");
    let keys: Vec<String> = load_with(&text, &ENV).unwrap_err().0.into_iter().map(|problem| problem.key).collect();
    assert_eq!(
        keys,
        [
            "public.url",
            "public.tls.certificate",
            "public.tls.key",
            "sip.tls.certificate",
            "sip.tls.key",
            "trunks[0].tls.certificate",
            "trunks[0].tls.key",
        ]
    );
}

/// Every key there is stands in its own section of the example.
#[test]
fn the_example_shows_every_key() {
    let mut keys = Vec::new();
    collect(&schema(), "", "", &mut keys);
    assert!(keys.len() > 70, "{keys:?}");
    for (section, key) in keys {
        let text = section_text(&section);
        let shown = text
            .match_indices(&format!("{key} = "))
            .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        assert!(shown, "[{section}] does not show {key}");
    }
}

/// Every number has bounds, every key a description: the checks and the editors rely on them.
#[test]
fn the_schema_is_complete() {
    let schema = schema();
    assert_eq!(schema["title"], "Trunkline configuration");
    assert_eq!(schema["additionalProperties"], false);
    fn walk(path: &str, schema: &Value) {
        if schema["type"] == "integer" {
            assert!(schema["minimum"].is_i64() && schema["maximum"].is_i64(), "{path}: {schema}");
        }
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            assert!(below["description"].is_string(), "{path}.{key} has no description");
            walk(&format!("{path}.{key}"), below);
        }
        if schema["items"].is_object() {
            assert!(schema["maxItems"].is_u64(), "{path} has no limit");
            walk(&format!("{path}[]"), &schema["items"]);
        }
    }
    walk("", &schema);
    assert_eq!(schema["properties"]["media"]["properties"]["setup_seconds"]["default"], 20);
}

/// Keys by the section header they stand under; inline tables belong to the section around them.
fn collect(schema: &Value, section: &str, key: &str, keys: &mut Vec<(String, String)>) {
    const HEADERS: [&str; 14] = [
        "node",
        "public",
        "control",
        "media",
        "sip",
        "quality",
        "records",
        "events",
        "outbound",
        "trunks",
        "trunk_groups",
        "apps",
        "apps.profiles",
        "apps.integrations",
    ];
    let table = if schema["items"].is_object() { &schema["items"] } else { schema };
    let inner = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    let own = HEADERS.contains(&inner.as_str());
    if !key.is_empty() && !own {
        keys.push((section.to_owned(), key.to_owned()));
    }
    let section = if own { &inner } else { section };
    for (name, below) in table["properties"].as_object().into_iter().flatten() {
        if (section, name.as_str()) == ("apps.profiles", "hours") {
            // Written as those of the app, where all of it is shown.
            keys.push((section.to_owned(), name.clone()));
        } else {
            collect(below, section, name, keys);
        }
    }
}

fn section_text(section: &str) -> &'static str {
    let header = [format!("\n[{section}]"), format!("\n[[{section}]]")];
    let start = header.iter().find_map(|header| EXAMPLE.find(header)).unwrap_or_else(|| panic!("no [{section}]")) + 1;
    let end = EXAMPLE[start..].find("\n[").map_or(EXAMPLE.len(), |end| start + end);
    &EXAMPLE[start..end]
}
