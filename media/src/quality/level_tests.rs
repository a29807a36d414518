use super::*;

struct Meter {
    machine: LevelMachine,
    clean: LossWindow,
}

impl Meter {
    fn new() -> Self {
        let mut clean = LossWindow::default();
        (0..10).for_each(|_| clean.push(50, 0));
        Self { machine: LevelMachine::default(), clean }
    }

    fn judge(&mut self, rtt_ms: Option<f32>, jitter_ms: Option<f32>, mos_cq: Option<f32>, gap_ms: u32) -> Level {
        let reading =
            Reading { loss: &self.clean, loss_within: 5, rtt_ms, rtt_spread_ms: 0.0, jitter_ms, mos_cq, gap_ms };
        self.machine.judge(&Judgement::of(&reading, &Policy::default()));
        self.machine.level()
    }

    fn rtt(&mut self, values: &[f32]) -> Vec<Level> {
        values.iter().map(|&ms| self.judge(Some(ms), None, None, 0)).collect()
    }

    fn reasons(&self) -> Vec<&'static str> {
        self.machine.reasons(Reasons::default()).iter().map(LevelReason::word).collect()
    }
}

const U: Level = Level::Unknown;
const G: Level = Level::Green;
const A: Level = Level::Amber;
const R: Level = Level::Red;

#[test]
fn bands_have_no_holes() {
    let policy = Policy::default();
    for (value, level) in [(0.0, G), (0.009_999, G), (0.01, A), (0.049_999, A), (0.05, R), (1.0, R)] {
        assert_eq!(upward(value, policy.loss), level, "{value}");
    }
    for (value, level) in [(199.99, G), (200.0, A), (399.99, A), (400.0, R)] {
        assert_eq!(upward(value, policy.rtt_ms), level, "{value}");
    }
    for (value, level) in [(29.9, G), (30.0, A), (49.9, A), (50.0, R)] {
        assert_eq!(upward(value, policy.jitter_ms), level, "{value}");
    }
    for (value, level) in [(4.0, G), (3.999, A), (3.1, A), (3.099, R)] {
        assert_eq!(downward(value, policy.mos), level, "{value}");
    }
    for (value, level) in [(499.0, G), (500.0, A), (1999.0, A), (2000.0, R)] {
        assert_eq!(upward(value, policy.gap_ms), level, "{value}");
    }
}

#[test]
fn unknown_for_three_seconds() {
    assert_eq!(Meter::new().rtt(&[50.0; 5]), [U, U, U, G, G]);
    assert_eq!(Meter::new().rtt(&[500.0; 5]), [U, U, U, R, R]);
}

#[test]
fn three_of_five_make_it_worse() {
    let mut meter = Meter::new();
    meter.rtt(&[50.0; 6]);
    assert_eq!(meter.rtt(&[250.0, 50.0, 250.0, 50.0, 50.0, 50.0]), [G; 6]);
    assert_eq!(meter.rtt(&[250.0, 50.0, 250.0, 50.0, 250.0]), [G, G, G, G, A]);
    assert_eq!(meter.reasons(), ["rtt"]);
    assert_eq!(meter.rtt(&[500.0, 500.0, 500.0]), [A, A, R]);
}

#[test]
fn the_middle_one_of_those_that_are_worse_decides_how_bad() {
    let mut meter = Meter::new();
    meter.rtt(&[50.0; 6]);
    assert_eq!(meter.rtt(&[250.0, 500.0, 500.0]), [G, G, R]);
    let mut meter = Meter::new();
    meter.rtt(&[50.0; 6]);
    assert_eq!(meter.rtt(&[250.0, 250.0, 500.0]), [G, G, A]);
}

#[test]
fn five_good_ones_in_a_row_make_it_better() {
    let mut meter = Meter::new();
    meter.rtt(&[500.0; 6]);
    assert_eq!(meter.rtt(&[50.0, 50.0, 50.0, 50.0, 450.0]), [R; 5]);
    assert_eq!(meter.rtt(&[50.0; 5]), [R, R, R, R, G]);
    assert!(meter.reasons().is_empty());
    let mut meter = Meter::new();
    meter.rtt(&[500.0; 6]);
    assert_eq!(meter.rtt(&[50.0, 50.0, 250.0, 50.0, 50.0]), [R, R, R, R, A], "as good as the worst of the five");
    assert_eq!(meter.reasons(), ["rtt"], "and for its reasons");
    assert_eq!(meter.rtt(&[50.0; 5]), [A, A, A, A, G]);
}

#[test]
fn to_be_better_takes_a_margin() {
    let mut meter = Meter::new();
    meter.rtt(&[210.0; 6]);
    assert_eq!(meter.rtt(&[195.0; 20]), [A; 20]);
    assert_eq!(meter.rtt(&[179.0; 5]), [A, A, A, A, G]);
    assert_eq!(meter.rtt(&[195.0; 20]), [G; 20]);
}

#[test]
fn a_relapse_makes_it_wait_longer() {
    let mut meter = Meter::new();
    for wait in [5, 20, 80, 80] {
        meter.rtt(&[250.0; 6]);
        assert_eq!(meter.rtt(&vec![50.0; wait - 1]), vec![A; wait - 1]);
        assert_eq!(meter.rtt(&[50.0; 3]), [G; 3]);
    }
    meter.rtt(&[50.0; 60]);
    meter.rtt(&[250.0; 6]);
    assert_eq!(meter.rtt(&[50.0; 5]), [A, A, A, A, G], "a minute of peace is forgiven");
}

#[test]
fn a_long_gap_needs_no_majority() {
    let mut meter = Meter::new();
    meter.rtt(&[50.0; 6]);
    assert_eq!(meter.judge(Some(50.0), None, None, 1999), G);
    assert_eq!(meter.judge(Some(50.0), None, None, 2000), R);
    assert_eq!(meter.reasons(), ["no_media"]);
    assert_eq!(meter.rtt(&[50.0; 5]), [R, R, R, R, G]);
}

#[test]
fn the_worst_metric_is_named_and_equals_share() {
    let mut meter = Meter::new();
    for _ in 0..6 {
        meter.judge(Some(250.0), Some(60.0), Some(3.5), 0);
    }
    assert_eq!((meter.machine.level(), meter.reasons()), (R, vec!["jitter"]));
    for _ in 0..6 {
        meter.judge(Some(450.0), Some(60.0), Some(3.0), 0);
    }
    assert_eq!(meter.reasons(), ["rtt", "jitter", "mos"]);
    for _ in 0..6 {
        meter.judge(Some(250.0), Some(10.0), Some(3.5), 0);
    }
    assert_eq!((meter.machine.level(), meter.reasons()), (A, vec!["rtt", "mos"]));
}

#[test]
fn a_fallback_is_named_but_colours_nothing() {
    let mut in_use = Reasons::default();
    in_use.insert(LevelReason::TcpFallback);
    in_use.insert(LevelReason::Relay);
    let mut meter = Meter::new();
    meter.rtt(&[50.0; 6]);
    assert_eq!(meter.machine.reasons(in_use), Reasons::default());
    meter.rtt(&[250.0; 6]);
    let words: Vec<_> = meter.machine.reasons(in_use).iter().map(LevelReason::word).collect();
    assert_eq!(words, ["rtt", "tcp_fallback", "relay"]);
}

#[test]
fn what_is_not_known_is_not_judged() {
    let mut meter = Meter::new();
    for _ in 0..6 {
        meter.judge(None, None, None, 0);
    }
    assert_eq!(meter.machine.level(), G);
}
