//! A contact centre that outlives the gateways that call it: it rings and answers by chance from a seed, and knows which
//! of its telephones are still off the hook.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use trunkline_signaling::endpoint::{EndpointConfig, Event, LegId, Timers};
use trunkline_signaling::message::HeaderName;
use trunkline_signaling::transport::udp::{self, Handle};

/// How the gateway passes on which call it is: a context key of the session.
pub const PARTY_HEADER: &str = "X-C2C-party";

/// How a call is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Rings for ever.
    Rings,
    /// Rings, then answers.
    Answers(Duration),
    /// Answers without ringing.
    AtOnce,
}

/// What became of a call.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The session's `party`.
    pub party: String,
    /// It was answered.
    pub answered: bool,
    /// The end that the caller told: when, and the Reason it gave. `None`: the telephone is off the hook.
    pub ended: Option<(Instant, String)>,
}

/// The running centre.
pub struct Switchboard {
    /// Where INVITEs go.
    pub address: SocketAddr,
    calls: Arc<Mutex<HashMap<LegId, Taken>>>,
    task: JoinHandle<()>,
}

impl Switchboard {
    /// Starts one.
    pub fn start(seed: u64) -> Result<Self> {
        let bind = "127.0.0.1:0".parse()?;
        let config = EndpointConfig {
            advertised: bind,
            domain: "127.0.0.1".into(),
            user_agent: "switchboard".into(),
            accepts_calls: true,
            timers: Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) },
            max_transactions: 10_000,
            trace: false,
            snapshots: None,
        };
        let (handle, mut events, address) = udp::spawn(config, bind, [9; 32])?;
        let calls: Arc<Mutex<HashMap<LegId, Taken>>> = Arc::default();
        let board = Arc::clone(&calls);
        let mut rng = StdRng::seed_from_u64(seed);
        let task = tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                take(&handle, &board, &mut rng, event).await;
            }
        });
        Ok(Self { address, calls, task })
    }

    /// Every call that ever came.
    #[must_use]
    pub fn calls(&self) -> Vec<Taken> {
        lock(&self.calls).values().cloned().collect()
    }

    /// Calls that nobody has ended.
    #[must_use]
    pub fn off_the_hook(&self) -> Vec<Taken> {
        lock(&self.calls).values().filter(|call| call.ended.is_none()).cloned().collect()
    }
}

impl Drop for Switchboard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn take(handle: &Handle, calls: &Arc<Mutex<HashMap<LegId, Taken>>>, rng: &mut StdRng, event: Event) {
    match event {
        Event::Incoming { leg, headers, .. } => {
            let party =
                headers.get(&HeaderName::other(PARTY_HEADER)).map(|value| String::from_utf8_lossy(value).into());
            let taken = Taken { party: party.unwrap_or_default(), answered: false, ended: None };
            lock(calls).insert(leg, taken);
            let manner = match rng.next_u32() % 10 {
                0..=1 => Manner::Rings,
                2..=3 => Manner::AtOnce,
                _ => Manner::Answers(Duration::from_millis(u64::from(rng.next_u32() % 600))),
            };
            tokio::spawn(serve(handle.clone(), Arc::clone(calls), leg, manner));
        }
        Event::Ended { leg, reason } | Event::Cancelled { leg, reason } => {
            if let Some(call) = lock(calls).get_mut(&leg) {
                call.ended = Some((Instant::now(), reason.map(|reason| reason.to_string()).unwrap_or_default()));
            }
        }
        Event::Offer { leg, .. } => {
            let _ = handle.call(move |endpoint, now| endpoint.answer_offer(now, leg, Err(488))).await;
        }
        // One whose 2xx nobody acknowledges stays off the hook for whoever asks.
        Event::Lost { .. }
        | Event::Trying { .. }
        | Event::Provisional { .. }
        | Event::Transfer { .. }
        | Event::Answered { .. }
        | Event::Failed { .. }
        | Event::OfferAnswered { .. }
        | Event::SessionExpired { .. }
        | Event::Confirmed { .. }
        | Event::Pinged { .. }
        | Event::Replied { .. }
        | Event::Digit { .. }
        | Event::DigitsSent { .. }
        | Event::DigitsRefused { .. }
        | Event::Snapshot { .. }
        | Event::Traced { .. } => {}
    }
}

async fn serve(handle: Handle, calls: Arc<Mutex<HashMap<LegId, Taken>>>, leg: LegId, manner: Manner) {
    if manner != Manner::AtOnce {
        let _ = handle.call(move |endpoint, now| endpoint.ring(now, leg, 180, None)).await;
    }
    match manner {
        Manner::Rings => return,
        Manner::Answers(after) => tokio::time::sleep(after).await,
        Manner::AtOnce => {}
    }
    let answer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                  m=audio 9 RTP/AVP 0\r\na=sendrecv\r\n";
    let accepted = handle.call(move |endpoint, now| endpoint.accept(now, leg, Bytes::from_static(answer.as_bytes())));
    // It may have been cancelled meanwhile.
    if accepted.await.is_ok_and(|accepted| accepted.is_ok())
        && let Some(call) = lock(&calls).get_mut(&leg)
    {
        call.answered = true;
    }
}
