//! A SIP agent without media: answers every call at once and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::sync::mpsc;
use trunkline_signaling::endpoint::{EndpointConfig, Event, Timers};
use trunkline_signaling::transport::udp::{self, Handle};

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                      m=audio 9 RTP/AVP 0\r\na=sendrecv\r\n";

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Calls whose answer was acknowledged.
    pub(crate) confirmed: AtomicU64,
    /// Calls that were hung up.
    pub(crate) ended: AtomicU64,
    /// Calls that ended in another way.
    pub(crate) lost: AtomicU64,
}

/// Starts one on the current runtime, which ends it.
pub(crate) fn start() -> Result<(SocketAddr, Arc<Counts>)> {
    let bind = "127.0.0.1:0".parse()?;
    let config = EndpointConfig {
        advertised: bind,
        domain: "127.0.0.1".into(),
        user_agent: "trunkline-loadtest".into(),
        accepts_calls: true,
        timers: Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) },
        max_transactions: 100_000,
        trace: false,
        snapshots: None,
    };
    let (handle, events, address) = udp::spawn(config, bind, rand::random())?;
    let counts = Arc::<Counts>::default();
    tokio::spawn(run(handle, events, Arc::clone(&counts)));
    Ok((address, counts))
}

async fn run(handle: Handle, mut events: mpsc::Receiver<Event>, counts: Arc<Counts>) {
    let one = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    while let Some(event) = events.recv().await {
        match event {
            Event::Incoming { leg, .. } => {
                let answer = Bytes::from_static(ANSWER.as_bytes());
                // It may have been cancelled meanwhile.
                let _ = handle.call(move |endpoint, now| endpoint.accept(now, leg, answer)).await;
            }
            Event::Confirmed { .. } => drop(one(&counts.confirmed)),
            Event::Ended { .. } => drop(one(&counts.ended)),
            Event::Cancelled { .. } | Event::Lost { .. } | Event::SessionExpired { .. } => drop(one(&counts.lost)),
            Event::Offer { leg, .. } => {
                let _ = handle.call(move |endpoint, now| endpoint.answer_offer(now, leg, Err(488))).await;
            }
            Event::Trying { .. }
            | Event::Provisional { .. }
            | Event::Answered { .. }
            | Event::Failed { .. }
            | Event::OfferAnswered { .. }
            | Event::Transfer { .. }
            | Event::Pinged { .. }
            | Event::Replied { .. }
            | Event::Digit { .. }
            | Event::DigitsSent { .. }
            | Event::DigitsRefused { .. }
            | Event::Snapshot { .. }
            | Event::Traced { .. } => {}
        }
    }
}
