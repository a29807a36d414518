//! A destination, tested: over which trunks a call there would go, and how each of them is.

use serde_json::{Value, json};
use trunkline_config::Config;

use super::Trunks;
use crate::routing::{self, Limits, Planned};

impl Trunks {
    /// What a call of this app to this destination would meet, trunk by trunk in the order it would try them. `None`: too
    /// many tests are under way.
    pub async fn test_destination(&self, config: &Config, app: &str, destination: &str) -> Option<Value> {
        let _permit = self.shared.tests.try_acquire().ok()?;
        let plan = routing::dial(config, app, &[destination.to_owned()], Limits::default());
        let mut ways = Vec::new();
        for planned in plan {
            match planned {
                Planned::Hunt(of_group) => {
                    for way in of_group {
                        ways.push(self.way(config, &way).await);
                    }
                }
                way @ (Planned::Dial(_) | Planned::Skip { .. }) => ways.push(self.way(config, &way).await),
            }
        }
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
