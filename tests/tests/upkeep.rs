//! A gateway's own process, kept in good order while it runs: another configuration, another certificate, a drain.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{ADMIN, READ};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::Caller;

fn binary() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/trunkline")
}

/// A file, the process that runs by it, and what to ask it.
struct Node {
    home: TempDir,
    public: SocketAddr,
    control: String,
    http: reqwest::Client,
    child: Child,
}

impl Node {
    /// `tls`: whether certificate and key lie beside the file.
    async fn start(home: TempDir, agent: &str, drain_seconds: u32, tls: bool) -> Result<Self> {
        let (public, control) = (free_tcp_port()?, free_tcp_port()?);
        let (media, sip) = (free_udp_port()?, free_udp_port()?);
        let tls = if tls { "tls = { certificate = \"cert.pem\", key = \"key.pem\" }" } else { "" };
        let text = format!(
            r#"
[node]
drain_seconds = {drain_seconds}
[public]
listen = "{public}"
{tls}
[control]
listen = "{control}"
api_keys = [
    {{ name = "read", key = "{READ}", scopes = ["read"] }},
    {{ name = "admin", key = "{ADMIN}", scopes = ["admin"] }},
]
[media]
workers = 1
udp_listen = "{media}"
rtp_ports = "11100-11198"
[sip]
udp_listen = "{sip}"
[[trunks]]
id = "t0"
target = "sip:{agent}"
[[apps]]
id = "acme"
widget_keys = ["wk_demo"]
trunk = "t0"
default_profile = "main"
profiles = [{{ id = "main", destinations = ["sip:agent@t0"] }}]
"#
        );
        std::fs::write(home.path().join("trunkline.toml"), text)?;
        let binary = binary();
        let child = Command::new(&binary)
            .args(["run", "--config", "trunkline.toml"])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} is not built", binary.display()))?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let node = Self { home, public, control: format!("http://{control}"), http, child };
        node.wait_for("readiness", async || {
            Ok(node.ask(Method::GET, "/readyz", "").await.is_ok_and(|(s, _)| s == 200))
        })
        .await?;
        Ok(node)
    }

    /// Changes the file.
    fn edit(&self, change: impl FnOnce(String) -> String) -> Result<()> {
        let file = self.home.path().join("trunkline.toml");
        Ok(std::fs::write(&file, change(std::fs::read_to_string(&file)?))?)
    }

    async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().context("the gateway has ended")?.to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await?;
        ensure!(status.success(), "kill -s {name}: {status}");
        Ok(())
    }

    /// On the control listener.
    async fn ask(&self, method: Method, path: &str, key: &str) -> Result<(u16, Value)> {
        let response = self.http.request(method, format!("{}{path}", self.control)).bearer_auth(key).send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn has_metric(&self, line: &str) -> Result<bool> {
        let (_, text) = self.ask(Method::GET, "/metrics", "").await?;
        Ok(text.as_str().unwrap_or_default().lines().any(|have| have == line))
    }

    /// Status and answer to a widget that opens a session.
    async fn session(&self, widget_key: &str) -> Result<(u16, Value)> {
        let body = json!({"app": "acme", "widget_key": widget_key});
        let response = self.http.post(format!("http://{}/v1/sessions", self.public)).json(&body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    async fn offer(&self, token: &str) -> Result<reqwest::Response> {
        let offer = Caller::new(Codec::Pcmu).await?.offer;
        let request = self.http.post(format!("http://{}/v1/calls", self.public)).bearer_auth(token);
        Ok(request.header("content-type", "application/sdp").body(offer).send().await?)
    }

    /// A call, up to the agent's answer.
    async fn call(&self) -> Result<String> {
        let (_, session) = self.session("wk_demo").await?;
        let response = self.offer(session["token"].as_str().unwrap_or_default()).await?;
        ensure!(response.status() == 201, "{}", response.text().await?);
        let path = response.headers()["location"].to_str()?.to_owned();
        let talks = async || Ok(self.ask(Method::GET, &path, READ).await?.1["state"] == "talking");
        self.wait_for("the agent's answer", talks).await?;
        Ok(path)
    }

    async fn wait_for(&self, what: &str, mut good: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
        for _ in 0..1_200 {
            if good().await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("{what} did not come")
    }
}

fn free_tcp_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn agent() -> Result<(MediaPhone, Sipp)> {
    let phone = MediaPhone::start(Codec::Pcmu, 1100.0).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    Ok((phone, Sipp::start("answer", &keys).await?))
}

#[tokio::test]
async fn a_good_file_is_in_force_at_sighup_and_a_bad_one_changes_nothing() -> Result<()> {
    let node = Node::start(TempDir::new()?, "127.0.0.1:9", 5, false).await?;
    ensure!(node.session("wk_demo").await?.0 == 201);
    ensure!(node.session("wk_new").await?.0 == 401);
    node.edit(|text| text.replace("wk_demo", "wk_new"))?;
    node.signal("HUP").await?;
    node.wait_for("the new key", async || Ok(node.session("wk_new").await?.0 == 201)).await?;
    ensure!(node.session("wk_demo").await?.0 == 401);

    node.edit(|text| text.replace("wk_new", "wk_newer").replace("workers = 1", "workers = -1"))?;
    node.signal("HUP").await?;
    let refused = "trunkline_config_reloads_total{result=\"refused\"} 1";
    node.wait_for("the refusal", async || node.has_metric(refused).await).await?;
    ensure!(node.session("wk_new").await?.0 == 201 && node.session("wk_newer").await?.0 == 401);
    let (status, problem) = node.ask(Method::POST, "/v1/node/reload", ADMIN).await?;
    ensure!(status == 422 && problem["problems"][0]["key"] == "media.workers", "{problem:#}");
    ensure!(problem["problems"][0]["line"].is_u64(), "{problem:#}");

    node.edit(|text| text.replace("workers = -1", "workers = 2").replace("drain_seconds = 5", "drain_seconds = 7"))?;
    let (status, reloaded) = node.ask(Method::POST, "/v1/node/reload", ADMIN).await?;
    ensure!(status == 200 && reloaded["needs_restart"] == json!(["media.workers"]), "{reloaded:#}");
    ensure!(reloaded["old_version"] != reloaded["new_version"], "{reloaded:#}");
    ensure!(node.session("wk_newer").await?.0 == 201);
    Ok(())
}

/// Writes a certificate for `localhost`, and its key.
fn certify(home: &Path) -> Result<CertificateDer<'static>> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["localhost".to_owned()])?.self_signed(&key)?;
    std::fs::write(home.join("cert.pem"), certificate.pem())?;
    std::fs::write(home.join("key.pem"), key.serialize_pem())?;
    Ok(certificate.der().clone())
}

/// Connects as somebody who trusts this certificate alone.
async fn connect(at: SocketAddr, trusted: &CertificateDer<'static>) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = builder.with_protocol_versions(&[&TLS13, &TLS12])?.with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    Ok(connector.connect(ServerName::try_from("localhost")?, TcpStream::connect(at).await?).await?)
}

/// Asks for `/healthz` on a connection that stays open.
async fn is_healthy(stream: &mut TlsStream<TcpStream>) -> Result<bool> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"ok\"}") {
        let mut some = [0; 1024];
        let count = stream.read(&mut some).await?;
        ensure!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..count]);
    }
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

