use super::bad::check;
use super::load_with;

const TRUNKS: &str = "[[trunks]]\nid = 'a'\ntarget = 'a.example'\n[[trunks]]\nid = 'b'\ntarget = 'b.example'\n";

fn group(lines: &str, expected: &[&str]) {
    check(&format!("{TRUNKS}[[trunk_groups]]\n{lines}"), expected);
}

#[test]
fn a_group_stands_where_a_trunk_may() {
    let text = format!(
        "{TRUNKS}[[trunk_groups]]\nid = 'both'\ntrunks = [{{ id = 'a', priority = 2, weight = 3 }}, {{ id = 'b' }}]\n\
         [[apps]]\nid = 'shop'\nwidget_keys = ['wk_1']\nallowed_origins = ['https://shop.example']\ntrunk = 'both'\n\
         default_profile = 'main'\nprofiles = [{{ id = 'main', destinations = ['sip:agent@both', 'sip:agent@a'] }}]"
    );
    let config = load_with(&text, &[]).unwrap().config;
    let members: Vec<_> =
        config.trunk_groups[0].members.iter().map(|m| (m.trunk.as_str(), m.priority, m.weight)).collect();
    assert_eq!(members, [("a", 2, 3), ("b", 1, 1)]);
    let line = "group both: a (priority 2, weight 3), b (priority 1, weight 1)";
    assert!(crate::describe(&config).lines().any(|have| have == line));
}

#[test]
fn bad_groups() {
    group("id = 'g'\ntrunks = []", &["line 9: trunk_groups[0].trunks: must name at least one trunk"]);
    group("id = 'a'\ntrunks = [{ id = 'b' }]", &["line 8: trunk_groups[0].id: \"a\" is taken by trunks[0].id"]);
    group(
        "id = 'g'\ntrunks = [{ id = 'b' }, { id = 'b' }]",
        &["line 9: trunk_groups[0].trunks[1].id: \"b\" is listed twice"],
    );
    group(
        "id = 'g'\ntrunks = [{ id = 'b', priority = 70000 }]",
        &["line 9: trunk_groups[0].trunks[0].priority: must be between 0 and 65535"],
    );
}

#[test]
fn bad_failover() {
    check(
        "[[trunks]]\nid = 'a'\ntarget = 'a.example'\nfailover_statuses = [408, 404, 600]",
        &[
            "line 4: trunks[0].failover_statuses[1]: must be 408 or 500 to 599",
            "line 4: trunks[0].failover_statuses[2]: must be 408 or 500 to 599",
        ],
    );
    check(
        "[sip]\ndns_servers = ['192.0.2.53']",
        &["line 2: sip.dns_servers[0]: \"192.0.2.53\" is no address and port, as 127.0.0.1:8080 or [::1]:8080"],
    );
}
