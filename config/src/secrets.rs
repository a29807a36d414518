//! Values that may stand elsewhere: `env:NAME` and `file:PATH`.

use std::collections::HashMap;
use std::path::Path;

use crate::model::Secret;
use crate::raw::RawSecret;
use crate::report::Report;

/// Largest secret file that is read, bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where secrets are looked up.
pub(crate) struct Secrets<'a> {
    /// `file:` paths are relative to it.
    pub(crate) base_dir: &'a Path,
    /// What `env:` names.
    pub(crate) environment: &'a HashMap<String, String>,
}

impl Secrets<'_> {
    /// The secret under `key`; `None` when it is empty, or when it could not be had and that is reported.
    pub(crate) fn optional(&self, report: &mut Report, key: &str, raw: &RawSecret) -> Option<Secret> {
        match self.resolve(raw.0.as_str()) {
            Ok(value) if value.is_empty() => None,
            Ok(value) => Some(Secret::new(value)),
            Err(message) => {
                report.broken(key, message);
                None
            }
        }
    }

    /// As [`Self::optional`], where an empty one is a problem too.
    pub(crate) fn required(&self, report: &mut Report, key: &str, raw: &RawSecret) -> Option<Secret> {
        let secret = self.optional(report, key, raw);
        if secret.is_none() {
            report.broken(key, "must not be empty");
        }
        secret
    }

    fn resolve(&self, text: &str) -> Result<String, String> {
        if let Some(name) = text.strip_prefix("env:") {
            return match self.environment.get(name) {
                None => Err(format!("environment variable {name} is not set")),
                Some(value) if value.is_empty() => Err(format!("environment variable {name} is empty")),
                Some(value) => Ok(value.clone()),
            };
        }
        match text.strip_prefix("file:") {
            Some(path) => read(&self.base_dir.join(path)),
            None => Ok(text.to_owned()),
        }
    }
}

/// A secret file without the line end editors put there.
fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("cannot read {shown}: {error}");
    let about = std::fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        return Err(format!("{shown} is no file"));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("{shown} is larger than {FILE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err(format!("{shown} is empty")) } else { Ok(text.to_owned()) }
}
