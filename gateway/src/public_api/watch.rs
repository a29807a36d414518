//! What is around every handler of both listeners: a time limit, a count, and problems for what no route takes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::metrics::{Listener, Metrics};
use crate::problem::{MEDIA_TYPE, Problem};

/// Longest time from the headers of a request to those of its answer. Event streams have answered by then.
const LONGEST: Duration = Duration::from_secs(10);
/// The same of a test: it waits for name servers and peers that do not answer, step after step, and says which it was.
const LONGEST_TEST: Duration = Duration::from_secs(60);

/// Whose requests are counted.
#[derive(Clone)]
pub struct Watch {
    metrics: Arc<Metrics>,
    listener: Listener,
}

impl Watch {
    /// A watch on a listener.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, listener: Listener) -> Self {
        Self { metrics: metrics.clone(), listener }
    }
}

/// Limits and counts a request.
pub async fn watch(State(watch): State<Watch>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_test = route.as_ref().is_some_and(|route| route.as_str().ends_with("/test"));
    let longest = if is_test { LONGEST_TEST } else { LONGEST };
    let response = match tokio::time::timeout(longest, next.run(request)).await {
        Ok(response) => as_problem(response),
        Err(_) => Problem::request_timeout("send the whole request at once").into_response(),
    };
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    watch.metrics.http_request(watch.listener, route, response.status().as_u16());
    response
}

/// What the framework refuses before a handler sees it (a path that is no UTF-8, …) is a problem as well.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let ours = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    if ours {
        response
    } else if status.is_client_error() {
        Problem::invalid_request("the request cannot be read").into_response()
    } else if status.is_server_error() {
        Problem::internal_error("the gateway could not answer").into_response()
    } else {
        response
    }
}

/// Answers are what their Content-Type says.
#[must_use]
pub fn nosniff() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

/// No such route.
pub async fn nothing_here() -> Problem {
    Problem::not_found("check the path")
}

/// A route, but not with this method.
pub async fn wrong_method() -> Problem {
    Problem::method_not_allowed("see the Allow header")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_ten_seconds_at_most_but_for_a_test_of_what_does_not_answer() {
        let slow = async || tokio::time::sleep(Duration::from_secs(30)).await;
        let watched = Watch::new(&Arc::new(Metrics::new()), Listener::Control);
        let router = Router::new().route("/v1/node", get(slow)).route("/v1/trunks/{id}/test", get(slow));
        let router = router.layer(from_fn_with_state(watched, watch));
        for (path, expected) in [("/v1/trunks/acme/test", 200), ("/v1/node", 408), ("/v1/node?x=/test", 408)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            assert_eq!(router.clone().oneshot(request).await.unwrap().status(), expected, "{path}");
        }
    }
}
