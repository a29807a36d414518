//! What the tests count: what a thread asks of the system's allocator, and, from outside, instructions.
#![allow(unsafe_code)] // `GlobalAlloc` is an unsafe trait; everything is handed to the system's allocator as it came.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// What `run` gives, and how often it allocated, growth of what was there included.
pub(crate) fn allocations<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.get();
    let result = run();
    (result, COUNT.get() - before)
}

/// Runs what is given. Whoever counts instructions from outside (callgrind's `--toggle-collect`) does so while this
/// function runs, by its name.
#[inline(never)]
pub(crate) fn steady_state<T>(run: impl FnOnce() -> T) -> T {
    std::hint::black_box(run())
}

fn count() {
    // A thread that ends may allocate after its counter is gone.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to `System` unchanged, so its guarantees are ours; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and the block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }
}
