//! One direction of a call's audio.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::sounds::Sounds;
use super::speech::Speech;
use super::voice::Voice;
use super::{Listener, Output};
use crate::audio::Codec;
use crate::audio::noise::ComfortNoise;
use crate::audio::prompt::Prompt;
use crate::audio::signal::Region;
use crate::detect::{Ear, Hearing};
use crate::outbox::Outbox;
pub(crate) use packet::Packet;
use passing::Passing;
use relayed::Relayed;
use resting::{PAUSE, Resting};

mod packet;
mod passing;
mod recent;
mod relayed;
mod resting;
mod window;

/// How long a relayed speaker may be quiet before the listener gets comfort silence: longer than packets are late that
/// anybody waits for, or silence would take the place of what comes yet.
const RELAY_IDLE: Duration = Duration::from_millis(240);

/// From when on the listener gets comfort silence where there is nothing else to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comfort {
    /// As soon as it listens: RTP opens address translators and keeps inactivity timers at the far end quiet.
    Always,
    /// Once it has heard something: until then a browser plays its own ringing.
    OnceHeard,
}

/// What one leg says, on its way to the other.
#[repr(C)]
pub(crate) struct Flow {
    output: Option<Output>,
    /// The codec of the speaker's last packet.
    source: Option<Codec>,
    muted: bool,
    /// The speaker is on hold, which withholds what it says as mute does, each by itself.
    held: bool,
    /// The speaker has said that it sends nothing at all.
    silent: bool,
    /// What is coded anew goes on as it comes, without a jitter buffer.
    on_arrival: bool,
    /// The listener has had audio in this flow.
    started: bool,
    /// Relay was interrupted: the next packet maps its numbers afresh.
    fresh: bool,
    comfort: Comfort,
    /// The sound of the line of a speaker that said it is silent.
    noise: Option<ComfortNoise>,
    relayed: Relayed,
    clock: Clock,
    /// What a listener gets who knows comfort noise.
    resting: Resting,
    sounds: Sounds,
    /// Listens to the speaker.
    ear: Option<Ear>,
    passing: Option<Box<Passing>>,
    /// PCM rate of everything between decoder and encoder, Hz.
    rate: u32,
    speech: Speech,
    voice: Voice,
    pcm: Vec<i16>,
}

impl Flow {
    /// A flow nobody listens to yet. `epoch`: when the clocks of all calls began.
    pub(crate) fn new(epoch: Instant, comfort: Comfort, rate: u32, ear: Option<Ear>) -> Self {
        Self {
            comfort,
            rate,
            output: None,
            speech: Speech::new(rate),
            on_arrival: false,
            passing: None,
            voice: Voice::default(),
            clock: Clock::new(epoch),
            source: None,
            muted: false,
            held: false,
            noise: None,
            silent: false,
            sounds: Sounds::new(rate),
            resting: Resting::default(),
            started: false,
            fresh: true,
            relayed: Relayed::default(),
            pcm: Vec::new(),
            ear,
        }
    }

    /// The same for a listener with a jitter buffer of its own: what is coded anew goes on as it comes.
    pub(crate) fn on_arrival(self) -> Self {
        Self { on_arrival: true, ..self }
    }

    /// What the listener takes from now on; `None` while it must not be sent anything. `rate`: the PCM rate between
    /// the legs.
    pub(crate) fn set_output(&mut self, now: Instant, output: Option<Output>, rate: u32) {
        if rate != self.rate {
            self.rate = rate;
            self.speech.set_rate(rate);
            self.sounds.set_rate(rate);
            if let Some(passing) = &mut self.passing {
                passing.set_rate(rate);
            }
        }
        if output == self.output {
            return;
        }
        self.fresh = true;
        self.output = output;
        self.forget_waiting();
        if output.is_none() {
            self.clock.stop();
            self.speech.reset();
        } else if self.clock.next().is_none()
            && (self.comfort == Comfort::Always || self.started || self.sounds.are_heard(now))
        {
            // A clock that runs keeps its pace, whatever it sends.
            self.clock.by(now);
        }
    }

    /// The speaker's leg is another one: nothing of the old one is heard again.
    pub(crate) fn forget_speaker(&mut self) {
        self.noise = None;
        self.speech.reset();
        self.forget_waiting();
        self.sounds.forget_speaker();
        self.resting = Resting::default();
        self.silent = false;
        self.source = None;
        self.fresh = true;
    }

    /// Whether the speaker has said that it sends nothing: the listener hears comfort noise then, once it has heard
    /// anything.
    pub(crate) fn set_silent(&mut self, silent: bool) {
        self.silent = silent;
    }

