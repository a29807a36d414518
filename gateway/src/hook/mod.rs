//! The answer hook: a URL of the app's back end is asked what to do with a call.
//!
//! Asking happens while the browser's path comes up, as a future of the call's own task: a hook that is slow or means
//! harm costs its call the fallback and nobody else anything. Every try is bounded in time and octets (`outbound`), a
//! breaker for each URL stops asking who does not answer, and only so many questions are under way at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::call::Action;
use crate::clock::Clock;
use crate::metrics::HookMeasures;
use crate::outbound::{Answer, Client, Failure, Policy, Request, Take};
use crate::prompts::Prompts;

pub mod answer;
mod asked;
pub mod breaker;
mod question;
#[cfg(test)]
mod tests;

pub use asked::{Asked, RESULTS, Try, Unanswered};
pub use question::Question;

use breaker::{Breaker, Permission};

/// How long a call waits for its hook in all.
pub const BUDGET: Duration = Duration::from_secs(5);
/// How often each URL is asked.
const TRIES: u32 = 2;
/// Largest answer, octets.
const LARGEST: usize = 64 * 1024;
/// URLs whose breakers are remembered; they come from the configuration.
const MAX_URLS: usize = 4_096;
/// Words about a failure that are kept, characters.
const MAX_DETAIL: usize = 200;

/// Asks answer hooks.
pub struct Hooks {
    client: Client,
    prompts: Prompts,
    clock: Clock,
    urls: Mutex<HashMap<String, Endpoint>>,
    measures: Arc<HookMeasures>,
}

/// What is known of one URL.
#[derive(Debug, Default)]
struct Endpoint {
    breaker: Breaker,
    asking: usize,
}

/// A question that is under way to a URL; it is not any more when this is dropped.
struct Asking<'a> {
    hooks: &'a Hooks,
    url: &'a str,
}

impl Hooks {
    /// Nobody was asked yet.
    #[must_use]
    pub fn new(client: Client, prompts: Prompts, clock: Clock, measures: Arc<HookMeasures>) -> Self {
        Self { client, prompts, clock, urls: Mutex::default(), measures }
    }

    /// Asks until somebody answers, everybody was asked twice, or the time is over.
    pub async fn ask(&self, question: &Question) -> Asked {
        let began = self.now();
        let mut asked = Asked { tries: Vec::new(), took: Duration::ZERO, actions: Err(Unanswered::Unasked) };
        let hook = &question.hook;
        let urls = [Some(("primary", &hook.url)), hook.fallback_url.as_ref().map(|url| ("fallback", url))];
        let mut left = TRIES * u32::from(1 + u8::from(hook.fallback_url.is_some()));
        for (name, url) in urls.into_iter().flatten() {
            for _ in 0..TRIES {
                // What one try leaves over of the time is for those after it.
                let limit = BUDGET.saturating_sub(self.since(began)) / left.max(1);
                left = left.saturating_sub(1);
                let (tried, answered) = self.try_once(question, name, url, limit).await;
                let refused = matches!(tried.result, "breaker_open" | "busy");
                asked.tries.push(tried);
                if let Some(actions) = answered {
                    asked.actions = Ok(actions);
                    return self.done(asked, began);
                }
                if refused {
                    break;
                }
                asked.actions = Err(Unanswered::Failed);
            }
        }
        self.done(asked, began)
    }

    async fn try_once(
        &self,
        question: &Question,
        hook: &'static str,
        url: &str,
        limit: Duration,
    ) -> (Try, Option<Vec<Action>>) {
        let began = self.now();
        let of = |result, detail: Option<String>| {
            let detail = detail.map(|words| words.chars().filter(|c| !c.is_control()).take(MAX_DETAIL).collect());
            self.measures.tried(hook, result);
            Try { hook, result, detail, took: self.since(began) }
        };
        let asking = match self.admit(url, question.hook.max_asking, began) {
            Ok(asking) => asking,
            Err(result) => return (of(result, None), None),
        };
        let read = match self.client.send(&self.request(question, url, limit)).await {
            Ok(answer) => self.read(question, &answer),
            Err(failure) => Err((word(&failure), failure.to_string())),
        };
        asking.over(read.is_ok());
        match read {
            Ok(actions) => (of("answered", None), Some(actions)),
            Err((result, detail)) => (of(result, Some(detail)), None),
        }
    }

