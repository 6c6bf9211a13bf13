//! Merging: as many runs of a level as the merge width become one run of the next level, so the
//! number of runs, and with it the cost of a look-up, grows with the logarithm of the log only.
//!
//! Work is done in steps of bounded length, the lowest level first: a merge of tens of millions of
//! records goes on over many steps, while the short ones below it are not kept waiting.

use std::sync::Arc;

use super::blocks::{Place, Section};
use super::manifest::RunRow;
use super::run::{Run, RunWriter};
use super::sorted::Sorted;
use super::table::TableId;
use super::{Index, IndexError, held};

/// The most blocks that one step writes: some 2 MB, a few milliseconds.
const BLOCKS_PER_STEP: usize = 256;

/// The most values that one step removes.
const REMOVALS_PER_STEP: usize = 512;

/// A merge that has begun.
#[derive(Debug)]
struct Merge {
    table: TableId,
    level: u8,
    inputs: Vec<Arc<Run>>,
    records: Sorted,
    writer: RunWriter,
}

/// The values of a run that nobody reads any more.
#[derive(Debug)]
struct Removal {
    row: RunRow,
    section: Section,
    number: u32,
}

impl Removal {
    fn next(&mut self) -> Option<Place> {
        loop {
            let (count, after) = match self.section {
                Section::Records => (self.row.blocks, Some(Section::Fences)),
                Section::Fences => (self.row.fence_values, Some(Section::Filter)),
                Section::Filter => (self.row.filter_values, None),
            };
            if self.number < count {
                let number = self.number;
                self.number += 1;
                return Some(Place::Run {
                    run: self.row.run,
                    section: self.section,
                    number,
                });
            }
            self.section = after?;
            self.number = 0;
        }
    }
}

/// Merges that have begun, and runs to be removed.
#[derive(Debug, Default)]
pub(super) struct Merges {
    begun: Vec<Merge>,
    /// Runs that were merged away; look-ups that began earlier may still read them.
    retired: Vec<Arc<Run>>,
    removal: Option<Removal>,
}

impl Index {
    /// Does a bounded piece of the merging that is due, a few milliseconds of work. Returns false
    /// if nothing is due. May be called from any thread while others look up and apply.
    pub fn merge_once(&self) -> Result<bool, IndexError> {
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
        let removed = self.remove_retired(merges)?;
        if removed > 0 {
            // A removal writes some bytes, not a block.
            return Ok(removed.div_ceil(8));
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
            let Merge {
                records, writer, ..
            } = &mut merge;
            let more = records.next(&self.blocks, |key, position, value| {
                writer.push(&self.blocks, key, position, value)
            })?;
            if !more {
                let blocks = merge.writer.blocks() - before + 1;
                merges.retired.extend(self.finish_merge(merge)?);
                return Ok(blocks);
            }
        }
        merges.begun.push(merge);
        Ok(BLOCKS_PER_STEP)
    }

    /// Begins a merge on every level that is full and has none yet.
    fn begin_merges(&self, merges: &mut Merges) -> Result<(), IndexError> {
        for table in &self.tables {
            let runs = table.runs();
            // Older runs have higher levels, so the runs of one level lie side by side.
            for same_level in runs.chunk_by(|one, next| one.row().level == next.row().level) {
                let level = same_level[0].row().level;
                let begun = |merge: &Merge| merge.table == table.id() && merge.level == level;
                if same_level.len() < self.merge_width || merges.begun.iter().any(begun) {
                    continue;
                }
                let inputs = same_level[..self.merge_width].to_vec();
                let from = inputs[0].row().from;
                let to = inputs[inputs.len() - 1].row().to;
                let records = inputs.iter().map(|run| run.row().records).sum();
                let number = held(&self.manifest).number_run();
                let writer = RunWriter::new(
                    table.id(),
                    self.hasher,
                    (number, level.saturating_add(1)),
                    (from, to),
                    records,
                );
                let records = Sorted::of_runs(&self.blocks, &inputs)?;
                merges.begun.push(Merge {
                    table: table.id(),
                    level,
                    inputs,
                    records,
                    writer,
                });
            }
        }
        Ok(())
    }

    fn finish_merge(&self, merge: Merge) -> Result<Vec<Arc<Run>>, IndexError> {
        let run = Arc::new(merge.writer.finish(&self.blocks)?);
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

    /// Removes values of runs that no look-up reads any more; returns how many.
    fn remove_retired(&self, merges: &mut Merges) -> Result<usize, IndexError> {
        let mut removed = 0;
        while removed < REMOVALS_PER_STEP {
            if merges.removal.is_none() {
                let unread = merges
                    .retired
                    .iter()
                    .position(|run| Arc::strong_count(run) == 1);
                merges.removal = unread.map(|at| Removal {
                    row: *merges.retired.swap_remove(at).row(),
                    section: Section::Records,
                    number: 0,
                });
            }
            let Some(removal) = &mut merges.removal else {
                break;
            };
            match removal.next() {
                Some(place) => {
                    self.blocks.remove(place)?;
                    removed += 1;
                }
                None => merges.removal = None,
            }
        }
        Ok(removed)
    }
}
