//! Every metric this gateway publishes. Whoever counts, publishes, draws or documents one takes it from here.

use super::definition::Definition;
use super::definition::Kind::{Counter, Gauge, Histogram, Trouble};
use super::labels::{
    ADMITTED, ANSWERED, APP, ASKED_BY, ATTEMPT, BLAME, CLASS, CLOSED, CODE, CODEC, CONTEXT, DELIVERY, DNS_ANSWER, DROP,
    EVENT, FINDING, GOT, HALF_LEG, HANDED, HANDSHAKE, HOOK, INTEGRATION, INVARIANT, LEG, LEVEL, LIMIT, LISTENER,
    MOS_KIND, PHASE, PROBLEM, REASON, REGISTRATION, RELOAD, REORDER, REPORT, RESULT, ROUTE, SOURCE, STAGE, TRANSFER,
    TRIED, TRUNK, VERSION, WORKER,
};

/// Bounds of the histograms. Those of quality include the default bands of the levels.
const LOSS: &[f64] = &[0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5];
const JITTER: &[f64] = &[0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.2, 0.5];
const RTT: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0];
const MOS: &[f64] = &[1.5, 2.0, 2.6, 3.1, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3, 4.4];
const SETUP: &[f64] = &[0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 10.0, 20.0, 60.0];
const LATENESS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5];
const LENGTH: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0];

/// Each line: constant, type, name, unit, labels, help.
macro_rules! catalogue {
    ($($group:literal { $($id:ident: $kind:expr, $name:literal, $unit:literal, [$($label:ident),*], $help:literal;)+ })+) => {
        $($(
            #[doc = $help]
            pub static $id: Definition = Definition {
                group: $group, name: $name, kind: $kind, unit: $unit, help: $help, labels: &[$(&$label),*],
            };
        )+)+

        /// All of them, by group.
        pub static ALL: &[&Definition] = &[$($(&$id),+),+];
    };
}

