//! Where sessions are opened: the one path both listeners take.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use trunkline_config::{App, Config, Profile, Receive, Secret};

use super::context::{Report, admit, cut};
use super::hours::{Standing, open_at};
use super::idempotency::{Answers, Claim};
use super::keys::widget_key_fits;
use super::quotas::Quotas;
use super::request::Additions;
use super::store::ClientReport;
use super::{NewSession, Session, Sessions, TokenKeys, ice};
use crate::clock::{Now, rfc3339};
use crate::events::Notice;
use crate::ids::{SessionId, random_bits};
use crate::problem::Problem;
use crate::routing;
use crate::settings::Settings;

/// Octets kept of the name of a profile that does not exist.
const ASKED_BYTES: usize = 64;
/// Sessions at once.
const SESSIONS: usize = 50_000;

/// Who asks for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller<'a> {
    /// A widget: a browser at an address, on a page of an origin.
    Widget {
        /// The client's address, as it is rate-limited.
        address: &'a str,
        /// `Origin`, when it is not the gateway's own.
        origin: Option<&'a str>,
    },
    /// A back end with an API key.
    BackEnd {
        /// The key's name.
        key: &'a str,
    },
}

/// A session that was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The answer of `POST /v1/sessions`.
    pub body: Value,
    /// `None` when this is the answer of an earlier try.
    pub new: Option<New>,
}

/// What there is to tell of a session that was not there before.
#[derive(Debug, Clone, PartialEq)]
pub struct New {
    /// What became of the context.
    pub report: Report,
    /// The event `session_created`.
    pub notice: Notice,
}

/// Opens sessions and checks their tokens.
pub struct Desk {
    settings: Settings,
    /// Signs tokens while no key is configured.
    random: Secret,
    tokens: Mutex<Tokens>,
    quotas: Quotas,
    state: Mutex<State>,
}

/// The keys of one configuration, made once.
struct Tokens {
    of: Arc<Config>,
    keys: Arc<TokenKeys>,
}

struct State {
    sessions: Sessions,
    answers: Answers,
}

