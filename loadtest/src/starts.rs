//! Call starts: an offer over HTTP, the INVITE it leads to, the agent's answer, and hanging up. No media: what ICE, DTLS
//! and audio cost is in the rows of `bench`.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::answerer::Counts;
use crate::bare::Bare;
use crate::gateway::Gateway;
use crate::plane::{self, CONNECTIONS, PlaneArgs};
use crate::pump::{self, Connection, Stretch};
use crate::stats::{Spread, cpu_seconds, resident_kib};

/// How long a call stays, and how long the agent's last words are waited for.
const STAY: Duration = Duration::from_secs(1);
const REST: Duration = Duration::from_secs(3);
/// 64*T1 after the last BYE, and two seconds.
const PATIENCE: Duration = Duration::from_secs(34);

const UNJOURNALLED: &str = "trunkline_sip_unjournalled_total";

/// A browser's offer.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111 0 101\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:load\r\na=ice-pwd:0123456789012345678901\r\n\
a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
a=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
a=candidate:1 1 udp 2113937151 127.0.0.1 9 typ host\r\na=ssrc:1 cname:load\r\n";

/// Call starts.
#[derive(Debug, Serialize)]
pub(crate) struct StartsReport {
    offered_per_second: f64,
    started: u64,
    failed: u64,
    per_second: f64,
    /// From when the offer was due to its 201.
    answer_ms: Spread,
    /// Calls the agent answered and heard the ACK of, calls it saw hung up, calls that ended otherwise.
    confirmed: u64,
    ended: u64,
    lost: u64,
    /// The server's CPU for a start with its end, and for the same bodies in the bare server.
    cpu_us: f64,
    bare_cpu_us: f64,
    /// Of one core, while starts were offered at the rate.
    core_used: f64,
    /// Resident memory before the starts, with the most of them, and 64*T1 after the last.
    resident_kib: [u64; 3],
    memory_to_the_start: f64,
    /// As many as there is room for, one after the other on each connection, each hung up at once.
    most_per_second: f64,
    most_failed: u64,
    bare_most_per_second: f64,
    /// Messages that did not wait for the disk, at the rate and beyond it.
    unjournalled: f64,
    most_unjournalled: f64,
}

impl StartsReport {
    pub(crate) fn is_clean(&self) -> bool {
        self.failed == 0 && self.most_failed == 0 && self.lost == 0 && self.confirmed >= self.started
    }
}

/// A fresh session's token.
pub(crate) async fn token(connection: &mut Connection, public: SocketAddr) -> Result<String> {
    let session = connection.exchange(&plane::session_request(&format!("http://{public}"))).await?;
    ensure!(session.status == 201, "{} {}", session.status, String::from_utf8_lossy(&session.body));
    let body: Value = serde_json::from_slice(&session.body)?;
    Ok(body.get("token").and_then(Value::as_str).context("no token")?.to_owned())
}

pub(crate) fn call_request(public: SocketAddr, token: &str) -> Bytes {
    let (origin, bearer) = (format!("http://{public}"), format!("Bearer {token}"));
    let fields = [("Origin", origin.as_str()), ("Authorization", &bearer), ("Content-Type", "application/sdp")];
    pump::request("POST", "/v1/calls", &fields, OFFER)
}

async fn hang_up(connection: &mut Connection, public: SocketAddr, token: &str, location: &str) -> Result<bool> {
    let path = location.find("/v1/").and_then(|at| location.get(at..)).context("no path")?;
    let (origin, bearer) = (format!("http://{public}"), format!("Bearer {token}"));
    let request = pump::request("DELETE", path, &[("Origin", &origin), ("Authorization", &bearer)], "");
    Ok(connection.exchange(&request).await?.status == 200)
}

