//! An INVITE that takes the place of one of our dialogs (RFC 3891 section 3).

use crate::auth::DigestClient;
use crate::dialog::{Dialog, DialogId};
use crate::endpoint::leg::{Cancel, Stage};
use crate::endpoint::receive::Arrival;
use crate::endpoint::screen::Refusal;
use crate::endpoint::way::Way;
use crate::endpoint::{Endpoint, LegId};
use crate::message::{HeaderName, Replaces, Replacing, Request};

impl Endpoint {
    /// The leg whose place an INVITE outside of dialogs takes, or why it cannot; `None` if it is a call as any other.
    /// Whoever may touch a dialog may replace it: the address has to be one its peer is known by, and nobody else learns
    /// the tags.
    pub(in crate::endpoint) fn replaced_by(
        &self,
        arrival: &Arrival,
        request: &Request,
    ) -> Option<Result<LegId, Refusal>> {
        match Replaces::of(&request.headers) {
            Replacing::Dialog(replaces) => match self.find_replaced(arrival, &replaces) {
                Ok(leg) => Some(Ok(leg)),
                // Of strangers it is not even said that nothing matches.
                Err(481) if !arrival.is_peers => None,
                Err(status) => Some(Err((status, None))),
            },
            Replacing::Nonsense if arrival.is_peers => Some(Err((400, None))),
            Replacing::Nothing | Replacing::Nonsense => None,
        }
    }

    fn find_replaced(&self, arrival: &Arrival, replaces: &Replaces) -> Result<LegId, u16> {
        let id = DialogId { call_id: replaces.call_id.clone(), local_tag: replaces.to_tag.clone() };
        let leg = self.dialogs.get(&id).and_then(|leg| self.legs.get(leg));
        let Some(leg) = leg.filter(|leg| Way::of(leg.id) == arrival.way) else { return Err(481) };
        let is_meant = |dialog: &Dialog| {
            let is_peer = dialog.remote_tag().map_or(&b"0"[..], |tag| tag) == replaces.from_tag;
            is_peer && leg.peer.is_known(arrival.from.ip(), dialog)
        };
        match &leg.stage {
            Stage::Outgoing(outgoing) if outgoing.early.iter().any(|early| is_meant(&early.dialog)) => {
                match outgoing.cancel {
                    Cancel::No => Ok(leg.id),
                    Cancel::Held(_) | Cancel::Sent(..) | Cancel::Told => Err(603),
                }
            }
            Stage::Up(up) if is_meant(&up.dialog) => match (&up.hangup, replaces.early_only) {
                (Some(_), _) => Err(603),
                (None, true) => Err(486),
                (None, false) => Ok(leg.id),
            },
            Stage::Closing { dialog, .. } if is_meant(dialog) => Err(603),
            // An early dialog that its peer began cannot be replaced.
            Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Up(_) | Stage::Closing { .. } | Stage::Closed => Err(481),
        }
    }

    /// What a leg hands to the one that takes its place: its name, and its credentials.
    pub(in crate::endpoint) fn belongings(&mut self, leg: LegId) -> (String, Option<DigestClient>) {
        let seed = self.core.random_u64();
        let Some(leg) = self.legs.get(&leg) else { return (String::new(), None) };
        let auth = leg.auth.as_ref().map(|auth| DigestClient::new(auth.credentials().clone(), seed));
        (leg.label.clone(), auth)
    }
}

/// Whether a request names a dialog to replace.
pub(in crate::endpoint) fn names_a_dialog(request: &Request) -> bool {
    request.headers.get(&HeaderName::other("Replaces")).is_some()
}
