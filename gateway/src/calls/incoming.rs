//! Birth of a call from a trunk: whom it is for, whether there is room, who is rung. Nothing here waits, so that what the
//! SIP side tells of the leg next finds its call.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use serde_json::Value;
use tracing::Instrument;
use trunkline_config::{App, Config, ContextLimits, Trunk};
use trunkline_media::api::CallKey;
use trunkline_media::audio::Codec;
use trunkline_media::sdp::trunk::KeySource;
use trunkline_signaling::endpoint::{LegId, Transport};
use trunkline_signaling::message::{Headers, Host, NameAddr, Uri};
use trunkline_signaling::targets::Target;

use super::driver::Driver;
use super::inbox::inbox;
use super::limits::Permit;
use super::start::limits;
use super::store::{IceSession, Live};
use super::{Shared, bump};
use crate::call::{About, Call, Called, Caller, Input};
use crate::clock::Now;
use crate::ids::{CallId, SessionId, random_bits};
use crate::outcome::Refusal;
use crate::prompts::{ENDING_SOON, HOLD};
use crate::routing::{self, Addressee, Ours};
use crate::session::context::admit;

/// Octets kept of what the caller says of itself.
const CALLER_BYTES: usize = 128;
/// X- header fields that are looked at.
const FIELDS: usize = 64;

/// An INVITE of a trunk's.
pub(super) struct Incoming {
    pub(super) leg: LegId,
    pub(super) door: String,
    pub(super) peer: SocketAddr,
    pub(super) over: Transport,
    pub(super) from: NameAddr,
    pub(super) uri: Uri,
    pub(super) told: IpAddr,
    pub(super) headers: Headers,
    pub(super) sdp: Option<Bytes>,
}

/// Somebody calls.
pub(super) fn incoming(shared: &Arc<Shared>, invite: Incoming) {
    let leg = invite.leg;
    if let Err((status, refusal)) = begin(shared, invite) {
        tracing::info!(status, why = refusal.word(), "a call from a trunk is refused");
        shared.counters.refused(refusal);
        shared.sip.refuse(leg, status, None);
    }
}

fn begin(shared: &Arc<Shared>, invite: Incoming) -> Result<(), (u16, Refusal)> {
    let edition = shared.settings.edition();
    let config = Arc::clone(&edition.config);
    if shared.drain.get().is_some() {
        return Err((503, Refusal::Draining));
    }
    let unknown = (404, Refusal::UnknownAddress);
    let trunk = config.trunks.iter().find(|trunk| trunk.id == invite.door && trunk.enabled).ok_or(unknown)?;
    if !is_for_us(shared, &config, trunk, &invite) {
        tracing::debug!(uri = %invite.uri, "it is for a host that is not ours");
        return Err(unknown);
    }
    let now = shared.clock.now();
    let user = user_of(&invite.uri);
    let (addressee, waiting) = find(shared, now, &config, trunk, &user).ok_or(unknown)?;
    let app = config.apps.iter().find(|app| app.id == addressee.app).ok_or(unknown)?;
    let route = routing::terms(&config, trunk, &format!("sip:{user}@{}", config.sip.from_host())).ok_or(unknown)?;
    let full = (503, Refusal::Capacity);
    let permits = Permits {
        trunk: shared.trunks.acquire(&trunk.id, trunk.max_calls).ok_or(full)?,
        app: shared.apps.acquire(&app.id, app.max_calls).ok_or(full)?,
    };
    let (busy, receivers): (Vec<_>, Vec<_>) =
        waiting.into_iter().partition(|session| shared.by_session.contains_key(session));
    let caller = caller(&invite.from, user, addressee.name);
    let advertise = config.sip.rtp_told_to(config.media.rtp_listen, invite.peer.ip());
    let about = About { advertise, ..about(shared, now, &config, app, caller, &invite.headers) };
    let called = Called {
        route: Arc::clone(&route),
        peer: Target { address: invite.peer, over: invite.over, name: invite.peer.ip().to_string().into() },
        call_id: invite.headers.call_id().ok().map(|id| String::from_utf8_lossy(&id).into_owned()),
        offer: invite.sdp,
        receivers,
        busy: busy.len(),
    };
    let call = Call::called(now.instant, about, called);
    let key = CallKey(shared.next_key.fetch_add(1, Ordering::Relaxed));
    let (to_call, reading_end) = inbox(Arc::clone(&shared.counters));
    let live = Arc::new(Live::new(key, now.wall, to_call, IceSession::none(), call, edition));
    shared.live.insert(live.id.clone(), Arc::clone(&live));
    bump(&shared.counters.started);
    shared.store.keep(live.journal(false));
    let span = tracing::info_span!("call", id = %live.id);
    let driver = Driver::called(Arc::clone(shared), Arc::clone(&live), reading_end, permits, (invite.leg, &route));
    if shared.stopping.load(Ordering::Acquire) {
        live.inbox.offer(Input::Shutdown);
    }
    tokio::spawn(driver.drive().instrument(span));
    Ok(())
}

