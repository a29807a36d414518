//! The document as a reader meets it.

use std::collections::BTreeSet;

use super::*;

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    items.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

/// A route that is registered otherwise than with its entry would be in no document.
#[test]
fn no_route_goes_round_the_document() {
    for source in [include_str!("../public_api/mod.rs"), include_str!("../control_api/mod.rs")] {
        assert!(source.contains(".routes(routes!(") && !source.contains(".route("));
    }
}

#[test]
fn every_operation_says_what_it_takes_and_answers() {
    for (listener, name) in [(Listener::Public, "public"), (Listener::Control, "control")] {
        let document = document(Some(listener), "https://voice.example");
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut ids = BTreeSet::new();
        for (operation, what) in operations(&document) {
            assert_eq!(what["tags"][0], name, "{operation}");
            assert!(what["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{operation}");
            assert!(ids.insert(what["operationId"].to_string()), "{operation}");
            let responses = what["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')), "{operation}");
            for (status, response) in responses.iter().filter(|(status, _)| *status >= &"400".to_owned()) {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/Problem", "{operation} {status}");
            }
            // A widget key goes in the body; nothing else that answers 401 is without a scheme.
            let opening = name == "public" && operation == "post /v1/sessions";
            assert_eq!(what["security"].is_array(), responses.contains_key("401") && !opening, "{operation}");
        }
    }
}

#[test]
fn the_document_of_both_listeners_has_every_operation_of_either() {
    let [public, control] =
        [Listener::Public, Listener::Control].map(|one| document(Some(one), "https://voice.example"));
    let both = document(None, "https://voice.example");
    let names = |document: &Value| operations(document).map(|(name, _)| name).collect::<BTreeSet<_>>();
    assert_eq!(names(&both), names(&public).union(&names(&control)).cloned().collect());
    for (name, schema) in public["components"]["schemas"].as_object().unwrap() {
        let theirs = &control["components"]["schemas"][name];
        assert!(theirs.is_null() || theirs == schema, "{name} is two things");
    }
    let mute = &both["paths"]["/v1/calls/{call}/mute"]["post"];
    assert_eq!(mute["tags"], json!(["public", "calls", "control"]));
    assert_eq!(mute["security"].as_array().map(Vec::len), Some(2));
    assert_eq!(both["servers"][0]["url"], "https://voice.example");
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document(None, "https://voice.example");
    let mut found = BTreeSet::new();
    walk(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn sdp_events_and_refusals_have_their_media_types() {
    let document = document(Some(Listener::Public), "https://voice.example");
    let start = &document["paths"]["/v1/calls"]["post"];
    assert!(start["requestBody"]["content"]["application/sdp"].is_object());
    assert!(start["responses"]["201"]["content"]["application/sdp"].is_object());
    assert!(start["responses"]["503"]["headers"]["Retry-After"].is_object());
    assert!(start["responses"]["401"]["headers"]["WWW-Authenticate"].is_object());
    let events = &document["paths"]["/v1/calls/{call}/events"]["get"];
    assert!(events["responses"]["200"]["content"]["text/event-stream"].is_object());
    let patch = &document["paths"]["/v1/calls/{call}"]["patch"];
    assert!(patch["requestBody"]["content"]["application/trickle-ice-sdpfrag"].is_object());
    let urns = &document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    assert!(urns.as_array().unwrap().contains(&json!("urn:trunkline:problem:call-in-progress")));
}
