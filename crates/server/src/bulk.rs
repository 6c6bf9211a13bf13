//! The threads of the calls that have many commands or records. Reading a thousand commands, or
//! writing their receipts, takes a thread for a millisecond; on those of the connections all others
//! would wait for it. Where there are too few processors, they give way to those who ask for little.

use bergulir_engine::yield_to_others;
use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime that is let go of without waiting for what still runs.
pub(crate) struct BulkThreads(Option<Runtime>);

impl BulkThreads {
    /// Half as many as there are processors, as for the connections.
    pub(crate) fn start() -> io::Result<BulkThreads> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads((processors / 2).max(1)).thread_name("bulk").enable_all();
        threads.on_thread_start(yield_to_others);
        threads.build().map(|runtime| BulkThreads(Some(runtime)))
    }

    /// Where to have calls run. Without the threads it runs none.
    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for BulkThreads {
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
    fn calls_with_much_give_way() {
        let niceness = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // The name of the thread, which comes before, may hold spaces.
            let (_, after_name) = stat.rsplit_once(") ").unwrap();
            after_name.split(' ').nth(16).unwrap().parse::<i32>().unwrap()
        };
        let bulk = BulkThreads::start().unwrap();
        let (handle, own) = (bulk.handle(), niceness());
        let found =
            std::thread::spawn(move || handle.block_on(handle.spawn(async move { niceness() })));
        assert_eq!(found.join().unwrap().unwrap(), (own + 5).min(19));
    }
}
