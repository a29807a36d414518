//! What the standard library lacks: batches of datagrams with the kernel's arrival time, waiting to the microsecond, and
//! asking a child to end.
#![allow(unsafe_code)] // System calls; the one file of this crate that makes any.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::time::Duration;

const DATAGRAM_MAX: usize = 2048;
const CONTROL_MAX: usize = 64;

/// Receives batches into buffers it keeps. IPv4 only: all traffic here is loopback.
pub(crate) struct Inbox {
    buffers: Box<[[u8; DATAGRAM_MAX]]>,
    names: Box<[libc::sockaddr_in]>,
    controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
}

// SAFETY: the pointers in headers and iovecs point into the same value's own boxes, are set anew in each `receive` and are
// used by nobody in between; so the value may move to another thread.
unsafe impl Send for Inbox {}

/// Room for one control message, aligned as its header must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_MAX]);

/// A received datagram.
pub(crate) struct Arrived<'a> {
    /// Its sender.
    pub(crate) from: SocketAddr,
    /// When the kernel took it in, nanoseconds since the Unix epoch; 0 unless [`stamp_arrivals`] was asked for.
    pub(crate) at_ns: u64,
    /// Its bytes.
    pub(crate) bytes: &'a mut [u8],
}

impl Inbox {
    /// One that takes up to `slots` datagrams a system call.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            buffers: vec![[0; DATAGRAM_MAX]; slots].into_boxed_slice(),
            names: vec![zeroed(); slots].into_boxed_slice(),
            controls: vec![Control([0; CONTROL_MAX]); slots].into_boxed_slice(),
            headers: vec![zeroed(); slots].into_boxed_slice(),
            iovecs: vec![zeroed(); slots].into_boxed_slice(),
        }
    }

    /// How many datagrams a call of [`Self::receive`] takes at most; fewer mean that the socket is empty.
    pub(crate) fn slots(&self) -> usize {
        self.headers.len()
    }

    /// Receives without waiting.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let slots = self.headers.iter_mut().zip(self.iovecs.iter_mut()).zip(self.names.iter_mut());
        let rooms = self.buffers.iter_mut().zip(self.controls.iter_mut());
        for (((header, iovec), name), (buffer, control)) in slots.zip(rooms) {
            *iovec = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: DATAGRAM_MAX };
            *header = header_for(iovec, name);
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL_MAX;
        }
        // SAFETY: each header points at an iovec, a name and a control buffer of the sizes given, all owned by `self`,
        // which is borrowed for the whole call. The time-out is null.
        let got = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                libc::c_uint::try_from(self.headers.len()).unwrap_or_default(),
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        usize::try_from(got).or_else(|_| match io::Error::last_os_error() {
            error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            error => Err(error),
        })
    }

    /// One of the datagrams just received.
    pub(crate) fn datagram(&mut self, index: usize) -> Option<Arrived<'_>> {
        let header = self.headers.get(index)?;
        let at_ns = arrival(&header.msg_hdr);
        let length = usize::try_from(header.msg_len).ok()?;
        let name = self.names.get(index)?;
        let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
        let from = SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(name.sin_port)));
        Some(Arrived { from, at_ns, bytes: self.buffers.get_mut(index)?.get_mut(..length)? })
    }
}

/// The kernel's time stamp in a received header; 0 if it has none.
fn arrival(header: &libc::msghdr) -> u64 {
    // SAFETY: the kernel has filled this header: CMSG_FIRSTHDR is null or points into the control buffer, and a
    // SCM_TIMESTAMPNS message holds a timespec.
    let stamp = unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if message.is_null()
            || (*message).cmsg_level != libc::SOL_SOCKET
            || (*message).cmsg_type != libc::SCM_TIMESTAMPNS
        {
            return 0;
        }
        libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned()
    };
    let seconds = u64::try_from(stamp.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(stamp.tv_nsec).unwrap_or_default())
}

/// Has the kernel note when datagrams come to this socket, so that a late reader does not make them look late.
pub(crate) fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = libc::socklen_t::try_from(mem::size_of_val(&on)).unwrap_or_default();
    // SAFETY: the option's value is an int that outlives the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, ptr::from_ref(&on).cast(), size)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends batches.
pub(crate) struct Postman {
    names: Box<[libc::sockaddr_in]>,
    headers: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
}

