use super::{complaints, load_with};

/// One line of TOML after another, each with exactly the complaint it earns.
pub(super) fn check(text: &str, expected: &[&str]) {
    assert_eq!(complaints(text, &[]), expected, "{text}");
}

#[test]
fn syntax() {
    let found = complaints("[node]\nname = \n[public]\nlisten = \"x\nurl = 5", &[]);
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("line 2: not valid TOML: "), "{found:?}");
    assert!(complaints("[node]\nname='a'\nname='b'", &[])[0].starts_with("line 3: not valid TOML: duplicate key"));
}

#[test]
fn keys_and_types() {
    check("[node]\nnmae = 'x'", &["line 2: node.nmae: unknown key; did you mean \"name\"?"]);
    check("[pubilc]\nlisten = 'x'", &["line 1: pubilc: unknown key; did you mean \"public\"?"]);
    check("[sip]\n\nrtp_ports = '1-2'", &["line 3: sip.rtp_ports: unknown key; it belongs to \"media\""]);
    check("[node]\nzzz = 1", &["line 2: node.zzz: unknown key"]);
    check("[media]\nworkers = 'two'", &["line 2: media.workers: expected a whole number, found a string"]);
    check(
        "[media]\nworkers = 1.5",
        &["line 2: media.workers: expected a whole number, found a number with a fraction"],
    );
    check("[media]\nsetup_seconds = 0", &["line 2: media.setup_seconds: must be between 1 and 120"]);
    check("[media]\nsetup_seconds = 99999999999", &["line 2: media.setup_seconds: must be between 1 and 120"]);
    check("trunks = 5", &["line 1: trunks: expected a list, found a whole number"]);
    check("[[node]]\nname = 'a'", &["line 1: node: expected a table, found a list"]);
    check(
        "[media]\nadvertise = [\n'192.0.2.1',\n7,\n]",
        &["line 4: media.advertise[1]: expected a string, found a whole number"],
    );
    check(
        "[media]\nbrowser_codecs = ['opsu', 'pcmu']",
        &[
            "line 2: media.browser_codecs[0]: \"opsu\" is none of opus, G722, PCMU, PCMA; did you mean \"opus\"?",
            "line 2: media.browser_codecs[1]: \"pcmu\" is none of opus, G722, PCMU, PCMA; did you mean \"PCMU\"?",
        ],
    );
    check("[[trunks]]\ntarget = 'a'", &["line 1: trunks[0].id: is missing"]);
    check("node.name = 'a b'", &["line 1: node.name: must be 1 to 64 of the characters a-z A-Z 0-9 _ - ."]);
}

#[test]
fn listeners() {
    check(
        "[public]\nlisten = 'localhost'",
        &["line 2: public.listen: \"localhost\" is no address and port, as 127.0.0.1:8080 or [::1]:8080"],
    );
    check(
        "[public]\nlisten = '192.0.2.1:80'",
        &["line 2: public.listen: plain HTTP beyond this machine is refused: set public.tls, listen on loopback \
           behind a proxy that terminates TLS, or set allow_insecure = true"],
    );
    check(
        "[public]\nlisten = '0.0.0.0:80'\nallow_insecure = true",
        &["line 1: public.url: must be set: browsers cannot use 0.0.0.0"],
    );
    check(
        "[public]\nurl = 'https://a/b'",
        &["line 2: public.url: must end after the host and port: \"/b\" is too much"],
    );
    check("[public]\nurl = 'ftp://a'", &["line 2: public.url: \"ftp://a\" is no http or https URL"]);
    check(
        "[public]\ntrusted_proxies = ['10.0.0.0/8']",
        &["line 2: public.trusted_proxies[0]: \"10.0.0.0/8\" is no IP address"],
    );
    check("[public]\ntoken_key = 'short'", &["line 2: public.token_key: must have at least 32 bytes"]);
    check("[public]\ntoken_key = 7", &["line 2: public.token_key: expected a string or a list, found a whole number"]);
    let long = "x".repeat(32);
    check(
        &format!("[public]\ntoken_key = [\n'{long}',\n'short',\n'',\n'-----BEGIN PRIVATE KEY-----x']"),
        &[
            "line 4: public.token_key[1]: must have at least 32 bytes",
            "line 5: public.token_key[2]: must not be empty",
            "line 6: public.token_key[3]: is no Ed25519 key in PEM, as openssl genpkey -algorithm ed25519 makes one",
        ],
    );
    check(&format!("[public]\ntoken_key = ['{long}', '{long}']"), &["line 2: public.token_key[1]: is listed twice"]);
    check(
        "[control]\nlisten = '127.0.0.1:8080'",
        &["line 2: control.listen: 127.0.0.1:8080 is taken by public.listen"],
    );
    check(
        "[control]\napi_keys = [\n{ name = 'a', key = 'short', scopes = [] },\n{ name = 'a', key = 'long enough', scopes = ['raed'] }]",
        &[
            "line 3: control.api_keys[0].key: must have at least 8 bytes",
            "line 3: control.api_keys[0].scopes: must name at least one of read, control, admin",
            "line 4: control.api_keys[1].scopes[0]: \"raed\" is none of read, control, admin; did you mean \"read\"?",
            "line 4: control.api_keys[1].name: \"a\" is taken by control.api_keys[0].name",
        ],
    );
    let same = "[control]\napi_keys = [{ name = 'a', key = '12345678', scopes = ['read'] },\n{ name = 'b', key = '12345678', scopes = ['read'] }]";
    check(same, &["line 3: control.api_keys[1].key: is the same key as control.api_keys[0]"]);
}

