//! As much of PromQL as it takes to know which metrics and labels a query uses.

/// What a query uses.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query {
    /// The metrics, in order.
    pub(super) uses: Vec<Use>,
    /// Labels of `by`, `without`, `on`, `ignoring`, `group_left`, `group_right`.
    pub(super) grouping: Vec<String>,
}

/// A metric, and what is asked of its labels: label, operator, value.
#[derive(Debug, PartialEq)]
pub(super) struct Use {
    pub(super) name: String,
    pub(super) matchers: Vec<[String; 3]>,
}

/// Reads a query; metrics are the words that begin with `trunkline`.
pub(super) fn scan(query: &str) -> Query {
    let mut found = Query::default();
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || first == '_' {
            let (word, after) = rest.split_at(rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()));
            rest = after.trim_start();
            if ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word) && rest.starts_with('(')
            {
                let (labels, after) = rest[1..].split_once(')').expect("a closed list of labels");
                found.grouping.extend(labels.split(',').map(|label| label.trim().to_owned()).filter(|l| !l.is_empty()));
                rest = after;
            } else if word.starts_with("trunkline") {
                let matchers = if rest.starts_with('{') { matchers(&mut rest) } else { Vec::new() };
                found.uses.push(Use { name: word.to_owned(), matchers });
            }
        } else if first == '"' {
            string(&mut rest);
        } else if first == '[' {
            rest = rest.split_once(']').expect("a closed range").1;
        } else {
            rest = &rest[first.len_utf8()..];
            if first.is_ascii_digit() {
                // The unit of a duration is no word.
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
            }
        }
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn matchers(rest: &mut &str) -> Vec<[String; 3]> {
    let mut found = Vec::new();
    *rest = &rest[1..];
    loop {
        *rest = rest.trim_start_matches([' ', ',', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            *rest = after;
            return found;
        }
        let (label, after) = rest.split_at(rest.find(|c: char| !is_word(c)).expect("an operator"));
        let (operator, after) = after.split_at(after.find('"').expect("a value"));
        *rest = after;
        found.push([label.trim().to_owned(), operator.trim().to_owned(), string(rest)]);
    }
}

fn string(rest: &mut &str) -> String {
    let (text, after) = rest[1..].split_once('"').expect("a closed string");
    *rest = after;
    text.to_owned()
}

#[test]
fn the_metrics_and_labels_of_a_query_are_found() {
    let query = scan(
        r#"sum by (half_leg, le) (rate(trunkline_a_total{level="red", half_leg=~"x|y"}[5m])) / ignoring(level) group_left
        sum(trunkline:b:rate5m offset 1h) > 0.05 and on (instance) (up{job="t"} == 1e3) or trunkline_c > 2"#,
    );
    let names: Vec<_> = query.uses.iter().map(|u| u.name.as_str()).collect();
    assert_eq!(names, ["trunkline_a_total", "trunkline:b:rate5m", "trunkline_c"]);
    let words = |[label, operator, value]: [&str; 3]| [label.to_owned(), operator.to_owned(), value.to_owned()];
    assert_eq!(query.uses[0].matchers, [words(["level", "=", "red"]), words(["half_leg", "=~", "x|y"])]);
    assert_eq!(query.grouping, ["half_leg", "le", "level", "instance"]);
}
