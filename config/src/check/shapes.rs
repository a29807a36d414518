//! Ids and hosts.

use std::net::{Ipv4Addr, Ipv6Addr};

/// `^[a-zA-Z0-9_\-.]{1,64}$`
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// An IPv4 address or a DNS name (RFC 1123 section 2.1, and the underscore that is seen in the wild).
pub(super) fn is_host(text: &str) -> bool {
    if text.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits is an IPv4 address gone wrong.
    let numeric_end = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (1..=253).contains(&name.len()) && name.split('.').all(label) && !numeric_end
}

/// A host (IPv6 without its brackets) and the port, if one is named.
pub(super) fn host_port(text: &str) -> Result<(&str, Option<u16>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| format!("{text:?} lacks a closing bracket"))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(format!("{host:?} is no IPv6 address"));
        }
        return match after.strip_prefix(':') {
            Some(digits) => Ok((host, Some(port(digits)?))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(format!("{after:?} after the bracket is no port")),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address goes in brackets: [{text}]"));
    }
    let (host, digits) = match text.split_once(':') {
        Some((host, digits)) => (host, Some(digits)),
        None => (text, None),
    };
    if !is_host(host) {
        return Err(format!("{host:?} is no host name or address"));
    }
    Ok((host, digits.map(port).transpose()?))
}

fn port(digits: &str) -> Result<u16, String> {
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.filter(|port| *port > 0).ok_or_else(|| format!("{digits:?} is no port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["127.0.0.1", "example.com", "a", "a_b.example", "example.com.", "1and1.com"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", ".", "300.1.1.1", "a..b", "-a.com", "a b", "ä.de", "1.2.3"] {
            assert!(!is_host(bad), "{bad}");
        }
        assert!(!is_host(&"a".repeat(64)));
    }

    #[test]
    fn hosts_with_ports() {
        assert_eq!(host_port("[::1]:5070"), Ok(("::1", Some(5070))));
        assert_eq!(host_port("[::1]"), Ok(("::1", None)));
        assert_eq!(host_port("sip.example.com"), Ok(("sip.example.com", None)));
        assert_eq!(host_port("10.0.0.1:5060"), Ok(("10.0.0.1", Some(5060))));
        for bad in ["::1", "[::1", "[::1]x", "[1.2.3.4]", "a:0", "a:65536", "a:", "a:+1", "a:1:2", ":5060"] {
            assert!(host_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids() {
        assert!(is_id("a-Z_0.9"));
        assert!(!is_id(""));
        assert!(!is_id("a b"));
        assert!(!is_id(&"a".repeat(65)));
    }
}
