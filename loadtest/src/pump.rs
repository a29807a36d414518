//! HTTP at the least cost: requests made beforehand, over connections that are kept. What a client spends is taken from
//! what can be measured of the server.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::stats::Spread;

/// Longest answer.
const MAX_ANSWER: usize = 1 << 20;
/// Requests of one stretch: a gateway keeps 50,000 sessions, and forgets none of them within a run.
pub(crate) const MOST: u64 = 20_000;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it goes over the wire.
pub(crate) fn request(method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Bytes {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len())
        .into()
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header field of it.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.trim()))
    }
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(8_192) })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        tokio::time::timeout(PATIENCE, self.answer()).await.context("no answer in time")?
    }

    async fn answer(&mut self) -> Result<Answer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer.split_to(end)).into_owned();
        self.buffer.advance(4);
        let status = head.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
        let mut answer = Answer { status, head, body: Bytes::new() };
        let length = answer.field("content-length").map_or(Ok(0), str::parse::<usize>)?;
        ensure!(length <= MAX_ANSWER, "{length} octets are too many");
        while self.buffer.len() < length {
            self.more().await?;
        }
        answer.body = self.buffer.split_to(length).freeze();
        Ok(answer)
    }

    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        if read == 0 {
            bail!("the server has closed the connection");
        }
        Ok(())
    }
}

/// What a stretch of requests came to.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) seconds: f64,
    /// Microseconds from when a request was due to its answer.
    pub(crate) latencies_us: Vec<u32>,
}

impl Stretch {
    pub(crate) fn per_second(&self) -> f64 {
        self.done as f64 / self.seconds.max(f64::EPSILON)
    }

    pub(crate) fn spread_ms(&self) -> Spread {
        Spread::of_us(self.latencies_us.clone())
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.latencies_us.extend(other.latencies_us);
    }
}

/// The same request again and again over so many connections, each as soon as the one before is answered.
pub(crate) async fn press(
    to: SocketAddr,
    request: &Bytes,
    status: u16,
    connections: usize,
    length: Duration,
) -> Result<Stretch> {
    let end = Instant::now() + length;
    let most = MOST / connections.max(1) as u64;
    drive(to, request, status, connections, move |(_, nth)| {
        let now = Instant::now();
        (now < end && nth < most).then_some(now)
    })
    .await
}

/// The same request at a steady rate, whether or not those before are answered: a late answer makes those behind it late
/// too, and counts for all of them.
pub(crate) async fn pace(
    to: SocketAddr,
    request: &Bytes,
    status: u16,
    connections: usize,
    (rate, length): (f64, Duration),
) -> Result<Stretch> {
    let start = Instant::now();
    let total = (rate * length.as_secs_f64()) as u64;
    let lanes = connections as u64;
    drive(to, request, status, connections, move |(lane, nth)| {
        let number = nth * lanes + lane;
        (number < total).then(|| start + Duration::from_secs_f64(number as f64 / rate))
    })
    .await
}

async fn drive(
    to: SocketAddr,
    request: &Bytes,
    status: u16,
    connections: usize,
    due: impl Fn((u64, u64)) -> Option<Instant> + Send + Sync + Clone + 'static,
) -> Result<Stretch> {
    let start = Instant::now();
    let mut lanes = JoinSet::new();
    let request = Arc::new(request.clone());
    for lane in 0..connections as u64 {
        let (request, due) = (Arc::clone(&request), due.clone());
        lanes.spawn(async move {
            let (mut connection, mut stretch) = (Connection::open(to).await?, Stretch::default());
            let mut nth = 0;
            while let Some(at) = due((lane, nth)) {
                nth += 1;
                tokio::time::sleep_until(at.into()).await;
                let answered = connection.exchange(&request).await.is_ok_and(|answer| answer.status == status);
                if answered {
                    stretch.done += 1;
                    let took = Instant::now().saturating_duration_since(at).as_micros();
                    stretch.latencies_us.push(u32::try_from(took).unwrap_or(u32::MAX));
                } else {
                    stretch.failed += 1;
                    connection = Connection::open(to).await?;
                }
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
