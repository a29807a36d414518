//! The console in a real Chromium: calls as they are, how they end, and whatever strangers write staying text.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_media::audio::Codec;
use trunkline_tests::console::Console;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ, until};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::Page;
use trunkline_tests::relay::{Impairment, Relay};
use trunkline_tests::sipp::Sipp;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const HOSTILE: &str = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=2</script>\u{202e}'\"&amp;";

/// A visitor's page and an agent, each behind a relay, and a console beside them.
struct Scene {
    page: Page,
    visitor: Relay,
    agent: Relay,
    gateway: Gateway,
    console: Console,
    sipp: Sipp,
    call: String,
    _phone: MediaPhone,
}

impl Scene {
    async fn talking() -> Result<Self> {
        let page = Page::open(VISITOR).await?;
        let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
        let agent = Relay::start(phone.address(), 11).await?;
        let port = agent.address().port().to_string();
        let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
        let sipp = Sipp::start("answer", &keys).await?;
        let plan = Plan::to(&[sipp.address()]).origin(page.origin()).media("grace_seconds = 3");
        let gateway = Gateway::start(plan).await?;
        let media = *gateway.daemon().media_addrs.first().context("no media socket")?;
        let visitor = Relay::start(media, 12).await?;
        let context = json!({"plan": "gold", "note": HOSTILE});
        let options = json!({"codecs": [], "relay": visitor.address().port(), "context": context});
        let call = page.call_with(&gateway, options).await?;
        page.state("talking").await?;
        let console = Console::open(&gateway).await?;
        console.size(1280, 900, false).await?;
        Ok(Self { page, visitor, agent, gateway, console, sipp, call, _phone: phone })
    }

    /// The operator looks at the call.
    async fn watched(&self) -> Result<()> {
        self.console.key(READ).await?;
        self.console.go(&format!("#/calls/{}", self.call)).await?;
        self.console.sees("document.querySelectorAll('.leg[data-leg] .plot').length === 16").await.map(drop)
    }

    /// Waits until exactly this half-leg has this mark among the four of the call.
    async fn only(&self, leg: &str, levels: &str) -> Result<()> {
        let bad = "[...document.querySelectorAll('.way .mark')].filter((m) => m.matches('.amber, .red'))";
        let wanted = format!(
            "(() => {{ const bad = {bad}; return bad.length === 1 && bad[0].dataset.leg === '{leg}' && bad[0].matches('{levels}'); }})()"
        );
        self.console.sees(&wanted).await.map(drop)
    }

    async fn all_green(&self) -> Result<()> {
        let bad = "document.querySelectorAll('.way .mark:is(.amber, .red)').length === 0";
        let good = "document.querySelector('.way .mark.green[data-leg=browser_up]')";
        self.console.sees(&format!("{bad} && {good}")).await.map(drop)
    }

    async fn finish(self) -> Result<()> {
        let complaints = self.console.complaints().await?;
        ensure!(complaints.is_empty(), "{complaints:?}");
        self.console.close().await;
        self.page.close().await;
        self.gateway.stop().await;
        drop(self.sipp);
        Ok(())
    }
}

#[tokio::test]
async fn a_call_is_watched_to_its_outcome() -> Result<()> {
    let scene = Scene::talking().await?;
    let console = &scene.console;
    console.key("not-a-key").await?;
    console.says("does not know this key").await?;
    console.key(CONTROL).await?;
    console.says("the key needs the scope read").await?;
    console.key(READ).await?;
    console.sees("document.querySelectorAll('tbody tr .legs .mark').length === 4").await?;
    console.picture("console-calls", 1280, false).await?;
    console.browser().click(".call-link").await?;
    console.sees("document.querySelectorAll('.leg[data-leg] .plot').length === 16").await?;
    scene.all_green().await?;
    // The plots fill with time.
    console.sees("document.querySelector('[data-leg=browser_up] .plot[data-measure=loss]').dataset.known > 8").await?;
    console.picture("console-good-call", 1280, false).await?;
    console.dark(true).await?;
    console.picture("console-good-call-dark", 1280, false).await?;
    console.dark(false).await?;
    console.fits_a_phone("console-good-call-phone").await?;
    console.browser().run("document.querySelectorAll('details').forEach((d) => d.open = true)", Value::Null).await?;
    console.sees("document.body.innerText.includes('<img src=x')").await?;
    downloaded(console, &scene.call).await?;

    scene.page.browser().run("await call.hangup()", Value::Null).await?;
    console.says("The visitor hung up").await?;
    console.says("Nothing to do: the visitor hung up.").await?;
    console.sees("document.querySelector('[data-state=ended]')").await?;
    console.picture("console-ended-call", 1280, false).await?;
    ensure!(console.browser().run("return window.hacked ?? null", Value::Null).await?.is_null());
    let record = scene.gateway.ended(&scene.call).await?;
    let report = record["client_reports"].as_array().and_then(|all| all.last()).context("no report")?.clone();
    let detail: Value = serde_json::from_str(report["detail"].as_str().context("no detail")?)?;
    ensure!(report["code"] == "other" && detail["stats"]["packets_received"].as_u64() > Some(50), "{report}");
    ensure!(detail["stats"]["playing"] == true && detail["stats"]["protocol"] == "udp", "{report}");

    console.go("#/calls").await?;
    console.says("No call is live.").await?;
    console.sees("document.querySelector('[data-name=Outcome]').innerText.includes('hung up')").await?;
    console.fits_a_phone("console-calls-phone").await?;
    for (view, text) in [("trunks", "t0"), ("node", "Media workers")] {
        console.go(&format!("#/{view}")).await?;
        console.says(text).await?;
        console.picture(&format!("console-{view}"), 1280, false).await?;
        console.fits_a_phone(&format!("console-{view}-phone")).await?;
    }
    scene.finish().await
}

