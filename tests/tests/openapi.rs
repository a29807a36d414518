//! The OpenAPI document, judged by others: a validator of the specification, and a fuzzer that makes up requests from the
//! schemas and holds every answer of a gateway with calls against them. Both are Python packages that `.ci/install test`
//! puts into `target/python`.

#![allow(clippy::indexing_slicing, clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{ADMIN, CONTROL, Gateway, Plan, READ};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

/// The document of a gateway as a file.
async fn document(gateway: &Gateway, query: &str, folder: &Path) -> Result<PathBuf> {
    let (status, document) = gateway.operator(Method::GET, &format!("/openapi.json{query}"), "", None).await?;
    ensure!(status == 200 && document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{status} {document}");
    let path = folder.join(format!("openapi{}.json", query.len()));
    std::fs::write(&path, document.to_string())?;
    Ok(path)
}

async fn python(tool: &str, folder: &Path, arguments: &[&str], environment: &[(&str, String)]) -> Result<String> {
    let mut command = Command::new(workspace(&format!("target/python/bin/{tool}")));
    command.args(arguments).current_dir(folder).envs(environment.iter().cloned());
    command.env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("{tool}: run `.ci/install test` first"))?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{tool}: {text}");
    Ok(text)
}

#[tokio::test]
async fn the_openapi_document_is_valid_for_either_listener_and_for_both() -> Result<()> {
    let gateway = Gateway::start(Plan::nowhere()).await?;
    let folder = tempfile::tempdir()?;
    for query in ["", "?listener=public", "?listener=control"] {
        let path = document(&gateway, query, folder.path()).await?;
        python("openapi-spec-validator", folder.path(), &[path.to_str().unwrap()], &[]).await?;
    }
    let (status, refused) = gateway.operator(Method::GET, "/openapi.json?listener=back", "", None).await?;
    ensure!(status == 400 && refused["type"] == "urn:trunkline:problem:invalid-request", "{refused}");
    gateway.stop().await;
    Ok(())
}

/// A gateway in the middle of its work: a call that has ended, one that people talk in, a session without any.
struct Busy {
    gateway: Gateway,
    live: WebClient,
    ended: String,
    _peers: (MediaPhone, Sipp),
}

impl Busy {
    async fn begin() -> Result<Self> {
        let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
        let port = phone.address().port().to_string();
        let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
        let sipp = Sipp::start("answer", &keys).await?;
        let closed = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let gateway = Gateway::start(Plan::to(&[sipp.address(), closed]).relay()).await?;
        let live = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        live.hears(AGENT, VISITOR).await?;
        let other = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        let gone = gateway.visitor(&other.session, Method::DELETE, &other.call, "", None).await?;
        ensure!(gone.status() == 200, "{}", gone.status());
        gateway.ended(&other.call).await?;
        Ok(Self { gateway, live, ended: other.call.clone(), _peers: (phone, sipp) })
    }

    /// What the hooks may use in place of what the fuzzer made up.
    fn known(&self) -> Value {
        json!({
            "token": self.live.session.token,
            "keys": {"read": READ, "control": CONTROL, "admin": ADMIN},
            "call": [self.live.call, self.ended, self.live.call],
            "session": [self.live.session.id],
            // Nobody listens there, so that a test of it is over at once.
            "id": ["t1"],
            "offer": self.live.offer,
            "ending": {"call": [self.ended, self.ended, "call_unknown"]},
            // The live call shall stay, with its browser and its agent, whose scenario knows no offer but the first; and
            // its event stream has no end.
            "only_ended": [
                "POST /v1/calls/{call}/hold",
                "POST /v1/calls/{call}/resume",
                "POST /v1/calls/{call}/hangup", "POST /v1/calls/{call}/actions", "POST /v1/calls/{call}/transfer",
                "DELETE /v1/calls/{call}", "POST /v1/calls/{call}/reattach", "GET /v1/calls/{call}/events",
            ],
        })
    }

    async fn fuzz(&self, listener: &str, url: &str) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = document(&self.gateway, &format!("?listener={listener}"), folder.path()).await?;
        let arguments = [
            "run",
            path.to_str().unwrap(),
            "--url",
            url,
            "--seed",
            "4711",
            "--generation-deterministic",
            "--max-examples",
            "20",
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
            // Draining is for the end, streams of everything have none, and the page is no part of the API.
            "--exclude-path-regex",
            "^/v1/(node/drain|node/reload|events)$",
            "--suppress-health-check",
            "all",
            "--warnings",
            "off",
            "--no-color",
        ];
        let known = [
            ("TRUNKLINE_KNOWN", self.known().to_string()),
            ("SCHEMATHESIS_HOOKS", "hooks".to_owned()),
            ("PYTHONPATH", workspace("tests/fuzz").to_string_lossy().into_owned()),
        ];
        let told = python("schemathesis", folder.path(), &arguments, &known).await?;
        println!(
            "{listener}: {}",
            told.lines().rev().take(25).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
        );
        Ok(())
    }
}

#[tokio::test]
async fn the_fuzzer_finds_no_answer_of_the_control_listener_that_is_not_in_the_document() -> Result<()> {
    let busy = Busy::begin().await?;
    busy.fuzz("control", &busy.gateway.control()).await?;
    busy.unharmed().await
}

#[tokio::test]
async fn the_fuzzer_finds_no_answer_of_the_public_listener_that_is_not_in_the_document() -> Result<()> {
    let busy = Busy::begin().await?;
    busy.fuzz("public", &busy.gateway.public()).await?;
    busy.unharmed().await
}

impl Busy {
    async fn unharmed(self) -> Result<()> {
        let text = self.gateway.operator(Method::GET, "/v1/node", READ, None).await?;
        ensure!(text.0 == 200, "{text:?}");
        ensure!(self.gateway.metric("trunkline_call_panics_total").await? == 0.0);
        ensure!(self.gateway.metric("trunkline_worker_panics_total").await? == 0.0);
        let record = self.gateway.record(&self.live.call).await?;
        ensure!(record["state"] == "talking" || record["state"] == "reconnecting", "{record:#}");
        self.gateway.stop().await;
        Ok(())
    }
}
