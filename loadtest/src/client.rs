//! What a widget does: opens a session, posts an offer, hangs up.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, LOCATION, ORIGIN};
use serde::Deserialize;

/// Speaks HTTP to the gateway's public listener; connections are kept.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// A call that was accepted.
pub(crate) struct Started {
    location: String,
    token: String,
    /// The SDP answer.
    pub(crate) answer: String,
}

#[derive(Deserialize)]
struct Session {
    token: String,
}

impl Client {
    pub(crate) fn new(public: SocketAddr) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).tcp_nodelay(true).build()?;
        Ok(Self { http, base: format!("http://{public}") })
    }

    /// A session for call `party`, which the gateway tells the agent; its token.
    pub(crate) async fn session(&self, party: u32) -> Result<String> {
        let body = serde_json::json!({
            "app": "load", "widget_key": "wk_load", "profile": "main", "context": { "party": party.to_string() },
        });
        let request = self.http.post(format!("{}/v1/sessions", self.base)).header(ORIGIN, &self.base).json(&body);
        let response = expect(request.send().await?, StatusCode::CREATED).await?;
        Ok(response.json::<Session>().await?.token)
    }

    /// Starts a call.
    pub(crate) async fn call(&self, token: String, offer: String) -> Result<Started> {
        let request = self.http.post(format!("{}/v1/calls", self.base)).header(ORIGIN, &self.base);
        let request = request.bearer_auth(&token).header(CONTENT_TYPE, "application/sdp").body(offer);
        let response = expect(request.send().await?, StatusCode::CREATED).await?;
        let location = response.headers().get(LOCATION).context("no Location")?.to_str()?;
        let location = if location.starts_with('/') { format!("{}{location}", self.base) } else { location.to_owned() };
        Ok(Started { location, token, answer: response.text().await? })
    }

    /// Hangs up.
    pub(crate) async fn hang_up(&self, started: &Started) -> Result<()> {
        let request = self.http.delete(&started.location).header(ORIGIN, &self.base).bearer_auth(&started.token);
        expect(request.send().await?, StatusCode::OK).await.map(drop)
    }
}

async fn expect(response: reqwest::Response, wanted: StatusCode) -> Result<reqwest::Response> {
    let (status, url) = (response.status(), response.url().clone());
    if status != wanted {
        bail!("{url}: {status} {}", response.text().await.unwrap_or_default());
    }
    Ok(response)
}
