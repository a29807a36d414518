//! What the media plane is told, and how audio goes across: the trunk of the route decides, and the media plane hears so with
//! the trunk's media.

use std::sync::Arc;

use trunkline_media::api::Command;

use super::{Call, Effect, Stage};
use crate::routing::Route;

impl Call {
    /// Nothing is said to the media plane before a browser is there.
    pub(super) fn media(&mut self, command: Command) {
        if !self.browser.is_there() {
            return;
        }
        self.effects.push_back(Effect::Media(command));
    }

    /// The media plane was told of the trunk's media: so it is of what the browser is sent, and of who evens out jitter.
    pub(super) fn follow_audio(&mut self, effect: &Effect) {
        if !matches!(effect, Effect::Media(Command::ConnectTrunk(_) | Command::SwapTrunk(_))) {
            return;
        }
        let Some(route) = self.heard_route() else { return };
        let (elastic, on_arrival) = (route.elastic, route.on_arrival);
        if std::mem::replace(&mut self.crosses, (elastic, on_arrival)) != (elastic, on_arrival) {
            self.effects.push_front(Effect::Media(Command::SetAudio { elastic, on_arrival }));
        }
    }

    /// The route of the leg whose media the media plane has: that of a leg which waits while somebody is dialled beside it.
    pub(super) fn heard_route(&self) -> Option<&Arc<Route>> {
        if let Some(parked) = self.parked_route() {
            return Some(parked);
        }
        match &self.stage {
            Stage::Inviting(inviting) => Some(&inviting.route),
            Stage::Talking(talking) => Some(&talking.route),
            Stage::Idle
            | Stage::Asking
            | Stage::Acting
            | Stage::Parting(_)
            | Stage::Leasing { .. }
            | Stage::Resolving { .. }
            | Stage::Called(_)
            | Stage::Ended => None,
        }
    }
}
