//! Apps.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Receive, Secret, SigningKeys};

/// An app: one widget owner.
#[derive(Debug, Clone)]
pub struct App {
    /// Its name.
    pub id: String,
    /// Keys its widgets show.
    pub widget_keys: Vec<WidgetKey>,
    /// `scheme://host[:port]`, exactly.
    pub allowed_origins: Vec<String>,
    /// Trunk of its destinations that name none.
    pub trunk: Option<String>,
    /// Profile used when a session names none or an unknown one.
    pub default_profile: Option<String>,
    /// Calls at once.
    pub max_calls: u32,
    /// Limits on its widgets.
    pub limits: AppLimits,
    /// Answer hook, if there is one.
    pub answer: Option<AnswerHook>,
    /// Recordings named by URL may be http and at private addresses, as the answer hook may.
    pub allow_insecure_urls: bool,
    /// Business hours.
    pub hours: Hours,
    /// Who may wait for calls from the trunk.
    pub receive: Receive,
    /// Profiles.
    pub profiles: Vec<Profile>,
    /// Webhooks.
    pub integrations: Vec<Integration>,
    /// Context caps.
    pub context: ContextLimits,
}

impl App {
    /// The business hours of a profile: its own, or else the app's.
    #[must_use]
    pub fn hours_of(&self, profile: Option<&str>) -> &Hours {
        let profile = profile.and_then(|id| self.profiles.iter().find(|profile| profile.id == id));
        profile.and_then(|profile| profile.hours.as_ref()).unwrap_or(&self.hours)
    }
}

/// Limits on an app's widgets; 0 = none.
#[derive(Debug, Clone, Copy)]
pub struct AppLimits {
    /// New sessions a minute, of all its widgets.
    pub sessions_per_minute: u32,
    /// New sessions a minute with one widget key.
    pub sessions_per_minute_per_widget_key: u32,
}

/// Who is asked what to do with an app's calls.
#[derive(Debug, Clone)]
pub struct AnswerHook {
    /// Asked first.
    pub url: String,
    /// Asked when that fails.
    pub fallback_url: Option<String>,
    /// Sign the questions.
    pub keys: SigningKeys,
    /// Questions at once.
    pub max_asking: usize,
    /// http and private addresses are allowed.
    pub allow_insecure: bool,
}

/// A widget key, as it is or as its SHA-256.
#[derive(Debug, Clone)]
pub enum WidgetKey {
    /// The key.
    Plain(Secret),
    /// `sha256:<hex>`.
    Sha256([u8; 32]),
}

/// Caps on a session's context.
#[derive(Debug, Clone, Copy)]
pub struct ContextLimits {
    /// Per value, bytes (default 256).
    pub value_bytes: usize,
    /// In all, bytes of keys and values (default 4096).
    pub total_bytes: usize,
}

/// When calls are taken.
#[derive(Debug, Clone)]
pub enum Hours {
    /// Around the clock.
    Always,
    /// By timetable.
    Schedule(Schedule),
}

/// A weekly timetable in one time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Whose wall clock counts.
    pub timezone: TimeZone,
    /// Monday first: each window's first and last open minute of the day (09:00-14:00 is 540..=839).
    pub week: [Vec<RangeInclusive<u16>>; 7],
    /// Days that differ.
    pub exceptions: BTreeMap<Date, ScheduleException>,
}

/// A day that differs from its weekday.
#[derive(Debug, Clone)]
pub struct ScheduleException {
    /// Windows of that day, as in [`Schedule::week`]; empty = closed.
    pub windows: Vec<RangeInclusive<u16>>,
    /// Shown to people.
    pub label: Option<String>,
}

/// A profile: where an app's calls go.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub id: String,
    /// SIP URIs, tried in order; the host may be a trunk id.
    pub destinations: Vec<String>,
    /// Whether the widget shows its survey.
    pub survey: bool,
    /// Its own business hours; `None`: the app's.
    pub hours: Option<Hours>,
}

/// Names of the events there are: what an integration may ask for.
pub const EVENT_NAMES: [&str; 17] = [
    "session_created",
    "call_started",
    "call_ringing",
    "call_answered",
    "network_quality_changed",
    "issue_detected",
    "issue_cleared",
    "call_reconnecting",
    "call_reconnected",
    "dtmf_received",
    "call_transferred",
    "call_transfer_failed",
    "call_ended",
    "call_error",
    "trunk_state_changed",
    "integration_paused",
    "node_draining",
];

/// A webhook destination.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Its name, unique over all apps.
    pub id: String,
    /// Where events go.
    pub url: String,
    /// Which.
    pub events: Vec<String>,
    /// They sign what is sent.
    pub keys: SigningKeys,
    /// Static headers.
    pub headers: Vec<(String, Secret)>,
    /// http and private addresses allowed.
    pub allow_insecure: bool,
    /// Waits between attempts.
    pub retry: Vec<Duration>,
    /// Longest an attempt takes.
    pub timeout: Duration,
    /// Deliveries under way at once.
    pub max_in_flight: usize,
}
