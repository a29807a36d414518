//! Encryption of the trunk's leg: what is offered, what is taken, what is shown of it.

use trunkline_media::sdp::trunk::{LocalMedia, answer_offer};
use trunkline_signaling::endpoint::Traced;

use super::*;

fn secure(srtp: Srtp) -> Planned {
    let Planned::Dial(plain) = route("sip:agent@acme") else { panic!() };
    Planned::Dial(Arc::new(Route { srtp, ..(*plain).clone() }))
}

fn inviting(srtp: Srtp, addresses: &[&str]) -> (Bench, String) {
    let mut bench = Bench::new(vec![secure(srtp)]);
    bench.feed(Input::Start);
    bench.leased(1);
    let effects = bench.resolved(1, addresses);
    let [Effect::Invite(order)] = &effects[..] else { panic!("{effects:?}") };
    let sdp = order.sdp.clone();
    (bench, sdp)
}

fn keys_in(sdp: &str) -> Vec<&str> {
    sdp.lines().filter_map(|line| line.split_once("inline:").map(|(_, key)| key)).collect()
}

/// The trunk's end, which encrypts.
fn trunk(port: u16, keys: &mut KeySource) -> LocalMedia {
    LocalMedia {
        address: format!("192.0.2.9:{port}").parse().unwrap(),
        codecs: vec![Codec::Pcmu],
        session_id: 1,
        version: 1,
        holding: false,
        encryption: Some(keys.draw(true)),
    }
}

fn answer_of(local: &LocalMedia, offer: &str) -> Bytes {
    answer_offer(local, offer.as_bytes(), RtpSource::Signalled).unwrap().1.into()
}

#[test]
fn a_trunk_that_must_encrypt_and_does_not_ends_as_a_codec_that_does_not_fit() {
    let (mut bench, sdp) = inviting(Srtp::Required, &["192.0.2.9:5070"]);
    assert!(sdp.contains("m=audio 30000 RTP/SAVP 0 8"), "{sdp}");
    let effects = bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert!(matches!(&effects[0], Effect::Hangup { .. }), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Media(Command::ConnectTrunk(_)))), "{effects:?}");
    let outcome = bench.outcome();
    assert_eq!(words(&outcome), "error dest_codec - setup trunk");
    assert_eq!(
        outcome["evidence"]["sdp"], "unacceptable SDP: encryption is required, and there is no key",
        "{outcome:#}"
    );
}

#[test]
fn early_media_that_is_plain_is_not_heard_where_encryption_is_required() {
    let (mut bench, _) = inviting(Srtp::Required, &["192.0.2.9:5070"]);
    let effects = bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 183, sdp: pcmu() });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Media(Command::ConnectTrunk(_)))), "{effects:?}");
    let (mut bench, sdp) = inviting(Srtp::Optional, &["192.0.2.9:5070"]);
    assert!(sdp.contains("m=audio 30000 RTP/AVP 0 8") && keys_in(&sdp).len() == 4, "{sdp}");
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(bench.call.state(), State::Talking, "plain audio will do");
    assert_eq!(bench.record()["sip"]["srtp"], Value::Null);
}

#[test]
fn each_address_is_offered_keys_of_its_own() {
    let (mut bench, first) = inviting(Srtp::Optional, &["192.0.2.9:5070", "192.0.2.10:5070"]);
    let busy = Failure::Rejected { status: 503, phrase: String::new(), reason: None, retry_after: None };
    let effects = bench.sip(SipEvent::Failed(busy));
    let [Effect::Invite(order)] = &effects[..] else { panic!("{effects:?}") };
    let second = order.sdp.clone();
    let mut keys = keys_in(&first);
    keys.extend(keys_in(&second));
    assert_eq!(keys.len(), 8);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 8, "no key twice");
}

