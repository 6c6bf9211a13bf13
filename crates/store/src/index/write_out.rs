//! Applying batches, and writing full memtables out as runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bergulir_chain::LogSize;

use super::manifest::RunRow;
use super::memtable::Memtable;
use super::run::RunWriter;
use super::table::{Table, TableId};
use super::{Index, IndexBatch, IndexError, held};

/// After a write-out `apply` merges up to this many times what was written. Each level rewrites a
/// record once, so six keep up with a log of 65,536 × 8⁶ records.
const MERGED_PER_WRITTEN: usize = 6;

/// How many records are added between two looks at the size of the memtable.
const RECORDS_PER_CHECK: u64 = 1024;

/// What the one who applies keeps in mind.
#[derive(Debug)]
pub(super) struct Applier {
    /// Where the memtables that are filled begin.
    filled_from: LogSize,
    /// Where the memtables end that were set aside, if a write-out began and has not succeeded.
    frozen_to: Option<LogSize>,
    /// Emptied memtables for the next time: fresh memory is slow at its first touch.
    spare: [Option<Memtable>; TableId::COUNT],
}

impl Applier {
    pub(super) fn new(applied: LogSize) -> Self {
        Self { filled_from: applied, frozen_to: None, spare: Default::default() }
    }
}

impl Index {
    /// Indexes the records of a batch, which begins at [`applied`](Self::applied). What it adds
    /// can be found at once; it is durable after some later write-out, or [`flush`](Self::flush).
    ///
    /// A batch that is refused ([`Gap`](IndexError::Gap), [`OutOfOrder`](IndexError::OutOfOrder))
    /// changes nothing. After any other error the index is to be rebuilt.
    pub fn apply(&self, batch: &IndexBatch) -> Result<(), IndexError> {
        let mut applier = held(&self.applier);
        let mut applied = self.applied().get();
        if batch.from().get() != applied {
            return Err(IndexError::Gap { applied: self.applied(), from: batch.from() });
        }
        batch.check()?;

        let mut added = [0; TableId::COUNT];
        loop {
            while self.is_full(&applier) {
                let blocks = self.write_out(&mut applier)?;
                if self.merge_inline {
                    self.merge_inline(blocks * MERGED_PER_WRITTEN)?;
                }
            }
            if applied >= batch.to().get() {
                return Ok(());
            }
            // A memtable ends between two records, whatever the length of the batch.
            applied = (applier.filled_from.get() + self.memtable_records as u64)
                .min(applied + RECORDS_PER_CHECK)
                .min(batch.to().get());
            for table in &self.tables {
                let additions = batch.additions(table.id());
                let start = added[table.id().index()];
                let count =
                    additions[start..].partition_point(|addition| addition.position < applied);
                table.add(batch, &additions[start..start + count]);
                added[table.id().index()] = start + count;
            }
            self.applied.store(applied, Ordering::Release);
        }
    }

    fn is_full(&self, applier: &Applier) -> bool {
        let records = self.applied().get() - applier.filled_from.get();
        let bytes = self.tables.iter().map(Table::filled_bytes).max();
        records >= self.memtable_records as u64 || bytes >= Some(self.memtable_bytes)
    }

    /// Writes everything applied so far out; durable on return.
    pub fn flush(&self) -> Result<(), IndexError> {
        let mut applier = held(&self.applier);
        while held(&self.manifest).applied < self.applied().get() {
            self.write_out(&mut applier)?;
        }
        Ok(())
    }

    /// Writes the memtables out as one run a table; returns the number of blocks written. Look-ups
    /// go on meanwhile.
    fn write_out(&self, applier: &mut Applier) -> Result<usize, IndexError> {
        let to = *applier.frozen_to.get_or_insert_with(|| self.applied());
        let room = self.memtable_records;
        let frozen = [0, 1, 2].map(|table: usize| {
            let spare = applier.spare[table].take();
            self.tables[table].freeze(spare, room)
        });
        if applier.filled_from < to {
            applier.filled_from = to;
        }

        let from = held(&self.manifest).applied;
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
                to: to.get(),
                ..RunRow::default()
            };
            let mut writer =
                RunWriter::begin(&self.blocks, self.hasher, row, memtable.len() as u64)?;
            memtable.visit_sorted(|key, position, value| writer.push(key, position, value))?;
            let run = writer.finish()?;
            blocks += run.row().blocks as usize;
            runs[table.id().index()] = Some(Arc::new(run));
        }
        self.blocks.flush()?;

        let mut manifest = held(&self.manifest);
        let mut next = manifest.clone();
        runs.iter().flatten().for_each(|run| next.push(*run.row()));
        next.applied = to.get();
        next.store(&self.blocks)?;
        *manifest = next;
        for (table, run) in self.tables.iter().zip(runs) {
            table.replace_frozen(run);
        }
        drop(manifest);

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
