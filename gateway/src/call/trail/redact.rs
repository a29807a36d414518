//! Descriptions and URIs without what nobody but the two ends may know.

/// What a secret in a description stands behind. Fingerprints stay: they are public, and mismatches are explained by
/// them.
const SECRETS: [&str; 6] = ["ice-pwd", "ice-ufrag", "crypto", "key-mgmt", "inline:", "a=k:"];
/// Instead of a secret.
const GONE: &str = "***";

/// A description, or a part of one, at most `most` octets of it: ICE user names and passwords (RFC 8839), SDES keys
/// (RFC 4568), MIKEY and `k=` lines are gone, whatever their spelling.
pub(crate) fn description(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(bytes.get(..most).unwrap_or(bytes));
    let mut clean = String::with_capacity(text.len());
    for line in text.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        push_line(&mut clean, line);
        clean.push_str("\r\n");
    }
    if bytes.len() > most {
        // Half a line may be half a secret.
        let whole = clean.trim_end_matches("\r\n").rfind("\r\n").map_or(0, |end| end + 2);
        clean.truncate(whole);
        clean.push_str("(cut)\r\n");
    }
    clean.shrink_to_fit();
    clean
}

fn push_line(clean: &mut String, line: &str) {
    let lower = line.to_ascii_lowercase();
    if lower.trim_start().starts_with("k=") || SECRETS.iter().any(|name| lower.contains(name)) {
        let name = line.split_once(':').map_or("", |(name, _)| name);
        // What stands before the colon is kept only where it is the name itself.
        let known = name.strip_prefix("a=").is_some_and(|name| SECRETS.iter().any(|s| name.eq_ignore_ascii_case(s)));
        clean.push_str(if known { name } else { "a=" });
        clean.push_str(if known { ":" } else { "" });
        clean.push_str(GONE);
        return;
    }
    // RFC 8839 section 5.1: candidates name the user fragment they belong to as an extension.
    let mut secret = false;
    for (at, word) in line.split(' ').enumerate() {
        if at > 0 {
            clean.push(' ');
        }
        clean.push_str(if secret { GONE } else { word });
        secret = word.eq_ignore_ascii_case("ufrag") || word.eq_ignore_ascii_case("pwd");
    }
}

/// A request line whose URI has lost its password (RFC 3261 section 19.1.1).
pub(super) fn uri_password(line: &str) -> String {
    let Some((before, rest)) = ["sips:", "sip:"].iter().find_map(|scheme| {
        let at = line.find(scheme)?.checked_add(scheme.len())?;
        line.split_at_checked(at)
    }) else {
        return line.to_owned();
    };
    let end = rest.find([' ', '>']).unwrap_or(rest.len());
    let (uri, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match uri.rsplit_once('@').and_then(|(who, host)| Some((who.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{before}{user}:{GONE}@{host}{after}"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (line, expected) in [
            ("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-pwd:***"),
            ("a=ice-ufrag:EsAw", "a=ice-ufrag:***"),
            ("A=ICE-PWD:P2uY", "a=***"),
            ("a= ice-pwd:P2uY", "a=***"),
            ("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20", "a=crypto:***"),
            ("k=clear:hunter2", "a=***"),
            ("a=key-mgmt:mikey AQAFgM0X", "a=key-mgmt:***"),
            ("a=x inline:abc", "a=***"),
            (
                "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1",
                "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag *** network-id 1",
            ),
            ("a=fingerprint:sha-256 D2:FA:0E", "a=fingerprint:sha-256 D2:FA:0E"),
            ("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio 9 UDP/TLS/RTP/SAVPF 111"),
        ] {
            assert_eq!(description(line.as_bytes(), 8_192), format!("{expected}\r\n"), "{line}");
        }
        assert_eq!(description(b"v=0\r\na=ice-pwd:abc\ns=-", 8_192), "v=0\r\na=ice-pwd:***\r\ns=-\r\n");
        assert_eq!(description(b"v=0\r\ns=-\r\na=ice-pw", 12), "v=0\r\ns=-\r\n(cut)\r\n");
    }

    #[test]
    fn passwords_leave_request_lines() {
        for (line, expected) in [
            ("INVITE sip:agent:hunter2@192.0.2.1:5070 SIP/2.0", "INVITE sip:agent:***@192.0.2.1:5070 SIP/2.0"),
            ("INVITE sips:a:b:c@[2001:db8::1] SIP/2.0", "INVITE sips:a:***@[2001:db8::1] SIP/2.0"),
            ("INVITE sip:agent@192.0.2.1:5070 SIP/2.0", "INVITE sip:agent@192.0.2.1:5070 SIP/2.0"),
            ("INVITE sip:192.0.2.1:5070 SIP/2.0", "INVITE sip:192.0.2.1:5070 SIP/2.0"),
            ("SIP/2.0 200 OK", "SIP/2.0 200 OK"),
        ] {
            assert_eq!(uri_password(line), expected);
        }
    }

    proptest! {
        #[test]
        fn no_password_survives_any_surroundings(before in "[ -~\r\n]{0,40}", name in "(a=)?(ice-pwd|ICE-UFRAG|crypto)[ :]", most in 0usize..200) {
            let text = format!("{before}\r\n{name}s3cr3tw0rd rest\r\nv=0");
            prop_assert!(!description(text.as_bytes(), most).contains("s3cr3tw0rd"));
            prop_assert!(!description(text.as_bytes(), most).contains("s3cr3tw"));
        }

        #[test]
        fn any_bytes_do(bytes in proptest::collection::vec(any::<u8>(), 0..300), most in 0usize..300) {
            let _ = description(&bytes, most);
            let _ = uri_password(&String::from_utf8_lossy(&bytes));
        }
    }
}
