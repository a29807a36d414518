//! What a browser is told of STUN and TURN servers: in the session's answer, and in the Link fields of a call's answer.

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use serde::Serialize;
use sha1::Sha1;
use trunkline_config::{IceCredentials, IceServer, Secret};

use crate::ids::SessionId;

/// A server as `RTCConfiguration.iceServers` wants it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ForBrowser {
    /// `stun:`, `turn:`, `turns:` URLs.
    pub urls: Vec<String>,
    /// User name and password, for TURN.
    #[serde(flatten)]
    pub login: Option<Login>,
}

/// Has no `Debug`: it is a credential.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Login {
    /// User name.
    pub username: String,
    /// Password.
    pub credential: String,
}

/// The configured servers, with credentials for a session.
#[must_use]
pub fn servers(configured: &[IceServer], wall: Timestamp, session: &SessionId) -> Vec<ForBrowser> {
    let login = |credentials: &IceCredentials| match credentials {
        IceCredentials::None => None,
        IceCredentials::Fixed { username, credential } => {
            Some(Login { username: username.clone(), credential: credential.reveal().to_owned() })
        }
        IceCredentials::Shared { secret, ttl } => {
            let until = wall.as_second().saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(0));
            Some(time_limited(secret, format!("{until}:{session}")))
        }
    };
    configured.iter().map(|s| ForBrowser { urls: s.urls.clone(), login: login(&s.credentials) }).collect()
}

/// The same as Link fields, one for each URL (RFC 9725 section 4.6).
#[must_use]
pub fn links(servers: &[ForBrowser]) -> Vec<HeaderValue> {
    let link = |url: &str, login: Option<&Login>| {
        let login = login.map_or_else(String::new, |login| {
            let (username, credential) = (quoted(&login.username), quoted(&login.credential));
            format!("; username={username}; credential={credential}; credential-type=\"password\"")
        });
        HeaderValue::from_str(&format!("<{url}>; rel=\"ice-server\"{login}")).ok()
    };
    servers.iter().flat_map(|server| server.urls.iter().filter_map(|url| link(url, server.login.as_ref()))).collect()
}

/// What TURN servers call the REST API: the name says until when it is good, and who knows the secret knows the password.
fn time_limited(secret: &Secret, username: String) -> Login {
    // HMAC takes keys of any length.
    let code = Hmac::<Sha1>::new_from_slice(secret.reveal().as_bytes()).map(|mac| mac.chain_update(&username));
    let credential = code.map_or_else(|_| String::new(), |code| STANDARD.encode(code.finalize().into_bytes()));
    Login { username, credential }
}

/// RFC 9110 section 5.6.4.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    #[test]
    fn time_limited_credentials_are_those_the_servers_make() {
        let login = time_limited(&Secret::new("s3cret"), "1700000000:alice".into());
        assert_eq!(login.credential, "TtElzSjT0GdnTQ9xdcRNxx96yQs=");
    }

    #[test]
    fn a_browser_is_told_of_each_kind_of_server() {
        let server = |urls: &[&str], credentials| IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            credentials,
        };
        let fixed = IceCredentials::Fixed { username: "ann \"x\"".into(), credential: Secret::new("a\\b") };
        let shared = IceCredentials::Shared { secret: Secret::new("s3cret"), ttl: Duration::from_secs(3600) };
        let configured = [
            server(&["stun:stun.example.net"], IceCredentials::None),
            server(&["turn:t.example.net?transport=udp", "turns:t.example.net?transport=tcp"], fixed),
            server(&["turn:[2001:db8::1]:3478"], shared),
        ];
        let wall = Timestamp::from_second(1_699_996_400).unwrap();
        let told = servers(&configured, wall, &SessionId::from_client("ses_1"));
        assert_eq!(
            serde_json::to_value(&told[..2]).unwrap(),
            json!([
                {"urls": ["stun:stun.example.net"]},
                {"urls": ["turn:t.example.net?transport=udp", "turns:t.example.net?transport=tcp"],
                 "username": "ann \"x\"", "credential": "a\\b"},
            ])
        );
        assert_eq!(told[2].login.as_ref().unwrap().username, "1700000000:ses_1");
        let links: Vec<_> = links(&told).into_iter().map(|link| link.to_str().unwrap().to_owned()).collect();
        assert_eq!(links[0], r#"<stun:stun.example.net>; rel="ice-server""#);
        assert_eq!(
            links[1],
            r#"<turn:t.example.net?transport=udp>; rel="ice-server"; username="ann \"x\""; credential="a\\b"; credential-type="password""#
        );
        assert!(links[2].starts_with("<turns:t.example.net?transport=tcp>; rel=\"ice-server\"; username="));
        assert!(links[3].starts_with("<turn:[2001:db8::1]:3478>; rel=\"ice-server\"; username=\"1700000000:ses_1\""));
        assert_eq!(links.len(), 4);
    }
}
