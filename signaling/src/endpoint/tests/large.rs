//! Requests too large for a datagram, and peers that take no connections (RFC 3261 section 18.1.1).

use super::*;
use crate::message::HeaderName;

fn large() -> Invite {
    let mut headers = Headers::default();
    headers.push(HeaderName::other("X-Context"), "x".repeat(1_300));
    Invite { headers, ..call(address(B)) }
}

/// What is sent next, and over what.
fn sent(lone: &mut Lone) -> Option<(Transport, String)> {
    let Transmit { over, bytes, .. } = lone.end.poll_transmit()?;
    Some((over, String::from_utf8_lossy(&bytes).split(' ').next().unwrap().to_owned()))
}

#[test]
fn a_call_that_was_given_up_does_not_ring_because_no_connection_came_up() {
    for error in [StreamError::Unreachable, StreamError::TimedOut] {
        let mut lone = Lone::new();
        let leg = lone.end.invite(lone.now, large()).unwrap();
        assert_eq!(sent(&mut lone), Some((Transport::Tcp, "INVITE".into())));
        lone.wait(secs(2));
        lone.end.hangup(lone.now, leg, None).unwrap();
        lone.wait(secs(2));
        lone.end.handle_stream_error(lone.now, address(B), &Transport::Tcp, error);
        assert_eq!((sent(&mut lone), lone.names()), (None, vec!["failed Cancelled".to_owned()]));
        lone.wait(secs(40));
        assert_eq!((sent(&mut lone), lone.end.stats().transactions), (None, 0));
        // That the peer takes none is known all the same.
        lone.end.invite(lone.now, large()).unwrap();
        assert_eq!(sent(&mut lone), Some((Transport::Udp, "INVITE".into())));
    }
}
