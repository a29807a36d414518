//! Everything a stranger on the network can throw at a gateway that carries a call: the call does not notice.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan, Session};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::judge;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::{Caller, WebClient};

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const SEED: u64 = 20_240_229;

/// Datagrams of every kind, as found and mutated.
struct Arsenal {
    rng: StdRng,
    found: Vec<Vec<u8>>,
}

impl Arsenal {
    fn new() -> Result<Self> {
        let mut found = Vec::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("data")];
        while let Some(folder) = folders.pop() {
            let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
            entries.sort();
            for path in entries {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_none_or(|e| e != "md" && e != "tsv") {
                    found.push(std::fs::read(path)?);
                }
            }
        }
        ensure!(found.len() > 100, "the corpora are missing");
        for (n, head) in [0x00u8, 0x16, 0x17, 0x80, 0x90, 0x81, 0xbf, 0xff].into_iter().enumerate() {
            found.push([&[head, 0xfe, 0xfd, n as u8][..], &[0x5a; 120][..]].concat());
        }
        Ok(Self { rng: StdRng::seed_from_u64(SEED), found })
    }

    /// All as found, then `rounds` mutations of each.
    fn all(&mut self, rounds: usize) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = self.found.iter().map(|bytes| bytes[..bytes.len().min(1400)].to_vec()).collect();
        for n in 0..self.found.len() * rounds {
            let bytes = self.found[n % self.found.len()].clone();
            all.push(self.mutated(bytes));
        }
        all
    }

    fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(1400);
        for _ in 0..self.rng.random_range(1..6) {
            let at = self.rng.random_range(0..=bytes.len());
            match self.rng.random_range(0..4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.rng.random()),
                2 => bytes.extend((0..self.rng.random_range(0..64)).map(|n| n as u8)),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.rng.random();
                    }
                }
            }
        }
        bytes
    }
}

/// Sends all to each address, from one socket, about ten thousand a second.
async fn pelt(all: &[Vec<u8>], at: &[SocketAddr]) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    for (n, bytes) in all.iter().enumerate() {
        for address in at {
            // ICMP errors of earlier datagrams come back here.
            let _ = socket.send_to(bytes, address).await;
        }
        if n % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
    }
    Ok(())
}

struct Peers {
    visitor: WebClient,
    phone: MediaPhone,
    sipp: Sipp,
}

async fn call(gateway: &Gateway, agent: SocketAddr) -> Result<Peers> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start_at(agent, "answer", &keys).await?;
    let visitor = WebClient::call(gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    Ok(Peers { visitor, phone, sipp })
}

impl Peers {
    /// Share of the quarters of a second since `forget` in which each heard the other and nothing else.
    fn undisturbed(&self) -> (f64, f64) {
        let share = |pcm: &[i16], tone, not| {
            let windows: Vec<_> = pcm.chunks_exact(2000).map(|w| judge(w, 8000, tone, not).is_ok()).collect();
            windows.iter().filter(|good| **good).count() as f64 / windows.len().max(1) as f64
        };
        let all = Duration::from_secs(3600);
        (share(&self.visitor.heard(all), AGENT, VISITOR), share(&self.phone.heard(all), VISITOR, AGENT))
    }

    fn forget(&self) {
        self.visitor.forget();
        self.phone.forget();
    }
}

