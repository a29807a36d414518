//! What the gateway itself lets visitors and agents hear: ringing, a busy tone, prompts of its own and of the operator's,
//! alone and over each other's words.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::json;
use trunkline_media::audio::Codec;
use trunkline_media::audio::tone::{detect, level};
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, until};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::write_tone;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const PROMPT: f64 = 1700.0;
/// What rings, and is busy, in France.
const FRANCE: f64 = 440.0;
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_rings_for_the_visitor_until_he_gives_up() -> Result<()> {
    let sipp = Sipp::start("ring", &[]).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).trunk("tones = { region = \"fr\" }")).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    // A period of it and a second one.
    for _ in 0..2 {
        visitor.hears(FRANCE, AGENT).await?;
        until("the pause", LONG, || {
            let pcm = visitor.heard(Duration::from_millis(400));
            pcm.len() >= 3_000 && level(&pcm) < -60.0
        })
        .await?;
    }
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_busy_tone_is_heard_before_the_call_ends_as_busy() -> Result<()> {
    let sipp = Sipp::start("reject", &[("code", "486".into())]).await?;
    let tones = "tones = { region = \"fr\", failure = \"tone\" }";
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).trunk(tones)).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(FRANCE, AGENT).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "dest_busy", "{record:#}");
    ensure!(gateway.metric("trunkline_worker_leased_pairs").await? == 0.0);
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

/// The agent's phone holds by a re-INVITE and resumes by another; what the visitor hears between them.
async fn check_hold(direction: &str, media: &str, hears: impl Fn(&[i16]) -> bool) -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let pause = ("pause", "4000".into());
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into()), pause];
    let sipp = Sipp::start("hold", &[&keys[..], &[("direction", direction.into())]].concat()).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay().media(media)).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    let answers = |direction: &str| sipp.trace().contains(&format!("a={direction}\r\n"));
    let answered = if direction == "sendonly" { "recvonly" } else { "inactive" };
    until("the hold", LONG, || answers(answered)).await?;
    let last = || visitor.heard(Duration::from_millis(400));
    until(&format!("what a held visitor hears, {direction}, {media}"), LONG, || hears(&last())).await?;
    // The first INVITE's ACK, that of the hold and that of the resume.
    until("the resume", LONG, || sipp.trace().matches("\nACK sip:").count() >= 3).await?;
    visitor.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_visitor_whom_the_agent_holds_hears_what_is_configured_until_he_is_taken_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("en"))?;
    write_tone(&dir.path().join("en/hold.wav"), 500.0, 8_000, 1)?;
    write_tone(&dir.path().join("en/hold_music.wav"), PROMPT, 16_000, 1)?;
    let own = |audio: &str| format!("hold_audio = {audio:?}\nprompts_dir = {:?}", dir.path());
    let tone = |hz: f64| move |pcm: &[i16]| pcm.len() >= 3_000 && detect(pcm, 8_000, hz) > level(pcm) - 1.0;
    check_hold("inactive", &own("music"), tone(PROMPT)).await?;
    check_hold("inactive", &own("prompt"), tone(500.0)).await?;
    let quiet = |pcm: &[i16]| pcm.len() >= 3_000 && (-72.0..-60.0).contains(&level(pcm));
    check_hold("inactive", &own("noise"), quiet).await?;
    // The bundled piece: loud enough, and nobody's tone.
    let music = |pcm: &[i16]| {
        level(pcm) > -40.0 && [AGENT, VISITOR].iter().all(|&hz| detect(pcm, 8_000, hz) < level(pcm) - 3.0)
    };
    check_hold("inactive", "hold_audio = \"music\"", music).await?;
    // An agent that goes on sending has music of its own.
    check_hold("sendonly", &own("music"), tone(AGENT)).await
}

#[tokio::test]
async fn prompts_are_mixed_with_the_other_side_and_come_as_opus_files_too() -> Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("en"))?;
    write_tone(&dir.path().join("en/prompt.wav"), PROMPT, 16_000, 3)?;
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/prompts/en/closed.opus");
    std::fs::copy(bundled, dir.path().join("en/spoken.ogg"))?;
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start("answer", &keys).await?;
    let media = format!("prompts_dir = {:?}", dir.path());
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay().media(&media)).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    let path = format!("/v1/calls/{}/play", visitor.call);
    let play = async |body| {
        let (status, problem) = gateway.operator(Method::POST, &path, CONTROL, Some(body)).await?;
        ensure!(status == 202, "{status} {problem}");
        Ok(())
    };

    // Both at once: the prompt at its level, the other side below its own.
    for (leg, other) in [("browser", AGENT), ("sip", VISITOR)] {
        let heard = || {
            let last = Duration::from_millis(400);
            if leg == "browser" { visitor.heard(last) } else { phone.heard(last) }
        };
        until("the other side alone", LONG, || detect(&heard(), 8_000, other) > level(&heard()) - 1.5).await?;
        // What it is lowered from is how loud all that is looked at is, not the part of it that had come by then.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let alone = detect(&heard(), 8_000, other);
        play(json!({"prompt": "prompt", "leg": leg, "mix": true})).await?;
        until("both", LONG, || {
            let pcm = heard();
            let (prompt, lowered) = (detect(&pcm, 8_000, PROMPT), alone - detect(&pcm, 8_000, other));
            prompt > -30.0 && (9.0..15.0).contains(&lowered)
        })
        .await?;
    }
    visitor.hears(AGENT, PROMPT).await?;
    phone.hears(VISITOR, PROMPT).await?;

    // An action can do that, too.
    let actions = json!({"actions": [{"action": "play", "prompt": "prompt", "mix": true}]});
    let path = format!("/v1/calls/{}/actions", visitor.call);
    let (status, problem) = gateway.operator(Method::POST, &path, CONTROL, Some(actions)).await?;
    ensure!(status == 202, "{status} {problem}");
    until("both by an action", LONG, || {
        let pcm = visitor.heard(Duration::from_millis(400));
        detect(&pcm, 8_000, PROMPT) > -30.0 && (-40.0..-18.0).contains(&detect(&pcm, 8_000, AGENT))
    })
    .await?;
    visitor.hears(AGENT, PROMPT).await?;

    // Spoken words, bundled and in an operator's own Opus file.
    for prompt in ["goodbye", "spoken"] {
        play(json!({"prompt": prompt})).await?;
        until(prompt, LONG, || {
            let pcm = visitor.heard(Duration::from_millis(400));
            level(&pcm) > -40.0 && detect(&pcm, 8_000, AGENT) < level(&pcm) - 10.0
        })
        .await?;
        visitor.hears(AGENT, VISITOR).await?;
    }
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}
