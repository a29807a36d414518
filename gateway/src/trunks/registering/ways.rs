//! The way calls of a trunk take: through its outbound proxy, and those its registrar named (RFC 3608).

use bytes::Bytes;
use trunkline_config::Trunk;
use trunkline_signaling::message::{Host, NameAddr, SipUri};
use trunkline_signaling::targets::{Protocol, Wanted};

use super::plan::uri_text;
use super::{Registrations, keeper};
use crate::routing::{host_of_uri, wanted};

impl Registrations {
    /// Route values for an INVITE: the proxy, then what the registrar said, which may begin with that proxy (RFC 3608
    /// section 6.1).
    #[must_use]
    pub fn routes(&self, trunk: &Trunk) -> Vec<String> {
        let named = self.service_route(&trunk.id);
        let proxy = trunk.outbound_proxy.as_ref().filter(|proxy| {
            let first = named.first().and_then(|value| uri_of(value));
            first.is_none_or(|first| host_text(&first) != proxy.host.to_ascii_lowercase())
        });
        let proxy = proxy.map(|proxy| format!("<{};lr>", uri_text(proxy)));
        proxy.into_iter().chain(named).collect()
    }

    /// Hosts under which registrars reach us for a trunk.
    #[must_use]
    pub fn contact_hosts(&self, trunk: &str) -> Vec<Host> {
        let all = self.all();
        let contacts = all.get(trunk).into_iter().flatten().flat_map(|standing| &standing.contacts);
        contacts.filter_map(|contact| host_of_uri(contact)).collect()
    }

    /// Where an INVITE goes first: without a proxy of ours to the first the registrar named. Never unencrypted if the
    /// trunk is encrypted.
    #[must_use]
    pub fn first_hop(&self, trunk: &Trunk) -> Wanted {
        let configured = wanted(trunk.first_hop());
        if trunk.outbound_proxy.is_some() {
            return configured;
        }
        let first = self.service_route(&trunk.id).first().and_then(|value| uri_of(value));
        let Some(mut hop) = first.map(|first| keeper::wanted_of(&first)) else { return configured };
        hop.transport = hop.transport.or(configured.transport);
        hop.secure |= configured.secure;
        let is_encrypted = |wanted: &Wanted| wanted.default_transport() == Protocol::Tls;
        if is_encrypted(&configured) && !is_encrypted(&hop) { configured } else { hop }
    }
}

fn uri_of(value: &str) -> Option<SipUri> {
    NameAddr::parse(&Bytes::from(value.to_owned())).ok()?.uri.as_sip().cloned()
}

fn host_text(uri: &SipUri) -> String {
    match &uri.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    }
}
