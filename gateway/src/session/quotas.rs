//! How many sessions the widgets of an app, one of its keys, or a back end may open. Counted are new sessions of those who
//! have shown the right key: a stranger uses up nobody's share.

use std::time::Instant;

use trunkline_config::{App, Config};

use super::keys::digest;
use super::{Caller, NewSession};
use crate::limiter::{Limiter, Rate};
use crate::problem::Problem;

#[derive(Default)]
pub(super) struct Quotas {
    apps: Limiter<String>,
    widget_keys: Limiter<(String, [u8; 32])>,
    api_keys: Limiter<String>,
}

impl Quotas {
    /// Counts a session. Problem: `rate-limited` 429.
    pub(super) fn take(
        &self,
        now: Instant,
        config: &Config,
        app: &App,
        caller: Caller<'_>,
        asked: &NewSession,
    ) -> Result<(), Problem> {
        match caller {
            Caller::Widget { .. } => {
                // The key first: one that is shown too often leaves the others their share of the app's.
                let key = (app.id.clone(), digest(asked.widget_key.as_deref().unwrap_or_default()));
                let rate = Rate::a_minute(app.limits.sessions_per_minute_per_widget_key);
                self.widget_keys.take(now, rate, key)?;
                self.apps.take(now, Rate::a_minute(app.limits.sessions_per_minute), app.id.clone())
            }
            Caller::BackEnd { key } => {
                let rate = Rate::a_minute(config.control.limits.sessions_per_minute_per_key);
                self.api_keys.take(now, rate, key.to_owned())
            }
        }
    }
}
