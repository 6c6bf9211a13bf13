//! The scrub: in the background, the records that a snapshot stands for are read once more and
//! their chain checked, so that damage far back is found while a backup still exists.

use crate::health::Health;
use bergulir_chain::{ChainCursor, Hash, LogSize, Position};
use bergulir_store::{EventLog, ReadLimit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The pause after each step of about 1 MiB, which leaves the disk to the writer.
const PAUSE: Duration = Duration::from_millis(2);

/// Checks the records below `size`, whose last one has the hash `expected`.
pub(crate) fn run(
    log: &dyn EventLog,
    size: LogSize,
    expected: Hash,
    health: &Health,
    stop: &AtomicBool,
) {
    match check(log, size, stop) {
        Ok(Some(found)) if found != expected => health.fail(format!(
            "CHAIN_BROKEN at position {}: the first {size} records do not lead to the snapshot \
             that a seal vouches for; restore the log from a backup",
            size.get().saturating_sub(1)
        )),
        Ok(Some(_)) => tracing::info!(records = size.get(), "the older records are whole"),
        Ok(None) => {}
        Err(why) => health.fail(format!("CHAIN_BROKEN {why}; restore the log from a backup")),
    }
}

/// The hash of the last record below `size`; `None` if stopped before.
fn check(log: &dyn EventLog, size: LogSize, stop: &AtomicBool) -> Result<Option<Hash>, String> {
    let mut cursor = ChainCursor::resume(Position::new(0), Hash::ZERO);
    while cursor.next().get() < size.get() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let records = log.read(cursor.next(), ReadLimit::STEP).map_err(|e| e.to_string())?;
        for (position, bytes) in &records {
            if position.get() >= size.get() {
                break;
            }
            cursor.check(bytes).map_err(|error| error.to_string())?;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Some(cursor.previous()))
}
