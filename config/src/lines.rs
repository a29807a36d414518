//! From a key's path to the line, or the environment variable, it was set by.

use std::collections::HashMap;

use crate::report::Origin;
use crate::tree::{Node, Value};

/// Where each key of a tree came from.
pub(crate) struct Index(HashMap<String, Origin>);

impl Index {
    /// Remembers the origin of everything in `tree`.
    pub(crate) fn of(tree: &Node) -> Self {
        let mut index = HashMap::new();
        collect(tree, String::new(), &mut index);
        Self(index)
    }

    /// Origin of `key`, or of the nearest table around it.
    pub(crate) fn origin(&self, key: &str) -> &Origin {
        let mut rest = key;
        loop {
            if let Some(origin) = self.0.get(rest) {
                return origin;
            }
            match parent(rest) {
                Some(parent) => rest = parent,
                None => return &Origin::Nowhere,
            }
        }
    }
}

/// `table.key`, quoting a key that TOML would want quoted.
pub(crate) fn join(table: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (table.is_empty(), bare) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{key:?}"),
        (false, true) => format!("{table}.{key}"),
        (false, false) => format!("{table}.{key:?}"),
    }
}

/// `list[at]`
pub(crate) fn item(list: &str, at: usize) -> String {
    format!("{list}[{at}]")
}

/// The table or list `key` is in; `None` for a top-level key.
pub(crate) fn parent(key: &str) -> Option<&str> {
    key.rfind(['.', '[']).and_then(|cut| key.get(..cut))
}

/// The byte offsets at which lines begin.
pub(crate) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub(crate) fn of(text: &str) -> Self {
        Self(
            std::iter::once(0)
                .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// The line, counted from 1, that holds the byte at `offset`.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

fn collect(node: &Node, path: String, index: &mut HashMap<String, Origin>) {
    match &node.value {
        Value::Table(entries) => {
            for (key, entry) in entries {
                collect(entry, join(&path, key), index);
            }
        }
        Value::List(items) => {
            for (at, entry) in items.iter().enumerate() {
                collect(entry, item(&path, at), index);
            }
        }
        Value::Text(_) | Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::Date(_) => {}
    }
    if !path.is_empty() {
        index.insert(path, node.origin.clone());
    }
}
