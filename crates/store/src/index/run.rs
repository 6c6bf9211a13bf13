//! A run: the sorted additions of a stretch of the log to one table, packed into blocks.
//!
//! In memory a run has one fence a block (its first key and position, and its checksum) and, for
//! tables that are asked for absent keys, a filter. Both are stored beside the blocks, so that
//! opening an index reads about a tenth of it and no block.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::IndexError;
use super::block::{Block, BlockBuilder, width_of};
use super::blocks::{Blocks, Kind, MAX_BODY_BYTES, Place, SEAL_BYTES, Section, Shelf, ShelfWriter};
use super::filter::{Filter, KeyHasher};
use super::manifest::RunRow;
use super::table::Direction;

const FENCE_BYTES: usize = 28;
const FENCES_PER_VALUE: usize = MAX_BODY_BYTES / FENCE_BYTES;

/// Where a block begins, and what its checksum must be.
#[derive(Clone, Copy, Debug)]
struct Fence {
    key: u128,
    position: u64,
    crc: u32,
}

impl Fence {
    fn to_bytes(self) -> [u8; FENCE_BYTES] {
        let mut bytes = [0; FENCE_BYTES];
        bytes[..16].copy_from_slice(&self.key.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.position.to_le_bytes());
        bytes[24..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; FENCE_BYTES]) -> Option<Self> {
        Some(Self {
            key: u128::from_be_bytes(*bytes.first_chunk()?),
            position: u64::from_le_bytes(*bytes[16..].first_chunk()?),
            crc: u32::from_le_bytes(*bytes.last_chunk()?),
        })
    }
}

/// A run that can be searched.
#[derive(Debug)]
pub(super) struct Run {
    row: RunRow,
    shelf: Shelf,
    fences: Vec<Fence>,
    filter: Option<Filter>,
}

impl Run {
    /// Reads the fences and the filter of a run that the manifest names.
    pub(super) fn load(blocks: &Blocks, row: RunRow) -> Result<Self, IndexError> {
        let shelf = blocks.shelf(Kind::Run, row.run)?;
        let mut crc = crc32fast::Hasher::new();
        let mut read = |section, count: u32| -> Result<Vec<u8>, IndexError> {
            let mut bytes = Vec::new();
            for number in 0..count {
                bytes.extend_from_slice(&shelf.get(Place::Part(section, number))?);
            }
            crc.update(&bytes);
            Ok(bytes)
        };
        let fences = read(Section::Fences, row.fence_values)?;
        let filter = read(Section::Filter, row.filter_values)?;
        let (fences, rest) = fences.as_chunks();
        if crc.finalize() != row.crc || fences.len() != row.blocks as usize || !rest.is_empty() {
            return Err(IndexError::damaged(format!("run {} is not what was written", row.run)));
        }
        Ok(Self {
            row,
            shelf,
            fences: fences.iter().filter_map(Fence::from_bytes).collect(),
            filter: if filter.is_empty() { None } else { Some(Filter::from_bytes(&filter)?) },
        })
    }

    /// What the manifest says of this run.
    pub(super) const fn row(&self) -> &RunRow {
        &self.row
    }

    /// False if the run surely holds no record of this key. Touches memory only.
    pub(super) fn may_hold(&self, key: u128, hash: u64) -> bool {
        self.fences.first().is_some_and(|first| first.key <= key)
            && key <= self.row.last_key
            && self.filter.as_ref().is_none_or(|filter| filter.may_hold(hash))
    }

    /// True if the run covers a position of this range.
    pub(super) const fn overlaps(&self, positions: &Range<u64>) -> bool {
        self.row.from < positions.end && positions.start < self.row.to
    }

