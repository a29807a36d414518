//! What is done about lost packets, in a real Chromium: Opus said twice (RFC 2198) in both directions, as many bits as we ask
//! for, and packets asked for again (RFC 4585). By the browser's own statistics and the gateway's counters.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan, READ};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::Page;
use trunkline_tests::relay::{Impairment, Relay};
use trunkline_tests::sipp::Sipp;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

struct Lossy {
    page: Page,
    phone: MediaPhone,
    gateway: Gateway,
    visitor: Relay,
    call: String,
    _sipp: Sipp,
}

impl Lossy {
    /// A visitor who speaks Opus with the browser's connection changed like this, over a relay, to a trunk of G.711.
    async fn talking(mut options: Value) -> Result<Self> {
        let page = Page::open(VISITOR).await?;
        let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
        let port = phone.address().port().to_string();
        let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
        let sipp = Sipp::start("answer", &keys).await?;
        let gateway = Gateway::start(Plan::to(&[sipp.address()]).origin(page.origin())).await?;
        let media = *gateway.daemon().media_addrs.first().context("no media socket")?;
        let visitor = Relay::start(media, 41).await?;
        options["relay"] = json!(visitor.address().port());
        let call = page.call_with(&gateway, options).await?;
        page.state("talking").await?;
        page.hears(AGENT, VISITOR).await?;
        phone.hears(VISITOR, AGENT).await?;
        Ok(Self { page, phone, gateway, visitor, call, _sipp: sipp })
    }

    /// The browser's statistics of what it sends or receives.
    async fn statistics(&self, kind: &str) -> Result<Value> {
        let all = self.page.browser().run("return statistics(args)", json!(kind)).await?;
        all.get(0).cloned().with_context(|| format!("no {kind}: {all}"))
    }

