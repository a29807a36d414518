//! Calls through a real proxy (Kamailio) that records its route, to a real phone (baresip) behind it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;
use trunkline_media::audio::Codec;
use trunkline_tests::baresip::Baresip;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, until};
use trunkline_tests::kamailio::{Identity, Kamailio};
use trunkline_tests::page::write_tone;
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

/// A phone that answers every call and says its tone.
async fn phone(directory: &TempDir) -> Result<Baresip> {
    let voice = directory.path().join("agent.wav");
    write_tone(&voice, AGENT, 8000, 180)?;
    Baresip::start("PCMU", &voice).await
}

fn closed(agent: &Baresip) -> usize {
    agent.events().iter().filter(|event| *event == "CALL_CLOSED").count()
}

/// One call that the visitor ends and one that the agent ends, with hold and resume, all of it through the proxy.
async fn talk_through(gateway: &Gateway, proxy: &Kamailio, agent: &mut Baresip, over: &str) -> Result<()> {
    let said = |agent: &Baresip| format!("{}\n{}", agent.log(), proxy.log());
    let visitor = WebClient::call(gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await.map_err(|error| error.context(said(agent)))?;
    for path in ["hold", "resume"] {
        let offers = |proxy: &Kamailio| proxy.routed().iter().filter(|what| what.starts_with("INVITE")).count();
        let before = offers(proxy);
        let path = format!("/v1/calls/{}/{path}", visitor.call);
        let (status, body) = gateway.operator(Method::POST, &path, CONTROL, Some(json!({"leg": "sip"}))).await?;
        ensure!((200..300).contains(&status), "{status} {body}");
        until("the offer", Duration::from_secs(20), || offers(proxy) > before).await?;
    }
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await.map_err(|error| error.context(said(agent)))?;
    let before = closed(agent);
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    until("the phone's end", Duration::from_secs(20), || closed(agent) > before).await?;

    let visitor = WebClient::call(gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await.map_err(|error| error.context(said(agent)))?;
    agent.hangup().await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "remote_hangup", "{record:#}\n{}", said(agent));
    ensure!(record["outcome"]["detail"] == "bye", "{record:#}\n{}", said(agent));
    let routed = proxy.routed();
    for method in ["ACK", "INVITE", "BYE"] {
        ensure!(routed.iter().any(|what| *what == format!("{method} {over}")), "{method}: {routed:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_records_its_route_carries_all_of_a_call_over_udp() -> Result<()> {
    let directory = TempDir::new()?;
    let mut agent = phone(&directory).await?;
    let proxy = Kamailio::start(agent.address(), 0, None).await?;
    let gateway = Gateway::start(Plan::to(&[proxy.address()]).relay()).await?;
    talk_through(&gateway, &proxy, &mut agent, "udp").await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_loses_every_fifth_message_still_carries_all_of_a_call() -> Result<()> {
    let directory = TempDir::new()?;
    let mut agent = phone(&directory).await?;
    let proxy = Kamailio::start(agent.address(), 20, None).await?;
    let gateway = Gateway::start(Plan::to(&[proxy.address()]).relay()).await?;
    for _ in 0..3 {
        talk_through(&gateway, &proxy, &mut agent, "udp").await?;
    }
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_proxy_is_reached_over_tcp_and_reaches_us_over_it() -> Result<()> {
    let directory = TempDir::new()?;
    let mut agent = phone(&directory).await?;
    let proxy = Kamailio::start(agent.address(), 0, None).await?;
    let listen = "udp_listen = \"127.0.0.1:0\"\ntcp_listen = \"127.0.0.1:0\"";
    let plan = Plan::to(&[proxy.address()]).relay().over("tcp").sip("127.0.0.1", listen);
    let gateway = Gateway::start(plan).await?;
    talk_through(&gateway, &proxy, &mut agent, "tcp").await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_proxy_is_reached_over_tls_and_reaches_us_over_it() -> Result<()> {
    let directory = TempDir::new()?;
    let mut agent = phone(&directory).await?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let identity = Identity { certificate: certificate.pem(), key: key.serialize_pem() };
    let at = directory.path();
    std::fs::write(at.join("certificate.pem"), &identity.certificate)?;
    std::fs::write(at.join("key.pem"), &identity.key)?;
    let proxy = Kamailio::start(agent.address(), 0, Some(&identity)).await?;
    let listen = format!(
        "udp_listen = \"127.0.0.1:0\"\ntls_listen = \"127.0.0.1:0\"\ntls_ca = \"{at}/certificate.pem\"\n\
         tls = {{ certificate = \"{at}/certificate.pem\", key = \"{at}/key.pem\" }}",
        at = at.display()
    );
    let plan = Plan::to(&[proxy.tls_address()]).relay().over("tls").sip("127.0.0.1", &listen);
    let gateway = Gateway::start(plan).await?;
    talk_through(&gateway, &proxy, &mut agent, "tls").await?;
    gateway.stop().await;
    Ok(())
}