/// The bundle as a file on the operator's disk.
async fn downloaded(console: &Console, call: &str) -> Result<()> {
    let folder = TempDir::new()?;
    let allowed = json!({"behavior": "allow", "downloadPath": folder.path()});
    console.browser().devtools("Browser.setDownloadBehavior", allowed).await?;
    console.browser().click("#download").await?;
    let file = folder.path().join(format!("{call}.json"));
    until("the bundle", Duration::from_secs(10), || file.exists()).await?;
    let bundle: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    ensure!(bundle["record"]["call"] == call, "{bundle}");
    Ok(())
}

#[tokio::test]
async fn a_lossy_visitor_and_a_lossy_trunk_are_told_apart() -> Result<()> {
    let scene = Scene::talking().await?;
    scene.watched().await?;
    scene.all_green().await?;
    scene.visitor.up(Impairment::bursts(0.15, 2.0));
    scene.only("browser_up", ".red").await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    scene.console.picture("console-lossy-visitor", 1280, false).await?;
    scene.console.says("Packets get lost on the way from the visitor").await?;
    scene.visitor.up(Impairment::default());
    scene.all_green().await?;
    scene.agent.down(Impairment::loss(0.1));
    scene.only("sip_up", ".red").await?;
    tokio::time::sleep(Duration::from_secs(6)).await;
    scene.console.picture("console-lossy-trunk", 1280, false).await?;
    scene.console.fits_a_phone("console-lossy-trunk-phone").await?;
    scene.console.says("Packets get lost between gateway and trunk").await?;
    scene.finish().await
}

#[tokio::test]
async fn a_dropped_call_says_who_went_away() -> Result<()> {
    let scene = Scene::talking().await?;
    scene.watched().await?;
    scene.all_green().await?;
    scene.visitor.both(Impairment::blackout());
    scene.console.sees("document.querySelector('.title [data-state=reconnecting]')").await?;
    scene.console.sees("document.querySelector('.title [data-state=ended]')").await?;
    let record = scene.gateway.ended(&scene.call).await?;
    ensure!(record["outcome"]["class"] == "error" && record["outcome"]["blame"] == "visitor_network", "{record:#}");
    scene.console.says(record["outcome"]["advice"].as_str().context("no advice")?).await?;
    scene.console.says("the visitor’s network").await?;
    scene.console.picture("console-dropped-call", 1280, false).await?;
    scene.console.fits_a_phone("console-dropped-call-phone").await?;
    scene.finish().await
}

