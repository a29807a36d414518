//! The SIP side alone: a process of its own makes calls at a steady rate through the endpoint and its socket. Beside it one
//! that exchanges as many datagrams of that size and does nothing else.
#![allow(clippy::disallowed_methods)] // The edge: everything here happens in real time.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::UdpSocket;
use trunkline_signaling::endpoint::{EndpointConfig, Event, Invite, Reliable, Timers, Transport};
use trunkline_signaling::message::{Headers, Uri};
use trunkline_signaling::transport::udp;

use crate::allocations;
use crate::answerer;
use crate::stats::{Priority, cpu_seconds, resident_kib};
use crate::sys;

/// What is asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SignallingArgs {
    /// Call set-ups a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Writes all numbers to this file, too.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Scheduler weight of the whole run, as nice(1).
    #[arg(long, default_value_t = -10, allow_hyphen_values = true)]
    nice: i32,
}

/// What a child does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CallerArgs {
    /// Whom it calls, or who sends its datagrams back.
    #[arg(long)]
    peer: SocketAddr,
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    seconds: u64,
    /// Datagrams alone.
    #[arg(long)]
    bare: bool,
}

/// What a child brings home.
#[derive(Debug, Serialize, Deserialize)]
struct Tale {
    calls: u64,
    answered: u64,
    failed: u64,
    cpu_us_per_call: f64,
    /// Of the process: before the calls but after a second of others, with the most of them, and 64*T1 after the last.
    resident_kib: [u64; 3],
    /// What is allocated at the same moments. Resident memory beyond it is what the allocator has not given back.
    live_kib: [u64; 3],
    /// Resident memory at the end, once the allocator was asked to give back what is free, as the gateway asks it.
    given_back_kib: u64,
}

#[derive(Debug, Serialize)]
struct SignallingReport {
    rate: f64,
    seconds: u64,
    calls: Tale,
    bare: Tale,
    cpu_to_the_bare: f64,
    memory_to_the_start: f64,
    live_to_the_start: f64,
    /// At the agent.
    confirmed: u64,
    lost: u64,
}

/// How long a call stays.
const STAY: Duration = Duration::from_secs(1);
/// 64*T1, and a second.
const PATIENCE: Duration = Duration::from_secs(33);
/// An INVITE with its offer is about this long; requests and answers of a call without it are shorter.
const DATAGRAM: usize = 700;
/// INVITE, ACK and BYE; 100, 200 and 200.
const REQUESTS: usize = 3;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                     m=audio 9 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";

/// Runs both; `true` if every call came about.
pub(crate) async fn run(args: &SignallingArgs) -> Result<bool> {
    use std::sync::atomic::Ordering::Relaxed;
    let _priority = Priority::raise(args.nice);
    let (agent, counts) = answerer::start()?;
    let calls = child(args, agent, false).await.context("the calls")?;
    let echo = UdpSocket::bind("127.0.0.1:0").await?;
    let peer = echo.local_addr()?;
    let echoing = tokio::spawn(send_back(echo));
    let bare = child(args, peer, true).await.context("the bare datagrams")?;
    echoing.abort();
    let report = SignallingReport {
        rate: args.rate,
        seconds: args.seconds,
        cpu_to_the_bare: calls.cpu_us_per_call / bare.cpu_us_per_call.max(f64::EPSILON),
        memory_to_the_start: calls.given_back_kib as f64 / calls.resident_kib[0].max(1) as f64,
        live_to_the_start: calls.live_kib[2] as f64 / calls.live_kib[0].max(1) as f64,
        confirmed: counts.confirmed.load(Relaxed),
        lost: counts.lost.load(Relaxed),
        calls,
        bare,
    };
    let text = serde_json::to_string_pretty(&report)?;
    writeln!(std::io::stdout(), "{text}")?;
    if let Some(path) = &args.json {
        std::fs::write(path, &text)?;
    }
    Ok(report.calls.failed == 0 && report.calls.answered == report.calls.calls && report.lost == 0)
}

async fn child(args: &SignallingArgs, peer: SocketAddr, bare: bool) -> Result<Tale> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.args(["caller", "--peer", &peer.to_string(), "--rate", &args.rate.to_string()]);
    command.args(["--seconds", &args.seconds.to_string()]);
    if bare {
        command.arg("--bare");
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    serde_json::from_slice(&output.stdout).context("no tale")
}

async fn send_back(socket: UdpSocket) {
    let mut buffer = [0; 2048];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut buffer).await
            && let Some(bytes) = buffer.get(..length)
        {
            // Nobody may be there any more.
            let _ = socket.send_to(bytes, from).await;
        }
    }
}

