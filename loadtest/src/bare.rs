//! The floor of the control plane: the gateway's HTTP library with nothing behind it. It reads what the gateway reads and
//! says as many octets; its stream of events tells everybody what one request brings.
#![allow(clippy::disallowed_methods)] // The edge: a child process.

use std::future::ready;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::sync::broadcast;

/// Events a stream may lie behind.
const DEPTH: usize = 4_096;

/// Serves until it is killed; says first where.
pub(crate) async fn serve(session_bytes: usize, answer_bytes: usize) -> Result<()> {
    let (events, _) = broadcast::channel::<Bytes>(DEPTH);
    let filled = |length: usize| Bytes::from(vec![b'x'; length]);
    let (session, answer, publisher) = (filled(session_bytes), filled(answer_bytes), events.clone());
    let router = Router::new()
        .route("/v1/sessions", post(move |_: Bytes| ready(said("application/json", session.clone()))))
        .route("/v1/calls", post(move |_: Bytes| ready(said("application/sdp", answer.clone()))))
        .route("/v1/events", get(move || ready(stream(events.subscribe()))))
        .route("/tell", post(move |event: Bytes| ready(told(&publisher, event))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()?;
    drop(out);
    axum::serve(listener, router).await?;
    Ok(())
}

fn said(kind: &'static str, body: Bytes) -> impl IntoResponse {
    (StatusCode::CREATED, [(CONTENT_TYPE, kind)], body)
}

fn told(events: &broadcast::Sender<Bytes>, event: Bytes) -> StatusCode {
    // Nobody may listen.
    let _ = events.send(event);
    StatusCode::NO_CONTENT
}

fn stream(events: broadcast::Receiver<Bytes>) -> impl IntoResponse {
    let each = futures::stream::unfold(events, |mut events| async {
        let event = events.recv().await.ok()?;
        Some((Ok::<_, std::convert::Infallible>(event), events))
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(each))
}

/// A running floor; gone when dropped.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    pub(crate) fn start(session_bytes: usize, answer_bytes: usize) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["bare", "--session-bytes", &session_bytes.to_string()])
            .args(["--answer-bytes", &answer_bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut bare = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut line = String::new();
        BufReader::new(bare.child.stdout.take().context("no output")?).read_line(&mut line)?;
        bare.address = line.trim().parse().context("the floor did not say where it listens")?;
        Ok(bare)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
