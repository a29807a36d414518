//! A session as octets, as long as nobody asks for it: JSON without names.

use std::time::Instant;

use super::Session;
use crate::ids::SessionId;

/// All of it but what its place tells. `None`: it cannot be written, which no session is known for.
pub(super) fn pack(session: &Session) -> Option<Vec<u8>> {
    let Session { id: _, created: _, app, profile, profile_fallback, asked_profile, lang, preview, receive, .. } =
        session;
    let Session { context, form, destination, headers, metadata, .. } = session;
    let asked = (app, profile, profile_fallback, asked_profile, lang, preview, receive);
    serde_json::to_vec(&(asked, context, form, destination, headers, metadata)).ok()
}

/// The session that was packed.
pub(super) fn unpack(id: SessionId, created: Instant, octets: &[u8]) -> Option<Session> {
    let (asked, context, form, destination, headers, metadata) = serde_json::from_slice(octets).ok()?;
    let (app, profile, profile_fallback, asked_profile, lang, preview, receive) = asked;
    Some(Session {
        id,
        app,
        profile,
        profile_fallback,
        asked_profile,
        lang,
        preview,
        receive,
        context,
        form,
        destination,
        headers,
        metadata,
        created,
    })
}