#[tokio::test]
async fn noise_at_every_socket_harms_no_call() -> Result<()> {
    println!("seed {SEED}");
    let mut arsenal = Arsenal::new()?;
    let agent = free_udp_port()?;
    let gateway = Gateway::start(Plan::to(&[agent]).relay()).await?;
    let (media, sip) = (gateway.daemon().media_addrs.clone(), gateway.daemon().sip_addr);
    let doors = [&media[..], &[sip]].concat();
    pelt(&arsenal.all(2), &doors).await.context("before any call")?;

    let peers = call(&gateway, agent).await?;
    let rtp = rtp_port(&peers.sipp.trace()).context("the gateway's RTP port")?;
    let rtcp = SocketAddr::new(rtp.ip(), rtp.port() + 1);
    peers.forget();
    pelt(&arsenal.all(4), &[&doors[..], &[rtp, rtcp]].concat()).await?;
    let in_dialog = forged(&mut arsenal, &peers.sipp.trace());
    pelt(&in_dialog, &[sip]).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (visitor, phone) = peers.undisturbed();
    println!("undisturbed: visitor {:.0} %, agent {:.0} %", visitor * 100.0, phone * 100.0);
    ensure!(visitor > 0.9 && phone > 0.9, "visitor {visitor}, agent {phone}");
    peers.forget();
    peers.visitor.hears(AGENT, VISITOR).await?;
    peers.phone.hears(VISITOR, AGENT).await?;
    let record = gateway.record(&peers.visitor.call).await?;
    ensure!(record["state"] == "talking", "{record:#}");

    for (counter, least) in
        [("trunkline_worker_stray_datagrams_total", 500.0), ("trunkline_sip_malformed_total", 100.0)]
    {
        let counted = gateway.metric(counter).await?;
        println!("{counter} {counted}");
        ensure!(counted >= least, "{counter} {counted}");
    }
    ensure!(gateway.metric("trunkline_worker_panics_total").await? == 0.0);
    gateway.visitor(&peers.visitor.session, Method::DELETE, &peers.visitor.call, "", None).await?;
    let record = gateway.ended(&peers.visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    peers.sipp.finish().await?;

    pelt(&arsenal.all(2), &[&doors[..], &[rtp, rtcp]].concat()).await.context("after the call")?;
    let again = call(&gateway, agent).await?;
    drop(again);
    ensure!(gateway.metric("trunkline_sip_legs").await? <= 1.0);
    gateway.stop().await;
    Ok(())
}

/// Where the INVITE's SDP asks for RTP.
fn rtp_port(trace: &str) -> Option<SocketAddr> {
    let invite = &trace[trace.find("INVITE sip:")?..];
    let port = invite.split_once("m=audio ")?.1.split(' ').next()?.parse().ok()?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Requests that name the live call as closely as somebody can who saw the INVITE but not the answer: its Call-ID and
/// our tag, and a guessed tag of the other side; and mutations of the INVITE itself.
fn forged(arsenal: &mut Arsenal, trace: &str) -> Vec<Vec<u8>> {
    let Some(start) = trace.find("INVITE sip:") else { return Vec::new() };
    let invite = &trace[start..trace[start..].find("\n-----").map_or(trace.len(), |end| start + end)];
    let field = |name: &str| invite.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let (from, call_id, contact) = (field("From:"), field("Call-ID:"), field("Contact:"));
    let uri = contact.trim_start_matches('<').split('>').next().unwrap_or_default().to_owned();
    let mut all = Vec::new();
    for n in 0..200 {
        let method = ["BYE", "CANCEL", "INVITE", "UPDATE", "ACK", "OPTIONS", "INFO", "REFER"][n % 8];
        all.push(
            format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx{n}\r\nFrom: <sip:agent@127.0.0.1>;tag=guess{n}\r\n\
                 To: {from}\r\nCall-ID: {call_id}\r\nCSeq: {} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
                n + 1
            )
            .into_bytes(),
        );
        all.push(arsenal.mutated(invite.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()));
    }
    all
}

#[tokio::test]
async fn noise_at_the_http_listeners_harms_no_call_and_makes_no_5xx() -> Result<()> {
    println!("seed {SEED}");
    let mut arsenal = Arsenal::new()?;
    let agent = free_udp_port()?;
    let gateway = Gateway::start(Plan::to(&[agent]).relay()).await?;
    let peers = call(&gateway, agent).await?;
    peers.forget();

    // Until there is enough of the call to judge it by.
    while peers.visitor.heard(Duration::from_secs(4)).len() < 4 * 8000 {
        raw_noise(&mut arsenal, &gateway).await?;
        let offers = strange_offers(&mut arsenal, &gateway).await?;
        let others = strange_requests(&mut arsenal, &gateway, &peers.visitor).await?;
        println!("statuses of offers {offers:?}, of the rest {others:?}");
    }
    let text = gateway.request(Method::GET, &format!("{}/metrics", gateway.control()), "").send().await?.text().await?;
    let failed: Vec<_> = text.lines().filter(|l| l.starts_with("trunkline_http_requests_total{code=\"5")).collect();
    ensure!(failed.is_empty(), "{failed:?}");

    let (visitor, phone) = peers.undisturbed();
    println!("undisturbed: visitor {:.0} %, agent {:.0} %", visitor * 100.0, phone * 100.0);
    ensure!(visitor > 0.9 && phone > 0.9, "visitor {visitor}, agent {phone}");
    let record = gateway.record(&peers.visitor.call).await?;
    ensure!(record["state"] == "talking", "{record:#}");
    gateway.stop().await;
    Ok(())
}

type Answers = std::collections::BTreeMap<u16, usize>;

/// Bytes that are no HTTP, or hardly.
async fn raw_noise(arsenal: &mut Arsenal, gateway: &Gateway) -> Result<()> {
    let mut all = arsenal.all(0);
    all.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    all.push(b"POST /v1/calls HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_vec());
    all.push(
        b"POST /v1/calls HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec(),
    );
    all.push(b"POST /v1/calls HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_vec());
    all.push([b"GET /".to_vec(), vec![b'a'; 100_000], b" HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()].concat());
    all.push(b"GET /%00%ff/../..//v1/calls/call_%0d%0aX HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec());
    for address in [gateway.daemon().public_addr, gateway.daemon().control_addr] {
        for bytes in &all {
            let mut stream = TcpStream::connect(address).await?;
            // Refused half-way is refused.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
            ensure!(
                read.is_ok(),
                "a connection hangs after {:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
            );
            ensure!(!answer.starts_with(b"HTTP/1.1 5"), "{}", String::from_utf8_lossy(&answer));
        }
    }
    Ok(())
}

/// A real offer, broken in a thousand ways. Some are still good: those calls are hung up again.
async fn strange_offers(arsenal: &mut Arsenal, gateway: &Gateway) -> Result<Answers> {
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    let body = json!({"app": "other", "widget_key": "wk_other"});
    let url = format!("{}/v1/sessions", gateway.public());
    let session = async || -> Result<Session> {
        let answer: serde_json::Value =
            gateway.request(Method::POST, &url, "").json(&body).send().await?.json().await?;
        let text = |key: &str| answer[key].as_str().map(String::from).context("no session");
        Ok(Session { id: text("session")?, token: text("token")? })
    };
    let mut caller = session().await?;
    let mut answers = Answers::new();
    let lines: Vec<&str> = offer.lines().collect();
    for n in 0..600 {
        let broken = match n % 3 {
            0 => arsenal.mutated(offer.clone().into_bytes()),
            1 => {
                let mut lines = lines.clone();
                let at = arsenal.rng.random_range(0..lines.len());
                let line = lines.remove(at);
                for _ in 0..arsenal.rng.random_range(0..4) {
                    lines.insert(arsenal.rng.random_range(0..=lines.len()), line);
                }
                (lines.join("\r\n") + "\r\n").into_bytes()
            }
            _ => {
                let at = arsenal.rng.random_range(0..lines.len());
                let huge = format!("{}{}", lines[at], "9".repeat(arsenal.rng.random_range(1..400)));
                offer.replacen(lines[at], &huge, 1).into_bytes()
            }
        };
        let request = gateway.request(Method::POST, &format!("{}/v1/calls", gateway.public()), &caller.token);
        let response = request.header("content-type", "application/sdp").body(broken).send().await?;
        let status = response.status().as_u16();
        *answers.entry(status).or_default() += 1;
        ensure!(matches!(status, 201 | 400 | 413 | 422), "{status} {}", response.text().await?);
        if status == 201 {
            let location = response.headers()["location"].to_str()?.to_owned();
            let call = location.rsplit('/').next().unwrap_or_default();
            ensure!(gateway.visitor(&caller, Method::DELETE, call, "", None).await?.status() == 200);
            caller = session().await?;
        }
    }
    ensure!(answers.contains_key(&400) && answers.contains_key(&422), "{answers:?}");
    Ok(answers)
}

/// Everything else a client can send, broken; the live call's own token among it.
async fn strange_requests(arsenal: &mut Arsenal, gateway: &Gateway, visitor: &WebClient) -> Result<Answers> {
    let mut answers = Answers::new();
    let call = format!("{}/v1/calls/{}", gateway.public(), visitor.call);
    let bodies = [
        json!({"app": "acme", "widget_key": "wk_demo", "context": {"a": {"b": [1, null]}}, "form": []}).to_string(),
        json!({"digits": "1", "duration_ms": 100}).to_string(),
        json!({"muted": "perhaps"}).to_string(),
        format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000)),
        format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", "x".repeat(5000), "y".repeat(5000)),
        "\0\u{feff}{}".into(),
    ];
    for n in 0..150 {
        for (method, url, kind, token) in [
            (Method::POST, format!("{}/v1/sessions", gateway.public()), "application/json", ""),
            (Method::POST, format!("{call}/dtmf"), "application/json", visitor.session.token.as_str()),
            (Method::PATCH, call.clone(), "application/trickle-ice-sdpfrag", visitor.session.token.as_str()),
            (Method::POST, format!("{call}/reattach"), "application/sdp", visitor.session.token.as_str()),
            (Method::POST, format!("{}/v1/sessions", gateway.control()), "application/json", "guess"),
        ] {
            let body = bodies[n % bodies.len()].clone().into_bytes();
            let body = if n < bodies.len() { body } else { arsenal.mutated(body) };
            let request = gateway.request(method, &url, token).header("content-type", kind).header("if-match", "\"x\"");
            let response = request.body(body).send().await?;
            let status = response.status().as_u16();
            *answers.entry(status).or_default() += 1;
            ensure!(status < 500, "{url}: {status} {}", response.text().await?);
        }
    }
    Ok(answers)
}
