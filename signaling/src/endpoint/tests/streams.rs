//! Calls over connections that break, come late or not at all: nothing may be left, and nothing is told twice.

use super::*;

/// Of a thousand messages, so many are the last of their connection.
const BREAKS: u32 = 80;
/// Of a thousand connections, so many do not come up.
const REFUSED: u32 = 100;

/// A connection from one end's port to where the other listens.
struct Wire {
    opener: usize,
    from: SocketAddr,
    is_up: bool,
    /// Each end uses it until it hears that it broke.
    is_known: [bool; 2],
}

enum Due {
    Accepted { wire: usize },
    Message { wire: usize, to: usize, bytes: Bytes },
    Broken { side: usize, peer: SocketAddr, error: StreamError },
}

struct Net {
    now: Instant,
    ends: [Endpoint; 2],
    events: [Vec<Event>; 2],
    wires: Vec<Wire>,
    due: BTreeMap<(Instant, u64), Due>,
    count: u64,
    rng: StdRng,
}

impl Net {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        Self {
            now: world.now,
            ends: world.ends,
            events: [Vec::new(), Vec::new()],
            wires: Vec::new(),
            due: BTreeMap::new(),
            count: 0,
            rng: world.rng,
        }
    }

    fn callee(&self) -> Option<LegId> {
        self.events[B].iter().find(|event| matches!(event, Event::Incoming { .. })).map(leg_of)
    }

    fn chance(&mut self, permille: u32) -> bool {
        self.rng.next_u32() % 1_000 < permille
    }

    fn random_ms(&mut self, most: u64) -> Duration {
        ms(self.rng.next_u64() % most)
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.count += 1;
        self.due.insert((self.now + after, self.count), due);
    }

    fn send(&mut self, side: usize, to: SocketAddr, bytes: Bytes) {
        let is_there = |wire: &Wire| if wire.opener == side { to == address(1 - side) } else { to == wire.from };
        let known = self.wires.iter().rposition(|wire| wire.is_known[side] && is_there(wire));
        let wire = match known {
            Some(wire) => wire,
            None if to == address(1 - side) && !self.chance(REFUSED) => {
                let from = SocketAddr::new(address(side).ip(), 40_000 + u16::try_from(self.wires.len()).unwrap());
                self.wires.push(Wire { opener: side, from, is_up: true, is_known: [true; 2] });
                self.later(ms(10), Due::Accepted { wire: self.wires.len() - 1 });
                self.wires.len() - 1
            }
            None => {
                let error = if self.chance(500) { StreamError::Unreachable } else { StreamError::TimedOut };
                return self.later(ms(5), Due::Broken { side, peer: to, error });
            }
        };
        if self.wires[wire].is_up {
            self.later(ms(20), Due::Message { wire, to: 1 - side, bytes });
        }
    }

    /// Each end hears of it, sooner or later.
    fn break_down(&mut self, wire: usize) {
        self.wires[wire].is_up = false;
        for side in [A, B] {
            let Wire { opener, from, .. } = self.wires[wire];
            let peer = if opener == side { address(1 - side) } else { from };
            let after = self.random_ms(5_000);
            self.later(after, Due::Broken { side, peer, error: StreamError::Lost });
        }
    }

    fn handle(&mut self, due: Due) {
        match due {
            Due::Accepted { wire } => {
                let Wire { opener, from, .. } = self.wires[wire];
                self.ends[1 - opener].handle_accepted(from, &Transport::Tcp);
            }
            Due::Message { wire, to, bytes } if self.wires[wire].is_up => {
                let Wire { opener, from, .. } = self.wires[wire];
                let from = if opener == to { address(1 - to) } else { from };
                if self.chance(BREAKS) {
                    self.break_down(wire);
                    // It may have been the last to arrive, or the first not to.
                    if self.chance(500) {
                        return;
                    }
                }
                self.ends[to].handle_message(self.now, from, &Transport::Tcp, bytes);
            }
            Due::Message { .. } => {}
            Due::Broken { side, peer, error } => {
                let is_there =
                    |wire: &Wire| if wire.opener == side { peer == address(1 - side) } else { peer == wire.from };
                for wire in self.wires.iter_mut().filter(|wire| !wire.is_up && is_there(wire)) {
                    wire.is_known[side] = false;
                }
                self.ends[side].handle_stream_error(self.now, peer, &Transport::Tcp, error);
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..100_000 {
            for side in [A, B] {
                while let Some(event) = self.ends[side].poll_event() {
                    if let Event::Offer { leg, .. } = &event {
                        let _ = self.ends[side].answer_offer(self.now, *leg, Ok(Bytes::from_static(ANSWER.as_bytes())));
                    }
                    self.events[side].push(event);
                }
                while let Some(Transmit { to, over, bytes }) = self.ends[side].poll_transmit() {
                    assert_eq!(over, Transport::Tcp);
                    self.send(side, to, bytes);
                }
            }
            let timers = self.ends.iter().filter_map(|end| end.poll_timeout().map(|(at, _)| at));
            let Some(next) = timers.chain(self.due.keys().next().map(|(at, _)| *at)).min() else { break };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let due = entry.remove();
                self.handle(due);
            }
            for end in &mut self.ends {
                end.handle_timeout(self.now);
            }
        }
        self.now = end;
    }
}

#[test]
fn a_thousand_calls_over_connections_that_break_leave_nothing() {
    let (mut answered, mut heard, mut resent) = (0, 0, 0);
    for seed in 0..1_000 {
        let mut net = Net::new(seed);
        let over = Transport::Tcp;
        let leg = net.ends[A].invite(net.now, Invite { over, ..super::call(address(B)) }).unwrap();
        let (pause, first) = (net.random_ms(4_000), net.random_ms(20_000));
        net.run(pause);
        if let Some(callee) = net.callee() {
            let _ = net.ends[B].accept(net.now, callee, Bytes::from_static(ANSWER.as_bytes()));
        }
        net.run(first);
        // One end hangs up; the other at the end of its patience.
        let first = if net.chance(500) { A } else { B };
        for side in [first, 1 - first] {
            if let Some(leg) = if side == A { Some(leg) } else { net.callee() } {
                let _ = net.ends[side].hangup(net.now, leg, None);
            }
            net.run(secs(10));
        }
        net.run(secs(37));
        for (side, end) in net.ends.iter().enumerate() {
            let stats = end.stats();
            assert_eq!((stats.legs, stats.transactions), (0, 0), "seed {seed}: side {side} keeps something");
            assert_eq!(end.poll_timeout(), None, "seed {seed}: side {side} waits for something");
            resent += stats.resent;
        }
        for events in &net.events {
            let ends = events.iter().filter(|event| {
                matches!(
                    event,
                    Event::Failed { .. } | Event::Ended { .. } | Event::Lost { .. } | Event::Cancelled { .. }
                )
            });
            assert!(ends.count() <= 1, "seed {seed}: {events:?}");
        }
        let is_answered = net.events[A].iter().any(|event| matches!(event, Event::Answered { .. }));
        answered += u32::from(is_answered);
        heard +=
            u32::from(is_answered && net.events[1 - first].iter().any(|event| matches!(event, Event::Ended { .. })));
    }
    // Most calls come about, and most hang-ups are heard, whatever breaks on their way.
    assert!(answered > 600 && heard * 10 > answered * 7 && resent > 100, "{answered} {heard} {resent}");
}
