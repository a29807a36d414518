//! A gateway's process is killed with a call up; the next one finds the call in the journal and closes it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use trunkline_media::audio::Codec;
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::process::Node;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::Caller;

/// A call, up to the agent's answer.
async fn call(node: &Node) -> Result<String> {
    let token = node.session("1").await?;
    let call = node.offer(&token, &Caller::new(Codec::Pcmu).await?.offer).await?;
    for _ in 0..400 {
        if node.get(&format!("/v1/calls/{call}")).await?["state"] == "talking" {
            return Ok(call);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    bail!("the agent did not answer")
}

#[tokio::test]
async fn a_call_of_a_killed_gateway_is_closed_by_the_next() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, 1100.0).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start("answer", &keys).await?;
    let node = Node::new(&sipp.address().to_string())?;
    let mut process = node.start().await?;
    let call = call(&node).await?;
    // The journal is written by a thread of its own, many entries at a time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    process.kill().await?;

    let mut process = node.start().await?;
    let record = node.get(&format!("/v1/calls/{call}")).await?;
    let outcome = &record["outcome"];
    ensure!(record["state"] == "ended" && outcome["reason"] == "node_crash", "{record:#}");
    ensure!(outcome["class"] == "error" && outcome["blame"] == "gateway", "{outcome:#}");
    ensure!(outcome["phase"] == "talking" && outcome["advice"] != "", "{outcome:#}");
    // Whoever steers it hears that it has ended, though nothing of it is left but its record.
    for (call, what, status) in [(call.as_str(), "stop", 409), (&call, "hangup", 202), ("call_unknown", "hangup", 404)]
    {
        let (said, problem) = node.steer(call, what).await?;
        ensure!(said == status, "{what}: {said} {problem}");
        ensure!(status != 409 || problem["type"] == "urn:trunkline:problem:call-ended", "{problem}");
    }
    let bundle = node.get(&format!("/v1/calls/{call}/bundle")).await?;
    ensure!(bundle["outcome"]["reason"] == "node_crash", "{bundle:#}");
    ensure!(bundle["sdp"].as_array().is_some_and(|all| !all.is_empty()), "{bundle:#}");
    process.kill().await?;
    drop(sipp);
    Ok(())
}
