//! One table: a memtable that is filled, one that is being written out, and runs.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bergulir_chain::Position;

use super::IndexError;
use super::batch::{Addition, IndexBatch};
use super::filter::KeyHasher;
use super::memtable::Memtable;
use super::run::Run;

/// How many additions are made under one hold of the lock: look-ups wait some 20 µs at most.
const ADDITIONS_PER_HOLD: usize = 256;

/// The tables of the index, in their canonical order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TableId {
    #[default]
    RequestIds,
    BankReferences,
    Trails,
}

impl TableId {
    pub(super) const COUNT: usize = 3;
    pub(super) const ALL: [Self; Self::COUNT] =
        [Self::RequestIds, Self::BankReferences, Self::Trails];

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// True if most look-ups are for keys that are not there.
    pub(super) const fn is_filtered(self) -> bool {
        matches!(self, Self::RequestIds | Self::BankReferences)
    }

    pub(super) fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest position up.
    OldestFirst,
    /// From the highest position down.
    NewestFirst,
}

impl Direction {
    pub(super) fn next(self, range: &mut Range<usize>) -> Option<usize> {
        match self {
            Self::OldestFirst => range.next(),
            Self::NewestFirst => range.next_back(),
        }
    }

    pub(super) fn over(
        self,
        mut range: Range<usize>,
        mut visit: impl FnMut(usize) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some(at) = self.next(&mut range) {
            visit(at)?;
        }
        ControlFlow::Continue(())
    }
}

/// What look-ups see. Records are never in none of the three, and never in two.
#[derive(Debug)]
struct View {
    active: Memtable,
    frozen: Option<Arc<Memtable>>,
    /// Oldest first; each covers a stretch of the log after the one before it.
    runs: Vec<Arc<Run>>,
}

/// One table, looked up by many threads while one fills it.
#[derive(Debug)]
pub(super) struct Table {
    id: TableId,
    hasher: KeyHasher,
    view: RwLock<View>,
}

/// All that a table held at one moment.
pub(super) struct Contents {
    pub(super) runs: Vec<Arc<Run>>,
    pub(super) memtables: Vec<Arc<Memtable>>,
}

impl Table {
    pub(super) fn new(id: TableId, hasher: KeyHasher, room: usize, runs: Vec<Arc<Run>>) -> Self {
        let active = Memtable::with_room(hasher, room);
        Self { id, hasher, view: RwLock::new(View { active, frozen: None, runs }) }
    }

    pub(super) const fn id(&self) -> TableId {
        self.id
    }

    // A thread that panics while it holds the lock leaves at worst half of an addition in memory,
    // which a rebuild mends; nothing of sled runs under the lock.
    pub(super) fn add(&self, batch: &IndexBatch, additions: &[Addition]) {
        for additions in additions.chunks(ADDITIONS_PER_HOLD) {
            let mut view = self.write();
            for addition in additions {
                view.active.insert(addition.key, addition.position, batch.value(addition));
            }
        }
    }

    /// All positions of a key, ascending.
    pub(super) fn positions(&self, key: u128) -> Result<Vec<Position>, IndexError> {
        let all = 0..u64::MAX;
        let hash = self.hasher.hash(key);
        let mut newest = Vec::new();
        let candidates: Vec<Arc<Run>> = {
            let view = self.read();
            for memtable in view.frozen.as_deref().into_iter().chain([&view.active]) {
                let _ = memtable.visit(key, hash, &all, Direction::OldestFirst, |position, _| {
                    newest.push(Position::new(position));
                    ControlFlow::Continue(())
                });
            }
            view.runs.iter().filter(|run| run.may_hold(key, hash)).cloned().collect()
        };
        if candidates.is_empty() {
            return Ok(newest);
        }
        let mut found = Vec::new();
        for run in candidates {
            let _ = run.visit(key, &all, Direction::OldestFirst, |position, _| {
                found.push(Position::new(position));
                ControlFlow::Continue(())
            })?;
        }
        found.append(&mut newest);
        Ok(found)
    }

