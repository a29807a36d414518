//! A destination, tested: over which trunks a call there would go, and how each of them is.

use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};
use trunkline_config::Config;

use super::Trunks;
use crate::routing::{self, Limits, Planned};

/// Trunks of a group that are tested at once.
const AT_ONCE: usize = 16;

impl Trunks {
    /// What a call of this app to this destination would meet, trunk by trunk in the order it would try them. `None`: too
    /// many tests are under way.
    pub async fn test_destination(&self, config: &Config, app: &str, destination: &str) -> Option<Value> {
        let _permit = self.shared.tests.try_acquire().ok()?;
        let plan = routing::dial(config, app, &[destination.to_owned()], Limits::default());
        let ways = plan.iter().flat_map(|planned| match planned {
            Planned::Hunt(of_group) => of_group.as_slice(),
            Planned::Dial(_) | Planned::Skip { .. } => std::slice::from_ref(planned),
        });
        let ways: Vec<_> = ways.map(|way| self.way(config, way)).collect();
        let ways: Vec<Value> = stream::iter(ways).buffered(AT_ONCE).collect().await;
        let ok = ways.iter().any(|way| way.get("ok") == Some(&Value::Bool(true)));
        Some(json!({ "destination": destination, "ok": ok, "ways": ways }))
    }

    async fn way(&self, config: &Config, planned: &Planned) -> Value {
        let Some(route) = planned.first_route() else {
            let Planned::Skip { trunk, reason, .. } = planned else { return Value::Null };
            return json!({ "trunk": trunk, "ok": false, "reason": reason.word(), "detail": reason.detail(), "steps": [] });
        };
        let Some(trunk) = config.trunks.iter().find(|trunk| trunk.id == route.trunk) else { return Value::Null };
        let mut way = super::test::run(&self.shared.finder, &*self.shared.prober, trunk).await;
        if let Some(way) = way.as_object_mut() {
            way.insert("request_uri".into(), route.request_uri.clone().into());
            way.insert("state".into(), self.health(&trunk.id).state().word().into());
        }
        way
    }
}
