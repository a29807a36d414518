//! The table of metrics in the README is made from the catalogue.

use std::fmt::Write as _;

use super::super::catalogue::ALL;
use super::super::definition::{Definition, Label, Values};

const BEGIN: &str = "<!-- Begin of the metrics, made from gateway/src/metrics/catalogue.rs -->\n";
const END: &str = "<!-- End of the metrics -->\n";

#[test]
fn the_readme_lists_every_metric() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the mark before the metrics");
    let (have, after) = rest.split_once(END).expect("the mark after the metrics");
    let want = document();
    if have != want && std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{want}{END}{after}")).unwrap();
    } else {
        assert!(
            have == want,
            "README.md is not what the catalogue says; write it anew with\n    UPDATE=1 cargo nextest run -p trunkline the_readme_lists_every_metric"
        );
    }
}

/// A table for each group, and one of the labels.
fn document() -> String {
    let mut text = String::new();
    for group in ALL.chunk_by(|a, b| a.group == b.group) {
        let title = group.first().map_or("", |definition| definition.group);
        let _ = write!(text, "\n**{title}**\n\n| metric | type, unit | labels | what |\n|---|---|---|---|\n");
        group.iter().for_each(|definition| row(&mut text, definition));
    }
    text.push_str("\n**Labels**\n\n| label | of | values |\n|---|---|---|\n");
    let mut told: Vec<&Label> = Vec::new();
    for label in ALL.iter().flat_map(|definition| definition.labels) {
        if !told.iter().any(|other| std::ptr::eq(*other, *label)) {
            told.push(label);
            let values = match label.values {
                Values::Words(words) => words().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
                Values::Names(what, most) => format!("{what}; at most {most}"),
            };
            let _ = writeln!(text, "| `{}` | {} | {values} |", label.name, users(label));
        }
    }
    text.push('\n');
    text
}

fn row(text: &mut String, definition: &Definition) {
    let Definition { name, kind, unit, help, labels, .. } = definition;
    let labels: Vec<_> = labels.iter().map(|label| format!("`{}`", label.name)).collect();
    let _ = writeln!(text, "| `{name}` | {}, {unit} | {} | {help} |", kind.word(), labels.join(" "));
}

/// The metrics a label is of, where its name alone does not say it.
fn users(label: &Label) -> String {
    let all = ALL.iter().flat_map(|definition| definition.labels);
    let is_ambiguous = all.into_iter().any(|other| other.name == label.name && !std::ptr::eq(*other, label));
    let users = ALL.iter().filter(|definition| definition.labels.iter().any(|other| std::ptr::eq(*other, label)));
    if is_ambiguous {
        users.map(|definition| format!("`{}`", definition.name)).collect::<Vec<_>>().join(" ")
    } else {
        "all".to_owned()
    }
}
