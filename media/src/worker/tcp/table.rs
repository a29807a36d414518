//! A worker's connections: the sockets, what came of a frame so far, what waits to be sent.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::{Arrived, SharedCounters};
use crate::browser::framing::{Deframer, frame};

/// What waits for a connection that does not keep up: a second and a half of G.711. More would be late audio.
const WAITING_MAX: usize = 16 * 1024;

/// Octets taken from a connection at once.
const READ: usize = 16 * 1024;

/// Kernel memory of what is sent, for the same reason.
const SEND_BUFFER: usize = 32 * 1024;

/// A connection has to carry an authentic check within this time.
const PROVE: Duration = Duration::from_secs(10);

/// Tokens from here on are connections'; those of port pairs are below.
const FIRST_TOKEN: usize = usize::MAX / 2;

pub(in crate::worker) struct Connections {
    slots: Vec<Option<Connection>>,
    spare: Vec<usize>,
    by_address: HashMap<SocketAddr, usize>,
    /// By when which connection has to be proven, by its number; in this order.
    unproven: VecDeque<(Instant, usize, u64)>,
    /// Have something new to be sent.
    fed: Vec<usize>,
    /// Of no call any more, to be closed once all is sent.
    retired: Vec<usize>,
    numbers: u64,
    scratch: Box<[u8]>,
    pub(super) counters: SharedCounters,
}

struct Connection {
    /// Tells connections apart that live in the same place one after the other.
    number: u64,
    socket: TcpStream,
    from: SocketAddr,
    /// The call's slot.
    owner: Option<usize>,
    /// An authentic check came.
    proven: bool,
    deframer: Deframer,
    waiting: Vec<u8>,
}

/// What reading a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Read {
    Some,
    Nothing,
    /// It has ended or broken.
    End,
}

impl Connections {
    pub(in crate::worker) fn new(counters: SharedCounters) -> Self {
        Self {
            slots: Vec::new(),
            spare: Vec::new(),
            by_address: HashMap::new(),
            unproven: VecDeque::new(),
            fed: Vec::new(),
            retired: Vec::new(),
            numbers: 0,
            scratch: Box::default(),
            counters,
        }
    }