#[test]
fn who_refuses_a_plain_line_with_keys_is_asked_once_more_for_an_encrypted_one() {
    let (mut bench, first) = inviting(Srtp::Optional, &["192.0.2.9:5070"]);
    let rejected =
        |status| SipEvent::Failed(Failure::Rejected { status, phrase: String::new(), reason: None, retry_after: None });
    let effects = bench.sip(rejected(488));
    let Some(Effect::Invite(order)) = effects.iter().find(|effect| matches!(effect, Effect::Invite(_))) else {
        panic!("{effects:?}")
    };
    assert_eq!((order.attempt, order.target.address), (AttemptId(2), address("192.0.2.9:5070")));
    assert!(order.sdp.contains("m=audio 30000 RTP/SAVP 0 8"), "{}", order.sdp);
    let (before, now) = (keys_in(&first), keys_in(&order.sdp));
    assert!(now.len() == 4 && now.iter().all(|key| !before.contains(key)), "keys of its own");
    bench.sip(rejected(488));
    assert_eq!(words(&bench.outcome()), "error dest_codec - setup trunk", "once is enough");
    let attempts = bench.record()["sip"]["attempts"].clone();
    assert!(attempts[0]["status"] == 488 && attempts[1]["status"] == 488 && attempts[2].is_null(), "{attempts:#}");

    // Nobody else is: who was offered no keys, or nothing but, or refuses for another reason.
    for (srtp, status) in [(Srtp::Off, 488), (Srtp::Required, 488), (Srtp::Optional, 486)] {
        let (mut bench, _) = inviting(srtp, &["192.0.2.9:5070"]);
        let effects = bench.sip(rejected(status));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Invite(_))), "{srtp:?} {status}: {effects:?}");
    }
}

#[test]
fn the_record_names_the_suite_and_nothing_shows_a_key() {
    let (mut bench, offer) = inviting(Srtp::Required, &["192.0.2.9:5070"]);
    bench.connect();
    let mut keys = KeySource::new([1; 32]);
    let theirs = trunk(4_000, &mut keys);
    let answer = answer_of(&theirs, &offer);
    for (outgoing, line, sdp) in [
        (true, "INVITE sip:agent@192.0.2.9 SIP/2.0", Bytes::from(offer.clone())),
        (false, "SIP/2.0 200 OK", answer.clone()),
    ] {
        bench.sip(SipEvent::Traced(Box::new(Traced {
            outgoing,
            peer: address("192.0.2.9:5070"),
            start_line: line.into(),
            cseq: "1 INVITE".into(),
            reason: None,
            sdp: Some(sdp),
            repeated: false,
        })));
    }
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: Some(answer.clone()) });
    let record = bench.record();
    assert_eq!(record["sip"]["srtp"], "AEAD_AES_128_GCM", "{record:#}");
    let trail = bench.call.trail(bench.now);
    assert_eq!(trail["sdp"].as_array().unwrap().len(), 2, "{trail:#}");
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    let shown = [record.to_string(), trail.to_string(), format!("{:?}", bench.call)];
    for key in keys_in(&offer).into_iter().chain(keys_in(&answer)) {
        assert!(shown.iter().all(|text| !text.contains(key.trim_end_matches('='))));
    }
}

#[test]
fn a_new_key_of_the_trunks_is_answered_by_a_new_one_of_ours() {
    let (mut bench, offer) = inviting(Srtp::Optional, &["192.0.2.9:5070"]);
    let mut keys = KeySource::new([1; 32]);
    let mut theirs = trunk(4_000, &mut keys);
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: Some(answer_of(&theirs, &offer)) });
    let mut offered = |theirs: &LocalMedia| {
        let sdp = trunkline_media::sdp::trunk::offer(theirs);
        let effects = bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: Some(sdp.into()) });
        let Some((Effect::AnswerOffer { answer: Ok(answer), .. }, told)) = effects.split_first() else {
            panic!("{effects:?}")
        };
        let encrypts =
            |effect: &Effect| matches!(effect, Effect::Media(Command::ConnectTrunk(media)) if media.srtp.is_some());
        assert!(told.iter().all(encrypts), "{told:?}");
        keys_in(std::str::from_utf8(answer).unwrap())[0].to_owned()
    };
    let same = [offered(&theirs), offered(&theirs)];
    assert_eq!(same[0], same[1], "a refresh changes no key");
    theirs.encryption = Some(keys.draw(true));
    assert_ne!(offered(&theirs), same[0]);
    theirs.address.set_port(4_010);
    let moved = offered(&theirs);
    assert_eq!(moved, offered(&theirs));
}

/// The record never says that a leg is encrypted because the one before it was.
#[test]
fn a_plain_leg_that_takes_over_is_shown_as_plain() {
    let (mut bench, offer) = inviting(Srtp::Required, &["192.0.2.9:5070"]);
    bench.connect();
    let theirs = trunk(4_000, &mut KeySource::new([1; 32]));
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: Some(answer_of(&theirs, &offer)) });
    let destination = "sip:other@acme".to_owned();
    let order = HandOver::Bridge { plan: vec![route(&destination)], destination, replaces: None };
    bench.feed(Input::Api(Api::Transfer(Box::new(order))));
    let mut bench = bench.invite(2);
    assert_eq!(bench.record()["sip"]["srtp"], "AEAD_AES_128_GCM");
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(bench.record()["sip"]["srtp"], Value::Null);
}
