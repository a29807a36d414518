//! How wide is the speaker's spectrum? The bridge may decode at 8 kHz, which hides what lies above 4 kHz, or not at all; so
//! now and then a quarter of a second is decoded at 16 kHz as well, until the answer is known.

use std::f64::consts::PI;
use std::time::{Duration, Instant};

use super::level::{FLOOR_DBOV, dbov, dbov_of_sums};
use crate::audio::Codec;
use crate::audio::codec::Decoder;

const RATE: u32 = 16_000;

/// Packets of a burst, and how many of them the decoder needs to find into the stream.
const BURST: u8 = 12;
const SETTLING: u8 = 3;

const BETWEEN_BURSTS: Duration = Duration::from_secs(3);

/// Packets of speech after which nothing above 4 kHz is proof.
const ENOUGH: u16 = 60;

/// So many packets with something up there are proof enough.
const WIDE_ENOUGH: u16 = 3;

/// What lies above counts from so far below the speech.
const WIDE_DB: i16 = 34;

/// Quieter packets hold no speech to judge.
const SPEECH_DBOV: i8 = -48;

/// An answer is asked for again after this long: devices are changed in the middle of calls.
const WIDE_HOLDS: Duration = Duration::from_secs(60);
const NARROW_HOLDS: Duration = Duration::from_secs(20);

/// Packets of speech whose own header says that they are narrow (RFC 6716 section 3.1), of so many.
const HEADERS: u16 = 200;
const NARROW_HEADERS: u16 = 190;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Band {
    /// There is sound above 4 kHz.
    Wide,
    /// There is none.
    Narrow {
        /// Loudest found above 4 kHz, dBov; unknown if the sender says so itself.
        above: Option<i8>,
        /// Level of the speech it was looked for in.
        speech: i8,
    },
}

/// Looks now and then.
#[derive(Default)]
pub(super) struct Probe {
    band: Option<Band>,
    burst: Option<Box<Burst>>,
    left: u8,
    next: Option<Instant>,
    tally: Tally,
}

/// What the bursts since the last answer found.
#[derive(Debug, Default)]
struct Tally {
    measured: u16,
    wide: u16,
    power: f32,
    above: Option<i8>,
    headers: u16,
    narrow_headers: u16,
}

struct Burst {
    codec: Codec,
    decoder: Decoder,
    filter: HighPass,
    pcm: Vec<i16>,
    sequence: u64,
}

impl Probe {
    /// A packet of Opus or G.722; the level of what is in it, if it was decoded. `speaking`: it is worth a look. `rests`: no
    /// burst begins.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        (codec, sequence): (Codec, u64),
        payload: &[u8],
        speaking: bool,
        rests: bool,
    ) -> Option<i8> {
        if codec == Codec::Opus && speaking && !codec.is_quiet(payload) {
            self.read_header(now, payload);
        }
        if self.left == 0 {
            if rests || !speaking || self.next.is_some_and(|next| now < next) {
                return None;
            }
            self.begin(now, codec, sequence)?;
        }
        let burst = self.burst.as_mut()?;
        self.left -= 1;
        let follows = (burst.codec, burst.sequence) == (codec, sequence);
        burst.sequence = sequence.wrapping_add(1);
        if !follows || burst.decoder.decode(payload, &mut burst.pcm).is_err() {
            self.left = 0;
        }
        let (level, above) = burst.levels();
        let settled = self.left < BURST - SETTLING && follows;
        if settled {
            self.tally.measured(level, above);
            self.conclude(now);
        }
        if self.left == 0 {
            self.burst = None;
        }
        settled.then_some(level)
    }

    /// The next burst is due at once.
    pub(super) fn ask_again(&mut self) {
        self.next = None;
    }

    pub(super) fn band(&self) -> Option<Band> {
        self.band
    }

    fn begin(&mut self, now: Instant, codec: Codec, sequence: u64) -> Option<()> {
        self.next = Some(now + BETWEEN_BURSTS);
        let decoder = Decoder::new(codec, RATE).ok()?;
        self.burst = Some(Box::new(Burst { codec, decoder, filter: HighPass::new(), pcm: Vec::new(), sequence }));
        self.left = BURST;
        Some(())
    }

    fn read_header(&mut self, now: Instant, payload: &[u8]) {
        let Some(configuration) = payload.first().map(|toc| toc >> 3) else { return };
        self.tally.headers += 1;
        self.tally.narrow_headers += u16::from(matches!(configuration, 0..=3 | 16..=19));
        if self.tally.headers >= HEADERS {
            if self.tally.narrow_headers >= NARROW_HEADERS {
                self.answer(now, Band::Narrow { above: None, speech: self.tally.speech() });
            }
            (self.tally.headers, self.tally.narrow_headers) = (0, 0);
        }
    }

    fn conclude(&mut self, now: Instant) {
        if self.tally.wide >= WIDE_ENOUGH {
            self.answer(now, Band::Wide);
        } else if self.tally.measured >= ENOUGH {
            self.answer(now, Band::Narrow { above: self.tally.above, speech: self.tally.speech() });
        }
    }

    fn answer(&mut self, now: Instant, band: Band) {
        self.band = Some(band);
        let holds = if band == Band::Wide { WIDE_HOLDS } else { NARROW_HOLDS };
        self.next = Some(now + holds);
        self.tally = Tally::default();
        self.left = 0;
    }
}

