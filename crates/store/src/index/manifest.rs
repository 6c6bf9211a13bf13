//! The manifest: which runs live, and how much of the log they cover. One value, so it changes
//! whole or not at all.
//!
//! Little-endian: the log size covered (8), the hash of the last record covered (32), the next run
//! number (8), then 58 bytes a run: table (1), level (1), run (8), from (8), to (8), records (8),
//! blocks (4), fence values (4), filter values (4), checksum over fences and filter (4; the fences
//! hold the blocks' checksums), last key (8).

use bergulir_chain::{Hash, LogSize};

use super::IndexError;
use super::blocks::{Blocks, Body, Place, SEAL_BYTES};
use super::run::pieces;
use super::table::TableId;
use crate::log::Head;

#[cfg(test)]
mod fuzz_tests;

const ROW_BYTES: usize = 58;

/// What the manifest says of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RunRow {
    pub(super) table: TableId,
    /// How many merges deep; 0 comes straight from memory.
    pub(super) level: u8,
    /// Its number, never used twice.
    pub(super) run: u64,
    /// The stretch of the log that it covers: records `from` to `to`, exclusive.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) records: u64,
    pub(super) blocks: u32,
    pub(super) fence_values: u32,
    pub(super) filter_values: u32,
    pub(super) crc: u32,
    pub(super) last_key: u64,
}

impl RunRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.table as u8);
        out.push(self.level);
        for number in [self.run, self.from, self.to, self.records] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.blocks, self.fence_values, self.filter_values, self.crc] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.last_key.to_le_bytes());
    }

    fn read(bytes: &[u8; ROW_BYTES]) -> Option<Self> {
        let long = |at: usize| bytes[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let short = |at: usize| bytes[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        Some(Self {
            table: TableId::from_index(bytes[0])?,
            level: bytes[1],
            run: long(2)?,
            from: long(10)?,
            to: long(18)?,
            records: long(26)?,
            blocks: short(34)?,
            fence_values: short(38)?,
            filter_values: short(42)?,
            crc: short(46)?,
            last_key: long(50)?,
        })
    }
}

/// The live runs, per table from the oldest to the newest, and what they cover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The end of the log that the runs reach to.
    pub(super) applied: Head,
    next_run: u64,
    runs: Vec<RunRow>,
}

impl Manifest {
    /// A number for a new run. Garbage with a number given out before a crash is gone by then.
    pub(super) fn number_run(&mut self) -> u64 {
        let run = self.next_run;
        self.next_run += 1;
        run
    }

    pub(super) fn runs(&self, table: TableId) -> impl Iterator<Item = &RunRow> {
        self.runs.iter().filter(move |row| row.table == table)
    }

    pub(super) fn is_live(&self, run: u64) -> bool {
        self.runs.iter().any(|row| row.run == run)
    }

    /// Adds a run that is newer than all others of its table.
    pub(super) fn push(&mut self, row: RunRow) {
        self.runs.push(row);
    }

    /// Puts a run in the place of those that it was merged from.
    pub(super) fn replace(&mut self, old: &[u64], new: RunRow) {
        if let Some(first) = self.runs.iter_mut().find(|row| old.contains(&row.run)) {
            *first = new;
        }
        self.runs.retain(|row| !old.contains(&row.run));
    }

    /// Writes the manifest; durable on return.
    ///
    /// The blocks of new runs must have been flushed before.
    pub(super) fn store(&self, blocks: &Blocks) -> Result<(), IndexError> {
        blocks.root().put(Place::Manifest, &mut self.to_value())?;
        blocks.flush()
    }

    /// As it is stored, with room for the seal.
    fn to_value(&self) -> Vec<u8> {
        let mut value = vec![0; SEAL_BYTES];
        value.extend_from_slice(&self.applied.size.get().to_le_bytes());
        value.extend_from_slice(self.applied.hash.as_bytes());
        value.extend_from_slice(&self.next_run.to_le_bytes());
        self.runs.iter().for_each(|row| row.write(&mut value));
        value
    }

    /// Reads the manifest and checks that its runs can be what it says.
    pub(super) fn load(blocks: &Blocks) -> Result<Self, IndexError> {
        Self::read(&blocks.root().get(Place::Manifest)?)
    }

    fn read(body: &Body) -> Result<Self, IndexError> {
        let manifest = Self::parse(body)?;
        let applied = manifest.applied.size.get();
        for table in TableId::ALL {
            let mut reached = 0;
            for row in manifest.runs(table) {
                if row.from < reached || row.to <= row.from || row.to > applied {
                    return Err(IndexError::damaged(format!(
                        "run {} covers records {} to {}, after {reached} and of {applied}",
                        row.run, row.from, row.to
                    )));
                }
                reached = row.to;
            }
        }
        if manifest.runs.iter().any(|row| row.run >= manifest.next_run) {
            return Err(IndexError::damaged("a run has a number that was never given out"));
        }
        Ok(manifest)
    }

    fn parse(body: &Body) -> Result<Self, IndexError> {
        let short = || IndexError::damaged("the manifest is too short");
        let (size, rest) = body.split_first_chunk().ok_or_else(short)?;
        let (hash, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (next_run, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let runs = pieces(rest)?
            .iter()
            .map(|row| {
                RunRow::read(row).ok_or_else(|| IndexError::damaged("a run of an unknown table"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            applied: Head {
                size: LogSize::new(u64::from_le_bytes(*size)),
                hash: Hash::from_bytes(*hash),
            },
            next_run: u64::from_le_bytes(*next_run),
            runs,
        })
    }
}
