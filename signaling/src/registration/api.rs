//! What a registration is told, and what it tells.

use crate::auth::Credentials;
use crate::message::{Request, SipUri};

use super::Pace;

/// What is registered, where and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Request-URI.
    pub registrar: SipUri,
    /// To and From.
    pub address_of_record: SipUri,
    /// What is bound; never empty.
    pub contacts: Vec<SipUri>,
    /// How long the bindings are asked for, seconds.
    pub expires: u32,
    /// For 401 and 407.
    pub credentials: Option<Credentials>,
    /// Through which every request goes.
    pub outbound_proxy: Option<SipUri>,
    /// How failures slow it down.
    pub pace: Pace,
    /// The one contact is where the registrar sees us: we are behind a NAT and nobody told us its address.
    pub follow_observed: bool,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has answered yet.
    Registering,
    /// Bound.
    Registered,
    /// Not bound.
    Failed,
    /// Given up on purpose.
    Unregistered,
}

/// Why a try came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The final answer.
    Status(u16),
    /// The registrar does not take our credentials, or asks for some and there are none.
    Credentials,
    /// Redirected too often, or to where it may not go.
    Redirected,
    /// A 2xx that binds none of our contacts.
    NotBound,
    /// No answer.
    NoAnswer,
    /// The network refused it.
    Unreachable,
    /// No encrypted connection came up.
    Tls,
    /// The registrar's name has no address.
    Dns,
}

impl Failure {
    /// In a word, for records.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Self::Status(status) => format!("status_{status}"),
            Self::Credentials => "credentials".into(),
            Self::Redirected => "redirected".into(),
            Self::NotBound => "not_bound".into(),
            Self::NoAnswer => "no_answer".into(),
            Self::Unreachable => "unreachable".into(),
            Self::Tls => "tls".into(),
            Self::Dns => "dns".into(),
        }
    }

    /// Whether the registrar means us, and not the moment: what it refuses like that it will not keep either.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Status(status) => {
                (400..500).contains(status) && !matches!(status, 408 | 423 | 429 | 480 | 491)
                    || (600..700).contains(status)
            }
            Self::Credentials | Self::NotBound => true,
            Self::Redirected | Self::NoAnswer | Self::Unreachable | Self::Tls | Self::Dns => false,
        }
    }
}

/// What a registration counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tries that bound the contacts.
    pub granted: u64,
    /// Tries that came to nothing.
    pub failed: u64,
}

/// A REGISTER to send, whole but for its Via.
#[derive(Debug, Clone)]
pub struct Order {
    /// Where it goes: the registrar, the outbound proxy, or where a redirection pointed.
    pub hop: SipUri,
    /// What goes there.
    pub request: Request,
}
