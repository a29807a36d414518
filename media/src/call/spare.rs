//! A second port pair, for a leg that is to take the trunk leg's place: silent and deaf until it does.

use std::net::SocketAddr;
use std::time::Instant;

use super::Call;
use crate::outbox::Outbox;
use crate::sdp::trunk::TrunkMedia;

impl Call {
    /// A port pair was leased beside the trunk leg's. Replaces an older one.
    pub fn attach_spare(&mut self, local: SocketAddr) {
        self.spare = Some(local);
    }

    /// The old leg says goodbye from its own port; the new one begins with its own source, numbers and reports.
    pub(super) fn swap_trunk(&mut self, now: Instant, media: TrunkMedia, out: &mut Outbox) {
        let Some(local) = self.spare.take() else { return };
        self.release_trunk(now, out);
        self.attach_trunk(now, local);
        self.connect_trunk(now, media);
    }
}