/// Whether the Request-URI names this gateway; a telephone number names no host.
fn is_for_us(shared: &Shared, config: &Config, trunk: &Trunk, invite: &Incoming) -> bool {
    let Uri::Sip(uri) = &invite.uri else { return true };
    let bound = shared.registrations.get().map(|registrations| registrations.contact_hosts(&trunk.id));
    let told: Vec<Host> = [Host::Ip(invite.told)].into_iter().chain(bound.into_iter().flatten()).collect();
    Ours { config, trunk, told: &told, is_local: routing::is_local }.has(&uri.host)
}

/// The places a call from a trunk takes.
pub(super) struct Permits {
    pub(super) trunk: Permit,
    pub(super) app: Permit,
}

/// Who is called, and who waits there: the first of those it may be under whose name somebody waits; a number of the
/// trunk's exists, whether or not somebody does.
fn find(shared: &Shared, now: Now, config: &Config, trunk: &Trunk, user: &str) -> Option<(Addressee, Vec<SessionId>)> {
    let found = routing::addressees(config, trunk, user).into_iter().map(|addressee| {
        let waiting = shared.receivers.of(now.instant, &addressee.app, &addressee.name);
        (addressee, waiting)
    });
    found.into_iter().find(|(addressee, waiting)| addressee.is_known || !waiting.is_empty())
}

fn caller(from: &NameAddr, called: String, name: String) -> Caller {
    let display = from.display.as_deref().map(plain).filter(|display| !display.is_empty());
    Caller { number: plain(&user_of(&from.uri)), display, called: plain(&called), name }
}

fn about(shared: &Shared, now: Now, config: &Config, app: &App, caller: Caller, headers: &Headers) -> About {
    const LANG: &str = "en";
    About {
        call: CallId::from_random(random_bits()),
        session: None,
        caller: Some(caller),
        app: app.id.clone(),
        profile: None,
        context: context(headers, app.context),
        metadata: None,
        has_form_values: false,
        headers: Vec::new(),
        browser_codec: Codec::Opus,
        advertise: None,
        // RFC 8866 section 5.2 wants a number; 62 bits are safe with every reader.
        sdp_session: u64::from_be_bytes(random_bits()) >> 2,
        keys: KeySource::new(random_bits()),
        limits: limits(config),
        poor_after: config.quality.poor_after,
        asked_profile: None,
        no_destination: None,
        ending_soon: shared.prompts.get(ENDING_SOON, LANG),
        hold: shared.prompts.get(HOLD, LANG),
        please_wait: None,
        call_failed: None,
        lang: LANG.to_owned(),
        question: None,
        wall: now,
    }
}

/// X- header fields as context, under the rules and caps of what a page may attach.
fn context(headers: &Headers, caps: ContextLimits) -> Vec<(String, String)> {
    let fields = headers.iter().filter_map(|(name, value)| {
        let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
        let (x, key) = name.split_at_checked(2)?;
        x.eq_ignore_ascii_case("x-").then(|| (key.to_owned(), Value::from(plain(&String::from_utf8_lossy(value)))))
    });
    let pairs: Vec<_> = fields.take(FIELDS).collect();
    admit(&pairs, caps).0
}

/// The user, with its escapes resolved; a telephone number without its visual separators (RFC 3966 section 3).
fn user_of(uri: &Uri) -> String {
    match uri {
        // With a telephone number there may be parameters of it (RFC 3261 section 19.1.1).
        Uri::Sip(sip) => sip.user_text().unwrap_or_default().split(';').next().unwrap_or_default().to_owned(),
        Uri::Tel(number) => {
            let number = String::from_utf8_lossy(number);
            let number = number.split(';').next().unwrap_or_default();
            number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect()
        }
        Uri::Other(_) => String::new(),
    }
}

/// Text of a stranger's, for people to read: cut to size, and free of what is no text.
fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String = text.chars().filter(|&c| !c.is_control() && !turns(c)).collect();
    text.get(..text.floor_char_boundary(CALLER_BYTES)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use trunkline_signaling::message::HeaderName;

    use super::*;

    #[test]
    fn what_a_caller_says_is_text_of_limited_size() {
        for (text, expected) in [
            ("Ann <b>", "Ann <b>"),
            ("a\r\nb\u{0}\u{1b}[31mc\u{202e}d\u{2066}", "ab[31mcd"),
            (&"é".repeat(200), &"é".repeat(64)),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn x_fields_become_context_and_others_do_not() {
        let mut headers = Headers::default();
        for (name, value) in [("X-Case", "42"), ("x-Plan", "go\u{202e}ld"), ("Subject", "s"), ("X-a b", "1")] {
            headers.push(HeaderName::Other(name.into()), value);
        }
        let caps = ContextLimits { value_bytes: 256, total_bytes: 4096 };
        let kept = context(&headers, caps);
        let expected = [("Case", "42"), ("Plan", "gold")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(kept, expected);
    }
}
