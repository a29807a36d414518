//! Between calls and the SIP core: events by leg, orders to INVITEs, names to addresses.

use std::time::Duration;

use bytes::Bytes;
use trunkline_config::ReliableProvisional;
use trunkline_signaling::auth::Credentials;
use trunkline_signaling::endpoint::{Event, Failure, Invite, LegId, Reason as ReasonHeader, Reliable, Traced};
use trunkline_signaling::message::{HeaderName, Headers, Uri};
use trunkline_signaling::targets::Sign;

use crate::call::{InviteOrder, NotSent, SipEvent};

/// Whose event it is.
#[must_use]
pub fn leg_of(event: &Event) -> LegId {
    match event {
        Event::Trying { leg }
        | Event::Provisional { leg, .. }
        | Event::Answered { leg, .. }
        | Event::Failed { leg, .. }
        | Event::Offer { leg, .. }
        | Event::OfferAnswered { leg, .. }
        | Event::Ended { leg, .. }
        | Event::Lost { leg, .. }
        | Event::SessionExpired { leg, .. }
        | Event::Incoming { leg, .. }
        | Event::Confirmed { leg, .. }
        | Event::Cancelled { leg, .. }
        | Event::Pinged { leg, .. }
        | Event::Replied { leg, .. }
        | Event::Digit { leg, .. }
        | Event::DigitsSent { leg }
        | Event::DigitsRefused { leg, .. }
        | Event::Snapshot { leg, .. }
        | Event::Transfer { leg, .. }
        | Event::Traced { leg, .. } => *leg,
    }
}

/// What an event means to a call; `None` for snapshots, which are the journal's, for what begins a call, and for what
/// belongs to none.
#[must_use]
pub fn translate(event: Event) -> Option<SipEvent> {
    Some(match event {
        Event::Trying { .. } => SipEvent::Trying,
        Event::Provisional { fork, status, sdp, .. } => SipEvent::Provisional { fork, status, sdp },
        Event::Answered { fork, sdp, .. } => SipEvent::Answered { fork, sdp },
        Event::Failed { failure, .. } => SipEvent::Failed(failure),
        Event::Offer { fork, sdp, .. } => SipEvent::Offer { fork, sdp },
        Event::OfferAnswered { result, .. } => SipEvent::OfferAnswered(result),
        Event::Ended { reason, .. } => SipEvent::Ended { reason },
        Event::Lost { status, .. } => SipEvent::Lost { status },
        Event::SessionExpired { interval, refresher_is_us, since, .. } => {
            SipEvent::SessionExpired { interval, refresher_is_us, since }
        }
        Event::Digit { digit, duration, .. } => SipEvent::Digit { digit, duration },
        Event::DigitsRefused { status, digits, .. } => SipEvent::DigitsRefused { status, digits },
        Event::Transfer { transfer, .. } => SipEvent::Transfer(Box::new(transfer)),
        Event::Traced { traced, .. } => SipEvent::Traced(traced),
        Event::Confirmed { sdp, .. } => SipEvent::Confirmed { sdp },
        Event::Cancelled { reason, .. } => SipEvent::Cancelled { reason },
        Event::Snapshot { .. }
        | Event::Incoming { .. }
        | Event::Pinged { .. }
        | Event::Replied { .. }
        | Event::DigitsSent { .. } => {
            return None;
        }
    })
}

/// Whether the leg is gone after this event.
#[must_use]
pub fn is_last(event: &SipEvent) -> bool {
    match event {
        SipEvent::Failed(_)
        | SipEvent::Ended { .. }
        | SipEvent::Lost { .. }
        | SipEvent::SessionExpired { .. }
        | SipEvent::Cancelled { .. }
        | SipEvent::NotSent(_) => true,
        SipEvent::Sent(_)
        | SipEvent::Trying
        | SipEvent::Provisional { .. }
        | SipEvent::Answered { .. }
        | SipEvent::Offer { .. }
        | SipEvent::OfferAnswered(_)
        | SipEvent::Confirmed { .. }
        | SipEvent::Digit { .. }
        | SipEvent::DigitsRefused { .. }
        | SipEvent::Transfer(_)
        | SipEvent::Traced(_) => false,
    }
}

/// Whether a message is the peer's last word on a leg that was hung up: the answer to a BYE, or the final answer to an
/// INVITE that was cancelled.
#[must_use]
pub fn ends_a_leg(traced: &Traced) -> bool {
    let status = traced.start_line.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    let method = traced.cseq.split_whitespace().nth(1).unwrap_or_default();
    let last = match method {
        "BYE" => status >= Some(200),
        "INVITE" => status >= Some(300),
        _ => false,
    };
    !traced.outgoing && !traced.repeated && last
}

/// What a failed INVITE says of the target it went to; `None`: nothing.
#[must_use]
pub fn sign_of(failure: &Failure) -> Option<Sign> {
    match failure {
        Failure::Rejected { status: 503, retry_after: Some(seconds), .. } if *seconds > 0 => {
            Some(Sign::Resting(Duration::from_secs((*seconds).into())))
        }
        Failure::Rejected { .. } | Failure::Redirected { .. } | Failure::AuthenticationFailed { .. } => {
            Some(Sign::Answered)
        }
        Failure::NoProvisional | Failure::Transport | Failure::Tls(_) => Some(Sign::Dead),
        Failure::NoFinal | Failure::Cancelled => None,
    }
}

