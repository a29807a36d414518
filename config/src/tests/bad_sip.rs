use super::complaints;

/// One line of TOML after another, each with exactly the complaint it earns.
fn check(text: &str, expected: &[&str]) {
    assert_eq!(complaints(text, &[]), expected, "{text}");
}

#[test]
fn sip() {
    check("[sip]\nudp_listen = '127.0.0.1:20001'", &["line 2: sip.udp_listen: port 20001 is a media worker's"]);
    check("[sip]\ntls_listen = '127.0.0.1:5061'", &["line 2: sip.tls_listen: needs a certificate: set sip.tls"]);
    check(
        "[sip]\nudp_listen = '127.0.0.1:5060, 127.0.0.2:5060'",
        &["line 2: sip.udp_listen: names two addresses of one family"],
    );
    check(
        "[sip]\ntcp_listen = '127.0.0.1:5060,127.0.0.2:1,[::1]:1'",
        &["line 2: sip.tcp_listen: names more than one address of each family"],
    );
    check(
        "[sip]\nudp_listen = '0.0.0.0:5060, [::]:5060'\nadvertise = '192.0.2.1'",
        &["line 2: sip.udp_listen: trunks cannot be told ::: name the address, or set sip.advertise"],
    );
    check(
        "[sip]\ntcp_listen = '127.0.0.1:8080'",
        &["line 2: sip.tcp_listen: 127.0.0.1:8080 is taken by public.listen"],
    );
    check(
        "[media]\ntcp_listen = '0.0.0.0:5062'\n[sip]\ntcp_listen = '127.0.0.1:5062'",
        &["line 4: sip.tcp_listen: 127.0.0.1:5062 is taken by media.tcp_listen"],
    );
    check("[sip]\nudp_listen = ''", &["line 2: sip.udp_listen: must name an address and port"]);
    check("[sip]\ndomain = 'a b'", &["line 2: sip.domain: \"a b\" is no host name or address"]);
}
