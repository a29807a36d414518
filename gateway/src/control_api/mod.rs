//! The listener operators and back ends use.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::{Router, middleware};
use futures::future::BoxFuture;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::calls::Calls;
use crate::clock::{Clock, Now};
use crate::metrics::{Listener, Metrics, Snapshot};
use crate::outbox::Webhooks;
use crate::public_api::watch::{self, Watch};
use crate::reload::Reloader;
use crate::session::Desk;
use crate::settings::Settings;
use crate::trunks::Trunks;

mod auth;
mod calls;
mod context;
mod document;
#[cfg(test)]
mod event_tests;
mod events;
mod integrations;
mod network;
mod node;
mod papers;
mod sessions;
mod steer;
#[cfg(test)]
mod tests;
mod trunks;
mod upkeep;

pub use upkeep::{Configuration, Drain};

/// What only the daemon can tell: reads the counters of the planes.
pub type Gauges = Box<dyn Fn() -> BoxFuture<'static, Snapshot> + Send + Sync>;

/// What the handlers share.
pub struct Api {
    settings: Settings,
    reloader: Arc<Reloader>,
    desk: Arc<Desk>,
    calls: Calls,
    metrics: Arc<Metrics>,
    clock: Clock,
    address: SocketAddr,
    started: Now,
    trunks: Trunks,
    gauges: Gauges,
    webhooks: Webhooks,
}

impl Api {
    /// The control surface, on a listener that is bound. `gauges` fills in what the planes count.
    #[must_use]
    #[allow(clippy::too_many_arguments)] // Each is a part of the daemon of its own.
    pub fn new(
        reloader: Arc<Reloader>,
        desk: Arc<Desk>,
        calls: Calls,
        metrics: Arc<Metrics>,
        clock: Clock,
        address: SocketAddr,
        (trunks, webhooks): (Trunks, Webhooks),
        gauges: Gauges,
    ) -> Self {
        let (settings, started) = (reloader.settings().clone(), clock.now());
        Self { settings, reloader, desk, calls, metrics, clock, address, started, trunks, gauges, webhooks }
    }
}

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::from(routes())
        .merge(crate::console::router())
        .fallback(watch::nothing_here)
        .method_not_allowed_fallback(watch::wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), auth::guard))
        .layer(middleware::from_fn_with_state(Watch::new(&api.metrics, Listener::Control), watch::watch))
        .layer(watch::nosniff())
        .with_state(api)
}

/// What the listener's routes take and answer.
pub(crate) fn document() -> OpenApi {
    routes().into_openapi()
}

/// Each route with its entry in the document.
fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(OpenApi::default())
        .routes(routes!(node::healthz))
        .routes(routes!(node::readyz))
        .routes(routes!(node::metrics))
        .routes(routes!(document::serve))
        .routes(routes!(sessions::create))
        .routes(routes!(calls::list))
        .routes(routes!(calls::record))
        .routes(routes!(context::context))
        .routes(routes!(papers::quality))
        .routes(routes!(papers::diagnosis))
        .routes(routes!(papers::bundle))
        .routes(routes!(calls::hang_up))
        .routes(routes!(calls::mute))
        .routes(routes!(calls::unmute))
        .routes(routes!(calls::dtmf))
        .routes(routes!(events::follow))
        .merge(steer::routes())
        .routes(routes!(trunks::list))
        .routes(routes!(trunks::test))
        .routes(routes!(trunks::test_destination))
        .routes(routes!(network::requirements))
        .routes(routes!(integrations::list))
        .routes(routes!(integrations::one))
        .routes(routes!(integrations::deliveries))
        .routes(routes!(integrations::reactivate))
        .routes(routes!(integrations::redeliver))
        .routes(routes!(node::node))
        .routes(routes!(upkeep::drain))
        .routes(routes!(upkeep::reload))
}