pub(crate) async fn run(args: &PlaneArgs, gateway: &Gateway, counts: &Counts) -> Result<StartsReport> {
    let length = plane::answer_length(gateway).await?;
    let total = (args.starts * args.seconds as f64) as usize;
    let mut tokens = Vec::with_capacity(total);
    let mut connection = Connection::open(gateway.public).await?;
    for _ in 0..total {
        tokens.push(token(&mut connection, gateway.public).await?);
    }
    tokio::time::sleep(REST).await;
    let (confirmed, ended) = (counts.confirmed.load(Ordering::Relaxed), counts.ended.load(Ordering::Relaxed));
    let (resident, before) = (resident_kib(gateway.pid())?, cpu_seconds(gateway.pid())?);
    let paced = at_a_rate(args.starts, gateway.public, &tokens).await?;
    let spent = cpu_seconds(gateway.pid())? - before;
    let peak = resident_kib(gateway.pid())?;
    tokio::time::sleep(PATIENCE).await;
    let resident = [resident, peak, resident_kib(gateway.pid())?];
    let (confirmed, ended) =
        (counts.confirmed.load(Ordering::Relaxed) - confirmed, counts.ended.load(Ordering::Relaxed) - ended);
    let lost = counts.lost.load(Ordering::Relaxed);
    let unjournalled = gateway.metrics().await?.get(UNJOURNALLED);
    let bare = plane::on_its_core(|| Bare::start(0, length))?;
    let request = call_request(gateway.public, tokens.first().context("no call")?);
    let (before, window) = (cpu_seconds(bare.pid())?, Duration::from_secs(args.seconds));
    let pressed = pump::press(bare.address, &request, 201, CONNECTIONS, window).await?;
    let bare_spent = cpu_seconds(bare.pid())? - before;
    let most = as_many_as_possible(gateway.public, window).await?;
    tokio::time::sleep(REST).await;
    Ok(StartsReport {
        offered_per_second: args.starts,
        started: paced.done,
        failed: paced.failed,
        per_second: paced.per_second(),
        answer_ms: paced.spread_ms(),
        confirmed,
        ended,
        lost,
        cpu_us: 1e6 * spent / paced.done.max(1) as f64,
        bare_cpu_us: 1e6 * bare_spent / pressed.done.max(1) as f64,
        core_used: spent / paced.seconds.max(f64::EPSILON),
        resident_kib: resident,
        memory_to_the_start: resident[2] as f64 / resident[0].max(1) as f64,
        most_per_second: most.per_second(),
        most_failed: most.failed,
        bare_most_per_second: pressed.per_second(),
        unjournalled,
        most_unjournalled: gateway.metrics().await?.get(UNJOURNALLED) - unjournalled,
    })
}

/// Offers calls at a steady rate; each stays for a while and is hung up.
async fn at_a_rate(rate: f64, public: SocketAddr, tokens: &[String]) -> Result<Stretch> {
    let start = Instant::now();
    let mut lanes = JoinSet::new();
    for lane in 0..CONNECTIONS {
        let own: Vec<(usize, String)> = tokens.iter().cloned().enumerate().skip(lane).step_by(CONNECTIONS).collect();
        lanes.spawn(async move {
            let (mut stretch, mut connection) = (Stretch::default(), Connection::open(public).await?);
            let mut endings = JoinSet::new();
            for (number, token) in own {
                let due = start + Duration::from_secs_f64(number as f64 / rate);
                tokio::time::sleep_until(due.into()).await;
                let answer = connection.exchange(&call_request(public, &token)).await?;
                let location = answer.field("location").map(str::to_owned);
                let Some(location) = location.filter(|_| answer.status == 201) else {
                    stretch.failed += 1;
                    continue;
                };
                stretch.done += 1;
                let took = Instant::now().saturating_duration_since(due).as_micros();
                stretch.latencies_us.push(u32::try_from(took).unwrap_or(u32::MAX));
                endings.spawn(async move {
                    tokio::time::sleep(STAY).await;
                    let mut connection = Connection::open(public).await?;
                    hang_up(&mut connection, public, &token, &location).await
                });
            }
            while let Some(ended) = endings.join_next().await {
                stretch.failed += u64::from(!ended?.unwrap_or(false));
            }
            anyhow::Ok(stretch)
        });
    }
    let mut sum = Stretch::default();
    while let Some(lane) = lanes.join_next().await {
        sum.add(lane??);
    }
    sum.seconds = Instant::now().saturating_duration_since(start).as_secs_f64();
    Ok(sum)
}

/// Session, start, hang-up, as fast as each connection can.
async fn as_many_as_possible(public: SocketAddr, length: Duration) -> Result<Stretch> {
    let start = Instant::now();
    let end = start + length;
    let mut lanes = JoinSet::new();
    for _ in 0..CONNECTIONS {
        lanes.spawn(async move {
            let (mut stretch, mut connection) = (Stretch::default(), Connection::open(public).await?);
            while Instant::now() < end {
                let token = token(&mut connection, public).await?;
                let answer = connection.exchange(&call_request(public, &token)).await?;
                let location = answer.field("location").map(str::to_owned).filter(|_| answer.status == 201);
                let good = match location {
                    Some(location) => hang_up(&mut connection, public, &token, &location).await?,
                    None => false,
                };
                stretch.done += u64::from(good);
                stretch.failed += u64::from(!good);
            }
            anyhow::Ok(stretch)
        });
    }
    let mut sum = Stretch::default();
    while let Some(lane) = lanes.join_next().await {
        sum.add(lane??);
    }
    sum.seconds = Instant::now().saturating_duration_since(start).as_secs_f64();
    Ok(sum)
}