#[test]
fn ice_servers() {
    let server =
        |server: &str, expected: &[&str]| check(&format!("[public]\nice_servers = [{{ {server} }}]"), expected);
    server(
        "username = 'u'",
        &[
            "line 2: public.ice_servers[0].urls: is missing",
            "line 2: public.ice_servers[0].credential: is missing, though there is a user name",
        ],
    );
    server(
        "urls = ['turn:x']",
        &["line 2: public.ice_servers[0]: a TURN server needs username and credential, or secret"],
    );
    server("urls = ['stun:x'], secret = 's'", &["line 2: public.ice_servers[0]: a STUN server takes no credentials"]);
    server(
        "urls = ['turn:x'], secret = 's', username = 'u', credential = 'c'",
        &["line 2: public.ice_servers[0].secret: stands instead of username and credential"],
    );
    server(
        "urls = ['turn:x', 'http://x'], username = 'ü', credential = 'c'",
        &[
            "line 2: public.ice_servers[0].urls[1]: \"http://x\" is no stun:, stuns:, turn: or turns: URL",
            "line 2: public.ice_servers[0].username: holds a character that is not printable ASCII",
        ],
    );
}

#[test]
fn what_a_trunk_is_told() {
    let trunk = |line: &str, expected: &[&str]| check(&format!("[[trunks]]\nid = 't'\ntarget = 'h'\n{line}"), expected);
    trunk(
        "context_fields = { prefix = 'C2C-', allow = ['a b', '*'] }",
        &[
            "line 4: trunks[0].context_fields.prefix: must be X- and at most 30 more characters of a header field's name",
            "line 4: trunks[0].context_fields.allow[0]: \"a b\" is no key a context can have",
        ],
    );
    trunk(
        "user_to_user = { pd = '4' }",
        &["line 4: trunks[0].user_to_user.pd: must be two hexadecimal digits, or none"],
    );
    trunk(
        "user_to_user = { fields = ['a'], encoding = 'ascii', purpose = 'isdn-uui', max_bytes = 10 }",
        &[
            "line 4: trunks[0].user_to_user.max_bytes: must be between 64 and 512",
            "line 4: trunks[0].user_to_user.pd_style: must be param, or pd none: ascii has no place for an octet in front",
            "line 4: trunks[0].user_to_user.purpose: isdn-uui is written in hex only (RFC 7434 section 3.1)",
        ],
    );
}

#[test]
fn media() {
    let rtp = |range: &str, message: &str| {
        check(&format!("[media]\nrtp_ports = '{range}'"), &[&format!("line 2: media.rtp_ports: {message}")]);
    };
    rtp("x", "\"x\" is no range of ports, as 30000-39998");
    rtp("30000-70000", "\"30000-70000\" is no range of ports, as 30000-39998");
    rtp("30000-30000", "30000 is not below 30000");
    rtp("31000-30000", "31000 is not below 30000");
    rtp("30001-30002", "holds no pair of an even port and the odd one above");
    rtp("65535-65535", "65535 is not below 65535");
    rtp("80-90", "must not begin below 1024");
    check(
        "[media]\nudp_listen = '127.0.0.1:30000'",
        &["line 2: media.udp_listen: ports 30000 to 30001 lie in media.rtp_ports"],
    );
    check(
        "[media]\nudp_listen = '127.0.0.1:65535'",
        &["line 2: media.udp_listen: worker n listens on port + n, and 2 workers do not fit above 65535"],
    );
    check(
        "[media]\nudp_listen = '0.0.0.0:20000'",
        &["line 2: media.udp_listen: browsers cannot be told 0.0.0.0: name the address, or set media.advertise"],
    );
    check(
        "[media]\nadvertise = ['2001:db8::1', '0.0.0.0']",
        &[
            "line 2: media.advertise[0]: 2001:db8::1 cannot lead to 127.0.0.1: one is IPv4, the other IPv6",
            "line 2: media.advertise[1]: 0.0.0.0 is nobody's address",
        ],
    );
    check("[media]\nbrowser_codecs = []", &["line 2: media.browser_codecs: must name at least one codec"]);
    check("[media]\nbrowser_codecs = ['opus', 'opus']", &["line 2: media.browser_codecs[1]: opus is listed twice"]);
    check("[sip]\ntls_ca = 'p'", &["line 2: sip.tls_ca: /nowhere/p is no file"]);
    check("[media]\nprompts_dir = 'p'", &["line 2: media.prompts_dir: /nowhere/p is no directory"]);
    check(
        "[media]\nrtp_listen = '0.0.0.0'",
        &["line 2: media.rtp_listen: trunks cannot be told 0.0.0.0: name the address, or set sip.advertise"],
    );
}

