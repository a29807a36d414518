//! Mouths and ears of the world's people: one sine each, or something like speech, and the patience to say which sine was
//! heard when.

mod ear;
pub mod speech;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::Encoder;
use trunkline_media::audio::tone::Tone;

pub use self::ear::{Ear, Sound};
pub use self::speech::Manner;
use self::speech::Speech;
use super::PHONE_TONE;

/// Everybody listens at this rate, Hz.
const RATE: u32 = 8_000;
const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
/// What an echo holds back at most, in samples.
const MAX_ECHO: usize = 2 * RATE as usize;
/// Frames from one packet of sparse silence to the next.
const SPARSE: u32 = 20;
/// What a mouth says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Its tone.
    Tone,
    /// Digital silence, packet by packet (a muted microphone).
    Silence,
    /// Digital silence, one packet in 400 ms (the same with discontinuous transmission).
    Sparse,
    /// Nothing at all: no packets.
    Nothing,
    /// Something like speech.
    Speech(Manner),
    /// What it hears, some time later and quieter.
    Echo {
        /// How much later, milliseconds.
        after_ms: u32,
        /// How much quieter, dB.
        weaker_db: u32,
    },
}

/// Speaks in frames of 20 ms.
pub struct Mouth {
    codec: Codec,
    /// What its encoder takes, Hz: who has a wideband codec has a wideband microphone.
    rate: u32,
    encoder: Encoder,
    tone: Tone,
    speech: Speech,
    says: Says,
    next: Instant,
    timestamp: u32,
    payload: Vec<u8>,
    /// What was heard and will come back, at [`RATE`].
    echo: VecDeque<i16>,
}

impl Mouth {
    /// A mouth that is shut; its clock starts now.
    #[must_use]
    pub fn new(now: Instant, codec: Codec, hz: f64) -> Self {
        let rate = codec.pcm_rate();
        // Two people do not say the same at the same time.
        let place = if hz < PHONE_TONE { 0 } else { 5 };
        Self {
            codec,
            rate,
            encoder: Encoder::new(codec, rate).unwrap(),
            tone: Tone::new(hz, rate, -12.0),
            speech: Speech::new(rate, place),
            says: Says::Nothing,
            next: now,
            timestamp: 4_294_900_000,
            payload: Vec::new(),
            echo: VecDeque::new(),
        }
    }

    /// The codec it speaks.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Says this from now on.
    pub fn say(&mut self, now: Instant, says: Says) {
        while self.next < now {
            self.skip();
        }
        self.says = says;
        self.echo.clear();
        if let Says::Echo { after_ms, .. } = says {
            self.echo.resize(after_ms as usize * RATE as usize / 1_000, 0);
        }
    }

    /// Whether it repeats what it hears.
    #[must_use]
    pub fn echoes(&self) -> bool {
        matches!(self.says, Says::Echo { .. })
    }

    /// What was heard since the last call, for an echo.
    pub fn heard(&mut self, pcm: Vec<i16>) {
        if self.echoes() && self.echo.len() < MAX_ECHO {
            self.echo.extend(pcm);
        }
    }

    /// RTP timestamp and payload of the next frame, if it is due. `silenced`: the frame's time passes unused.
    pub fn poll(&mut self, now: Instant, silenced: bool) -> Option<(u32, &[u8])> {
        while self.says != Says::Nothing && self.next <= now {
            let timestamp = self.timestamp;
            let pcm = self.frame();
            self.encoder.encode(&pcm, &mut self.payload).unwrap();
            let frames = if self.says == Says::Sparse { SPARSE } else { 1 };
            (0..frames).for_each(|_| self.skip());
            if !silenced {
                return Some((timestamp, &self.payload));
            }
        }
        None
    }

    fn frame(&mut self) -> Vec<i16> {
        let samples = self.rate as usize / 50;
        match self.says {
            Says::Tone => self.tone.take(samples),
            Says::Speech(manner) => self.speech.take(samples, manner),
            Says::Echo { weaker_db, .. } => {
                let gain = 10.0_f64.powf(-f64::from(weaker_db) / 20.0);
                let mut frame = Vec::with_capacity(samples);
                for _ in 0..FRAME_SAMPLES {
                    let sample = self.echo.pop_front().unwrap_or(0);
                    frame.extend(std::iter::repeat_n((f64::from(sample) * gain) as i16, samples / FRAME_SAMPLES));
                }
                frame
            }
            Says::Silence | Says::Sparse | Says::Nothing => vec![0; samples],
        }
    }

    /// When the next frame is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.says != Says::Nothing).then_some(self.next)
    }

    /// The RTP timestamp of a moment.
    #[must_use]
    pub fn timestamp_at(&self, at: Instant) -> u32 {
        let rate = f64::from(self.codec.clock_rate());
        let units = |span: Duration| (span.as_secs_f64() * rate).round() as u32;
        let behind = units(self.next.saturating_duration_since(at));
        let ahead = units(at.saturating_duration_since(self.next));
        self.timestamp.wrapping_sub(behind).wrapping_add(ahead)
    }

    fn skip(&mut self) {
        self.next += FRAME;
        self.timestamp = self.timestamp.wrapping_add(self.codec.clock_rate() / 50);
    }
}