impl Desk {
    /// A desk for a configuration. Without a configured key, tokens are good until the process ends.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self::with_room_for(settings, SESSIONS)
    }

    /// As [`Self::new`], with another limit on sessions at once.
    #[must_use]
    pub fn with_room_for(settings: Settings, sessions: usize) -> Self {
        let random = Secret::new(random_bits::<32>().map(|byte| format!("{byte:02x}")).concat());
        let tokens = Mutex::new(Tokens::new(settings.load(), &random));
        let state = Mutex::new(State { sessions: Sessions::new(sessions), answers: Answers::default() });
        Self { settings, random, tokens, quotas: Quotas::default(), state }
    }

    /// Opens a session. Problems in this order: `unknown-app`, `widget-key-mismatch`, `origin-not-allowed`,
    /// `provider-not-active`, `idempotency-key-reused`, `rate-limited`, `overloaded`.
    pub fn open(
        &self,
        now: Now,
        caller: Caller<'_>,
        asked: &NewSession,
        claim: Option<&Claim>,
    ) -> Result<Opened, Problem> {
        let config = self.settings.load();
        let app = app_of(&config, &asked.app).ok_or_else(|| Problem::unknown_app("check the app id"))?;
        let additions = match caller {
            Caller::Widget { origin, .. } => {
                check_widget(app, asked, origin)?;
                Additions::default()
            }
            Caller::BackEnd { .. } => asked.additions()?,
        };
        let receives = asked.receives()?;
        match receives {
            Some(_) => check_receive(&config, app, caller)?,
            None if has_enabled_trunk(&config, app, additions.destination.as_deref()) => {}
            None => return Err(Problem::provider_not_active("enable a trunk for the app")),
        }
        let mut state = self.state();
        if let Some(claim) = claim
            && let Some(body) = state.answers.find(now.instant, claim)?
        {
            return Ok(Opened { body, new: None });
        }
        self.quotas.take(now.instant, &config, app, caller, asked)?;
        let (session, report) = build(now, app, asked, additions);
        let (token, expires_at) = self.tokens().issue(now.wall, &session, random_bits())?;
        let survey = profile_of(app, session.profile.as_deref()).is_some_and(|profile| profile.survey);
        let mut body = json!({
            "session": session.id, "token": token, "expires_at": rfc3339(expires_at), "profile": session.profile,
            "profile_fallback": session.profile_fallback, "survey": survey, "context_report": report,
            "ice_servers": ice::servers(&config.public.ice_servers, now.wall, &session.id),
        });
        let standing = standing(now, app, &session);
        let notice = notice(&session, standing.get("state"));
        if let Value::Object(body) = &mut body {
            if let Some(name) = receives {
                body.insert("mode".into(), "receive".into());
                body.insert("address".into(), format!("sip:{name}@{}", config.sip.from_host()).into());
            }
            body.extend(standing);
        }
        state.sessions.insert(now.instant, &session)?;
        if let Some(claim) = claim {
            state.answers.keep(now.instant, claim, &body);
        }
        Ok(Opened { body, new: Some(New { report, notice }) })
    }

    /// The keys that check tokens, of the configuration of this moment.
    #[must_use]
    pub fn tokens(&self) -> Arc<TokenKeys> {
        let config = self.settings.load();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&tokens.of, &config) {
            *tokens = Tokens::new(config, &self.random);
        }
        Arc::clone(&tokens.keys)
    }

    /// Whether a page of this origin may use the app.
    #[must_use]
    pub fn allows_origin(&self, app: &str, origin: &str) -> bool {
        app_of(&self.settings.load(), app).is_some_and(|app| allows(app, origin))
    }

    /// Whether a page of this origin may use any app: all that is known at a preflight.
    #[must_use]
    pub fn knows_origin(&self, origin: &str) -> bool {
        self.settings.load().apps.iter().any(|app| allows(app, origin))
    }

    /// A session that may still start calls.
    #[must_use]
    pub fn session(&self, now: Now, id: &SessionId) -> Option<Session> {
        self.state().sessions.get(now.instant, id)
    }

    /// Keeps a report for the session's next call.
    pub fn note_report(&self, id: &SessionId, report: ClientReport) {
        self.state().sessions.note(id, report);
    }

    /// Hands over the reports kept for a session.
    #[must_use]
    pub fn take_reports(&self, id: &SessionId) -> Vec<ClientReport> {
        self.state().sessions.take_reports(id)
    }

    /// Forgets expired sessions and answers; the number of sessions left.
    pub fn reap(&self, now: Now) -> usize {
        let mut state = self.state();
        state.answers.forget_old(now.instant);
        state.sessions.reap(now.instant);
        state.sessions.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    fn new(of: Arc<Config>, random: &Secret) -> Self {
        let keys = TokenKeys::new(&of.public.token_keys, random, &of.public.url);
        Self { keys: Arc::new(keys), of }
    }
}

/// What of the answer of `POST /v1/sessions` depends on the hour.
fn standing(now: Now, app: &App, session: &Session) -> Map<String, Value> {
    let hours = app.hours_of(session.profile.as_deref());
    let members = match open_at(hours, now.wall) {
        // A preview shows the widget as it is, whatever the hour.
        _ if session.preview => json!({"state": "preview"}),
        // Who waits for calls decides when.
        _ if session.receive.is_some() => json!({"state": "ready"}),
        Standing::Open => json!({"state": "ready"}),
        Standing::Closed { opens_at, label } => {
            json!({"state": "closed", "opens_at": opens_at.map(rfc3339), "label": label})
        }
    };
    if let Value::Object(members) = members { members } else { Map::new() }
}

