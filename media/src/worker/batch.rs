//! Datagrams in and out of the kernel, many a system call: `recvmmsg` and `sendmmsg`. The one file of the media plane with `unsafe`.
#![allow(unsafe_code)] // The standard library has neither call; measured, they halve the cost of a relayed packet.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::ptr;

/// Datagrams a system call takes at most.
pub(super) const BATCH: usize = 64;

/// Longer datagrams (no path carries them unfragmented) are cut, noticed and dropped.
const DATAGRAM_MAX: usize = 2048;

/// Receives batches into buffers it keeps.
pub(super) struct Inbox {
    buffers: Box<[[u8; DATAGRAM_MAX]]>,
    names: Box<[libc::sockaddr_storage]>,
    headers: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            buffers: vec![[0; DATAGRAM_MAX]; BATCH].into_boxed_slice(),
            names: vec![empty_name(); BATCH].into_boxed_slice(),
            headers: vec![empty_header(); BATCH].into_boxed_slice(),
            iovecs: vec![EMPTY_IOVEC; BATCH].into_boxed_slice(),
        }
    }

    /// One that receives nothing and owns nothing: stands in while another is in use.
    pub(super) fn absent() -> Self {
        Self { buffers: Box::default(), names: Box::default(), headers: Box::default(), iovecs: Box::default() }
    }

    /// Receives up to `max` datagrams without waiting; fewer than `max` means the socket is empty.
    pub(super) fn receive(&mut self, socket: &impl AsRawFd, max: usize) -> io::Result<usize> {
        let max = max.min(self.headers.len());
        let slots = self.headers.iter_mut().zip(self.iovecs.iter_mut());
        for ((header, iovec), (buffer, name)) in slots.zip(self.buffers.iter_mut().zip(self.names.iter_mut())).take(max)
        {
            *iovec = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: DATAGRAM_MAX };
            *header = header_for(iovec, name, mem::size_of::<libc::sockaddr_storage>());
        }
        let wanted = libc::c_uint::try_from(max).unwrap_or_default();
        loop {
            // SAFETY: the first `max` headers were filled above; each points at one iovec, which points at one buffer
            // of DATAGRAM_MAX octets, and at one sockaddr_storage with its true size. All are owned by `self`, which
            // is borrowed for the whole call, and none of them moves or is touched meanwhile. The time-out is null.
            let got = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    wanted,
                    libc::MSG_DONTWAIT,
                    ptr::null_mut(),
                )
            };
            if let Ok(got) = usize::try_from(got) {
                return Ok(got);
            }
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::WouldBlock {
                return Ok(0);
            }
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// A received datagram and its sender; `None` if it was cut or its sender is no IP address.
    pub(super) fn datagram(&mut self, index: usize) -> Option<(SocketAddr, &mut [u8])> {
        let header = self.headers.get(index)?;
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let length = usize::try_from(header.msg_len).ok()?;
        let from = address_of(self.names.get(index)?)?;
        Some((from, self.buffers.get_mut(index)?.get_mut(..length)?))
    }
}

/// Sends batches.
pub(super) struct Postman {
    names: Box<[libc::sockaddr_storage]>,
    headers: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
}

/// How a batch fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Posted {
    pub(super) sent: u64,
    /// Not taken by the kernel and gone: media that waits is worth nothing.
    pub(super) failed: u64,
}

impl Postman {
    pub(super) fn new() -> Self {
        Self {
            names: vec![empty_name(); BATCH].into_boxed_slice(),
            headers: vec![empty_header(); BATCH].into_boxed_slice(),
            iovecs: vec![EMPTY_IOVEC; BATCH].into_boxed_slice(),
        }
    }

    /// Sends all datagrams by one socket, in order, without waiting. `v6`: the socket is an IPv6 one.
    pub(super) fn send<'a>(
        &mut self,
        socket: &impl AsRawFd,
        v6: bool,
        mut datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
    ) -> Posted {
        let mut posted = Posted::default();
        loop {
            let mut filled = 0;
            let slots = self.headers.iter_mut().zip(self.iovecs.iter_mut()).zip(self.names.iter_mut());
            for ((header, iovec), name) in slots {
                let Some((to, bytes)) = datagrams.next() else { break };
                // The kernel only reads through this pointer although the type says otherwise.
                *iovec = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
                let length = write_address(name, to, v6);
                *header = header_for(iovec, name, length);
                filled += 1;
            }
            if filled == 0 {
                return posted;
            }
            self.post(socket, filled, &mut posted);
        }
    }

    fn post(&mut self, socket: &impl AsRawFd, filled: usize, posted: &mut Posted) {
        let mut done = 0;
        while let Some(rest) = self.headers.get_mut(done..filled).filter(|rest| !rest.is_empty()) {
            let error = match send_some(socket, rest) {
                Ok(sent) => {
                    posted.sent += sent as u64;
                    done += sent.max(1);
                    continue;
                }
                Err(error) => error.kind(),
            };
            if error == io::ErrorKind::WouldBlock {
                posted.failed += (filled - done) as u64;
                return;
            }
            if error != io::ErrorKind::Interrupted {
                // This one cannot be sent (no route, forbidden); those behind it may go elsewhere.
                posted.failed += 1;
                done += 1;
            }
        }
    }
}

