//! Probes: a browser tries its path and its microphone before anybody is called. Its audio comes back to it for some
//! seconds; what was measured meanwhile is the verdict. No session's call, no trunk, no SIP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::mpsc;
use trunkline_media::api::{CallKey, CallStats, Command, MediaEvent, OpenCall, Path};
use trunkline_media::audio::Codec;
use trunkline_media::quality::{HalfLegSample, Level};
use trunkline_media::sdp::browser::Offer;

use super::{Calls, Shared, start};
use crate::ids::{ProbeId, SessionId, random_bits};
use crate::problem::Problem;
use crate::session::Session;

/// Probes at once.
const MOST: usize = 64;
/// Verdicts that are kept, and for how long.
const KEPT: usize = 1024;
const LIFETIME: Duration = Duration::from_secs(300);
/// Reports of the media plane that wait for a probe's task.
const REPORTS: usize = 64;
/// Nothing in it is louder than what a quiet room's microphone hears of itself, dBov.
const SILENT: i8 = -62;
/// One of so many samples of speech at full scale is clipping: what `mic_clipping` of a call takes, too.
const CLIPPED_OF: u64 = 250;

/// A probe that was taken.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Its id.
    pub probe: ProbeId,
    /// SDP answer.
    pub answer: String,
    /// Strong entity tag of the ICE session, without quotes.
    pub etag: String,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The worse of both directions; `red` if nothing came through at all.
    pub level: &'static str,
    /// Whether UDP gets through.
    pub udp: bool,
    /// Whether TCP does; `None`: it was not needed.
    pub tcp: Option<bool>,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Lost of expected, the worse direction, 0..1.
    pub loss: Option<f64>,
    /// Interarrival jitter of what came, milliseconds.
    pub jitter_ms: Option<f64>,
    /// `ok`, `silent` or `clipping`; `None`: nothing could come.
    pub mic: Option<&'static str>,
}

/// The probes of this node.
#[derive(Default)]
pub(super) struct Probes {
    running: DashMap<CallKey, mpsc::Sender<MediaEvent>>,
    known: Mutex<VecDeque<Known>>,
}

struct Known {
    probe: ProbeId,
    session: SessionId,
    began: Instant,
    verdict: Option<Verdict>,
}

impl Probes {
    /// Something happened to the media of no call: it may be a probe's.
    pub(super) fn reported(&self, key: CallKey, event: MediaEvent) {
        if let Some(probe) = self.running.get(&key) {
            // overflow: dropped; the next sample says it all.
            let _ = probe.try_send(event);
        }
    }

    fn known(&self, now: Instant) -> MutexGuard<'_, VecDeque<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // overflow: the oldest verdict is forgotten.
        while known.len() >= KEPT
            || known.front().is_some_and(|one| now.saturating_duration_since(one.began) > LIFETIME)
        {
            known.pop_front();
        }
        known
    }
}

impl Calls {
    /// Begins a probe for a session: audio comes back for as long as it `lasts`. Problems: `invalid-sdp` 400,
    /// `unsupported-sdp` 422, `capacity` 503, `draining` 503.
    pub async fn probe(&self, session: &Session, offer: &[u8], lasts: Duration) -> Result<Begun, Problem> {
        self.admit()?;
        begin(&self.shared, session, offer, lasts).await
    }

    /// What is known of a session's probe: `None` if there is none, `Some(None)` while it runs.
    #[must_use]
    pub fn probed(&self, probe: &ProbeId, session: &SessionId) -> Option<Option<Verdict>> {
        find(&self.shared, probe, session)
    }
}

/// What is known of a probe of this session: `None` if there is none, `Some(None)` while it runs.
fn find(shared: &Shared, probe: &ProbeId, session: &SessionId) -> Option<Option<Verdict>> {
    let known = shared.probes.known(shared.clock.now().instant);
    known.iter().find(|one| one.probe == *probe && one.session == *session).map(|one| one.verdict.clone())
}

