//! `[public]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RawSecret;

/// The listener browsers use.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawPublic {
    /// Address and port.
    pub(crate) listen: String,
    /// What browsers use, also in Location and Link: `http(s)://host[:port]`. Empty: from `listen`.
    pub(crate) url: String,
    /// Allows plain HTTP on a non-loopback address.
    pub(crate) allow_insecure: bool,
    /// Terminates TLS here, 1.2 and 1.3.
    pub(crate) tls: Option<RawTls>,
    /// Addresses of proxies whose X-Forwarded-For is believed.
    #[schemars(length(max = 256))]
    pub(crate) trusted_proxies: Vec<String>,
    /// Limits per client address.
    pub(crate) limits: RawLimits,
    /// Key of session tokens, or a list of them of which the first signs and all check: a secret of 32 bytes or more
    /// (HS256), or an Ed25519 key in PEM (EdDSA; a public one only checks). Tokens survive a restart, and nodes sharing
    /// a key take each other's. Empty: random at every start.
    pub(crate) token_key: RawTokenKeys,
    /// STUN and TURN servers told to browsers.
    #[schemars(length(max = 16))]
    pub(crate) ice_servers: Vec<RawIceServer>,
}

impl Default for RawPublic {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            url: String::new(),
            allow_insecure: false,
            tls: None,
            trusted_proxies: Vec::new(),
            limits: RawLimits::default(),
            token_key: RawTokenKeys::default(),
            ice_servers: Vec::new(),
        }
    }
}

/// Certificate and key, relative to the configuration file.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["certificate", "key"]))]
pub(crate) struct RawTls {
    /// PEM file with the certificate chain.
    pub(crate) certificate: String,
    /// PEM file with the private key.
    pub(crate) key: String,
}

/// Limits per client address; 0 = no limit.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawLimits {
    /// New sessions a minute.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) sessions_per_minute_per_address: u32,
    /// New calls a minute.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) calls_per_minute_per_address: u32,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { sessions_per_minute_per_address: 60, calls_per_minute_per_address: 30 }
    }
}

/// One key of session tokens, or several: each the value itself, `env:NAME` or `file:PATH`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RawTokenKeys {
    /// The first signs, all check.
    Several(#[schemars(length(max = 8))] Vec<RawSecret>),
    /// The one.
    One(RawSecret),
}

impl Default for RawTokenKeys {
    fn default() -> Self {
        Self::One(RawSecret::default())
    }
}

/// A STUN or TURN server, or several with the same credentials.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["urls"]))]
pub(crate) struct RawIceServer {
    /// As `stun:host:port`, `turn:host?transport=udp` or `turns:host?transport=tcp`.
    #[schemars(length(max = 8))]
    pub(crate) urls: Vec<String>,
    /// User name for TURN, with `credential`.
    pub(crate) username: String,
    /// Password for TURN: the value itself, `env:NAME` or `file:PATH`.
    pub(crate) credential: RawSecret,
    /// Instead of the two: the secret shared with a TURN server that takes time-limited credentials (its
    /// `static-auth-secret`), from which each session's are made.
    pub(crate) secret: RawSecret,
    /// How long those are good, seconds; a call should fit in.
    #[schemars(range(min = 60, max = 604_800))]
    pub(crate) ttl_seconds: u32,
}

impl Default for RawIceServer {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            username: String::new(),
            credential: RawSecret::default(),
            secret: RawSecret::default(),
            ttl_seconds: 86400,
        }
    }
}
