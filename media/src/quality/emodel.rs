//! The E-model (ITU-T G.107, narrowband): what loss and delay do to a conversation, as one number.
//!
//! Opus is rated on the same scale, so that both legs of a call compare; its constants are provisional, because the
//! ITU publishes none.

use crate::audio::Codec;

/// Names the model and its table of codecs; a change of either changes the name.
pub const MOS_MODEL: &str = "g107-nb/2";

/// Transmission rating without any impairment of ours (G.107 table 3, all defaults).
const RO: f64 = 93.2;

/// Delay that nobody notices, milliseconds (G.107 section 7.4, mT).
const UNNOTICED_MS: f64 = 100.0;

/// Longer delays are no worse.
const LONGEST_MS: f64 = 60_000.0;

/// What a codec does to speech.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CodecParameters {
    /// Equipment impairment without loss.
    pub ie: f64,
    /// Robustness against loss: percent of loss that costs half of what is left.
    pub bpl: f64,
    /// Look-ahead, milliseconds.
    pub delay_ms: f64,
    /// No standard gives these values.
    pub provisional: bool,
}

impl CodecParameters {
    /// G.711 with concealment (G.113 appendix I).
    pub const G711_PLC: Self = Self { ie: 0.0, bpl: 25.1, delay_ms: 0.0, provisional: false };
    /// G.711 whose gaps are silence (G.113 appendix I).
    pub const G711: Self = Self { ie: 0.0, bpl: 4.3, delay_ms: 0.0, provisional: false };
    /// Opus speech without FEC: a fit of narrowband Opus to P.863, random loss.
    pub const OPUS: Self = Self { ie: 2.0, bpl: 16.0, delay_ms: 6.5, provisional: true };
    /// Opus with in-band FEC: half as much loss again is borne.
    pub const OPUS_FEC: Self = Self { ie: 2.0, bpl: 24.0, delay_ms: 6.5, provisional: true };

    /// G.722 with concealment, on the narrowband scale no worse than G.711: the ITU rates it on the wideband one only.
    pub const G722: Self = Self { ie: 0.0, bpl: 25.1, delay_ms: 1.5, provisional: true };

    /// What this codec does. `repairs`: concealment (G.711), in-band FEC (Opus).
    #[must_use]
    pub fn of(codec: Codec, repairs: bool) -> Self {
        match (codec, repairs) {
            (Codec::Pcmu | Codec::Pcma, true) => Self::G711_PLC,
            (Codec::Pcmu | Codec::Pcma, false) => Self::G711,
            (Codec::G722, _) => Self::G722,
            (Codec::Opus, true) => Self::OPUS_FEC,
            (Codec::Opus, false) => Self::OPUS,
        }
    }
}

/// What a path does to speech.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairments {
    /// Packets lost or discarded as too late, 0..1.
    pub loss: f64,
    /// How much longer runs of loss are than at random; 1 is random.
    pub burst_ratio: f64,
    /// Mouth to ear (Ta), milliseconds.
    pub delay_ms: f64,
}

/// The pieces of a mouth-to-ear delay, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delay {
    /// Round trip of the network.
    pub rtt_ms: f64,
    /// Jitter buffer.
    pub buffer_ms: f64,
    /// Audio in a packet.
    pub packet_ms: f64,
    /// Codec's look-ahead.
    pub codec_ms: f64,
}

impl Delay {
    /// All of it, one way: half of the round trip and the rest.
    #[must_use]
    pub fn one_way_ms(self) -> f64 {
        let Self { rtt_ms, buffer_ms, packet_ms, codec_ms } = self;
        within(rtt_ms / 2.0 + buffer_ms + packet_ms + codec_ms, 0.0, LONGEST_MS)
    }
}

/// The rating R, 0..=93.2. Whatever is not a number counts as nothing, so the result always is one.
#[must_use]
pub fn rating(codec: &CodecParameters, path: &Impairments) -> f64 {
    let percent = within(path.loss, 0.0, 1.0) * 100.0;
    let burst = within(path.burst_ratio, 1.0, 8.0);
    let ie = within(codec.ie, 0.0, 95.0);
    let robustness = within(codec.bpl, 1.0, 100.0);
    let equipment = ie + (95.0 - ie) * percent / (percent / burst + robustness);
    (RO - delay_impairment(path.delay_ms) - equipment).clamp(0.0, 100.0)
}

