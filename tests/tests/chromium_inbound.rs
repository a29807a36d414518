//! SIPp calls agents in two real Chromiums: who hears whom, who hangs up, and what the caller hears of those who do not
//! want the call.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{APP, CONTROL, Gateway, Plan, WIDGET_KEY};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::Page;
use trunkline_tests::sipp::{Sipp, free_udp_port};

const AGENT: f64 = 700.0;
const CALLER: f64 = 1100.0;
const LIMIT: Duration = Duration::from_secs(30);

async fn gateway(pages: &[&Page], more: &str) -> Result<Gateway> {
    let trunk = format!("inbound = {{ enabled = true, numbers = {{ \"+34910000000\" = \"{APP}/ann\" }} }}\n{more}");
    let plan = Plan::to(&[free_udp_port()?])
        .app("receive = \"widget\"")
        .trunk(&trunk)
        .sip("127.0.0.1", "udp_listen = \"127.0.0.1:0\"\nstrangers = \"silent\"");
    Gateway::start(plan.origin(pages[0].origin())).await
}

fn keys(phone: &MediaPhone, user: &str, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let port = phone.address().port().to_string();
    let mut keys = vec![("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    keys.push(("user", user.into()));
    keys.extend(more.iter().cloned());
    keys
}

fn client(gateway: &Gateway) -> Value {
    json!({"url": gateway.public(), "app": APP, "widgetKey": WIDGET_KEY})
}

/// The page waits under this name, with the widget key.
async fn wait(page: &Page, gateway: &Gateway, name: &str) -> Result<()> {
    let address = page.browser().run("return wait(args)", json!({"client": client(gateway), "name": name})).await?;
    ensure!(address.as_str().is_some_and(|address| address.starts_with(&format!("sip:{name}@"))), "{address}");
    Ok(())
}

/// The call that rings at the page, when there are so many.
async fn rings(page: &Page, nth: usize) -> Result<Value> {
    let incoming = format!("window.incoming.length >= {nth} && {{...window.incoming.at(-1)}}");
    page.browser().wait_for(&incoming, LIMIT).await
}

async fn pick_up(page: &Page) -> Result<String> {
    let call = page.browser().run("return pickUp({})", Value::Null).await?;
    call.as_str().map(String::from).context("no call")
}

#[tokio::test]
async fn sipp_calls_a_browser_that_answers_and_each_side_hangs_up() -> Result<()> {
    let page = Page::open(AGENT).await?;
    let gateway = gateway(&[&page], "").await?;
    wait(&page, &gateway, "ann").await?;
    let phone = MediaPhone::start(Codec::Pcmu, CALLER).await?;

    let sipp = Sipp::call(gateway.daemon().sip_addr, "call", &keys(&phone, "ann", &[])).await?;
    let incoming = rings(&page, 1).await?;
    ensure!(incoming["from"] == json!({"number": "+34910000001", "display": "Bob <i>"}), "{incoming}");
    ensure!(incoming["to"] == "ann" && incoming["trunk"] == "t0" && incoming["context"]["Case"] == "42", "{incoming}");
    let call = pick_up(&page).await?;
    page.state("talking").await?;
    page.hears(CALLER, AGENT).await?;
    phone.hears(AGENT, CALLER).await?;
    let record = gateway.record(&call).await?;
    ensure!(record["direction"] == "inbound" && record["caller"]["number"] == "+34910000001", "{record:#}");
    ensure!(record["sip"]["codec"] == "PCMU" && record["browser"]["path"] == "udp", "{record:#}");
    page.browser().run("await call.hangup()", Value::Null).await?;
    let record = gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup" && record["outcome"]["phase"] == "talking", "{record:#}");
    let trace = sipp.finish().await?;
    ensure!(trace.contains("Reason: Q.850;cause=16"), "{trace}");

    let more = [("pause", "1500".to_owned())];
    let sipp = Sipp::call(gateway.daemon().sip_addr, "call_bye", &keys(&phone, "+34910000000", &more)).await?;
    rings(&page, 2).await?;
    let call = pick_up(&page).await?;
    let end = page.event("call_ended").await?;
    ensure!(end["reason"] == "remote_hangup" && end["detail"] == "bye", "{end}");
    let names = page.events().await?.iter().map(|e| e["name"].clone()).collect::<Vec<_>>();
    ensure!(names.first() == Some(&json!("call_started")) && names.contains(&json!("call_answered")), "{names:?}");
    gateway.ended(&call).await?;
    sipp.finish().await?;
    ensure!(gateway.metric("trunkline_sip_admission_total{result=\"known\"}").await? >= 2.0);
    page.close().await;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn sipp_rings_two_browsers_of_which_one_declines_and_nobody_answers() -> Result<()> {
    let (one, two) = (Page::open(AGENT).await?, Page::open(AGENT).await?);
    let trunk = "inbound = { enabled = true }\nring_timeout_seconds = 4\n";
    let plan = Plan::to(&[free_udp_port()?]).app("receive = \"back_end\"").trunk(trunk);
    let gateway = Gateway::start(plan.origins(&[one.origin(), two.origin()])).await?;
    for page in [&one, &two] {
        // The agents' own back end opens their sessions.
        let body = json!({"app": APP, "mode": "receive", "name": "ann"});
        let (status, session) = gateway.operator(Method::POST, "/v1/sessions", CONTROL, Some(body)).await?;
        ensure!(status == 201 && session["mode"] == "receive", "{session}");
        let args = json!({"client": client(&gateway), "session": session});
        page.browser().run("return wait(args)", args).await?;
    }
    let phone = MediaPhone::start(Codec::Pcmu, CALLER).await?;
    // Both decline.
    let status = |status: &str| [("status", status.to_owned())];
    let sip = gateway.daemon().sip_addr;
    let sipp = Sipp::call(sip, "call_refused", &keys(&phone, "ann", &status("603"))).await?;
    for page in [&one, &two] {
        rings(page, 1).await?;
        page.browser().run("await incoming.at(-1).decline()", Value::Null).await?;
    }
    sipp.finish().await?;
    // Nobody answers.
    let sipp = Sipp::call(sip, "call_refused", &keys(&phone, "ann", &status("480"))).await?;
    for page in [&one, &two] {
        rings(page, 2).await?;
    }
    sipp.finish().await?;
    for page in [&one, &two] {
        page.browser().wait_for("window.cancelled.at(-1) === 'dest_no_answer'", LIMIT).await?;
    }
    // The first has it; the other hears so, and is too late.
    let sipp = Sipp::call(sip, "call", &keys(&phone, "ann", &[])).await?;
    rings(&two, 3).await?;
    rings(&one, 3).await?;
    let call = pick_up(&one).await?;
    two.browser().wait_for("window.cancelled.at(-1) === 'answered_elsewhere'", LIMIT).await?;
    let late = pick_up(&two).await.unwrap_err();
    ensure!(format!("{late:#}").contains("call-answered"), "{late:#}");
    one.state("talking").await?;
    one.browser().run("await call.hangup()", Value::Null).await?;
    gateway.ended(&call).await?;
    sipp.finish().await?;
    one.close().await;
    two.close().await;
    gateway.stop().await;
    Ok(())
}
