//! Our ICE candidates: the worker's public port under every address a browser may reach it by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// `candidate:…` attributes of host candidates: those advertised, else the listening address, else (when
/// that is "any") the addresses this host would send from.
pub(super) fn host_candidates(listen: SocketAddr, advertise: &[IpAddr]) -> Vec<String> {
    let with_preference = addresses(listen, advertise).into_iter().zip((0..=u16::MAX).rev()).zip(1..);
    with_preference.map(|((ip, preference), foundation)| candidate(foundation, ip, listen.port(), preference)).collect()
}

/// The same of where TCP connections are taken, tried after all others (RFC 6544 sections 4.2 and 4.5). `udp`: where
/// datagrams are, which tells the address when `listen` is "any".
pub(super) fn tcp_candidates(listen: SocketAddr, udp: SocketAddr, advertise: &[IpAddr]) -> Vec<String> {
    let any = listen.ip().is_unspecified();
    let told = if any { SocketAddr::new(udp.ip(), listen.port()) } else { listen };
    let reached = |ip: &IpAddr| ip.is_ipv4() == listen.is_ipv4() || (any && listen.is_ipv6());
    let addresses = addresses(told, advertise).into_iter().filter(reached);
    // Direction preference 4 of a passive candidate, above 13 bits of our own.
    let with_preference = addresses.zip((0..1u32 << 13).rev()).zip(FIRST_TCP_FOUNDATION..);
    let line = |((ip, preference), foundation): ((IpAddr, u32), u32)| {
        let priority = (HOST_TCP << 24) + (((4 << 13) + preference) << 8) + (256 - 1);
        format!("candidate:{foundation} 1 tcp {priority} {ip} {} typ host tcptype passive", listen.port())
    };
    with_preference.map(line).collect()
}

/// Type preference of a TCP host candidate: below that of every kind of UDP candidate.
const HOST_TCP: u32 = 90;

/// Foundations of candidates of another protocol are others (RFC 8445 section 5.1.1.3).
const FIRST_TCP_FOUNDATION: u32 = 1001;

/// Where a browser may reach a socket.
fn addresses(listen: SocketAddr, advertise: &[IpAddr]) -> Vec<IpAddr> {
    if !advertise.is_empty() {
        advertise.to_vec()
    } else if listen.ip().is_unspecified() {
        own_addresses(listen.is_ipv6())
    } else {
        vec![listen.ip()]
    }
}

/// RFC 8445 section 5.1.2.1: type preference 126 of a host candidate, component 1.
fn candidate(foundation: u32, ip: IpAddr, port: u16, local_preference: u16) -> String {
    let priority = (126 << 24) + (u32::from(local_preference) << 8) + (256 - 1);
    format!("candidate:{foundation} 1 udp {priority} {ip} {port} typ host")
}

/// The source addresses the kernel would choose towards the outside; loopback on a host that has no outside.
fn own_addresses(v6: bool) -> Vec<IpAddr> {
    let outside_v4 = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let outside_v6 = (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));
    let mut found: Vec<IpAddr> = std::iter::once(outside_v4)
        .chain(v6.then_some(outside_v6))
        .filter_map(|(from, to)| {
            // Connecting a UDP socket sends nothing; it only asks the routing table.
            let socket = UdpSocket::bind((from, 0)).ok()?;
            socket.connect((to, 9)).ok()?;
            socket.local_addr().ok().map(|address| address.ip())
        })
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
        .collect();
    if found.is_empty() {
        found.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advertised_addresses_take_the_place_of_the_listening_one() {
        let advertise = ["203.0.113.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        let candidates = host_candidates("0.0.0.0:4443".parse().unwrap(), &advertise);
        assert_eq!(
            candidates,
            [
                "candidate:1 1 udp 2130706431 203.0.113.5 4443 typ host",
                "candidate:2 1 udp 2130706175 2001:db8::5 4443 typ host",
            ]
        );
    }

    #[test]
    fn connections_are_the_last_resort_and_told_where_they_are_taken() {
        let check = |listen: &str, udp: &str, advertise: &[&str], expected: &[&str]| {
            let advertise: Vec<IpAddr> = advertise.iter().map(|ip| ip.parse().unwrap()).collect();
            let found = tcp_candidates(listen.parse().unwrap(), udp.parse().unwrap(), &advertise);
            assert_eq!(found, expected, "{listen} {udp} {advertise:?}");
        };
        let one = "candidate:1001 1 tcp 1520435199 192.0.2.1 443 typ host tcptype passive";
        check("192.0.2.1:443", "192.0.2.9:4443", &[], &[one]);
        check("0.0.0.0:443", "192.0.2.1:4443", &[], &[one]);
        check("0.0.0.0:443", "0.0.0.0:4443", &["192.0.2.1", "2001:db8::5"], &[one]);
        let two = "candidate:1002 1 tcp 1520434943 2001:db8::5 443 typ host tcptype passive";
        check("[::]:443", "[::]:4443", &["192.0.2.1", "2001:db8::5"], &[one, two]);
    }

    #[test]
    fn any_address_is_never_a_candidate() {
        let candidates = host_candidates("0.0.0.0:4443".parse().unwrap(), &[]);
        assert!(!candidates.is_empty() && candidates.iter().all(|c| !c.contains(" 0.0.0.0 ")));
    }
}
