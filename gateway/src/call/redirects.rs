//! Redirections (RFC 3261 section 8.1.3.4): followed to the trunk's own hosts and to those it names, so often for each
//! destination, and never twice to the same URI.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use trunkline_signaling::message::{Host, SipUri, Uri};
use trunkline_signaling::targets::Wanted;

use super::timers::Timer;
use super::{Call, Effect, STEP, Stage};
use crate::outcome::Reason;
use crate::routing::Route;

/// What has become of the redirections of one destination.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    followed: u8,
    /// The destination as it was to be dialled.
    origin: Option<Arc<Route>>,
    /// Request-URIs that were asked; no more than are followed, and one.
    asked: Vec<String>,
    /// Those named and not asked yet, best first.
    waiting: VecDeque<Arc<Route>>,
}

impl Call {
    /// A 3xx came: its Contacts are asked before any that wait. `false`: there is none to go to.
    pub(super) fn redirected(&mut self, now: Instant, status: u16, reason: Reason, contacts: &[Uri]) -> bool {
        let Stage::Inviting(inviting) = &self.stage else { return false };
        let redirects = &mut self.redirects;
        redirects.asked.push(inviting.route.request_uri.clone());
        let origin = redirects.origin.get_or_insert_with(|| Arc::clone(&inviting.route));
        let mut refused = if contacts.is_empty() { Some("no_contact") } else { None };
        for contact in contacts.iter().rev() {
            match towards(origin, contact, inviting.target.address.ip()) {
                Ok(route) if redirects.asked.contains(&route.request_uri) => refused = Some("loop"),
                Ok(route) => redirects.waiting.push_front(Arc::new(route)),
                Err(why) => refused = Some(why),
            }
        }
        redirects.waiting.truncate(usize::from(u8::MAX));
        if let Some(why) = refused {
            self.notes.evidence("redirect_refused", why);
        }
        self.next_contact(now, Some(status), reason)
    }

    /// Asks the next of those that a redirection named, unless so many were asked or somebody has rung. The one before it has
    /// failed, or its name leads nowhere.
    pub(super) fn next_contact(&mut self, now: Instant, status: Option<u16>, reason: Reason) -> bool {
        let (local, has_rung, unasked) = match &self.stage {
            Stage::Inviting(inviting) => (inviting.local.clone(), inviting.ringing || inviting.early.is_some(), None),
            Stage::Resolving { route, local, .. } => (local.clone(), false, Some(Arc::clone(route))),
            Stage::Idle
            | Stage::Asking
            | Stage::Acting
            | Stage::Parting(_)
            | Stage::Leasing { .. }
            | Stage::Called(_)
            | Stage::Talking(_)
            | Stage::Ended => return false,
        };
        let redirects = &mut self.redirects;
        let asked = &redirects.asked;
        redirects.waiting.retain(|route| !asked.contains(&route.request_uri));
        let is_redirection = status.is_some_and(|status| (300..400).contains(&status));
        if redirects.waiting.is_empty() || has_rung && !is_redirection {
            return false;
        }
        if redirects.followed >= redirects.origin.as_ref().map_or(0, |origin| origin.calls.redirects) {
            self.notes.evidence("redirect_refused", "too_many");
            return false;
        }
        let Some(route) = redirects.waiting.pop_front() else { return false };
        redirects.followed = redirects.followed.saturating_add(1);
        match unasked {
            Some(unasked) => self.notes.skipped(unasked.destination.clone(), Some(unasked.trunk.clone()), reason),
            None => self.notes.concluded(status, Some(reason)),
        }
        let attempt = self.next_attempt();
        self.effects.push_back(Effect::Resolve { attempt, wanted: route.wanted.clone() });
        self.timers.stop(Timer::Ring);
        self.timers.set(Timer::Step, now + STEP);
        self.stage = Stage::Resolving { attempt, route, local };
        true
    }
}

/// How a Contact is dialled: over what the trunk is dialled, whatever it says, so that nobody can talk us out of
/// encryption; with the trunk's credentials at the trunk's hosts only.
fn towards(origin: &Route, contact: &Uri, target: IpAddr) -> Result<Route, &'static str> {
    let Uri::Sip(uri) = contact else { return Err("no_sip_uri") };
    let host = uri.host.to_string();
    let host = host.trim_matches(['[', ']']);
    let asked = Uri::parse(&origin.request_uri.clone().into());
    let is_asked_host = matches!(asked, Ok(Uri::Sip(asked)) if asked.host == uri.host);
    let is_own = is_asked_host || host.eq_ignore_ascii_case(&origin.wanted.host) || uri.host == Host::Ip(target);
    if !is_own && !origin.calls.redirect_hosts.iter().any(|allowed| allowed == host) {
        return Err("foreign_host");
    }
    let wanted = if is_own && uri.port.is_none() {
        origin.wanted.clone()
    } else {
        Wanted { host: host.into(), port: uri.port, ..origin.wanted.clone() }
    };
    let credentials = origin.credentials.clone().filter(|_| is_own);
    Ok(Route { request_uri: request_uri(uri), wanted, credentials, ..origin.clone() })
}

/// Without what has no place in a Request-URI (RFC 3261 section 19.1.1): its header fields are not put into our request.
fn request_uri(uri: &SipUri) -> String {
    let mut uri = uri.clone();
    uri.headers = None;
    uri.parameters.retain(|(name, _)| !name.eq_ignore_ascii_case(b"method"));
    Uri::Sip(uri).to_string()
}
