//! Lays `TRUNKLINE__SECTION__KEY=…` over the file.
//!
//! Names are the key's path in capitals, joined by two underscores; a list's entries go by their number
//! (`TRUNKLINE__TRUNKS__0__TARGET`), and the number just past the end appends. A value is read as TOML where that
//! gives the right type, and is taken as it stands where a string is wanted.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value as Json;

use crate::lines::{item, join};
use crate::report::{Origin, Problem};
use crate::schema::{Wanted, shared};
use crate::shape::{is_of_kind, unknown_key};
use crate::tree::{Node, Value, parse_value};

const PREFIX: &str = "TRUNKLINE__";

/// Overrides `tree` by the variables that bear the prefix.
///
/// # Errors
/// Variables that name no key or whose value has the wrong type.
pub(crate) fn apply(tree: &mut Node, environment: &HashMap<String, String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (steps, name, value) in overrides(environment) {
        let origin = Origin::Variable(name.to_owned());
        if let Err((key, message)) = set(tree, shared(), "", &steps, value, &origin) {
            problems.push(Problem::new(&key, &origin, message));
        }
    }
    problems
}

/// One part of a variable's name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Numbers sort by value, so that entries are appended in order.
    At(usize),
    Key(String),
}

/// The overrides, tables and lists before what is in them.
fn overrides(environment: &HashMap<String, String>) -> Vec<(Vec<Step>, &str, &str)> {
    let mut found: Vec<_> = environment
        .iter()
        .filter_map(|(name, value)| Some((steps(name.strip_prefix(PREFIX)?), name.as_str(), value.as_str())))
        .collect();
    found.sort();
    found
}

fn steps(path: &str) -> Vec<Step> {
    let step = |part: &str| part.parse().map_or_else(|_| Step::Key(part.to_ascii_lowercase()), Step::At);
    path.split("__").map(step).collect()
}

/// Sets what `steps` lead to below `node`; else says which key is at fault and why.
fn set(
    node: &mut Node,
    schema: &Json,
    path: &str,
    steps: &[Step],
    value: &str,
    origin: &Origin,
) -> Result<(), (String, String)> {
    let Some((step, rest)) = steps.split_first() else {
        node.value = read(value, schema, origin).map_err(|message| (path.to_owned(), message))?;
        node.origin = origin.clone();
        return Ok(());
    };
    if let (Wanted::List { or_one: true, .. }, Value::Text(_)) = (Wanted::of(schema), &node.value) {
        // What stands there is the first of the list.
        let first = Node { origin: node.origin.clone(), value: std::mem::replace(&mut node.value, Value::Bool(false)) };
        node.value = Value::List(vec![first]);
    }
    match (Wanted::of(schema), &mut node.value) {
        (Wanted::Table { properties, any }, Value::Table(entries)) => {
            let key = match step {
                Step::At(number) => number.to_string(),
                Step::Key(key) => key.clone(),
            };
            let path = join(path, &key);
            let Some(below) = properties.and_then(|properties| properties.get(&key)).or(any) else {
                return Err((path, unknown_key(&key, schema)));
            };
            set_entry(entries, key, below, &path, rest, value, origin)
        }
        (Wanted::List { items: Some(below), .. }, Value::List(nodes)) => {
            let Step::At(at) = step else {
                return Err((path.to_owned(), "entries of this list go by their number, counted from 0".to_owned()));
            };
            let path = item(path, *at);
            if *at > nodes.len() {
                return Err((path, format!("the list has {} entries: the next one is {}", nodes.len(), nodes.len())));
            }
            if *at == nodes.len() {
                nodes.push(Node { origin: origin.clone(), value: blank(below) });
            }
            nodes.get_mut(*at).map_or(Ok(()), |node| set(node, below, &path, rest, value, origin))
        }
        (Wanted::Table { .. } | Wanted::List { .. }, _) => {
            // The file has something else here, which is reported as the file's problem.
            Ok(())
        }
        (Wanted::OneOf(_) | Wanted::Text { .. } | Wanted::Integer { .. } | Wanted::Bool, _) => {
            Err((path.to_owned(), "has no keys below it".to_owned()))
        }
    }
}

fn set_entry(
    entries: &mut BTreeMap<String, Node>,
    key: String,
    schema: &Json,
    path: &str,
    rest: &[Step],
    value: &str,
    origin: &Origin,
) -> Result<(), (String, String)> {
    if let Some(node) = entries.get_mut(&key) {
        return set(node, schema, path, rest, value, origin);
    }
    // Kept only if it could be set: half an entry would be a second problem.
    let mut node = Node { origin: origin.clone(), value: blank(schema) };
    set(&mut node, schema, path, rest, value, origin)?;
    entries.insert(key, node);
    Ok(())
}

/// What is there before anything is set.
fn blank(schema: &Json) -> Value {
    match Wanted::of(schema) {
        Wanted::Table { .. } => Value::Table(BTreeMap::new()),
        Wanted::List { .. } => Value::List(Vec::new()),
        Wanted::OneOf(_) | Wanted::Text { .. } | Wanted::Integer { .. } | Wanted::Bool => Value::Text(String::new()),
    }
}

/// The value of a variable, in the type its key wants. The message never shows the value: it may hold secrets.
fn read(text: &str, schema: &Json, origin: &Origin) -> Result<Value, String> {
    if let Some(value) = parse_value(text.trim(), origin).filter(|value| is_of_kind(value, schema)) {
        return Ok(value);
    }
    match Wanted::of(schema) {
        Wanted::OneOf(_) | Wanted::Text { .. } | Wanted::List { or_one: true, .. } => Ok(Value::Text(text.to_owned())),
        Wanted::List { or_one: false, .. } => Err("expected a list, as [\"a\", \"b\"]".to_owned()),
        Wanted::Table { .. } => Err("expected a table, as { key = \"value\" }".to_owned()),
        wanted @ (Wanted::Integer { .. } | Wanted::Bool) => Err(format!("expected {}", wanted.kind())),
    }
}
