//! The media plane hears from each trunk's route how audio goes across.

use super::*;

fn planned(destination: &str, elastic: bool, on_arrival: bool) -> Planned {
    let Planned::Dial(route) = route(destination) else { panic!() };
    Planned::Dial(Arc::new(Route { elastic, on_arrival, ..(*route).clone() }))
}

/// What the media plane was told, in order.
fn told(bench: &Bench) -> Vec<(bool, bool)> {
    let of = |effect: &Effect| {
        let Effect::Media(Command::SetAudio { elastic, on_arrival }) = effect else { return None };
        Some((*elastic, *on_arrival))
    };
    bench.done.iter().filter_map(of).collect()
}

#[test]
fn the_media_plane_is_told_once_how_the_route_wants_audio() {
    for (elastic, on_arrival) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut bench = Bench::new(vec![planned("sip:a@acme", elastic, on_arrival)]);
        bench.feed(Input::Start);
        let mut bench = bench.invite(1);
        bench.connect();
        for sdp in [sdp(4_000, "0", "sendrecv"), sdp(4_002, "0", "sendrecv")] {
            bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 183, sdp: Some(sdp) });
        }
        bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: Some(sdp(4_004, "0", "sendrecv")) });
        let expected = if elastic || on_arrival { vec![(elastic, on_arrival)] } else { Vec::new() };
        assert_eq!(told(&bench), expected);
        let at = |wanted: fn(&Effect) -> bool| bench.done.iter().position(wanted);
        let set = at(|effect| matches!(effect, Effect::Media(Command::SetAudio { .. })));
        let connected = at(|effect| matches!(effect, Effect::Media(Command::ConnectTrunk(_))));
        assert!(set.is_none() || set > connected, "a leg that is connected is told");
    }
}
