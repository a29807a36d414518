use super::*;
use crate::audio::Codec::{G722, Opus, Pcma, Pcmu};

fn start() -> Instant {
    // The tests' only clock reading; from here time is virtual.
    #[allow(clippy::disallowed_methods)]
    Instant::now()
}

/// A listener that reports every five seconds.
struct Listener {
    now: Instant,
    elastic: Elastic,
    totals: (u64, i64),
}

impl Listener {
    fn new() -> Self {
        Self { now: start(), elastic: Elastic { wanted: true, ..Elastic::default() }, totals: (0, 0) }
    }

    /// Whether the codec changes with a report of so many lost of 250.
    fn loses(&mut self, lost: i64) -> bool {
        self.now += Duration::from_secs(5);
        self.totals = (self.totals.0 + 250, self.totals.1 + lost);
        self.elastic.reported(self.now, self.totals, 0.01)
    }

    /// Reports without loss until the codec changes.
    fn calm_reports(&mut self) -> usize {
        (1..200).find(|_| self.loses(0)).unwrap()
    }
}

#[test]
fn loss_brings_protection_at_once_and_calm_ends_it_later() {
    let mut listener = Listener::new();
    assert!((0..100).all(|n| !listener.loses(i64::from(n % 4 == 0))), "now and then a packet is nothing");
    assert!(listener.loses(3) && listener.elastic.protects);
    assert!(!listener.loses(30) && !listener.loses(0) && !listener.loses(2), "loss goes on");
    assert_eq!(listener.calm_reports(), 5, "20 seconds from the first report without loss");
    assert!(!listener.elastic.protects);
}

#[test]
fn protection_that_ends_too_soon_lasts_longer_the_next_time() {
    let mut listener = Listener::new();
    let mut lasted = Vec::new();
    for _ in 0..7 {
        assert!(listener.loses(10));
        lasted.push((listener.calm_reports() - 1) * 5);
    }
    assert_eq!(lasted, [20, 40, 80, 160, 320, 320, 320]);
    for _ in 0..20 {
        assert!(!listener.loses(0));
    }
    assert!(listener.loses(10));
    assert_eq!(listener.calm_reports(), 5, "what is long ago is forgotten");
}

#[test]
fn a_handful_of_packets_decides_nothing() {
    let mut listener = Listener::new();
    assert!(!listener.elastic.reported(listener.now, (10, 5), 0.01));
    assert!(listener.elastic.reported(listener.now, (60, 5), 0.01), "but it is not forgotten");
    // Another stream begins: it is counted from its own beginning.
    assert!(!listener.elastic.reported(listener.now, (50, 0), 0.01));
    assert_eq!(listener.elastic.seen, Some((50, 0)));
}

#[test]
fn late_packets_that_were_counted_as_lost_are_no_loss() {
    let mut listener = Listener::new();
    listener.loses(2);
    assert!(!listener.loses(-2) && !listener.elastic.protects);
}

#[test]
fn what_the_trunk_speaks_is_relayed_where_the_browser_takes_it() {
    let all = [(PayloadType(111), Opus), (PayloadType(0), Pcmu), (PayloadType(8), Pcma)];
    let choose = |wanted, protects, accepted: &[(PayloadType, Codec)], trunk| {
        Elastic { wanted, protects, ..Elastic::default() }.choose(accepted, trunk).map(|(_, codec)| codec)
    };
    for (wanted, protects, trunk, said) in [
        (false, false, Some(Pcmu), Opus),
        (false, true, Some(Pcmu), Opus),
        (true, false, Some(Pcmu), Pcmu),
        (true, false, Some(Pcma), Pcma),
        (true, false, Some(Opus), Opus),
        (true, false, Some(G722), Opus),
        (true, false, None, Opus),
        (true, true, Some(Pcmu), Opus),
    ] {
        assert_eq!(choose(wanted, protects, &all, trunk), Some(said), "{wanted} {protects} {trunk:?}");
    }
    let narrow = [(PayloadType(8), Pcma), (PayloadType(0), Pcmu)];
    assert_eq!(choose(true, true, &narrow, Some(Pcmu)), Some(Pcmu), "without Opus nothing protects");
    assert_eq!(choose(true, false, &narrow, Some(Pcmu)), Some(Pcmu));
    assert_eq!(choose(true, false, &[], Some(Pcmu)), None);
}
