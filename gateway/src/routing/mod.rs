//! From a session to what is dialled: destinations in order, each with its trunk.
//!
//! A destination is `sip:user@host`, `sips:…`, `tel:…` or bare `user@host`. A host that is a trunk's id stands for that
//! trunk: the user is dialled at the trunk's own host and port. Any other host stays in the Request-URI, and the call
//! goes out over the app's trunk: nothing is ever sent to an address that no trunk names. A group of trunks stands
//! wherever a trunk may: its trunks are tried in the order of their priorities, by chance and weight among equals.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use trunkline_config::{
    BrowserAudio, Calls, Codec as ConfigCodec, Config, ContextFields, Dtmf, GroupMember, RtpSource as ConfigRtpSource,
    Secret, SipTransport, Srtp, Tones, Transfers, Trunk, TrunkTarget, UserToUser,
};
use trunkline_media::api::RtpSource;
use trunkline_media::audio::Codec;
use trunkline_signaling::targets::{Protocol, Wanted, by_priority_and_weight};

mod inbound;
mod own;

pub use inbound::{Addressee, addressees, is_called, terms};
pub use own::{Ours, host_of_uri, is_local};

use crate::ids::random_bits;
use crate::outcome::{Reason, Unavailable};
use crate::session::Session;

/// Most destinations of one call; the rest is not dialled.
pub const MAX_DESTINATIONS: usize = 16;

/// One destination that can be dialled.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// As configured.
    pub destination: String,
    /// Trunk id.
    pub trunk: String,
    /// Request-URI and To.
    pub request_uri: String,
    /// Where the request goes.
    pub wanted: Wanted,
    /// User name and password for challenges.
    pub credentials: Option<(String, Secret)>,
    /// Preference order, never empty.
    pub codecs: Vec<Codec>,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// Longest call.
    pub max_duration: Duration,
    /// How long before its end a tone warns of it.
    pub warning: Option<Duration>,
    /// Session-Expires asked for, seconds; 0 is no session timer (RFC 4028).
    pub session_expires: u32,
    /// Whose RTP is believed.
    pub rtp_source: RtpSource,
    /// Encryption of its audio.
    pub srtp: Srtp,
    /// What the trunk is told in place of the address where RTP is received, by the family of its own address.
    pub rtp_told: Vec<IpAddr>,
    /// The trunk may hand its calls over by REFER and Replaces.
    pub transfers: bool,
    /// The trunk wants its own codec relayed to the browser.
    pub relay: bool,
    /// What the browser is sent follows its network: the trunk's codec, or Opus.
    pub elastic: bool,
    /// What it is sent goes on as it comes, for the trunk to even out.
    pub on_arrival: bool,
    /// The visitor's context as header fields.
    pub context_fields: ContextFields,
    /// Some of it in User-to-User.
    pub user_to_user: Option<UserToUser>,
    /// How digits go and come.
    pub dtmf: Dtmf,
    /// How calls are made, and who they say is calling.
    pub calls: Calls,
    /// Final answers beside 503 that send the call to the next target.
    pub failover_statuses: Vec<u16>,
    /// What the visitor hears of how it goes.
    pub tones: Tones,
}

impl Route {
    /// Whether who answers with this status leaves the call to the next target or trunk (RFC 3263 section 4.3).
    #[must_use]
    pub fn fails_over(&self, status: u16) -> bool {
        status == 503 || self.failover_statuses.contains(&status)
    }
}

/// One destination of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// Dial it.
    Dial(Arc<Route>),
    /// It counts as tried and failed.
    Skip {
        /// As configured.
        destination: String,
        /// The trunk it would have used.
        trunk: Option<String>,
        /// Why it cannot be dialled.
        reason: Reason,
    },
    /// One destination over several trunks, one after the other until one takes the call: the two above only.
    Hunt(Vec<Planned>),
}

impl Planned {
    /// As configured.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        match self {
            Self::Dial(route) => Some(&route.destination),
            Self::Skip { destination, .. } => Some(destination),
            Self::Hunt(ways) => ways.first().and_then(Self::destination),
        }
    }

    /// The first that can be dialled.
    #[must_use]
    pub fn first_route(&self) -> Option<&Arc<Route>> {
        match self {
            Self::Dial(route) => Some(route),
            Self::Skip { .. } => None,
            Self::Hunt(ways) => ways.iter().find_map(Self::first_route),
        }
    }
}

/// What a session's call dials, in order: the session's own destination if its back end gave one, else the profile's.
#[must_use]
pub fn resolve(config: &Config, session: &Session) -> Vec<Planned> {
    let app = config.apps.iter().find(|a| a.id == session.app);
    let default_trunk = app.and_then(|a| a.trunk.as_deref());
    let profile = app.and_then(|a| {
        let wanted = session.profile.as_deref().or(a.default_profile.as_deref())?;
        a.profiles.iter().find(|p| p.id == wanted)
    });
    let destinations = match &session.destination {
        Some(destination) => std::slice::from_ref(destination),
        None => profile.map_or(&[][..], |p| &p.destinations),
    };
    destinations.iter().take(MAX_DESTINATIONS).map(|d| plan(config, default_trunk, d)).collect()
}

