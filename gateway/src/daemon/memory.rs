//! Memory back to the system after a busy time.
#![allow(unsafe_code)] // One call into the C library, which no safe crate offers.

/// Looks that give memory back once the last call has gone: what SIP keeps of it goes half a minute later.
const LOOKS: u8 = 2;

/// Gives back what calls have left, when all have gone.
#[derive(Debug, Default)]
pub(super) struct Returned {
    started: u64,
    due: u8,
}

impl Returned {
    /// One look, every half a minute or so. Nothing is given back while a call is live: that takes the lock of every
    /// arena, and the media threads would wait.
    pub(super) fn look(&mut self, live: usize, started: u64) {
        if live > 0 || started != self.started {
            (self.started, self.due) = (started, LOOKS);
        }
        if live == 0 && self.due > 0 {
            self.due -= 1;
            trim();
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
