//! The scrub: in the background, the records that a snapshot stands for are read once more and
//! their chain and tree checked, so that damage far back is found while a backup still exists.

use crate::health::Health;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::{ChainCursor, Hash, Position};
use bergulir_store::{EventLog, ReadLimit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The pause after each step of about 1 MiB, which leaves the disk to the writer.
const PAUSE: Duration = Duration::from_millis(2);

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
        let records = log.read(cursor.next(), ReadLimit::STEP).map_err(|e| e.to_string())?;
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
