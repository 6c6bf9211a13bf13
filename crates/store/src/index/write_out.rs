//! Applying batches, and writing full memtables out as runs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bergulir_chain::LogSize;

use super::blocks::ShelfWriter;
use super::manifest::RunRow;
use super::memtable::{Memtable, Order};
use super::run::RunWriter;
use super::table::{Table, TableId};
use super::{Index, IndexBatch, IndexError, held};
use crate::log::Head;

/// After a write-out `apply` merges up to this many times what was written. Each level rewrites a
/// record once, so six keep up with a log of 65,536 × 8⁶ records.
const MERGED_PER_WRITTEN: usize = 6;

/// What the one who applies keeps in mind.
#[derive(Debug)]
pub(super) struct Applier {
    /// Where the memtables that are filled begin.
    filled_from: LogSize,
    /// Where the memtables end that were set aside, if a write-out began and has not succeeded.
    frozen_to: Option<Head>,
    /// Emptied memtables for the next time: fresh memory is slow at its first touch.
    spare: [Option<Memtable>; TableId::COUNT],
    /// Kept for the next time as well.
    order: Order,
    pub(super) tile_writer: ShelfWriter,
}

impl Applier {
    pub(super) fn new(applied: LogSize, tile_writer: ShelfWriter) -> Self {
        Self {
            filled_from: applied,
            frozen_to: None,
            spare: Default::default(),
            order: Order::default(),
            tile_writer,
        }
    }
}

impl Index {
    /// Indexes the records of a batch, which begins at [`applied`](Self::applied). What it adds
    /// can be found at once; it is durable after some later write-out, or [`flush`](Self::flush).
    ///
    /// A batch that is refused ([`Gap`](IndexError::Gap), [`OutOfOrder`](IndexError::OutOfOrder),
    /// [`TileHashes`](IndexError::TileHashes)) changes nothing. After any other error the index is to
    /// be rebuilt.
    pub fn apply(&self, batch: &IndexBatch) -> Result<(), IndexError> {
        let mut applier = held(&self.applier);
        let applied = self.applied();
        if batch.from() != applied {
            return Err(IndexError::Gap { applied, from: batch.from() });
        }
        batch.check()?;
        // Only at the end of a batch is the hash known that a manifest states, so a batch that the
        // memtables have no room for finds them emptied, and none is parted between two.
        while !self.has_room(&applier, batch.to().get() - applied.get()) {
            self.write_out_and_merge(&mut applier)?;
        }
        for table in &self.tables {
            table.add(batch, self.hasher);
        }
        self.tile_rows.add(batch.hashes());
        if batch.to() > applied {
            *self.applied.write().unwrap_or_else(PoisonError::into_inner) = batch.head();
        }
        while self.is_full(&applier) {
            self.write_out_and_merge(&mut applier)?;
        }
        Ok(())
    }

    fn write_out_and_merge(&self, applier: &mut Applier) -> Result<(), IndexError> {
        let blocks = self.write_out(applier)?;
        if self.merge_inline {
            self.merge_inline(blocks * MERGED_PER_WRITTEN)?;
        }
        Ok(())
    }

    /// How many records the memtables cover that are filled.
    fn filled(&self, applier: &Applier) -> u64 {
        self.applied().get() - applier.filled_from.get()
    }

    /// True if a batch of so many records goes into the memtables, as one does into empty ones
    /// however long it is.
    fn has_room(&self, applier: &Applier, records: u64) -> bool {
        let filled = self.filled(applier);
        filled == 0 || filled + records <= self.memtable_records as u64
    }

    fn is_full(&self, applier: &Applier) -> bool {
        let bytes = self.tables.iter().map(Table::filled_bytes).max();
        self.filled(applier) >= self.memtable_records as u64 || bytes >= Some(self.memtable_bytes)
    }

    /// Writes everything applied so far out; durable on return.
    pub fn flush(&self) -> Result<(), IndexError> {
        let mut applier = held(&self.applier);
        while held(&self.manifest).applied.size < self.applied() {
            self.write_out(&mut applier)?;
        }
        Ok(())
    }

    /// Writes the memtables out as one run a table, and the tiles; returns the number of blocks written. Look-ups
    /// go on meanwhile.
    fn write_out(&self, applier: &mut Applier) -> Result<usize, IndexError> {
        let to = *applier.frozen_to.get_or_insert_with(|| self.applied_to());
        let room = self.memtable_records;
        let frozen = [0, 1, 2].map(|table: usize| {
            let spare = applier.spare[table].take();
            self.tables[table].freeze(spare, room)
        });
        applier.filled_from = applier.filled_from.max(to.size);

        let from = held(&self.manifest).applied.size.get();
        let mut runs = [const { None }; TableId::COUNT];
        let mut blocks = 0;
        for (table, memtable) in self.tables.iter().zip(&frozen) {
            if memtable.is_empty() {
                continue;
            }
            let number = held(&self.manifest).number_run();
            let row = RunRow {
                table: table.id(),
                level: 0,
                run: number,
                from,
                to: to.size.get(),
                ..RunRow::default()
            };
            let mut writer = RunWriter::begin(&self.blocks, row, memtable.len() as u64)?;
            memtable.visit_sorted(&mut applier.order, |key, position, row| {
                writer.push(key, position, row)
            })?;
            let run = writer.finish()?;
            blocks += run.row().blocks as usize;
            runs[table.id().index()] = Some(Arc::new(run));
        }
        blocks += self.tile_rows.write(&mut applier.tile_writer, to.size)?;
        self.blocks.flush()?;

        let mut manifest = held(&self.manifest);
        let mut next = manifest.clone();
        runs.iter().flatten().for_each(|run| next.push(*run.row()));
        next.applied = to;
        next.store(&self.blocks)?;
        *manifest = next;
        for (table, run) in self.tables.iter().zip(runs) {
            table.replace_frozen(run);
        }
        // After the runs: whoever reads this finds what is below it.
        self.written.store(to.size.get(), Ordering::Release);
        drop(manifest);
        self.tile_rows.forget(to.size);

        applier.frozen_to = None;
        for (spare, memtable) in applier.spare.iter_mut().zip(frozen) {
            // A digest that is being made may still read it; then a new one is made next time.
            *spare = Arc::try_unwrap(memtable).ok();
            if let Some(memtable) = spare {
                memtable.clear();
            }
        }
        Ok(blocks)
    }
}
