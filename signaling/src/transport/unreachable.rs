//! Whom an ICMP error was about: Linux keeps such errors, with the destination of the datagram that caused each, in the
//! socket's error queue (ip(7), `IP_RECVERR`).

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Errors read per wake-up; the rest waits for the next.
const MAX_BATCH: usize = 64;

/// Asks the kernel to keep errors. Where it does not, a closed port is found by Timer B alone.
pub(super) fn enable(socket: &impl AsFd) {
    // One of the two fits the socket's family.
    let _ = setsockopt(socket, sockopt::Ipv4RecvErr, &true);
    let _ = setsockopt(socket, sockopt::Ipv6RecvErr, &true);
}

/// Empties the error queue into the addresses that cannot be reached.
pub(super) fn drain(socket: &UdpSocket) -> Vec<SocketAddr> {
    let read = || socket.try_io(Interest::ERROR, || next(socket)).ok();
    (0..MAX_BATCH).map_while(|_| read()).flatten().collect()
}

/// The next error; `None` when it is not about reachability.
fn next(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    // The offending datagram comes back here; only its destination matters.
    let mut payload = [0; 64];
    let mut parts = [IoSliceMut::new(&mut payload)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let unreachable = message.cmsgs()?.any(|part| {
        let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = part else {
            return false;
        };
        let errno = i32::try_from(error.ee_errno).map(Errno::from_raw);
        matches!(errno, Ok(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH))
    });
    let to = message.address.as_ref().and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())))
    });
    Ok(to.filter(|_| unreachable))
}
