//! A URL as far as it is needed to go there.

use hyper::Uri;
use hyper::http::uri::Scheme;

use super::Failure;

/// Longest URL, bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) peer: Peer,
    /// Path and query.
    pub(super) path: String,
    /// The `Host` field (RFC 9112 section 3.2).
    pub(super) host_field: String,
}

/// Whom a connection leads to, and under which rule it was opened: connections are shared between equal ones only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) tls: bool,
    /// A name or an address, without brackets, in lower case.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) allow_insecure: bool,
}

impl Target {
    /// Takes a URL apart. An address in any spelling (decimal, octal, hexadecimal) stays a name here: it is checked
    /// like every other one, once it is resolved.
    pub(super) fn parse(url: &str, allow_insecure: bool) -> Result<Self, Failure> {
        if url.len() > URL_BYTES_MAX {
            return Err(Failure::Url("it is too long"));
        }
        let uri: Uri = url.parse().map_err(|_| Failure::Url("it cannot be understood"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && allow_insecure => false,
            Some(scheme) if *scheme == Scheme::HTTP => return Err(Failure::Url("it is http, which is not allowed")),
            _ => return Err(Failure::Url("it is neither https nor http")),
        };
        let authority = uri.authority().ok_or(Failure::Url("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(Failure::Url("it holds a user name or password"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let default_port = if tls { 443 } else { 80 };
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("" | ":") => default_port,
            _ => authority.port_u16().ok_or(Failure::Url("its port is none"))?,
        };
        if host.is_empty() || port == 0 {
            return Err(Failure::Url("it names no host"));
        }
        let host_field =
            if port == default_port { authority.host().to_owned() } else { format!("{}:{port}", authority.host()) };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        Ok(Self { peer: Peer { tls, host, port, allow_insecure }, path, host_field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_taken_apart() {
        let check = |url: &str, tls: bool, host: &str, port: u16, field: &str, path: &str| {
            let target = Target::parse(url, true).unwrap();
            let peer = Peer { tls, host: host.into(), port, allow_insecure: true };
            assert_eq!(target, Target { peer, path: path.into(), host_field: field.into() }, "{url}");
        };
        check("https://Example.com/a?b=c#d", true, "example.com", 443, "Example.com", "/a?b=c");
        check("http://example.com", false, "example.com", 80, "example.com", "/");
        check("https://example.com:8443", true, "example.com", 8443, "example.com:8443", "/");
        check("https://example.com?x", true, "example.com", 443, "example.com", "/?x");
        check("http://[::1]:81/", false, "::1", 81, "[::1]:81", "/");
        check("http://0x7f.1/", false, "0x7f.1", 80, "0x7f.1", "/");
    }

    #[test]
    fn urls_refused_say_why_and_nothing_of_themselves() {
        let long = format!("https://example.com/{}", "a".repeat(3_000));
        for url in [
            "",
            "/path",
            "example.com",
            "http://example.com/",
            "gopher://example.com/",
            "file:///etc/passwd",
            "https://user:sesame@example.com/",
            "https://sesame@example.com/",
            "https://example.com:99999/",
            "https://example.com:0/",
            "https://exa mple.com/",
            "https://é.example/",
            "https:///sesame",
            long.as_str(),
        ] {
            let failure = Target::parse(url, false).unwrap_err();
            assert!(matches!(failure, Failure::Url(_)), "{url}");
            assert!(!failure.to_string().contains("sesame"), "{url}");
        }
    }
}