/// A child's life: a second of calls that are not counted, rest, the calls, rest.
pub(crate) async fn caller(args: &CallerArgs) -> Result<()> {
    let pid = std::process::id();
    let mut line = if args.bare { Line::Bare(bare(args).await?) } else { Line::Sip(Box::new(sip()?)) };
    let rest = if args.bare { STAY } else { PATIENCE };
    line.calls(args, 1).await?;
    tokio::time::sleep(rest).await;
    let live_kib = || allocations::live_octets() / 1024;
    let (start, live_start, before) = (resident_kib(pid)?, live_kib(), cpu_seconds(pid)?);
    let (calls, answered, failed) = line.calls(args, args.seconds).await?;
    let (peak, live_peak) = (resident_kib(pid)?, live_kib());
    tokio::time::sleep(rest).await;
    let cpu = cpu_seconds(pid)? - before;
    let (end, live_end) = (resident_kib(pid)?, live_kib());
    sys::give_back();
    let tale = Tale {
        calls,
        answered,
        failed,
        cpu_us_per_call: 1e6 * cpu / calls.max(1) as f64,
        resident_kib: [start, peak, end],
        live_kib: [live_start, live_peak, live_end],
        given_back_kib: resident_kib(pid)?,
    };
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&tale)?)?)
}

enum Line {
    Sip(Box<Sip>),
    Bare(UdpSocket),
}

struct Sip {
    handle: udp::Handle,
    events: tokio::sync::mpsc::Receiver<Event>,
}

fn sip() -> Result<Sip> {
    let bind = "127.0.0.1:0".parse()?;
    let config = EndpointConfig {
        advertised: bind,
        domain: "127.0.0.1".into(),
        user_agent: "trunkline-loadtest".into(),
        accepts_calls: false,
        timers: Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) },
        max_transactions: 100_000,
        trace: false,
        snapshots: None,
    };
    let (handle, events, _) = udp::spawn(config, bind, rand::random())?;
    Ok(Sip { handle, events })
}

async fn bare(args: &CallerArgs) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(args.peer).await?;
    Ok(socket)
}

impl Line {
    /// Calls at the rate for so many seconds: how many were made, answered, and came to nothing.
    async fn calls(&mut self, args: &CallerArgs, seconds: u64) -> Result<(u64, u64, u64)> {
        match self {
            Self::Sip(sip) => sip.calls(args, seconds).await,
            Self::Bare(socket) => {
                let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate));
                let (count, mut buffer) = ((args.rate * seconds as f64) as u64, [0; 2048]);
                for _ in 0..count {
                    tick.tick().await;
                    for _ in 0..REQUESTS {
                        socket.send(&[b'x'; DATAGRAM]).await?;
                        socket.recv(&mut buffer).await?;
                    }
                }
                Ok((count, count, 0))
            }
        }
    }
}

impl Sip {
    async fn calls(&mut self, args: &CallerArgs, seconds: u64) -> Result<(u64, u64, u64)> {
        let (count, mut made) = ((args.rate * seconds as f64) as u64, 0);
        let (mut answered, mut failed) = (0, 0);
        let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate));
        let end = Instant::now() + Duration::from_secs(seconds) + 2 * STAY + Duration::from_secs(5);
        while answered + failed < count && Instant::now() < end {
            tokio::select! {
                _ = tick.tick(), if made < count => {
                    made += 1;
                    let invite = invite(args.peer)?;
                    let begun = self.handle.call(move |endpoint, now| endpoint.invite(now, invite)).await?;
                    failed += u64::from(begun.is_err());
                }
                event = self.events.recv() => match event {
                    Some(Event::Answered { leg, .. }) => {
                        answered += 1;
                        let handle = self.handle.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(STAY).await;
                            handle.call(move |endpoint, now| endpoint.hangup(now, leg, None)).await
                        });
                    }
                    Some(Event::Failed { .. } | Event::Lost { .. } | Event::Ended { .. }) => failed += 1,
                    Some(_) => {}
                    None => anyhow::bail!("the SIP side has stopped"),
                },
                () = tokio::time::sleep_until(end.into()) => {}
            }
        }
        tokio::time::sleep(2 * STAY).await;
        Ok((count, answered, failed))
    }
}

fn invite(peer: SocketAddr) -> Result<Invite> {
    let uri = Bytes::from(format!("sip:agent@{peer}"));
    Ok(Invite {
        target: peer,
        over: Transport::Udp,
        uri: Uri::parse(&uri).map_err(anyhow::Error::msg)?,
        from_user: "load".into(),
        from_display: None,
        headers: Headers::default(),
        sdp: Bytes::from_static(OFFER.as_bytes()),
        credentials: None,
        session_expires: 1800,
        reliable: Reliable::Off,
        anonymous: false,
        label: "load".into(),
    })
}