#[test]
fn trunks() {
    let trunk = |line: &str, expected: &[&str]| check(&format!("[[trunks]]\nid = 't'\ntarget = 'h'\n{line}"), expected);
    trunk(
        "session_expires_seconds = 60",
        &["line 4: trunks[0].session_expires_seconds: must be 0 (off) or 90 and more"],
    );
    trunk("max_calls = 0", &["line 4: trunks[0].max_calls: must be between 1 and 1000000"]);
    let regions = crate::REGIONS.join(", ");
    trunk("tones = { region = 'xx' }", &[&format!("line 4: trunks[0].tones.region: \"xx\" is none of {regions}")]);
    trunk("auth = { username = 'u' }", &["line 4: trunks[0].auth.password: is missing, though there is a user name"]);
    trunk("auth = { password = 'p' }", &["line 4: trunks[0].auth.username: is missing, though there is a password"]);
    trunk(
        "outbound_proxy = 'u@h'",
        &["line 4: trunks[0].outbound_proxy: must not hold a user: credentials belong to auth, users to destinations"],
    );
    trunk("dtmf = 'tones'", &["line 4: trunks[0].dtmf: \"tones\" is none of auto, rfc4733, info, inband"]);
    trunk(
        "calls = { redirects = 11, redirect_hosts = ['a b'] }",
        &[
            "line 4: trunks[0].calls.redirects: must be between 0 and 10",
            "line 4: trunks[0].calls.redirect_hosts[0]: \"a b\" is no host name or address",
        ],
    );
    trunk(
        "calls = { from_user = '', asserted_identity = 'sip:a@b>;x' }",
        &[
            "line 4: trunks[0].calls.from_user: must be 1 to 128 octets without control characters",
            "line 4: trunks[0].calls.asserted_identity: must be a sip:, sips: or tel: URI",
        ],
    );
    trunk(
        "calls = { privacy = ['all'] }",
        &["line 4: trunks[0].calls.privacy[0]: \"all\" is none of id, header, session, user, critical"],
    );
    trunk("srtp = 'on'", &["line 4: trunks[0].srtp: \"on\" is none of off, optional, required"]);
    trunk(
        "[[trunks]]\nid = 't'\ntarget = 'h:0'",
        &["line 5: trunks[1].id: \"t\" is taken by trunks[0].id", "line 6: trunks[1].target: \"0\" is no port"],
    );
}

