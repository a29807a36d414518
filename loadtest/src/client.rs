//! What a widget does: opens a session, posts an offer, hangs up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, LOCATION, ORIGIN};
use serde::Deserialize;

/// Speaks HTTP to the gateway's public listener; connections are kept.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    widget: Arc<Widget>,
}

/// Whose widget it is.
#[derive(Debug)]
pub(crate) struct Widget {
    pub(crate) app: String,
    pub(crate) key: String,
    pub(crate) profile: Option<String>,
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
        let widget = Widget { app: "load".into(), key: "wk_load".into(), profile: Some("main".into()) };
        Self::at(&format!("http://{public}"), widget)
    }

    /// A widget of the gateway with this public address.
    pub(crate) fn at(base: &str, widget: Widget) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).tcp_nodelay(true).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').into(), widget: Arc::new(widget) })
    }

    /// A session for call `party`, which the gateway tells the agent; its token.
    pub(crate) async fn session(&self, party: u32) -> Result<String> {
        let Widget { app, key, profile } = &*self.widget;
        let context = serde_json::json!({ "party": party.to_string() });
        let mut body = serde_json::json!({ "app": app, "widget_key": key, "context": context });
        if let (Some(profile), Some(fields)) = (profile, body.as_object_mut()) {
            fields.insert("profile".into(), profile.as_str().into());
        }
        let request = self.http.post(format!("{}/v1/sessions", self.base)).header(ORIGIN, &*self.base).json(&body);
        let response = expect(request.send().await?, StatusCode::CREATED).await?;
        Ok(response.json::<Session>().await?.token)
    }

    /// Starts a call.
    pub(crate) async fn call(&self, token: String, offer: String) -> Result<Started> {
        let request = self.http.post(format!("{}/v1/calls", self.base)).header(ORIGIN, &*self.base);
        let request = request.bearer_auth(&token).header(CONTENT_TYPE, "application/sdp").body(offer);
        let response = expect(request.send().await?, StatusCode::CREATED).await?;
        let location = response.headers().get(LOCATION).context("no Location")?.to_str()?;
        let location = if location.starts_with('/') { format!("{}{location}", self.base) } else { location.to_owned() };
        Ok(Started { location, token, answer: response.text().await? })
    }

    /// Presses digits.
    pub(crate) async fn press(&self, started: &Started, digits: &str) -> Result<()> {
        let request = self.http.post(format!("{}/dtmf", started.location)).header(ORIGIN, &*self.base);
        let request = request.bearer_auth(&started.token).json(&serde_json::json!({ "digits": digits }));
        expect(request.send().await?, StatusCode::ACCEPTED).await.map(drop)
    }

    /// Hangs up.
    pub(crate) async fn hang_up(&self, started: &Started) -> Result<()> {
        let request = self.http.delete(&started.location).header(ORIGIN, &*self.base).bearer_auth(&started.token);
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
