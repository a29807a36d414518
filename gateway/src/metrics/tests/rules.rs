//! As much of YAML as the rule files of `config/deploy` are written in.

use std::collections::BTreeMap;

/// A rule: its keys, those of `labels` and `annotations` among them, with their texts.
pub(super) type Rule = BTreeMap<String, String>;

/// Reads the rules of a file.
pub(super) fn read(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let indent = indent(line);
        let Some((key, value)) = line.trim_start().split_once(':') else { continue };
        let value = match value.trim() {
            "|" | ">-" => {
                let mut block = Vec::new();
                while let Some(line) = lines.next_if(|line| line.trim().is_empty() || self::indent(line) > indent) {
                    block.push(line.trim());
                }
                block.join(" ")
            }
            plain => plain.trim_matches(['"', '\'']).to_owned(),
        };
        let begun = key.strip_prefix("- ").filter(|key| ["alert", "record"].contains(key));
        if begun.is_some() {
            rules.push(Rule::new());
        }
        if let Some(rule) = rules.last_mut() {
            rule.insert(begun.unwrap_or(key).to_owned(), value);
        }
    }
    rules
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[test]
fn rules_are_read_with_their_blocks() {
    let text = "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: |\n          a\n            > 1\n        for: 5m\n        annotations:\n          summary: \"x: y\"\n      - record: b:c\n        expr: sum(d)\n";
    let rules = read(text);
    assert_eq!(rules.len(), 2);
    let of = |rule: usize, key: &str| rules[rule].get(key).map(String::as_str);
    assert_eq!((of(0, "alert"), of(0, "expr"), of(0, "for")), (Some("A"), Some("a > 1"), Some("5m")));
    assert_eq!((of(0, "summary"), of(1, "record"), of(1, "expr")), (Some("x: y"), Some("b:c"), Some("sum(d)")));
}
