//! What is heard and does not lie about as a prompt: texts that are spoken, recordings somewhere else. Each is got once
//! for as long as it keeps, and kept in little memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CACHE_CONTROL, HeaderMap};
use trunkline_media::audio::prompt::Prompt;

use crate::call::Sound;
use crate::clock::Clock;
use crate::metrics::HookMeasures;
use crate::outbound::{Answer, Client, Failure, Policy, Request, Take};
use crate::speech::{Speech, SpeechError};

/// Largest recording by URL, and longest wait for it.
const LARGEST: usize = 4 * 1024 * 1024;
const LIMIT: Duration = Duration::from_secs(5);
/// Recordings by URL that are being got.
const AT_ONCE: usize = 64;
/// What is kept: recordings, and milliseconds of them (at 16 bytes each, about 40 MB).
const KEPT: usize = 128;
const KEPT_MS: u64 = 20 * 60 * 1_000;
/// How long a spoken text keeps, and the most a URL may ask for.
const DAY: Duration = Duration::from_secs(86_400);

/// What asking for one can come to.
pub const RESULTS: [&str; 7] = ["ok", "kept", "failed", "timeout", "too_large", "busy", "unavailable"];

/// Gets recordings.
pub struct Recordings {
    client: Client,
    speech: Option<Arc<dyn Speech>>,
    clock: Clock,
    kept: Mutex<Kept>,
    turns: tokio::sync::Semaphore,
    measures: Arc<HookMeasures>,
}

/// What is kept, the newest first.
#[derive(Debug, Default)]
struct Kept {
    items: VecDeque<Item>,
}

#[derive(Debug)]
struct Item {
    key: Key,
    until: Instant,
    prompt: Arc<Prompt>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Text(String, String),
    /// What was got on laxer terms is for those who have them.
    Url(String, bool),
}

