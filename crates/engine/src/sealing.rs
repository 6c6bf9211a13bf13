//! A seal that is being computed, bit by bit between the records that are followed: whoever wants to
//! read or to see what was just recorded waits for one bit of it, and not for all.

use crate::projector::describe;
use bergulir_chain::LogSize;
use bergulir_domain::command::Seal;
use bergulir_proto::balances::BalanceTree;
use bergulir_proto::replay::{Held, Replica};
use bergulir_store::index::{Index, IndexError, NextRead, SnapshotDraft};
use std::sync::{PoisonError, RwLock};

/// So many rows of the state, or leaves of the balance tree, are a bit: half a millisecond's work.
const ROWS: usize = if cfg!(test) { 2 } else { 1_000 };

/// A seal that is being computed, of the state as it was when this began.
pub(crate) struct Sealing {
    held: Held,
    /// `None` if it cannot be written.
    snapshot: Option<SnapshotDraft>,
    all_told: bool,
    bytes: Vec<u8>,
}

/// A seal, and what it speaks of.
pub(crate) struct Sealed {
    pub(crate) seal: Seal,
    /// The snapshot of the state. `None` if it could not be written.
    pub(crate) snapshot: Option<SnapshotDraft>,
    /// The balances.
    pub(crate) tree: BalanceTree,
}

impl Sealing {
    /// Begins a seal through the published head; `None` if there is nothing to seal. `next_read` is of
    /// the snapshot.
    pub(crate) fn begin(
        published: &RwLock<Replica>,
        index: &Index,
        next_read: NextRead,
    ) -> Option<Sealing> {
        let mut held = {
            let mut replica = published.write().unwrap_or_else(PoisonError::into_inner);
            if replica.size() == LogSize::EMPTY {
                return None;
            }
            replica.hold()
        };
        let snapshot = index.begin_snapshot(next_read).inspect_err(no_snapshot).ok();
        let mut bytes = Vec::new();
        held.begin(&mut bytes);
        let mut sealing = Sealing { held, snapshot, all_told: false, bytes };
        sealing.pass_on();
        Some(sealing)
    }

    /// Computes the next bit; says whether there is more.
    pub(crate) fn go_on(&mut self, published: &RwLock<Replica>) -> bool {
        if self.all_told {
            return self.held.plant(ROWS);
        }
        self.all_told = {
            let mut replica = published.write().unwrap_or_else(PoisonError::into_inner);
            !replica.tell(&mut self.held, ROWS, &mut self.bytes)
        };
        self.pass_on();
        true
    }

    /// What was told goes into the digest and the snapshot.
    fn pass_on(&mut self) {
        let Sealing { held, snapshot, bytes, .. } = self;
        held.digest(bytes);
        if let Some(draft) = snapshot
            && let Err(error) = draft.write(bytes)
        {
            no_snapshot(&error);
            *snapshot = None;
        }
        bytes.clear();
    }

    /// The seal, once there is no more to compute.
    pub(crate) fn finish(self) -> Option<Sealed> {
        let Sealing { held, snapshot, .. } = self;
        let (seal, tree) = held.into_seal()?;
        Some(Sealed { seal, snapshot, tree })
    }
}

/// A snapshot only shortens the next start: without one, that one replays more.
pub(crate) fn no_snapshot(error: &IndexError) {
    tracing::warn!(
        error = %describe(error),
        "no snapshot could be kept of a seal: see to the disk; the next one is tried with the next seal"
    );
}