    /// The same once they are so.
    async fn statistics_when(&self, kind: &str, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        for _ in 0..300 {
            last = self.statistics(kind).await?;
            if good(&last) {
                return Ok(last);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("{what}: never, {last:#}")
    }

    async fn finish(self) -> Result<()> {
        self.visitor.both(Impairment::default());
        self.page.browser().run("await call.hangup()", Value::Null).await?;
        let record = self.gateway.ended(&self.call).await?;
        ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
        self.page.close().await;
        self.gateway.stop().await;
        Ok(())
    }
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_default()
}

/// What a measure of a half-leg was on average since `from`, seconds of the call's series.
async fn mean(all: &Lossy, half_leg: &str, measure: &str, from: usize) -> Result<f64> {
    let path = format!("/v1/calls/{}/quality", all.call);
    let (status, series) = all.gateway.operator(Method::GET, &path, READ, None).await?;
    ensure!(status == 200, "{status} {series}");
    let points = series["half_legs"][half_leg]["recent"].as_array().cloned().unwrap_or_default();
    let known: Vec<f64> = points.iter().skip(from).filter_map(|point| point[measure].as_f64()).collect();
    ensure!(known.len() >= 8, "{} seconds of {measure} are known: {points:?}", known.len());
    Ok(known.iter().sum::<f64>() / known.len() as f64)
}

#[tokio::test]
async fn chromium_says_and_hears_opus_twice_over_a_network_that_loses_a_fifth() -> Result<()> {
    let all = Lossy::talking(json!({"codecs": []})).await?;
    // Its statistics call it Opus still; each packet is as long as two of the 32 kbit/s that are asked for.
    let twice = |said: &Value| number(said, "bytesSent") > 1.7 * 80.0 * number(said, "packetsSent");
    let said = all.statistics_when("outbound-rtp", "every packet said twice", twice).await?;
    ensure!(number(&said, "targetBitrate") == 32_000.0, "{said:#}");
    let path = format!("/v1/calls/{}/quality", all.call);
    let (_, series) = all.gateway.operator(Method::GET, &path, READ, None).await?;
    let begun = series["half_legs"]["browser_up"]["recent"].as_array().map_or(0, Vec::len);

    all.visitor.both(Impairment::loss(0.2));
    let before = all
        .statistics_when("inbound-rtp", "what is said twice", |stats| number(stats, "fecPacketsReceived") > 100.0)
        .await?;
    // A stretch of it: the browser makes up far less than is lost.
    let after = all
        .statistics_when("inbound-rtp", "fifteen seconds of it", |stats| {
            number(stats, "packetsReceived") > number(&before, "packetsReceived") + 600.0
        })
        .await?;
    let change = |key: &str| number(&after, key) - number(&before, key);
    let lost = change("packetsLost") / (change("packetsLost") + change("packetsReceived"));
    let concealed = change("concealedSamples") / change("totalSamplesReceived");
    println!(
        "down: {lost:.3} of the packets lost, {concealed:.3} of the sound made up, {} packets by redundancy",
        change("fecPacketsReceived")
    );
    ensure!(lost > 0.1 && concealed < lost / 2.0, "{lost:.3} lost, {concealed:.3} made up: {after:#}");
    // In-band FEC is found in packets too, but makes them no longer: 24 kbit/s are 60 octets.
    let octets = change("bytesReceived") / change("packetsReceived");
    ensure!(octets > 1.7 * 60.0 && change("fecPacketsReceived") > 600.0, "{octets} octets a packet: {after:#}");

    // And so does the gateway: FEC counts as made up, redundancy does not.
    let from = begun + 2;
    let lost = mean(&all, "browser_up", "loss", from).await?;
    let concealed = mean(&all, "browser_up", "concealed", from).await?;
    println!("up: {lost:.3} of the packets lost, {concealed:.3} of the sound made up");
    ensure!(lost > 0.1 && concealed < lost / 2.0, "{lost:.3} lost, {concealed:.3} made up");
    all.phone.forget();
    all.phone.hears(VISITOR, AGENT).await?;
    all.finish().await
}

#[tokio::test]
async fn chromium_without_redundancy_says_everything_once_in_the_bits_it_is_asked_for() -> Result<()> {
    let all = Lossy::talking(json!({"codecs": [], "once": true})).await?;
    all.visitor.up(Impairment::loss(0.1));
    let octets = |said: &Value| number(said, "bytesSent") / number(said, "packetsSent").max(1.0);
    // 48 kbit/s are 120 octets; a tone takes about as many, its beginning fewer.
    let enough = |said: &Value| number(said, "packetsSent") > 600.0;
    let said = all.statistics_when("outbound-rtp", "twelve seconds", enough).await?;
    println!("{:.0} octets a packet, {} bit/s aimed at", octets(&said), said["targetBitrate"]);
    ensure!(number(&said, "targetBitrate") == 48_000.0, "{said:#}");
    ensure!((50.0..150.0).contains(&octets(&said)), "{said:#}");
    all.phone.forget();
    all.phone.hears(VISITOR, AGENT).await?;
    all.finish().await
}

#[tokio::test]
async fn chromium_hears_twice_what_is_lost_and_only_while_something_is() -> Result<()> {
    let all = Lossy::talking(json!({"codecs": []})).await?;
    let octets = |from: &Value, to: &Value| {
        let change = |key: &str| number(to, key) - number(from, key);
        change("bytesReceived") / change("packetsReceived").max(1.0)
    };
    let hundreds = async |from: &Value, packets: f64| {
        let enough = |stats: &Value| number(stats, "packetsReceived") > number(from, "packetsReceived") + packets;
        all.statistics_when("inbound-rtp", "more packets", enough).await
    };
    let start = all.statistics("inbound-rtp").await?;
    let calm = hundreds(&start, 200.0).await?;
    let once = octets(&start, &calm);

    all.visitor.down(Impairment::loss(0.2));
    let mut before = calm;
    let lossy = loop {
        let stats = hundreds(&before, 200.0).await?;
        if octets(&before, &stats) > 1.6 * once {
            break stats;
        }
        ensure!(number(&stats, "packetsReceived") < 6_000.0, "{once} octets a packet, and never twice that: {stats:#}");
        before = stats;
    };
    let after = hundreds(&lossy, 600.0).await?;
    let change = |key: &str| number(&after, key) - number(&lossy, key);
    let lost = change("packetsLost") / (change("packetsLost") + change("packetsReceived"));
    let concealed = change("concealedSamples") / change("totalSamplesReceived");
    println!("{once:.0} octets a packet, then {:.0}; {lost:.3} lost, {concealed:.3} made up", octets(&lossy, &after));
    ensure!(lost > 0.1 && concealed < lost / 2.0, "{lost:.3} lost, {concealed:.3} made up: {after:#}");

    // No twice the bits without need.
    all.visitor.down(Impairment::default());
    let mut before = after;
    loop {
        let stats = hundreds(&before, 200.0).await?;
        if octets(&before, &stats) < 1.3 * once {
            break;
        }
        ensure!(number(&stats, "packetsReceived") < 12_000.0, "it does not end: {stats:#}");
        before = stats;
    }
    all.page.hears(AGENT, VISITOR).await?;
    all.finish().await
}

#[tokio::test]
async fn chromium_asks_for_opus_that_was_lost_and_is_sent_it_again() -> Result<()> {
    let all = Lossy::talking(json!({"codecs": [], "nack": true})).await?;
    all.visitor.down(Impairment::loss(0.1));
    let stats = all
        .statistics_when("inbound-rtp", "packets asked for again", |stats| {
            number(stats, "nackCount") > 10.0 && number(stats, "packetsReceived") > 600.0
        })
        .await?;
    let resent = all.gateway.metric("trunkline_media_resent_packets_total").await?;
    let swallowed = all.visitor.tallies()[1].lost as f64;
    let missing = number(&stats, "packetsLost");
    println!("{swallowed} datagrams lost, {} asked for, {resent} sent again, {missing} missing", stats["nackCount"]);
    ensure!(resent > 10.0, "{resent} sent again: {stats:#}");
    ensure!(swallowed > 30.0 && missing < swallowed / 2.0, "{missing} of {swallowed} are missing: {stats:#}");
    all.page.hears(AGENT, VISITOR).await?;
    all.finish().await
}