    /// Shows the records of one key in a range of positions, until told to stop.
    pub(super) fn visit(
        &self,
        key: u128,
        positions: &Range<u64>,
        direction: Direction,
        mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, IndexError> {
        let begins_before = |bound: u64, or_at: bool| {
            self.fences.partition_point(|fence| {
                let begin = (fence.key, fence.position);
                begin < (key, bound) || (or_at && begin == (key, bound))
            })
        };
        // The last block that begins at or before the range may reach into it.
        let first = begins_before(positions.start, true).saturating_sub(1);
        let end = begins_before(positions.end, false);
        let mut show = |number: usize| -> Result<ControlFlow<()>, IndexError> {
            let block = self.block(number)?;
            let records =
                block.lower_bound(key, positions.start)..block.lower_bound(key, positions.end);
            Ok(direction.over(records, |record| visit(block.position(record), block.value(record))))
        };
        let mut numbers = first..end;
        while let Some(number) = direction.next(&mut numbers) {
            if show(number)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The memory that the run takes while it is open, in bytes.
    pub(super) fn resident_bytes(&self) -> usize {
        self.fences.len() * size_of::<Fence>() + self.filter.as_ref().map_or(0, Filter::bytes)
    }

    fn block(&self, number: usize) -> Result<Block, IndexError> {
        let block = Block::parse(self.shelf.get(block_place(number))?)?;
        // A right block of another time is as wrong as a broken one.
        if block.crc() != self.fences[number].crc {
            return Err(IndexError::damaged(format!(
                "block {number} of run {} is not the one that was written",
                self.row.run
            )));
        }
        Ok(block)
    }

    /// Removes one value, or changes one of its bytes, as a bad disk would.
    #[cfg(test)]
    pub(super) const fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

/// Values are numbered with 32 bits: a run would need 30 TB to run out of them.
fn block_place(number: usize) -> Place {
    let number = u32::try_from(number).expect("a run has fewer than 2^32 blocks");
    Place::Part(Section::Records, number)
}

/// Writes a run, block by block, from sorted records.
#[derive(Debug)]
pub(super) struct RunWriter {
    row: RunRow,
    shelf: ShelfWriter,
    hasher: KeyHasher,
    width: usize,
    builder: BlockBuilder,
    fences: Vec<Fence>,
    filter: Option<Filter>,
}

impl RunWriter {
    /// Begins the run that this row tells table, number, level and stretch of the log of. It will
    /// hold at most `records` records.
    pub(super) fn begin(
        blocks: &Blocks,
        hasher: KeyHasher,
        row: RunRow,
        records: u64,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            row,
            shelf: ShelfWriter::new(blocks.shelf(Kind::Run, row.run)?),
            hasher,
            width: width_of(row.to.saturating_sub(row.from)),
            builder: BlockBuilder::default(),
            fences: Vec::new(),
            filter: row.table.is_filtered().then(|| Filter::for_keys(records)),
        })
    }

    /// The number of blocks written.
    pub(super) fn blocks(&self) -> usize {
        self.fences.len()
    }

    /// Adds the next record in order.
    pub(super) fn push(
        &mut self,
        key: u128,
        position: u64,
        value: &[u8],
    ) -> Result<(), IndexError> {
        if !self.builder.fits(key, value, self.width) {
            self.write_block()?;
        }
        self.builder.push(key, position, value);
        if let Some(filter) = &mut self.filter {
            filter.insert(self.hasher.hash(key));
        }
        self.row.records += 1;
        self.row.last_key = key;
        Ok(())
    }

    /// Writes what is left and the fences and filter. Nothing of it counts before the manifest
    /// names the run.
    pub(super) fn finish(mut self) -> Result<Run, IndexError> {
        if !self.builder.is_empty() {
            self.write_block()?;
        }
        let mut crc = crc32fast::Hasher::new();
        let mut write = |section, bytes: &[u8], piece: usize| -> Result<u32, IndexError> {
            crc.update(bytes);
            for piece in bytes.chunks(piece) {
                let mut value = vec![0; SEAL_BYTES];
                value.extend_from_slice(piece);
                self.shelf.push(section, value)?;
            }
            Ok(self.shelf.count(section))
        };
        let fences = self.fences.iter().copied();
        let fences: Vec<u8> = fences.flat_map(Fence::to_bytes).collect();
        self.row.fence_values = write(Section::Fences, &fences, FENCES_PER_VALUE * FENCE_BYTES)?;
        let filter = self.filter.as_ref().map_or_else(Vec::new, Filter::to_bytes);
        self.row.filter_values = write(Section::Filter, &filter, MAX_BODY_BYTES)?;
        self.row.crc = crc.finalize();
        self.row.blocks = self.shelf.count(Section::Records);
        Ok(Run {
            row: self.row,
            shelf: self.shelf.finish(),
            fences: self.fences,
            filter: self.filter,
        })
    }

    fn write_block(&mut self) -> Result<(), IndexError> {
        let Some((key, position)) = self.builder.first() else {
            return Ok(());
        };
        let crc = self.shelf.push(Section::Records, self.builder.finish())?;
        self.fences.push(Fence { key, position, crc });
        Ok(())
    }
}

/// Reads a run from its first record to its last, one block in memory.
#[derive(Debug)]
pub(super) struct RunCursor {
    run: Arc<Run>,
    block: Option<Block>,
    next_block: usize,
    record: usize,
    read: u64,
}

impl RunCursor {
    pub(super) fn new(run: Arc<Run>) -> Result<Self, IndexError> {
        let mut cursor = Self { run, block: None, next_block: 0, record: 0, read: 0 };
        cursor.load()?;
        Ok(cursor)
    }

    /// Key and position of the record that the cursor is at, or `None` past the last.
    pub(super) fn at(&self) -> Option<(u128, u64)> {
        self.block.as_ref().map(|block| (block.key(self.record), block.position(self.record)))
    }

    /// The value of the record that the cursor is at.
    pub(super) fn value(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |block| block.value(self.record))
    }

    pub(super) fn advance(&mut self) -> Result<(), IndexError> {
        self.record += 1;
        self.read += 1;
        if self.block.as_ref().is_some_and(|block| self.record >= block.len()) {
            self.load()?;
        }
        Ok(())
    }

    fn load(&mut self) -> Result<(), IndexError> {
        self.record = 0;
        self.block = None;
        if self.next_block < self.run.fences.len() {
            self.block = Some(self.run.block(self.next_block)?);
            self.next_block += 1;
        } else if self.read != self.run.row.records {
            return Err(IndexError::damaged(format!(
                "run {} holds {} records instead of {}",
                self.run.row.run, self.read, self.run.row.records
            )));
        }
        Ok(())
    }
}

/// The body of a value cut into whole pieces of a fixed size.
pub(super) fn pieces<const BYTES: usize>(body: &[u8]) -> Result<&[[u8; BYTES]], IndexError> {
    match body.as_chunks() {
        (pieces, []) => Ok(pieces),
        _ => Err(IndexError::damaged("a list does not add up")),
    }
}
