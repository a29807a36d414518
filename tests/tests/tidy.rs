//! The house rules that a machine can check: who may know whom, how long a file may be, what must not be left lying.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // helpers of tests are tests, which the lint does not see

use std::path::{Path, PathBuf};

/// Longest source file, lines.
const LONGEST_FILE: usize = 400;

#[test]
fn tidy_no_crate_knows_one_it_must_not() {
    let rules: [(&str, &[&str]); 5] = [
        ("config", &["trunkline_media", "trunkline_signaling", "trunkline::", "tokio", "axum"]),
        ("media", &["trunkline_config", "trunkline_signaling", "trunkline::", "axum"]),
        ("signaling", &["trunkline_config", "trunkline_media", "trunkline::", "axum"]),
        ("loadtest", &["trunkline_config", "trunkline::"]),
        ("gateway", &["trunkline_tests", "trunkline_loadtest"]),
    ];
    for (krate, strangers) in rules {
        for (path, text) in sources(krate) {
            for stranger in strangers {
                let used = text.lines().any(|line| {
                    let line = line.trim_start();
                    !line.starts_with("//")
                        && (line.contains(&format!("use {stranger}")) || line.contains(&format!(" {stranger}")))
                });
                assert!(!used, "{} knows {stranger}", path.display());
            }
        }
    }
}

#[test]
fn tidy_tokio_stays_at_the_edges() {
    for (krate, edges) in [("media", "worker/"), ("signaling", "transport/")] {
        for (path, text) in sources(krate) {
            let edge = path.to_string_lossy().contains(edges);
            assert!(edge || !text.contains("use tokio"), "{} uses tokio outside {edges}", path.display());
        }
    }
}

#[test]
fn tidy_unsafe_code_stays_where_it_is_written_down() {
    let allowed = [
        "media/src/worker/batch.rs",
        "media/src/counting.rs",
        "gateway/src/counting.rs",
        "gateway/src/daemon/memory.rs",
        "loadtest/src/sys.rs",
        "loadtest/src/allocations.rs",
    ];
    for krate in ["config", "media", "signaling", "gateway", "loadtest"] {
        for (path, text) in sources(krate) {
            let known = allowed.iter().any(|end| path.ends_with(end));
            assert!(known || !text.contains("allow(unsafe_code)"), "{} allows unsafe code", path.display());
        }
    }
}

#[test]
fn tidy_files_are_short_and_finished() {
    for krate in ["config", "media", "signaling", "gateway", "tests", "loadtest"] {
        for (path, text) in sources(krate) {
            let lines = text.lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines: split it along a real seam", path.display());
            let unfinished = ["todo!", "unimplemented!"].iter().find(|word| text.contains(&format!("{word}()")));
            assert!(unfinished.is_none(), "{} is unfinished", path.display());
        }
    }
}

#[test]
fn tidy_bounded_sends_say_what_happens_when_full() {
    for krate in ["media", "signaling", "gateway"] {
        for (path, text) in sources(krate) {
            if path.to_string_lossy().contains("test") {
                continue;
            }
            let lines: Vec<&str> = text.lines().take_while(|line| !line.contains("#[cfg(test)]")).collect();
            for (at, _) in lines.iter().enumerate().filter(|(_, line)| line.contains(".try_send(")) {
                let around = &lines[at.saturating_sub(6)..lines.len().min(at + 4)];
                assert!(
                    around.iter().any(|line| line.contains("overflow:")),
                    "{}:{} sends without an `overflow:` tag",
                    path.display(),
                    at + 1
                );
            }
        }
    }
}

/// The README says of each line of the published contract, and of each section of the RFCs, which tests show it.
#[test]
fn tidy_every_test_the_tables_name_exists() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a README");
    let crates = ["config", "media", "signaling", "gateway", "tests", "loadtest"];
    let code: String = crates.into_iter().flat_map(sources).map(|(_, text)| text).collect();
    for (section, least) in
        [("## The published contract", 46), ("## SIP, section by section", 24), ("## The media worker", 10)]
    {
        let (_, table) = readme.split_once(section).expect("the table");
        let (table, _) = table.split_once("\n## ").expect("something after it");
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ") && line.contains("` |")).collect();
        assert!(rows.len() >= least, "{section}: {} rows", rows.len());
        for row in rows {
            let (_, tests) = row.trim_end_matches(" |").rsplit_once(" | ").expect("columns");
            for name in tests.split(", ").map(|name| name.trim_matches('`')) {
                assert!(code.contains(&format!("fn {name}(")), "{row}: there is no test {name}");
            }
        }
    }
}

/// Every Rust file of a crate with its text.
fn sources(krate: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join(krate);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests/tests/tidy.rs") {
                found.push((path.clone(), std::fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {krate}");
    found
}
