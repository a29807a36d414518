//! One attempt: a signed request, and what its answer means.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use trunkline_config::Integration;

use super::lane::Verdict;
use super::signature;
use crate::events::Envelope;
use crate::outbound::{Answer, Client, Failure, Policy, Request, Take};

/// Largest body that is sent, bytes.
pub(super) const BODY_BYTES_MAX: usize = 65_536;

/// What attempts come to, in one word each.
pub const RESULTS: [&str; 12] =
    ["2xx", "3xx", "4xx", "5xx", "url", "dns", "address", "connect", "tls", "timeout", "broken", "too_large"];

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    /// One of [`RESULTS`].
    pub(super) word: &'static str,
}

/// Makes one attempt.
pub(super) async fn send(client: &Client, to: &Integration, event: &Envelope, at: Timestamp) -> Outcome {
    let body = event.body();
    let mut headers = signature::headers(&to.keys, event.id.as_str(), at, &body);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    add_static(&mut headers, to);
    let policy = Policy { allow_insecure: to.allow_insecure, timeout: to.timeout, take: Take::Nothing };
    let request = Request { method: Method::POST, url: to.url.clone(), headers, body, policy };
    judge(client.send(&request).await, at)
}

/// Those of the configuration, which checked them; their values are never logged.
fn add_static(headers: &mut HeaderMap, to: &Integration) {
    for (name, value) in &to.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.reveal().as_bytes());
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
}

fn judge(answer: Result<Answer, Failure>, at: Timestamp) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            let verdict = Verdict::Failed { retry_after: None };
            return Outcome { verdict, status: None, error: Some(failure.to_string()), word: failure.word() };
        }
    };
    let (status, error) = (Some(answer.status.as_u16()), Some(format!("answered {}", answer.status.as_u16())));
    let failed = |retry_after| Verdict::Failed { retry_after };
    let (verdict, word) = match answer.status {
        status if status.is_success() => {
            return Outcome { verdict: Verdict::Accepted, status: Some(status.as_u16()), error: None, word: "2xx" };
        }
        status if status.is_client_error() => (Verdict::Refused, "4xx"),
        StatusCode::SERVICE_UNAVAILABLE => (failed(retry_after(&answer.headers, at)), "5xx"),
        status if status.is_redirection() => (failed(None), "3xx"),
        _ => (failed(None), "5xx"),
    };
    Outcome { verdict, status, error, word }
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, at: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from(date.duration_since(at)).ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn statuses_and_what_they_mean() {
        let at = Timestamp::UNIX_EPOCH;
        let failed = Verdict::Failed { retry_after: None };
        for (status, verdict, word) in [
            (200, Verdict::Accepted, "2xx"),
            (202, Verdict::Accepted, "2xx"),
            (204, Verdict::Accepted, "2xx"),
            (299, Verdict::Accepted, "2xx"),
            (301, failed, "3xx"),
            (304, failed, "3xx"),
            (308, failed, "3xx"),
            (400, Verdict::Refused, "4xx"),
            (404, Verdict::Refused, "4xx"),
            (408, Verdict::Refused, "4xx"),
            (410, Verdict::Refused, "4xx"),
            (425, Verdict::Refused, "4xx"),
            (429, Verdict::Refused, "4xx"),
            (500, failed, "5xx"),
            (502, failed, "5xx"),
            (503, failed, "5xx"),
            (599, failed, "5xx"),
            (999, failed, "5xx"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let outcome = judge(Ok(Answer { status, headers: HeaderMap::new(), body: Bytes::new() }), at);
            assert_eq!((outcome.verdict, outcome.word), (verdict, word), "{status}");
            assert_eq!(outcome.error.is_some(), verdict != Verdict::Accepted);
            assert!(RESULTS.contains(&outcome.word));
        }
        for failure in [
            Failure::TimedOut,
            Failure::Closed,
            Failure::Tls("x".into()),
            Failure::Forbidden,
            Failure::Unresolved,
            Failure::Url("x"),
            Failure::Connect(std::io::ErrorKind::ConnectionRefused),
            Failure::TooLarge,
        ] {
            let outcome = judge(Err(failure), at);
            assert_eq!((outcome.verdict, outcome.status), (failed, None));
            assert!(RESULTS.contains(&outcome.word), "{}", outcome.word);
        }
    }

    #[test]
    fn a_receiver_may_say_when_to_come_again() {
        let at = Timestamp::from_second(784_111_777).unwrap();
        let asked = |status: StatusCode, value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            match judge(Ok(Answer { status, headers, body: Bytes::new() }), at).verdict {
                Verdict::Failed { retry_after } => retry_after.map(|wait| wait.as_secs()),
                Verdict::Accepted | Verdict::Refused => panic!(),
            }
        };
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(asked(busy, "120"), Some(120));
        assert_eq!(asked(busy, "Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(asked(busy, "Sun, 06 Nov 1994 08:40:37 GMT"), None, "it is past");
        assert_eq!(asked(busy, "soon"), None);
        assert_eq!(asked(busy, "-1"), None);
        assert_eq!(asked(StatusCode::INTERNAL_SERVER_ERROR, "120"), None);
        assert_eq!(asked(StatusCode::FOUND, "120"), None);
    }
}
