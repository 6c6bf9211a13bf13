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

/// Where the memtables begin that the one who applies fills.
#[derive(Debug)]
pub(super) struct Applier {
    filled_from: LogSize,
}

impl Applier {
    pub(super) const fn new(applied: LogSize) -> Self {
        Self { filled_from: applied }
    }
}

/// What the one who writes memtables out keeps in mind.
#[derive(Debug)]
pub(super) struct WriteOut {
    /// Where the memtables end that were set aside, if they are not written out yet.
    frozen_to: Option<Head>,
    /// Emptied memtables for the next time: fresh memory is slow at its first touch.
    spare: [Option<Memtable>; TableId::COUNT],
    /// Kept for the next time as well.
    order: Order,
    pub(super) tile_writer: ShelfWriter,
}

impl WriteOut {
    pub(super) fn new(tile_writer: ShelfWriter) -> Self {
        Self { frozen_to: None, spare: Default::default(), order: Order::default(), tile_writer }
    }
}

impl Index {
    /// Indexes the records of a batch, which begins at [`applied`](Self::applied). What it adds
    /// can be found at once; it is durable after some later write-out, or [`flush`](Self::flush).
    ///
    /// Takes long only if the memtables are full before the last ones are written out, or if all work
    /// is done [inline](super::IndexOptions::inline).
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
        if !self.has_room(&applier, batch.to().get() - applied.get()) {
            self.make_room(&mut applier)?;
        }
        for table in &self.tables {
            table.add(batch, self.hasher);
        }
        self.tile_rows.add(batch.hashes());
        if batch.to() > applied {
            *self.applied.write().unwrap_or_else(PoisonError::into_inner) = batch.head();
        }
        if self.is_full(&applier) {
            self.make_room(&mut applier)?;
        }
        Ok(())
    }

    /// Sets the memtables aside that are filled. If the ones before still wait, they go first: there
    /// are never more than two of a table.
    fn make_room(&self, applier: &mut Applier) -> Result<(), IndexError> {
        let mut write_out = held(&self.write_out);
        self.write_frozen(&mut write_out)?;
        self.freeze(applier, &mut write_out);
        if !self.inline {
            drop(write_out);
            self.work.announce();
            return Ok(());
        }
        let blocks = self.write_frozen(&mut write_out)?;
        drop(write_out);
        self.merge_inline(blocks * MERGED_PER_WRITTEN)
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

    /// Writes everything applied so far out, and keeps the snapshots that wait for that; durable on
    /// return.
    pub fn flush(&self) -> Result<(), IndexError> {
        self.write_out_through(self.applied())?;
        while self.keep_one_snapshot()? {}
        Ok(())
    }

    /// Writes out what was set aside, if anything was; says whether.
    pub(super) fn write_out_once(&self) -> Result<bool, IndexError> {
        Ok(self.write_frozen(&mut held(&self.write_out))? > 0)
    }

    /// Writes what is applied of the records below this log size out, and what was applied after
    /// them. Additions go on meanwhile.
    pub(super) fn write_out_through(&self, size: LogSize) -> Result<(), IndexError> {
        let size = size.min(self.applied());
        while self.written() < size {
            // In the order of the locks; the first only until it is known what is to be written.
            let mut applier = held(&self.applier);
            let mut write_out = held(&self.write_out);
            if write_out.frozen_to.is_none() {
                self.freeze(&mut applier, &mut write_out);
            }
            drop(applier);
            self.write_frozen(&mut write_out)?;
        }
        Ok(())
    }

    /// Sets the filled memtables aside; none are set aside already.
    fn freeze(&self, applier: &mut Applier, write_out: &mut WriteOut) {
        let to = self.applied_to();
        for (table, spare) in self.tables.iter().zip(&mut write_out.spare) {
            table.freeze(spare.take(), self.memtable_records);
        }
        applier.filled_from = to.size;
        write_out.frozen_to = Some(to);
    }

    /// Writes the memtables that were set aside out as one run a table, and the tiles; returns the
    /// number of blocks written. Look-ups and additions go on meanwhile.
    fn write_frozen(&self, write_out: &mut WriteOut) -> Result<usize, IndexError> {
        let Some(to) = write_out.frozen_to else { return Ok(0) };
        let from = held(&self.manifest).applied.size.get();
        let mut runs = [const { None }; TableId::COUNT];
        let mut blocks = 0;
        for table in &self.tables {
            let Some(memtable) = table.frozen().filter(|memtable| !memtable.is_empty()) else {
                continue;
            };
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
            memtable.visit_sorted(&mut write_out.order, |key, position, row| {
                writer.push(key, position, row)
            })?;
            let run = writer.finish()?;
            blocks += run.row().blocks as usize;
            runs[table.id().index()] = Some(Arc::new(run));
        }
        blocks += self.tile_rows.write(&mut write_out.tile_writer, to.size)?;
        self.blocks.flush()?;

        let mut manifest = held(&self.manifest);
        let mut next = manifest.clone();
        runs.iter().flatten().for_each(|run| next.push(*run.row()));
        next.applied = to;
        next.store(&self.blocks)?;
        *manifest = next;
        let emptied = self.tables.each_ref().map(|table| {
            let run = runs[table.id().index()].take();
            table.replace_frozen(run)
        });
        // After the runs: whoever reads this finds what is below it.
        self.written.store(to.size.get(), Ordering::Release);
        drop(manifest);
        self.tile_rows.forget(to.size);

        write_out.frozen_to = None;
        for (spare, memtable) in write_out.spare.iter_mut().zip(emptied) {
            // A digest that is being made may still read it; then a new one is made next time.
            *spare = memtable.and_then(Arc::into_inner);
            if let Some(memtable) = spare {
                memtable.clear();
            }
        }
        // What covers no record of any table still moved the manifest.
        Ok(blocks.max(1))
    }
}