    pub(crate) fn set_muted(&mut self, now: Instant, muted: bool) {
        if muted == self.muted {
            return;
        }
        self.muted = muted;
        self.withhold(now);
    }

    /// Whether what the speaker says is not let through, because it is muted or held.
    pub(crate) fn is_muted(&self) -> bool {
        self.muted || self.held
    }

    /// The speaker is put on hold or taken back.
    pub(crate) fn set_held(&mut self, now: Instant, held: bool) {
        if held != self.held {
            self.held = held;
            self.withhold(now);
        }
    }

    /// The listener is put on hold and hears this, or comfort noise, until it is taken back.
    pub(crate) fn hold(&mut self, now: Instant, audio: Option<Arc<Prompt>>) {
        self.sounds.hold(audio);
        self.withhold(now);
    }

    /// The listener is taken back.
    pub(crate) fn unhold(&mut self, now: Instant) {
        if self.sounds.unhold() && !self.sounds.are_instead() {
            self.resume(now);
        }
    }

    /// What was heard of the speaker, if anybody listens.
    pub(crate) fn hearing(&mut self) -> Option<&mut Hearing> {
        self.ear.as_mut().map(Ear::hearing)
    }

    /// Plays a prompt, instead of the speaker or `over` what it says.
    pub(crate) fn play(&mut self, now: Instant, id: u32, prompt: Arc<Prompt>, looped: bool, over: bool) {
        // What is decoded already goes on being heard under the prompt.
        let goes_on = over && self.transcodes() && !self.on_arrival && !self.sounds.are_instead();
        self.sounds.play(id, prompt, looped, over);
        if !goes_on {
            self.withhold(now);
        }
    }

    /// The prompt that plays.
    pub(crate) fn playing(&self) -> Option<u32> {
        self.sounds.playing()
    }

    pub(crate) fn stop_playing(&mut self, now: Instant) {
        // A speaker that was heard under the prompt is raised first.
        let was_instead = self.sounds.are_instead();
        if self.sounds.stop() && was_instead && !self.sounds.are_instead() {
            self.resume(now);
        }
    }

    /// It rings at the speaker's end, and this is how that sounds; `None`: it rings no more.
    pub(crate) fn ring(&mut self, now: Instant, region: Option<Region>) {
        self.sounds.set_ringing(region);
        if let Some(output) = self.output.filter(|_| self.sounds.ring_at(now)) {
            self.clock.by(now + output.frame());
        }
    }

    /// The speaker is silent until more of its audio comes: the listener hears its line.
    pub(crate) fn rest(&mut self, now: Instant, sequence: u64, noise: Option<ComfortNoise>) {
        self.skip(sequence);
        self.sounds.speaker_came(now);
        self.noise = noise;
        if let Some(output) = self.output.filter(|output| self.on_arrival || self.source == Some(output.codec)) {
            self.clock.by(now + output.frame());
        }
    }

    /// This number of the speaker's sequence carries no audio (a telephone event) and goes another way.
    pub(crate) fn skip(&mut self, sequence: u64) {
        self.speech.skip(sequence);
        self.fresh = true;
    }

    pub(crate) fn set_expected_loss(&mut self, fraction: f64) {
        self.voice.set_expected_loss(fraction);
    }

    /// How hard the listener's encoder may try.
    pub(crate) fn permit_complexity(&mut self, complexity: u8) {
        self.voice.set_complexity(complexity);
    }

    /// A packet from the speaker.
    pub(crate) fn push(&mut self, now: Instant, packet: &Packet<'_>, listener: &mut impl Listener, out: &mut Outbox) {
        let switched = self.source.replace(packet.codec) != Some(packet.codec);
        self.noise = None;
        self.sounds.speaker_came(now);
        self.resting.came(packet);
        let Some(output) = self.output else { return };
        if self.is_muted() || self.sounds.are_instead() {
            self.fresh = true;
            return;
        }
        let relayed = !self.transcodes();
        if let Some(ear) = &mut self.ear {
            if switched || packet.restarted {
                ear.begin_stream();
            }
            ear.packet(now, packet.codec, packet.sequence, packet.rtp.payload, relayed);
        }
        if !relayed && self.on_arrival && !self.sounds.are_over() {
            return self.pass(now, packet, output, listener, out);
        }
        if !relayed {
            self.speech.push(now, packet);
            self.fresh = true;
            self.clock.by(now + output.frame());
            return;
        }
        if switched {
            self.speech.reset();
            self.forget_waiting();
        }
        self.resting.ends();
        self.clock.set(now + if self.resting.pauses() { PAUSE } else { RELAY_IDLE });
        if listener.is_busy() {
            self.fresh = true;
            return;
        }
        self.started = true;
        if packet.restarted {
            self.relayed.begin(packet.sequence);
        }
        let restarted = self.fresh || packet.restarted;
        // What was lost before this packet and is in it once more.
        for (sequence, earlier) in packet.earlier().filter(|_| !restarted) {
            if self.relayed.said_again(sequence) {
                listener.relay(now, &earlier, sequence, false, out);
            }
        }
        if self.relayed.came(packet.sequence) {
            self.fresh = false;
            listener.relay(now, &packet.rtp, packet.sequence, restarted, out);
        }
    }

