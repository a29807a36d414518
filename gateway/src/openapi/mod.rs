//! The OpenAPI 3.1 document, made of what stands at the handlers: every route is registered together with its entry
//! (`utoipa_axum::routes!`), so there is none without the other.
//!
//! ```text
//! #[utoipa::path] at handlers ─ Router::routes ─ finish (what all have in common) ─┬─ of one listener
//!                                                                                  └─ merge ─ of both
//! ```

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

mod finish;
mod merge;
pub mod schemas;
#[cfg(test)]
mod tests;

/// What the document says of the whole.
const ABOUT: &str = "Two listeners. **public** is for browsers: sessions are opened with an app's widget key, everything \
    else takes a session's token; pages of other origins are let in by the app's `allowed_origins`, and OPTIONS is \
    answered everywhere. **control** is for back ends and operators: API keys with scopes. Each operation is tagged with \
    its listener; those that both have are described as both take them, and `?listener=public` or `?listener=control` \
    describes one listener to the letter.";

static PUBLIC: LazyLock<Value> = LazyLock::new(|| finish::finish(crate::public_api::document(), "public"));
static CONTROL: LazyLock<Value> = LazyLock::new(|| finish::finish(crate::control_api::document(), "control"));
static BOTH: LazyLock<Value> = LazyLock::new(|| merge::merge(&PUBLIC, &CONTROL));

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Listener {
    /// For browsers.
    Public,
    /// For operators and back ends.
    Control,
}

/// The document of both listeners, or of one.
#[must_use]
pub fn document(listener: Option<Listener>, public_url: &str) -> Value {
    let public = json!({"url": public_url, "description": "The public listener"});
    let control = json!({"url": "/", "description": "The control listener: where this document comes from"});
    let (document, servers) = match listener {
        Some(Listener::Public) => (&*PUBLIC, json!([public])),
        Some(Listener::Control) => (&*CONTROL, json!([control])),
        None => (&*BOTH, json!([public, control])),
    };
    let mut document = document.clone();
    if let Some(document) = document.as_object_mut() {
        let info = json!({"title": "Trunkline", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}});
        document.insert("info".into(), info);
        document.insert("servers".into(), servers);
    }
    document
}
