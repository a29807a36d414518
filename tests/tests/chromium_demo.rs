//! `trunkline demo` as a process of its own, and its page in a real Chromium, as somebody sees it who tries it out.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use trunkline_media::audio::tone::{detect, level};
use trunkline_tests::browser::Browser;
use trunkline_tests::page::{RATE, write_tone};

const VISITOR: f64 = 700.0;

#[tokio::test]
async fn a_click_is_answered_greeted_and_echoed() -> Result<()> {
    let (mut demo, url) = start_demo().await?;
    let directory = TempDir::new()?;
    let voice = directory.path().join("voice.wav");
    write_tone(&voice, VISITOR, RATE, 1)?;
    let browser = Browser::start(&voice).await?;
    browser.open(&url).await?;
    browser.wait_for("document.body.dataset.state === 'idle'", Duration::from_secs(10)).await?;
    picture(&browser, "demo-idle").await?;

    browser.click("#call").await?;
    browser.wait_for("document.body.dataset.state === 'talking'", Duration::from_secs(15)).await?;
    greeted(&browser).await?;
    echoed(&browser).await?;
    browser.wait_for("document.getElementById('fact-rtt').textContent !== '–'", Duration::from_secs(5)).await?;
    for side in ["visitor", "agent"] {
        let good = format!("document.querySelector('#side-{side}[data-level=green]')?.innerText.includes('good')");
        browser.wait_for(&good, Duration::from_secs(30)).await.with_context(|| format!("the {side}'s network"))?;
    }
    indicated(&browser).await?;
    browser.click("#keypad-toggle").await?;
    browser.click("#keypad button").await?;
    browser.click("details summary").await?;
    let digit = "document.getElementById('events').textContent.includes('dtmf_received')";
    browser.wait_for(digit, Duration::from_secs(10)).await?;
    picture(&browser, "demo-talking").await?;
    phone_sized(&browser).await?;
    picture(&browser, "demo-talking-phone").await?;
    let wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    ensure!(browser.run(&format!("return {wide}"), Value::Null).await? == true, "the page scrolls sideways on a phone");

    browser.click("#call").await?;
    browser.wait_for("document.body.dataset.state === 'ended'", Duration::from_secs(10)).await?;
    picture(&browser, "demo-ended-phone").await?;
    browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await?;
    picture(&browser, "demo-ended").await?;
    // A second call from the same page, to somebody who is busy.
    browser.open(&format!("{url}/?profile=busy")).await?;
    browser.click("#call").await?;
    browser.wait_for("document.body.dataset.state === 'error'", Duration::from_secs(15)).await?;
    browser.wait_for("!document.getElementById('help').hidden", Duration::from_secs(5)).await?;
    picture(&browser, "demo-busy").await?;
    let complaints: Vec<_> = browser.console().await?.into_iter().filter(|line| line.contains("rror")).collect();
    ensure!(complaints.is_empty(), "{complaints:?}");
    browser.close().await;
    demo.kill().await?;
    Ok(())
}

/// The page shows what the gateway says, in words: here it is told by hand, as on this machine no network is poor.
async fn indicated(browser: &Browser) -> Result<()> {
    let shown = "
        const shows = () => ['visitor', 'agent'].map((side) => {
            const element = document.getElementById(`side-${side}`);
            return [element.dataset.level, element.innerText];
        });
        trunklineCall.quality.browser_up = { level: 'red', reasons: ['loss'] };
        trunklineCall.quality.sip_up = { level: 'amber', reasons: ['jitter'] };
        trunklineCall.dispatchEvent(new Event('quality'));
        return shows();";
    let seen = browser.run(shown, Value::Null).await?;
    ensure!(seen[0][0] == "red" && seen[1][0] == "amber", "{seen}");
    let said = |side: usize, text: &str| seen[side][1].as_str().is_some_and(|all| all.contains(text));
    ensure!(said(0, "poor") && said(0, "Part of what you say gets lost"), "{seen}");
    ensure!(said(1, "fair") && said(1, "The sound comes unevenly"), "{seen}");
    picture(browser, "demo-poor-network").await?;
    let better = "for (const half of Object.values(trunklineCall.quality)) { half.level = 'green'; half.reasons = []; } \
                  trunklineCall.dispatchEvent(new Event('quality'))";
    browser.run(better, Value::Null).await.map(drop)
}

/// Somebody speaks who is not the visitor.
async fn greeted(browser: &Browser) -> Result<()> {
    for _ in 0..40 {
        let pcm = hear(browser).await?;
        let (all, own) = (level(&pcm), detect(&pcm, RATE, VISITOR));
        if all > -40.0 && own < all - 10.0 {
            println!("greeting at {all:.0} dBov");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("no greeting")
}

/// The visitor's own tone comes back.
async fn echoed(browser: &Browser) -> Result<()> {
    let mut last = (0.0, 0.0);
    for _ in 0..200 {
        let pcm = hear(browser).await?;
        last = (level(&pcm), detect(&pcm, RATE, VISITOR));
        if last.1 > -55.0 && last.1 > last.0 - 3.0 {
            println!("own tone comes back at {:.0} dBov", last.1);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("no echo: {last:?}")
}

/// The last two thirds of a second of what the agent says.
async fn hear(browser: &Browser) -> Result<Vec<i16>> {
    let script = "
        if (!window.ear) {
            const audio = new AudioContext({ sampleRate: 48000 });
            window.ear = new AnalyserNode(audio, { fftSize: 32768 });
            audio.createMediaStreamSource(trunklineCall.remoteStream).connect(window.ear);
        }
        const samples = new Float32Array(32768);
        window.ear.getFloatTimeDomainData(samples);
        const bytes = new Uint8Array(Int16Array.from(samples, (s) => Math.max(-1, Math.min(1, s)) * 32767).buffer);
        let text = '';
        for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
        return btoa(text);";
    let heard = browser.run(script, Value::Null).await?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(heard.as_str().context("nothing heard")?)?;
    Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}

async fn phone_sized(browser: &Browser) -> Result<()> {
    let size = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
    browser.devtools("Emulation.setDeviceMetricsOverride", size).await.map(drop)
}

/// Keeps a picture for people to look at.
async fn picture(browser: &Browser, name: &str) -> Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    std::fs::create_dir_all(&directory)?;
    Ok(std::fs::write(directory.join(format!("{name}.png")), browser.screenshot().await?)?)
}

/// Starts the binary on free ports; it says where its page is.
async fn start_demo() -> Result<(Child, String)> {
    let binary = binary()?;
    let mut demo = Command::new(&binary)
        .args(["demo", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{}: build it first (cargo build --bin trunkline)", binary.display()))?;
    let mut lines = BufReader::new(demo.stdout.take().context("no output")?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(url) = line.strip_prefix("Open ").and_then(|rest| rest.split(' ').next()) {
            let url = url.to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((demo, url));
        }
    }
    anyhow::bail!("the demo ended before it said where its page is")
}

/// Beside this test: `target/<profile>/trunkline`.
fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("an odd place for a test")?;
    Ok(profile.join("trunkline"))
}
