use proptest::prelude::*;

use super::{load_with, schema_paths};

/// TOML-looking lines over the real keys with values of all kinds.
fn line() -> impl Strategy<Value = String> {
    let paths = schema_paths();
    let value = prop_oneof![
        Just("true".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("[{}]".to_owned()),
        Just("''".to_owned()),
        Just("2026-12-25".to_owned()),
        Just("nan".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f32>().prop_map(|number| format!("{number:?}")),
        "[ -~]{0,24}".prop_map(|text| format!("{text:?}")),
        "(sip|sips|tel|https|http)?:?/{0,2}[a-z0-9:@;=.\\[\\]%-]{0,16}".prop_map(|text| format!("'{text}'")),
        "[0-9]{0,5}:?-?[0-9]{0,5}".prop_map(|text| format!("['{text}', {{ x = 1 }}]")),
    ];
    (proptest::sample::select(paths), value).prop_map(|(path, value)| format!("{path} = {value}\n"))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _read = load_with(&text, &[]);
    }

    #[test]
    fn no_toml_makes_it_panic(lines in proptest::collection::vec(line(), 0..12)) {
        let text: String = lines.concat();
        if let Err(problems) = load_with(&text, &[]) {
            prop_assert!(!problems.0.is_empty());
            // Whatever the schema lets through, serde and the checks take or complain about by key.
            prop_assert!(!problems.to_string().contains("does not fit the schema"), "{}\n{}", text, problems);
        }
    }

    #[test]
    fn no_single_line_makes_it_panic_or_gives_a_complaint_without_a_line(line in line()) {
        if let Err(problems) = load_with(&line, &[]) {
            for problem in problems.0 {
                prop_assert_eq!(problem.line, Some(1), "{}: {}", line, problem);
            }
        }
    }

    #[test]
    fn no_variable_makes_it_panic(name in "TRUNKLINE__[A-Z0-9_]{0,30}", value in ".{0,40}") {
        let _read = load_with("", &[(&name, &value)]);
    }

    #[test]
    fn no_override_makes_it_panic(path in proptest::sample::select(schema_paths()), value in ".{0,40}") {
        let name = format!("TRUNKLINE__{}", path.to_uppercase().replace('.', "__0__"));
        let _read = load_with("", &[(&name, &value), (&name.replace("__0__", "__"), &value)]);
    }
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        "a = ".to_owned() + &"[".repeat(100_000),
        "a.".repeat(100_000) + "a = 1",
        "a = ".to_owned() + &"{a=".repeat(100_000),
    ] {
        assert!(load_with(&text, &[]).is_err());
    }
}
