//! The floor: what moving the same packets through the same sockets costs with nothing done to them. One public port and
//! a port per call on each thread, batches in and out, a millisecond between wake-ups; no crypto, no call, no state but
//! who is who. It runs as a child process of its own, so that its CPU time is read as the gateway's is.
#![allow(clippy::disallowed_methods)] // The edge: the clock is read here.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use crate::control::{Control, Side};
use crate::lines::{Line, Lines};
use crate::reactor::{Phase, Reactor};
use crate::stats::ahead_of_the_load;
use crate::stream::{Content, Format, Heard, Stamp, Voice};
use crate::sys::{Inbox, Postman};

/// As the gateway's media threads.
const TICK: Duration = Duration::from_millis(1);
const BATCH: usize = 64;
const PUBLIC_BUFFER: usize = 8 << 20;
const PUBLIC: usize = usize::MAX - 1;
const RTP_HEADER: usize = 12;

/// Where a call's packets go in, on both sides.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Doors {
    public: SocketAddr,
    trunk: SocketAddr,
}

/// Relays for ever: the child's whole life. The first line it prints is its doors, call by call.
pub(crate) fn run(calls: usize, threads: usize) -> Result<()> {
    let mut relays = Vec::new();
    for _ in 0..threads.max(1) {
        relays.push(Relay::new()?);
    }
    let mut doors = Vec::new();
    for party in 0..calls {
        let nth = party % relays.len();
        if let Some(relay) = relays.get_mut(nth) {
            doors.push(relay.add(party)?);
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&doors)?)?;
    out.flush()?;
    let threads: Vec<_> = relays.into_iter().map(|relay| std::thread::spawn(move || relay.run())).collect();
    threads.into_iter().try_for_each(|thread| thread.join().ok().context("a relay panicked")?)
}

struct Relay {
    reactor: Reactor,
    public: UdpSocket,
    trunks: BTreeMap<usize, (UdpSocket, Option<SocketAddr>)>,
    browsers: HashMap<usize, SocketAddrV4>,
    parties: HashMap<SocketAddr, usize>,
}

impl Relay {
    fn new() -> Result<Self> {
        let reactor = Reactor::new()?;
        let public = UdpSocket::bind("127.0.0.1:0")?;
        public.set_nonblocking(true)?;
        // The kernel may give less than asked for.
        let _ = SockRef::from(&public).set_recv_buffer_size(PUBLIC_BUFFER);
        reactor.watch(&public, PUBLIC)?;
        let (trunks, browsers, parties) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Ok(Self { reactor, public, trunks, browsers, parties })
    }

    fn add(&mut self, party: usize) -> Result<Doors> {
        let trunk = UdpSocket::bind("127.0.0.1:0")?;
        trunk.set_nonblocking(true)?;
        self.reactor.watch(&trunk, party)?;
        let doors = Doors { public: self.public.local_addr()?, trunk: trunk.local_addr()? };
        self.trunks.insert(party, (trunk, None));
        Ok(doors)
    }

    fn run(mut self) -> Result<()> {
        let (mut inbox, mut own, mut postman) = (Inbox::new(BATCH), Inbox::new(4), Postman::new(BATCH));
        let mut ready = Vec::new();
        let mut out: Vec<(SocketAddrV4, Vec<u8>)> = Vec::new();
        loop {
            self.reactor.wait(&mut ready)?;
            let started = Instant::now();
            let mut filled = 0;
            for token in ready.drain(..) {
                if token == PUBLIC {
                    self.read_public(&mut inbox)?;
                } else {
                    filled = self.read_trunk(token, &mut own, &mut out, filled)?;
                }
            }
            let datagrams = out.iter().take(filled).map(|(to, bytes)| (*to, bytes.as_slice()));
            postman.send(&self.public, datagrams);
            std::thread::sleep(TICK.saturating_sub(Instant::now().saturating_duration_since(started)));
        }
    }

    fn read_public(&mut self, inbox: &mut Inbox) -> Result<()> {
        loop {
            let count = inbox.receive(&self.public)?;
            for nth in 0..count {
                let Some(arrived) = inbox.datagram(nth) else { continue };
                let known = self.parties.get(&arrived.from).copied();
                let Some(party) = known.or_else(|| self.meet(arrived.from, arrived.bytes)) else { continue };
                if let Some((trunk, Some(to))) = self.trunks.get(&party) {
                    drop(trunk.send_to(arrived.bytes, to));
                }
            }
            if count < inbox.slots() {
                return Ok(());
            }
        }
    }

