//! What a widget does: opens a session, posts an offer, hangs up.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, ORIGIN};
use hyper::http::request::Builder;
use serde::Deserialize;

use crate::web::Web;

/// Speaks HTTP to the gateway's public listener.
#[derive(Clone)]
pub(crate) struct Client {
    web: Web,
    widget: Arc<Widget>,
}

/// Whose widget it is.
#[derive(Debug)]
pub(crate) struct Widget {
    pub(crate) app: String,
    pub(crate) key: String,
    pub(crate) profile: Option<String>,
    /// The origin of its page; without one it is the listener's own.
    pub(crate) origin: Option<String>,
}

/// A call that was accepted.
pub(crate) struct Started {
    /// Its path, behind whatever leads to the listener.
    path: String,
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
        let (app, key) = ("load".into(), "wk_load".into());
        let widget = Widget { app, key, profile: Some("main".into()), origin: None };
        Ok(Self::at(Web::to(&format!("http://{public}"), None)?, widget))
    }

    /// A widget of the gateway with this public listener.
    pub(crate) fn at(web: Web, widget: Widget) -> Self {
        Self { web, widget: Arc::new(widget) }
    }

    /// A session for call `party`, which the gateway tells the agent; its token.
    pub(crate) async fn session(&self, party: u32) -> Result<String> {
        let Widget { app, key, profile, .. } = &*self.widget;
        let context = serde_json::json!({ "party": party.to_string() });
        let mut body = serde_json::json!({ "app": app, "widget_key": key, "context": context });
        if let (Some(profile), Some(fields)) = (profile, body.as_object_mut()) {
            fields.insert("profile".into(), profile.as_str().into());
        }
        let request = self.request("POST", "/v1/sessions").header(CONTENT_TYPE, "application/json");
        let answer =
            self.web.send(request, body.to_string()).await?.expect(StatusCode::CREATED).context("a session")?;
        Ok(answer.json::<Session>()?.token)
    }

    /// Starts a call.
    pub(crate) async fn call(&self, token: String, offer: String) -> Result<Started> {
        let request = self.bearing("POST", "/v1/calls", &token).header(CONTENT_TYPE, "application/sdp");
        let answer = self.web.send(request, offer).await?.expect(StatusCode::CREATED).context("a call")?;
        let location = answer.headers.get(LOCATION).context("no Location")?.to_str()?;
        // Whatever name the gateway gives itself, the way to it is the one that led here.
        let call = location.rsplit('/').next().unwrap_or_default();
        Ok(Started { path: format!("/v1/calls/{call}"), token, answer: answer.text()? })
    }

    /// Presses digits.
    pub(crate) async fn press(&self, started: &Started, digits: &str) -> Result<()> {
        let request = self.bearing("POST", &format!("{}/dtmf", started.path), &started.token);
        let request = request.header(CONTENT_TYPE, "application/json");
        let body = serde_json::json!({ "digits": digits }).to_string();
        self.web.send(request, body).await?.expect(StatusCode::ACCEPTED).context("digits").map(drop)
    }

    /// Hangs up.
    pub(crate) async fn hang_up(&self, started: &Started) -> Result<()> {
        let request = self.bearing("DELETE", &started.path, &started.token);
        self.web.send(request, "").await?.expect(StatusCode::OK).map(drop)
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        let own = || self.web.origin().into();
        let origin = self.widget.origin.as_deref().map_or_else(own, Cow::Borrowed);
        self.web.request(method, path).header(ORIGIN, &*origin)
    }

    fn bearing(&self, method: &str, path: &str, token: &str) -> Builder {
        self.request(method, path).header(AUTHORIZATION, format!("Bearer {token}"))
    }
}
