//! `[public]` and `[control]`: the two HTTP listeners.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::ice::ice_servers;
use super::tokens::token_keys;
use super::urls::{http_url, is_local, origin_of};
use super::{every, id, ip, listen, unique};
use crate::host::Host;
use crate::lines::item;
use crate::model::{ApiKey, Control, ControlLimits, Public, PublicLimits, Scope};
use crate::raw::{RawApiKey, RawControl, RawPublic, RawScope};
use crate::report::Report;
use crate::secrets::Secrets;

/// A shorter API key could be guessed.
const API_KEY_BYTES_MIN: usize = 8;

pub(super) fn public(raw: &RawPublic, host: &Host, secrets: &Secrets<'_>, report: &mut Report) -> Option<Public> {
    let listen = listen("public.listen", &raw.listen, report);
    let url = url(raw, listen, report);
    let trusted_proxies = every("public.trusted_proxies", &raw.trusted_proxies, |key, text| ip(key, text, report));
    let tls = raw.tls.as_ref().and_then(|tls| super::tls::tls("public.tls", tls, host, secrets, report));
    let insecure = raw.tls.is_none() && listen.is_some_and(|listen| !listen.ip().is_loopback());
    if insecure && !raw.allow_insecure {
        let advice =
            "set public.tls, listen on loopback behind a proxy that terminates TLS, or set allow_insecure = true";
        report.problem("public.listen", format!("plain HTTP beyond this machine is refused: {advice}"));
    }
    let token_keys = token_keys(&raw.token_key, secrets, report);
    let ice_servers = ice_servers(&raw.ice_servers, secrets, report);
    Some(Public {
        listen: listen?,
        url: url?,
        allow_insecure: raw.allow_insecure,
        tls,
        trusted_proxies: trusted_proxies?,
        limits: PublicLimits {
            sessions_per_minute_per_address: raw.limits.sessions_per_minute_per_address,
            calls_per_minute_per_address: raw.limits.calls_per_minute_per_address,
        },
        token_keys: token_keys?,
        ice_servers: ice_servers?,
    })
}

pub(super) fn control(raw: &RawControl, secrets: &Secrets<'_>, report: &mut Report) -> Option<Control> {
    let listen = listen("control.listen", &raw.listen, report);
    if listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        report.note("control.listen", "plain HTTP beyond this machine: only operators and back ends may reach it");
    }
    let name_key = |at: usize| format!("{}.name", item("control.api_keys", at));
    unique(raw.api_keys.iter().enumerate().map(|(at, key)| (name_key(at), key.name.as_str())), report);
    let api_keys = every("control.api_keys", &raw.api_keys, |key, raw| api_key(key, raw, secrets, report));
    if raw.api_keys.is_empty() {
        report.note("control.api_keys", "there is none: nobody can look at calls or steer them");
    }
    if let Some(api_keys) = &api_keys {
        distinct(api_keys, report);
    }
    let limits = ControlLimits { sessions_per_minute_per_key: raw.limits.sessions_per_minute_per_key };
    Some(Control { listen: listen?, api_keys: api_keys?, limits })
}

fn url(raw: &RawPublic, listen: Option<SocketAddr>, report: &mut Report) -> Option<String> {
    const KEY: &str = "public.url";
    if raw.url.is_empty() {
        let listen = listen?;
        if listen.ip().is_unspecified() {
            report.problem(KEY, format!("must be set: browsers cannot use {}", listen.ip()));
            return None;
        }
        let scheme = if raw.tls.is_some() { "https" } else { "http" };
        return Some(format!("{scheme}://{listen}"));
    }
    let url = match http_url(&raw.url) {
        Ok(url) => url,
        Err(message) => {
            report.problem(KEY, message);
            return None;
        }
    };
    if !matches!(url.rest, "" | "/") {
        report.problem(KEY, format!("must end after the host and port: {:?} is too much", url.rest));
    }
    if url.scheme == "http" && raw.tls.is_some() {
        report.problem(KEY, "must be https, because public.tls is set");
    } else if url.scheme == "http" && !is_local(url.host) {
        report.note(KEY, "http: browsers give the microphone only to pages on https, and those cannot use this URL");
    }
    // As browsers write it: pages of this origin are our own, however the file writes it.
    Some(origin_of(&url))
}

fn api_key(key: &str, raw: &RawApiKey, secrets: &Secrets<'_>, report: &mut Report) -> Option<ApiKey> {
    let name = id(&format!("{key}.name"), &raw.name, report);
    let secret_key = format!("{key}.key");
    let secret = secrets.required(report, &secret_key, &raw.key);
    if secret.as_ref().is_some_and(|secret| secret.reveal().len() < API_KEY_BYTES_MIN) {
        report.problem(&secret_key, format!("must have at least {API_KEY_BYTES_MIN} bytes"));
    }
    if raw.scopes.is_empty() {
        report.problem(&format!("{key}.scopes"), "must name at least one of read, control, admin");
    }
    let mut scopes = Vec::new();
    for scope in &raw.scopes {
        let scope = match scope {
            RawScope::Read => Scope::Read,
            RawScope::Control => Scope::Control,
            RawScope::Admin => Scope::Admin,
        };
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    name?;
    Some(ApiKey { name: raw.name.clone(), key: secret?, scopes })
}

/// Two names for one key would leave the log guessing who it was.
fn distinct(api_keys: &[ApiKey], report: &mut Report) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (at, api_key) in api_keys.iter().enumerate() {
        match seen.get(api_key.key.reveal()) {
            Some(first) => {
                let message = format!("is the same key as {}", item("control.api_keys", *first));
                report.problem(&format!("{}.key", item("control.api_keys", at)), message);
            }
            None => {
                seen.insert(api_key.key.reveal(), at);
            }
        }
    }
}
