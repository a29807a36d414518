//! A gateway in the test's own process on free loopback ports, and what a test asks it over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use trunkline::daemon::Daemon;

/// Keys of the control listener, each named as its one scope.
pub const READ: &str = "k-read-0123456789abcdef";
/// See [`READ`].
pub const CONTROL: &str = "k-control-0123456789abcdef";
/// See [`READ`].
pub const ADMIN: &str = "k-admin-0123456789abcdef";
/// The app every test uses, and its widget key.
pub const APP: &str = "acme";
/// See [`APP`].
pub const WIDGET_KEY: &str = "wk_demo";

/// What a test wants to be different from call to call.
pub struct Plan {
    targets: Vec<String>,
    group: Option<&'static str>,
    destinations: Option<usize>,
    codecs: Vec<&'static str>,
    browser_audio: &'static str,
    origins: Vec<String>,
    host: IpAddr,
    trunk: String,
    media: String,
    rtp: String,
    sip: String,
    public: String,
    app: String,
    transport: &'static str,
}

impl Plan {
    /// One trunk and destination for each of these SIP addresses, in order.
    #[must_use]
    pub fn to(targets: &[SocketAddr]) -> Self {
        Self {
            targets: targets.iter().map(ToString::to_string).collect(),
            group: None,
            destinations: None,
            codecs: vec!["PCMU", "PCMA"],
            browser_audio: "opus",
            origins: vec!["https://shop.example".into()],
            host: Ipv4Addr::LOCALHOST.into(),
            trunk: String::new(),
            media: String::new(),
            rtp: "127.0.0.1".into(),
            sip: "udp_listen = \"127.0.0.1:0\"".into(),
            public: String::new(),
            app: String::new(),
            transport: "udp",
        }
    }

    /// One trunk whose targets DNS knows.
    #[must_use]
    pub fn to_domain(domain: &str) -> Self {
        Self { targets: vec![domain.into()], transport: "", ..Self::to(&[]) }
    }

    /// The trunks are one group of this name, in their order, and that is the destination.
    #[must_use]
    pub fn grouped(mut self, group: &'static str) -> Self {
        self.group = Some(group);
        self
    }

    /// A trunk, and a profile without a destination.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { destinations: Some(0), ..Self::to(&[SocketAddr::from(([127, 0, 0, 1], 9))]) }
    }

    /// The trunks' codecs.
    #[must_use]
    pub fn codecs(mut self, codecs: &[&'static str]) -> Self {
        self.codecs = codecs.to_vec();
        self
    }

    /// Towards the browser goes the trunk's own codec.
    #[must_use]
    pub fn relay(mut self) -> Self {
        self.browser_audio = "relay";
        self
    }

    /// What goes towards the browser follows its network.
    #[must_use]
    pub fn elastic(mut self) -> Self {
        self.browser_audio = "elastic";
        self
    }

    /// A page of this origin may use the app.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origins = vec![origin.into()];
        self
    }

    /// Pages of these origins may use the app.
    #[must_use]
    pub fn origins(mut self, origins: &[&str]) -> Self {
        self.origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        self
    }

    /// Browsers reach it at this address, over plain HTTP.
    #[must_use]
    pub fn host(mut self, host: impl Into<IpAddr>) -> Self {
        self.host = host.into();
        self
    }

    /// More lines for every `[[trunks]]`.
    #[must_use]
    pub fn trunk(mut self, lines: &str) -> Self {
        self.trunk = lines.into();
        self
    }

    /// The trunks' transport.
    #[must_use]
    pub fn over(mut self, transport: &'static str) -> Self {
        self.transport = transport;
        self
    }

    /// More lines for `[media]`.
    #[must_use]
    pub fn media(mut self, lines: &str) -> Self {
        self.media = lines.into();
        self
    }

    /// Where SIP and RTP are spoken, in place of UDP at 127.0.0.1: `udp_listen = …`.
    #[must_use]
    pub fn sip(mut self, rtp: &str, lines: &str) -> Self {
        (self.rtp, self.sip) = (rtp.into(), lines.into());
        self
    }

    /// More lines for `[public]`.
    #[must_use]
    pub fn public(mut self, lines: &str) -> Self {
        self.public = lines.into();
        self
    }

    /// More lines for the app.
    #[must_use]
    pub fn app(mut self, lines: &str) -> Self {
        self.app = lines.into();
        self
    }

    /// Only the first so many trunks are destinations of the profile.
    #[must_use]
    pub fn dialling(mut self, destinations: usize) -> Self {
        self.destinations = Some(destinations);
        self
    }

    fn toml(&self, data_dir: &Path) -> String {
        let trunks: String = self.targets.iter().enumerate().map(|(n, target)| {
            // A scenario of SIPp takes OPTIONS for a call that goes wrong.
            let asked = if self.trunk.contains("options_seconds") { "" } else { "options_seconds = 0\n" };
            let (codecs, audio, more, over) = (&self.codecs, self.browser_audio, &self.trunk, self.transport);
            let over = if over.is_empty() { String::new() } else { format!(";transport={over}") };
            format!("[[trunks]]\nid = \"t{n}\"\ntarget = \"sip:{target}{over}\"\ncodecs = {codecs:?}\nbrowser_audio = \"{audio}\"\n{asked}{more}\n")
        }).collect();
        let members = (0..self.targets.len()).map(|n| format!("{{ id = \"t{n}\", priority = {n} }}"));
        let members = members.collect::<Vec<_>>().join(", ");
        let (group, destinations) = match self.group {
            Some(id) => {
                (format!("[[trunk_groups]]\nid = \"{id}\"\ntrunks = [{members}]"), vec![format!("sip:agent@{id}")])
            }
            None => {
                let destinations = 0..self.destinations.unwrap_or(self.targets.len());
                (String::new(), destinations.map(|n| format!("sip:agent@t{n}")).collect())
            }
        };
        // Of the ports below the kernel's ephemeral range, a share of this process's own.
        let base = 12_000 + 400 * (std::process::id() % 50);
        let last = base + 398;
        format!(
            r#"
[node]
name = "test"
data_dir = {data_dir:?}
drain_seconds = 1
[public]
listen = "{host}:0"
allow_insecure = true
limits = {{ sessions_per_minute_per_address = 0, calls_per_minute_per_address = 0 }}
{public}
[control]
listen = "127.0.0.1:0"
api_keys = [
    {{ name = "read", key = "{READ}", scopes = ["read"] }},
    {{ name = "control", key = "{CONTROL}", scopes = ["control"] }},
    {{ name = "admin", key = "{ADMIN}", scopes = ["admin"] }},
]
[media]
workers = 1
udp_listen = "{host}:0"
rtp_listen = "{rtp}"
rtp_ports = "{base}-{last}"
rtp_quarantine_seconds = 1
{media}
[sip]
{sip}
{trunks}
{group}
[[apps]]
id = "{APP}"
widget_keys = ["{WIDGET_KEY}"]
allowed_origins = {origins:?}
trunk = "t0"
default_profile = "main"
profiles = [{{ id = "main", destinations = {destinations:?}, survey = true }}]
{app}
[[apps]]
id = "other"
widget_keys = ["wk_other"]
allowed_origins = ["https://other.example"]
trunk = "t0"
default_profile = "main"
profiles = [{{ id = "main", destinations = [] }}]
"#,
            host = self.host,
            media = self.media,
            rtp = self.rtp,
            sip = self.sip,
            public = self.public,
            app = self.app,
            origins = self.origins,
        )
    }
}