/// Id of a one-way delay in milliseconds.
#[must_use]
pub fn delay_impairment(delay_ms: f64) -> f64 {
    let delay = within(delay_ms, 0.0, LONGEST_MS);
    if delay <= UNNOTICED_MS {
        return 0.0;
    }
    let x = (delay / UNNOTICED_MS).log2();
    let root = |x: f64| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

/// The mean opinion score of a rating, 1..=4.5.
#[must_use]
pub fn mos(rating: f64) -> f64 {
    let r = within(rating, 0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// The rating of two paths one after the other (RFC 3611 section 4.7.5); scores are never averaged.
#[must_use]
pub fn bridged(first: f64, second: f64) -> f64 {
    (within(first, 0.0, 100.0) + within(second, 0.0, 100.0) - 94.0).clamp(0.0, 100.0)
}

/// `value` within bounds; the lower one if it is no number.
fn within(value: f64, low: f64, high: f64) -> f64 {
    if value.is_nan() { low } else { value.clamp(low, high) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [CodecParameters; 4] =
        [CodecParameters::G711_PLC, CodecParameters::G711, CodecParameters::OPUS, CodecParameters::OPUS_FEC];

    fn rate(codec: &CodecParameters, delay_ms: f64, percent: f64) -> f64 {
        rating(codec, &Impairments { loss: percent / 100.0, burst_ratio: 1.0, delay_ms })
    }

    fn check(codec: &CodecParameters, delay_ms: f64, percent: f64, r: f64, score: f64) {
        let rated = rate(codec, delay_ms, percent);
        assert!((rated - r).abs() < 0.01, "{delay_ms} ms, {percent} %: R {rated}, not {r}");
        assert!((mos(rated) - score).abs() < 0.006, "{delay_ms} ms, {percent} %: {}, not {score}", mos(rated));
    }

    #[test]
    fn the_rows_of_the_contract() {
        let plc = &CodecParameters::G711_PLC;
        check(plc, 0.0, 0.0, 93.2, 4.41);
        check(plc, 100.0, 1.0, 89.56, 4.33);
        check(plc, 150.0, 2.0, 86.03, 4.23);
        check(plc, 150.0, 5.0, 77.26, 3.92);
        check(plc, 300.0, 5.0, 62.66, 3.24);
        check(plc, 400.0, 10.0, 42.06, 2.17);
        check(&CodecParameters::G711, 100.0, 1.0, 75.28, 3.83);
        check(&CodecParameters::G711, 150.0, 5.0, 41.96, 2.16);
    }

    #[test]
    fn delay_alone() {
        for (ms, id) in [(0.0, 0.0), (100.0, 0.0), (150.0, 0.164), (200.0, 3.04), (250.0, 8.92), (300.0, 14.76)] {
            assert!((delay_impairment(ms) - id).abs() < 0.006, "{ms} ms: {}", delay_impairment(ms));
        }
        let delay = Delay { rtt_ms: 100.0, buffer_ms: 40.0, packet_ms: 20.0, codec_ms: 6.5 };
        assert!((delay.one_way_ms() - 116.5).abs() < 1e-9);
    }

    #[test]
    fn scores_of_ratings() {
        for (r, score) in [(93.2, 4.41), (80.0, 4.02), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58), (0.0, 1.0), (5.0, 1.0)]
        {
            assert!((mos(r) - score).abs() < 0.006, "R {r}: {}", mos(r));
        }
        assert!((mos(100.0) - 4.5).abs() < 1e-9 && (mos(140.0) - 4.5).abs() < 1e-9);
    }

    #[test]
    fn a_bridge_is_worse_than_either_side() {
        assert!((bridged(93.2, 93.2) - 92.4).abs() < 1e-9);
        assert!((bridged(93.2, 60.0) - 59.2).abs() < 1e-9);
        assert!(bridged(20.0, 20.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_makes_it_no_number() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e-300, 0.5, 1.0, 2.0, 1e300];
        for codec in &CODECS {
            for loss in odd {
                for burst_ratio in odd {
                    for delay_ms in odd {
                        let r = rating(codec, &Impairments { loss, burst_ratio, delay_ms });
                        assert!((0.0..=100.0).contains(&r), "{loss} {burst_ratio} {delay_ms}: {r}");
                    }
                }
            }
        }
        for r in odd {
            assert!((1.0..=4.5).contains(&mos(r)), "{r}");
            assert!((0.0..=100.0).contains(&bridged(r, 93.2)), "{r}");
            assert!(delay_impairment(r) >= 0.0, "{r}");
        }
        let broken = CodecParameters { ie: f64::NAN, bpl: f64::NAN, delay_ms: f64::NAN, provisional: true };
        assert!(rate(&broken, 0.0, 1.0) >= 0.0);
    }

    proptest! {
        #[test]
        fn more_of_anything_bad_is_never_better(
            codec in 0usize..4, loss in 0.0f64..1.0, more in 0.0f64..0.5, burst in 1.0f64..8.0, longer in 0.0f64..4.0,
            delay in 0.0f64..2000.0, later in 0.0f64..500.0,
        ) {
            let codec = &CODECS[codec];
            let path = Impairments { loss, burst_ratio: burst, delay_ms: delay };
            let r = rating(codec, &path);
            let lossy = Impairments { loss: loss + more, ..path };
            let bursty = Impairments { burst_ratio: burst + longer, ..path };
            let slow = Impairments { delay_ms: delay + later, ..path };
            for worse in [lossy, bursty, slow] {
                prop_assert!(rating(codec, &worse) <= r + 1e-9, "{:?}", worse);
            }
            prop_assert!(mos(r) <= mos(r + 1.0));
        }
    }
}
