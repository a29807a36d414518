//! Datagrams on their way out, gathered without allocating per packet.

use std::net::SocketAddr;

use crate::api::Path;

/// Which of a call's sockets a datagram leaves by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// The worker's public UDP port.
    Browser,
    /// The TCP connection that comes from where it goes to.
    BrowserTcp,
    /// The trunk leg's RTP port.
    TrunkRtp,
    /// The trunk leg's RTCP port.
    TrunkRtcp,
}

/// Where a browser is, and by what it is reached: one address may be two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Remote {
    /// By what.
    pub path: Path,
    /// Where.
    pub address: SocketAddr,
}

impl Remote {
    /// The socket that leads there.
    #[must_use]
    pub fn port(self) -> Port {
        match self.path {
            Path::Udp => Port::Browser,
            Path::Tcp => Port::BrowserTcp,
        }
    }
}

/// One datagram ready to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Where from.
    pub port: Port,
    /// Where to.
    pub to: SocketAddr,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// A batch of outgoing datagrams in one buffer. Cleared, never freed, so the steady state allocates nothing.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    port: Port,
    to: SocketAddr,
    start: usize,
    end: usize,
}

impl Outbox {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a datagram.
    pub fn push(&mut self, port: Port, to: SocketAddr, bytes: &[u8]) {
        self.push_with(port, to, |buffer| buffer.extend_from_slice(bytes));
    }

    /// Appends a datagram that `write` composes at the buffer's end.
    pub fn push_with(&mut self, port: Port, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.entries.push(Entry { port, to, start, end: self.bytes.len() });
    }

    /// Appends the datagram that `write` composes at the buffer's end, which is told to it, unless it comes to none.
    pub(crate) fn push_if(
        &mut self,
        port: Port,
        to: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>, usize) -> Option<()>,
    ) {
        let start = self.bytes.len();
        match write(&mut self.bytes, start) {
            Some(()) => self.entries.push(Entry { port, to, start, end: self.bytes.len() }),
            None => self.bytes.truncate(start),
        }
    }

    /// How many datagrams wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The datagrams in the order they were pushed.
    pub fn iter(&self) -> impl Iterator<Item = Datagram<'_>> {
        (0..self.entries.len()).filter_map(|index| self.get(index))
    }

    /// The datagram at this place in the order they were pushed.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Datagram<'_>> {
        let entry = self.entries.get(index)?;
        let bytes = self.bytes.get(entry.start..entry.end)?;
        Some(Datagram { port: entry.port, to: entry.to, bytes })
    }

    /// Forgets all but the first `len` datagrams.
    pub fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
        self.bytes.truncate(self.entries.last().map_or(0, |entry| entry.end));
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}
