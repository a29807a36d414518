//! Memory: an allocator that keeps little of what it was given back, and back to the system after a busy time.
#![allow(unsafe_code)] // A call into the C library, which no safe crate offers.

use std::time::Duration;

/// What the GNU C library's allocator is told when a process begins. By itself it has eight arenas a core, each with what it has
/// not given back yet; here the control plane alone allocates while calls talk, so that threads hardly meet in two. And each
/// thread keeps up to seven pieces of each size for itself, which look as if they were in use: scattered over all a busy hour has
/// taken, they hold its pages for as long as the thread lives.
#[cfg(target_env = "gnu")]
const FRUGAL: &str = "glibc.malloc.arena_max=2:glibc.malloc.tcache_count=0";
/// Where it is told.
#[cfg(target_env = "gnu")]
const TUNABLES: &str = "GLIBC_TUNABLES";
/// It has been: a loader that heeds no tunables (of a program with capabilities of its own) takes them out.
#[cfg(target_env = "gnu")]
const TOLD: &str = "TRUNKLINE_ALLOCATOR_TOLD";

/// Has the allocator be frugal. It listens only while a process begins, so this begins the program anew, once, as the same process.
/// To be called first of all.
#[cfg(target_env = "gnu")]
pub fn be_frugal() {
    use std::env;
    use std::os::unix::process::CommandExt;

    if env::var_os(TOLD).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut tunables = std::ffi::OsString::from(FRUGAL);
    if let Some(theirs) = env::var_os(TUNABLES) {
        // The last word is whoever's runs the gateway.
        tunables.push(":");
        tunables.push(theirs);
    }
    let (mut arguments, mut anew) = (env::args_os(), std::process::Command::new(program));
    if let Some(name) = arguments.next() {
        anew.arg0(name);
    }
    // It comes back only if it could not be done; then the allocator stays as it is.
    let _ = anew.args(arguments).env(TUNABLES, tunables).env(TOLD, "1").exec();
}

/// Has the allocator be frugal.
#[cfg(not(target_env = "gnu"))]
pub fn be_frugal() {}

/// How often to look.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// Idle looks after which memory is given back: at once, when SIP has forgotten the last call too (64*T1), when its events and
/// its record are left to the database, and when its session has expired.
const GIVE: [u32; 4] = [1, 40, 95, 660];

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
