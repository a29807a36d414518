//! `trunks.inbound`, and who takes such calls.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RawAuth;

/// Calls from the trunk to browsers that wait for some.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawInbound {
    /// Whether they are taken.
    pub(crate) enabled: bool,
    /// Addresses and networks (as 192.0.2.0/24) they come from; none = the addresses of `target`.
    #[schemars(length(max = 256))]
    pub(crate) allow: Vec<String>,
    /// Calls from anywhere else are taken from who knows this (digest); both empty = from nobody else.
    pub(crate) auth: RawAuth,
    /// Who is called by a number: the number as it stands in the Request-URI = `app/name`. A user that is no such number
    /// is the name of who is called, in an app whose trunk this is.
    pub(crate) numbers: BTreeMap<String, String>,
    /// Host names under which the trunk calls this gateway, beside its addresses, `sip.domain` and the trunk's own hosts; none
    /// = any name. A call to another host, or to an address that is none of ours, is answered with 404.
    #[schemars(length(max = 64))]
    pub(crate) hosts: Vec<String>,
}

/// Who may wait for an app's calls.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawReceive {
    /// Nobody.
    Off,
    /// Browsers whose session a back end has opened.
    BackEnd,
    /// Browsers with a widget key too, under any name: for keys that only agents know.
    Widget,
}

/// How those are met whom no trunk knows.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawStrangers {
    /// One answer without state.
    Refuse,
    /// Nothing is said, unless a password is to be asked for.
    Silent,
}
