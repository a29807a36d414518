//! What is left of calls in memory once no token is good for them any more: nothing.

use super::*;
use crate::clock::Now;
use crate::counting::live_octets;
use crate::session::{Caller, Desk, LIFETIME, NewSession};

/// So many sessions are opened, and each has a call that talks and is hung up.
async fn busy_hour(bench: &Bench, desk: &Desk, calls: usize) {
    let asked = NewSession::parse(br#"{"app":"acme","widget_key":"wk_demo"}"#).ok().unwrap();
    for _ in 0..calls {
        let caller = Caller::Widget { address: "192.0.2.1", origin: None };
        let opened = desk.open(Clock::system().now(), caller, &asked, None).unwrap().body;
        let call = bench.talking(opened["session"].as_str().unwrap()).await;
        assert!(bench.calls.hangup(&call, HangupBy::Visitor));
        bench.story(&call).await;
    }
    while bench.calls.counters().tasks > 0 {
        tokio::task::yield_now().await;
    }
    let store = bench.calls.store().clone();
    assert!(tokio::task::spawn_blocking(move || store.flush(Duration::from_secs(20))).await.unwrap());
}

/// Ten minutes pass. The stand-ins forget, too.
fn forget(bench: &Bench, desk: &Desk) {
    let Now { instant, wall } = Clock::system().now();
    let later = Now { instant: instant + LIFETIME, wall: wall + LIFETIME };
    assert_eq!(desk.reap(later), 0);
    bench.calls.forget_old(later.instant);
    bench.calls.store().bus().forget(later.wall);
    *bench.media.commands.lock().unwrap() = Vec::new();
    *bench.media.opened.lock().unwrap() = Vec::new();
    *bench.sip.invites.lock().unwrap() = Vec::new();
    *bench.sip.hangups.lock().unwrap() = Vec::new();
}

#[tokio::test]
async fn sessions_and_calls_leave_nothing_in_memory_once_they_are_forgotten() {
    let (bench, desk) = (Bench::new(), Desk::new(crate::testing::config().into()));
    // What there is only once, tables and the database's pages among it, is there after the first.
    busy_hour(&bench, &desk, 40).await;
    forget(&bench, &desk);
    let before = live_octets();
    busy_hour(&bench, &desk, 400).await;
    let busy = live_octets().saturating_sub(before);
    forget(&bench, &desk);
    let left = live_octets().saturating_sub(before);
    assert!(busy > 1 << 20, "{busy} octets are remembered of 400 calls");
    assert!(left < 100 * 400, "{left} octets are left of 400 calls, of {busy}");
}
