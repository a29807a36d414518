//! Registering with a trunk.

use std::time::Duration;

use super::TrunkTarget;

/// How a trunk is registered with, if it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Where REGISTER goes, each by itself; the trunk is registered while one of them knows us. Never empty.
    pub registrars: Vec<TrunkTarget>,
    /// `sip:user@host`: who is registered.
    pub address_of_record: String,
    /// What is bound; the gateway's own address when empty.
    pub contacts: Vec<String>,
    /// Asked for.
    pub expires_seconds: u32,
    /// Half of the longest pause after a first failure.
    pub retry: Duration,
    /// Longest pause.
    pub retry_max: Duration,
}
