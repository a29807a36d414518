//! The JSON Schema of the file: published for editors, and the one description the file and the environment are held
//! against before serde sees them (so that every misspelt key and wrong type is found at once, not only the first).

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::raw::Raw;

/// JSON Schema (draft 2020-12) of the configuration file, with every key's documentation as its description.
#[must_use]
pub fn schema() -> Value {
    shared().clone()
}

/// The same, made once.
pub(crate) fn shared() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        let mut schema = settings.into_generator().into_root_schema_for::<Raw>();
        schema.insert("title".to_owned(), "Trunkline configuration".into());
        schema.to_value()
    })
}

/// What a schema asks of a value.
pub(crate) enum Wanted<'s> {
    /// A table with these keys; of any key, when `any` is given.
    Table { properties: Option<&'s serde_json::Map<String, Value>>, any: Option<&'s Value> },
    /// A list; a single string will do for a list of one when `or_one`.
    List { items: Option<&'s Value>, at_most: Option<u64>, or_one: bool },
    /// One of these words.
    OneOf(Vec<&'s str>),
    /// A string; a bare TOML date will do when `date`.
    Text { date: bool },
    /// A whole number within bounds.
    Integer { min: i128, max: i128 },
    /// True or false.
    Bool,
}

impl<'s> Wanted<'s> {
    pub(crate) fn of(schema: &'s Value) -> Self {
        let or_one = branches(schema).any(|branch| kind(branch) == "string");
        let schema = not_null(schema);
        if let Some(words) = words(schema) {
            return Self::OneOf(words);
        }
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64).map(i128::from);
        match kind(schema) {
            "object" => Self::Table {
                properties: schema.get("properties").and_then(Value::as_object),
                any: schema.get("additionalProperties").filter(|any| any.is_object()),
            },
            "array" => {
                let at_most = schema.get("maxItems").and_then(Value::as_u64);
                Self::List { items: schema.get("items"), at_most, or_one }
            }
            "integer" => {
                Self::Integer { min: bound("minimum").unwrap_or(i128::MIN), max: bound("maximum").unwrap_or(i128::MAX) }
            }
            "boolean" => Self::Bool,
            _ => Self::Text { date: schema.get("format").and_then(Value::as_str) == Some("date") },
        }
    }

    /// What a person would call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Table { .. } => "a table",
            Self::List { or_one: false, .. } => "a list",
            Self::List { or_one: true, .. } => "a string or a list",
            Self::OneOf(_) | Self::Text { .. } => "a string",
            Self::Integer { .. } => "a whole number",
            Self::Bool => "true or false",
        }
    }
}

/// Keys a table must have.
pub(crate) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    not_null(schema).get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// TOML has no null: an optional value is described by the other branch.
fn not_null(schema: &Value) -> &Value {
    branches(schema).find(|branch| kind(branch) != "null").unwrap_or(schema)
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    schema.get("anyOf").and_then(Value::as_array).into_iter().flatten()
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or(""),
        _ => "",
    }
}

fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let branches = schema.get("oneOf").and_then(Value::as_array)?;
    Some(branches.iter().filter_map(|branch| branch.get("const").and_then(Value::as_str)).collect())
}