async fn begin(shared: &Arc<Shared>, session: &Session, sdp: &[u8], lasts: Duration) -> Result<Begun, Problem> {
    let offer = Offer::parse(sdp).map_err(start::refused_offer)?;
    let key = CallKey(shared.next_key.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let (sender, reports) = mpsc::channel(REPORTS);
    let running = Running { shared: Arc::clone(shared), key };
    shared.probes.running.insert(key, sender);
    if shared.probes.running.len() > MOST {
        return Err(Problem::capacity("too many probes are under way").retry_in(5));
    }
    // Each sample of G.711 can be listened to on its way back; Opus could not, without more work.
    let codecs = vec![Codec::Pcmu, Codec::Pcma, Codec::Opus];
    let limits = start::limits(&shared.settings.load());
    // The browser hears itself.
    let playback_rate = Codec::Opus.playback_rate();
    let prefer = Some(Codec::Pcmu);
    let open = OpenCall { key, offer, codecs, prefer, playback_rate, limits, seed: random_bits() };
    let opened = shared.media.open(open).await.map_err(|error| start::not_opened(shared, error))?;
    shared.media.command(key, Command::Echo);
    let probe = ProbeId::from_random(random_bits());
    let began = shared.clock.now().instant;
    let known = Known { probe: probe.clone(), session: session.id.clone(), began, verdict: None };
    shared.probes.known(began).push_back(known);
    let (of, longest) = (probe.clone(), limits.setup + lasts);
    tokio::spawn(async move { running.listen(&of, reports, lasts, longest).await });
    Ok(Begun { probe, answer: opened.answer, etag: opened.ice_session })
}

/// Takes the probe's media away when it is over, however that comes.
struct Running {
    shared: Arc<Shared>,
    key: CallKey,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.probes.running.remove(&self.key);
        self.shared.media.command(self.key, Command::Close);
    }
}

impl Running {
    async fn listen(
        self,
        probe: &ProbeId,
        mut reports: mpsc::Receiver<MediaEvent>,
        lasts: Duration,
        longest: Duration,
    ) {
        let mut measured = Measured::default();
        let end = tokio::time::sleep(longest);
        tokio::pin!(end);
        loop {
            tokio::select! {
                event = reports.recv() => match event {
                    Some(event) => {
                        if measured.take(&event) {
                            end.as_mut().reset(tokio::time::Instant::now() + lasts);
                        }
                        if is_over(&event) {
                            break;
                        }
                    }
                    None => break,
                },
                () = &mut end => break,
            }
        }
        let verdict = measured.verdict();
        let mut known = self.shared.probes.known(self.shared.clock.now().instant);
        if let Some(one) = known.iter_mut().find(|one| one.probe == *probe) {
            one.verdict = Some(verdict);
        }
    }
}

fn is_over(event: &MediaEvent) -> bool {
    matches!(event, MediaEvent::SetupFailed(_) | MediaEvent::GraceExpired { .. } | MediaEvent::Crashed)
}

/// What a probe has seen so far.
#[derive(Debug, Default)]
struct Measured {
    path: Option<Path>,
    keyed: bool,
    last: Option<CallStats>,
    level: Option<Level>,
    loudest: Option<i8>,
    loss: Option<f32>,
    jitter_ms: Option<f32>,
    rtt_ms: Option<f32>,
}

impl Measured {
    /// Whether the measuring begins with this.
    fn take(&mut self, event: &MediaEvent) -> bool {
        if let MediaEvent::IceConnected { path, .. } = event {
            self.path = Some(*path);
        }
        if let MediaEvent::Sample(stats) = event {
            self.sampled(stats);
        }
        let begins = matches!(event, MediaEvent::DtlsConnected { .. }) && !self.keyed;
        self.keyed |= begins;
        begins
    }

