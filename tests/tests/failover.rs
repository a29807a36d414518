//! Real SIP agents (SIPp) of which the first does not take the call: the visitor talks all the same, and nobody rings twice.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::name_server::NameServer;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

async fn answering() -> Result<(Sipp, MediaPhone)> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    Ok((Sipp::start("answer", &keys).await?, phone))
}

/// The visitor talks; the record of the call once the visitor has hung up.
async fn talk(gateway: &Gateway, phone: &MediaPhone) -> Result<Value> {
    let visitor = WebClient::call(gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    gateway.ended(&visitor.call).await
}

fn attempts(record: &Value) -> Vec<(Value, Value)> {
    let attempts = record["sip"]["attempts"].as_array().cloned().unwrap_or_default();
    attempts.into_iter().map(|attempt| (attempt["target"].clone(), attempt["status"].clone())).collect()
}

#[tokio::test]
async fn a_503_sends_the_call_to_the_next_trunk_of_the_group() -> Result<()> {
    let busy = Sipp::start("reject", &[("code", "503".into())]).await?;
    let (second, phone) = answering().await?;
    let gateway = Gateway::start(Plan::to(&[busy.address(), second.address()]).grouped("both").relay()).await?;
    let (first, next) = (format!("udp:{}", busy.address()), format!("udp:{}", second.address()));
    let record = talk(&gateway, &phone).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    ensure!(attempts(&record) == [(json!(first), json!(503)), (json!(next), json!(200))], "{record:#}");
    busy.finish().await?;
    second.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn srv_records_of_a_name_server_lead_past_a_port_where_nobody_listens() -> Result<()> {
    let (sipp, phone) = answering().await?;
    let (closed, open) = (free_udp_port()?, sipp.address());
    let server = NameServer::start("carrier.test", &[(20, open.port()), (10, closed.port())]).await?;
    let sip = format!("udp_listen = \"127.0.0.1:0\"\ndns_servers = [\"{}\"]", server.address());
    let gateway = Gateway::start(Plan::to_domain("carrier.test").sip("127.0.0.1", &sip).relay()).await?;
    let record = talk(&gateway, &phone).await?;
    let targets: Vec<Value> = attempts(&record).into_iter().map(|(target, _)| target).collect();
    ensure!(targets == [json!(format!("udp:{closed}")), json!(format!("udp:{open}"))], "{record:#}");
    sipp.finish().await?;

    let (status, tested) = gateway.operator(Method::POST, "/v1/trunks/t0/test", CONTROL, None).await?;
    let dns: Vec<&Value> = tested["steps"].as_array().unwrap().iter().filter(|step| step["step"] == "dns").collect();
    ensure!(status == 200 && dns.iter().any(|step| step["query"] == "SRV" && step["ok"] == true), "{tested:#}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_destination_is_tested_without_calling_anybody() -> Result<()> {
    let (nobody, off) = (free_udp_port()?, free_udp_port()?);
    let gateway = Gateway::start(Plan::to(&[nobody, off]).grouped("both")).await?;
    let body = json!({"destination": "sip:agent@both"});
    let (status, tested) = gateway.operator(Method::POST, "/v1/destinations/test", CONTROL, Some(body.clone())).await?;
    ensure!(status == 200 && tested["ok"] == false, "{status} {tested:#}");
    let ways = tested["ways"].as_array().unwrap();
    ensure!(ways.len() == 2 && ways[0]["trunk"] == "t0" && ways[1]["trunk"] == "t1", "{tested:#}");
    for way in ways {
        let last = way["steps"].as_array().and_then(|steps| steps.last()).unwrap();
        ensure!(last["step"] == "options" && last["error"] == "unreachable", "{tested:#}");
    }
    let rows = [
        (READ, json!({"destination": "sip:agent@both"}), 403),
        (CONTROL, json!({"destination": "sip:agent@both", "app": "nobody's"}), 404),
        (CONTROL, json!({"to": "sip:agent@both"}), 400),
        (CONTROL, json!({"destination": 7}), 400),
    ];
    for (key, body, expected) in rows {
        let (status, problem) =
            gateway.operator(Method::POST, "/v1/destinations/test", key, Some(body.clone())).await?;
        ensure!(status == expected && problem["type"].is_string(), "{body}: {status} {problem:#}");
    }
    let (_, calls) = gateway.operator(Method::GET, "/v1/calls", READ, None).await?;
    ensure!(calls["calls"].as_array().is_some_and(Vec::is_empty), "{calls:#}");
    gateway.stop().await;
    Ok(())
}