/// Bounds that a list of destinations may add to those of their trunks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// How long each may ring.
    pub ring: Option<Duration>,
    /// Longest call.
    pub duration: Option<Duration>,
}

/// What is dialled for these destinations of an app, in order. Limits hold where the trunk's own are not tighter.
#[must_use]
pub fn dial(config: &Config, app: &str, destinations: &[String], limits: Limits) -> Vec<Planned> {
    let app = config.apps.iter().find(|a| a.id == app);
    let default_trunk = app.and_then(|a| a.trunk.as_deref());
    let planned = destinations.iter().take(MAX_DESTINATIONS).map(|d| plan(config, default_trunk, d));
    planned.map(|planned| bound(planned, limits)).collect()
}

fn bound(planned: Planned, limits: Limits) -> Planned {
    match planned {
        Planned::Dial(route) => {
            let mut route = Arc::unwrap_or_clone(route);
            route.ring_timeout = limits.ring.map_or(route.ring_timeout, |limit| route.ring_timeout.min(limit));
            route.max_duration = limits.duration.map_or(route.max_duration, |limit| route.max_duration.min(limit));
            Planned::Dial(Arc::new(route))
        }
        skip @ Planned::Skip { .. } => skip,
        Planned::Hunt(ways) => Planned::Hunt(ways.into_iter().map(|way| bound(way, limits)).collect()),
    }
}

/// What is dialled when a trunk's own REFER names this: whatever it names, over that trunk.
#[must_use]
pub fn over(config: &Config, trunk: &str, destination: &str) -> Planned {
    plan(config, Some(trunk), destination)
}

/// What a trunk's target says of where requests go.
#[must_use]
pub fn wanted(target: &TrunkTarget) -> Wanted {
    let transport = target.transport.map(|transport| match transport {
        SipTransport::Udp => Protocol::Udp,
        SipTransport::Tcp => Protocol::Tcp,
        SipTransport::Tls => Protocol::Tls,
    });
    Wanted { host: target.host.as_str().into(), port: target.port, transport, secure: target.secure }
}

/// Over which trunks a destination is reached, in no order yet.
fn plan(config: &Config, default_trunk: Option<&str>, destination: &str) -> Planned {
    let skip = |reason| Planned::Skip { destination: destination.to_owned(), trunk: None, reason };
    let Some(parsed) = Destination::parse(destination) else { return skip(Reason::DestNotFound) };
    let trunk = |id: &str| config.trunks.iter().find(|t| t.id == id);
    let group = |id: &str| config.trunk_groups.iter().find(|g| g.id == id);
    let by_host = parsed.host.filter(|host| trunk(host).is_some() || group(host).is_some());
    let Some(id) = by_host.or(default_trunk) else {
        return skip(Reason::DestUnavailable(Unavailable::TrunkDisabled));
    };
    let over = |trunk: &Trunk| by_trunk(config, trunk, destination, &parsed, by_host.is_some());
    match (trunk(id), group(id)) {
        (Some(trunk), _) => over(trunk),
        (None, Some(group)) => {
            let members = group.members.iter().filter_map(|member| Some((member, trunk(&member.trunk)?))).collect();
            let key = |(member, _): &(&GroupMember, &Trunk)| (member.priority, member.weight);
            let below = |n: u32| u32::from_be_bytes(random_bits()) % n.max(1);
            let ordered: Vec<(&GroupMember, &Trunk)> = by_priority_and_weight(members, key, below);
            Planned::Hunt(ordered.into_iter().map(|(_, trunk)| over(trunk)).collect())
        }
        (None, None) => skip(Reason::DestUnavailable(Unavailable::TrunkDisabled)),
    }
}

