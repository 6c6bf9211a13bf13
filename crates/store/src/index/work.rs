//! The work that follows additions, for a thread of its own: whoever adds must not wait for a disk.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::{Index, IndexError, held};

/// Whether there is work that nobody has begun.
#[derive(Debug, Default)]
pub(super) struct Work {
    is_due: Mutex<bool>,
    changed: Condvar,
}

impl Work {
    pub(super) fn announce(&self) {
        *held(&self.is_due) = true;
        self.changed.notify_all();
    }
}

impl Index {
    /// Does a piece of the work that is due: what additions have filled is written out, snapshots are
    /// kept, runs are merged. Returns false if nothing is due. Look-ups and additions go on meanwhile;
    /// for one thread at a time.
    ///
    /// A piece of the merging takes a few milliseconds, writing out tens of them.
    pub fn work_once(&self) -> Result<bool, IndexError> {
        // What additions may come to wait for goes first.
        Ok(self.write_out_once()? || self.keep_one_snapshot()? || self.merge_once()?)
    }

    /// Waits until there is [work](Self::work_once), or for so long, or until [woken](Self::wake).
    pub fn wait_for_work(&self, at_most: Duration) {
        let is_due = held(&self.work.is_due);
        let waited = self.work.changed.wait_timeout_while(is_due, at_most, |is_due| !*is_due);
        let (mut is_due, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *is_due = false;
    }

    /// Ends the waiting of who [waits for work](Self::wait_for_work).
    pub fn wake(&self) {
        self.work.announce();
    }
}