    /// Whether this URL is asked now, or why not.
    fn admit<'a>(&'a self, url: &'a str, most: usize, now: Instant) -> Result<Asking<'a>, &'static str> {
        let mut urls = self.urls();
        if urls.len() >= MAX_URLS {
            urls.retain(|_, endpoint| endpoint.asking > 0 || endpoint.breaker.is_open());
        }
        let endpoint = urls.entry(url.to_owned()).or_default();
        // overflow: the call goes on without the hook, and the try is counted.
        if endpoint.asking >= most {
            return Err("busy");
        }
        match endpoint.breaker.permits(now) {
            Permission::Refused => Err("breaker_open"),
            Permission::Try | Permission::Probe => {
                endpoint.asking = endpoint.asking.saturating_add(1);
                self.stand(&urls);
                Ok(Asking { hooks: self, url })
            }
        }
    }

    fn request(&self, question: &Question, url: &str, timeout: Duration) -> Request {
        let at = self.clock.now().wall;
        let mut headers = crate::outbox::signature::headers(&question.hook.keys, &question.id, at, &question.body);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Request {
            method: Method::POST,
            url: url.to_owned(),
            headers,
            body: question.body.clone(),
            policy: Policy { allow_insecure: question.hook.allow_insecure, timeout, take: Take::Whole(LARGEST) },
        }
    }

    fn read(&self, question: &Question, answer: &Answer) -> Result<Vec<Action>, (&'static str, String)> {
        if !answer.status.is_success() {
            return Err(("status", answer.status.as_u16().to_string()));
        }
        let kind = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(("invalid", "the answer is not application/json".to_owned()));
        }
        let context = answer::Context {
            config: &question.config,
            prompts: &self.prompts,
            app: &question.app,
            lang: &question.lang,
            by: "answer_hook",
        };
        answer::read(&answer.body, &context).map_err(|words| ("invalid", words))
    }

    fn done(&self, mut asked: Asked, began: Instant) -> Asked {
        asked.took = self.since(began);
        self.measures.asked(asked.actions.is_ok(), asked.took);
        asked
    }

    fn stand(&self, urls: &HashMap<String, Endpoint>) {
        let open = urls.values().filter(|endpoint| endpoint.breaker.is_open()).count();
        self.measures.stand(urls.values().map(|endpoint| endpoint.asking).sum(), open);
    }

    fn now(&self) -> Instant {
        self.clock.now().instant
    }

    fn since(&self, began: Instant) -> Duration {
        self.now().saturating_duration_since(began)
    }

    fn urls(&self) -> MutexGuard<'_, HashMap<String, Endpoint>> {
        self.urls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asking<'_> {
    /// What it came to. (A question given up because its call has ended says nothing of the hook.)
    fn over(self, good: bool) {
        let now = self.hooks.now();
        if let Some(endpoint) = self.hooks.urls().get_mut(self.url) {
            if good { endpoint.breaker.succeeded() } else { endpoint.breaker.failed(now) }
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut urls = self.hooks.urls();
        if let Some(endpoint) = urls.get_mut(self.url) {
            endpoint.asking = endpoint.asking.saturating_sub(1);
        }
        self.hooks.stand(&urls);
    }
}

fn word(failure: &Failure) -> &'static str {
    match failure {
        Failure::TimedOut => "timeout",
        Failure::TooLarge => "too_large",
        Failure::Broken => "invalid",
        Failure::Url(_)
        | Failure::Unresolved
        | Failure::Forbidden
        | Failure::Connect(_)
        | Failure::NoAuthorities
        | Failure::Tls(_)
        | Failure::Closed => "unreachable",
    }
}
