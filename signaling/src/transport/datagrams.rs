//! The sockets for datagrams: one for each family of addresses.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::unreachable;

/// Largest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Datagrams taken per wake-up, so that a flood cannot keep commands and timers waiting.
const MAX_BATCH: usize = 64;
/// Kernel buffers: a second of bursts at some thousand messages, octets.
const SOCKET_BUFFER: usize = 4 << 20;

pub(super) struct Datagrams {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
    buffer: Vec<u8>,
}

impl Datagrams {
    pub(super) fn new() -> Self {
        Self { v4: None, v6: None, buffer: vec![0; MAX_DATAGRAM] }
    }

    /// Binds the socket of this address's family.
    pub(super) fn bind(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let place = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        if place.is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a second address of one family"));
        }
        let socket = open(address)?;
        let bound = socket.local_addr()?;
        *place = Some(socket);
        Ok(bound)
    }

    /// Something is there to be read, or the kernel has an error to tell.
    pub(super) async fn ready(&self) {
        tokio::select! {
            () = ready(self.v4.as_ref()) => {}
            () = ready(self.v6.as_ref()) => {}
        }
    }

    /// Reads what is there, up to a limit.
    pub(super) fn receive(&mut self, mut handle: impl FnMut(SocketAddr, Bytes)) {
        for socket in [&self.v4, &self.v6].into_iter().flatten() {
            for _ in 0..MAX_BATCH {
                match socket.try_recv_from(&mut self.buffer) {
                    Ok((len, from)) => {
                        tracing::trace!(len, "datagram in");
                        handle(from, Bytes::copy_from_slice(self.buffer.get(..len).unwrap_or_default()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // That of an earlier datagram, which the error queue names.
                    Err(error) => tracing::debug!(%error, "receiving failed"),
                }
            }
        }
    }

    /// Whom datagrams did not reach, by the kernel's ICMP errors.
    pub(super) fn unreached(&self) -> Vec<SocketAddr> {
        [&self.v4, &self.v6].into_iter().flatten().flat_map(unreachable::drain).collect()
    }

    /// Sends; waits only while the kernel's own buffer is full.
    pub(super) async fn send(&self, to: SocketAddr, bytes: &Bytes) -> io::Result<()> {
        let canonical = SocketAddr::new(to.ip().to_canonical(), to.port());
        let socket = if canonical.is_ipv4() { &self.v4 } else { &self.v6 };
        let socket = socket.as_ref().ok_or(io::ErrorKind::NetworkUnreachable)?;
        tracing::trace!(len = bytes.len(), "datagram out");
        socket.send_to(bytes, if canonical.is_ipv4() { canonical } else { to }).await.map(drop)
    }
}

/// Our own address of a family, for what is sent from anywhere else.
pub(super) fn source(bound: &[SocketAddr], to: SocketAddr) -> Option<IpAddr> {
    let own = bound.iter().find(|own| own.is_ipv4() == to.is_ipv4()).map(SocketAddr::ip);
    own.filter(|own| !own.is_unspecified())
}

async fn ready(socket: Option<&UdpSocket>) {
    match socket {
        Some(socket) => drop(socket.ready(Interest::READABLE | Interest::ERROR).await),
        None => std::future::pending().await,
    }
}

fn open(bind: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel may give less than asked for; small buffers are no reason not to start.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    unreachable::enable(&socket);
    if bind.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&bind.into())?;
    UdpSocket::from_std(socket.into())
}
