//! Merging: as many runs of a level as the merge width become one run of the next level, so the
//! number of runs, and with it the cost of a look-up, grows with the logarithm of the log only.
//!
//! Work is done in steps of bounded length, the lowest level first: a merge of tens of millions of
//! records goes on over many steps, while the short ones below it are not kept waiting.

use std::sync::Arc;

use super::blocks::Kind;
use super::manifest::RunRow;
use super::run::{Run, RunWriter};
use super::sorted::Sorted;
use super::table::TableId;
use super::{Index, IndexError, held};

/// The most blocks that one step writes: some 2 MB, a few milliseconds.
const BLOCKS_PER_STEP: usize = 256;

/// Freeing this many blocks is counted as the work of writing one.
const BLOCKS_FREED_PER_WRITTEN: usize = 8;

/// A merge that has begun.
#[derive(Debug)]
struct Merge {
    table: TableId,
    level: u8,
    inputs: Vec<Arc<Run>>,
    records: Sorted,
    writer: RunWriter,
}

/// Merges that have begun, and runs to be removed.
#[derive(Debug, Default)]
pub(super) struct Merges {
    begun: Vec<Merge>,
    /// Runs that were merged away; look-ups that began earlier may still read them.
    retired: Vec<Arc<Run>>,
}

impl Index {
    /// Does a bounded piece of the merging that is due, a few milliseconds of work. Returns false
    /// if nothing is due.
    pub(super) fn merge_once(&self) -> Result<bool, IndexError> {
        let mut merges = held(&self.merges);
        Ok(self.merge_step(&mut merges)? > 0)
    }

    /// Merges until about `budget` blocks are written or nothing is due. Does nothing while
    /// another thread merges.
    pub(super) fn merge_inline(&self, budget: usize) -> Result<(), IndexError> {
        let Ok(mut merges) = self.merges.try_lock() else {
            return Ok(());
        };
        let mut done = 0;
        while done < budget {
            match self.merge_step(&mut merges)? {
                0 => break,
                blocks => done += blocks,
            }
        }
        Ok(())
    }

    /// One step; returns about how many blocks of work it was.
    fn merge_step(&self, merges: &mut Merges) -> Result<usize, IndexError> {
        if let Some(blocks) = self.remove_retired(merges)? {
            return Ok(blocks.div_ceil(BLOCKS_FREED_PER_WRITTEN));
        }
        self.begin_merges(merges)?;
        let begun = merges.begun.iter().enumerate();
        let Some((lowest, _)) = begun.min_by_key(|(_, merge)| (merge.level, merge.table)) else {
            return Ok(0);
        };
        // A merge that fails is forgotten; what it wrote is garbage that the next open removes.
        let mut merge = merges.begun.swap_remove(lowest);
        let before = merge.writer.blocks();
        while merge.writer.blocks() < before + BLOCKS_PER_STEP {
            let Merge { records, writer, .. } = &mut merge;
            if records.next_block(|block| writer.push_block(block))? {
                continue;
            }
            let more = records.next(|key, position, row| writer.push(key, position, row))?;
            if !more {
                let blocks = merge.writer.blocks() - before + 1;
                merges.retired.extend(self.finish_merge(merge)?);
                return Ok(blocks);
            }
        }
        merges.begun.push(merge);
        Ok(BLOCKS_PER_STEP)
    }

    /// Begins a merge on every level that is full and has none yet, of this or another table: each
    /// holds a filter in memory.
    fn begin_merges(&self, merges: &mut Merges) -> Result<(), IndexError> {
        for table in &self.tables {
            let width = table.id().merge_width(self.merge_width);
            let runs = table.runs();
            // Older runs have higher levels, so the runs of one level lie side by side.
            for same_level in runs.chunk_by(|one, next| one.row().level == next.row().level) {
                let level = same_level[0].row().level;
                let begun = |merge: &Merge| merge.level == level;
                if same_level.len() < width || merges.begun.iter().any(begun) {
                    continue;
                }
                let inputs = same_level[..width].to_vec();
                let from = inputs[0].row().from;
                let to = inputs[inputs.len() - 1].row().to;
                let records = inputs.iter().map(|run| run.row().records).sum();
                let number = held(&self.manifest).number_run();
                let row = RunRow {
                    table: table.id(),
                    level: level.saturating_add(1),
                    run: number,
                    from,
                    to,
                    ..RunRow::default()
                };
                let writer = RunWriter::begin(&self.blocks, row, records)?;
                let records = Sorted::of_runs(&inputs)?;
                merges.begun.push(Merge { table: table.id(), level, inputs, records, writer });
            }
        }
        Ok(())
    }

    fn finish_merge(&self, merge: Merge) -> Result<Vec<Arc<Run>>, IndexError> {
        let run = Arc::new(merge.writer.finish()?);
        self.blocks.flush()?;
        let old: Vec<u64> = merge.inputs.iter().map(|run| run.row().run).collect();
        let mut manifest = held(&self.manifest);
        let mut next = manifest.clone();
        next.replace(&old, *run.row());
        next.store(&self.blocks)?;
        *manifest = next;
        self.tables[merge.table.index()].replace_runs(&merge.inputs, run);
        Ok(merge.inputs)
    }

    /// Removes one of the runs that no look-up reads any more; returns how many blocks it had.
    fn remove_retired(&self, merges: &mut Merges) -> Result<Option<usize>, IndexError> {
        let unread = |run: &Arc<Run>| Arc::strong_count(run) == 1;
        let Some(at) = merges.retired.iter().position(unread) else {
            return Ok(None);
        };
        let run = merges.retired.swap_remove(at);
        let row = *run.row();
        drop(run);
        self.blocks.remove_shelf(Kind::Run, row.run)?;
        Ok(Some(row.blocks as usize))
    }
}
