use super::{complaints, load_with};
use crate::Codec;

#[test]
fn the_environment_wins() {
    let file = "[public]\nlisten = 'broken'\n[media]\nworkers = 3\n";
    let env = [
        ("TRUNKLINE__PUBLIC__LISTEN", "127.0.0.1:9000"),
        ("TRUNKLINE__MEDIA__WORKERS", "5"),
        ("TRUNKLINE__MEDIA__BROWSER_CODECS", "['PCMA']"),
        ("TRUNKLINE__NODE__NAME", "7"),
        ("TRUNKLINE__SIP__DOMAIN", "\"quoted.example.com\""),
        ("TRUNKLINE__PUBLIC__LIMITS__CALLS_PER_MINUTE_PER_ADDRESS", "0"),
        ("TRUNKLINE_OTHER", "ignored"),
    ];
    let config = load_with(file, &env).unwrap().config;
    assert_eq!(config.public.listen.port(), 9000);
    assert_eq!(config.media.workers, 5);
    assert_eq!(config.media.browser_codecs, [Codec::Pcma]);
    assert_eq!(config.node.name, "7");
    assert_eq!(config.sip.domain, "quoted.example.com");
    assert_eq!(config.public.limits.calls_per_minute_per_address, 0);
    assert_eq!(config.public.limits.sessions_per_minute_per_address, 60);
}

#[test]
fn lists_of_tables_go_by_number() {
    let file = "[[trunks]]\nid = 't0'\ntarget = 'a'\n";
    let env = [
        ("TRUNKLINE__TRUNKS__0__TARGET", "b:5070"),
        ("TRUNKLINE__TRUNKS__1__ID", "t1"),
        ("TRUNKLINE__TRUNKS__1__TARGET", "c"),
        ("TRUNKLINE__TRUNKS__1__AUTH", "{ username = 'u', password = 'p' }"),
        ("TRUNKLINE__APPS__0__ID", "a"),
        ("TRUNKLINE__APPS__0__ALLOWED_ORIGINS__0", "https://example.com"),
    ];
    let config = load_with(file, &env).unwrap().config;
    let targets: Vec<_> = config.trunks.iter().map(|trunk| (trunk.id.as_str(), trunk.target.host.as_str())).collect();
    assert_eq!(targets, [("t0", "b"), ("t1", "c")]);
    assert_eq!(config.trunks[1].auth.as_ref().unwrap().password.reveal(), "p");
    assert_eq!(config.apps[0].allowed_origins, ["https://example.com"]);
}

#[test]
fn one_key_of_tokens_becomes_a_list_when_another_is_added() {
    let (old, new, third) = ("o".repeat(32), "n".repeat(32), "t".repeat(32));
    let file = format!("[public]\ntoken_key = '{old}'");
    let keys = |env: &[(&str, &str)]| {
        let keys = load_with(&file, env).unwrap().config.public.token_keys;
        keys.into_iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().len()
    };
    assert_eq!(keys(&[]), 1);
    assert_eq!(keys(&[("TRUNKLINE__PUBLIC__TOKEN_KEY", &new)]), 1);
    assert_eq!(keys(&[("TRUNKLINE__PUBLIC__TOKEN_KEY__1", &new)]), 2);
    assert_eq!(keys(&[("TRUNKLINE__PUBLIC__TOKEN_KEY", &format!("['{new}', '{old}', '{third}']"))]), 3);
    assert_eq!(keys(&[("TRUNKLINE__PUBLIC__TOKEN_KEY", "")]), 0);
}

#[test]
fn ten_entries_are_appended_in_order() {
    let names: Vec<(String, String)> =
        (0..12).map(|at| (format!("TRUNKLINE__PUBLIC__TRUSTED_PROXIES__{at}"), format!("192.0.2.{at}"))).collect();
    let env: Vec<(&str, &str)> = names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let config = load_with("", &env).unwrap().config;
    assert_eq!(config.public.trusted_proxies.len(), 12);
    assert_eq!(config.public.trusted_proxies[11].to_string(), "192.0.2.11");
}

#[test]
fn complaints_name_the_variable() {
    let check = |name: &str, value: &str, expected: &str| {
        assert_eq!(complaints("", &[(name, value)]), [format!("environment {name}: {expected}")]);
    };
    check("TRUNKLINE__MEDIA__WORKRES", "1", "media.workres: unknown key; did you mean \"workers\"?");
    check("TRUNKLINE__MEDIA__WORKERS", "many", "media.workers: expected a whole number");
    check("TRUNKLINE__MEDIA__WORKERS", "1000", "media.workers: must be between 0 and 256");
    check("TRUNKLINE__MEDIA__ADVERTISE", "192.0.2.1", "media.advertise: expected a list, as [\"a\", \"b\"]");
    check(
        "TRUNKLINE__MEDIA__ADVERTISE__1",
        "192.0.2.1",
        "media.advertise[1]: the list has 0 entries: the next one is 0",
    );
    check("TRUNKLINE__TRUNKS__ACME__TARGET", "x", "trunks: entries of this list go by their number, counted from 0");
    check("TRUNKLINE__NODE__NAME__X", "x", "node.name: has no keys below it");
    check(
        "TRUNKLINE__PUBLIC__LISTEN",
        "x",
        "public.listen: \"x\" is no address and port, as 127.0.0.1:8080 or [::1]:8080",
    );
    check("TRUNKLINE__PUBLIC", "secret", "public: expected a table, as { key = \"value\" }");
    check("TRUNKLINE__", "x", "\"\": unknown key");
}
