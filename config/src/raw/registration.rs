//! `trunks.registration`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Registering with a trunk (`register = true`): who, where, and for how long.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawRegistration {
    /// Where REGISTER goes, written as `target`; none = the target. With several, the trunk is registered while one of
    /// them knows us.
    #[schemars(length(max = 4))]
    pub(crate) registrars: Vec<String>,
    /// Who is registered, `sip:user@domain`; empty = the user name of `auth` at the first registrar.
    pub(crate) address: String,
    /// What is bound, as `sip:user@host:port`; none = where the gateway is reached.
    #[schemars(length(max = 4))]
    pub(crate) contacts: Vec<String>,
    /// How long a binding is asked for, seconds. The answer decides, and it is refreshed well before it ends.
    #[schemars(range(min = 30, max = 604_800))]
    pub(crate) expires_seconds: u32,
    /// Pause after a first failure, seconds: random between this and twice as much. It doubles with each further one.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) retry_seconds: u32,
    /// Longest pause between two tries, seconds.
    #[schemars(range(min = 1, max = 86400))]
    pub(crate) retry_max_seconds: u32,
}

impl Default for RawRegistration {
    fn default() -> Self {
        Self {
            registrars: Vec::new(),
            address: String::new(),
            contacts: Vec::new(),
            expires_seconds: 3600,
            retry_seconds: 30,
            retry_max_seconds: 1800,
        }
    }
}
