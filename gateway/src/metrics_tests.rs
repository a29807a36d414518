//! What is counted is published.

use super::*;

#[test]
fn what_is_counted_is_published() {
    let metrics = Metrics::new();
    metrics.http_request(Listener::Public, "/v1/calls/{call}", 404);
    metrics.session_rejected("unknown-app");
    metrics.call_refused("preview-session");
    let report = Report { drop_counts: [2, 0, 0, 0, 1], truncated: vec!["a".into()], ..Report::default() };
    metrics.session_opened(&report);
    metrics.client_reported("mic_denied");
    metrics.connection_refused(Listener::Control, "total");
    let text = metrics.render(&Snapshot {
        calls: CallCounters {
            live: 3,
            outcomes: vec![(["ended", "user_hangup", "talking"], 7)],
            ..CallCounters::default()
        },
        workers: vec![WorkerStats { received: 5, ..WorkerStats::default() }, WorkerStats::default()],
        sip: EndpointStats { legs: 2, ..EndpointStats::default() },
        ..Snapshot::default()
    });
    for line in [
        r#"trunkline_http_requests_total{code="404",listener="public",route="/v1/calls/{call}"} 1"#,
        r#"trunkline_session_rejections_total{reason="unknown-app"} 1"#,
        r#"trunkline_call_refusals_total{reason="preview-session"} 1"#,
        r#"trunkline_context_keys_dropped_total{reason="invalid_key"} 2"#,
        r#"trunkline_context_keys_dropped_total{reason="invalid_value"} 1"#,
        "trunkline_context_values_truncated_total 1",
        "trunkline_calls 3",
        r#"trunkline_calls_total{class="ended",reason="user_hangup",phase="talking"} 7"#,
        r#"trunkline_worker_datagrams_received_total{worker="0"} 5"#,
        "trunkline_sip_legs 2",
        "# TYPE trunkline_sip_legs gauge",
        "# TYPE trunkline_worker_datagrams_received_total counter",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    assert!(text.contains("trunkline_process_resident_memory_bytes"));
}
