//! A call's place on a trunk: whether the trunk may be tried at all, then a port pair.

use std::time::{Duration, Instant};

use trunkline_config::{Config, Trunk};

use super::{Done, Driver, handing};
use crate::call::{AttemptId, Input, LeaseRefused};

/// How long a call waits for its second when the trunk takes no more calls in this one, and there is no other trunk.
const PATIENCE: Duration = Duration::from_secs(4);

impl Driver {
    pub(super) fn lease(&mut self, attempt: AttemptId, trunk: &str, last: bool) {
        let wait = match self.admit(trunk, last) {
            Ok(wait) => wait,
            Err(refused) => {
                return self.later(async move { Done::Input(Input::TrunkLeased { attempt, result: Err(refused) }) });
            }
        };
        let lease = self.shared.media.lease_trunk(self.live.key);
        self.later(async move {
            tokio::time::sleep(wait).await;
            Done::Input(Input::TrunkLeased { attempt, result: lease.await.map_err(handing::refused) })
        });
    }

    /// Takes a place on the trunk; how long the call has to wait for its turn.
    fn admit(&mut self, trunk: &str, last: bool) -> Result<Duration, LeaseRefused> {
        // The place a call from this trunk came with is still its own, and its beginning was the trunk's.
        let is_held = self.trunk.as_ref().is_some_and(|(held, _)| held == trunk);
        if !is_held && !last && self.shared.finder.is_trunk_down(trunk) {
            return Err(LeaseRefused::TrunkDown);
        }
        self.enter(trunk)?;
        if is_held {
            return Ok(Duration::ZERO);
        }
        let wait = self.turn(trunk, last);
        if wait.is_none() {
            self.trunk = None;
        }
        wait.ok_or(LeaseRefused::TrunkRate)
    }

    /// The same for a leg beside the one that talks; it is dialled unless `last` is `None`.
    pub(super) fn admit_beside(&mut self, trunk: &str, last: Option<bool>) -> Result<Duration, LeaseRefused> {
        if last == Some(false) && self.shared.finder.is_trunk_down(trunk) {
            return Err(LeaseRefused::TrunkDown);
        }
        self.enter_beside(trunk)?;
        let Some(last) = last else { return Ok(Duration::ZERO) };
        let wait = self.turn(trunk, last);
        if wait.is_none() {
            self.spare = None;
        }
        wait.ok_or(LeaseRefused::TrunkRate)
    }

    /// How long a call has to wait until it may begin on a trunk; `None`: too long.
    fn turn(&self, trunk: &str, last: bool) -> Option<Duration> {
        let patience = if last { PATIENCE } else { Duration::ZERO };
        let limit = self.limit(trunk, |trunk| trunk.max_calls_per_second);
        self.shared.paces().reserve(Instant::now(), trunk, limit, patience)
    }

    /// The trunk's limit now; a call may still dial a trunk that is configured no more.
    pub(super) fn limit(&self, trunk: &str, of: impl Fn(&Trunk) -> u32) -> u32 {
        let limit = |config: &Config| config.trunks.iter().find(|t| t.id == trunk).map(&of);
        limit(&self.shared.settings.load()).or_else(|| limit(self.live.config())).unwrap_or(0)
    }
}