    /// Sends the frames that are due. The prompt that came to its end, if one did.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        listener: &mut impl Listener,
        out: &mut Outbox,
    ) -> Option<u32> {
        if self.waits_until().is_some_and(|until| until <= now) {
            self.pass_waiting(now, listener, out);
        }
        let mut finished = None;
        while let Some(output) = self.output
            && let Some(at) = self.clock.tick(now, output.frame())
        {
            finished = self.frame(at, output, listener, out).or(finished);
        }
        finished
    }

    fn frame(&mut self, at: Instant, output: Output, listener: &mut impl Listener, out: &mut Outbox) -> Option<u32> {
        self.pcm.clear();
        self.pcm.resize(usize::try_from(output.samples(self.rate)).unwrap_or_default(), 0);
        let (was_instead, was_over) = (self.sounds.are_instead(), self.sounds.are_over());
        let speaks = !self.is_muted() && !self.sounds.are_instead() && self.transcodes();
        let spoken = speaks && self.hear(at);
        let sounded = self.sounds.add(at, &mut self.pcm);
        let (heard, finished) = (sounded.heard || spoken, sounded.finished);
        let is_free = !self.sounds.are_instead() && !self.sounds.are_over();
        if is_free && (was_instead || was_over && (self.on_arrival || !self.transcodes())) {
            self.resume(at + output.frame());
        }
        if !heard && !self.started && self.comfort == Comfort::OnceHeard {
            // The buffer may be filling, or it may ring again: the clock runs on then.
            if self.speech.stats().buffered == 0 && !self.sounds.ring() {
                self.clock.stop();
            }
            return finished;
        }
        if let Some(noise) = self.noise.as_mut().filter(|_| !heard && !self.muted && !self.held) {
            noise.fill(&mut self.pcm);
        } else if !heard && self.silent {
            self.sounds.hiss(&mut self.pcm);
        } else if !heard && self.on_arrival && !self.is_muted() {
            self.resting.hum(&mut self.pcm);
        }
        self.started |= heard;
        self.fresh = true;
        if listener.is_busy() || listener.takes_noise() && self.rests(at, spoken, &sounded, listener, out) {
            return finished;
        }
        if let Some(payload) = self.voice.encode(output, self.rate, &self.pcm) {
            listener.frame(at, output.samples(output.codec.clock_rate()), payload, out);
        }
        finished
    }

    /// What the speaker says, decoded into the frame; whether that is anything.
    fn hear(&mut self, at: Instant) -> bool {
        let heard = self.speech.pull(at, &mut self.pcm);
        if let (true, Some(ear), Some(codec)) = (heard, &mut self.ear, self.source) {
            ear.pcm(at, codec, self.rate, &self.pcm);
        }
        heard
    }

    /// Whether what the speaker sends is decoded and coded anew: in another codec than the listener's, or because
    /// something is mixed with it.
    fn transcodes(&self) -> bool {
        let differs = self.output.zip(self.source).is_some_and(|(output, source)| source != output.codec);
        differs || self.sounds.are_over()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let waits = self.waits_until();
        self.output.and(self.clock.next()).into_iter().chain(waits).min()
    }

    /// The speaker is not heard for now; our own clock takes over.
    fn withhold(&mut self, now: Instant) {
        self.speech.reset();
        self.forget_waiting();
        self.fresh = true;
        if let Some(output) = self.output {
            self.clock.by(now + output.frame());
        }
    }

    /// The speaker is heard again: while it is relayed its packets set the pace, if it still sends.
    fn resume(&mut self, now: Instant) {
        self.speech.reset();
        self.fresh = true;
        let relayed = |source: Codec| self.output.is_some_and(|output| source == output.codec);
        if self.source.is_some_and(|source| self.on_arrival || relayed(source)) {
            self.clock.set(now + RELAY_IDLE);
        }
    }
}
