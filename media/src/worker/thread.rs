//! One media thread: its readiness loop.
#![allow(clippy::disallowed_methods)] // The edge: the clock is read here, once a wake-up, and given to everything below.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use tokio::sync::mpsc;

use super::asks::Ask;
use super::batch::{Inbox, Postman};
use super::calls::Calls;
use super::effort::Effort;
use super::ports::{Pool, Ports};
use super::reports::Reports;
use super::rest::Bell;
use super::shared::Shared;
use super::tcp::{Connections, SharedCounters};
use super::timers::{Timer, Timers};
use super::upkeep::Upkeep;
use super::{PlaneConfig, WorkerStats};
use crate::api::{Command, MediaEvent, Report};
use crate::browser::transport::DtlsIdentity;
use crate::call::{Call, Surroundings};
use crate::outbox::Outbox;

/// The token of the bell that the control plane rings.
pub(super) const BELL: Token = Token(0);

const PUBLIC: Token = Token(1);

/// Under load the thread rests this long between wake-ups, so that each handles many datagrams: measured, a relayed
/// packet then costs a third, for at most this much delay.
const TICK: Duration = Duration::from_millis(1);

/// After a datagram of a set-up (a first check, DTLS) there is no rest for so long: a handshake is a few of them, each waited for,
/// and then the first audio.
pub(super) const HASTE: Duration = Duration::from_millis(5);

/// More calls than this are load.
const BUSY_CALLS: usize = 20;

/// More datagrams than this in one wake-up are load.
const BUSY_DATAGRAMS: u64 = 16;

/// Commands taken in one wake-up.
const ASKS: usize = 256;

/// While events wait for room in the report channel they are tried this often.
const RETRY: Duration = Duration::from_millis(20);

/// Wake-ups that panic outside of any call, in a row, before the thread gives up.
const MAX_BROKEN_TURNS: u32 = 100;

/// What a worker is made of.
pub(super) struct WorkerParts {
    pub(super) pool: Pool,
    pub(super) poll: Poll,
    pub(super) bell: Bell,
    pub(super) public: UdpSocket,
    pub(super) queue: mpsc::Receiver<Ask>,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Arc<DtlsIdentity>,
    pub(super) candidates: Arc<[String]>,
    pub(super) connections: SharedCounters,
    pub(super) config: PlaneConfig,
}

/// One worker, on its own thread.
pub(super) struct Worker {
    pub(super) poll: Poll,
    bell: Bell,
    pub(super) public: UdpSocket,
    pub(super) public_v6: bool,
    queue: mpsc::Receiver<Ask>,
    pub(super) shared: Arc<Shared>,
    pub(super) surroundings: Surroundings,
    pub(super) max_calls: usize,
    pub(super) calls: Calls,
    pub(super) ports: Ports,
    /// Browsers that come over TCP.
    pub(super) connections: Connections,
    timers: Timers,
    reports: Reports,
    pub(super) inbox: Inbox,
    pub(super) postman: Postman,
    pub(super) outbox: Outbox,
    /// Who the datagrams in the outbox belong to: the link they leave by if by a trunk port, up to which place.
    pub(super) owners: Vec<(Option<usize>, usize)>,
    /// Sockets that were readable and are not known to be empty.
    pub(super) ready: Vec<Token>,
    due: Vec<Timer>,
    events: Vec<MediaEvent>,
    /// No rest before.
    pub(super) haste_until: Instant,
    upkeep: Upkeep,
    pub(super) effort: Effort,
    /// Datagrams the kernel dropped at the public port.
    public_drops: u64,
    /// Number of the wake-up.
    pub(super) turn: u64,
    pub(super) stats: WorkerStats,
}

