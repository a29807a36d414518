//! The answer hook of an app.

use super::text_if_any;
use super::urls::https;
use crate::model::{AnswerHook, SigningKeys};
use crate::raw::RawApp;
use crate::report::Report;
use crate::secrets::Secrets;

/// `None` where there is none, or where it is wrong.
pub(super) fn answer_hook(key: &str, raw: &RawApp, secrets: &Secrets<'_>, report: &mut Report) -> Option<AnswerHook> {
    let (url, fallback_url) = (text_if_any(&raw.answer_url), text_if_any(&raw.answer_fallback_url));
    if url.is_none() && fallback_url.is_some() {
        report.problem(&format!("{key}.answer_fallback_url"), "has no use without answer_url");
    }
    for (name, url) in [("answer_url", &url), ("answer_fallback_url", &fallback_url)] {
        if let Some(url) = url {
            https(&format!("{key}.{name}"), url, ("answer_allow_insecure", raw.answer_allow_insecure), report);
        }
    }
    let url = url?;
    let secret_key = format!("{key}.answer_secret");
    let secret = secrets.required(report, &secret_key, &raw.answer_secret)?;
    let keys = SigningKeys::parse(&secret).map_err(|error| report.broken(&secret_key, error.to_string())).ok()?;
    let max_asking = usize::try_from(raw.answer_max_asking).unwrap_or(usize::MAX);
    Some(AnswerHook { url, fallback_url, keys, max_asking, allow_insecure: raw.answer_allow_insecure })
}
