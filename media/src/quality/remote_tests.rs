use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const PEER: Ssrc = Ssrc(77);

struct Peer {
    now: Instant,
    view: RemoteView,
    sent: u64,
    withheld: u64,
    highest: u32,
    lost: i32,
}

impl Peer {
    fn new() -> Self {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let now = Instant::now();
        Self { now, view: RemoteView::default(), sent: 0, withheld: 0, highest: 999, lost: 0 }
    }

    fn report(&mut self, reporter: Ssrc, highest: u32, lost: i32) -> bool {
        let about = AboutUs {
            reporter,
            highest_sequence: highest,
            fraction_lost: 0.0,
            cumulative_lost: lost,
            jitter_ms: 5.0,
            rtt_ms: None,
        };
        let own = OwnStream { sent: self.sent, withheld: self.withheld, first: 1000, source: Some(PEER) };
        self.view.take(self.now, &about, &own)
    }

    /// A second of 50 packets passes, and an honest report comes.
    fn second(&mut self, lost: i32) -> bool {
        self.now += Duration::from_secs(1);
        self.sent += 50;
        self.highest += 50;
        self.lost += lost;
        self.report(PEER, self.highest, self.lost)
    }

    fn totals(&self) -> Option<(u64, i64)> {
        self.view.totals(self.now)
    }
}

#[test]
fn honest_reports_add_up() {
    let mut peer = Peer::new();
    assert_eq!(peer.totals(), None);
    (0..10).for_each(|n| assert!(peer.second(n % 2)));
    assert_eq!(peer.totals(), Some((500, 5)));
    assert!(peer.second(-3), "latecomers and duplicates");
    assert_eq!(peer.totals(), Some((550, 2)));
    assert_eq!(peer.view.gap(peer.now), Duration::ZERO);
}

#[test]
fn lies_are_not_believed_and_change_nothing() {
    let table: [(&str, i64, i32); 6] = [
        ("more arrived than was sent", 100_000, 0),
        ("the highest number goes back", -500, 0),
        ("more was lost than came", 50, 400),
        ("lost out of nothing", 0, 100),
        ("loss falls off a cliff", 50, -5000),
        ("loss at the limit", 50, 0x7f_ffff),
    ];
    for (lie, highest, lost) in table {
        let mut peer = Peer::new();
        (0..5).for_each(|_| assert!(peer.second(1)));
        let before = peer.totals();
        peer.now += Duration::from_secs(1);
        peer.sent += 50;
        let told = u32::try_from(i64::from(peer.highest) + highest).unwrap();
        assert!(!peer.report(PEER, told, peer.lost.saturating_add(lost)), "{lie}");
        assert_eq!(peer.totals(), before, "{lie}");
        peer.highest += 50;
        assert!(peer.second(1), "{lie}: the truth is believed afterwards");
        assert_eq!(peer.totals(), Some((350, 6)), "{lie}");
    }
}

#[test]
fn who_only_lies_is_not_known() {
    let mut peer = Peer::new();
    (0..5).for_each(|_| assert!(peer.second(0)));
    for n in 0..10u32 {
        peer.now += Duration::from_secs(1);
        peer.sent += 50;
        peer.report(PEER, n.wrapping_mul(1_000_000_007), 0);
    }
    assert_eq!(peer.totals(), None);
}

#[test]
fn a_storm_of_reporters_is_not_listened_to() {
    let mut peer = Peer::new();
    (0..5).for_each(|_| assert!(peer.second(0)));
    for n in 0..1000 {
        assert!(!peer.report(Ssrc(n + 1000), peer.highest, 300));
    }
    assert!(peer.second(0));
    assert_eq!(peer.totals(), Some((300, 0)));
}

#[test]
fn another_receiver_counts_from_its_own_beginning() {
    let mut peer = Peer::new();
    (0..5).for_each(|_| assert!(peer.second(1)));
    peer.now += Duration::from_secs(6);
    peer.sent += 300;
    assert!(peer.report(Ssrc(5), 70_000, 40));
    assert_eq!(peer.totals(), Some((250, 5)), "its first report says nothing of now");
    peer.sent += 50;
    assert!(peer.report(Ssrc(5), 70_050, 42));
    assert_eq!(peer.totals(), Some((300, 7)));
}

#[test]
fn what_was_lost_before_it_came_to_us_is_not_the_peers() {
    let mut peer = Peer::new();
    for _ in 0..10 {
        // Ten of each fifty never came to us: forty are sent on.
        peer.now += Duration::from_secs(1);
        peer.sent += 40;
        peer.withheld += 10;
        peer.highest += 50;
        peer.lost += 11;
        assert!(peer.report(PEER, peer.highest, peer.lost));
    }
    assert_eq!(peer.totals(), Some((400, 10)));
}

#[test]
fn silence_makes_it_unknown() {
    let mut peer = Peer::new();
    (0..5).for_each(|_| assert!(peer.second(0)));
    peer.now += Duration::from_secs(5);
    assert!(peer.totals().is_some());
    peer.now += Duration::from_secs(2);
    assert_eq!(peer.totals(), None);
}

#[test]
fn rare_reports_are_given_their_time() {
    let mut peer = Peer::new();
    for _ in 0..4 {
        peer.now += Duration::from_secs(6);
        peer.sent += 350;
        peer.highest += 350;
        assert!(peer.second(0));
    }
    peer.now += Duration::from_secs(12);
    assert!(peer.totals().is_some());
    peer.now += Duration::from_secs(5);
    assert_eq!(peer.totals(), None);
}

/// Browsers report every 2.5 to 7.5 seconds, as chance has it.
#[test]
fn reports_that_come_when_chance_has_it_are_never_stale() {
    let mut dice = StdRng::seed_from_u64(1);
    let mut peer = Peer::new();
    for n in 0..2_000 {
        let seconds: u64 = dice.random_range(1..=6);
        peer.now += Duration::from_millis(seconds * 1_000 + 500);
        let totals = peer.view.totals(peer.now + Duration::from_secs(1));
        assert!(n == 0 || totals.is_some(), "{n}: after {seconds} seconds and a half and one more");
        peer.sent += 75 * seconds;
        peer.highest += 50 * seconds as u32;
        assert!(peer.second(0));
    }
}

#[test]
fn reports_that_nothing_arrives_are_a_gap() {
    let mut peer = Peer::new();
    (0..5).for_each(|_| assert!(peer.second(0)));
    for second in 1..4 {
        peer.now += Duration::from_secs(1);
        peer.sent += 50;
        assert!(peer.report(PEER, peer.highest, peer.lost));
        assert_eq!(peer.view.gap(peer.now), Duration::from_secs(second));
    }
    peer.highest += 150;
    assert!(peer.second(150));
    assert_eq!(peer.view.gap(peer.now), Duration::ZERO);
}

#[test]
fn nothing_sent_is_no_gap() {
    let mut peer = Peer::new();
    (0..5).for_each(|_| assert!(peer.second(0)));
    for _ in 0..5 {
        peer.now += Duration::from_secs(1);
        assert!(peer.report(PEER, peer.highest, peer.lost));
    }
    assert_eq!(peer.view.gap(peer.now), Duration::ZERO);
}
