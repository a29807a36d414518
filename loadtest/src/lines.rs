//! Many plain RTP parties on one thread: the agent's calls, and both sides of the floor.
#![allow(clippy::disallowed_methods)] // The edge: the clock is read here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;

use crate::control::{Control, Side};
use crate::reactor::{PACKET_TIME, Phase, Reactor, wall_ns};
use crate::stream::{Heard, Packet, Voice};
use crate::sys::{Inbox, stamp_arrivals};

/// One party.
pub(crate) struct Line {
    pub(crate) socket: UdpSocket,
    pub(crate) remote: SocketAddr,
    pub(crate) voice: Voice,
    pub(crate) phase: Phase,
    /// When the next packet is due; `None`: it does not speak yet.
    pub(crate) speaks_at: Option<Instant>,
    /// The payload type of digits.
    pub(crate) digits: Option<u8>,
}

impl Line {
    /// A socket for a line.
    pub(crate) fn socket() -> Result<UdpSocket> {
        Self::socket_at(Ipv4Addr::LOCALHOST.into())
    }

    /// The same at another address.
    pub(crate) fn socket_at(address: IpAddr) -> Result<UdpSocket> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        stamp_arrivals(&socket)?;
        Ok(socket)
    }
}

/// The parties of a thread, by the number of their call, which is also their token in the reactor.
pub(crate) struct Lines {
    lines: BTreeMap<u32, Line>,
    side: Side,
    control: Arc<Control>,
    inbox: Inbox,
    datagram: Vec<u8>,
    pub(crate) heard: Heard,
    /// Packets sent, by call.
    sent: BTreeMap<u32, u32>,
}

impl Lines {
    pub(crate) fn new(side: Side, control: Arc<Control>) -> Self {
        Self {
            lines: BTreeMap::new(),
            side,
            control,
            inbox: Inbox::new(8),
            datagram: Vec::new(),
            heard: Heard::default(),
            sent: BTreeMap::new(),
        }
    }

    pub(crate) fn add(&mut self, reactor: &mut Reactor, party: u32, line: Line) -> Result<()> {
        reactor.watch(&line.socket, party as usize)?;
        if let Some(at) = line.speaks_at {
            reactor.set(party as usize, at);
        }
        self.lines.insert(party, line);
        Ok(())
    }

    /// Ends a line.
    pub(crate) fn remove(&mut self, party: u32) {
        if let Some(line) = self.lines.remove(&party) {
            self.sent.insert(party, line.voice.count);
        }
    }

    /// Lets a line speak: at once, then in its phase.
    pub(crate) fn speak(&mut self, reactor: &mut Reactor, now: Instant, party: u32) {
        if let Some(line) = self.lines.get_mut(&party) {
            line.speaks_at = Some(now);
            reactor.set(party as usize, now);
        }
    }

    /// Sends the packet that is due.
    pub(crate) fn tick(&mut self, reactor: &mut Reactor, now: Instant, party: u32) {
        let Some(line) = self.lines.get_mut(&party) else { return };
        let Some(due) = line.speaks_at.filter(|due| *due <= now && !self.control.is_hushed()) else { return };
        self.say(party);
        let Some(line) = self.lines.get_mut(&party) else { return };
        let next = if line.voice.count == 1 { line.phase.after(now) } else { due + PACKET_TIME };
        line.speaks_at = Some(next);
        reactor.set(party as usize, next);
    }

    /// Reads a line's socket until it is empty. The first voice that is heard is answered at once.
    pub(crate) fn read(&mut self, party: u32) {
        loop {
            let Some(line) = self.lines.get(&party) else { return };
            let count = self.inbox.receive(&line.socket).unwrap_or_default();
            let measuring = self.control.is_measuring();
            let mut first = false;
            for nth in 0..count {
                if let Some(arrived) = self.inbox.datagram(nth)
                    && let Some(packet) = Packet::read(arrived.bytes)
                {
                    if line.digits == Some(packet.payload_type) {
                        self.heard.hear_digit(party, packet);
                    }
                    first |= self.heard.hear(party, packet, arrived.at_ns, measuring);
                }
            }
            if first {
                self.control.hears(self.side);
                if line.speaks_at.is_some() {
                    self.say(party);
                }
            }
            if count < self.inbox.slots() {
                return;
            }
        }
    }

    /// What was heard, and how many packets each party sent.
    pub(crate) fn finish(mut self) -> (Heard, BTreeMap<u32, u32>) {
        self.sent.extend(self.lines.iter().map(|(party, line)| (*party, line.voice.count)));
        (self.heard, self.sent)
    }

    fn say(&mut self, party: u32) {
        let Some(line) = self.lines.get_mut(&party) else { return };
        self.datagram.clear();
        line.voice.write_rtp(wall_ns(), &mut self.datagram);
        // What the kernel does not take is lost, and is missed at the other end.
        drop(line.socket.send_to(&self.datagram, line.remote));
    }
}