/// No recording: one of [`RESULTS`], and why in words.
type Refused = (&'static str, String);

impl Recordings {
    /// Nothing is kept yet. Without somebody who speaks, no text is spoken.
    #[must_use]
    pub fn new(client: Client, speech: Option<Arc<dyn Speech>>, clock: Clock, measures: Arc<HookMeasures>) -> Self {
        let turns = tokio::sync::Semaphore::new(AT_ONCE);
        Self { client, speech, clock, kept: Mutex::default(), turns, measures }
    }

    /// Whether texts are spoken.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.speech.is_some()
    }

    /// Gets what is to be heard.
    ///
    /// # Errors
    /// Why it cannot be, in words.
    pub async fn get(&self, sound: Sound, allow_insecure: bool) -> Result<Arc<Prompt>, String> {
        let (source, key) = match &sound {
            Sound::Prompt(prompt) => return Ok(Arc::clone(prompt)),
            Sound::Missing(name) => return Err(format!("there is no prompt {name}")),
            Sound::Say { text, lang } => ("say", Key::Text(text.clone(), lang.clone())),
            Sound::Url(url) => ("url", Key::Url(url.clone(), allow_insecure)),
        };
        let now = self.clock.now().instant;
        if let Some(prompt) = self.kept().find(&key, now) {
            self.measures.recording(source, "kept");
            return Ok(prompt);
        }
        let got = match &key {
            Key::Text(text, lang) => self.speak(text, lang).await.map(|prompt| (prompt, DAY)),
            Key::Url(url, allow_insecure) => self.fetch(url, *allow_insecure).await,
        };
        match got {
            Ok((prompt, keeps)) => {
                self.measures.recording(source, "ok");
                self.kept().keep(Item { key, until: now + keeps, prompt: Arc::clone(&prompt) }, now);
                Ok(prompt)
            }
            Err((result, why)) => {
                self.measures.recording(source, result);
                Err(why)
            }
        }
    }

    async fn speak(&self, text: &str, lang: &str) -> Result<Arc<Prompt>, Refused> {
        let Some(speech) = &self.speech else { return Err(("unavailable", "nobody speaks texts here".to_owned())) };
        speech.say(text.to_owned(), lang.to_owned()).await.map_err(|error| {
            let result = match error {
                SpeechError::Busy => "busy",
                SpeechError::TimedOut => "timeout",
                SpeechError::TooLarge => "too_large",
                SpeechError::Failed => "failed",
            };
            (result, error.to_string())
        })
    }

    async fn fetch(&self, url: &str, allow_insecure: bool) -> Result<(Arc<Prompt>, Duration), Refused> {
        // overflow: not got, and counted.
        let Ok(_turn) = self.turns.try_acquire() else {
            return Err(("busy", "too many recordings are being fetched".to_owned()));
        };
        let policy = Policy { allow_insecure, timeout: LIMIT, take: Take::Whole(LARGEST) };
        let (url, headers) = (url.to_owned(), HeaderMap::new());
        let request = Request { method: Method::GET, url, headers, body: Bytes::new(), policy };
        let answer = self.client.send(&request).await.map_err(|failure| {
            let result = match failure {
                Failure::TimedOut => "timeout",
                Failure::TooLarge => "too_large",
                Failure::Url(_)
                | Failure::Unresolved
                | Failure::Forbidden
                | Failure::Connect(_)
                | Failure::NoAuthorities
                | Failure::Tls(_)
                | Failure::Closed
                | Failure::Broken => "failed",
            };
            (result, failure.to_string())
        })?;
        if answer.status.as_u16() != 200 {
            return Err(("failed", format!("the recording's server says {}", answer.status.as_u16())));
        }
        let keeps = keeps(&answer);
        let read = tokio::task::spawn_blocking(move || Prompt::from_file(&answer.body)).await;
        match read {
            Ok(Ok(prompt)) => Ok((Arc::new(prompt), keeps)),
            Ok(Err(error)) => Err(("failed", error.to_string())),
            Err(_) => Err(("failed", "the recording cannot be read".to_owned())),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, key: &Key, now: Instant) -> Option<Arc<Prompt>> {
        let at = self.items.iter().position(|item| item.key == *key && item.until > now)?;
        let item = self.items.remove(at)?;
        let prompt = Arc::clone(&item.prompt);
        self.items.push_front(item);
        Some(prompt)
    }

    fn keep(&mut self, item: Item, now: Instant) {
        self.items.retain(|kept| kept.key != item.key && kept.until > now);
        if item.until > now {
            self.items.push_front(item);
        }
        // overflow: what nobody has asked for the longest goes.
        while self.items.len() > KEPT || self.ms() > KEPT_MS {
            self.items.pop_back();
        }
    }

    fn ms(&self) -> u64 {
        self.items.iter().map(|item| item.prompt.duration_ms()).sum()
    }
}

/// How long an answer may be kept (RFC 9111 section 5.2.2): `max-age`, unless it is not to be.
fn keeps(answer: &Answer) -> Duration {
    let directives: Vec<String> = answer
        .headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if directives.iter().any(|directive| directive == "no-store" || directive == "no-cache") {
        return Duration::ZERO;
    }
    let age = directives.iter().find_map(|directive| directive.strip_prefix("max-age=")?.parse::<u64>().ok());
    Duration::from_secs(age.unwrap_or(0)).min(DAY)
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn as_long_as_max_age_says_and_no_longer() {
        let rows = [
            (None, 0),
            (Some("max-age=60"), 60),
            (Some("public, Max-Age=60"), 60),
            (Some("no-store, max-age=60"), 0),
            (Some("max-age=99999999999"), 86_400),
            (Some("max-age=x"), 0),
        ];
        for (value, expected) in rows {
            let mut headers = HeaderMap::new();
            value.map(|value| headers.insert(CACHE_CONTROL, HeaderValue::from_static(value)));
            let answer = Answer { status: StatusCode::OK, headers, body: Bytes::new() };
            assert_eq!(keeps(&answer).as_secs(), expected, "{value:?}");
        }
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_over_is_never_found() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let prompt = Arc::new(Prompt::from_pcm(8_000, vec![0; 80_000]).unwrap());
        let key = |n: usize| Key::Text(n.to_string(), "en".into());
        let mut kept = Kept::default();
        for n in 0..200 {
            kept.keep(Item { key: key(n), until: now + second, prompt: Arc::clone(&prompt) }, now);
            assert!(kept.find(&key(0), now).is_some() && kept.ms() <= KEPT_MS, "{n}");
        }
        assert!(kept.items.len() == 120 && kept.find(&key(1), now).is_none());
        assert!(kept.find(&key(0), now + second).is_none());
        let laxer = Key::Url("https://a/".into(), true);
        kept.keep(Item { key: laxer, until: now + second, prompt }, now);
        assert!(kept.find(&Key::Url("https://a/".into(), false), now).is_none());
    }
}