    /// Takes what came to a call's port to the way out; how many wait there.
    fn read_trunk(
        &mut self,
        party: usize,
        inbox: &mut Inbox,
        out: &mut Vec<(SocketAddrV4, Vec<u8>)>,
        mut filled: usize,
    ) -> Result<usize> {
        let Some((trunk, agent)) = self.trunks.get_mut(&party) else { return Ok(filled) };
        loop {
            let count = inbox.receive(trunk)?;
            for nth in 0..count {
                let Some(arrived) = inbox.datagram(nth) else { continue };
                *agent = Some(arrived.from);
                let Some(to) = self.browsers.get(&party) else { continue };
                if out.len() == filled {
                    out.push((*to, Vec::new()));
                }
                if let Some((slot, bytes)) = out.get_mut(filled) {
                    *slot = *to;
                    bytes.clear();
                    bytes.extend_from_slice(arrived.bytes);
                    filled += 1;
                }
            }
            if count < inbox.slots() {
                return Ok(filled);
            }
        }
    }

    fn meet(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<usize> {
        let party = Stamp::read(datagram.get(RTP_HEADER..)?)?.party as usize;
        let SocketAddr::V4(address) = from else { return None };
        self.parties.insert(from, party);
        self.browsers.insert(party, address);
        Some(party)
    }
}

/// A child that does not outlive its owner.
struct Offspring(Child);

impl Drop for Offspring {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A floor that is being trodden: the child and the load on both its sides.
pub(crate) struct Floor {
    child: Offspring,
    control: Arc<Control>,
    sides: [JoinHandle<Result<Lines>>; 2],
}

/// What came of it.
pub(crate) struct Trodden {
    pub(crate) up: Heard,
    pub(crate) down: Heard,
    pub(crate) lost: u64,
}

impl Floor {
    /// Starts the child and the load, in the calls' own phases.
    pub(crate) fn start(calls: usize, threads: usize) -> Result<Self> {
        let child = ahead_of_the_load(&std::env::current_exe()?)
            .args(["floor", "--calls", &calls.to_string(), "--threads", &threads.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut child = Offspring(child);
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().context("no output")?).read_line(&mut line)?;
        let doors: Vec<Doors> = serde_json::from_str(&line).context("the floor says nothing of its doors")?;
        let control = Arc::new(Control::default());
        let epoch = Instant::now();
        let browsers = doors.iter().map(|door| door.public).collect();
        let agents = doors.iter().map(|door| door.trunk).collect();
        let sides = [
            tread(Side::Browser, epoch, browsers, Arc::clone(&control))?,
            tread(Side::Agent, epoch, agents, Arc::clone(&control))?,
        ];
        Ok(Self { child, control, sides })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// Ends child and load.
    pub(crate) fn finish(self) -> Result<Trodden> {
        let Self { child, control, sides } = self;
        control.end();
        let [browsers, agents] = sides.map(|side| side.join().ok().context("a load thread panicked"));
        drop(child);
        let ((down, said_up), (up, said_down)) = (browsers??.finish(), agents??.finish());
        let missed = |heard: &Heard, said: &BTreeMap<u32, u32>| -> u64 {
            heard.stamped.iter().map(|(party, ear)| ear.lost(said.get(party).copied())).sum()
        };
        let lost = missed(&up, &said_up) + missed(&down, &said_down);
        Ok(Trodden { up, down, lost })
    }
}

fn tread(
    side: Side,
    epoch: Instant,
    doors: Vec<SocketAddr>,
    control: Arc<Control>,
) -> Result<JoinHandle<Result<Lines>>> {
    let mut reactor = Reactor::new()?;
    let mut lines = Lines::new(side, Arc::clone(&control));
    let of = doors.len();
    for (nth, remote) in doors.into_iter().enumerate() {
        let party = u32::try_from(nth)?;
        let phase = Phase::new(epoch, nth, of, side == Side::Agent);
        let voice = Voice::new(party, Content::Stamped, Format { payload_type: 0, ticks: 160 });
        let speaks_at = Some(phase.after(epoch));
        lines.add(
            &mut reactor,
            party,
            Line { socket: Line::socket()?, remote, voice, phase, speaks_at, digits: None },
        )?;
    }
    Ok(std::thread::Builder::new().name("floor-load".into()).spawn(move || {
        let mut ready = Vec::new();
        while !control.is_over() {
            reactor.wait(&mut ready)?;
            for token in ready.drain(..) {
                lines.read(u32::try_from(token)?);
            }
            let now = Instant::now();
            while let Some(who) = reactor.pop_due(now) {
                lines.tick(&mut reactor, now, u32::try_from(who)?);
            }
        }
        Ok(lines)
    })?)
}