impl Worker {
    /// Runs until it is told to stop.
    pub(super) fn run(parts: WorkerParts) {
        let WorkerParts { pool, poll, bell, public, queue, reports, shared, identity, candidates, connections, config } =
            parts;
        let source = public.as_raw_fd();
        if let Err(error) = poll.registry().register(&mut SourceFd(&source), PUBLIC, Interest::READABLE) {
            tracing::error!(%error, "cannot watch the public port");
            return;
        }
        let now = Instant::now();
        let mut worker = Self {
            poll,
            bell,
            public_v6: public.local_addr().is_ok_and(|address| address.is_ipv6()),
            public,
            queue,
            shared,
            surroundings: Surroundings { identity, candidates, wall: wall(), wall_at: now, policy: config.policy },
            max_calls: config.max_calls_per_worker,
            calls: Calls::default(),
            ports: Ports::new(config.rtp_listen, pool, config.quarantine),
            connections: Connections::new(connections),
            timers: Timers::default(),
            reports: Reports::new(reports),
            inbox: Inbox::new(),
            postman: Postman::new(),
            outbox: Outbox::new(),
            owners: Vec::new(),
            ready: Vec::new(),
            due: Vec::new(),
            events: Vec::new(),
            haste_until: now,
            upkeep: Upkeep::new(now),
            effort: Effort::default(),
            public_drops: 0,
            turn: 0,
            stats: WorkerStats { complexity: Effort::default().complexity().into(), ..WorkerStats::default() },
        };
        worker.shared.publish(&worker.stats);
        worker.watch(now);
    }