impl Tally {
    fn measured(&mut self, level: i8, above: i8) {
        if level < SPEECH_DBOV {
            return;
        }
        self.measured += 1;
        self.power += super::level::power(f32::from(level));
        self.above = Some(self.above.map_or(above, |known| known.max(above)));
        self.wide += u16::from(i16::from(above) >= i16::from(self.speech()) - WIDE_DB);
    }

    /// Mean level of what was measured.
    fn speech(&self) -> i8 {
        if self.measured == 0 {
            return FLOOR_DBOV;
        }
        super::level::level(self.power / f32::from(self.measured)) as i8
    }
}

impl Burst {
    /// Level of the packet just decoded, and of what lies above 4 kHz in it.
    fn levels(&mut self) -> (i8, i8) {
        let energy: u64 = self.pcm.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
        let mut above = 0.0;
        for &sample in &self.pcm {
            above += self.filter.next(f32::from(sample)).powi(2);
        }
        let count = u16::try_from(self.pcm.len()).unwrap_or(u16::MAX);
        (dbov(energy as f32 / self.pcm.len().max(1) as f32), dbov_of_sums(above, count))
    }
}

/// Butterworth of the eighth order at 4.8 kHz: what a telephone's 3.4 kHz let through is 40 dB down.
struct HighPass {
    sections: [Section; 4],
}

#[derive(Clone, Copy, Default)]
struct Section {
    gain: f32,
    feedback: [f32; 2],
    state: [f32; 2],
}

impl HighPass {
    fn new() -> Self {
        let k = (PI * 4_800.0 / f64::from(RATE)).tan();
        let mut sections = [Section::default(); 4];
        for (n, section) in sections.iter_mut().enumerate() {
            let damping = 2.0 * (PI * (2.0 * n as f64 + 1.0) / 16.0).cos();
            let norm = 1.0 / (1.0 + k * damping + k * k);
            section.gain = norm as f32;
            section.feedback = [(2.0 * (k * k - 1.0) * norm) as f32, ((1.0 - k * damping + k * k) * norm) as f32];
        }
        Self { sections }
    }

    fn next(&mut self, sample: f32) -> f32 {
        self.sections.iter_mut().fold(sample, |input, section| {
            // Direct form 2, transposed; the numerator is gain·(1, -2, 1).
            let scaled = input * section.gain;
            let output = scaled + section.state[0];
            section.state[0] = section.state[1] - 2.0 * scaled - section.feedback[0] * output;
            section.state[1] = scaled - section.feedback[1] * output;
            output
        })
    }
}
