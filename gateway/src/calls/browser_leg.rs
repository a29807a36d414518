//! The browser's leg of a live call: trickled candidates, ICE restarts, new peer connections. None of them can end it.

use std::sync::Arc;

use trunkline_media::api::{Command, OpenCall, OpenError};
use trunkline_media::sdp::browser::Offer;
use trunkline_media::sdp::fragment::{self, Fragment};

use super::start::{browser_codecs, limits, not_opened, playback_rate, refused_offer};
use super::{IfMatch, Patched, Restart, Shared, Started, over};
use crate::call::{Api, Input, SdpKind};
use crate::ids::{CallId, random_bits};
use crate::problem::Problem;

/// RFC 9725 section 4.3: the same user fragment is trickle, a new one a restart.
pub(super) async fn patch(
    shared: &Arc<Shared>,
    call: &CallId,
    if_match: &IfMatch,
    text: &[u8],
) -> Result<Patched, Problem> {
    let live = shared.find_live(call)?;
    let fragment = Fragment::parse(text).map_err(refused_offer)?;
    let mut ice = live.ice.lock().await;
    match if_match {
        IfMatch::Tag(tag) if *tag != ice.tag => {
            return Err(Problem::precondition_failed("the ICE session has changed").with("call", call.as_str()));
        }
        IfMatch::Tag(_) | IfMatch::Any => {}
    }
    live.call().note_fragment(shared.clock.now().instant, true, text);
    // We are ICE-lite: candidates are checked by the browser, ours to note and no more.
    if fragment.candidates > 0 {
        let Fragment { candidates: count, candidate_addresses: addresses, .. } = &fragment;
        shared.media.command(live.key, Command::AddCandidates { count: *count, addresses: addresses.clone() });
    }
    if fragment.ice.ufrag == ice.remote_ufrag {
        return Ok(Patched::Trickled);
    }
    let ufrag = fragment.ice.ufrag.clone();
    let restarted = shared.media.restart_ice(live.key, fragment.ice).await.map_err(|error| match error {
        OpenError::NoSuchCall => over(call),
        OpenError::Unsupported(_) | OpenError::Full | OpenError::Stopped => not_opened(shared, error),
    })?;
    ice.tag.clone_from(&restarted.ice_session);
    ice.remote_ufrag = ufrag;
    drop(ice);
    live.inbox.offer(Input::Api(Api::Restarted));
    let body = fragment::answer(&restarted.local, &restarted.candidates);
    live.call().note_fragment(shared.clock.now().instant, false, body.as_bytes());
    Ok(Patched::Restarted(Restart { fragment: body, etag: restarted.ice_session }))
}

pub(super) async fn reattach(shared: &Arc<Shared>, call: &CallId, sdp: &[u8]) -> Result<Started, Problem> {
    let live = shared.find_live(call)?;
    let offer = Offer::parse(sdp).map_err(refused_offer)?;
    let mut ice = live.ice.lock().await;
    let remote_ufrag = offer.ice.ufrag.clone();
    let open = OpenCall {
        key: live.key,
        offer,
        codecs: browser_codecs(live.config()),
        prefer: None,
        playback_rate: playback_rate(live.config()),
        limits: limits(live.config()),
        seed: random_bits(),
    };
    let opened = shared.media.reattach(open).await.map_err(|error| match error {
        OpenError::NoSuchCall => over(call),
        OpenError::Unsupported(_) | OpenError::Full | OpenError::Stopped => not_opened(shared, error),
    })?;
    ice.tag.clone_from(&opened.ice_session);
    ice.remote_ufrag = remote_ufrag;
    drop(ice);
    let now = shared.clock.now().instant;
    live.call().note_description(now, SdpKind::Offer, true, sdp);
    live.call().note_description(now, SdpKind::Answer, false, opened.answer.as_bytes());
    live.inbox.offer(Input::Api(Api::Reattached { codec: opened.codec }));
    Ok(Started { call: call.clone(), answer: opened.answer, etag: opened.ice_session })
}