fn notice(session: &Session, state: Option<&Value>) -> Notice {
    let context = session.context.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    Notice {
        preview: session.preview,
        context: context.collect::<Map<_, _>>().into(),
        ..Notice::new("session_created")
    }
    .of_app(&session.app)
    .with("session", session.id.as_str())
    .with("state", state.cloned())
    .with("profile", session.profile.clone())
    .with("profile_fallback", session.profile_fallback)
    .with("lang", session.lang.as_str())
    .with("has_form_values", !session.form.is_empty())
}

fn app_of<'a>(config: &'a Config, id: &str) -> Option<&'a App> {
    config.apps.iter().find(|app| app.id == id)
}

/// Whether a page of this origin may use the app.
fn allows(app: &App, origin: &str) -> bool {
    app.allowed_origins.iter().any(|allowed| allowed == origin)
}

fn check_widget(app: &App, asked: &NewSession, origin: Option<&str>) -> Result<(), Problem> {
    if !widget_key_fits(&app.widget_keys, asked.widget_key.as_deref().unwrap_or_default()) {
        return Err(Problem::widget_key_mismatch("check widget_key"));
    }
    match origin {
        Some(origin) if !allows(app, origin) => {
            Err(Problem::origin_not_allowed("add the page's origin to the app's allowed_origins"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Who may wait for calls, and whether any can come.
fn check_receive(config: &Config, app: &App, caller: Caller<'_>) -> Result<(), Problem> {
    match (app.receive, caller) {
        (Receive::BackEnd | Receive::Widget, Caller::BackEnd { .. }) | (Receive::Widget, Caller::Widget { .. }) => {}
        (Receive::Off, _) | (Receive::BackEnd, Caller::Widget { .. }) => {
            return Err(Problem::receive_not_allowed("see the app's receive"));
        }
    }
    if routing::is_called(config, app) {
        return Ok(());
    }
    Err(Problem::provider_not_active("enable a trunk with inbound calls for the app"))
}

/// The app's own trunk, or one that a destination names as its host.
fn has_enabled_trunk(config: &Config, app: &App, given: Option<&str>) -> bool {
    let is_trunk = |id: &str| config.trunks.iter().any(|trunk| trunk.enabled && trunk.id == id);
    let group = |id: &str| config.trunk_groups.iter().find(|group| group.id == id);
    let enabled = |id: &str| is_trunk(id) || group(id).is_some_and(|g| g.members.iter().any(|m| is_trunk(&m.trunk)));
    let mut destinations = app.profiles.iter().flat_map(|profile| &profile.destinations).map(String::as_str);
    app.trunk.as_deref().is_some_and(enabled)
        || given.is_some_and(|uri| enabled(host(uri)))
        || destinations.any(|uri| enabled(host(uri)))
}

fn build(now: Now, app: &App, asked: &NewSession, additions: Additions) -> (Session, Report) {
    let (context, report) = admit(&asked.context.0, app.context);
    let (form, _) = admit(&asked.form.0, app.context);
    let wanted = asked.profile.as_deref();
    let found = profile_of(app, wanted);
    let profile = found.or_else(|| profile_of(app, app.default_profile.as_deref())).or_else(|| app.profiles.first());
    let session = Session {
        id: SessionId::from_random(random_bits()),
        app: app.id.clone(),
        profile: profile.map(|profile| profile.id.clone()),
        profile_fallback: wanted.is_some() && found.is_none(),
        asked_profile: wanted.filter(|_| found.is_none()).map(|asked| cut(asked, ASKED_BYTES).to_owned()),
        lang: asked.language(),
        preview: asked.preview,
        receive: asked.receives().ok().flatten().map(str::to_owned),
        context,
        form,
        destination: additions.destination,
        headers: additions.headers,
        metadata: additions.metadata,
        created: now.instant,
    };
    (session, report)
}

fn profile_of<'a>(app: &'a App, id: Option<&str>) -> Option<&'a Profile> {
    id.and_then(|id| app.profiles.iter().find(|profile| profile.id == id))
}

/// The host of a SIP URI: what follows `@` (or the scheme), up to a port, parameter or header.
fn host(uri: &str) -> &str {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    rest.split([':', ';', '?', '>']).next().unwrap_or(rest)
}
