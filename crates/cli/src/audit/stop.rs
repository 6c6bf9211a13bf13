//! Stopping on the way: what was begun is taken away first.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::Notify;

use crate::failure::Failure;
use crate::serve::stop_signal;

/// What a shell reports of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Whether the operating system asked the process to stop.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    flag: Arc<AtomicBool>,
    told: Arc<Notify>,
}

impl Stop {
    /// Watches for it from now on. Asked twice, the process ends at once.
    pub(super) fn watch() -> Result<Stop, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
            |error| Failure::CouldNotTell(format!("no threads could be started: {error}")),
        )?;
        let once = runtime.block_on(async { stop_signal() })?;
        let stop = Stop::default();
        let watched = stop.clone();
        thread::spawn(move || {
            runtime.block_on(async move {
                once.await;
                watched.flag.store(true, Ordering::Relaxed);
                watched.told.notify_one();
                if let Ok(again) = stop_signal() {
                    again.await;
                    process::exit(INTERRUPTED);
                }
            });
        });
        Ok(stop)
    }

    /// Set once the process is to stop.
    pub(super) fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    /// Ready once the process is to stop.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }
}
