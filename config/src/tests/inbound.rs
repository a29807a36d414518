use super::load_with;
use crate::{Number, Receive, Strangers, describe};

const APP: &str = "[[apps]]\nid = 'acme'\nreceive = 'widget'\n";

fn trunk(inbound: &str) -> String {
    format!("sip.strangers = 'silent'\n[[trunks]]\nid = 't'\ntarget = 'sip:192.0.2.1'\ninbound = {inbound}\n{APP}")
}

#[test]
fn calls_from_a_trunk_are_taken_only_where_it_is_said() {
    let config = load_with("[[trunks]]\nid = 't'\ntarget = 'sip:192.0.2.1'\n[[apps]]\nid = 'a'\n", &[]).unwrap().config;
    assert!(config.trunks[0].inbound.is_none());
    assert_eq!((config.apps[0].receive, config.sip.strangers), (Receive::BackEnd, Strangers::Refuse));
    let text = trunk("{ allow = ['192.0.2.0/24'] }");
    assert!(load_with(&text, &[]).unwrap().config.trunks[0].inbound.is_none(), "not enabled");

    let text = trunk(
        "{ enabled = true, allow = ['192.0.2.0/24', '2001:db8::1'], auth = { username = 'u', password = 'env:P' }, \
         numbers = { '+34910000000' = 'acme/ann' }, hosts = ['gw.acme.example'] }",
    );
    let config = load_with(&text, &[("P", "secret")]).unwrap().config;
    let inbound = config.trunks[0].inbound.as_ref().unwrap();
    let allowed: Vec<_> = inbound.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["192.0.2.0/24", "2001:db8::1/128"]);
    assert_eq!(inbound.auth.as_ref().unwrap().password.reveal(), "secret");
    let number = Number { number: "+34910000000".into(), app: "acme".into(), name: "ann".into() };
    assert_eq!(inbound.numbers, [number]);
    assert_eq!(inbound.hosts, ["gw.acme.example"]);
    assert_eq!((config.apps[0].receive, config.sip.strangers), (Receive::Widget, Strangers::Silent));
    let told = describe(&config);
    assert!(told.contains("calls from     192.0.2.0/24, 2001:db8::1/128, and from who is u"), "{told}");
    assert!(told.contains("number +34910000000: ann of acme") && !told.contains("secret"), "{told}");
    assert!(told.contains("calls us       gw.acme.example"), "{told}");
}

#[test]
fn mistakes_about_calls_from_trunks_are_named() {
    for (inbound, key) in [
        ("{ enabled = true, allow = ['192.0.2.1/24'] }", "trunks[0].inbound.allow[0]"),
        ("{ enabled = true, allow = ['somewhere'] }", "trunks[0].inbound.allow[0]"),
        ("{ enabled = true, hosts = ['gw.acme.example', 'no host'] }", "trunks[0].inbound.hosts[1]"),
        ("{ enabled = true, auth = { username = 'u' } }", "trunks[0].inbound.auth.password"),
        ("{ enabled = true, numbers = { '1' = 'ann' } }", "trunks[0].inbound.numbers.1"),
        ("{ enabled = true, numbers = { '1' = 'acme/a b' } }", "trunks[0].inbound.numbers.1"),
        ("{ enabled = true, numbers = { '1' = 'nobody/ann' } }", "trunks[0].inbound.numbers.1"),
    ] {
        let problems = load_with(&trunk(inbound), &[]).unwrap_err().to_string();
        assert!(problems.contains(key), "{inbound}: {problems}");
    }
}
