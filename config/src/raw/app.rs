//! `[[apps]]`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RawReceive, RawSecret};

/// An app: one owner of widgets.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id"]))]
pub(crate) struct RawApp {
    /// Its name.
    pub(crate) id: String,
    /// Keys its widgets show: the key itself, `sha256:` and the key's SHA-256 in hex, `env:NAME` or `file:PATH`.
    #[schemars(length(max = 64))]
    pub(crate) widget_keys: Vec<RawSecret>,
    /// Origins its pages may have, exactly: `scheme://host[:port]`. None = no cross-origin use.
    #[schemars(length(max = 1024))]
    pub(crate) allowed_origins: Vec<String>,
    /// Trunk of destinations whose host names none; empty = none.
    pub(crate) trunk: String,
    /// Profile used when a session names none or an unknown one; empty = none.
    pub(crate) default_profile: String,
    /// Calls at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_calls: u32,
    /// Hook asked what to do with a call; empty = none.
    pub(crate) answer_url: String,
    /// Hook asked when `answer_url` fails; empty = none.
    pub(crate) answer_fallback_url: String,
    /// Limits on its widgets.
    pub(crate) limits: RawAppLimits,
    /// Signing secret of the questions: the value itself, `env:NAME` or `file:PATH`.
    pub(crate) answer_secret: RawSecret,
    /// Questions to these hooks at once; calls beyond go to the destinations of their profile.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) answer_max_asking: u32,
    /// Allows http and private addresses for the hooks and for recordings named by URL, for a back end on this machine.
    pub(crate) answer_allow_insecure: bool,
    /// When calls are taken.
    pub(crate) hours: RawHours,
    /// Who may wait for calls from the trunk.
    pub(crate) receive: RawReceive,
    /// Caps on what a page may attach to a session.
    pub(crate) context: RawContext,
    /// Profiles: where calls go.
    #[schemars(length(max = 1024))]
    pub(crate) profiles: Vec<RawProfile>,
    /// Webhook destinations.
    #[schemars(length(max = 64))]
    pub(crate) integrations: Vec<RawIntegration>,
}

impl Default for RawApp {
    fn default() -> Self {
        Self {
            id: String::new(),
            widget_keys: Vec::new(),
            allowed_origins: Vec::new(),
            trunk: String::new(),
            default_profile: String::new(),
            max_calls: 500,
            answer_url: String::new(),
            answer_fallback_url: String::new(),
            limits: RawAppLimits::default(),
            answer_secret: RawSecret::default(),
            answer_max_asking: 100,
            answer_allow_insecure: false,
            hours: RawHours { always: true, ..RawHours::default() },
            receive: RawReceive::BackEnd,
            context: RawContext::default(),
            profiles: Vec::new(),
            integrations: Vec::new(),
        }
    }
}

/// Limits on an app's widgets; 0 = no limit.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawAppLimits {
    /// New sessions a minute, of all its widgets.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) sessions_per_minute: u32,
    /// New sessions a minute with one widget key.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) sessions_per_minute_per_widget_key: u32,
}

/// When calls are taken: `always`, or a timetable.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawHours {
    /// Around the clock.
    pub(crate) always: bool,
    /// IANA time zone of the timetable, as Europe/Madrid.
    pub(crate) timezone: String,
    /// Windows of each day of the week, as HH:MM-HH:MM; a day without any is closed.
    pub(crate) week: RawWeek,
    /// Days that differ.
    #[schemars(length(max = 1000))]
    pub(crate) exceptions: Vec<RawException>,
}

/// Windows of each day of the week.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawWeek {
    /// Monday.
    #[schemars(length(max = 24))]
    pub(crate) mon: Vec<String>,
    /// Tuesday.
    #[schemars(length(max = 24))]
    pub(crate) tue: Vec<String>,
    /// Wednesday.
    #[schemars(length(max = 24))]
    pub(crate) wed: Vec<String>,
    /// Thursday.
    #[schemars(length(max = 24))]
    pub(crate) thu: Vec<String>,
    /// Friday.
    #[schemars(length(max = 24))]
    pub(crate) fri: Vec<String>,
    /// Saturday.
    #[schemars(length(max = 24))]
    pub(crate) sat: Vec<String>,
    /// Sunday.
    #[schemars(length(max = 24))]
    pub(crate) sun: Vec<String>,
}

/// A day that differs from its weekday: closed, or with windows of its own.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["date"]))]
pub(crate) struct RawException {
    /// The day, as YYYY-MM-DD.
    #[schemars(extend("format" = "date"))]
    pub(crate) date: String,
    /// Closed all day.
    pub(crate) closed: bool,
    /// Windows of that day, as HH:MM-HH:MM.
    #[schemars(length(max = 24))]
    pub(crate) windows: Vec<String>,
    /// What the day is called, for people.
    pub(crate) label: String,
}

/// Caps on what a page may attach to a session.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawContext {
    /// Bytes per value; longer ones are cut.
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) value_bytes: u32,
    /// Bytes of keys and values in all; keys beyond are dropped.
    #[schemars(range(min = 0, max = 65536))]
    pub(crate) total_bytes: u32,
}

impl Default for RawContext {
    fn default() -> Self {
        Self { value_bytes: 256, total_bytes: 4096 }
    }
}

/// A profile: where an app's calls go.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id"]))]
pub(crate) struct RawProfile {
    /// Its name.
    pub(crate) id: String,
    /// SIP or tel URIs, tried in order; the host may be a trunk's id.
    #[schemars(length(max = 16))]
    pub(crate) destinations: Vec<String>,
    /// Whether the widget shows its survey.
    pub(crate) survey: bool,
    /// When its calls are taken; absent = as the app's.
    pub(crate) hours: Option<RawHours>,
}

impl Default for RawProfile {
    fn default() -> Self {
        Self { id: String::new(), destinations: Vec::new(), survey: true, hours: None }
    }
}

/// A webhook destination.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id", "url", "secret"]))]
pub(crate) struct RawIntegration {
    /// Its name; no other integration of any app has the same.
    pub(crate) id: String,
    /// Where events are sent.
    pub(crate) url: String,
    /// Names of the events sent; none by default.
    #[schemars(length(max = 64))]
    pub(crate) events: Vec<String>,
    /// Signing secret, `whsec_` and 24 to 64 bytes as base64: the value itself, `env:NAME` or `file:PATH`. Several,
    /// separated by spaces, while the receiver changes from one to the next: each signs.
    pub(crate) secret: RawSecret,
    /// Headers sent along; a value may be `env:NAME` or `file:PATH`.
    pub(crate) headers: BTreeMap<String, RawSecret>,
    /// Allows http and private addresses, for a receiver on this machine.
    pub(crate) allow_insecure: bool,
    /// Waits between attempts, seconds, with full jitter; as many retries as there are entries.
    #[schemars(length(max = 10), inner(range(min = 1, max = 86400)))]
    pub(crate) retry_seconds: Vec<u32>,
    /// Longest an attempt takes, from the look-up of the name to the answer, seconds.
    #[schemars(range(min = 1, max = 60))]
    pub(crate) timeout_seconds: u32,
    /// Deliveries under way at once; those of one call never are.
    #[schemars(range(min = 1, max = 64))]
    pub(crate) max_in_flight: u32,
}

impl Default for RawIntegration {
    fn default() -> Self {
        Self {
            id: String::new(),
            url: String::new(),
            events: Vec::new(),
            secret: RawSecret::default(),
            headers: BTreeMap::new(),
            allow_insecure: false,
            retry_seconds: vec![1, 5, 30, 120, 600],
            timeout_seconds: 15,
            max_in_flight: 16,
        }
    }
}