    fn sampled(&mut self, stats: &CallStats) {
        let [up, down, ..] = &stats.quality;
        let worse = |known: Option<f32>, new: Option<f32>| match (known, new) {
            (Some(known), Some(new)) => Some(known.max(new)),
            (known, new) => known.or(new),
        };
        let worst: fn(&HalfLegSample) -> Option<Level> =
            |sample| (sample.level != Level::Unknown).then_some(sample.level);
        self.level = worst(up).max(worst(down)).or(self.level);
        self.loss = worse(self.loss, worse(up.loss, down.loss));
        self.jitter_ms = worse(self.jitter_ms, up.jitter_ms);
        self.rtt_ms = up.rtt_ms.or(down.rtt_ms).or(self.rtt_ms);
        self.loudest = self.loudest.max(up.audio_dbov);
        self.last = Some(stats.clone());
    }

    fn verdict(&self) -> Verdict {
        let number = |value: Option<f32>| value.map(|value| (f64::from(value) * 1000.0).round() / 1000.0);
        let received = self.last.as_ref().is_some_and(|stats| stats.browser_in.packets > 0);
        let level = match self.level {
            _ if !self.keyed || !received => Level::Red.word(),
            level => level.unwrap_or(Level::Unknown).word(),
        };
        Verdict {
            level,
            udp: self.path == Some(Path::Udp),
            tcp: (self.path == Some(Path::Tcp)).then_some(true),
            rtt_ms: number(self.rtt_ms),
            loss: number(self.loss),
            jitter_ms: number(self.jitter_ms),
            mic: self.keyed.then(|| self.microphone()),
        }
    }

    fn microphone(&self) -> &'static str {
        let (speech, clipped) = self.last.as_ref().map_or((0, 0), |stats| stats.speech_samples);
        if self.loudest.is_none_or(|level| level <= SILENT) {
            "silent"
        } else if clipped > 0 && clipped * CLIPPED_OF >= speech {
            "clipping"
        } else {
            "ok"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(dbov: Option<i8>, speech_samples: (u64, u64), level: Level) -> Measured {
        let mut measured = Measured::default();
        let remote = "192.0.2.1:5000".parse().unwrap();
        assert!(!measured.take(&MediaEvent::IceConnected { remote, path: Path::Udp }));
        assert!(measured.take(&MediaEvent::DtlsConnected { profile: "SRTP_AEAD_AES_128_GCM" }));
        let up = HalfLegSample {
            audio_dbov: dbov,
            level,
            loss: Some(0.01),
            rtt_ms: Some(21.5),
            jitter_ms: Some(3.0),
            ..HalfLegSample::default()
        };
        let mut stats = CallStats { speech_samples, ..CallStats::default() };
        stats.quality[0] = up;
        stats.browser_in.packets = 50;
        assert!(!measured.take(&MediaEvent::Sample(Box::new(stats))));
        measured
    }

    #[test]
    fn a_verdict_says_what_was_measured() {
        let verdict = measured(Some(-20), (1000, 0), Level::Amber).verdict();
        let expected = Verdict {
            level: "amber",
            udp: true,
            tcp: None,
            rtt_ms: Some(21.5),
            loss: Some(0.01),
            jitter_ms: Some(3.0),
            mic: Some("ok"),
        };
        assert_eq!(verdict, expected);
        assert_eq!(measured(Some(-1), (1000, 200), Level::Green).verdict().mic, Some("clipping"));
        assert_eq!(measured(Some(-90), (0, 0), Level::Green).verdict().mic, Some("silent"));
        assert_eq!(measured(None, (0, 0), Level::Green).verdict().mic, Some("silent"));
    }

    #[test]
    fn a_path_that_does_not_come_up_is_red_and_says_nothing_of_the_microphone() {
        let verdict = Measured::default().verdict();
        assert_eq!((verdict.level, verdict.udp, verdict.tcp, verdict.mic), ("red", false, None, None));
    }
}
