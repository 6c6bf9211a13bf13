//! Threads of their own for calls that take long: those of the connections serve all others, which
//! would wait.

use crate::connections::Lane;
use bergulir_engine::yield_to_others;
use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// The threads beside those of the connections.
pub(crate) struct Threads {
    /// Of the calls that have many commands or records: reading a thousand commands, or writing their
    /// receipts, takes a thread for a millisecond. Where there are too few processors, they give way to
    /// those who ask for little.
    bulk: OwnRuntime,
    /// Of the questions that read many records, from the disk if need be.
    pages: OwnRuntime,
}

/// Where to have calls run.
#[derive(Clone)]
pub(crate) struct LaneHandles {
    bulk: Handle,
}

impl Threads {
    /// Of each half as many as there are processors, as for the connections.
    pub(crate) fn start() -> io::Result<Threads> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let of = |name| {
            let mut threads = Builder::new_multi_thread();
            threads.worker_threads((processors / 2).max(1)).thread_name(name).enable_all();
            threads
        };
        let start = |mut threads: Builder| threads.build().map(|runtime| OwnRuntime(Some(runtime)));
        let mut bulk = of("bulk");
        bulk.on_thread_start(yield_to_others);
        Ok(Threads { bulk: start(bulk)?, pages: start(of("pages"))? })
    }

    pub(crate) fn handles(&self) -> LaneHandles {
        LaneHandles { bulk: self.bulk.handle() }
    }

    /// Where to have questions read that read much.
    pub(crate) fn pages(&self) -> Handle {
        self.pages.handle()
    }
}

impl LaneHandles {
    /// The threads of a lane that has its own.
    pub(crate) fn of(&self, lane: Lane) -> Option<&Handle> {
        match lane {
            Lane::Bulk => Some(&self.bulk),
            Lane::Connection | Lane::Own => None,
        }
    }

    /// All on the threads that this is called on.
    #[cfg(test)]
    pub(crate) fn here() -> LaneHandles {
        LaneHandles { bulk: Handle::current() }
    }
}

/// A runtime that is let go of without waiting for what still runs.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    /// Where to have calls run. Without the threads it runs none.
    fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // It may be dropped by a task, which must not wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn calls_with_much_give_way_and_questions_do_not() {
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The name of the thread, which comes before, may hold spaces.
            let (_, after_name) = stat.rsplit_once(") ").unwrap();
            after_name.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let threads = Threads::start().unwrap();
        let own = niceness();
        let bulk = threads.handles().of(Lane::Bulk).unwrap().clone();
        for (handle, expected) in [(bulk, (own + 5).min(19)), (threads.pages(), own)] {
            let found = std::thread::spawn(move || {
                handle.block_on(handle.spawn(async move { niceness() }))
            });
            assert_eq!(found.join().unwrap().unwrap(), expected);
        }
    }
}
