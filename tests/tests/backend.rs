//! `backend/backend.py`: a back end of sixty lines in another language that uses nothing but the published API, with a
//! real gateway, a visitor and an agent.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ, Session};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::Caller;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

#[tokio::test]
async fn a_back_end_of_sixty_lines_runs_a_whole_call() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = std::fs::read_to_string(root.join("backend/backend.py"))?.lines().count();
    ensure!(lines <= 70, "{lines} lines");
    let phone = MediaPhone::start(Codec::Pcmu, 1100.0).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start("answer", &keys).await?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let app = format!(
        "answer_url = \"http://127.0.0.1:{port}/answer\"\nanswer_secret = \"{SECRET}\"\nanswer_allow_insecure = true\n\
         integrations = [{{ id = \"crm\", url = \"http://127.0.0.1:{port}/webhook\", events = [\"call_ended\"], \
         secret = \"{SECRET}\", allow_insecure = true }}]"
    );
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay().app(&app)).await?;
    let mut back_end = Command::new(root.join("../target/python/bin/python"))
        .arg(root.join("backend/backend.py"))
        .env("CONTROL", gateway.control())
        .env("KEY_CONTROL", CONTROL)
        .env("KEY_READ", READ)
        .env("SECRET", SECRET)
        .env("PORT", port.to_string())
        .env("DESTINATION", "sip:agent@t0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("run `.ci/install test` first")?;
    let mut told = BufReader::new(back_end.stdout.take().context("no output")?).lines();
    let mut next = async || -> Result<Value> {
        let line = tokio::time::timeout(Duration::from_secs(60), told.next_line()).await??;
        Ok(serde_json::from_str(&line.context("the back end has ended")?)?)
    };
    let opened = next().await?;
    let text = |key: &str| opened[key].as_str().map(String::from).with_context(|| format!("{key}: {opened}"));
    let session = Session { id: text("session")?, token: text("token")? };
    let caller = Caller::new(Codec::Pcmu).await?;
    let response = gateway.offer(&session, &caller.offer).await?;
    let visitor = caller.answered(session, response, 700.0).await?;
    let done = next().await?;
    ensure!(done["asked"]["call"] == visitor.call.as_str() && done["asked"]["context"]["case"] == "42", "{done:#}");
    let seen: Vec<_> = done["seen"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let wanted = ["call_started", "call_answered", "call_ended"];
    ensure!(wanted.iter().all(|name| seen.contains(name)), "{done:#}");
    ensure!(done["webhook"]["name"] == "call_ended" && done["webhook"] == done["last"], "{done:#}");
    ensure!(done["webhook"]["data"]["reason"] == "remote_hangup", "{done:#}");
    ensure!(back_end.wait().await?.success());
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}
