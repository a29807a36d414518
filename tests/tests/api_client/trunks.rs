//! Trunks, and what the network has to let through.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_signaling::endpoint::{EndpointConfig, Timers};
use trunkline_signaling::transport::udp::{self, Handle};
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ};

use super::rfc3339;

/// An agent that answers OPTIONS as long as its handle is kept.
fn agent() -> Result<(Handle, SocketAddr)> {
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let timers = Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
    let config = EndpointConfig {
        advertised: bind,
        domain: "agent.example".into(),
        user_agent: "agent".into(),
        accepts_calls: true,
        timers,
        max_transactions: 100,
        trace: false,
        snapshots: None,
    };
    let (handle, _, address) = udp::spawn(config, bind, [3; 32])?;
    Ok((handle, address))
}

async fn trunk_when(gateway: &Gateway, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut trunk = Value::Null;
    for _ in 0..600 {
        let list = gateway.operator(Method::GET, "/v1/trunks", READ, None).await?.1;
        trunk = list["trunks"][0].clone();
        if good(&trunk) {
            return Ok(trunk);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{what}: {trunk:#}")
}

async fn tested(gateway: &Gateway) -> Result<(Value, Vec<String>)> {
    let (status, tested) = gateway.operator(Method::POST, "/v1/trunks/t0/test", CONTROL, None).await?;
    ensure!(status == 200 && tested["trunk"] == "t0", "{status} {tested}");
    let of = |step: &Value| format!("{} {}", step["step"].as_str().unwrap_or_default(), step["ok"]);
    let steps = tested["steps"].as_array().map(|steps| steps.iter().map(of).collect()).unwrap_or_default();
    Ok((tested, steps))
}

#[tokio::test]
async fn a_trunk_is_watched_and_tested_step_by_step() -> Result<()> {
    let (handle, address) = agent()?;
    let gateway = Gateway::start(Plan::to(&[address]).trunk("options_seconds = 1")).await?;
    let trunk = trunk_when(&gateway, "up", |trunk| trunk["state"] == "up").await?;
    ensure!(trunk["rtt_ms"].is_number() && trunk["options"]["status"] == 200, "{trunk:#}");
    ensure!(rfc3339(&trunk["options"]["since"]) && trunk["last_failure"].is_null(), "{trunk:#}");
    ensure!(trunk["registration"].is_null() && trunk["options_seconds"] == 1, "{trunk:#}");
    let (result, steps) = tested(&gateway).await?;
    ensure!(steps == ["dns true", "transport true", "options true"] && result["ok"] == true, "{result:#}");
    ensure!(result["steps"][2]["status"] == 200 && result["steps"][2]["rtt_ms"].is_number(), "{result:#}");

    drop(handle);
    let trunk = trunk_when(&gateway, "down", |trunk| trunk["state"] == "down").await?;
    ensure!(rfc3339(&trunk["last_failure"]["at"]) && trunk["last_failure"]["error"].is_string(), "{trunk:#}");
    let (result, steps) = tested(&gateway).await?;
    ensure!(steps == ["dns true", "transport true", "options false"] && result["ok"] == false, "{result:#}");
    let (status, problem) = gateway.operator(Method::POST, "/v1/trunks/t9/test", CONTROL, None).await?;
    ensure!(status == 404 && problem["type"] == "urn:trunkline:problem:unknown-trunk", "{problem}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_trunk_that_takes_no_connection_fails_at_that_step() -> Result<()> {
    // Nobody listens there: the port was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let gateway = Gateway::start(Plan::to(&[closed]).over("tcp")).await?;
    let (result, steps) = tested(&gateway).await?;
    ensure!(steps == ["dns true", "transport false"], "{result:#}");
    ensure!(result["steps"][1]["error"] == "unreachable" && result["steps"][1]["transport"] == "tcp", "{result:#}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn the_network_requirements_name_hosts_ports_protocols_and_bandwidth() -> Result<()> {
    let gateway = Gateway::start(Plan::nowhere()).await?;
    let (status, needed) = gateway.operator(Method::GET, "/v1/network-requirements", READ, None).await?;
    ensure!(status == 200, "{needed}");
    for (side, purposes) in [("browsers", ["signalling", "media"]), ("trunks", ["signalling", "media"])] {
        for (at, purpose) in purposes.into_iter().enumerate() {
            let flow = &needed[side]["flows"][at];
            ensure!(flow["purpose"] == purpose && flow["hosts"][0] == "127.0.0.1", "{needed:#}");
            ensure!(flow["ports"].as_array().is_some_and(|ports| !ports.is_empty()), "{needed:#}");
            ensure!(flow["transport"].is_string() && flow["protocol"].is_string(), "{needed:#}");
        }
        ensure!(needed[side]["bandwidth"]["kbps_each_way"].as_u64() > Some(64), "{needed:#}");
    }
    let public = gateway.daemon().public_addr.port();
    ensure!(needed["browsers"]["flows"][0]["ports"] == json!([public]), "{needed:#}");
    gateway.stop().await;
    Ok(())
}
