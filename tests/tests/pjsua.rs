//! An agent on PJSIP: calls over UDP and TCP, changes of the call from its side, reliable ringing, encrypted media.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan, until};
use trunkline_tests::page::judge;
use trunkline_tests::pjsua::Pjsua;
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

/// Both hear each other; the agent holds, resumes, refreshes and hangs up, or the visitor does.
async fn talk(gateway: &Gateway, agent: &mut Pjsua, agent_hangs_up: bool) -> Result<serde_json::Value> {
    let ended = agent.ended();
    let visitor = WebClient::call(gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await.map_err(|error| error.context(agent.log()))?;
    for (command, direction) in [("hold", 1), ("resume", 3)] {
        agent.command(command).await?;
        // Direction of the stream as PJSIP counts it: 1 is sending alone, 3 both ways.
        let is_there = |agent: &Pjsua| {
            let last = agent.events().iter().rfind(|event| event["event"] == "media").cloned();
            last.is_some_and(|last| last["direction"] == direction || direction == 1 && last["status"] == 2)
        };
        until(command, Duration::from_secs(20), || is_there(agent))
            .await
            .map_err(|error| error.context(agent.log()))?;
    }
    agent.command("update").await?;
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await.map_err(|error| error.context(agent.log()))?;
    tokio::time::sleep(Duration::from_millis(600)).await;
    if agent_hangs_up {
        agent.command("hangup").await?;
    } else {
        gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    }
    let record = gateway.ended(&visitor.call).await?;
    let reason = if agent_hangs_up { "remote_hangup" } else { "user_hangup" };
    ensure!(record["outcome"]["reason"] == reason, "{record:#}\n{}", agent.log());
    until("the agent's end", Duration::from_secs(20), || agent.ended() > ended).await?;
    let pcm = agent.heard()?;
    let heard = pcm.chunks_exact(2000).any(|quarter| judge(quarter, 8000, VISITOR, AGENT).is_ok());
    ensure!(heard, "the agent did not hear {VISITOR} Hz in {} samples\n{}", pcm.len(), agent.log());
    Ok(record)
}

#[tokio::test]
async fn an_agent_on_pjsip_talks_holds_and_hangs_up() -> Result<()> {
    for (over, reliably) in [("udp", 1), ("tcp", 2)] {
        let mut agent = Pjsua::start(AGENT, json!({"codec": "PCMU", "rel100": reliably})).await?;
        // Its own requests come over a connection of its own.
        let listen = "udp_listen = \"127.0.0.1:0\"\ntcp_listen = \"127.0.0.1:0\"";
        let plan = Plan::to(&[agent.address()]).relay().over(over).sip("127.0.0.1", listen);
        let gateway = Gateway::start(plan).await?;
        for agent_hangs_up in [false, true] {
            let record = talk(&gateway, &mut agent, agent_hangs_up).await?;
            ensure!(record["sip"]["attempts"][0]["target"] == format!("{over}:{}", agent.address()), "{record:#}");
        }
        gateway.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_on_pjsip_that_wants_srtp_gets_it_by_keys_in_the_sdp() -> Result<()> {
    let mut agent = Pjsua::start(AGENT, json!({"codec": "PCMU", "rel100": 0, "srtp": 2})).await?;
    let plan = Plan::to(&[agent.address()]).relay().trunk("srtp = \"required\"");
    let gateway = Gateway::start(plan).await?;
    for agent_hangs_up in [false, true] {
        talk(&gateway, &mut agent, agent_hangs_up).await?;
    }
    ensure!(agent.log().contains("RTP/SAVP"), "{}", agent.log());
    gateway.stop().await;
    Ok(())
}