/// The INVITE of an order.
pub fn invite(order: InviteOrder) -> Result<Invite, NotSent> {
    let uri = Uri::parse(&Bytes::from(order.route.request_uri.clone())).map_err(|_| NotSent::BadUri)?;
    let mut headers = Headers::default();
    for (name, value) in order.fields {
        headers.push(HeaderName::Other(name.into()), value);
    }
    let calls = &order.route.calls;
    if let Some(identity) = &calls.asserted_identity {
        headers.push(HeaderName::other("P-Asserted-Identity"), format!("<{identity}>"));
    }
    if let Some(privacy) = &calls.privacy {
        headers.push(HeaderName::other("Privacy"), privacy.clone());
    }
    let credentials = order
        .route
        .credentials
        .as_ref()
        .map(|(username, password)| Credentials { username: username.clone(), password: password.reveal().to_owned() });
    Ok(Invite {
        target: order.target.address,
        over: order.target.over,
        uri,
        from_user: calls.from_user.clone(),
        from_display: calls.from_name.clone(),
        headers,
        sdp: order.sdp.into(),
        credentials,
        session_expires: order.route.session_expires,
        reliable: match calls.reliable {
            ReliableProvisional::Off => Reliable::Off,
            ReliableProvisional::Supported => Reliable::Supported,
            ReliableProvisional::Required => Reliable::Required,
        },
        anonymous: calls.privacy.is_some(),
        label: order.route.trunk.clone(),
    })
}

/// Seconds after which a trunk may come again that there was no room for.
const RETRY_AFTER: &str = "5";

/// What is said with a refusal: why (RFC 6432), and when to come again.
#[must_use]
pub fn refusal(status: u16, reason: Option<ReasonHeader>) -> Headers {
    let mut headers = Headers::default();
    if let Some(reason) = reason {
        headers.push(HeaderName::Reason, reason.to_string());
    }
    if status == 503 {
        headers.push(HeaderName::RetryAfter, RETRY_AFTER);
    }
    headers
}

#[cfg(test)]
mod tests {
    use trunkline_signaling::endpoint::{Endpoint, EndpointConfig, Timers, Transport};

    use super::*;

    #[test]
    fn a_trunk_is_told_who_calls_as_it_is_configured() {
        use trunkline_config::Calls;
        let order = |calls: Calls| {
            let route = crate::routing::Route { calls, ..crate::testing::route() };
            let target = trunkline_signaling::targets::Target {
                address: "192.0.2.1:5070".parse().unwrap(),
                over: Transport::Udp,
                name: "t".into(),
            };
            let attempt = crate::call::AttemptId(1);
            InviteOrder {
                attempt,
                target,
                route: route.into(),
                fields: Vec::new(),
                dropped_fields: 0,
                sdp: String::new(),
            }
        };
        let plain = invite(order(Calls::default())).unwrap();
        assert_eq!((plain.from_user.as_str(), plain.from_display, plain.anonymous), ("visitor", None, false));
        assert!(plain.headers.is_empty());
        assert_eq!(plain.reliable, Reliable::Supported);
        let told = invite(order(Calls {
            from_user: "+34910000000".into(),
            from_name: Some("Acme".into()),
            asserted_identity: Some("tel:+34910000001".into()),
            privacy: Some("id;critical".into()),
            reliable: ReliableProvisional::Required,
            ..Calls::default()
        }))
        .unwrap();
        assert_eq!((told.from_user.as_str(), told.from_display.as_deref()), ("+34910000000", Some("Acme")));
        assert!(told.anonymous && told.reliable == Reliable::Required);
        let field = |name| told.headers.get(&HeaderName::other(name)).unwrap().clone();
        assert_eq!(field("P-Asserted-Identity"), "<tel:+34910000001>");
        assert_eq!(field("Privacy"), "id;critical");
    }

    /// The size estimate of `headers::of_invite` against what really goes out.
    #[test]
    fn an_invite_with_all_fields_that_fit_stays_within_the_limit() {
        use crate::call::headers::{MAX_DATAGRAM, Told, of_invite};
        let ms = Duration::from_millis;
        let config = EndpointConfig {
            advertised: "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:50600".parse().unwrap(),
            domain: "gateway.of.a.long.domain.name.example.com".into(),
            user_agent: "Trunkline/10.20.30".into(),
            accepts_calls: false,
            timers: Timers { t1: ms(500), t2: ms(4_000), t4: ms(5_000) },
            max_transactions: 10,
            trace: false,
            snapshots: None,
        };
        let sdp = "s".repeat(260);
        let uri = "sip:+34910000000@192.0.2.1:5070";
        let context: Vec<_> = (0..16).map(|n| (format!("key-{n}"), "v".repeat(30))).collect();
        let route = crate::routing::Route { request_uri: uri.into(), ..crate::testing::route() };
        let (kept, dropped) =
            of_invite(Told { ours: &[], own: &[], context: &context, call: "call_1" }, &route, &Transport::Udp, &sdp);
        assert!(kept.len() > 3 && dropped > 3, "{} kept, {dropped} dropped", kept.len());
        let mut headers = Headers::default();
        kept.into_iter().for_each(|(name, value)| headers.push(HeaderName::Other(name.into()), value));
        let invite = Invite {
            target: "192.0.2.1:5070".parse().unwrap(),
            over: Transport::Udp,
            uri: Uri::parse(&Bytes::from(uri)).unwrap(),
            from_user: "visitor".into(),
            from_display: None,
            headers,
            sdp: sdp.into(),
            credentials: None,
            session_expires: 1800,
            reliable: Reliable::Supported,
            anonymous: false,
            label: String::new(),
        };
        let mut endpoint = Endpoint::new(config, [1; 32]);
        endpoint.invite(std::time::Instant::now(), invite).unwrap();
        let size = endpoint.poll_transmit().unwrap().bytes.len();
        assert!((MAX_DATAGRAM - 200..=MAX_DATAGRAM).contains(&size), "{size}");
    }
}
