//! The demo's page and the browser module, as they are in `gateway/web/`.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::routing::get;

const POLICY: &str = "default-src 'self'; img-src data:; media-src 'self' blob:; frame-ancestors 'self'";

/// `/`, its style and its scripts.
pub(super) fn router() -> Router {
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../../web/index.html")))
        .route("/demo.css", file("text/css; charset=utf-8", include_str!("../../web/demo.css")))
        .route("/demo.js", file("text/javascript; charset=utf-8", include_str!("../../web/demo.js")))
        .route("/trunkline.js", file("text/javascript; charset=utf-8", include_str!("../../web/trunkline.js")))
}

fn file(kind: &'static str, text: &'static str) -> axum::routing::MethodRouter {
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    get(move || std::future::ready((headers, text)))
}
