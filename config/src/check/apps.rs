//! `[[apps]]`

use std::collections::HashSet;

use super::answer::answer_hook;
use super::destinations::{TrunkIds, destination};
use super::hours::hours;
use super::integrations::integration;
use super::urls::origin;
use super::{every, id, text_if_any, unique};
use crate::lines::item;
use crate::model::{App, AppLimits, ContextLimits, Profile, WidgetKey};
use crate::raw::{RawApp, RawProfile, RawSecret, RawTrunks};
use crate::report::Report;
use crate::secrets::Secrets;
use crate::shape::suggestion;

pub(super) fn apps(
    raw: &[RawApp],
    trunks: &RawTrunks<'_>,
    secrets: &Secrets<'_>,
    report: &mut Report,
) -> Option<Vec<App>> {
    let ids = raw.iter().enumerate().map(|(at, app)| (format!("{}.id", item("apps", at)), app.id.as_str()));
    unique(ids, report);
    unique(integration_ids(raw), report);
    let trunks = TrunkIds::of(trunks.trunks, trunks.groups, report);
    every("apps", raw, |key, raw| app(key, raw, &trunks, secrets, report))
}

/// One name space over all apps: an integration is found by its id alone, in the API, the metrics and the outbox.
fn integration_ids(apps: &[RawApp]) -> impl Iterator<Item = (String, &str)> {
    apps.iter().enumerate().flat_map(|(at, app)| {
        let key = format!("{}.integrations", item("apps", at));
        let of_app = app.integrations.iter().enumerate();
        of_app.map(move |(at, raw)| (format!("{}.id", item(&key, at)), raw.id.as_str()))
    })
}

fn app(key: &str, raw: &RawApp, trunks: &TrunkIds<'_>, secrets: &Secrets<'_>, report: &mut Report) -> Option<App> {
    let id = id(&format!("{key}.id"), &raw.id, report);
    let widget_keys =
        every(&format!("{key}.widget_keys"), &raw.widget_keys, |key, raw| widget_key(key, raw, secrets, report));
    let allowed_origins = origins(&format!("{key}.allowed_origins"), &raw.allowed_origins, report);
    if !raw.trunk.is_empty() {
        trunks.expect(&format!("{key}.trunk"), &raw.trunk, report);
    }
    let profiles = profiles(key, raw, trunks, report);
    default_profile(key, raw, report);
    let answer = answer_hook(key, raw, secrets, report);
    let hours = hours(&format!("{key}.hours"), &raw.hours, report);
    let context = context(key, raw, report);
    let integrations_key = format!("{key}.integrations");
    let integrations = every(&integrations_key, &raw.integrations, |key, raw| integration(key, raw, secrets, report));
    id?;
    Some(App {
        id: raw.id.clone(),
        widget_keys: widget_keys?,
        allowed_origins: allowed_origins?,
        trunk: text_if_any(&raw.trunk),
        default_profile: text_if_any(&raw.default_profile),
        max_calls: raw.max_calls,
        limits: AppLimits {
            sessions_per_minute: raw.limits.sessions_per_minute,
            sessions_per_minute_per_widget_key: raw.limits.sessions_per_minute_per_widget_key,
        },
        answer,
        allow_insecure_urls: raw.answer_allow_insecure,
        hours: hours?,
        receive: super::inbound::receive(raw.receive),
        profiles: profiles?,
        integrations: integrations?,
        context,
    })
}

fn widget_key(key: &str, raw: &RawSecret, secrets: &Secrets<'_>, report: &mut Report) -> Option<WidgetKey> {
    let secret = secrets.required(report, key, raw)?;
    let Some(hex) = secret.reveal().strip_prefix("sha256:") else {
        return Some(WidgetKey::Plain(secret));
    };
    let digest = sha256(hex);
    if digest.is_none() {
        report.problem(key, "sha256: must be followed by 64 hexadecimal digits");
    }
    digest.map(WidgetKey::Sha256)
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let bytes: Option<Vec<u8>> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

fn origins(key: &str, raw: &[String], report: &mut Report) -> Option<Vec<String>> {
    every(key, raw, |key, text| match origin(text) {
        Ok(origin) => Some(origin),
        Err(message) => {
            report.problem(key, message);
            None
        }
    })
}

fn profiles(key: &str, app: &RawApp, trunks: &TrunkIds<'_>, report: &mut Report) -> Option<Vec<Profile>> {
    let key = format!("{key}.profiles");
    let ids = app.profiles.iter().enumerate();
    unique(ids.map(|(at, raw)| (format!("{}.id", item(&key, at)), raw.id.as_str())), report);
    every(&key, &app.profiles, |key, raw| profile(key, raw, app, trunks, report))
}

fn profile(key: &str, raw: &RawProfile, app: &RawApp, trunks: &TrunkIds<'_>, report: &mut Report) -> Option<Profile> {
    let id = id(&format!("{key}.id"), &raw.id, report);
    let destinations_key = format!("{key}.destinations");
    if raw.destinations.is_empty() {
        report.note(&destinations_key, "there is none: calls of this profile end with no_destination");
    }
    let destinations = every(&destinations_key, &raw.destinations, |key, text| {
        destination(key, text, &app.trunk, trunks, report).map(|()| text.clone())
    });
    let own_hours = match &raw.hours {
        Some(raw) => Some(Some(hours(&format!("{key}.hours"), raw, report)?)),
        None => Some(None),
    };
    id?;
    Some(Profile { id: raw.id.clone(), destinations: destinations?, survey: raw.survey, hours: own_hours? })
}

fn default_profile(key: &str, raw: &RawApp, report: &mut Report) {
    let ids: HashSet<&str> = raw.profiles.iter().map(|profile| profile.id.as_str()).collect();
    if !raw.default_profile.is_empty() && !ids.contains(raw.default_profile.as_str()) {
        let near = suggestion(&raw.default_profile, raw.profiles.iter().map(|profile| profile.id.as_str()));
        report
            .problem(&format!("{key}.default_profile"), format!("there is no profile {:?}{near}", raw.default_profile));
    }
}

fn context(key: &str, raw: &RawApp, report: &mut Report) -> ContextLimits {
    let bytes = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let limits =
        ContextLimits { value_bytes: bytes(raw.context.value_bytes), total_bytes: bytes(raw.context.total_bytes) };
    if limits.total_bytes > 0 && limits.value_bytes > limits.total_bytes {
        report.problem(&format!("{key}.context.value_bytes"), "must not be more than total_bytes");
    }
    limits
}