catalogue! {
"Calls" {
    CALLS: Gauge, "trunkline_calls", "calls", [], "Live calls";
    CALLS_STARTED: Counter, "trunkline_calls_started_total", "calls", [], "Calls that began";
    CALLS_ENDED: Counter, "trunkline_calls_total", "calls", [CLASS, REASON, PHASE], "Ended calls and refused offers by outcome";
    CALLS_DROPPED: Trouble, "trunkline_calls_dropped_total", "calls", [BLAME, LEVEL], "Calls lost while people talked, by who can do something about it and the network's level at the end";
    CALL_REFUSALS: Counter, "trunkline_call_refusals_total", "offers", [PROBLEM], "Offers that became no call, by problem";
    CALL_DURATION: Histogram(LENGTH), "trunkline_call_duration_seconds", "seconds", [CLASS], "From the offer to the end";
    CALL_TALK: Histogram(LENGTH), "trunkline_call_talk_seconds", "seconds", [], "From the answer to the end, of answered calls";
    CALL_SETUP: Histogram(SETUP), "trunkline_call_setup_seconds", "seconds", [STAGE], "How long each stage of the set-up took, of calls that came through it";
    APP_CALLS: Gauge, "trunkline_app_calls", "calls", [APP], "Live calls of an app";
    APP_CALLS_MAX: Gauge, "trunkline_app_calls_max", "calls", [APP], "The app's max_calls";
    CALL_INBOX_OVERFLOWS: Trouble, "trunkline_call_inbox_overflows_total", "calls", [], "Calls ended because their inbox was full";
    CALL_SAMPLES_DROPPED: Trouble, "trunkline_call_samples_dropped_total", "samples", [], "Quality samples a full inbox did not take";
    CALL_EARLY_SIP_EVENTS_DROPPED: Trouble, "trunkline_call_early_sip_events_dropped_total", "events", [], "SIP events before their leg was known, beyond the limit";
    CALL_RECORDS_DROPPED: Counter, "trunkline_call_records_dropped_total", "records", [], "Ended calls that were never written, as trunkline_store_dropped_total";
    CALL_FIELDS_DROPPED: Trouble, "trunkline_call_fields_dropped_total", "fields", [], "Header fields an INVITE had no room for, or whose name was taken";
    CALL_COMMANDS_REFUSED: Trouble, "trunkline_call_commands_refused_total", "commands", [], "Commands the media plane had no room for";
    CALL_PANICS: Trouble, "trunkline_call_panics_total", "panics", [], "Panics caught in calls";
}
"Quality" {
    QUALITY_SECONDS: Counter, "trunkline_quality_seconds_total", "seconds", [HALF_LEG, LEVEL], "Seconds of calls at each level";
    LOSS_RATIO: Histogram(LOSS), "trunkline_half_leg_loss_ratio", "ratio", [HALF_LEG], "Lost of expected packets, observed each second it is known";
    JITTER_SECONDS: Histogram(JITTER), "trunkline_half_leg_jitter_seconds", "seconds", [HALF_LEG], "Interarrival jitter, observed each second it is known";
    RTT_SECONDS: Histogram(RTT), "trunkline_half_leg_rtt_seconds", "seconds", [HALF_LEG], "Round trip, observed each second it is known";
    MOS_SCORE: Histogram(MOS), "trunkline_half_leg_mos", "MOS", [HALF_LEG, MOS_KIND], "E-model score, listening (lq) and conversational (cq), observed each second it is known";
    FINDINGS: Trouble, "trunkline_findings_total", "findings", [FINDING], "Causes of bad calls that were found";
    MEDIA_DROPS: Trouble, "trunkline_media_drops_total", "datagrams", [LEG, DROP], "Datagrams of calls that were not used, by leg and why";
    CODEC_SWITCHES: Counter, "trunkline_codec_switches_total", "switches", [CODEC], "Changes of what a browser is sent, by the codec it went to: Opus while its network loses packets";
    MEDIA_RESENT: Counter, "trunkline_media_resent_packets_total", "packets", [], "Packets of audio sent again because a browser asked";
    REORDERED: Counter, "trunkline_media_reordered_total", "packets", [REORDER], "Audio to trunks with jitter_buffer = \"transparent\": packets that had been overtaken and were put right, and gaps that were waited for in vain";
    CLIENT_REPORTS: Counter, "trunkline_client_reports_total", "reports", [REPORT], "Reports from browsers, by code";
}
"Trunks" {
    TRUNK_CALLS: Gauge, "trunkline_trunk_calls", "calls", [TRUNK], "Live calls on a trunk";
    TRUNK_CALLS_MAX: Gauge, "trunkline_trunk_calls_max", "calls", [TRUNK], "The trunk's max_calls";
    DNS_ANSWERS: Counter, "trunkline_dns_answers_total", "answers", [DNS_ANSWER], "What name servers said of trunks: records, that there are none, a failure, or nothing in time";
    DNS_LAST_GOOD: Trouble, "trunkline_dns_last_good_total", "answers", [], "Times the last good answer had to serve because name servers failed";
    DNS_REFUSED: Trouble, "trunkline_dns_searches_refused_total", "searches", [], "Searches for targets refused because too many were under way";
    TRUNK_REGISTERED: Gauge, "trunkline_trunk_registered", "boolean", [TRUNK], "1 while a registrar of the trunk knows us; of trunks that are registered with";
    TRUNK_REGISTRATIONS: Counter, "trunkline_trunk_registrations_total", "registrations", [TRUNK, REGISTRATION], "Registrations and refreshes by what they came to";
    TRUNK_ATTEMPTS: Counter, "trunkline_trunk_attempts_total", "INVITEs", [TRUNK, RESULT], "INVITEs by what they came to";
    TRANSFERS: Counter, "trunkline_transfers_total", "transfers", [TRANSFER, ASKED_BY, HANDED], "Calls that were handed over, or were to be, by how and by whom";
}
"Hooks and recordings" {
    HOOK_CALLS: Counter, "trunkline_answer_hook_calls_total", "calls", [ANSWERED], "Calls whose app has an answer hook, by whether the hook decided or the static route was taken";
    HOOK_TRIES: Counter, "trunkline_answer_hook_tries_total", "tries", [HOOK, TRIED], "Questions to answer hooks, and those not asked, by what came of them";
    HOOK_SECONDS: Histogram(SETUP), "trunkline_answer_hook_seconds", "seconds", [], "From the question to the decision, all tries together";
    HOOK_ASKING: Gauge, "trunkline_answer_hook_asking", "questions", [], "Questions under way";
    HOOK_OPEN: Gauge, "trunkline_answer_hook_breakers_open", "URLs", [], "Answer hooks that are not asked because they failed";
    PROMPTS_PLAYED: Counter, "trunkline_prompts_played_total", "prompts", [LEG], "Prompts that began to play to a leg";
    RECORDINGS: Counter, "trunkline_recordings_total", "recordings", [SOURCE, GOT], "Spoken texts and recordings by URL that were asked for, by what came of it";
}
"Media" {
    WORKER_CALLS: Gauge, "trunkline_worker_calls", "calls", [WORKER], "Live calls of a media worker";
    WORKER_LEASED_PAIRS: Gauge, "trunkline_worker_leased_pairs", "port pairs", [WORKER], "RTP port pairs in use";
    WORKER_QUARANTINED_PAIRS: Gauge, "trunkline_worker_quarantined_pairs", "port pairs", [WORKER], "RTP port pairs being drained";
    RTP_PAIRS: Gauge, "trunkline_rtp_pairs", "port pairs", [], "RTP port pairs that rtp_ports has room for";
    WORKER_PORTS_IN_USE: Trouble, "trunkline_worker_ports_in_use_total", "port pairs", [WORKER], "RTP port pairs passed over because another program held them";
    MEDIA_CONNECTIONS: Gauge, "trunkline_media_connections", "connections", [], "Live TCP connections of browsers' media";
    MEDIA_CONNECTIONS_ACCEPTED: Counter, "trunkline_media_connections_accepted_total", "connections", [], "TCP connections of browsers' media";
    MEDIA_CONNECTIONS_REFUSED: Counter, "trunkline_media_connections_refused_total", "connections", [], "Of those, closed because they named no call in time, proved to be of none, or were too many";
    MEDIA_CONNECTION_DROPS: Trouble, "trunkline_media_connection_drops_total", "datagrams", [], "Datagrams that such a connection had no room for";
    WORKER_RECEIVED: Counter, "trunkline_worker_datagrams_received_total", "datagrams", [WORKER], "Datagrams in";
    WORKER_SENT: Counter, "trunkline_worker_datagrams_sent_total", "datagrams", [WORKER], "Datagrams out";
    WORKER_SEND_FAILURES: Trouble, "trunkline_worker_send_failures_total", "datagrams", [WORKER], "Datagrams the kernel refused";
    WORKER_STRAY: Trouble, "trunkline_worker_stray_datagrams_total", "datagrams", [WORKER], "Datagrams of no call";
    WORKER_FLOODED: Trouble, "trunkline_worker_flooded_datagrams_total", "datagrams", [WORKER], "Datagrams dropped because one call had too many at once";
    WORKER_SOCKET_DROPS: Trouble, "trunkline_worker_socket_drops_total", "datagrams", [WORKER], "Datagrams the kernel dropped because a socket was full, those of a trunk's ports once its leg ends";
    WORKER_CPU: Counter, "trunkline_worker_cpu_seconds_total", "seconds", [WORKER], "Processor time of a media worker";
    WORKER_COMPLEXITY: Gauge, "trunkline_worker_opus_complexity", "complexity", [WORKER], "Complexity at which a media worker's calls encode Opus: 1, and up to 5 while the worker has next to nothing to do";
    WORKER_LATENESS: Histogram(LATENESS), "trunkline_worker_lateness_seconds", "seconds", [WORKER], "How late a media worker met its calls' deadlines (frames, reports); a millisecond or two is how it sleeps";
    WORKER_REPORTS_DROPPED: Trouble, "trunkline_worker_reports_dropped_total", "reports", [WORKER], "Reports the control plane missed";
    WORKER_COMMANDS_DROPPED: Trouble, "trunkline_worker_commands_dropped_total", "commands", [WORKER], "Commands for unknown calls";
    WORKER_PANICS: Trouble, "trunkline_worker_panics_total", "panics", [WORKER], "Panics caught";
}
"SIP" {
    SIP_LEGS: Gauge, "trunkline_sip_legs", "legs", [], "Live SIP legs";
    SIP_TRANSACTIONS: Gauge, "trunkline_sip_transactions", "transactions", [], "Live SIP transactions";
    SIP_RECEIVED: Counter, "trunkline_sip_datagrams_received_total", "datagrams", [], "SIP datagrams in";
    SIP_SENT: Counter, "trunkline_sip_datagrams_sent_total", "datagrams", [], "SIP datagrams out";
    SIP_RETRANSMISSIONS: Trouble, "trunkline_sip_retransmissions_total", "datagrams", [], "Of those out, repeated";
    SIP_MALFORMED: Trouble, "trunkline_sip_malformed_total", "datagrams", [], "Datagrams that were no SIP";
    SIP_REFUSED: Trouble, "trunkline_sip_requests_refused_total", "requests", [], "Requests refused without state";
    SIP_STRAY_RESPONSES: Trouble, "trunkline_sip_stray_responses_total", "responses", [], "Responses that match nothing";
    SIP_OVERLOAD: Trouble, "trunkline_sip_overload_total", "requests", [], "Refused for want of room";
    SIP_DROPPED: Trouble, "trunkline_sip_dropped_total", "messages", [], "Datagrams or provisional events nobody fetched in time";
    SIP_UNTOLD: Trouble, "trunkline_sip_untold_messages_total", "messages", [], "Messages of legs that no trail of a call could take";
    SIP_LOST_ENDED: Counter, "trunkline_sip_lost_legs_total", "legs", [], "Legs of an earlier process that were ended at the start";
    SIP_ADMISSION: Counter, "trunkline_sip_admission_total", "requests", [ADMITTED], "Calls from trunks that are known by address or proved by password, passwords asked for and answered wrong, and answers strangers got or did not get";
    SIP_UNKEPT: Trouble, "trunkline_sip_unjournalled_total", "legs", [], "Times a leg went on before the journal had it, because the disk was slow";
    SIP_GROWN: Counter, "trunkline_sip_requests_too_large_total", "requests", [], "Requests too large for a datagram that went over TCP";
    SIP_SHRUNK: Trouble, "trunkline_sip_requests_too_large_over_udp_total", "requests", [], "Of those, sent as a datagram after all, for the peer takes no TCP";
    SIP_MOVED: Counter, "trunkline_sip_address_changes_total", "changes", [], "Times a peer's answer told that it sees this node at another address than it had been told, and it is told that one from then on";
    SIP_RESENT: Counter, "trunkline_sip_requests_resent_total", "requests", [], "Requests sent again because the connection broke they went over";
    SIP_CONNECTIONS: Gauge, "trunkline_sip_connections", "connections", [], "Live SIP connections over TCP and TLS";
    SIP_CONNECTIONS_OPENED: Counter, "trunkline_sip_connections_opened_total", "connections", [], "Connections to peers";
    SIP_CONNECTIONS_FAILED: Trouble, "trunkline_sip_connections_failed_total", "connections", [], "Connections to peers that did not come up, or proved to be somebody else's";
    SIP_CONNECTIONS_ACCEPTED: Counter, "trunkline_sip_connections_accepted_total", "connections", [], "Connections of peers";
    SIP_CONNECTIONS_REFUSED: Trouble, "trunkline_sip_connections_refused_total", "connections", [], "Connections of peers closed at once because of a limit";
    SIP_TLS_FAILURES: Counter, "trunkline_sip_tls_failures_total", "connections", [], "Connections of peers that became no TLS connection";
    SIP_CONNECTIONS_CLOSED: Counter, "trunkline_sip_connections_closed_total", "connections", [CLOSED], "Connections that ended, by why";
    SIP_QUEUE_FULL: Trouble, "trunkline_sip_connection_queue_full_total", "messages", [], "Messages that found too many others waiting for their connection";
    SIP_PINGS: Counter, "trunkline_sip_pings_total", "pings", [], "Keep-alives sent over idle connections";
}
"HTTP and sessions" {
    SESSIONS: Gauge, "trunkline_sessions", "sessions", [], "Sessions that may still start a call";
    RECEIVERS: Gauge, "trunkline_receivers", "sessions", [], "Browsers that wait for calls from trunks";
    SESSIONS_OPENED: Counter, "trunkline_sessions_opened_total", "sessions", [], "Sessions that were opened";
    SESSION_REJECTIONS: Counter, "trunkline_session_rejections_total", "requests", [PROBLEM], "Sessions that were refused, by problem";
    CONTEXT_KEYS_DROPPED: Counter, "trunkline_context_keys_dropped_total", "keys", [CONTEXT], "Context keys that were not kept, by reason";
    CONTEXT_VALUES_TRUNCATED: Counter, "trunkline_context_values_truncated_total", "values", [], "Context values that were cut to size";
    HTTP_REQUESTS: Counter, "trunkline_http_requests_total", "requests", [CODE, LISTENER, ROUTE], "HTTP requests by status, listener and route template";
    HTTP_CONNECTIONS_REFUSED: Trouble, "trunkline_http_connections_refused_total", "connections", [LIMIT, LISTENER], "TCP connections closed at once because of a limit";
    HTTP_TLS_FAILURES: Counter, "trunkline_http_tls_failures_total", "connections", [HANDSHAKE], "TCP connections to the public listener that became no TLS connection";
    CERTIFICATE_EXPIRY: Gauge, "trunkline_http_certificate_expiry_timestamp_seconds", "seconds", [], "When the public listener's certificate ends, in seconds since the epoch";
}
"Store" {
    STORE_QUEUE: Gauge, "trunkline_store_queue", "entries", [], "Entries that wait to be written";
    STORE_WRITTEN: Counter, "trunkline_store_written_total", "entries", [], "Entries written";
    STORE_DROPPED: Trouble, "trunkline_store_dropped_total", "calls", [], "Ended calls that were never written";
    STORE_SHED: Trouble, "trunkline_store_shed_total", "calls", [], "Ended calls of which only the record is kept, because the queue was long";
    STORE_UNJOURNALLED: Trouble, "trunkline_store_unjournalled_total", "entries", [], "Journal entries of live calls left out, because the queue was long";
    STORE_LEGS_LEFT_OUT: Trouble, "trunkline_store_legs_left_out_total", "entries", [], "Journal entries of SIP legs left out, because the queue was long";
    STORE_EXPIRED: Counter, "trunkline_store_expired_total", "calls", [], "Ended calls forgotten because of their age or the store's size";
    STORE_FAILURES: Trouble, "trunkline_store_failures_total", "writes", [], "Writes that failed";
    STORE_FAILING: Gauge, "trunkline_store_failing", "boolean", [], "1 while writes fail";
    STORE_BYTES: Gauge, "trunkline_store_bytes", "bytes", [], "What the store holds";
}
"Events" {
    EVENTS: Counter, "trunkline_events_total", "events", [EVENT], "Events that became durable, by name";
    EVENT_STREAMS: Gauge, "trunkline_event_streams", "streams", [LISTENER], "Event streams that are read: of single calls (public), of all events (control)";
    EVENT_STREAMS_REFUSED: Trouble, "trunkline_event_streams_refused_total", "requests", [LISTENER], "Event streams that were refused because too many are read";
    EVENT_READERS_LAGGED: Trouble, "trunkline_event_readers_lagged_total", "streams", [], "Streams of all events that ended because their reader did not keep up";
    EVENTS_BACKLOG: Gauge, "trunkline_events_backlog_bytes", "bytes", [], "Events in memory that wait for the disk";
    EVENTS_LOST: Trouble, "trunkline_events_lost_total", "events", [], "Events that were never written, because the backlog was full: no webhook hears of them";
    EVENTS_EARLY: Trouble, "trunkline_events_early_total", "events", [], "Events a visitor was told before they were durable, because the disk took longer than a second";
    EVENTS_EXPIRED: Counter, "trunkline_events_expired_total", "events", [], "Events forgotten because of their age or the log's size";
    DELIVERIES_SKIPPED: Trouble, "trunkline_deliveries_skipped_total", "deliveries", [], "Deliveries not tried because too many waited for their integration";
}
"Webhooks" {
    WEBHOOK_DELIVERIES: Counter, "trunkline_webhook_deliveries_total", "deliveries", [INTEGRATION, DELIVERY], "Deliveries that are done with, by what became of them";
    WEBHOOK_ATTEMPTS: Counter, "trunkline_webhook_attempts_total", "attempts", [INTEGRATION, ATTEMPT], "Attempts by what was answered, or why nothing was";
    WEBHOOK_PENDING: Gauge, "trunkline_webhook_pending", "deliveries", [INTEGRATION], "Deliveries that wait, those of a paused integration among them";
    WEBHOOK_PAUSED: Gauge, "trunkline_webhook_paused", "boolean", [INTEGRATION], "1 while nothing is delivered because 20 deliveries in a row failed";
}
"Node" {
    CALL_TASKS: Gauge, "trunkline_call_tasks", "tasks", [], "Tasks that drive calls, those that wind down among them";
    INVARIANT_GAP: Gauge, "trunkline_invariant_gap", "count", [INVARIANT], "How far apart two numbers are that belong together: tasks and media calls with calls, port pairs and SIP legs with calls on trunks; only for moments above 0";
    DRAINING: Gauge, "trunkline_draining", "boolean", [], "1 while no new calls are taken";
    CONFIG_RELOADS: Counter, "trunkline_config_reloads_total", "reloads", [RELOAD], "Reloads of the configuration by what came of them";
    CONFIG_LOADED: Gauge, "trunkline_config_loaded_timestamp_seconds", "seconds", [], "Since when the configuration is in force, in seconds since the epoch";
    UPTIME: Gauge, "trunkline_uptime_seconds", "seconds", [], "Since the start";
    BUILD_INFO: Gauge, "trunkline_build_info", "boolean", [VERSION], "Always 1";
    RESIDENT_MEMORY: Gauge, "trunkline_process_resident_memory_bytes", "bytes", [], "Resident memory";
    ANONYMOUS_MEMORY: Gauge, "trunkline_process_anonymous_memory_bytes", "bytes", [], "Of it, what no file backs: heap and stacks, not the program's own pages";
    CPU_SECONDS: Counter, "trunkline_process_cpu_seconds_total", "seconds", [], "Processor time, user and system";
    THREADS: Gauge, "trunkline_process_threads", "threads", [], "Threads";
    OPEN_FDS: Gauge, "trunkline_process_open_fds", "descriptors", [], "Open file descriptors";
    MAX_FDS: Gauge, "trunkline_process_max_fds", "descriptors", [], "File descriptors this process may open";
}
}
