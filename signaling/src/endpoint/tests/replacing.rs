//! INVITEs that take the place of a dialog (RFC 3891).

use super::transfer::statuses;
use super::*;

/// An INVITE that would replace a dialog.
fn replacing(value: &str) -> String {
    format!(
        "INVITE sip:trunkline@{a} SIP/2.0\r\nVia: SIP/2.0/UDP {b};rport;branch=z9hG4bKrep{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@{b}>;tag=x\r\nTo: <sip:y@{a}>\r\nCall-ID: rep{n}\r\nCSeq: 1 INVITE\r\nContact: <sip:x@{b}>\r\n\
         Replaces: {value}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}",
        OFFER.len(),
        n = value.len(),
        a = address(A),
        b = address(B)
    )
}

fn of(invite: &Request, early_only: bool) -> String {
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    let tag = text(invite.headers.from().unwrap().tag().unwrap().clone());
    let early = if early_only { ";early-only" } else { "" };
    format!("{};to-tag={tag};from-tag=far{early}", text(invite.headers.call_id().unwrap()))
}

#[test]
fn an_invite_takes_the_place_of_a_dialog() {
    let mut lone = Lone::new();
    lone.end = Endpoint::new(EndpointConfig { accepts_calls: false, snapshots: Some(ms(100)), ..config(A) }, [5; 32]);
    let leg = lone.end.invite(lone.now, call(address(B))).unwrap();
    let kept = |lone: &mut Lone| {
        let mut others = Vec::new();
        while let Some(event) = lone.end.poll_event() {
            if let Event::Snapshot { leg, serial, .. } = event {
                lone.end.snapshot_kept(leg, serial);
            } else {
                others.push(event);
            }
        }
        others
    };
    kept(&mut lone);
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 200, "far", Some(ANSWER));
    kept(&mut lone);
    lone.sent();
    lone.give(replacing(&of(&invite, false)));
    let events = kept(&mut lone);
    let [Event::Transfer { leg: replaced, transfer: Transfer::Replaced { by, sdp, .. } }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*replaced, sdp.as_deref()), (leg, Some(OFFER.as_bytes())));
    lone.end.transfer(lone.now, *by, TransferOrder::Accept(answer())).unwrap();
    lone.end.hangup(lone.now, leg, None).unwrap();
    assert!(lone.sent_responses().iter().all(|response| response.status == 100), "its snapshot is not kept yet");
    assert!(kept(&mut lone).is_empty());
    assert_eq!(statuses(&mut lone), [200]);
    // It is a leg like any other: it can be replaced in its turn, and ends with BYE.
    assert!(lone.end.replaceable(*by).is_some());
}

#[test]
fn who_may_replace_which_dialog() {
    let refused = |lone: &mut Lone, value: &str, from: SocketAddr| {
        lone.end.handle_datagram(lone.now, from, replacing(value).into());
        (statuses(lone), lone.names())
    };
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    let good = of(&invite, false);
    let stranger = "192.0.2.200:5060".parse().unwrap();
    let none: Vec<String> = Vec::new();
    for (value, from, status) in [
        (good.replace("tag=far", "tag=near"), address(B), 481),
        (good.replace("to-tag=", "to-tag=x"), address(B), 481),
        (format!("x{good}"), address(B), 481),
        (good.clone(), stranger, 481),
        (of(&invite, true), address(B), 486),
        (format!("{good}\r\nReplaces: {good}"), address(B), 400),
        (format!("{good}\r\nJoin: {good}"), address(B), 400),
    ] {
        assert_eq!(refused(&mut lone, &value, from), (vec![status], none.clone()), "{value}");
    }
    lone.end.hangup(lone.now, leg, None).unwrap();
    lone.sent();
    assert_eq!(refused(&mut lone, &good, address(B)).0, [603], "it has ended");

    // Early: ours may be replaced, one that the peer began may not.
    let mut lone = Lone::new();
    let leg = lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 180, "far", None);
    lone.names();
    let (answered, told) = refused(&mut lone, &of(&invite, true), address(B));
    assert_eq!((answered, told), (vec![100], vec!["replaced".to_owned()]));
    lone.end.hangup(lone.now, leg, None).unwrap();
    lone.sent();
    assert_eq!(refused(&mut lone, &of(&invite, false), address(B)).0, [603]);

    let mut lone = Lone::new();
    let incoming = replacing("none").replace("Replaces: none\r\n", "");
    lone.give(incoming);
    let tag = lone.end.legs.values().next().unwrap().dialog_id.local_tag.clone();
    lone.sent();
    lone.names();
    let value = format!("rep4;to-tag={};from-tag=x", String::from_utf8_lossy(&tag));
    assert_eq!(refused(&mut lone, &value, address(B)), (vec![481], none));
}

#[test]
fn replaceable_names_the_dialog_as_its_peer_knows_it() {
    let (world, caller, callee) = talking(3);
    let (there, here) = (world.ends[A].replaceable(caller).unwrap(), world.ends[B].replaceable(callee).unwrap());
    let (there, here) = (there.replaces.unwrap(), here.replaces.unwrap());
    assert_eq!((there.to_tag, there.from_tag), (here.from_tag, here.to_tag));
    assert_eq!(there.call_id, here.call_id);
}