    /// Gives a connection its place. `None` if the kernel does not watch it.
    pub(in crate::worker) fn add(
        &mut self,
        now: Instant,
        registry: &Registry,
        owner: usize,
        arrived: Arrived,
    ) -> Option<usize> {
        let Arrived { socket, from, deframer, .. } = arrived;
        // Best effort: the default serves too.
        let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER);
        let at = self.spare.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if registry.register(&mut SourceFd(&socket.as_raw_fd()), token(at), interest).is_err() {
            self.spare.push(at);
            self.counters.refuse();
            return None;
        }
        if self.scratch.is_empty() {
            self.scratch = vec![0; READ].into_boxed_slice();
        }
        self.numbers += 1;
        let connection = Connection {
            number: self.numbers,
            socket,
            from,
            owner: Some(owner),
            proven: false,
            deframer,
            waiting: Vec::new(),
        };
        self.by_address.insert(from, at);
        self.unproven.push_back((now + PROVE, at, connection.number));
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(connection);
        }
        self.counters.live.fetch_add(1, Ordering::Relaxed);
        Some(at)
    }

    pub(super) fn is_proven(&self, at: usize) -> bool {
        self.get(at).is_some_and(|connection| connection.proven)
    }

    pub(super) fn is_of(&self, at: usize, owner: usize) -> bool {
        self.get(at).is_some_and(|connection| connection.owner == Some(owner))
    }

    pub(super) fn prove(&mut self, at: usize) {
        if let Some(connection) = self.get_mut(at) {
            connection.proven = true;
        }
    }

    /// Takes what has come, as much as fits; sends what waited for the connection to take it.
    pub(in crate::worker) fn read(&mut self, at: usize) -> Read {
        let Some(connection) = self.slots.get_mut(at).and_then(Option::as_mut) else { return Read::Nothing };
        connection.send();
        let read = loop {
            match connection.socket.read(&mut self.scratch) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(0) => Read::End,
            Ok(length) => {
                connection.deframer.push(self.scratch.get(..length).unwrap_or_default());
                Read::Some
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    /// Whose frames come here, where from, and those that have come; to be given back.
    pub(super) fn borrow_frames(&mut self, at: usize) -> Option<(usize, SocketAddr, Deframer)> {
        let connection = self.get_mut(at)?;
        Some((connection.owner?, connection.from, std::mem::take(&mut connection.deframer)))
    }

    pub(super) fn return_frames(&mut self, at: usize, deframer: Deframer) {
        if let Some(connection) = self.get_mut(at) {
            connection.deframer = deframer;
        }
    }

    /// Puts a datagram behind what waits for the connection from there; `false` if there is no room, or none.
    pub(in crate::worker) fn push(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        let Some(&at) = self.by_address.get(&to) else { return false };
        let Some(connection) = self.slots.get_mut(at).and_then(Option::as_mut) else { return false };
        // overflow: the datagram is dropped whole, as a network that is too slow would.
        if connection.waiting.len() + datagram.len() + 2 > WAITING_MAX || !frame(datagram, &mut connection.waiting) {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if self.fed.last() != Some(&at) {
            self.fed.push(at);
        }
        true
    }

    /// Sends what was put, and closes what is of no call any more.
    pub(in crate::worker) fn flush(&mut self, registry: &Registry) {
        while let Some(at) = self.fed.pop() {
            if let Some(connection) = self.get_mut(at) {
                connection.send();
            }
        }
        while let Some(at) = self.retired.pop() {
            self.remove(registry, at);
        }
    }

    /// The connection is of no call any more.
    pub(super) fn retire(&mut self, at: usize) {
        if let Some(connection) = self.get_mut(at) {
            connection.owner = None;
            self.retired.push(at);
        }
    }

    /// Closes a connection: whose it was, and where it came from.
    pub(super) fn remove(&mut self, registry: &Registry, at: usize) -> Option<(Option<usize>, SocketAddr)> {
        let Connection { socket, from, owner, .. } = self.slots.get_mut(at)?.take()?;
        // Closing the socket would do as well.
        let _ = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
        if self.by_address.get(&from) == Some(&at) {
            self.by_address.remove(&from);
        }
        self.spare.push(at);
        self.counters.live.fetch_sub(1, Ordering::Relaxed);
        Some((owner, from))
    }

    /// A connection that has had its time to carry an authentic check.
    pub(super) fn expired(&mut self, now: Instant) -> Option<usize> {
        while let Some(&(until, at, number)) = self.unproven.front()
            && until <= now
        {
            self.unproven.pop_front();
            if self.get(at).is_some_and(|connection| connection.number == number && !connection.proven) {
                return Some(at);
            }
        }
        None
    }

    pub(in crate::worker) fn poll_timeout(&self) -> Option<Instant> {
        self.unproven.front().map(|(until, ..)| *until)
    }

    /// Readiness of every live connection.
    pub(in crate::worker) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(at, _)| token(at))
    }

    fn get(&self, at: usize) -> Option<&Connection> {
        self.slots.get(at)?.as_ref()
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut Connection> {
        self.slots.get_mut(at)?.as_mut()
    }
}

impl Connection {
    /// Sends what waits as far as the kernel takes it. A break shows when it is read.
    fn send(&mut self) {
        let mut sent = 0;
        while let Some(rest) = self.waiting.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(0) => break,
                Ok(length) => sent += length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.waiting.drain(..sent);
    }
}

pub(super) fn token(at: usize) -> Token {
    Token(FIRST_TOKEN + at)
}

/// Which connection's token this is; `None` for the others.
pub(in crate::worker) fn index_of(token: Token) -> Option<usize> {
    token.0.checked_sub(FIRST_TOKEN)
}
