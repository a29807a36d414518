//! SIP over connections and over both families, with SIPp at the other end, and one that falls silent.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{APP, Gateway, Plan};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::namespace::Namespace;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

/// What SIPp's SDP says of the phone.
fn keys(phone: &MediaPhone) -> [(&'static str, String); 3] {
    [("rtp_port", phone.address().port().to_string()), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())]
}

/// SIP at both families, and what of each is told.
const BOTH: &str = "udp_listen = \"127.0.0.1:0, [::1]:0\"\ntcp_listen = \"127.0.0.1:0, [::1]:0\"";

#[tokio::test]
async fn sipp_is_answered_over_every_socket() -> Result<()> {
    // Whoever comes from a trunk's address has a right to an answer.
    let trunks = ["127.0.0.1:9".parse()?, "[::1]:9".parse()?];
    let gateway = Gateway::start(Plan::to(&trunks).sip("127.0.0.1", BOTH)).await?;
    let bound = &gateway.daemon().sip;
    for (transport, addresses) in [("u1", &bound.udp), ("t1", &bound.tcp)] {
        for address in addresses {
            let trace = Sipp::run(*address, transport, "options", 20).await?;
            ensure!(trace.matches("SIP/2.0 200 OK").count() >= 20, "{address} {transport}: {trace}");
        }
    }
    ensure!(gateway.metric("trunkline_sip_connections_accepted_total").await? == 2.0);
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_agent_is_reached_over_ipv6() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    for (transport, over) in [("u1", "udp"), ("t1", "tcp")] {
        let address = std::net::TcpListener::bind("[::1]:0")?.local_addr()?;
        let sipp = Sipp::launch(&[], address, transport, "answer", &keys(&phone)).await?;
        let gateway = Gateway::start(Plan::to(&[address]).relay().over(over).sip("127.0.0.1", BOTH)).await?;
        let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        visitor.hears(AGENT, VISITOR).await?;
        gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
        let record = gateway.ended(&visitor.call).await?;
        ensure!(record["sip"]["attempts"][0]["target"] == format!("{over}:{address}"), "{record:#}");
        let trace = sipp.finish().await?;
        let bound = &gateway.daemon().sip;
        let own: Vec<SocketAddr> = if over == "udp" { bound.udp.clone() } else { bound.tcp.clone() };
        ensure!(trace.contains(&format!("Via: SIP/2.0/{} {};", over.to_uppercase(), own[1])), "{trace}");
        ensure!(trace.contains(&format!("Contact: <sip:trunkline@{}", own[1])), "{trace}");
        gateway.stop().await;
    }
    Ok(())
}

/// The audio as well, whether the gateway has sockets of that family alone or of both.
#[tokio::test]
async fn an_agents_audio_goes_over_ipv6() -> Result<()> {
    let both = format!("{BOTH}\nadvertise = \"127.0.0.1, ::1\"");
    for (listen, sip) in [("::1", BOTH), ("::", both.as_str())] {
        let phone = MediaPhone::start_at("::1".parse()?, Codec::Pcmu, AGENT).await?;
        let address = std::net::UdpSocket::bind("[::1]:0")?.local_addr()?;
        let keys = [&keys(&phone)[..], &[("media_at", "IP6 ::1".to_owned())]].concat();
        let sipp = Sipp::launch(&[], address, "u1", "answer", &keys).await?;
        let gateway = Gateway::start(Plan::to(&[address]).relay().sip(listen, sip)).await?;
        let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        visitor.hears(AGENT, VISITOR).await?;
        phone.hears(VISITOR, AGENT).await?;
        gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
        gateway.ended(&visitor.call).await?;
        let trace = sipp.finish().await?;
        ensure!(trace.contains("c=IN IP6 ::1\r\n"), "{trace}");
        gateway.stop().await;
    }
    Ok(())
}

/// The agent's machine acknowledges nothing any more, in the middle of a call.
#[tokio::test]
async fn a_half_open_connection_is_given_up_in_seconds() -> Result<()> {
    let Some(machine) = Namespace::new()? else {
        eprintln!("no network namespaces here: nothing was tested");
        return Ok(());
    };
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let address = SocketAddr::from((machine.inside(), 5_070));
    let sipp = Sipp::launch(&machine.runs(), address, "t1", "answer", &keys(&phone)).await?;
    let here = format!("udp_listen = \"{}:0\"", machine.outside());
    let gateway = Gateway::start(Plan::to(&[address]).relay().over("tcp").sip("127.0.0.1", &here)).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    machine.swallow_tcp(true)?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    gateway.ended(&visitor.call).await?;
    // The kernel alone would try for a quarter of an hour, the BYE's own timer waits 32 s.
    let began = tokio::time::Instant::now();
    while gateway.metric("trunkline_sip_legs").await? > 0.0 {
        ensure!(began.elapsed() < Duration::from_secs(120), "the leg stays");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("the leg was gone after {:.1} s", began.elapsed().as_secs_f64());
    ensure!(gateway.metric("trunkline_sip_connections_closed_total{reason=\"broken\"}").await? >= 1.0);
    ensure!(gateway.metric("trunkline_sip_requests_resent_total").await? >= 1.0);
    drop(sipp);
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn sipp_is_told_which_hosts_are_the_gateways() -> Result<()> {
    let inbound = |more: &str| {
        format!("inbound = {{ enabled = true, numbers = {{ \"+34910000000\" = \"{APP}/ann\" }}, {more} }}")
    };
    let agent = free_udp_port()?;
    let start = |more: &str| Gateway::start(Plan::to(&[agent]).app("receive = \"widget\"").trunk(&inbound(more)));
    // The number exists and nobody waits for its calls (480), is not called at this gateway (404), or is no number (416).
    let listed = [
        ("sip:+34910000000@[gateway]", 480),
        ("sip:+34910000000@127.0.0.1", 480),
        ("sip:+34910000000@GW.acme.example", 480),
        ("tel:+34-91-0000000", 480),
        ("sip:+34910000000@other.example", 404),
        ("sip:+34910000000@192.0.2.9", 404),
        ("mailto:ann@127.0.0.1", 416),
    ];
    let unlisted = [("sip:+34910000000@other.example", 480), ("sip:+34910000000@192.0.2.9", 404)];
    for (hosts, rows) in [("hosts = [\"gw.acme.example\"]", &listed[..]), ("hosts = []", &unlisted[..])] {
        let gateway = start(hosts).await?;
        let sip = gateway.daemon().sip_addr;
        for (uri, status) in rows {
            let uri = uri.replace("[gateway]", &sip.to_string());
            let keys = [("uri", uri.clone()), ("status", status.to_string())];
            let sipp = Sipp::call(sip, "called_at", &keys).await?;
            sipp.finish().await.with_context(|| format!("{hosts}: {uri} is not answered with {status}"))?;
        }
        gateway.stop().await;
    }
    Ok(())
}
