//! More than a server can do, and peers that are slow, silent or hostile: who is accepted is answered in
//! time, who is not is told so and when to come again, and nobody else notices.
//!
//! `BERGULIR_OVERLOAD_SECONDS` says how long each load lasts.

mod hostile;
mod load;
mod raw;
mod silent;
mod slow_disk;

use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

const DEFAULT_SECONDS: u64 = 5;

fn seconds() -> Duration {
    let set = std::env::var("BERGULIR_OVERLOAD_SECONDS").ok();
    let seconds = set.map_or(DEFAULT_SECONDS, |set| {
        set.parse().expect("BERGULIR_OVERLOAD_SECONDS is a number of seconds")
    });
    Duration::from_secs(seconds)
}

/// These tests measure, so that they do not run beside one another.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}