#[test]
fn apps() {
    let app = |lines: &str, expected: &[&str]| {
        check(&format!("[[trunks]]\nid = 'acme'\ntarget = 'h'\n[[apps]]\nid = 'a'\n{lines}"), expected);
    };
    app("trunk = 'acmee'", &["line 6: apps[0].trunk: there is no trunk \"acmee\"; did you mean \"acme\"?"]);
    app("default_profile = 'x'", &["line 6: apps[0].default_profile: there is no profile \"x\""]);
    app(
        "allowed_origins = ['*', 'null', 'https://a.b/']",
        &[
            "line 6: apps[0].allowed_origins[0]: \"*\" would let every page in: list each origin",
            "line 6: apps[0].allowed_origins[1]: \"null\" is the origin of any sandboxed page and cannot be allowed",
            "line 6: apps[0].allowed_origins[2]: \"https://a.b/\" never matches: browsers send \"https://a.b\"",
        ],
    );
    app(
        "widget_keys = ['', 'sha256:12']",
        &[
            "line 6: apps[0].widget_keys[0]: must not be empty",
            "line 6: apps[0].widget_keys[1]: sha256: must be followed by 64 hexadecimal digits",
        ],
    );
    app(
        "context = { value_bytes = 5000 }",
        &["line 6: apps[0].context.value_bytes: must not be more than total_bytes"],
    );
    app("answer_fallback_url = 'https://x'", &["line 6: apps[0].answer_fallback_url: has no use without answer_url"]);
    app(
        "answer_url = 'http://x'\nanswer_secret = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'\nanswer_fallback_url = 'ftp://x'",
        &[
            "line 6: apps[0].answer_url: must be https, unless answer_allow_insecure = true",
            "line 8: apps[0].answer_fallback_url: \"ftp://x\" is no http or https URL",
        ],
    );
    app(
        "answer_url = 'https://x'\nanswer_secret = 'open sesame'",
        &["line 7: apps[0].answer_secret: must be whsec_ and base64; several are separated by spaces"],
    );
    app("answer_url = 'https://x'", &["line 4: apps[0].answer_secret: must not be empty"]);
    app(
        "[[apps.profiles]]\nid = 'p'\ndestinations = ['agent', 'sip:x@acem', 'tel:+1', 'sip:x@acme']",
        &[
            "line 8: apps[0].profiles[0].destinations[0]: \"agent\" is no sip:, sips: or tel: URI",
            "line 8: apps[0].profiles[0].destinations[1]: \"acem\" is no trunk and the app has none; did you mean \"acme\"?",
            "line 8: apps[0].profiles[0].destinations[2]: a tel URI names no trunk, and the app has none",
        ],
    );
}

#[test]
fn hours() {
    let hours = |hours: &str, expected: &[&str]| check(&format!("[[apps]]\nid = 'a'\nhours = {hours}"), expected);
    hours("{}", &["line 3: apps[0].hours: must be { always = true } or have a timezone and a week"]);
    hours(
        "{ always = true, timezone = 'UTC' }",
        &["line 3: apps[0].hours.always: contradicts the timetable beside it"],
    );
    hours(
        "{ week = { mon = ['9-5'], fri = ['09:00-12:00', '11:00-13:00'] } }",
        &[
            "line 3: apps[0].hours.timezone: is missing",
            "line 3: apps[0].hours.week.mon[0]: \"9-5\" is no window, as 09:00-14:00",
            "line 3: apps[0].hours.week.fri[1]: \"11:00-13:00\" overlaps another window of the day",
        ],
    );
    hours(
        "{ timezone = 'Madrid time', exceptions = [{ date = '2026-02-29', closed = true }, { date = '2026-01-01' }] }",
        &[
            "line 3: apps[0].hours.timezone: \"Madrid time\" is no IANA time zone, as Europe/Madrid",
            "line 3: apps[0].hours.exceptions[0].date: \"2026-02-29\" is no date, as 2026-12-25",
            "line 3: apps[0].hours.exceptions[1]: must have closed = true or windows",
        ],
    );
}

#[test]
fn bands_of_quality() {
    check("quality.rtt_ms = { amber = 400, red = 400 }", &["line 1: quality.rtt_ms: amber must be below red"]);
    check(
        "quality.mos_hundredths = { amber = 310, red = 400 }",
        &["line 1: quality.mos_hundredths: amber must be above red: a good score is a high one"],
    );
    check(
        "quality.loss_permille = { amber = 10, red = 1001 }",
        &["line 1: quality.loss_permille: red must be at most 1000, which is all of it"],
    );
    check("quality.gap_ms = { amber = 1 }", &["line 1: quality.gap_ms.red: is missing"]);
    check("records.keep_days = 0", &["line 1: records.keep_days: must be between 1 and 3650"]);
    check("events.keep_days = 3651", &["line 1: events.keep_days: must be between 1 and 3650"]);
    check("events.keep_megabytes = 15", &["line 1: events.keep_megabytes: must be between 16 and 1000000"]);
    check("events.backlog_megabytes = 0", &["line 1: events.backlog_megabytes: must be between 1 and 4096"]);
    check("events.pending_max = 99", &["line 1: events.pending_max: must be between 100 and 10000000"]);
}

#[test]
fn all_problems_are_found_at_once() {
    let text = "
        [media]
        rtp_ports = 'x'
        grace_second = 5
        workers = true
        [public]
        listen = 'y'
        url = 'z'
        [[trunks]]
        id = ''
        [[apps]]
        id = 'a'
        trunk = 'gone'";
    let keys: Vec<String> = load_with(text, &[]).unwrap_err().0.into_iter().map(|problem| problem.key).collect();
    let expected = [
        "media.rtp_ports",
        "media.grace_second",
        "media.workers",
        "public.listen",
        "public.url",
        "trunks[0].target",
        "trunks[0].id",
        "apps[0].trunk",
    ];
    assert_eq!(keys, expected);
}
