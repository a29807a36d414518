//! Calls from trunks.

use std::net::IpAddr;

use super::TrunkAuth;

/// Calls from a trunk to browsers that wait for some.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Where they come from; empty: from the trunk's own addresses.
    pub allow: Vec<Network>,
    /// From anywhere else, by who knows this.
    pub auth: Option<TrunkAuth>,
    /// Who is called by a number.
    pub numbers: Vec<Number>,
    /// Under which names it calls us beside those that are known; empty: under any.
    pub hosts: Vec<String>,
}

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// No bits are set beyond the prefix.
    pub address: IpAddr,
    /// How many bits are alike.
    pub bits: u8,
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A number of a trunk's, and who is called by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// As it stands in the Request-URI.
    pub number: String,
    /// App.
    pub app: String,
    /// Who waits there.
    pub name: String,
}

/// Who may wait for an app's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// Nobody.
    Off,
    /// Browsers whose session a back end has opened.
    BackEnd,
    /// Browsers with a widget key too.
    Widget,
}

/// How those are met whom no trunk knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// One answer without state.
    Refuse,
    /// Nothing is said, unless a password is to be asked for.
    Silent,
}
