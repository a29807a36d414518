//! What is wrong with a configuration, and what is merely worth saying; each with its key and where it came from.

use std::collections::HashSet;
use std::fmt;

use crate::lines::Index;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the file, counted from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// Nobody set it.
    Nowhere,
}

/// One thing that keeps the configuration from being used.
///
/// Shown as `line 12: trunks[0].target: …` or `environment TRUNKLINE__TRUNKS__0__TARGET: trunks[0].target: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, as `trunks[0].target`; empty when the file as a whole is meant.
    pub key: String,
    /// The line of the file, counted from 1; of the enclosing table when the key itself is missing.
    pub line: Option<usize>,
    /// The environment variable that set the value, if one did.
    pub variable: Option<String>,
    /// What is wrong and what would be right. Never shows a secret.
    pub message: String,
}

/// Something worth knowing that is no mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The key, as `trunks[0].srtp`.
    pub key: String,
    /// The line of the file, counted from 1.
    pub line: Option<usize>,
    /// The environment variable that set the value, if one did.
    pub variable: Option<String>,
    /// What to know.
    pub message: String,
    /// The setting is not active yet and going on without it would be unsafe: the gateway must not start.
    pub blocks_run: bool,
}

/// Every problem of a configuration, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.line, self.variable.as_deref(), &self.key)?;
        f.write_str(&self.message)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(f, self.line, self.variable.as_deref(), &self.key)?;
        f.write_str(&self.message)
    }
}

impl From<Note> for Problem {
    fn from(note: Note) -> Self {
        Self { key: note.key, line: note.line, variable: note.variable, message: note.message }
    }
}

impl Problem {
    pub(crate) fn new(key: &str, origin: &Origin, message: impl Into<String>) -> Self {
        let (line, variable) = place(origin);
        Self { key: key.to_owned(), line, variable, message: message.into() }
    }
}

fn place(origin: &Origin) -> (Option<usize>, Option<String>) {
    match origin {
        Origin::Line(line) => (Some(*line), None),
        Origin::Variable(name) => (None, Some(name.clone())),
        Origin::Nowhere => (None, None),
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, line: Option<usize>, variable: Option<&str>, key: &str) -> fmt::Result {
    match (line, variable) {
        (_, Some(name)) => write!(f, "environment {name}: ")?,
        (Some(line), None) => write!(f, "line {line}: ")?,
        (None, None) => {}
    }
    if key.is_empty() { Ok(()) } else { write!(f, "{key}: ") }
}

/// Collects problems and notes while a configuration is checked.
///
/// A key that is known to be broken is not complained about twice: its value has been replaced by a stand-in so that
/// the checks can go on and find what else is wrong.
pub(crate) struct Report {
    index: Index,
    broken: HashSet<String>,
    problems: Vec<Problem>,
    notes: Vec<Note>,
}

impl Report {
    pub(crate) fn new(index: Index) -> Self {
        Self { index, broken: HashSet::new(), problems: Vec::new(), notes: Vec::new() }
    }

    /// Takes in problems found before the lines were known.
    pub(crate) fn extend(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// The value under `key` is unusable.
    pub(crate) fn problem(&mut self, key: &str, message: impl Into<String>) {
        if self.is_broken(key) {
            return;
        }
        self.problems.push(Problem::new(key, self.index.origin(key), message));
    }

    /// As [`Self::problem`], and nothing more is to be said about this key or what is below it.
    pub(crate) fn broken(&mut self, key: &str, message: impl Into<String>) {
        self.problem(key, message);
        self.broken.insert(key.to_owned());
    }

    /// Worth knowing.
    pub(crate) fn note(&mut self, key: &str, message: impl Into<String>) {
        self.push_note(key, message.into(), false);
    }

    /// A setting whose silent absence would be unsafe: refuses to run when `in_use`.
    pub(crate) fn blocking_note(&mut self, key: &str, message: impl Into<String>, in_use: bool) {
        self.push_note(key, message.into(), in_use);
    }

    /// Whether `key`, or a table it is in, is known to be broken.
    pub(crate) fn is_broken(&self, key: &str) -> bool {
        let mut rest = key;
        loop {
            if self.broken.contains(rest) {
                return true;
            }
            match crate::lines::parent(rest) {
                Some(parent) => rest = parent,
                None => return false,
            }
        }
    }

    /// All problems in the order of the file, those of the environment last; or the notes, likewise.
    pub(crate) fn finish(mut self) -> Result<Vec<Note>, Problems> {
        if self.problems.is_empty() {
            self.notes.sort_by_key(|note| (note.variable.is_some(), note.line));
            return Ok(self.notes);
        }
        Err(sorted(self.problems))
    }

    fn push_note(&mut self, key: &str, message: String, blocks_run: bool) {
        if self.is_broken(key) {
            return;
        }
        let (line, variable) = place(self.index.origin(key));
        self.notes.push(Note { key: key.to_owned(), line, variable, message, blocks_run });
    }
}

/// Problems in the order of the file, those of the environment last.
pub(crate) fn sorted(mut problems: Vec<Problem>) -> Problems {
    problems.sort_by_key(|problem| (problem.variable.is_some(), problem.line));
    Problems(problems)
}
