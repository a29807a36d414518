//! Holds a tree against the schema: misspelt keys, wrong types, numbers out of bounds, words that are none.
//!
//! What is wrong is reported and replaced by a stand-in, so that the rest can still be read and checked.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::lines::{item, join};
use crate::report::Report;
use crate::schema::{Wanted, required, shared};
use crate::tree::{Node, Value};

/// Checks the whole tree and leaves one that serde accepts.
pub(crate) fn check(tree: &mut Node, report: &mut Report) {
    // The top is a table by construction, so there is nothing to be done about `false`.
    let _fits = fit(tree, shared(), "", report);
}

/// `; did you mean …?` if one of `known` is near `word`, else nothing.
pub(crate) fn suggestion<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |best| format!("; did you mean {best:?}?"))
}

/// Whether the kind of `value` is what `schema` asks for; its content is not looked at.
pub(crate) fn is_of_kind(value: &Value, schema: &Json) -> bool {
    match (Wanted::of(schema), value) {
        (Wanted::Table { .. }, Value::Table(_))
        | (Wanted::List { .. }, Value::List(_))
        | (Wanted::List { or_one: true, .. }, Value::Text(_))
        | (Wanted::OneOf(_) | Wanted::Text { .. }, Value::Text(_))
        | (Wanted::Text { date: true }, Value::Date(_))
        | (Wanted::Integer { .. }, Value::Integer(_))
        | (Wanted::Bool, Value::Bool(_)) => true,
        (
            Wanted::Table { .. }
            | Wanted::List { .. }
            | Wanted::OneOf(_)
            | Wanted::Text { .. }
            | Wanted::Integer { .. }
            | Wanted::Bool,
            _,
        ) => false,
    }
}

/// The message about a key a table does not have.
pub(crate) fn unknown_key(key: &str, table: &Json) -> String {
    let Wanted::Table { properties: Some(properties), .. } = Wanted::of(table) else {
        return "unknown key".to_owned();
    };
    let near = suggestion(key, properties.keys().map(String::as_str));
    if !near.is_empty() {
        return format!("unknown key{near}");
    }
    match home_of(key, shared(), "") {
        Some(home) => format!("unknown key; it belongs to {home:?}"),
        None => "unknown key".to_owned(),
    }
}

/// Reports what is wrong with `node`; false when it must be replaced or left out.
fn fit(node: &mut Node, schema: &Json, path: &str, report: &mut Report) -> bool {
    if !is_of_kind(&node.value, schema) {
        let wanted = Wanted::of(schema).kind();
        report.broken(path, format!("expected {wanted}, found {}", node.value.kind()));
        return false;
    }
    match (Wanted::of(schema), &mut node.value) {
        (Wanted::Table { properties, any }, Value::Table(entries)) => {
            fit_entries(entries, properties, any, schema, path, report);
            add_missing(entries, schema, path, report, &node.origin);
            true
        }
        (Wanted::List { items, at_most, .. }, Value::List(nodes)) => {
            if let Some(limit) = at_most.filter(|limit| nodes.len() as u64 > *limit) {
                report.broken(path, format!("at most {limit} entries, found {}", nodes.len()));
                return false;
            }
            fit_items(nodes, items, path, report);
            true
        }
        (Wanted::OneOf(words), Value::Text(text)) if !words.contains(&text.as_str()) => {
            let near = suggestion(text, words.iter().copied());
            report.broken(path, format!("{text:?} is none of {}{near}", words.join(", ")));
            false
        }
        (Wanted::Integer { min, max }, Value::Integer(number)) if !(min..=max).contains(number) => {
            report.broken(path, format!("must be between {min} and {max}"));
            false
        }
        (
            Wanted::Table { .. }
            | Wanted::List { .. }
            | Wanted::OneOf(_)
            | Wanted::Text { .. }
            | Wanted::Integer { .. }
            | Wanted::Bool,
            _,
        ) => true,
    }
}

fn fit_entries(
    entries: &mut BTreeMap<String, Node>,
    properties: Option<&serde_json::Map<String, Json>>,
    any: Option<&Json>,
    table: &Json,
    path: &str,
    report: &mut Report,
) {
    entries.retain(|key, entry| {
        let path = join(path, key);
        match properties.and_then(|properties| properties.get(key)).or(any) {
            Some(schema) => fit(entry, schema, &path, report),
            None => {
                report.problem(&path, unknown_key(key, table));
                false
            }
        }
    });
}

fn fit_items(nodes: &mut [Node], items: Option<&Json>, path: &str, report: &mut Report) {
    let Some(schema) = items else { return };
    for (at, node) in nodes.iter_mut().enumerate() {
        // An item that is left out would shift the ones behind it away from their lines.
        if !fit(node, schema, &item(path, at), report) {
            node.value = stand_in(schema);
        }
    }
}

fn add_missing(
    entries: &mut BTreeMap<String, Node>,
    schema: &Json,
    path: &str,
    report: &mut Report,
    origin: &crate::report::Origin,
) {
    let Wanted::Table { properties: Some(properties), .. } = Wanted::of(schema) else { return };
    for key in required(schema) {
        let (false, Some(schema)) = (entries.contains_key(key), properties.get(key)) else { continue };
        report.broken(&join(path, key), "is missing");
        entries.insert(key.to_owned(), Node { origin: origin.clone(), value: stand_in(schema) });
    }
}

/// A value serde accepts in place of a broken one.
fn stand_in(schema: &Json) -> Value {
    match Wanted::of(schema) {
        Wanted::Table { properties, .. } => {
            let required = required(schema).filter_map(|key| Some((key, properties?.get(key)?)));
            let entries = required.map(|(key, schema)| {
                (key.to_owned(), Node { origin: crate::report::Origin::Nowhere, value: stand_in(schema) })
            });
            Value::Table(entries.collect())
        }
        Wanted::List { .. } => Value::List(Vec::new()),
        Wanted::OneOf(words) => Value::Text(words.first().copied().unwrap_or_default().to_owned()),
        Wanted::Text { .. } => Value::Text(String::new()),
        Wanted::Integer { min, .. } => Value::Integer(min),
        Wanted::Bool => Value::Bool(false),
    }
}

/// The known word nearest to `word`, if one is near enough to be meant.
fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    /// Likeness by Jaro and Winkler below which a suggestion would only puzzle.
    const LIKE_ENOUGH: f64 = 0.8;
    // Nobody's slip of the finger is this long, and the comparison is quadratic.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    known
        .map(|known| (strsim::jaro_winkler(&word, &known.to_ascii_lowercase()), known))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known)
}

/// The first table that has a key of exactly this name.
fn home_of(key: &str, schema: &Json, path: &str) -> Option<String> {
    match Wanted::of(schema) {
        Wanted::Table { properties, .. } => {
            let properties = properties?;
            if properties.contains_key(key) && !path.is_empty() {
                return Some(path.to_owned());
            }
            properties.iter().find_map(|(name, schema)| home_of(key, schema, &join(path, name)))
        }
        Wanted::List { items, .. } => home_of(key, items?, path),
        Wanted::OneOf(_) | Wanted::Text { .. } | Wanted::Integer { .. } | Wanted::Bool => None,
    }
}
