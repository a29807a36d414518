//! A trunk leg whose place another takes.

use trunkline_signaling::endpoint::{LegId, Transfer};

use super::transfer::{of, transfer, words_of};
use super::*;

fn replaced(by: u64, sdp: Option<Bytes>) -> Input {
    transfer(Transfer::Replaced { by: LegId(by), call_id: "new-call".into(), sdp })
}

#[test]
fn a_leg_that_is_replaced_goes_when_the_new_ones_answer_is_on_its_way() {
    let mut bench = Bench::talking();
    assert_eq!(words_of(&bench.feed(replaced(9, Some(sdp(4_500, "0", "sendrecv"))))), ["adopt 2 9", "lease spare 2"]);
    // One at a time.
    assert_eq!(words_of(&bench.feed(replaced(10, pcmu()))), ["adopt 3 10", "Reject(486) 3"]);
    assert_eq!(words_of(&bench.leased(2)), ["accept 2"]);
    let effects = bench.feed(of(2, SipEvent::Sent(None)));
    assert_eq!(words_of(&effects), ["call_transferred", "bye 1 16", "swap 4500", "answered"]);
    assert_eq!(bench.record()["sip"]["call_id"], "new-call");
    let ended = bench.feed(of(2, SipEvent::Ended { reason: None }));
    check_end(&ended, None, "call_ended");
}

#[test]
fn a_leg_that_cannot_take_over_changes_nothing() {
    let rows: [(Input, &[&str]); 3] = [
        (of(2, SipEvent::Ended { reason: None }), &["Reject(487) 2", "release spare", "call_transfer_failed"]),
        (
            Input::TrunkLeased { attempt: AttemptId(2), result: Err(LeaseRefused::NoPorts) },
            &["Reject(503) 2", "release spare", "call_transfer_failed"],
        ),
        (Input::Api(Api::VisitorHangup), &["bye 1 16", "Reject(487) 2", "close", "call_ended"]),
    ];
    for (input, expected) in rows {
        let mut bench = Bench::talking();
        bench.feed(replaced(9, pcmu()));
        assert_eq!(words_of(&bench.feed(input)), expected);
    }
    let mut bench = Bench::talking();
    bench.feed(replaced(9, Some(sdp(4_500, "18", "sendrecv"))));
    assert_eq!(words_of(&bench.leased(2)), ["Reject(488) 2", "release spare", "call_transfer_failed"]);
    assert_eq!(words_of(&bench.feed(replaced(10, None))), ["adopt 3 10", "Reject(488) 3"]);
    let mut bench = Bench::talking();
    bench.feed(replaced(9, pcmu()));
    bench.leased(2);
    let effects = bench.feed(of(2, SipEvent::NotSent(NotSent::Gone)));
    assert_eq!(words_of(&effects), ["bye 2 16", "release spare", "call_transfer_failed"]);
    assert_eq!(bench.call.state(), State::Talking);
}

#[test]
fn a_ringing_call_can_be_picked_up_elsewhere() {
    let mut bench = Bench::ringing();
    bench.connect();
    assert_eq!(words_of(&bench.feed(replaced(9, pcmu()))), ["adopt 2 9", "accept 2"]);
    let effects = bench.feed(of(2, SipEvent::Sent(None)));
    assert_eq!(words_of(&effects), ["call_transferred", "bye 1 16", "connect 4000", "answered", "call_answered"]);
    assert_eq!(bench.call.state(), State::Talking);
    let ended = bench.feed(of(2, SipEvent::Ended { reason: None }));
    check_end(&ended, None, "call_ended");
}
