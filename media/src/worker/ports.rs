//! RTP port pairs: leased, quarantined, free again. Whoever held a pair before is never heard by who holds it next.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::LeaseError;
use super::batch::dropped;

/// Tokens below belong to the worker's own sources.
pub(super) const FIRST_TOKEN: usize = 2;

/// Kernel memory for what a trunk sends while the thread is away; more would only be late audio.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// The pairs of the port range that are free, for whichever worker wants one; locked for a lease and its end alone.
#[derive(Clone)]
pub(super) struct Pool(Arc<Mutex<VecDeque<u16>>>);

/// One worker's ports.
pub(super) struct Ports {
    ip: IpAddr,
    pool: Pool,
    links: Vec<Option<Link>>,
    spare: Vec<usize>,
    quarantine: VecDeque<(Instant, usize)>,
    quarantine_for: Duration,
    leased: u64,
    /// Pairs that some other program held when they were wanted.
    in_use: u64,
    /// Datagrams the kernel dropped at full sockets of legs that are over.
    dropped: u64,
}

/// A bound pair. It names its call while it is leased, nobody in quarantine.
pub(super) struct Link {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    /// The call's slot.
    pub(super) owner: Option<usize>,
    port: u16,
}

/// A socket of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Rtp,
    Rtcp,
}

impl Pool {
    /// Each even port with the odd one above it.
    pub(super) fn new(range: &RangeInclusive<u16>) -> Self {
        let even = |port: &u16| port.is_multiple_of(2) && *port < *range.end();
        Self(Arc::new(Mutex::new(range.clone().filter(even).collect())))
    }

    fn free(&self) -> MutexGuard<'_, VecDeque<u16>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was free for longest.
    fn take(&self) -> Option<u16> {
        self.free().pop_front()
    }

    fn give_back(&self, port: u16) {
        self.free().push_back(port);
    }
}

impl Ports {
    /// None yet; each is taken from the pool and given back to it.
    pub(super) fn new(ip: IpAddr, pool: Pool, quarantine_for: Duration) -> Self {
        Self {
            ip,
            pool,
            links: Vec::new(),
            spare: Vec::new(),
            quarantine: VecDeque::new(),
            quarantine_for,
            leased: 0,
            in_use: 0,
            dropped: 0,
        }
    }

    /// Binds the pair that was free for longest. The link's index, and the RTP address.
    pub(super) fn lease(&mut self, registry: &Registry, owner: usize) -> Result<(usize, SocketAddr), LeaseError> {
        let tries = self.pool.free().len();
        for _ in 0..tries {
            let Some(port) = self.pool.take() else { break };
            let Ok((rtp, rtcp)) = bind_pair(self.ip, port) else {
                self.in_use += 1;
                self.pool.give_back(port);
                continue;
            };
            let at = self.spare.pop().unwrap_or(self.links.len());
            let registered = register(registry, &rtp, token(at, Side::Rtp))
                .and_then(|()| register(registry, &rtcp, token(at, Side::Rtcp)));
            let link = Link { rtp, rtcp, owner: Some(owner), port };
            match self.links.get_mut(at) {
                Some(place) => *place = Some(link),
                None => self.links.push(Some(link)),
            }
            if registered.is_err() {
                self.drop_link(registry, at);
                return Err(LeaseError::Exhausted);
            }
            self.leased += 1;
            return Ok((at, SocketAddr::new(self.ip, port)));
        }
        Err(LeaseError::Exhausted)
    }

    /// The leg is over: the pair stays bound and is drained until its quarantine ends.
    pub(super) fn release(&mut self, now: Instant, link: usize) {
        if let Some(Some(held)) = self.links.get_mut(link)
            && held.owner.take().is_some()
        {
            self.leased -= 1;
            self.dropped += dropped(&held.rtp) + dropped(&held.rtcp);
            self.quarantine.push_back((now + self.quarantine_for, link));
        }
    }

    /// Frees the pairs whose quarantine is over.
    pub(super) fn expire(&mut self, now: Instant, registry: &Registry) {
        while let Some(&(until, link)) = self.quarantine.front()
            && until <= now
        {
            self.quarantine.pop_front();
            self.drop_link(registry, link);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.quarantine.front().map(|(until, _)| *until)
    }

    pub(super) fn link(&self, link: usize) -> Option<&Link> {
        self.links.get(link)?.as_ref()
    }

    /// The tokens of every bound socket.
    pub(super) fn tokens(&self) -> impl Iterator<Item = Token> {
        let bound = self.links.iter().enumerate().filter(|(_, link)| link.is_some());
        bound.flat_map(|(at, _)| [token(at, Side::Rtp), token(at, Side::Rtcp)])
    }

    pub(super) fn is_v6(&self) -> bool {
        self.ip.is_ipv6()
    }

    pub(super) fn leased(&self) -> u64 {
        self.leased
    }

    pub(super) fn quarantined(&self) -> u64 {
        self.quarantine.len() as u64
    }

    pub(super) fn in_use(&self) -> u64 {
        self.in_use
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_link(&mut self, registry: &Registry, at: usize) {
        let Some(link) = self.links.get_mut(at).and_then(Option::take) else { return };
        for socket in [&link.rtp, &link.rtcp] {
            // Closing the socket would do as well; the error of one that was never registered says nothing.
            let _ = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
        self.pool.give_back(link.port);
        self.spare.push(at);
    }
}

impl Link {
    pub(super) fn socket(&self, side: Side) -> &UdpSocket {
        match side {
            Side::Rtp => &self.rtp,
            Side::Rtcp => &self.rtcp,
        }
    }
}

/// The readiness token of a link's socket.
fn token(link: usize, side: Side) -> Token {
    Token(FIRST_TOKEN + link * 2 + usize::from(side == Side::Rtcp))
}

/// Whose token this is; `None` for the worker's own.
pub(super) fn link_of(token: Token) -> Option<(usize, Side)> {
    let at = token.0.checked_sub(FIRST_TOKEN)?;
    Some((at / 2, if at.is_multiple_of(2) { Side::Rtp } else { Side::Rtcp }))
}

fn bind_pair(ip: IpAddr, port: u16) -> io::Result<(UdpSocket, UdpSocket)> {
    let odd = port.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
    Ok((bind(ip, port)?, bind(ip, odd)?))
}

fn bind(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, port))?;
    socket.set_nonblocking(true)?;
    // Best effort: the default serves too.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
    Ok(socket)
}

fn register(registry: &Registry, socket: &UdpSocket, token: Token) -> io::Result<()> {
    registry.register(&mut SourceFd(&socket.as_raw_fd()), token, Interest::READABLE)
}
