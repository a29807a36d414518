//! What the registrations of trunks mean to a call that is dialled: whether it may go out, and which way.

use trunkline_config::Trunk;
use trunkline_signaling::targets::Wanted;

use super::Driver;
use crate::call::{InviteOrder, LeaseRefused};
use crate::routing::wanted;
use crate::trunks::Registrations;

impl Driver {
    /// Takes a place on a trunk, if calls may go out over it.
    pub(super) fn enter(&mut self, trunk: &str) -> Result<(), LeaseRefused> {
        trunk.clone_into(&mut self.dialled);
        let is_held = self.trunk.as_ref().is_some_and(|(held, _)| held == trunk);
        // The place a call from this trunk came with is still its own.
        if !is_held {
            self.trunk = None;
            if !self.of_trunk(trunk, Registrations::may_carry).unwrap_or(true) {
                return Err(LeaseRefused::Unregistered);
            }
            let permit = self.shared.trunks.acquire(trunk, self.limit(trunk, |trunk| trunk.max_calls));
            self.trunk = permit.map(|permit| (trunk.to_owned(), permit));
        }
        if self.trunk.is_some() { Ok(()) } else { Err(LeaseRefused::TrunkFull) }
    }

    /// Takes a second place, for a leg that may take the place of the one that talks.
    pub(super) fn enter_beside(&mut self, trunk: &str) -> Result<(), LeaseRefused> {
        trunk.clone_into(&mut self.dialled);
        self.spare = None;
        if !self.of_trunk(trunk, Registrations::may_carry).unwrap_or(true) {
            return Err(LeaseRefused::Unregistered);
        }
        let permit = self.shared.trunks.acquire(trunk, self.limit(trunk, |trunk| trunk.max_calls));
        self.spare = permit.map(|permit| (trunk.to_owned(), permit));
        if self.spare.is_some() { Ok(()) } else { Err(LeaseRefused::TrunkFull) }
    }

    /// Where requests to the trunk being dialled go first: as planned, or where its registrar said. What a redirection
    /// led to is planned otherwise, and gone to unless all the trunk's requests go through proxies.
    pub(super) fn first_hop(&self, planned: Wanted) -> Wanted {
        let hop = self.of_trunk(&self.dialled, |registrations, trunk| {
            let by_proxies = trunk.outbound_proxy.is_some() || !registrations.routes(trunk).is_empty();
            let is_trunk = planned == wanted(trunk.first_hop());
            (by_proxies || is_trunk).then(|| registrations.first_hop(trunk))
        });
        hop.flatten().unwrap_or(planned)
    }

    /// Puts the Route of its trunk into an INVITE.
    pub(super) fn add_routes(&self, order: &mut InviteOrder) {
        let routes = self.of_trunk(&order.route.trunk, Registrations::routes).unwrap_or_default();
        order.fields.extend(routes.into_iter().map(|value| ("Route".to_owned(), value)));
    }

    /// `None`: the trunk is configured no more, or nobody registers here.
    fn of_trunk<T>(&self, id: &str, ask: impl FnOnce(&Registrations, &Trunk) -> T) -> Option<T> {
        let registrations = self.shared.registrations.get()?;
        let config = self.shared.settings.load();
        let trunk = config.trunks.iter().find(|trunk| trunk.id == id)?;
        Some(ask(registrations, trunk))
    }
}
