//! A gateway's process is killed with a call up; the next one finds the call in the journal and closes it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::READ;
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::Caller;

/// A configuration of fixed ports, and what to ask it.
struct Node {
    home: TempDir,
    public: String,
    control: String,
    http: reqwest::Client,
}

impl Node {
    fn new(agent: &str) -> Result<Self> {
        let home = TempDir::new()?;
        let (public, control) = (free_tcp_port()?, free_tcp_port()?);
        let (media, sip) = (free_udp_port()?, free_udp_port()?);
        let text = format!(
            r#"
[node]
name = "crash"
[public]
listen = "{public}"
[control]
listen = "{control}"
api_keys = [{{ name = "read", key = "{READ}", scopes = ["read"] }}]
[media]
workers = 1
udp_listen = "{media}"
rtp_ports = "11000-11098"
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
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { home, public: format!("http://{public}"), control: format!("http://{control}"), http })
    }

    /// Starts the process and waits until it takes calls.
    async fn start(&self) -> Result<Child> {
        let binary: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/trunkline");
        let child = Command::new(&binary)
            .args(["run", "--config", "trunkline.toml"])
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} is not built", binary.display()))?;
        for _ in 0..400 {
            let ready = self.http.get(format!("{}/readyz", self.control)).send().await;
            if ready.is_ok_and(|response| response.status().is_success()) {
                return Ok(child);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("the gateway is not ready")
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let response = self.http.get(format!("{}{path}", self.control)).bearer_auth(READ).send().await?;
        ensure!(response.status().is_success(), "{path}: {}", response.status());
        Ok(response.json().await?)
    }

    /// A call, up to the agent's answer.
    async fn call(&self) -> Result<String> {
        let body = json!({"app": "acme", "widget_key": "wk_demo"});
        let session: Value =
            self.http.post(format!("{}/v1/sessions", self.public)).json(&body).send().await?.json().await?;
        let token = session["token"].as_str().with_context(|| format!("{session}"))?;
        let offer = Caller::new(Codec::Pcmu).await?.offer;
        let request = self.http.post(format!("{}/v1/calls", self.public)).bearer_auth(token);
        let response = request.header("content-type", "application/sdp").body(offer).send().await?;
        ensure!(response.status() == 201, "{}", response.text().await?);
        let location = response.headers()["location"].to_str()?.to_owned();
        let call = location.rsplit('/').next().unwrap_or_default().to_owned();
        for _ in 0..200 {
            if self.get(&format!("/v1/calls/{call}")).await?["state"] == "talking" {
                return Ok(call);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("the agent did not answer")
    }
}

fn free_tcp_port() -> Result<std::net::SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

#[tokio::test]
async fn a_call_of_a_killed_gateway_is_closed_by_the_next() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, 1100.0).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start("answer", &keys).await?;
    let node = Node::new(&sipp.address().to_string())?;
    let mut process = node.start().await?;
    let call = node.call().await?;
    // The journal is written by a thread of its own, many entries at a time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.kill().await?;

    let mut process = node.start().await?;
    let record = node.get(&format!("/v1/calls/{call}")).await?;
    let outcome = &record["outcome"];
    ensure!(record["state"] == "ended" && outcome["reason"] == "node_crash", "{record:#}");
    ensure!(outcome["class"] == "error" && outcome["blame"] == "gateway", "{outcome:#}");
    ensure!(outcome["phase"] == "talking" && outcome["advice"] != "", "{outcome:#}");
    let bundle = node.get(&format!("/v1/calls/{call}/bundle")).await?;
    ensure!(bundle["outcome"]["reason"] == "node_crash", "{bundle:#}");
    ensure!(bundle["sdp"].as_array().is_some_and(|all| !all.is_empty()), "{bundle:#}");
    process.kill().await?;
    drop(sipp);
    Ok(())
}
