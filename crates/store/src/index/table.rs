//! One table: a memtable that is filled, one that is being written out, and runs.

use std::ops::{ControlFlow, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bergulir_chain::Position;

use super::IndexError;
use super::batch::IndexBatch;
use super::columns::{Line, Row};
use super::filter::Probe;
use super::hasher::KeyHasher;
use super::memtable::Memtable;
use super::run::Run;

/// How many ids are added under one hold of the lock: others wait some 20 µs.
const IDS_PER_HOLD: usize = 256;

/// How many ids are held against one filter after the other: what is known of them stays near.
const IDS_PER_PASS: usize = 256;

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

    /// How many runs of a level make one of the next, if it is `width` for the ids. Trails are most
    /// of what is merged, and a look-up reads few of their runs: for them it is twice as many.
    pub(super) const fn merge_width(self, width: usize) -> usize {
        if self.is_filtered() { width } else { 2 * width }
    }

    /// How many keys of sled each value of a run has. What gets through a filter reads one block of many,
    /// anywhere in its run: so it has company that takes no room.
    pub(super) const fn spacing(self) -> u32 {
        if self.is_filtered() { 4 } else { 1 }
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

impl View {
    /// Older first.
    fn memtables(&self) -> impl Iterator<Item = &Memtable> {
        self.frozen.as_deref().into_iter().chain([&self.active])
    }
}

/// One table, looked up by many threads while one fills it.
#[derive(Debug)]
pub(super) struct Table {
    id: TableId,
    view: RwLock<View>,
    /// The runs of the view once more: whoever looks for ids takes no lock that is ever held for
    /// longer than it takes to copy a pointer.
    runs: RwLock<Arc<[Arc<Run>]>>,
}

/// All that a table held at one moment.
pub(super) struct Contents {
    pub(super) runs: Vec<Arc<Run>>,
    pub(super) memtables: Vec<Arc<Memtable>>,
}

impl Table {
    pub(super) fn new(id: TableId, room: usize, runs: Vec<Arc<Run>>) -> Self {
        let active = Memtable::new(!id.is_filtered(), room);
        let published = RwLock::new(runs.clone().into());
        Self { id, view: RwLock::new(View { active, frozen: None, runs }), runs: published }
    }

    pub(super) const fn id(&self) -> TableId {
        self.id
    }

    // A thread that panics while it holds the lock leaves at worst half of an addition in memory,
    // which a rebuild mends; nothing of sled runs under the lock.
    pub(super) fn add(&self, batch: &IndexBatch, hasher: KeyHasher) {
        if self.id == TableId::Trails {
            self.write().active.insert_lines(batch.trails());
        }
        for ids in batch.ids(self.id).chunks(IDS_PER_HOLD) {
            let keys = ids.iter().map(|(id, position)| (hasher.key(*id), *position));
            self.write().active.insert_keys(keys);
        }
    }

    /// The positions of many keys that records below `below` may have that are written out: calls
    /// `found` with the number of each key that is there, and with its positions, ascending. Mostly
    /// nothing is there.
    pub(super) fn positions(
        &self,
        keys: &[u64],
        below: u64,
        mut found: impl FnMut(usize, &[u64]),
    ) -> Result<(), IndexError> {
        let runs = self.runs();
        let mut in_runs: Vec<(&Arc<Run>, Vec<usize>)> = Vec::new();
        let mut probes = Vec::new();
        for (pass, keys) in keys.chunks(IDS_PER_PASS).enumerate() {
            probes.clear();
            probes.extend(keys.iter().copied().map(Probe::new));
            for run in runs.iter().filter(|run| run.row().from < below) {
                run.look_ahead(&probes);
                let may_hold = probes.iter().enumerate().filter(|(_, probe)| run.may_hold(probe));
                for (place, _) in may_hold {
                    let number = pass * IDS_PER_PASS + place;
                    match in_runs.iter_mut().find(|(other, _)| Arc::ptr_eq(other, run)) {
                        Some((_, numbers)) => numbers.push(number),
                        None => in_runs.push((run, vec![number])),
                    }
                }
            }
        }
        let mut at: Vec<(usize, u64)> = Vec::new();
        for (run, numbers) in &mut in_runs {
            // In the order of the run, so that each block is read once.
            numbers.sort_unstable_by_key(|number| keys[*number]);
            let wanted = numbers.iter().map(|number| keys[*number]);
            run.positions_of(wanted, |place, position| at.push((numbers[place], position)))?;
        }
        at.retain(|(_, position)| *position < below);
        at.sort_unstable();
        let mut positions = Vec::new();
        for of_key in at.chunk_by(|(one, _), (next, _)| one == next) {
            positions.clear();
            positions.extend(of_key.iter().map(|(_, position)| *position));
            found(of_key[0].0, &positions);
        }
        Ok(())
    }

    /// At most `limit` records of a key in a range of positions.
    pub(super) fn range(
        &self,
        key: u64,
        positions: &Range<u64>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Position, Line)>, IndexError> {
        let mut found: Vec<(Position, Line)> = Vec::new();
        if limit == 0 || positions.is_empty() {
            return Ok(found);
        }
        let mut in_memory = Vec::new();
        let probe = Probe::new(key);
        let candidates: Vec<Arc<Run>> = {
            let view = self.read();
            let mut take = taker(&mut in_memory, limit);
            let memtables = [view.frozen.as_deref(), Some(&view.active)];
            let _ = direction.over(0..memtables.len(), |at| match memtables[at] {
                Some(memtable) => memtable.visit(key, positions, direction, &mut take),
                None => ControlFlow::Continue(()),
            });
            view.runs
                .iter()
                .filter(|run| run.overlaps(positions) && run.may_hold(&probe))
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

    /// Sets the filled memtable aside to be written out; none is set aside already.
    pub(super) fn freeze(&self, spare: Option<Memtable>, room: usize) {
        let empty = spare.unwrap_or_else(|| Memtable::new(!self.id.is_filtered(), room));
        let mut view = self.write();
        view.frozen = Some(Arc::new(std::mem::replace(&mut view.active, empty)));
    }

    /// The memtable that was set aside, if one was.
    pub(super) fn frozen(&self) -> Option<Arc<Memtable>> {
        self.read().frozen.clone()
    }

    /// The memtable that was set aside is now this run (or was empty); gives the memtable.
    pub(super) fn replace_frozen(&self, run: Option<Arc<Run>>) -> Option<Arc<Memtable>> {
        let mut view = self.write();
        view.runs.extend(run);
        self.publish(&view);
        view.frozen.take()
    }

    /// The runs with these numbers, which lie side by side, are now one.
    pub(super) fn replace_runs(&self, old: &[Arc<Run>], new: Arc<Run>) {
        let mut view = self.write();
        let is_old = |run: &Arc<Run>| old.iter().any(|old| Arc::ptr_eq(old, run));
        if let Some(at) = view.runs.iter().position(is_old) {
            view.runs[at] = new;
        }
        view.runs.retain(|run| !is_old(run));
        self.publish(&view);
    }

    fn publish(&self, view: &View) {
        let runs = view.runs.clone().into();
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = runs;
    }

    /// The runs, oldest first.
    pub(super) fn runs(&self) -> Arc<[Arc<Run>]> {
        Arc::clone(&self.runs.read().unwrap_or_else(PoisonError::into_inner))
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
        super::TableStats {
            runs: view.runs.len(),
            records_in_runs: view.runs.iter().map(|run| run.row().records).sum(),
            records_in_memory: view.memtables().map(|table| table.len() as u64).sum(),
            memtable_bytes: view.memtables().map(Memtable::resident_bytes).sum(),
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
    into: &mut Vec<(Position, Line)>,
    limit: usize,
) -> impl FnMut(u64, Row<'_>) -> ControlFlow<()> + '_ {
    move |position, row| {
        into.push((Position::new(position), row.into()));
        if into.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}