/// A destination over one trunk; `at_trunk`: its host stands for that.
fn by_trunk(config: &Config, trunk: &Trunk, destination: &str, parsed: &Destination<'_>, at_trunk: bool) -> Planned {
    let skip = |reason| Planned::Skip { destination: destination.to_owned(), trunk: Some(trunk.id.clone()), reason };
    if !trunk.enabled {
        return skip(Reason::DestUnavailable(Unavailable::TrunkDisabled));
    }
    let codecs: Vec<Codec> = trunk.codecs.iter().map(|&c| codec(c)).collect();
    if codecs.is_empty() {
        return skip(Reason::DestCodec);
    }
    Planned::Dial(Arc::new(Route {
        destination: destination.to_owned(),
        trunk: trunk.id.clone(),
        request_uri: request_uri(parsed, trunk, at_trunk),
        wanted: wanted(trunk.first_hop()),
        credentials: trunk.auth.as_ref().map(|a| (a.username.clone(), a.password.clone())),
        codecs,
        ring_timeout: trunk.ring_timeout,
        max_duration: trunk.max_duration,
        warning: trunk.max_duration_warning,
        session_expires: trunk.session_expires,
        rtp_source: match trunk.rtp_source {
            ConfigRtpSource::Signalled => RtpSource::Signalled,
            ConfigRtpSource::Latch => RtpSource::Latch,
        },
        srtp: trunk.srtp,
        rtp_told: config.sip.rtp_told(config.media.rtp_listen),
        transfers: trunk.transfers == Transfers::Bridge,
        relay: match trunk.browser_audio {
            BrowserAudio::Relay => true,
            BrowserAudio::Elastic | BrowserAudio::Opus => false,
        },
        elastic: trunk.browser_audio == BrowserAudio::Elastic,
        on_arrival: trunk.transparent,
        context_fields: trunk.context_fields.clone(),
        user_to_user: trunk.user_to_user.clone(),
        dtmf: trunk.dtmf,
        calls: trunk.calls.clone(),
        failover_statuses: trunk.failover_statuses.clone(),
        tones: trunk.tones.clone(),
    }))
}

/// The media plane's codec.
#[must_use]
pub fn codec(codec: ConfigCodec) -> Codec {
    match codec {
        ConfigCodec::Opus => Codec::Opus,
        ConfigCodec::G722 => Codec::G722,
        ConfigCodec::Pcmu => Codec::Pcmu,
        ConfigCodec::Pcma => Codec::Pcma,
    }
}

fn request_uri(destination: &Destination<'_>, trunk: &Trunk, at_trunk: bool) -> String {
    let trunk_host = || {
        let host = &trunk.target.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        trunk.target.port.map_or(host.clone(), |port| format!("{host}:{port}"))
    };
    let host = match destination.host_port {
        Some(host_port) if !at_trunk => host_port.to_owned(),
        Some(_) | None => trunk_host(),
    };
    let user = destination.user.map_or(String::new(), |user| format!("{user}@"));
    format!("{}:{user}{host}{}", destination.scheme, destination.parameters)
}

/// A destination taken apart. Only what may stand in a Request-URI unescaped gets through: no header can be smuggled in.
#[derive(Debug, PartialEq, Eq)]
struct Destination<'a> {
    scheme: &'static str,
    user: Option<&'a str>,
    /// Without the port.
    host: Option<&'a str>,
    host_port: Option<&'a str>,
    /// With their leading `;`.
    parameters: String,
}

impl<'a> Destination<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > 256 {
            return None;
        }
        if let Some(number) = strip_scheme(text, "tel:") {
            let digits = number.split(';').next().unwrap_or_default();
            let good = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b"+*".contains(&b));
            return good.then(|| Self {
                scheme: "sip",
                user: Some(digits),
                host: None,
                host_port: None,
                parameters: ";user=phone".into(),
            });
        }
        let (scheme, rest) = match (strip_scheme(text, "sip:"), strip_scheme(text, "sips:")) {
            (Some(rest), _) => ("sip", rest),
            (None, Some(rest)) => ("sips", rest),
            (None, None) => ("sip", text),
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (host_port, parameters) = rest.split_once(';').map_or((rest, None), |(h, p)| (h, Some(p)));
        let host = host_of(host_port)?;
        if !user.is_none_or(is_user) {
            return None;
        }
        Some(Self {
            scheme,
            user,
            host: Some(host),
            host_port: Some(host_port),
            parameters: kept_parameters(parameters.unwrap_or_default())?,
        })
    }
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`; `None` if it is none of these.
fn host_of(text: &str) -> Option<&str> {
    let (host, port) = if let Some(v6) = text.strip_prefix('[') {
        let (host, after) = v6.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
        let good = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        (Some(host).filter(|h| good && !h.is_empty())?, port)
    };
    if let Some(port) = port {
        port.parse::<std::num::NonZeroU16>().ok()?;
    }
    Some(host)
}

/// RFC 3261 section 25.1 `user`, without a password.
fn is_user(user: &str) -> bool {
    let mut bytes = user.bytes();
    while let Some(b) = bytes.next() {
        let good = match b {
            b'%' => [bytes.next(), bytes.next()].iter().all(|b| b.is_some_and(|b| b.is_ascii_hexdigit())),
            _ => b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&b),
        };
        if !good {
            return false;
        }
    }
    !user.is_empty()
}

/// Parameters that may go along; those that would change the way of the request are the trunk's business.
fn kept_parameters(text: &str) -> Option<String> {
    let mut kept = String::new();
    for parameter in text.split(';').filter(|p| !p.is_empty()) {
        if !parameter.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$=%".contains(&b)) {
            return None;
        }
        let name = parameter.split('=').next().unwrap_or_default().to_ascii_lowercase();
        if !["transport", "maddr", "lr", "ttl", "method"].contains(&name.as_str()) {
            kept.push(';');
            kept.push_str(parameter);
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests;
