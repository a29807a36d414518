//! A gateway in a process of its own, with a configuration of fixed ports that outlives it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::gateway::READ;
use crate::sipp::free_udp_port;

/// A configuration of fixed ports, and what to ask it.
pub struct Node {
    home: TempDir,
    public: String,
    control: String,
    http: reqwest::Client,
}

impl Node {
    /// One whose only trunk is this agent.
    pub fn new(agent: &str) -> Result<Self> {
        let home = TempDir::new()?;
        let (public, control) = (free_tcp_port()?, free_tcp_port()?);
        let (media, sip) = (free_udp_port()?, free_udp_port()?);
        let text = format!(
            r#"
[node]
name = "crash"
[public]
listen = "{public}"
limits = {{ sessions_per_minute_per_address = 0, calls_per_minute_per_address = 0 }}
[control]
listen = "{control}"
api_keys = [{{ name = "read", key = "{READ}", scopes = ["read", "control"] }}]
[media]
workers = 1
udp_listen = "{media}"
rtp_ports = "11000-11398"
rtp_quarantine_seconds = 1
[sip]
udp_listen = "{sip}"
[[trunks]]
id = "t0"
target = "sip:{agent}"
[[apps]]
id = "acme"
widget_keys = ["wk_demo"]
allowed_origins = ["http://{public}"]
trunk = "t0"
default_profile = "main"
profiles = [{{ id = "main", destinations = ["sip:agent@t0"] }}]
"#
        );
        std::fs::write(home.path().join("trunkline.toml"), text)?;
        // A connection of the process before would only fail.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(10));
        Ok(Self { home, public: format!("http://{public}"), control: format!("http://{control}"), http: http.build()? })
    }

    /// Starts the process and waits until it takes calls.
    pub async fn start(&self) -> Result<Child> {
        let binary: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/trunkline");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.home.path().join("log"))?;
        let child = Command::new(&binary)
            .args(["run", "--config", "trunkline.toml"])
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} is not built", binary.display()))?;
        for _ in 0..4_000 {
            let ready = self.http.get(format!("{}/readyz", self.control)).send().await;
            if ready.is_ok_and(|response| response.status().is_success()) {
                return Ok(child);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the gateway is not ready: {}", self.log())
    }

    /// What its processes logged last.
    #[must_use]
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// An answer of the control listener, whatever it says.
    pub async fn ask(&self, path: &str) -> Result<Response> {
        Ok(self.http.get(format!("{}{path}", self.control)).bearer_auth(READ).send().await?)
    }

    /// What the control listener has at a path.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let response = self.ask(path).await?;
        ensure!(response.status().is_success(), "{path}: {}", response.status());
        Ok(response.json().await?)
    }

    /// Asks for this of a call, as an operator: the status, and a problem if there is one.
    pub async fn steer(&self, call: &str, what: &str) -> Result<(u16, Value)> {
        let request = self.http.post(format!("{}/v1/calls/{call}/{what}", self.control)).bearer_auth(READ);
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json().await.unwrap_or_default()))
    }

    /// All events from now on, or after one; an unknown one stands before all that are kept.
    pub async fn events(&self, after: Option<&str>) -> Result<Response> {
        let request = self.http.get(format!("{}/v1/events", self.control)).bearer_auth(READ);
        let request = request.timeout(Duration::from_secs(120));
        let request = if let Some(after) = after { request.header("last-event-id", after) } else { request };
        Ok(request.send().await?.error_for_status()?)
    }

    /// A session's token; its `party` goes to the trunk.
    pub async fn session(&self, party: &str) -> Result<String> {
        let body = json!({"app": "acme", "widget_key": "wk_demo", "context": {"party": party}});
        let session: Value =
            self.http.post(format!("{}/v1/sessions", self.public)).json(&body).send().await?.json().await?;
        Ok(session["token"].as_str().with_context(|| format!("{session}"))?.to_owned())
    }

    /// Starts a call; its id.
    pub async fn offer(&self, token: &str, offer: &str) -> Result<String> {
        let request = self.http.post(format!("{}/v1/calls", self.public)).bearer_auth(token);
        let response = request.header("content-type", "application/sdp").body(offer.to_owned()).send().await?;
        ensure!(response.status() == 201, "{}", response.text().await?);
        let location = response.headers()["location"].to_str()?.to_owned();
        Ok(location.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// The visitor hangs up.
    pub async fn hang_up(&self, token: &str, call: &str) -> Result<()> {
        let request = self.http.delete(format!("{}/v1/calls/{call}", self.public)).bearer_auth(token);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

fn free_tcp_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