/// A gateway that runs in this process.
pub struct Gateway {
    daemon: Daemon,
    http: reqwest::Client,
    /// Goes with it.
    _data: tempfile::TempDir,
}

/// A session as its client holds it.
#[derive(Debug, Clone)]
pub struct Session {
    /// `ses_…`
    pub id: String,
    /// The bearer token of all its calls.
    pub token: String,
}

impl Gateway {
    /// Starts one.
    pub async fn start(plan: Plan) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let loaded = trunkline_config::load_str(&plan.toml(data.path()), Path::new("."), std::iter::empty())
            .and_then(trunkline_config::Loaded::for_run)
            .map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { daemon: Daemon::start(loaded.config).await?, http, _data: data })
    }

    /// The sockets it has.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Base URL of the public listener.
    #[must_use]
    pub fn public(&self) -> String {
        format!("http://{}", self.daemon.public_addr)
    }

    /// Base URL of the control listener.
    #[must_use]
    pub fn control(&self) -> String {
        format!("http://{}", self.daemon.control_addr)
    }

    /// A request to either listener (`url` is whole), not sent yet.
    pub fn request(&self, method: Method, url: &str, bearer: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url);
        if bearer.is_empty() { request } else { request.bearer_auth(bearer) }
    }

    /// Opens a session as a widget does.
    pub async fn session(&self) -> Result<Session> {
        let body = json!({"app": APP, "widget_key": WIDGET_KEY, "context": {"plan": "gold"}});
        let response = self.http.post(format!("{}/v1/sessions", self.public())).json(&body).send().await?;
        ensure!(response.status() == 201, "{}", response.text().await?);
        let body: Value = response.json().await?;
        let text = |key: &str| body[key].as_str().map(String::from).with_context(|| format!("{key}: {body}"));
        Ok(Session { id: text("session")?, token: text("token")? })
    }

    /// Posts an offer.
    pub async fn offer(&self, session: &Session, offer: &str) -> Result<Response> {
        let request = self.request(Method::POST, &format!("{}/v1/calls", self.public()), &session.token);
        Ok(request.header("content-type", "application/sdp").body(offer.to_owned()).send().await?)
    }

    /// A request of the visitor's on a call: `path` follows the call's own.
    pub async fn visitor(
        &self,
        session: &Session,
        method: Method,
        call: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response> {
        let mut request = self.request(method, &format!("{}/v1/calls/{call}{path}", self.public()), &session.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Ok(request.send().await?)
    }

    /// An operator's request.
    pub async fn operator(&self, method: Method, path: &str, key: &str, body: Option<Value>) -> Result<(u16, Value)> {
        let mut request = self.request(method, &format!("{}{path}", self.control()), key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// A call's record.
    pub async fn record(&self, call: &str) -> Result<Value> {
        let (status, record) = self.operator(Method::GET, &format!("/v1/calls/{call}"), READ, None).await?;
        ensure!(status == 200, "{status} {record}");
        Ok(record)
    }

    /// The record once `good` likes it.
    pub async fn record_when(&self, call: &str, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        for _ in 0..600 {
            last = self.record(call).await?;
            if good(&last) {
                return Ok(last);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("{what} did not come: {last:#}")
    }

    /// The record of a call that has ended.
    pub async fn ended(&self, call: &str) -> Result<Value> {
        self.record_when(call, "the end", |record| record["state"] == "ended").await
    }

    /// The sum of a metric's series.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.http.get(format!("{}/metrics", self.control())).send().await?.text().await?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '{']).then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
        });
        Ok(values.sum())
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        self.daemon.shutdown().await;
    }
}

/// Waits until `good`, looking every few milliseconds.
pub async fn until(what: &str, limit: Duration, mut good: impl FnMut() -> bool) -> Result<()> {
    let end = tokio::time::Instant::now() + limit;
    while !good() {
        if tokio::time::Instant::now() > end {
            bail!("{what}: not within {limit:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
