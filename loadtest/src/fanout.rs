//! Events to many listeners: everybody gets each one, and who does not read costs the others nothing.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::bare::Bare;
use crate::gateway::Gateway;
use crate::plane::{self, PlaneArgs};
use crate::pump;
use crate::stats::{cpu_seconds, resident_kib};

/// Events told a second, and listeners that never read.
const RATE: f64 = 50.0;
const IDLE: usize = 50;
/// Sessions a second while some do not read, and for how long.
const FLOOD: f64 = 1_000.0;
const FLOOD_SECONDS: u64 = 15;
const SETTLE: Duration = Duration::from_secs(2);
/// Listeners of one client address; the gateway takes no more.
const PER_ADDRESS: usize = 200;

/// Fan-out.
#[derive(Debug, Serialize)]
pub(crate) struct FanoutReport {
    listeners: usize,
    events: u64,
    delivered: u64,
    /// Of those that were due.
    missing: u64,
    delivered_per_second: f64,
    event_bytes: u64,
    cpu_us_per_delivery: f64,
    bare_cpu_us_per_delivery: f64,
    /// Resident memory a listener costs, connected and being told.
    kib_per_listener: f64,
    bare_kib_per_listener: f64,
    /// With listeners that do not read, under a flood of events.
    idle_listeners: usize,
    flood_events: u64,
    idle_dropped: usize,
    resident_before_flood_kib: u64,
    resident_after_flood_kib: u64,
}

impl FanoutReport {
    pub(crate) fn is_clean(&self) -> bool {
        self.missing == 0
    }
}

/// What listeners have heard.
#[derive(Debug, Default)]
struct Heard {
    events: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicUsize,
}

/// A measured stretch of telling.
struct Told {
    cpu_us: f64,
    kib: f64,
    delivered: u64,
    bytes: u64,
    per_second: f64,
}

pub(crate) async fn run(args: &PlaneArgs, gateway: &Gateway) -> Result<FanoutReport> {
    let session = plane::session_request(&format!("http://{}", gateway.public));
    let total = (RATE * args.seconds as f64) as u64;
    let own = tell(args, (gateway.control, gateway.pid()), (gateway.public, &session, 201)).await?;
    let event_bytes = own.bytes / own.delivered.max(1);
    let event = format!("id: 1\ndata: {}\n\n", "x".repeat((event_bytes as usize).saturating_sub(15)));
    let post = pump::request("POST", "/tell", &[], &event);
    let bare = plane::on_its_core(|| Bare::start(0, 0))?;
    let floor = tell(args, (bare.address, bare.pid()), (bare.address, &post, 204)).await?;

    let heard = Arc::<Heard>::default();
    let mut idle = listen(gateway.control, IDLE, &heard, false).await?;
    tokio::time::sleep(SETTLE).await;
    let before = resident_kib(gateway.pid())?;
    let flood = Duration::from_secs(FLOOD_SECONDS);
    let flooded = pump::pace(gateway.public, &session, 201, plane::CONNECTIONS, (FLOOD, flood)).await?;
    let after = resident_kib(gateway.pid())?;
    // Now they read what is left for them, to the end of it.
    tokio::time::sleep(SETTLE).await;
    let idle_dropped = heard.closed.load(Ordering::Relaxed);
    idle.abort_all();
    Ok(FanoutReport {
        listeners: args.listeners,
        events: total,
        delivered: own.delivered,
        missing: (total * args.listeners as u64).saturating_sub(own.delivered),
        delivered_per_second: own.per_second,
        event_bytes,
        cpu_us_per_delivery: own.cpu_us,
        bare_cpu_us_per_delivery: floor.cpu_us,
        kib_per_listener: own.kib,
        bare_kib_per_listener: floor.kib,
        idle_listeners: IDLE,
        flood_events: flooded.done,
        idle_dropped,
        resident_before_flood_kib: before,
        resident_after_flood_kib: after,
    })
}

/// Connects the listeners to a server, has it told of events by a request each, and counts what comes.
async fn tell(
    args: &PlaneArgs,
    (server, pid): (SocketAddr, u32),
    (by, request, status): (SocketAddr, &Bytes, u16),
) -> Result<Told> {
    let heard = Arc::<Heard>::default();
    // What the first request costs is not the listeners'.
    pump::pace(by, request, status, 1, (10.0, Duration::from_secs(1))).await?;
    let memory = resident_kib(pid)?;
    let mut listeners = listen(server, args.listeners, &heard, true).await?;
    tokio::time::sleep(SETTLE).await;
    heard.events.store(0, Ordering::Relaxed);
    heard.bytes.store(0, Ordering::Relaxed);
    let cpu = cpu_seconds(pid)?;
    let length = Duration::from_secs(args.seconds);
    let told = pump::pace(by, request, status, 4, (RATE, length)).await?;
    tokio::time::sleep(SETTLE).await;
    let spent = cpu_seconds(pid)? - cpu;
    let grown = resident_kib(pid)?.saturating_sub(memory);
    let delivered = heard.events.load(Ordering::Relaxed);
    listeners.abort_all();
    Ok(Told {
        cpu_us: 1e6 * spent / delivered.max(1) as f64,
        kib: grown as f64 / args.listeners.max(1) as f64,
        delivered,
        bytes: heard.bytes.load(Ordering::Relaxed),
        per_second: delivered as f64 / told.seconds.max(f64::EPSILON),
    })
}

/// Opens so many streams, a few hundred from each address of loopback.
async fn listen(to: SocketAddr, count: usize, heard: &Arc<Heard>, reads: bool) -> Result<JoinSet<()>> {
    // The control listener wants to be named by its own address.
    let request = format!("GET /v1/events HTTP/1.1\r\nHost: {to}\r\nAuthorization: {}\r\n\r\n", plane::bearer());
    let mut listeners = JoinSet::new();
    for nth in 0..count {
        let last = u8::try_from(2 + nth / PER_ADDRESS)?;
        let socket = TcpSocket::new_v4()?;
        if !reads {
            socket.set_recv_buffer_size(4_096)?;
        }
        socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
        let mut stream = socket.connect(to).await.context("a listener was refused")?;
        stream.write_all(request.as_bytes()).await?;
        let heard = Arc::clone(heard);
        listeners.spawn(async move {
            if !reads {
                until_closed(&stream).await;
            } else {
                hear(&mut stream, &heard).await;
            }
            heard.closed.fetch_add(1, Ordering::Relaxed);
        });
    }
    Ok(listeners)
}

/// Counts events: each ends with an empty line. Their `id` tells them from comments.
async fn hear(stream: &mut TcpStream, heard: &Heard) {
    let (mut buffer, mut before) = (vec![0; 16_384], [0_u8; 4]);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let mut events = 0;
        for byte in buffer.iter().take(read) {
            before = [before[1], before[2], before[3], *byte];
            events += u64::from(&before == b"\nid:");
        }
        heard.events.fetch_add(events, Ordering::Relaxed);
        heard.bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}

/// Waits for the other side to give up, without reading.
async fn until_closed(stream: &TcpStream) {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let ready = stream.ready(tokio::io::Interest::READABLE | tokio::io::Interest::ERROR).await;
        if ready.is_ok_and(|ready| ready.is_read_closed() || ready.is_error())
            || stream.take_error().ok().flatten().is_some()
        {
            return;
        }
    }
}
