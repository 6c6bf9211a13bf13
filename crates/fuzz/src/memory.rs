//! How much memory is held at once, by a thread or by the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

/// The system's allocator, which counts.
struct Counting;

/// What was allocated less what was freed, and the most that this came to.
struct Held {
    now: Cell<i64>,
    most: Cell<i64>,
}

thread_local! {
    // Neither allocates when it is first used nor has to be dropped, so the allocator may use it.
    static THREAD: Held = const { Held { now: Cell::new(0), most: Cell::new(0) } };
}

static NOW: AtomicI64 = AtomicI64::new(0);
static MOST: AtomicI64 = AtomicI64::new(0);

fn changed(by: i64) {
    THREAD.with(|held| {
        let now = held.now.get() + by;
        held.now.set(now);
        held.most.set(held.most.get().max(now));
    });
    let now = NOW.fetch_add(by, Ordering::Relaxed) + by;
    if by > 0 {
        MOST.fetch_max(now, Ordering::Relaxed);
    }
}

fn signed(bytes: usize) -> i64 {
    // No allocation is longer.
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: each method passes its arguments on to the system's allocator as they are, under the same
// conditions, and gives what that gives. Counting neither allocates nor panics.
#[expect(unsafe_code, reason = "an allocator is unsafe; this one only counts")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        changed(signed(layout.size()));
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        changed(signed(layout.size()));
        // SAFETY: see above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        changed(-signed(layout.size()));
        // SAFETY: see above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        changed(signed(size) - signed(layout.size()));
        // SAFETY: see above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Whose memory is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// The thread on which the work is done.
    Thread,
    /// All threads.
    Process,
}

/// Does some work, and says how many bytes were held at most beyond those that were before it.
pub(crate) fn measured(of: Of, work: impl FnOnce()) -> u64 {
    let most = match of {
        Of::Thread => {
            let (before, most) =
                THREAD.with(|held| (held.now.get(), held.most.replace(held.now.get())));
            work();
            THREAD.with(|held| {
                let reached = held.most.get();
                held.most.set(most.max(reached));
                reached - before
            })
        }
        Of::Process => {
            let before = NOW.load(Ordering::Relaxed);
            let most = MOST.swap(before, Ordering::Relaxed);
            work();
            MOST.fetch_max(most, Ordering::Relaxed).max(before) - before
        }
    };
    u64::try_from(most).unwrap_or(0)
}

/// How many bytes all threads together held at most while some work was done, beyond those that they held
/// before it.
pub fn held_by_all(work: impl FnOnce()) -> u64 {
    measured(Of::Process, work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_most_that_was_held_at_once_is_measured() {
        let one_by_one = measured(Of::Thread, || {
            for _ in 0..4 {
                black_box(vec![7_u8; MIB]);
            }
        });
        assert!((MIB as u64..2 * MIB as u64).contains(&one_by_one), "{one_by_one}");
        let inner_before = measured(Of::Thread, || {
            let kept = black_box(vec![0_u8; 3 * MIB]);
            let inner = measured(Of::Thread, || drop(black_box(vec![7_u8; MIB])));
            assert!((MIB as u64..2 * MIB as u64).contains(&inner), "{inner}");
            drop(kept);
        });
        assert!(inner_before >= 4 * MIB as u64, "{inner_before}");
        let of_another = || {
            std::thread::spawn(|| drop(black_box(vec![7_u8; 8 * MIB]))).join().unwrap();
        };
        assert!(measured(Of::Thread, of_another) < MIB as u64);
        assert!(measured(Of::Process, of_another) >= 8 * MIB as u64);
    }
}