/// Sends the first of these, or more; how many. A single one goes by the call that has least to copy.
fn send_some(socket: &impl AsRawFd, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let descriptor = socket.as_raw_fd();
    if let [only] = headers {
        let header = only.msg_hdr;
        // SAFETY: the header was filled by `Postman::send`, still in progress: it points at one iovec, whose octets `send`
        // borrows, and at a name of the length given, both owned by the postman. The kernel only reads.
        let sent = unsafe {
            let octets = *header.msg_iov;
            let (name, length) = (header.msg_name.cast_const().cast(), header.msg_namelen);
            libc::sendto(descriptor, octets.iov_base.cast_const(), octets.iov_len, FLAGS, name, length)
        };
        return if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(1) };
    }
    let count = libc::c_uint::try_from(headers.len()).unwrap_or_default();
    // SAFETY: each header is as above; `count` is the number of headers behind the pointer.
    let sent = unsafe { libc::sendmmsg(descriptor, headers.as_mut_ptr(), count, FLAGS) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Datagrams the kernel dropped because this socket was full, since it was bound.
pub(super) fn dropped(socket: &impl AsRawFd) -> u64 {
    let mut numbers = [0_u32; DROPS + 1];
    let mut size = libc::socklen_t::try_from(mem::size_of_val(&numbers)).unwrap_or_default();
    // SAFETY: the value is an array of integers whose size in octets is given, and it outlives the call; the kernel
    // writes no more than that.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &raw mut size,
        )
    };
    if got == 0 { numbers.last().copied().unwrap_or_default().into() } else { 0 }
}

/// Where the drops stand among the numbers of `SO_MEMINFO` (linux/sock_diag.h, `SK_MEMINFO_DROPS`).
const DROPS: usize = 8;

const EMPTY_IOVEC: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

fn empty_name() -> libc::sockaddr_storage {
    // SAFETY: sockaddr_storage is plain integers; all zero is a valid value (family AF_UNSPEC).
    unsafe { mem::zeroed() }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is integers and raw pointers; all zero (null, length 0) is a valid value.
    unsafe { mem::zeroed() }
}

fn header_for(iovec: &mut libc::iovec, name: &mut libc::sockaddr_storage, name_length: usize) -> libc::mmsghdr {
    let mut header = empty_header();
    header.msg_hdr.msg_name = ptr::from_mut(name).cast();
    header.msg_hdr.msg_namelen = libc::socklen_t::try_from(name_length).unwrap_or_default();
    header.msg_hdr.msg_iov = ptr::from_mut(iovec);
    header.msg_hdr.msg_iovlen = 1;
    header
}

/// Reads a socket address; IPv4 in IPv6 comes out as IPv4.
fn address_of(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the kernel wrote a sockaddr_in; sockaddr_storage is large and aligned
            // enough for it and lives as long as the reference.
            let v4 = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(v4.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, with sockaddr_in6.
            let v6 = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            let port = u16::from_be(v6.sin6_port);
            Some(match ip.to_canonical() {
                IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), port),
                IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id)),
            })
        }
        _ => None,
    }
}

/// Writes a socket address as this kind of socket takes it; its length.
fn write_address(name: &mut libc::sockaddr_storage, to: SocketAddr, v6: bool) -> usize {
    let (ip, scope) = match to {
        SocketAddr::V4(to) if !v6 => {
            let v4 = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: to.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*to.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is made to hold any socket address: large and aligned enough.
            unsafe { ptr::from_mut(name).cast::<libc::sockaddr_in>().write(v4) };
            return mem::size_of::<libc::sockaddr_in>();
        }
        SocketAddr::V4(to) => (to.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(to) => (*to.ip(), to.scope_id()),
    };
    let v6 = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: to.port().to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: ip.octets() },
        sin6_scope_id: scope,
    };
    // SAFETY: as above.
    unsafe { ptr::from_mut(name).cast::<libc::sockaddr_in6>().write(v6) };
    mem::size_of::<libc::sockaddr_in6>()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    #[test]
    fn addresses_survive_the_way_through_the_kernels_form() {
        for (text, v6) in [("192.0.2.7:5060", false), ("192.0.2.7:5060", true), ("[2001:db8::9]:65535", true)] {
            let address: SocketAddr = text.parse().unwrap();
            let mut name = empty_name();
            write_address(&mut name, address, v6);
            assert_eq!(address_of(&name), Some(address));
        }
    }

    #[test]
    fn batches_larger_than_one_call_arrive_whole_and_in_order() {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = b.local_addr().unwrap();
        let payloads: Vec<[u8; 2]> = (0..150u16).map(u16::to_be_bytes).collect();
        let posted = Postman::new().send(&a, false, payloads.iter().map(|p| (to, p.as_slice())));
        assert_eq!(posted, Posted { sent: 150, failed: 0 });

        b.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut inbox = Inbox::new();
        let mut got = Vec::new();
        while got.len() < 150 {
            let count = inbox.receive(&b, BATCH).unwrap();
            for index in 0..count {
                let (from, bytes) = inbox.datagram(index).unwrap();
                assert_eq!(from, a.local_addr().unwrap());
                got.push(u16::from_be_bytes([bytes[0], bytes[1]]));
            }
        }
        assert_eq!(got, (0..150).collect::<Vec<u16>>());
        assert_eq!(inbox.receive(&b, BATCH).unwrap(), 0, "an empty socket does not block");
    }

    #[test]
    fn a_datagram_too_long_for_any_path_is_dropped() {
        let a = UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = UdpSocket::bind("127.0.0.1:0").unwrap();
        a.send_to(&[1; DATAGRAM_MAX + 1], b.local_addr().unwrap()).unwrap();
        let mut inbox = Inbox::new();
        assert_eq!(inbox.receive(&b, BATCH).unwrap(), 1);
        assert!(inbox.datagram(0).is_none());
    }
}