impl Postman {
    /// One that hands over up to `slots` datagrams a system call.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            names: vec![zeroed(); slots].into_boxed_slice(),
            headers: vec![zeroed(); slots].into_boxed_slice(),
            iovecs: vec![zeroed(); slots].into_boxed_slice(),
        }
    }

    /// Sends all in order without waiting; what the kernel does not take is lost, and counted in the result.
    pub(crate) fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        mut datagrams: impl Iterator<Item = (SocketAddrV4, &'a [u8])>,
    ) -> usize {
        let mut failed = 0;
        loop {
            let mut filled = 0;
            let slots = self.headers.iter_mut().zip(self.iovecs.iter_mut()).zip(self.names.iter_mut());
            for ((header, iovec), name) in slots {
                let Some((to, bytes)) = datagrams.next() else { break };
                // The kernel only reads through this pointer although its type says otherwise.
                *iovec = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
                *name = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: to.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                *header = header_for(iovec, name);
                filled += 1;
            }
            if filled == 0 {
                return failed;
            }
            // SAFETY: the first `filled` headers were just made; they point at iovecs and names owned by `self` and at
            // bytes borrowed for 'a.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    libc::c_uint::try_from(filled).unwrap_or_default(),
                    libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                )
            };
            failed += filled - usize::try_from(sent).unwrap_or_default();
        }
    }
}

fn header_for(iovec: &mut libc::iovec, name: &mut libc::sockaddr_in) -> libc::mmsghdr {
    let mut header: libc::mmsghdr = zeroed();
    header.msg_hdr.msg_name = ptr::from_mut(name).cast();
    header.msg_hdr.msg_namelen = libc::socklen_t::try_from(mem::size_of::<libc::sockaddr_in>()).unwrap_or_default();
    header.msg_hdr.msg_iov = ptr::from_mut(iovec);
    header.msg_hdr.msg_iovlen = 1;
    header
}

/// Structures of the kernel's interface for which all zero is a valid value.
trait Zeroed: Copy {}
impl Zeroed for libc::sockaddr_in {}
impl Zeroed for libc::mmsghdr {}
impl Zeroed for libc::iovec {}
impl Zeroed for libc::cpu_set_t {}

fn zeroed<T: Zeroed>() -> T {
    // SAFETY: the types that are `Zeroed` are integers and raw pointers.
    unsafe { mem::zeroed() }
}

/// Waits until the descriptor is readable or the time has passed, whichever is first. (epoll itself counts in
/// milliseconds.)
pub(crate) fn wait_readable(descriptor: RawFd, patience: Duration) {
    let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
    let limit = libc::timespec {
        tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(i32::try_from(patience.subsec_nanos()).unwrap_or_default()),
    };
    // SAFETY: one pollfd and a timespec, both alive for the call; the signal mask is null. A failure (a signal) only
    // means that the wait was short.
    unsafe { libc::ppoll(&mut poll, 1, &limit, ptr::null()) };
}

/// Keeps this thread, and what it starts from now on, on one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set: libc::cpu_set_t = zeroed();
    // SAFETY: the set is ours, and large enough for the core's number, else nothing is set; the call only reads it.
    let result = unsafe {
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, mem::size_of_val(&set), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks the allocator to give back what is free.
pub(crate) fn give_back() {
    // SAFETY: takes no pointer, and touches only pages that hold no live allocation.
    unsafe { libc::malloc_trim(0) };
}

/// Asks a child of ours to end (SIGTERM).
pub(crate) fn terminate(pid: u32) {
    if let Some(pid) = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 1) {
        // SAFETY: no memory is involved; the caller has not yet waited for this child, so the number is still its.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_arrives_in_order_with_sender_and_time() {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        stamp_arrivals(&b).unwrap();
        let SocketAddr::V4(to) = b.local_addr().unwrap() else { panic!("IPv4") };
        let sent: Vec<[u8; 1]> = (0..10).map(|n| [n]).collect();
        assert_eq!(Postman::new(4).send(&a, sent.iter().map(|bytes| (to, bytes.as_slice()))), 0);
        let mut inbox = Inbox::new(16);
        let count = inbox.receive(&b).unwrap();
        assert_eq!(count, 10);
        for n in 0..count {
            let arrived = inbox.datagram(n).unwrap();
            assert_eq!((arrived.from, &*arrived.bytes), (a.local_addr().unwrap(), &[n as u8][..]));
            assert!(arrived.at_ns > 1_600_000_000_000_000_000);
        }
        assert_eq!(inbox.receive(&b).unwrap(), 0);
    }
}
