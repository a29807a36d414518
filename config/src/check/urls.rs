//! URLs and origins, as far as a configuration holds any.

use super::shapes::host_port;
use crate::report::Report;

/// A URL in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// In lower case.
    pub(super) scheme: String,
    /// Without brackets.
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    /// Path, query and fragment, as written.
    pub(super) rest: &'a str,
}

/// Takes an `http` or `https` URL apart.
pub(super) fn http_url(text: &str) -> Result<Url<'_>, String> {
    let url = url(text)?;
    match url.scheme.as_str() {
        "http" | "https" => Ok(url),
        _ => Err(format!("{text:?} is no http or https URL")),
    }
}

/// Says so unless it is an `https` URL, or `http` where the key of that name allows it.
pub(super) fn https(key: &str, text: &str, (permit, may_be_http): (&str, bool), report: &mut Report) {
    match http_url(text) {
        Ok(url) if url.scheme == "http" && !may_be_http => {
            report.problem(key, format!("must be https, unless {permit} = true"));
        }
        Ok(_) => {}
        Err(message) => report.problem(key, message),
    }
}

/// `scheme://host[:port]` as a browser writes it into `Origin` (RFC 6454 section 6.2), or what is wrong.
pub(super) fn origin(text: &str) -> Result<String, String> {
    match text {
        "*" => return Err("\"*\" would let every page in: list each origin".to_owned()),
        "null" => return Err("\"null\" is the origin of any sandboxed page and cannot be allowed".to_owned()),
        _ => {}
    }
    let url = url(text).map_err(|_| format!("{text:?} is no origin: write scheme://host[:port]"))?;
    let canonical = origin_of(&url);
    if canonical == text {
        return Ok(canonical);
    }
    Err(format!("{text:?} never matches: browsers send {canonical:?}"))
}

/// The origin of a URL, as a browser writes it: no default port, no capitals.
pub(super) fn origin_of(url: &Url<'_>) -> String {
    let host = url.host.to_ascii_lowercase();
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let default_port = match url.scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = url.port.filter(|port| Some(*port) != default_port).map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}", url.scheme)
}

/// Whether only this machine is meant.
pub(super) fn is_local(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn url(text: &str) -> Result<Url<'_>, String> {
    let (scheme, after) = text.split_once("://").ok_or_else(|| format!("{text:?} is no URL"))?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    if !is_scheme {
        return Err(format!("{text:?} is no URL"));
    }
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (authority, rest) = after.split_at_checked(end).unwrap_or((after, ""));
    if authority.contains('@') {
        // Not quoted: what stands before the @ is a password.
        return Err("a URL must not hold a user name or password".to_owned());
    }
    if let Some(bad) = rest.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(format!("the URL holds {bad:?}, which must be percent-encoded"));
    }
    let (host, port) = host_port(authority)?;
    Ok(Url { scheme: scheme.to_ascii_lowercase(), host, port, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exactly_what_browsers_send() {
        for good in ["https://example.com", "http://127.0.0.1:8080", "http://[::1]:3000", "capacitor://localhost"] {
            assert_eq!(origin(good).as_deref(), Ok(good));
        }
        let never = |text: &str, sent: &str| {
            assert_eq!(origin(text), Err(format!("{text:?} never matches: browsers send {sent:?}")));
        };
        never("https://example.com/", "https://example.com");
        never("https://example.com:443", "https://example.com");
        never("http://example.com:80/page?x", "http://example.com");
        never("HTTPS://Example.com", "https://example.com");
        for bad in ["*", "null", "example.com", "https://", "https://*.example.com", "https://a@b.c", "https://é.fr"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls() {
        let parts = Url { scheme: "https".into(), host: "example.com", port: Some(1), rest: "/a?b#c" };
        assert_eq!(http_url("https://example.com:1/a?b#c"), Ok(parts));
        for bad in ["", "http://", "ftp://a", "https://u:secret@a/", "https://a/ b", "https://a:x/"] {
            let message = http_url(bad).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
