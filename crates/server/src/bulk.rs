//! The threads of the calls that have many commands or records. Reading a thousand commands, or
//! writing their receipts, takes a thread for a millisecond; on those of the connections all others
//! would wait for it.

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
