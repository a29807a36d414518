//! A list of actions as it is written, in a hook's answer or a request, read strictly: what is not understood is refused
//! as a whole, before anything of it is done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use trunkline_config::Config;
use utoipa::ToSchema;

use crate::call::actions::MAX_ACTIONS;
use crate::call::{Action, Connect, Manner, Sound, headers};
use crate::prompts::Prompts;
use crate::routing::{self, Limits, MAX_DESTINATIONS};

/// Longest text that is spoken, characters.
pub const MAX_TEXT: usize = 1_500;
/// Longest name of a recording, and URL.
const MAX_NAME: usize = 64;
const MAX_URL: usize = 2_048;
/// Longest language tag (RFC 5646 section 4.4.1).
const MAX_LANG: usize = 35;
/// Longest times, seconds.
const MAX_RING: u32 = 600;
const MAX_CALL: u32 = 86_400;

/// A list as it is written.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionList {
    /// What is to be done, in order.
    #[schema(max_items = 16)]
    actions: Vec<Written>,
}

/// One thing to do.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = Action)]
enum Written {
    /// Let the visitor hear a text.
    Say {
        /// What is said.
        #[schema(min_length = 1, max_length = 1500, pattern = "\\S")]
        text: String,
        /// BCP 47; the session's language if not said.
        #[serde(default)]
        #[schema(max_length = 35, pattern = "^[A-Za-z0-9]{1,8}([-_][A-Za-z0-9]{1,8})*$")]
        lang: Option<String>,
        /// Over what the agent says, who is heard softer meanwhile; else instead of him.
        #[serde(default)]
        mix: bool,
    },
    /// Let the visitor hear a recording, by its name or by its URL.
    Play {
        /// Its name.
        #[serde(default)]
        #[schema(min_length = 1, max_length = 64)]
        prompt: Option<String>,
        /// Its URL.
        #[serde(default)]
        #[schema(max_length = 2048, pattern = "^https?://[!-~]*$")]
        url: Option<String>,
        /// Over what the agent says, who is heard softer meanwhile; else instead of him.
        #[serde(default)]
        mix: bool,
    },
    /// Dial destinations in order; what stands behind it is for when none answers.
    Connect {
        /// SIP or tel URIs; the host may be a trunk's id.
        #[schema(min_items = 1, max_items = 16)]
        destinations: Vec<String>,
        /// `X-` header fields for the INVITE; they win over the session's.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// How long each may ring, within the trunk's own limit.
        #[serde(default)]
        #[schema(minimum = 1, maximum = 600)]
        ring_timeout_seconds: Option<u32>,
        /// Longest call, within the trunk's own limit.
        #[serde(default)]
        #[schema(minimum = 1, maximum = 86400)]
        max_duration_seconds: Option<u32>,
    },
    /// End the call.
    Hangup {},
}

/// For which call a list is.
pub struct Context<'a> {
    /// Its configuration.
    pub config: &'a Config,
    /// All recordings.
    pub prompts: &'a Prompts,
    /// Its app.
    pub app: &'a str,
    /// Its language.
    pub lang: &'a str,
    /// Who hangs up, if somebody does.
    pub by: &'static str,
}

/// Reads `{"actions":[…]}`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(body: &[u8], context: &Context<'_>) -> Result<Vec<Action>, String> {
    let list: ActionList = serde_json::from_slice(body).map_err(|error| format!("no list of actions: {error}"))?;
    if list.actions.len() > MAX_ACTIONS {
        return Err(format!("at most {MAX_ACTIONS} actions"));
    }
    list.actions.into_iter().map(|written| action(written, context)).collect()
}

/// Something to be spoken, if it can be.
///
/// # Errors
/// What is wrong with it, in words.
pub fn say(text: String, lang: Option<String>, default: &str) -> Result<Sound, String> {
    if text.trim().is_empty() || text.chars().count() > MAX_TEXT {
        return Err(format!("text is 1 to {MAX_TEXT} characters"));
    }
    let lang = lang.unwrap_or_else(|| default.to_owned());
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if lang.len() > MAX_LANG || !lang.split(['-', '_']).all(is_part) {
        return Err("lang is a BCP 47 tag, as en or pt-BR".to_owned());
    }
    Ok(Sound::Say { text, lang })
}

/// A recording by its name or URL, whichever is given; [`Sound::Missing`] where there is none of that name.
///
/// # Errors
/// What is wrong with it, in words.
pub fn play(prompt: Option<String>, url: Option<String>, prompts: &Prompts, lang: &str) -> Result<Sound, String> {
    match (prompt, url) {
        (Some(name), None) if (1..=MAX_NAME).contains(&name.len()) => {
            Ok(prompts.get(&name, lang).map_or(Sound::Missing(name), Sound::Prompt))
        }
        (Some(_), None) => Err(format!("prompt is 1 to {MAX_NAME} characters")),
        (None, Some(url)) => {
            let known = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
            let good = known && url.len() <= MAX_URL && url.bytes().all(|b| b.is_ascii_graphic());
            if good { Ok(Sound::Url(url)) } else { Err("url is an https URL".to_owned()) }
        }
        _ => Err("a prompt or a url, one of them".to_owned()),
    }
}

fn action(written: Written, context: &Context<'_>) -> Result<Action, String> {
    Ok(match written {
        Written::Say { text, lang, mix } => Action::Hear(say(text, lang, context.lang)?, over(mix)),
        Written::Play { prompt, url, mix } => {
            Action::Hear(play(prompt, url, context.prompts, context.lang)?, over(mix))
        }
        Written::Connect { destinations, headers, ring_timeout_seconds, max_duration_seconds } => {
            if !(1..=MAX_DESTINATIONS).contains(&destinations.len()) {
                return Err(format!("1 to {MAX_DESTINATIONS} destinations"));
            }
            let limits = Limits {
                ring: seconds("ring_timeout_seconds", ring_timeout_seconds, MAX_RING)?,
                duration: seconds("max_duration_seconds", max_duration_seconds, MAX_CALL)?,
            };
            let plan = routing::dial(context.config, context.app, &destinations, limits);
            if headers.len() > headers::MAX_FIELDS || !headers.keys().all(|name| headers::is_free(name)) {
                return Err(format!("headers are at most {} X- fields or User-to-User", headers::MAX_FIELDS));
            }
            Action::Connect(Box::new(Connect { plan, headers: headers.into_iter().collect() }))
        }
        Written::Hangup {} => Action::Hangup(context.by),
    })
}

fn over(mix: bool) -> Manner {
    Manner { over: mix, ..Manner::default() }
}

fn seconds(name: &str, given: Option<u32>, most: u32) -> Result<Option<Duration>, String> {
    match given {
        Some(number) if !(1..=most).contains(&number) => Err(format!("{name} is 1 to {most}")),
        given => Ok(given.map(|number| Duration::from_secs(number.into()))),
    }
}