#[tokio::test]
async fn another_certificate_is_shown_after_sighup_and_no_connection_is_dropped() -> Result<()> {
    let home = TempDir::new()?;
    let old = certify(home.path())?;
    let node = Node::start(home, "127.0.0.1:9", 5, true).await?;
    let mut first = connect(node.public, &old).await?;
    ensure!(is_healthy(&mut first).await?);
    let new = certify(node.home.path())?;
    ensure!(connect(node.public, &new).await.is_err(), "not before it is asked to");
    node.signal("HUP").await?;
    node.wait_for("the new certificate", async || Ok(connect(node.public, &new).await.is_ok())).await?;
    ensure!(connect(node.public, &old).await.is_err());
    ensure!(is_healthy(&mut first).await? && is_healthy(&mut connect(node.public, &new).await?).await?);

    // A key that belongs to another certificate changes nothing.
    std::fs::write(node.home.path().join("key.pem"), KeyPair::generate()?.serialize_pem())?;
    let (status, problem) = node.ask(Method::POST, "/v1/node/reload", ADMIN).await?;
    ensure!(status == 422 && problem["problems"][0]["key"] == "public.tls.key", "{problem:#}");
    ensure!(is_healthy(&mut connect(node.public, &new).await?).await?);
    Ok(())
}

