use super::bad::check;

#[test]
fn integrations() {
    let with = |lines: &str, expected: &[&str]| {
        check(
            &format!(
                "[[apps]]\nid = 'a'\n[[apps.integrations]]\nid = 'i'\nsecret = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'\n{lines}"
            ),
            expected,
        );
    };
    with("url = 'http://x'", &["line 6: apps[0].integrations[0].url: must be https, unless allow_insecure = true"]);
    with(
        "url = 'https://x'\nretry_seconds = [0]",
        &["line 7: apps[0].integrations[0].retry_seconds[0]: must be between 1 and 86400"],
    );
    with(
        "url = 'https://x'\nretry_seconds = [1,1,1,1,1,1,1,1,1,1,1]",
        &["line 7: apps[0].integrations[0].retry_seconds: at most 10 entries, found 11"],
    );
    with(
        "url = 'https://x'\nevents = ['call_end']",
        &["line 7: apps[0].integrations[0].events[0]: there is no event \"call_end\"; did you mean \"call_ended\"?"],
    );
    with(
        "url = 'https://x'\nheaders = { 'a b' = 'x', Host = 'y', ok = \"a\\nb\" }",
        &[
            "line 7: apps[0].integrations[0].headers.Host: is written by the gateway itself",
            "line 7: apps[0].integrations[0].headers.\"a b\": is no header name",
            "line 7: apps[0].integrations[0].headers.ok: holds a control character, as a line end",
        ],
    );
}

#[test]
fn an_integration_is_found_by_its_id_alone() {
    let app = |id: &str, integration: &str| {
        format!(
            "[[apps]]\nid = '{id}'\n[[apps.integrations]]\nid = '{integration}'\nurl = 'https://x'\nsecret = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'\n"
        )
    };
    check(&(app("a", "crm") + &app("b", "erp")), &[]);
    check(
        &(app("a", "crm") + &app("b", "crm")),
        &["line 10: apps[1].integrations[0].id: \"crm\" is taken by apps[0].integrations[0].id"],
    );
}

#[test]
fn signing_secrets() {
    let with = |secret: &str, expected: &[&str]| {
        check(
            &format!("[[apps]]\nid = 'a'\n[[apps.integrations]]\nid = 'i'\nurl = 'https://x'\nsecret = '{secret}'"),
            expected,
        );
    };
    with("s", &["line 6: apps[0].integrations[0].secret: must be whsec_ and base64; several are separated by spaces"]);
    with("whsec_c2VjcmV0", &["line 6: apps[0].integrations[0].secret: must hold 24 to 64 bytes, as base64"]);
    with("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", &[]);
}
