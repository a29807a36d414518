//! What operations have in common is said once, here: path parameters, the refusals every handler of a kind can give,
//! the shape of all refusals.
#![allow(clippy::indexing_slicing)] // Members of JSON objects come to be by being named, and nothing here is a client's.

use serde_json::{Map, Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::OpenApi;

use super::schemas;
use crate::problem;

/// A listener's document. Its operations are tagged with the listener.
pub(super) fn finish(document: OpenApi, listener: &str) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, item) in paths.into_iter().flatten() {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                complete(operation, method, path, listener);
            }
        }
    }
    let schemas = &mut document["components"]["schemas"];
    let mut refusal = serde_json::to_value(schemas::Problem::schema()).unwrap_or_default();
    let urns = problem::ALL.iter().map(|(slug, _, _)| format!("urn:trunkline:problem:{slug}"));
    refusal["properties"]["type"]["enum"] = urns.collect();
    schemas["Problem"] = refusal;
    document["components"]["securitySchemes"] = json!({
        "session_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "The token of a session, from POST /v1/sessions"},
        "api_key": {"type": "http", "scheme": "bearer",
            "description": "An API key of the configuration. Its scopes are read, control and admin; none implies another"},
    });
    document
}

fn complete(operation: &mut Map<String, Value>, method: &str, path: &str, listener: &str) {
    operation.insert("operationId".into(), operation_id(listener, method, path).into());
    if let Some(tags) = operation.entry("tags").or_insert_with(|| json!([])).as_array_mut() {
        tags.insert(0, listener.into());
    }
    add_path_parameters(operation, path);
    for (status, what) in common_refusals(operation, path) {
        if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            responses.entry(status).or_insert_with(|| json!({"description": what}));
        }
    }
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        if let Some(stream) = response.pointer_mut("/content/text~1event-stream/schema") {
            *stream = stream_event();
        }
        if matches!(status.as_bytes().first(), Some(b'4' | b'5')) {
            response["content"] = json!({problem::MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}});
            if let Some(header) = header_of(status) {
                response["headers"] = json!({header: {"required": true, "schema": {"type": "string"}}});
            }
        }
    }
}

/// Of a stream, the shape of each event: `data` is the JSON of an envelope.
fn stream_event() -> Value {
    let text = || json!({"type": "string"});
    json!({"type": "object", "description": "Each event of the stream",
        "properties": {"id": text(), "event": text(), "data": text(), "retry": {}}})
}

/// `public_post_v1_calls_call_dtmf`: unique in both documents.
fn operation_id(listener: &str, method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    [listener, method].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn add_path_parameters(operation: &mut Map<String, Value>, path: &str) {
    let Some(parameters) = operation.entry("parameters").or_insert_with(|| json!([])).as_array_mut() else { return };
    for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        if !parameters.iter().any(|known| known["in"] == "path" && known["name"] == name) {
            parameters.push(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        }
    }
}

/// What any handler may answer because of what it takes.
fn common_refusals(operation: &Map<String, Value>, path: &str) -> Vec<(&'static str, &'static str)> {
    let takes = |scheme: &str| {
        let alternatives = operation.get("security").and_then(Value::as_array).into_iter().flatten();
        alternatives.into_iter().any(|alternative| alternative.get(scheme).is_some())
    };
    let in_query = |parameter: &Value| parameter["in"] == "query";
    let query = operation.get("parameters").and_then(Value::as_array).is_some_and(|all| all.iter().any(in_query));
    let body = operation.contains_key("requestBody");
    let named = path.contains('{');
    [
        (body || query || named, "400", "`invalid-request`: it cannot be read"),
        (takes("api_key"), "401", "`invalid-api-key`"),
        (takes("session_token"), "401", "`invalid-token`, `token-expired`"),
        (takes("api_key"), "403", "`insufficient-scope`, `host-not-allowed`, `origin-not-allowed`"),
        (true, "403", "`origin-not-allowed`, on the control listener `host-not-allowed`"),
        (named, "404", "There is no such thing, or it is not the asker's: both are answered alike"),
        (true, "408", "`request-timeout`"),
        (body, "413", "`payload-too-large`"),
        (body, "415", "`unsupported-media-type`"),
    ]
    .into_iter()
    .filter_map(|(applies, status, what)| applies.then_some((status, what)))
    .collect()
}

fn header_of(status: &str) -> Option<&'static str> {
    match status {
        "401" => Some("WWW-Authenticate"),
        "429" | "503" => Some("Retry-After"),
        _ => None,
    }
}
