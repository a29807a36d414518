//! The console: a page for operators on the control listener. It holds nothing and knows nothing: its scripts ask the
//! control API with the key that is typed into it, and keep that key in the tab alone.

use std::future::ready;

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::routing::{MethodRouter, get};

/// Where the page is.
pub const PAGE: &str = "/console";

/// Nothing but our own files, no frame around them, and no way from a text to a script: what a page shows of calls was
/// written by strangers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

macro_rules! files {
    ($($name:literal: $kind:literal),+ $(,)?) => {
        /// Name, media type and text of each file the page loads.
        const FILES: &[(&str, &str, &str)] =
            &[$((concat!("/console/", $name), $kind, include_str!(concat!("../web/console/", $name)))),+];
    };
}
files! {
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "plot.js": "text/javascript; charset=utf-8",
    "calls.js": "text/javascript; charset=utf-8",
    "call.js": "text/javascript; charset=utf-8",
    "trail.js": "text/javascript; charset=utf-8",
    "node.js": "text/javascript; charset=utf-8",
}

/// The page and what it loads.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let html = include_str!("../web/console/index.html");
    let page = Router::new().route(PAGE, file("text/html; charset=utf-8", html, "no-store"));
    FILES.iter().fold(page, |router, (path, kind, text)| router.route(path, file(kind, text, "no-cache")))
}

fn file<S: Clone + Send + Sync + 'static>(
    kind: &'static str,
    text: &'static str,
    cache: &'static str,
) -> MethodRouter<S> {
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, cache),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    get(move || ready((headers, text)))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::diagnosis::Finding;

    #[tokio::test]
    async fn every_file_is_served_and_lets_nothing_foreign_in() {
        for path in FILES.iter().map(|(path, ..)| *path).chain([PAGE]) {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router::<()>().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
            let headers = response.headers();
            assert_eq!(headers[CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(
                (&headers[X_CONTENT_TYPE_OPTIONS], &headers[REFERRER_POLICY]),
                (&"nosniff".parse().unwrap(), &"no-referrer".parse().unwrap())
            );
            assert_eq!(headers[CACHE_CONTROL], if path == PAGE { "no-store" } else { "no-cache" });
        }
    }

    /// What is shown was written by strangers: nothing here may turn text into markup, script or style.
    #[test]
    fn no_script_has_a_way_from_text_to_markup() {
        let sinks = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "DOMParser",
            "srcdoc",
            "javascript:",
            "setAttribute('style'",
            "setAttribute('on",
            "setHTML",
            "localStorage",
            "http://",
            "https://",
        ];
        for (path, _, text) in FILES {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for sink in sinks {
                assert!(!text.contains(sink), "{path} uses {sink}");
            }
            assert!(text.lines().count() <= 400, "{path} is long: split it along a real seam");
        }
    }

    #[test]
    fn the_page_loads_what_is_served_and_holds_no_script_of_its_own() {
        let html = include_str!("../web/console/index.html");
        for part in html.split('"').filter(|part| part.starts_with("/console/")) {
            assert!(FILES.iter().any(|(path, ..)| path == &part), "{part}");
        }
        assert!(!html.contains("style=") && !html.contains("<style") && !html.contains(" on"));
        assert_eq!(html.matches("<script").count(), html.matches("<script type=\"module\" src=\"/console/").count());
    }

    #[test]
    fn every_finding_has_words() {
        let words = include_str!("../web/console/words.js");
        for finding in Finding::ALL {
            assert!(words.contains(&format!("\n  {}: ", finding.word())), "{}", finding.word());
        }
    }
}
