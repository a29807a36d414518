//! `[[apps.integrations]]`

use super::seconds;
use super::urls::http_url;
use super::{every, id};
use crate::lines::join;
use crate::model::{EVENT_NAMES, Integration, Secret, SigningKeys};
use crate::raw::RawIntegration;
use crate::report::Report;
use crate::secrets::Secrets;
use crate::shape::suggestion;

/// Header names the gateway writes itself.
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Headers an integration may add.
const HEADERS_MAX: usize = 32;

pub(super) fn integration(
    key: &str,
    raw: &RawIntegration,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Integration> {
    let id = id(&format!("{key}.id"), &raw.id, report);
    url(&format!("{key}.url"), raw, report);
    let events = every(&format!("{key}.events"), &raw.events, |key, name| event(key, name, report));
    if events.as_ref().is_some_and(Vec::is_empty) {
        report.note(&format!("{key}.events"), "there is none: nothing is sent");
    }
    let keys = keys(&format!("{key}.secret"), raw, secrets, report);
    let headers = headers(&format!("{key}.headers"), raw, secrets, report);
    id?;
    Some(Integration {
        id: raw.id.clone(),
        url: raw.url.clone(),
        events: events?,
        keys: keys?,
        headers: headers?,
        allow_insecure: raw.allow_insecure,
        retry: raw.retry_seconds.iter().map(|wait| seconds(*wait)).collect(),
        timeout: seconds(raw.timeout_seconds),
        max_in_flight: usize::try_from(raw.max_in_flight).unwrap_or(usize::MAX),
    })
}

fn url(key: &str, raw: &RawIntegration, report: &mut Report) {
    match http_url(&raw.url) {
        Ok(url) if url.scheme == "http" && !raw.allow_insecure => {
            report.problem(key, "must be https, unless allow_insecure = true");
        }
        Ok(_) => {}
        Err(message) => report.problem(key, message),
    }
}

fn keys(key: &str, raw: &RawIntegration, secrets: &Secrets<'_>, report: &mut Report) -> Option<SigningKeys> {
    let secret = secrets.required(report, key, &raw.secret)?;
    SigningKeys::parse(&secret).map_err(|error| report.problem(key, error.to_string())).ok()
}

fn event(key: &str, name: &str, report: &mut Report) -> Option<String> {
    if EVENT_NAMES.contains(&name) {
        return Some(name.to_owned());
    }
    report.problem(key, format!("there is no event {name:?}{}", suggestion(name, EVENT_NAMES.into_iter())));
    None
}

/// RFC 9110 sections 5.1 and 5.5; the value is never shown.
fn headers(
    key: &str,
    raw: &RawIntegration,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Vec<(String, Secret)>> {
    let mut headers = Vec::new();
    let mut whole = true;
    for (at, (name, value)) in raw.headers.iter().enumerate() {
        let key = join(key, name);
        let is_token =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_token {
            report.problem(&key, "is no header name");
        } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            report.problem(&key, "is written by the gateway itself");
        }
        let twin = raw.headers.keys().take(at).find(|other| other.eq_ignore_ascii_case(name));
        if let Some(twin) = twin {
            report.problem(&key, format!("is the same header as {twin:?}"));
        }
        let Some(value) = secrets.required(report, &key, value) else {
            whole = false;
            continue;
        };
        if value.reveal().chars().any(|c| c.is_control() && c != '\t') {
            report.problem(&key, "holds a control character, as a line end");
        }
        headers.push((name.clone(), value));
    }
    if headers.len() > HEADERS_MAX {
        report.problem(key, format!("at most {HEADERS_MAX} headers"));
    }
    whole.then_some(headers)
}
