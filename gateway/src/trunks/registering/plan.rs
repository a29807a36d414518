//! What is registered where: from the configuration to one plan a registrar.

use bytes::Bytes;
use trunkline_config::{Config, Secret, SipTransport, TrunkTarget};
use trunkline_signaling::auth::Credentials;
use trunkline_signaling::message::{SipUri, Uri};
use trunkline_signaling::registration::{Pace, Settings};

/// One registration as configured. When any of this changes it is a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) trunk: String,
    registrar: TrunkTarget,
    outbound_proxy: Option<TrunkTarget>,
    registration: trunkline_config::Registration,
    credentials: Option<(String, Secret)>,
    /// `sip.advertise` names our address: it is not for a registrar to say.
    is_advertised: bool,
}

impl Plan {
    /// All that a configuration asks for.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let registering = config.trunks.iter().filter(|trunk| trunk.enabled);
        let plans = registering.filter_map(|trunk| trunk.registration.as_ref().map(|found| (trunk, found)));
        plans
            .flat_map(|(trunk, registration)| {
                registration.registrars.iter().map(|registrar| Self {
                    trunk: trunk.id.clone(),
                    registrar: registrar.clone(),
                    outbound_proxy: trunk.outbound_proxy.clone(),
                    registration: registration.clone(),
                    credentials: trunk.auth.as_ref().map(|auth| (auth.username.clone(), auth.password.clone())),
                    is_advertised: !config.sip.advertise.is_empty(),
                })
            })
            .collect()
    }

    /// Names the registration within its trunk.
    pub(super) fn registrar_text(&self) -> String {
        uri_text(&self.registrar)
    }

    /// Where its requests go first.
    pub(super) fn first_hop(&self) -> &TrunkTarget {
        self.outbound_proxy.as_ref().unwrap_or(&self.registrar)
    }

    /// The user our own contact has: requests for it come back under that name.
    pub(super) fn user(&self) -> Option<String> {
        sip_uri(&self.registration.address_of_record)?.user_text()
    }

    /// What the protocol needs. `own` is where the first hop reaches us.
    pub(super) fn settings(&self, own: SipUri) -> Option<Settings> {
        let listed = self.registration.contacts.iter().map(|contact| sip_uri(contact));
        let listed: Vec<SipUri> = listed.collect::<Option<_>>()?;
        let is_own = listed.is_empty();
        let is_datagram = own.parameter("transport").is_none();
        Some(Settings {
            registrar: sip_uri(&uri_text(&self.registrar))?,
            address_of_record: sip_uri(&self.registration.address_of_record)?,
            contacts: if is_own { vec![own] } else { listed },
            expires: self.registration.expires_seconds,
            credentials: self.credentials.as_ref().map(|(username, password)| Credentials {
                username: username.clone(),
                password: password.reveal().to_owned(),
            }),
            outbound_proxy: match &self.outbound_proxy {
                Some(proxy) => Some(sip_uri(&uri_text(proxy))?),
                None => None,
            },
            pace: Pace { base: self.registration.retry, most: self.registration.retry_max },
            follow_observed: is_own && is_datagram && !self.is_advertised,
        })
    }
}

/// A target as a URI: `sip:host:port;transport=tcp`.
pub(crate) fn uri_text(target: &TrunkTarget) -> String {
    let scheme = if target.secure { "sips" } else { "sip" };
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
    let port = target.port.map_or_else(String::new, |port| format!(":{port}"));
    let transport = match target.transport {
        Some(SipTransport::Udp) => ";transport=udp",
        Some(SipTransport::Tcp) => ";transport=tcp",
        Some(SipTransport::Tls) => ";transport=tls",
        None => "",
    };
    format!("{scheme}:{host}{port}{transport}")
}

fn sip_uri(text: &str) -> Option<SipUri> {
    match Uri::parse(&Bytes::from(text.to_owned())) {
        Ok(Uri::Sip(uri)) => Some(uri),
        Ok(Uri::Tel(_) | Uri::Other(_)) | Err(_) => None,
    }
}
