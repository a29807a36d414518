//! The two HTTP listeners.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Secret, Tls};

/// The listener browsers use.
#[derive(Debug, Clone)]
pub struct Public {
    /// Address.
    pub listen: SocketAddr,
    /// What browsers use, without a trailing slash.
    pub url: String,
    /// Plain HTTP on a non-loopback address was asked for.
    pub allow_insecure: bool,
    /// TLS; plain HTTP without.
    pub tls: Option<Tls>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Per-address limits.
    pub limits: PublicLimits,
    /// Keys of session tokens: the first signs, all check. None: one that is random at start.
    pub token_keys: Vec<TokenKey>,
    /// STUN and TURN servers told to browsers.
    pub ice_servers: Vec<IceServer>,
}

/// A key of session tokens, whose kind decides the algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKey {
    /// A secret, 32 bytes or more: HS256.
    Shared(Secret),
    /// A private Ed25519 key in PEM: EdDSA.
    Private(Secret),
    /// A public one, which only checks.
    Public(String),
}

/// STUN and TURN servers of the same credentials.
#[derive(Debug, Clone)]
pub struct IceServer {
    /// `stun:`, `stuns:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// What a browser shows there.
    pub credentials: IceCredentials,
}

/// What a browser shows a TURN server.
#[derive(Debug, Clone)]
pub enum IceCredentials {
    /// Nothing.
    None,
    /// Always the same.
    Fixed {
        /// User name.
        username: String,
        /// Password.
        credential: Secret,
    },
    /// Made for each session.
    Shared {
        /// What the TURN server knows, too.
        secret: Secret,
        /// How long they are good.
        ttl: Duration,
    },
}

/// Limits per client address; 0 = none.
#[derive(Debug, Clone, Copy)]
pub struct PublicLimits {
    /// `POST /v1/sessions`.
    pub sessions_per_minute_per_address: u32,
    /// `POST /v1/calls`.
    pub calls_per_minute_per_address: u32,
}

/// The listener operators and back ends use.
#[derive(Debug, Clone)]
pub struct Control {
    /// Address.
    pub listen: SocketAddr,
    /// Who may use it.
    pub api_keys: Vec<ApiKey>,
    /// Limits per API key.
    pub limits: ControlLimits,
}

/// Limits per API key; 0 = none.
#[derive(Debug, Clone, Copy)]
pub struct ControlLimits {
    /// `POST /v1/sessions`.
    pub sessions_per_minute_per_key: u32,
}

/// A bearer key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Names the key in logs.
    pub name: String,
    /// The key.
    pub key: Secret,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Look.
    Read,
    /// Steer calls.
    Control,
    /// Steer the node.
    Admin,
}
