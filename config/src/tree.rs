//! A configuration before it has types: TOML values that remember where they came from.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::lines::LineStarts;
use crate::report::{Origin, Problem, Problems, sorted};

/// Syntax errors shown at most: one slip can make a parser stumble over everything after it.
const SYNTAX_ERRORS_MAX: usize = 20;

/// A value and its origin.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

/// A TOML value. No `Debug`: it may hold secrets.
#[derive(Clone)]
pub(crate) enum Value {
    Table(BTreeMap<String, Node>),
    List(Vec<Node>),
    Text(String),
    /// Wider than TOML's 64 bits, so that a number that is too large is a range problem like any other.
    Integer(i128),
    Float(f64),
    Bool(bool),
    /// A bare date or time, as written.
    Date(String),
}

impl Value {
    /// What a person would call this kind of value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::List(_) => "a list",
            Self::Text(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::Date(_) => "a date or time",
        }
    }

    /// For serde; numbers that fit nothing become null, which no key accepts.
    pub(crate) fn into_json(self) -> serde_json::Value {
        match self {
            Self::Table(entries) => entries
                .into_iter()
                .map(|(key, node)| (key, node.value.into_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Self::List(items) => items.into_iter().map(|node| node.value.into_json()).collect(),
            Self::Text(text) | Self::Date(text) => text.into(),
            Self::Integer(number) => i64::try_from(number).map_or(serde_json::Value::Null, Into::into),
            Self::Float(number) => number.into(),
            Self::Bool(value) => value.into(),
        }
    }
}

/// Reads a whole file.
///
/// # Errors
/// Every place that is no TOML, with its line.
pub(crate) fn parse(text: &str) -> Result<Node, Problems> {
    let lines = LineStarts::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node {
            origin: Origin::Nowhere,
            value: table_value(table.into_inner(), &|at| Origin::Line(lines.line(at))),
        });
    }
    let problems = errors.iter().take(SYNTAX_ERRORS_MAX).map(|error| {
        let origin = error.span().map_or(Origin::Nowhere, |span| Origin::Line(lines.line(span.start)));
        Problem::new("", &origin, format!("not valid TOML: {}", error.message()))
    });
    Err(sorted(problems.collect()))
}

/// Reads one value, as in an environment variable; `None` when it is no TOML.
pub(crate) fn parse_value(text: &str, origin: &Origin) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    Some(any_value(value.into_inner(), &|_| origin.clone()))
}

fn table_value(table: DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Value {
    let entries = table.into_iter().map(|(key, value)| {
        let node = Node { origin: origin(key.span().start), value: any_value(value.into_inner(), origin) };
        (key.into_inner().into_owned(), node)
    });
    Value::Table(entries.collect())
}

fn any_value(value: DeValue<'_>, origin: &dyn Fn(usize) -> Origin) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(value) => Value::Date(value.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item: Spanned<DeValue<'_>>| Node {
                    origin: origin(item.span().start),
                    value: any_value(item.into_inner(), origin),
                })
                .collect(),
        ),
        DeValue::Table(table) => table_value(table, origin),
    }
}
