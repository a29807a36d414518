//! One document of two listeners. What only one of them has is taken over; an operation that both have says what either
//! takes and answers.
#![allow(clippy::indexing_slicing)] // Members of JSON objects come to be by being named, and nothing here is a client's.

use serde_json::{Value, json};

pub(super) fn merge(one: &Value, other: &Value) -> Value {
    let mut merged = one.clone();
    for part in ["schemas", "securitySchemes"] {
        let of_other = other["components"][part].as_object().into_iter().flatten();
        for (name, schema) in of_other {
            merged["components"][part][name] = schema.clone();
        }
    }
    for (path, item) in other["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let here = &mut merged["paths"][path][method];
            *here = if here.is_null() { operation.clone() } else { both(here, operation) };
        }
    }
    merged
}

fn both(one: &Value, other: &Value) -> Value {
    let mut merged = one.clone();
    for part in ["tags", "security"] {
        let all = list(&one[part]).chain(list(&other[part]));
        merged[part] = all.cloned().collect();
    }
    merged["tags"] = without_repeats(list(&merged["tags"]));
    let text = |operation: &Value, part: &str| operation[part].as_str().unwrap_or_default().to_owned();
    merged["description"] = format!(
        "On the public listener: {} {}\n\nOn the control listener: {} {}",
        text(one, "summary"),
        text(one, "description"),
        text(other, "summary"),
        text(other, "description")
    )
    .into();
    merged["parameters"] = parameters(one, other);
    for part in ["requestBody", "responses"] {
        if !(one[part].is_null() && other[part].is_null()) {
            merged[part] = either(&one[part], &other[part]);
        }
    }
    merged
}

/// What only one listener knows cannot be demanded of both.
fn parameters(one: &Value, other: &Value) -> Value {
    let key = |parameter: &Value| (parameter["in"].clone(), parameter["name"].clone());
    let shared = |parameter: &Value, among: &Value| list(among).any(|known| key(known) == key(parameter));
    let mut all: Vec<Value> = Vec::new();
    for (parameter, among) in list(&one["parameters"])
        .map(|parameter| (parameter, &other["parameters"]))
        .chain(list(&other["parameters"]).map(|parameter| (parameter, &one["parameters"])))
    {
        if all.iter().any(|known| key(known) == key(parameter)) {
            continue;
        }
        let mut parameter = parameter.clone();
        if !shared(&parameter, among) {
            parameter["required"] = false.into();
        }
        all.push(parameter);
    }
    all.into()
}

/// Objects are united; where two schemas differ, either is right; elsewhere the first stands.
fn either(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut merged = one.clone();
            for (name, theirs) in other {
                let value = match (one.get(name), name.as_str()) {
                    (None, _) => theirs.clone(),
                    (Some(ours), "schema") if ours != theirs => json!({"anyOf": [ours, theirs]}),
                    (Some(ours), "required") => (ours == true && theirs == true).into(),
                    (Some(ours), _) => either(ours, theirs),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Value::Null, there) | (there, _) => there.clone(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn without_repeats<'a>(values: impl Iterator<Item = &'a Value>) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for value in values {
        if !all.contains(value) {
            all.push(value.clone());
        }
    }
    all.into()
}
