//! Requests of somebody who may not: 2,000 a second of every kind, from one address, at the gateway's SIP socket.
#![allow(clippy::disallowed_methods)] // The edge: a thread that keeps time.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Requests a second.
pub(crate) const PER_SECOND: u64 = 2_000;
const METHODS: [&str; 6] = ["INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE", "MESSAGE", "BYE"];
/// They come in small bursts.
const TICK: Duration = Duration::from_millis(5);

/// A flood until it is ended.
pub(crate) struct Flood {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Flooded>>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Flooded {
    pub(crate) sent: u64,
    pub(crate) answers: u64,
}

impl Flood {
    pub(crate) fn start(at: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.66:0")?;
        socket.set_nonblocking(true)?;
        let over = Arc::<AtomicBool>::default();
        let flag = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("flood".into()).spawn(move || pour(&socket, at, &flag))?;
        Ok(Self { over, thread })
    }

    pub(crate) fn end(self) -> Result<Flooded> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the flood's thread panicked")?
    }
}

fn pour(socket: &UdpSocket, at: SocketAddr, over: &AtomicBool) -> Result<Flooded> {
    let own = socket.local_addr()?;
    let (start, mut flooded) = (Instant::now(), Flooded { sent: 0, answers: 0 });
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        let passed = Instant::now().saturating_duration_since(start);
        let due = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_mul(PER_SECOND) / 1000;
        while flooded.sent < due {
            let number = flooded.sent;
            let method = METHODS.get(number as usize % METHODS.len()).copied().unwrap_or("OPTIONS");
            // What the kernel does not take is no matter.
            let _ = socket.send_to(request(method, own, at, number).as_bytes(), at);
            flooded.sent += 1;
        }
        while socket.recv_from(&mut buffer).is_ok() {
            flooded.answers += 1;
        }
        std::thread::sleep(TICK);
    }
    Ok(flooded)
}

fn request(method: &str, own: SocketAddr, at: SocketAddr, number: u64) -> String {
    format!(
        "{method} sip:{number}@{at} SIP/2.0\r\nVia: SIP/2.0/UDP {own};rport;branch=z9hG4bKf{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:{number}@{own}>;tag={number}\r\nTo: <sip:{number}@{at}>\r\nCall-ID: flood{number}@{own}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:flood@{own}>\r\nUser-Agent: friendly-scanner\r\nContent-Length: 0\r\n\r\n"
    )
}