    /// At most `limit` records of a key in a range of positions.
    pub(super) fn range(
        &self,
        key: u128,
        positions: &Range<u64>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Position, Vec<u8>)>, IndexError> {
        let mut found: Vec<(Position, Vec<u8>)> = Vec::new();
        if limit == 0 || positions.is_empty() {
            return Ok(found);
        }
        let hash = self.hasher.hash(key);
        let mut in_memory = Vec::new();
        let candidates: Vec<Arc<Run>> = {
            let view = self.read();
            let mut take = taker(&mut in_memory, limit);
            let memtables = [view.frozen.as_deref(), Some(&view.active)];
            let _ = direction.over(0..memtables.len(), |at| match memtables[at] {
                Some(memtable) => memtable.visit(key, hash, positions, direction, &mut take),
                None => ControlFlow::Continue(()),
            });
            view.runs
                .iter()
                .filter(|run| run.overlaps(positions) && run.may_hold(key, hash))
                .cloned()
                .collect()
        };
        if direction == Direction::NewestFirst {
            found.append(&mut in_memory);
        }
        let mut numbers = 0..candidates.len();
        while let Some(number) = direction.next(&mut numbers) {
            if found.len() >= limit {
                break;
            }
            let take = taker(&mut found, limit);
            let _ = candidates[number].visit(key, positions, direction, take)?;
        }
        found.append(&mut in_memory);
        found.truncate(limit);
        Ok(found)
    }

    /// Sets the filled memtable aside to be written out, unless one is still waiting.
    pub(super) fn freeze(&self, spare: Option<Memtable>, room: usize) -> Arc<Memtable> {
        let empty = spare.unwrap_or_else(|| Memtable::with_room(self.hasher, room));
        let mut view = self.write();
        if let Some(waiting) = &view.frozen {
            return Arc::clone(waiting);
        }
        let frozen = Arc::new(std::mem::replace(&mut view.active, empty));
        view.frozen = Some(Arc::clone(&frozen));
        frozen
    }

    /// The memtable set aside is now this run (or was empty).
    pub(super) fn replace_frozen(&self, run: Option<Arc<Run>>) {
        let mut view = self.write();
        view.frozen = None;
        view.runs.extend(run);
    }

    /// The runs with these numbers, which lie side by side, are now one.
    pub(super) fn replace_runs(&self, old: &[Arc<Run>], new: Arc<Run>) {
        let mut view = self.write();
        let is_old = |run: &Arc<Run>| old.iter().any(|old| Arc::ptr_eq(old, run));
        if let Some(at) = view.runs.iter().position(is_old) {
            view.runs[at] = new;
        }
        view.runs.retain(|run| !is_old(run));
    }

    /// The runs, oldest first.
    pub(super) fn runs(&self) -> Vec<Arc<Run>> {
        self.read().runs.clone()
    }

    /// The bytes of additions in the memtable that is being filled.
    pub(super) fn filled_bytes(&self) -> usize {
        self.read().active.filled_bytes()
    }

    /// Everything in the table at this moment; copies the memtable that is being filled.
    pub(super) fn contents(&self) -> Contents {
        let view = self.read();
        let active = Arc::new(view.active.clone());
        let memtables = view.frozen.iter().cloned().chain([active]).collect();
        Contents { runs: view.runs.clone(), memtables }
    }

    pub(super) fn stats(&self) -> super::TableStats {
        let view = self.read();
        let memtables = || view.frozen.as_deref().into_iter().chain([&view.active]);
        super::TableStats {
            runs: view.runs.len(),
            records_in_runs: view.runs.iter().map(|run| run.row().records).sum(),
            records_in_memory: memtables().map(|table| table.len() as u64).sum(),
            memtable_bytes: memtables().map(Memtable::resident_bytes).sum(),
            filter_bytes: view.runs.iter().map(|run| run.resident_bytes()).sum(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes records until there are as many as wanted.
fn taker(
    into: &mut Vec<(Position, Vec<u8>)>,
    limit: usize,
) -> impl FnMut(u64, &[u8]) -> ControlFlow<()> + '_ {
    move |position, value| {
        into.push((Position::new(position), value.to_vec()));
        if into.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
