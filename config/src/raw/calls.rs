//! `[[trunks]] calls`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How calls over a trunk are made, and who they say is calling.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawCalls {
    /// What is said of reliable provisional answers (RFC 3262). One that comes is acknowledged whatever is said.
    pub(crate) reliable_provisional: RawReliable,
    /// The INVITE carries no offer: the trunk makes it, in its answer.
    pub(crate) late_offer: bool,
    /// Redirections (3xx) that are followed, for each destination; 0 = none.
    #[schemars(range(min = 0, max = 10))]
    pub(crate) redirects: u8,
    /// Hosts a redirection may name beside the trunk's own. They are sent no credentials.
    #[schemars(length(max = 64))]
    pub(crate) redirect_hosts: Vec<String>,
    /// User of From.
    pub(crate) from_user: String,
    /// Display name of From; empty = none.
    pub(crate) from_name: String,
    /// P-Asserted-Identity (RFC 3325), a sip:, sips: or tel: URI; empty = none. For trunks that trust the gateway.
    pub(crate) asserted_identity: String,
    /// Privacy (RFC 3323): what the trunk is to hide. With any of them From is anonymous.
    #[schemars(length(max = 5))]
    pub(crate) privacy: Vec<RawPrivacy>,
    /// Header fields beside X-… and User-to-User that a back end may set: Diversion, History-Info.
    #[schemars(length(max = 2))]
    pub(crate) pass_headers: Vec<RawPassed>,
}

impl Default for RawCalls {
    fn default() -> Self {
        Self {
            reliable_provisional: RawReliable::Supported,
            late_offer: false,
            redirects: 5,
            redirect_hosts: Vec::new(),
            from_user: "visitor".into(),
            from_name: String::new(),
            asserted_identity: String::new(),
            privacy: Vec::new(),
            pass_headers: Vec::new(),
        }
    }
}

/// What is said of reliable provisional answers.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawReliable {
    /// Nothing.
    Off,
    /// They are welcome.
    Supported,
    /// There must be no others.
    Required,
}

/// What the trunk is to hide (RFC 3323 section 4.2, RFC 3325 section 9.3).
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawPrivacy {
    /// The asserted identity.
    Id,
    /// Header fields that tell the caller's whereabouts.
    Header,
    /// The session's addresses.
    Session,
    /// Whatever names the user.
    User,
    /// Rather no call than a breach.
    Critical,
}

/// A header field that a back end may set.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
pub(crate) enum RawPassed {
    /// RFC 5806.
    #[serde(rename = "Diversion")]
    Diversion,
    /// RFC 7044.
    #[serde(rename = "History-Info")]
    HistoryInfo,
}
