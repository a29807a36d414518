//! Memory: few arenas to keep it in, and back to the system after a busy time.
#![allow(unsafe_code)] // Two calls into the C library, which no safe crate offers.

use std::time::Duration;

/// Arenas of the C library's allocator. By itself it has eight a core, each with what it has not given back yet; here the
/// control plane alone allocates while calls talk, so that threads hardly meet.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 2;

/// Keeps what calls take together. To be called once, before there are threads.
#[cfg(target_env = "gnu")]
pub fn share_arenas() {
    // SAFETY: takes no pointer; no other thread allocates yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
}

/// Keeps what calls take together.
#[cfg(not(target_env = "gnu"))]
pub fn share_arenas() {}

/// How often to look.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// Idle looks after which memory is given back: at once, when SIP has forgotten the last call too (64*T1), and when its session
/// has expired.
const GIVE: [u32; 3] = [1, 40, 660];

/// Gives back what calls have left, when all have gone.
#[derive(Debug, Default)]
pub(super) struct Returned {
    started: u64,
    idle: u32,
}

impl Returned {
    /// One look. Nothing is given back while a call is live: that takes the lock of every arena, and the media threads
    /// would wait.
    pub(super) fn look(&mut self, live: usize, started: u64) {
        if live > 0 || started != self.started {
            (self.started, self.idle) = (started, 0);
        }
        if live == 0 && started > 0 {
            self.idle = self.idle.saturating_add(1);
            if GIVE.contains(&self.idle) {
                trim();
            }
        }
    }
}

/// The allocator keeps what it was given, in pieces between what is still in use (malloc_trim(3)).
#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: takes no pointer, is thread-safe, and touches only pages that hold no live allocation.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}