#[tokio::test]
async fn sigterm_refuses_what_is_new_and_ends_what_lives_at_the_deadline() -> Result<()> {
    let (_phone, sipp) = agent().await?;
    let mut node = Node::start(TempDir::new()?, &sipp.address().to_string(), 6, false).await?;
    let (_, other) = node.session("wk_demo").await?;
    node.call().await?;
    node.signal("TERM").await?;
    let unready = async || Ok(node.ask(Method::GET, "/readyz", "").await?.0 == 503);
    node.wait_for("the drain", unready).await?;
    let refused = node.offer(other["token"].as_str().unwrap_or_default()).await?;
    ensure!(refused.status() == 503 && refused.headers().contains_key("retry-after"), "{refused:?}");
    ensure!(refused.json::<Value>().await?["type"] == "urn:trunkline:problem:draining");
    let (status, refused) = node.session("wk_demo").await?;
    ensure!(status == 503 && refused["type"] == "urn:trunkline:problem:draining", "{refused}");
    let (_, now) = node.ask(Method::GET, "/v1/node", READ).await?;
    ensure!(now["calls"]["live"] == 1 && now["draining"] == true, "{now:#}");

    let status = tokio::time::timeout(Duration::from_secs(60), node.child.wait()).await??;
    ensure!(status.success(), "{status}");
    let trace = sipp.finish().await?;
    let bye = trace.split("BYE sip:").nth(1).context("no BYE")?;
    ensure!(bye.contains("Reason: SIP;cause=503"), "{bye}");
    Ok(())
}

#[tokio::test]
async fn a_drain_that_an_operator_asks_for_ends_calls_but_not_the_process() -> Result<()> {
    let (_phone, sipp) = agent().await?;
    let mut node = Node::start(TempDir::new()?, &sipp.address().to_string(), 1, false).await?;
    let call = node.call().await?;
    let (status, drain) = node.ask(Method::POST, "/v1/node/drain", ADMIN).await?;
    ensure!(status == 202 && drain["draining"] == true, "{drain}");
    let over = async || Ok(node.ask(Method::GET, &call, READ).await?.1["state"] == "ended");
    node.wait_for("the end", over).await?;
    let (_, record) = node.ask(Method::GET, &call, READ).await?;
    ensure!(record["outcome"]["reason"] == "node_shutdown" && record["outcome"]["class"] == "error", "{record:#}");
    let (status, again) = node.ask(Method::POST, "/v1/node/drain", ADMIN).await?;
    ensure!(status == 202 && again["deadline_at"] == drain["deadline_at"], "{again}");
    ensure!(node.ask(Method::GET, "/healthz", "").await?.0 == 200 && node.child.try_wait()?.is_none());
    let trace = sipp.finish().await?;
    ensure!(trace.contains("Reason: SIP;cause=503"), "{trace}");

    node.signal("TERM").await?;
    let status = tokio::time::timeout(Duration::from_secs(60), node.child.wait()).await??;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_gateway_begins_with_an_allocator_that_keeps_nothing_back() -> Result<()> {
    let node = Node::start(TempDir::new()?, "127.0.0.1:9", 5, false).await?;
    let process = PathBuf::from(format!("/proc/{}", node.child.id().context("the gateway has ended")?));
    let environment = String::from_utf8(std::fs::read(process.join("environ"))?)?;
    ensure!(environment.contains("GLIBC_TUNABLES=") && environment.contains("glibc.malloc.tcache_count=0"));
    let arguments = String::from_utf8(std::fs::read(process.join("cmdline"))?)?;
    ensure!(arguments.ends_with("trunkline\0run\0--config\0trunkline.toml\0"), "{arguments:?}");
    ensure!(std::fs::read_to_string(process.join("comm"))?.trim_end() == "trunkline");
    Ok(())
}

#[tokio::test]
async fn a_check_passes_what_a_run_takes_and_nothing_else() -> Result<()> {
    let node = Node::start(TempDir::new()?, "127.0.0.1:9", 5, false).await?;
    let check = async || {
        let mut check = Command::new(binary());
        let check = check.args(["check", "--config", "trunkline.toml"]).current_dir(node.home.path());
        anyhow::Ok(check.output().await?)
    };
    let passed = check().await?;
    ensure!(passed.status.success() && passed.stderr.is_empty(), "{passed:?}");
    node.edit(|text| text.replace("sip:agent@t0", "sips:agent@t0"))?;
    let refused = check().await?;
    let why = String::from_utf8(refused.stderr)?;
    ensure!(refused.status.code() == Some(1) && refused.stdout.is_empty(), "{:?} {why}", refused.status);
    ensure!(why.contains("apps[0].profiles[0].destinations[0]: sips is not active yet"), "{why}");
    let (status, problem) = node.ask(Method::POST, "/v1/node/reload", ADMIN).await?;
    ensure!(status == 422 || status == 400, "{status} {problem}");
    Ok(())
}
