//! The listener operators and back ends use.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::routing::{get, post};
use axum::{Router, middleware};
use futures::future::BoxFuture;

use crate::calls::Calls;
use crate::clock::{Clock, Now};
use crate::metrics::{Listener, Metrics, Snapshot};
use crate::public_api::watch::{self, Watch};
use crate::session::Desk;
use crate::settings::Settings;

mod auth;
mod calls;
mod node;
mod papers;
mod sessions;
#[cfg(test)]
mod tests;

/// What only the daemon can tell: reads the counters of the planes.
pub type Gauges = Box<dyn Fn() -> BoxFuture<'static, Snapshot> + Send + Sync>;

/// What the handlers share.
pub struct Api {
    settings: Settings,
    desk: Arc<Desk>,
    calls: Calls,
    metrics: Arc<Metrics>,
    clock: Clock,
    address: SocketAddr,
    started: Now,
    gauges: Gauges,
}

impl Api {
    /// The control surface, on a listener that is bound. `gauges` fills in what the planes count.
    #[must_use]
    pub fn new(
        settings: Settings,
        desk: Arc<Desk>,
        calls: Calls,
        metrics: Arc<Metrics>,
        clock: Clock,
        address: SocketAddr,
        gauges: Gauges,
    ) -> Self {
        let started = clock.now();
        Self { settings, desk, calls, metrics, clock, address, started, gauges }
    }
}

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .route("/metrics", get(node::metrics))
        .route("/v1/sessions", post(sessions::create))
        .route("/v1/calls", get(calls::list))
        .route("/v1/calls/{call}", get(calls::record))
        .route("/v1/calls/{call}/quality", get(papers::quality))
        .route("/v1/calls/{call}/diagnosis", get(papers::diagnosis))
        .route("/v1/calls/{call}/bundle", get(papers::bundle))
        .route("/v1/calls/{call}/hangup", post(calls::hang_up))
        .route("/v1/calls/{call}/mute", post(calls::mute))
        .route("/v1/calls/{call}/unmute", post(calls::unmute))
        .route("/v1/calls/{call}/dtmf", post(calls::dtmf))
        .route("/v1/trunks", get(node::trunks))
        .route("/v1/node", get(node::node))
        .route("/v1/node/drain", post(node::drain))
        .merge(crate::console::router())
        .fallback(watch::nothing_here)
        .method_not_allowed_fallback(watch::wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), auth::guard))
        .layer(middleware::from_fn_with_state(Watch::new(&api.metrics, Listener::Control), watch::watch))
        .layer(watch::nosniff())
        .with_state(api)
}
