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

/// Why the records were not checked to the end.
enum Trouble {
    /// They are not what was written; in words.
    Damaged(String),
    /// The disk does not give those from there on.
    Unread(Position, ReadError),
}

/// Checks the records that a snapshot stands for.
pub(crate) fn run(log: &dyn EventLog, trusted: &Trusted, health: &Health, stop: &AtomicBool) {
    run_waiting(log, trusted, health, stop, FIRST_WAIT);
}

/// [`run`], with another pause after the first read that fails.
pub(crate) fn run_waiting(
    log: &dyn EventLog,
    trusted: &Trusted,
    health: &Health,
    stop: &AtomicBool,
    first_wait: Duration,
) {
    let size = trusted.size();
    match check(log, size, stop, first_wait) {
        Ok(Some(found)) if found.hash != trusted.hash || found.tree != trusted.tree => {
            health.fail(format!(
                "CHAIN_BROKEN at position {}: the first {size} records do not lead to the snapshot \
                 that a seal vouches for; restore the log from a backup",
                size.saturating_sub(1)
            ));
        }
        Ok(Some(_)) => tracing::info!(records = size, "the older records are whole"),
        Ok(None) => {}
        Err(Trouble::Damaged(why)) => {
            health.fail(format!("CHAIN_BROKEN {why}; restore the log from a backup"));
        }
        Err(Trouble::Unread(position, error)) => {
            let why = describe(&log_without_paths(error));
            health.unread(position, &format!("READ_FAILED {why}, for a minute"));
        }
    }
}

/// What the first `size` records lead to; `None` if stopped before.
fn check(
    log: &dyn EventLog,
    size: u64,
    stop: &AtomicBool,
    first_wait: Duration,
) -> Result<Option<Trusted>, Trouble> {
    let mut cursor = ChainCursor::resume(Position::new(0), Hash::ZERO);
    let mut tree = Tree::new(Prefixes::RFC_6962);
    while tree.size() < size {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(records) = read(log, cursor.next(), stop, first_wait)? else { return Ok(None) };
        for (position, bytes) in &records {
            if position.get() >= size {
                break;
            }
            let checked = cursor.check(bytes);
            let (_, hash) = checked.map_err(|error| Trouble::Damaged(error.to_string()))?;
            tree.push_hash(hash);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Some(Trusted { hash: cursor.previous(), tree }))
}

/// A step of the log from a position on; `None` if stopped before.
fn read(
    log: &dyn EventLog,
    from: Position,
    stop: &AtomicBool,
    first_wait: Duration,
) -> Result<Option<Records>, Trouble> {
    let mut waits = (0..RETRIES).map(|retry| first_wait * 2_u32.pow(retry));
    loop {
        let error = match log.read(from, ReadLimit::STEP) {
            Ok(records) => return Ok(Some(records)),
            Err(error) => error,
        };
        let passes = matches!(error, ReadError::Io { .. });
        let Some(wait) = waits.next().filter(|_| passes) else {
            tracing::error!(error = %describe(&error), "an older record cannot be read");
            return Err(if passes {
                Trouble::Unread(from, error)
            } else {
                Trouble::Damaged(describe(&log_without_paths(error)))
            });
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
