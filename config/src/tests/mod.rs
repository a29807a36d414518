//! The crate as its users see it: texts in, values or complaints out.

mod bad;
mod bad_integrations;
mod bad_sip;
mod example;
mod good;
mod inbound;
mod notes;
mod overrides;
mod properties;
mod registration;
mod secret;
mod tls;
mod trunk_groups;

use std::path::Path;

use crate::host::Host;
use crate::{Loaded, Problems, load_on};

/// A machine that never differs: two cores, Linux's default ephemeral ports.
pub(super) fn host() -> Host {
    Host {
        cores: 2,
        ephemeral: Some(32768..=60999),
        reserved: Vec::new(),
        now: "2026-06-01T00:00:00Z".parse().unwrap(),
    }
}

pub(super) fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    load_in(Path::new("/nowhere"), text, env)
}

pub(super) fn load_in(base_dir: &Path, text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_on(&host(), text, base_dir, env)
}

/// The complaints about `text`, as they are shown.
pub(super) fn complaints(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    match load_with(text, env) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

/// Dotted paths of the keys a single line can set: lists of tables end the way.
pub(super) fn schema_paths() -> Vec<String> {
    fn walk(schema: &serde_json::Value, path: &str, paths: &mut Vec<String>) {
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            let path = crate::lines::join(path, key);
            walk(below, &path, paths);
            paths.push(path);
        }
    }
    let mut paths = Vec::new();
    walk(crate::schema::shared(), "", &mut paths);
    paths
}