    fn watch(&mut self, started: Instant) {
        let mut readiness = Events::with_capacity(1024);
        let mut now = started;
        let mut broken = 0;
        while !self.shared.is_stopping() && broken < MAX_BROKEN_TURNS {
            if let Err(error) = self.poll.poll(&mut readiness, self.patience(now))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "poll failed");
                broken += 1;
            }
            now = Instant::now();
            let before = self.stats.received;
            let turn = catch_unwind(AssertUnwindSafe(|| {
                for event in &readiness {
                    if event.token() == BELL {
                        self.bell.heard();
                    } else if !self.ready.contains(&event.token()) {
                        self.ready.push(event.token());
                    }
                }
                self.turn(now);
            }));
            if turn.is_err() {
                self.stats.panics += 1;
                broken += 1;
                self.recover();
                continue;
            }
            broken = 0;
            if self.may_rest(now, self.stats.received - before) {
                self.bell.rest(TICK);
                // The clock is read once a wake-up; the rest was this long at least.
                now += TICK;
            }
        }
        for key in self.calls.keys() {
            self.command(now, key, Command::Close);
        }
        self.finish_turn();
    }

    /// Whether what comes next can wait a tick. The public port is read on at once, if it has more, for it is
    /// everybody's; a trunk's is one call's, which has had its share of this wake-up.
    fn may_rest(&self, now: Instant, received: u64) -> bool {
        let loaded = self.calls.len() > BUSY_CALLS || received > BUSY_DATAGRAMS;
        loaded && now >= self.haste_until && !self.ready.contains(&PUBLIC)
    }

    /// How long nothing need be done, counted from the last wake-up or the end of the rest after it (which makes timers
    /// late by the time the wake-up took, well below the millisecond they are rounded to).
    fn patience(&self, now: Instant) -> Option<Duration> {
        if !self.ready.is_empty() || !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let retry = self.reports.is_waiting().then(|| now + RETRY);
        let own = [self.timers.next(), self.ports.poll_timeout(), self.connections.poll_timeout(), retry];
        let next = own.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// One wake-up.
    fn turn(&mut self, now: Instant) {
        self.turn += 1;
        for key in self.shared.take_closing() {
            self.command(now, key, Command::Close);
        }
        for _ in 0..ASKS {
            let Ok(ask) = self.queue.try_recv() else { break };
            self.answer(now, ask);
        }
        let mut ready = std::mem::take(&mut self.ready);
        ready.retain(|token| self.read(now, *token));
        self.ready = ready;
        self.fire(now);
        self.ports.expire(now, self.poll.registry());
        self.expire_connections(now);
        self.look(now);
        self.finish_turn();
    }

    /// Looks after itself, once a second.
    fn look(&mut self, now: Instant) {
        if let Some(look) = self.upkeep.look(now, &self.public) {
            self.stats.cpu_us = u64::try_from(look.cpu.as_micros()).unwrap_or(u64::MAX);
            (self.stats.busy, self.stats.busy_calls) = (look.busy, self.calls.len() as u64);
            self.public_drops += look.dropped;
            if let Some(complexity) = self.effort.second(look.busy, self.stats.lateness.late()) {
                self.stats.complexity = complexity.into();
                self.calls.each().for_each(|slot| slot.call.permit_complexity(complexity));
            }
        }
    }

    fn finish_turn(&mut self) {
        self.flush();
        self.reports.flush();
        self.stats.calls = self.calls.len() as u64;
        self.stats.leased_pairs = self.ports.leased();
        self.stats.quarantined_pairs = self.ports.quarantined();
        self.stats.ports_in_use = self.ports.in_use();
        self.stats.socket_drops = self.public_drops + self.ports.dropped();
        self.stats.reports_dropped = self.reports.dropped();
        self.shared.publish(&self.stats);
    }

    /// Calls into a call: whatever it sends, reports and wants to be called for is taken up. A panic ends that call
    /// alone.
    pub(super) fn enter<T>(
        &mut self,
        now: Instant,
        index: usize,
        run: impl FnOnce(&mut Call, &mut Outbox) -> T,
    ) -> Option<T> {
        let slot = self.calls.get_mut(index)?;
        let (key, mark) = (slot.key, self.outbox.len());
        let (out, events) = (&mut self.outbox, &mut self.events);
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let result = run(&mut slot.call, out);
            while let Some(event) = slot.call.poll_event() {
                events.push(event);
            }
            (result, slot.call.poll_timeout())
        }));
        let Ok((result, wanted)) = ran else {
            self.outbox.truncate(mark);
            self.events.clear();
            self.stats.panics += 1;
            tracing::error!(key = key.0, "a call panicked; its media is gone");
            self.reports.push(Report { key, at: now, event: MediaEvent::Crashed });
            self.remove(now, index);
            return None;
        };
        if self.outbox.len() > mark {
            self.owners.push((slot.link, self.outbox.len()));
        }
        for event in self.events.drain(..) {
            self.reports.push(Report { key, at: now, event });
        }
        if let Some((at, reason)) = wanted
            && slot.scheduled.is_none_or(|scheduled| at < scheduled)
        {
            tracing::trace!(key = key.0, reason, "timer set");
            slot.scheduled = Some(at);
            let generation = self.calls.generation(index).unwrap_or_default();
            self.timers.push(Timer { at, index, generation });
        }
        Some(result)
    }

    /// Handles the calls whose time has come; what they set anew waits for the next wake-up, so none can hold this one.
    fn fire(&mut self, now: Instant) {
        let mut due = std::mem::take(&mut self.due);
        due.extend(std::iter::from_fn(|| self.timers.pop(now)));
        for timer in due.drain(..) {
            if self.calls.generation(timer.index) != Some(timer.generation) {
                continue;
            }
            match self.calls.get_mut(timer.index) {
                Some(slot) if slot.scheduled == Some(timer.at) => slot.scheduled = None,
                Some(_) | None => continue,
            }
            self.stats.lateness.note(now.saturating_duration_since(timer.at));
            self.enter(now, timer.index, |call, out| call.handle_timeout(now, out));
        }
        self.due = due;
    }

    /// After a panic in a wake-up: what it held is made anew, and every socket is looked at, for readiness is told once.
    fn recover(&mut self) {
        self.forget_unsent();
        self.events.clear();
        self.inbox = Inbox::new();
        self.ready.clear();
        self.ready.push(PUBLIC);
        self.ready.extend(self.ports.tokens());
        self.ready.extend(self.connections.tokens());
    }
}

/// Wall time since the Unix epoch.
pub(super) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
