//! Who may use the control listener: bearer keys with scopes, and never a page of somebody else's.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use trunkline_config::{ApiKey, Scope};

use super::Api;
use crate::problem::Problem;
use crate::public_api::body::bearer;
use crate::session::keys::api_key;

/// The key of a request, if it has the scope. Scopes do not imply each other.
pub(super) fn require(api: &Api, headers: &HeaderMap, scope: Scope) -> Result<ApiKey, Problem> {
    let config = api.settings.load();
    let key = api_key(&config.control.api_keys, bearer(headers).unwrap_or_default())
        .ok_or_else(|| Problem::invalid_api_key("send an API key as a bearer token"))?;
    if key.scopes.contains(&scope) {
        Ok(key.clone())
    } else {
        let scope = match scope {
            Scope::Read => "read",
            Scope::Control => "control",
            Scope::Admin => "admin",
        };
        Err(Problem::insufficient_scope(format!("the key needs the scope {scope}")))
    }
}

/// Keeps browsers of other sites out, also those that were told that their own name is this machine (DNS rebinding):
/// on a loopback listener, Host must be this machine; everywhere, Origin must be the host itself.
pub(super) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let page = request.method() == Method::GET && request.uri().path() == crate::console::PAGE;
    match check(request.headers(), authority, api.address, page) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// `page`: the console's page is asked for, which any site may link to: it holds nothing, and no frame shows it.
fn check(headers: &HeaderMap, authority: Option<&str>, listener: SocketAddr, page: bool) -> Result<(), Problem> {
    let text = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().map(|value| value.to_str().unwrap_or_default());
        if values.next().is_some() { Some("") } else { first }
    };
    let host = authority.or_else(|| text(header::HOST)).unwrap_or_default();
    if listener.ip().to_canonical().is_loopback() && !is_this_machine(host, listener.port()) {
        return Err(Problem::host_not_allowed("name the listener by its address"));
    }
    let foreign = text(header::ORIGIN).is_some_and(|origin| {
        let site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        site.is_none_or(|site| !site.eq_ignore_ascii_case(host))
    });
    let cross_site =
        headers.get("sec-fetch-site").is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let says = |name: &str, value: &[u8]| headers.get(name).is_some_and(|said| said.as_bytes() == value);
    let followed_link = page && says("sec-fetch-mode", b"navigate") && says("sec-fetch-dest", b"document");
    if foreign || (cross_site && !followed_link) {
        return Err(Problem::origin_not_allowed("the control listener is not for web pages of other origins"));
    }
    Ok(())
}

/// `localhost` or a loopback address, with the listener's port.
fn is_this_machine(host: &str, port: u16) -> bool {
    let (name, named_port) = match host.rsplit_once(':') {
        Some((name, digits)) if !name.ends_with(':') && !digits.ends_with(']') => (name, digits.parse().ok()),
        Some(_) | None => (host, Some(80)),
    };
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    let loopback = bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    loopback && named_port == Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(listener: &str, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        check(&headers, None, listener.parse().unwrap(), false).map_or_else(|problem| problem.status, |()| 200)
    }

    #[test]
    fn a_link_leads_to_the_console_and_to_nothing_else() {
        let link = |page: bool, more: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in [&[("host", "127.0.0.1:8081"), ("sec-fetch-site", "cross-site")], more].concat() {
                headers.insert(name, value.parse().unwrap());
            }
            check(&headers, None, "127.0.0.1:8081".parse().unwrap(), page).is_ok()
        };
        let followed = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(link(true, &followed));
        assert!(!link(false, &followed));
        assert!(!link(true, &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]));
        assert!(!link(true, &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")]));
        assert!(!link(true, &[followed.as_slice(), &[("host", "evil.example:8081")]].concat()));
    }

    #[test]
    fn no_name_but_this_machines_reaches_a_loopback_listener() {
        for host in ["127.0.0.1:8081", "localhost:8081", "LOCALHOST:8081", "[::1]:8081", "127.0.0.9:8081"] {
            assert_eq!(status("127.0.0.1:8081", &[("host", host)]), 200, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8081",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.0.0.1.evil.example:8081",
            "localhost.evil.example:8081",
            "localhost:8081.evil",
            "192.0.2.1:8081",
            "0.0.0.0:8081",
            "[::1]",
            "::1",
            "localhost:",
            "user@127.0.0.1:8081",
            "127.1:8081",
            "2130706433:8081",
        ] {
            assert_eq!(status("127.0.0.1:8081", &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status("127.0.0.1:8081", &[]), 403);
        assert_eq!(status("127.0.0.1:8081", &[("host", "localhost:8081"), ("host", "evil.example")]), 403);
        assert_eq!(status("127.0.0.1:80", &[("host", "127.0.0.1")]), 200);
        assert_eq!(status("192.0.2.1:8081", &[("host", "gateway.internal:8081")]), 200);
    }

    #[test]
    fn no_page_of_another_origin_gets_through() {
        let host = ("host", "127.0.0.1:8081");
        for origin in [
            "null",
            "https://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:8080",
            "http://localhost:8081",
            "http://127.0.0.1:8081.evil.example",
            "file://",
            "chrome-extension://abc",
            "",
            "127.0.0.1:8081",
        ] {
            assert_eq!(status("127.0.0.1:8081", &[host, ("origin", origin)]), 403, "{origin}");
            assert_eq!(status("192.0.2.1:8081", &[host, ("origin", origin)]), 403, "{origin}");
        }
        assert_eq!(status("127.0.0.1:8081", &[host, ("origin", "http://127.0.0.1:8081")]), 200);
        for (site, expected) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
            assert_eq!(status("127.0.0.1:8081", &[host, ("sec-fetch-site", site)]), expected, "{site}");
        }
    }
}
