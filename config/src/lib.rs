//! Every knob of the gateway, parsed once into values that cannot be wrong.
//!
//! [`load`] reads the file, lays the environment over it, resolves secrets and hands back a [`Config`]; or every
//! problem it found, each with its key and line.

mod check;
mod describe;
mod host;
mod lines;
pub mod model;
mod overlay;
mod raw;
mod report;
mod schema;
mod secrets;
mod shape;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashMap;
use std::path::Path;

pub use describe::describe;
pub use model::*;
pub use report::{Note, Problem, Problems};
pub use schema::schema;

use crate::host::Host;
use crate::lines::Index;
use crate::report::{Origin, Report};
use crate::secrets::Secrets;

/// Largest file that is read, bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A configuration without problems, and what is worth saying about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Settings that are not active yet, and other things an operator should know; in the order of the file.
    pub notes: Vec<Note>,
}

impl Loaded {
    /// The configuration, to run a gateway by.
    ///
    /// # Errors
    /// The notes that block a run: settings that are not active yet and must not be silently absent.
    pub fn for_run(self) -> Result<Self, Problems> {
        let (blocking, notes): (Vec<_>, Vec<_>) = self.notes.into_iter().partition(|note| note.blocks_run);
        if blocking.is_empty() {
            return Ok(Self { config: self.config, notes });
        }
        Err(Problems(blocking.into_iter().map(Problem::from).collect()))
    }
}

/// Reads the file at `path` and lays `env` over it. Paths in the file are relative to the file.
///
/// # Errors
/// Everything that is wrong, in the order of the file; the environment's problems last.
pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    let text = read(path).map_err(|message| {
        Problems(vec![Problem::new("", &Origin::Nowhere, format!("{}: {message}", path.display()))])
    })?;
    load_str(&text, path.parent().unwrap_or(Path::new("")), env)
}

/// As [`load`], of a text that stands in `base_dir`.
///
/// # Errors
/// As [`load`].
pub fn load_str(text: &str, base_dir: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Problems> {
    load_on(&Host::this(), text, base_dir, env)
}

/// As [`load_str`], on a machine of which the facts are given.
fn load_on(
    host: &Host,
    text: &str,
    base_dir: &Path,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Problems> {
    let environment: HashMap<String, String> = env.collect();
    let mut tree = tree::parse(text)?;
    let overlay_problems = overlay::apply(&mut tree, &environment);
    let mut report = Report::new(Index::of(&tree));
    report.extend(overlay_problems);
    shape::check(&mut tree, &mut report);
    let secrets = Secrets { base_dir, environment: &environment };
    // serde's own message is not shown: it would quote the value, which may be a secret. It has nothing to say as long
    // as the schema describes what serde accepts.
    let raw = serde_json::from_value::<raw::Raw>(tree.value.into_json()).ok();
    let config = raw.and_then(|raw| check::check(&raw, host, &secrets, &mut report));
    let notes = report.finish()?;
    let unusable = || Problems(vec![Problem::new("", &Origin::Nowhere, "does not fit the schema")]);
    Ok(Loaded { config: config.ok_or_else(unusable)?, notes })
}

fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| format!("cannot read: {error}"))?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("cannot read: {error}"))
}
