//! The scrub: in the background, the records that a snapshot stands for are read once more and
//! their chain and tree checked, so that damage far back is found while a backup still exists.

use crate::health::Health;
use crate::open::log_without_paths;
use crate::projector::describe;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::{ChainCursor, Hash, Position};
use bergulir_store::{EventLog, ReadError, ReadLimit, Records};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The pause after each step of about 1 MiB, which leaves the disk to the writer.
const PAUSE: Duration = Duration::from_millis(2);

/// What the disk does not give is asked for again so often: that may pass.
const RETRIES: u32 = 6;

/// The pause before the first of them; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How often it looks meanwhile whether the ledger stops.
const STOP_PAUSE: Duration = Duration::from_millis(50);

/// What a snapshot says of the records that it stands for.
#[derive(Debug, Clone)]
pub(crate) struct Trusted {
    /// The hash of the last one.
    pub(crate) hash: Hash,
    /// The tree over them.
    pub(crate) tree: Tree,
}

impl Trusted {
    /// How many records there are.
    pub(crate) const fn size(&self) -> u64 {
        self.tree.size()
    }
}

/// Checks the records that a snapshot stands for.
pub(crate) fn run(log: &dyn EventLog, trusted: &Trusted, health: &Health, stop: &AtomicBool) {
    let size = trusted.size();
    match check(log, size, stop) {
        Ok(Some(found)) if found.hash != trusted.hash || found.tree != trusted.tree => {
            health.fail(format!(
                "CHAIN_BROKEN at position {}: the first {size} records do not lead to the snapshot \
                 that a seal vouches for; restore the log from a backup",
                size.saturating_sub(1)
            ));
        }
        Ok(Some(_)) => tracing::info!(records = size, "the older records are whole"),
        Ok(None) => {}
        Err(why) => health.fail(format!("CHAIN_BROKEN {why}; restore the log from a backup")),
    }
}

/// What the first `size` records lead to; `None` if stopped before.
fn check(log: &dyn EventLog, size: u64, stop: &AtomicBool) -> Result<Option<Trusted>, String> {
    let mut cursor = ChainCursor::resume(Position::new(0), Hash::ZERO);
    let mut tree = Tree::new(Prefixes::RFC_6962);
    while tree.size() < size {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(records) = read(log, cursor.next(), stop)? else { return Ok(None) };
        for (position, bytes) in &records {
            if position.get() >= size {
                break;
            }
            let (_, hash) = cursor.check(bytes).map_err(|error| error.to_string())?;
            tree.push_hash(hash);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Some(Trusted { hash: cursor.previous(), tree }))
}

/// A step of the log from a position on; `None` if stopped before.
fn read(log: &dyn EventLog, from: Position, stop: &AtomicBool) -> Result<Option<Records>, String> {
    let mut waits = (0..RETRIES).map(|retry| FIRST_WAIT * 2_u32.pow(retry));
    loop {
        let error = match log.read(from, ReadLimit::STEP) {
            Ok(records) => return Ok(Some(records)),
            Err(error) => error,
        };
        let passes = matches!(error, ReadError::Io { .. });
        let Some(wait) = waits.next().filter(|_| passes) else {
            tracing::error!(error = %describe(&error), "an older record cannot be read");
            return Err(describe(&log_without_paths(error)));
        };
        tracing::warn!(error = %describe(&error), "an older record could not be read: tried again");
        let until = Instant::now() + wait;
        while Instant::now() < until {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            std::thread::sleep(STOP_PAUSE);
        }
    }
}
