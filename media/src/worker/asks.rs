//! What a worker is asked, and what it does then.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tokio::sync::oneshot;

use super::LeaseError;
use super::tcp::Arrived;
use super::thread::{Worker, wall};
use crate::api::{CallKey, CallStats, Command, OpenCall, OpenError, Opened, Restarted};
use crate::call::Call;
use crate::sdp::browser::IceCredentials;

/// What a worker is asked.
pub(super) enum Ask {
    Open {
        open: Box<OpenCall>,
        reply: oneshot::Sender<Result<Opened, OpenError>>,
    },
    Reattach {
        open: Box<OpenCall>,
        reply: oneshot::Sender<Result<Opened, OpenError>>,
    },
    RestartIce {
        key: CallKey,
        remote: IceCredentials,
        reply: oneshot::Sender<Result<Restarted, OpenError>>,
    },
    Lease {
        key: CallKey,
        reply: oneshot::Sender<Result<SocketAddr, LeaseError>>,
    },
    LeaseSpare {
        key: CallKey,
        reply: oneshot::Sender<Result<SocketAddr, LeaseError>>,
    },
    Command {
        key: CallKey,
        command: Command,
    },
    /// A browser's connection.
    Connection(Box<Arrived>),
    Stats {
        key: CallKey,
        reply: oneshot::Sender<Option<CallStats>>,
    },
    #[cfg(test)]
    Panic {
        key: CallKey,
    },
}

impl Worker {
    pub(super) fn answer(&mut self, now: Instant, ask: Ask) {
        match ask {
            Ask::Open { open, reply } => {
                let (key, opened) = (open.key, self.open(now, &open));
                // Nobody waits for it any more: nobody would ever close it.
                if reply.send(opened).is_err() {
                    self.command(now, key, Command::Close);
                }
            }
            Ask::Reattach { open, reply } => {
                let opened = self.calls.index(open.key).and_then(|index| {
                    let opened = self.enter(now, index, |call, out| call.reattach(now, &open, out))?;
                    if opened.is_ok() {
                        self.calls.forget_tuples(index);
                        self.forget_connections(index);
                        self.calls.learn_ufrags(index);
                    }
                    Some(opened)
                });
                let _ = reply.send(opened.unwrap_or(Err(OpenError::NoSuchCall)));
            }
            Ask::RestartIce { key, remote, reply } => {
                let restarted = self.calls.index(key).and_then(|index| {
                    let restarted = self.enter(now, index, |call, _| call.restart_ice(now, remote))?;
                    self.calls.learn_ufrags(index);
                    Some(restarted)
                });
                let _ = reply.send(restarted.ok_or(OpenError::NoSuchCall));
            }
            Ask::Lease { key, reply } => {
                // Nobody waits for it any more, but the call will be closed, and the pair with it.
                let _ = reply.send(self.lease(now, key));
            }
            Ask::LeaseSpare { key, reply } => {
                let _ = reply.send(self.lease_spare(now, key));
            }
            Ask::Command { key, command } => {
                if !self.command(now, key, command) {
                    self.stats.commands_dropped += 1;
                }
            }
            Ask::Connection(arrived) => self.take_connection(now, *arrived),
            Ask::Stats { key, reply } => {
                let index = self.calls.index(key);
                let _ = reply.send(index.and_then(|index| self.enter(now, index, |call, _| call.stats(now))));
            }
            #[cfg(test)]
            Ask::Panic { key } => {
                if let Some(index) = self.calls.index(key) {
                    self.enter(now, index, |_, _| panic!("asked for by a test"));
                }
            }
        }
    }

    fn open(&mut self, now: Instant, open: &OpenCall) -> Result<Opened, OpenError> {
        if self.calls.len() >= self.max_calls {
            return Err(OpenError::Full);
        }
        self.surroundings.set_wall(now, wall());
        self.surroundings.policy = self.shared.policy();
        let opening = catch_unwind(AssertUnwindSafe(|| Call::open(now, open, &self.surroundings)));
        let (mut call, opened) = opening.unwrap_or_else(|_| {
            self.stats.panics += 1;
            Err(OpenError::Unsupported("internal error".into()))
        })?;
        call.permit_complexity(self.effort.complexity());
        let index = self.calls.insert(open.key, call);
        self.enter(now, index, |_, _| ());
        Ok(opened)
    }

    fn lease(&mut self, now: Instant, key: CallKey) -> Result<SocketAddr, LeaseError> {
        let index = self.calls.index(key).ok_or(LeaseError::NoSuchCall)?;
        self.release(now, index);
        let (link, address) = self.ports.lease(self.poll.registry(), index)?;
        if let Some(slot) = self.calls.get_mut(index) {
            slot.link = Some(link);
        }
        self.enter(now, index, |call, _| call.attach_trunk(now, address)).ok_or(LeaseError::NoSuchCall)?;
        Ok(address)
    }

    /// `false` if there is no such call.
    pub(super) fn command(&mut self, now: Instant, key: CallKey, command: Command) -> bool {
        let Some(index) = self.calls.index(key) else { return false };
        let (closes, releases) = (matches!(command, Command::Close), matches!(command, Command::ReleaseTrunk));
        let (swaps, spares) = (matches!(command, Command::SwapTrunk(_)), matches!(command, Command::ReleaseSpare));
        self.enter(now, index, |call, out| call.handle_command(now, command, out));
        if closes {
            self.remove(now, index);
        } else if releases {
            self.release(now, index);
        } else if spares {
            self.release_spare(now, index);
        } else if swaps {
            self.swap(now, index);
        }
        true
    }

    /// Gives the call's port pair back.
    fn release(&mut self, now: Instant, index: usize) {
        if let Some(link) = self.calls.get_mut(index).and_then(|slot| slot.link.take()) {
            self.ports.release(now, link);
        }
    }

    /// Leases a pair beside the call's own.
    fn lease_spare(&mut self, now: Instant, key: CallKey) -> Result<SocketAddr, LeaseError> {
        let index = self.calls.index(key).ok_or(LeaseError::NoSuchCall)?;
        self.release_spare(now, index);
        let (link, address) = self.ports.lease(self.poll.registry(), index)?;
        if let Some(slot) = self.calls.get_mut(index) {
            slot.spare = Some(link);
        }
        self.enter(now, index, |call, _| call.attach_spare(address)).ok_or(LeaseError::NoSuchCall)?;
        Ok(address)
    }

    fn release_spare(&mut self, now: Instant, index: usize) {
        if let Some(link) = self.calls.get_mut(index).and_then(|slot| slot.spare.take()) {
            self.ports.release(now, link);
        }
    }

    /// The spare pair is the call's own from now on.
    fn swap(&mut self, now: Instant, index: usize) {
        if let Some(spare) = self.calls.get_mut(index).and_then(|slot| slot.spare.take()) {
            self.release(now, index);
            if let Some(slot) = self.calls.get_mut(index) {
                slot.link = Some(spare);
            }
        }
    }

    pub(super) fn remove(&mut self, now: Instant, index: usize) {
        self.release(now, index);
        self.release_spare(now, index);
        self.forget_connections(index);
        if let Some(slot) = self.calls.remove(index)
            && catch_unwind(AssertUnwindSafe(|| drop(slot))).is_err()
        {
            self.stats.panics += 1;
        }
    }
}