/// Every text of every answer is markup that would run if it were one.
#[tokio::test]
async fn hostile_texts_stay_texts() -> Result<()> {
    let gateway = Gateway::start(Plan::nowhere()).await?;
    let console = Console::open(&gateway).await?;
    console.size(1280, 900, false).await?;
    let lie = "
        const text = args;
        const leg = { level: 'red', reasons: [text], since: text, loss: 0.1, jitter_ms: 3, rtt_ms: null, mos_lq: 4, mos_cq: null };
        const legs = (value) => Object.fromEntries(['browser_up', 'browser_down', 'sip_up', 'sip_down'].map((name) => [name, value]));
        const at = (n) => new Date(Date.now() - 1000 * (60 - n)).toISOString();
        const point = (n) => ({ at: at(n), loss: (n % 7) / 50, jitter_ms: n, rtt_ms: n % 9 ? 20 * n : null, mos_lq: 4, mos_cq: null, level: n > 30 ? 'red' : 'green', reasons: [text] });
        const series = { recent: Array.from({ length: 60 }, (_, n) => point(n)), whole: Array.from({ length: 12 }, (_, n) => point(5 * n)) };
        const finding = { finding: text, symptom: text, half_leg: text, since: at(3), until: null, confidence: 0.9, evidence: { [text]: text, deep: { [text]: [text, { a: text }] } }, advice: text };
        const outcome = { class: text, reason: text, detail: text, phase: text, blame: text, quality_at_end: { level: 'red', since: text, half_leg: text, reasons: [text] }, evidence: { [text]: text }, advice: text };
        const record = { call: 'call_' + text, session: text, app: text, profile: text, state: 'ended', started_at: at(0), timings: {}, duration_seconds: 60, context: { [text]: text }, metadata: { [text]: [text] },
            browser: { codec: text, path: text, srtp: text, remote: text }, sip: { trunk: text, destination: text, call_id: text, codec: text, attempts: [{ destination: text, target: text, status: text, reason: text }] },
            quality: legs(leg), findings: [finding], client_reports: [], outcome };
        const bundle = { record, quality: { mos_model: text, half_legs: legs(series) }, diagnosis: { findings: [finding], half_legs: legs({ verdict: text }), outcome },
            timeline: [{ at: at(1), source: text, what: text, detail: { [text]: text } }], sdp: [{ at: at(1), peer: text, kind: text, direction: text, sdp: text }],
            candidates: { local: [text], remote: [{ [text]: text }] }, sip_ladder: [{ at: at(1), direction: 'sent', peer: text, message: text, cseq: text, reason: text, sdp: true, repeated: true }],
            client_reports: [{ at: at(2), code: text, detail: text }, { at: at(2), code: text, detail: JSON.stringify({ stats: { [text]: text } }) }] };
        const trunk = { id: text, state: text, target: { host: text, port: 1, transport: text }, codecs: [text], browser_audio: text, srtp: text, last_failure: text, live_calls: 1 };
        const node = { node: text, version: text, started_at: text, uptime_seconds: 5, calls: { live: 1, started: 2 }, sessions: text, workers: [{ worker: text, calls: 3, received: 1, sent: text, stray: text }], sip: { legs: text } };
        window.fetch = async (url) => {
            const path = url.split('?')[0];
            const answer = path === '/v1/calls' ? { calls: [record, { ...record, call: 'call_2', state: text }], next_cursor: text } : path === '/v1/trunks' ? { trunks: [trunk] } : path === '/v1/node' ? node : path.endsWith('/bundle') ? bundle : record;
            return new Response(JSON.stringify(answer), { headers: { 'Content-Type': 'application/json' } });
        };";
    console.browser().run(lie, json!(HOSTILE)).await?;
    console.key(READ).await?;
    for (view, mark) in
        [("#/calls", "tbody tr"), ("#/calls/call_1", ".plot"), ("#/trunks", ".cards .card"), ("#/node", "meter")]
    {
        console.go(view).await?;
        console.sees(&format!("document.querySelector('main {mark}')")).await?;
        console
            .browser()
            .run("document.querySelectorAll('details').forEach((d) => d.open = true)", Value::Null)
            .await?;
        console.says("<img src=x onerror=").await?;
        let name = view.rsplit('/').next().unwrap_or_default();
        console.picture(&format!("console-hostile-{name}"), 1280, false).await?;
        console.fits_a_phone(&format!("console-hostile-{name}-phone")).await?;
        let inert = "return window.hacked === undefined && !document.querySelector('main :is(img, script, iframe, object, style)') && \
                     ![...document.querySelectorAll('main *')].some((e) => e.getAttributeNames().some((n) => n.startsWith('on')))";
        ensure!(console.browser().run(inert, Value::Null).await? == true, "{view} is not inert");
    }
    let complaints = console.complaints().await?;
    ensure!(complaints.is_empty(), "{complaints:?}");
    // The other way would not have worked either.
    let sink = "try { document.body.innerHTML = '<b>x</b>'; return 'taken'; } catch (e) { return e.name; }";
    ensure!(console.browser().run(sink, Value::Null).await? == "TypeError");
    console.close().await;
    gateway.stop().await;
    Ok(())
}
