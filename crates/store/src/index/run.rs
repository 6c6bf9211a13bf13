//! A run: the sorted additions of a stretch of the log to one table, packed into blocks.
//!
//! In memory a run has one fence a block (its first key and position, and its checksum) and, for
//! tables that are asked for absent keys, a filter. Both are stored beside the blocks, so that
//! opening an index reads about a tenth of it and no block.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::IndexError;
use super::block::{BlockBuilder, Records};
use super::blocks::{Blocks, Body, Kind, MAX_BODY_BYTES, Place, Section, Shelf, ShelfWriter};
use super::columns::{Columns, Row};
use super::filter::{Filter, FilterBuilder, Probe};
use super::key_block::{KeyBlock, KeyBlockBuilder, begin_value};
use super::manifest::RunRow;
use super::numbers::MAX_NUMBERS;
use super::table::{Direction, TableId};
use super::trail_block::{TrailBlockBuilder, TrailLines};

const FENCE_BYTES: usize = 20;
const FENCES_PER_VALUE: usize = MAX_BODY_BYTES / FENCE_BYTES;

/// Where a block begins, and what its checksum must be: little-endian bytes, as they are stored. There is
/// one for each block of an index, and as numbers they would take a fifth more.
#[derive(Clone, Copy, Debug)]
struct Fence {
    key: [u8; 8],
    position: [u8; 8],
    crc: [u8; 4],
}

const _: () = assert!(size_of::<Fence>() == FENCE_BYTES);

impl Fence {
    fn new((key, position): (u64, u64), crc: u32) -> Self {
        Self { key: key.to_le_bytes(), position: position.to_le_bytes(), crc: crc.to_le_bytes() }
    }

    /// The first key of the block, and its position.
    fn begin(&self) -> (u64, u64) {
        (u64::from_le_bytes(self.key), u64::from_le_bytes(self.position))
    }

    fn crc(&self) -> u32 {
        u32::from_le_bytes(self.crc)
    }

    fn to_bytes(self) -> [u8; FENCE_BYTES] {
        let mut bytes = [0; FENCE_BYTES];
        bytes[..8].copy_from_slice(&self.key);
        bytes[8..16].copy_from_slice(&self.position);
        bytes[16..].copy_from_slice(&self.crc);
        bytes
    }

    fn from_bytes(bytes: &[u8; FENCE_BYTES]) -> Option<Self> {
        Some(Self {
            key: *bytes.first_chunk()?,
            position: *bytes[8..].first_chunk()?,
            crc: *bytes.last_chunk()?,
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
        let shelf = blocks.shelf(Kind::Run, row.run)?.spaced(row.table.spacing());
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
            filter: if filter.is_empty() {
                None
            } else {
                Some(Filter::from_bytes(&filter, row.records)?)
            },
        })
    }

    /// What the manifest says of this run.
    pub(super) const fn row(&self) -> &RunRow {
        &self.row
    }

    /// False if the run surely holds no record of this key. Touches memory only.
    #[inline]
    pub(super) fn may_hold(&self, probe: &Probe) -> bool {
        match &self.filter {
            Some(filter) => filter.may_hold(probe),
            None => {
                self.fences.first().is_some_and(|first| first.begin().0 <= probe.key)
                    && probe.key <= self.row.last_key
            }
        }
    }

    /// Reads what [`may_hold`](Self::may_hold) is going to read for these keys.
    pub(super) fn look_ahead(&self, probes: &[Probe]) {
        if let Some(filter) = &self.filter {
            filter.look_ahead(probes);
        }
    }

    /// True if the run covers a position of this range.
    pub(super) const fn overlaps(&self, positions: &Range<u64>) -> bool {
        self.row.from < positions.end && positions.start < self.row.to
    }

    /// The blocks that may hold records of one key in a range of positions.
    fn blocks_of(&self, key: u64, positions: &Range<u64>) -> Range<usize> {
        let begins_before = |bound: u64, or_at: bool| {
            self.fences.partition_point(|fence| {
                let begin = fence.begin();
                begin < (key, bound) || (or_at && begin == (key, bound))
            })
        };
        // The last block that begins at or before the range may reach into it.
        let first = begins_before(positions.start, true).saturating_sub(1);
        first..begins_before(positions.end, false)
    }

    /// Shows the positions of keys of ids, each with the place of its key among those that are
    /// asked about, which ascend.
    pub(super) fn positions_of(
        &self,
        keys: impl Iterator<Item = u64>,
        mut show: impl FnMut(usize, u64),
    ) -> Result<(), IndexError> {
        let mut last: Option<(usize, KeyBlock)> = None;
        for (place, key) in keys.enumerate() {
            for number in self.blocks_of(key, &(0..u64::MAX)) {
                let block = match last.take() {
                    Some((at, block)) if at == number => block,
                    Some(_) | None => KeyBlock::parse(self.block(number)?, self.row.from)?,
                };
                let records = block.lower_bound(key, 0)..block.len();
                let of_key = records.take_while(|record| block.key(*record) == key);
                of_key.for_each(|record| show(place, block.position(record)));
                last = Some((number, block));
            }
        }
        Ok(())
    }

    /// Shows the lines of one key in a range of positions, until told to stop.
    pub(super) fn visit(
        &self,
        key: u64,
        positions: &Range<u64>,
        direction: Direction,
        mut visit: impl FnMut(u64, Row<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, IndexError> {
        let mut numbers = self.blocks_of(key, positions);
        let mut within = Columns::default();
        let mut numbers_of_line = [0; MAX_NUMBERS];
        while let Some(number) = direction.next(&mut numbers) {
            let mut lines = TrailLines::of(self.block(number)?)?;
            within.clear();
            let mut there = lines.next_from(key)?;
            while there && lines.at() < (key, positions.end) {
                if lines.at().1 >= positions.start {
                    // All are lines of one owner.
                    within.push_row(0, lines.at().1, lines.row());
                }
                there = lines.next()?;
            }
            let shown = direction.over(0..within.len(), |line| {
                let start = within.starts()[line];
                visit(within.position(start), within.row(start, &mut numbers_of_line))
            });
            if shown.is_break() {
                return Ok(shown);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The memory that the run takes while it is open, in bytes.
    pub(super) fn resident_bytes(&self) -> usize {
        self.fences.len() * size_of::<Fence>() + self.filter.as_ref().map_or(0, Filter::bytes)
    }

    fn block(&self, number: usize) -> Result<Body, IndexError> {
        let body = self.shelf.get(block_place(number))?;
        // A right block of another time is as wrong as a broken one.
        if body.crc() != self.fences[number].crc() {
            return Err(IndexError::damaged(format!(
                "block {number} of run {} is not the one that was written",
                self.row.run
            )));
        }
        Ok(body)
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
    builder: BlockBuilder,
    value: Vec<u8>,
    fences: Vec<Fence>,
    filter: Option<FilterBuilder>,
}

impl RunWriter {
    /// Begins the run that this row tells table, number, level and stretch of the log of. It will
    /// hold at most `records` records.
    pub(super) fn begin(blocks: &Blocks, row: RunRow, records: u64) -> Result<Self, IndexError> {
        let builder = match row.table {
            TableId::Trails => BlockBuilder::Trails(Box::new(TrailBlockBuilder::new(row.from))),
            _ => BlockBuilder::Keys(KeyBlockBuilder::new(row.from, row.to)),
        };
        let shelf = blocks.shelf(Kind::Run, row.run)?.spaced(row.table.spacing());
        Ok(Self {
            row,
            shelf: ShelfWriter::new(shelf),
            builder,
            value: Vec::with_capacity(MAX_BODY_BYTES),
            fences: Vec::new(),
            filter: row.table.is_filtered().then(|| FilterBuilder::for_keys(records)),
        })
    }

    /// The number of blocks written.
    pub(super) fn blocks(&self) -> usize {
        self.fences.len()
    }

    /// Adds the next record in order.
    #[inline]
    pub(super) fn push(&mut self, key: u64, position: u64, row: Row<'_>) -> Result<(), IndexError> {
        if !self.builder.push(key, position, row) {
            self.write_block()?;
            let fits = self.builder.push(key, position, row);
            debug_assert!(fits, "an empty block has room for any record");
        }
        if let Some(filter) = &mut self.filter {
            filter.push(key);
        }
        self.row.records += 1;
        self.row.last_key = key;
        Ok(())
    }

    /// Adds a whole block of another run, all of whose records come next in order; the last of them
    /// has this key.
    pub(super) fn push_block(&mut self, block: &WholeBlock<'_>) -> Result<(), IndexError> {
        self.write_block()?;
        begin_value(&mut self.value);
        self.value.extend_from_slice(block.body);
        let crc = self.shelf.push(Section::Records, &mut self.value)?;
        self.fences.push(Fence::new(block.first, crc));
        self.row.records += u64::from(block.records);
        self.row.last_key = block.last_key;
        Ok(())
    }

    /// Writes what is left and the fences and filter. Nothing of it counts before the manifest
    /// names the run.
    pub(super) fn finish(mut self) -> Result<Run, IndexError> {
        self.write_block()?;
        let mut crc = crc32fast::Hasher::new();
        let mut write = |section, bytes: &[u8], piece: usize| -> Result<u32, IndexError> {
            crc.update(bytes);
            for piece in bytes.chunks(piece) {
                begin_value(&mut self.value);
                self.value.extend_from_slice(piece);
                self.shelf.push(section, &mut self.value)?;
            }
            Ok(self.shelf.count(section))
        };
        let fences = self.fences.iter().copied();
        let fences: Vec<u8> = fences.flat_map(Fence::to_bytes).collect();
        self.row.fence_values = write(Section::Fences, &fences, FENCES_PER_VALUE * FENCE_BYTES)?;
        let filter = self.filter.map(FilterBuilder::finish);
        let bytes = filter.as_ref().map_or_else(Vec::new, Filter::to_bytes);
        self.row.filter_values = write(Section::Filter, &bytes, MAX_BODY_BYTES)?;
        self.row.crc = crc.finalize();
        self.row.blocks = self.shelf.count(Section::Records);
        self.fences.shrink_to_fit();
        Ok(Run { row: self.row, shelf: self.shelf.finish(), fences: self.fences, filter })
    }

    fn write_block(&mut self) -> Result<(), IndexError> {
        let Some(first) = self.builder.first() else {
            return Ok(());
        };
        self.builder.finish(&mut self.value);
        let crc = self.shelf.push(Section::Records, &mut self.value)?;
        self.fences.push(Fence::new(first, crc));
        Ok(())
    }
}

/// A block that a merge takes over as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeBlock<'a> {
    body: &'a Body,
    records: u16,
    first: (u64, u64),
    /// Not below the key of the last record.
    pub(super) last_key: u64,
}

/// A block of fewer bytes is not taken over: small ones would become more and more.
const LEAST_WHOLE: usize = MAX_BODY_BYTES / 2;

/// Reads a run from its first record to its last, one block in memory.
#[derive(Debug)]
pub(super) struct RunCursor {
    run: Arc<Run>,
    records: Option<Records>,
    next_block: usize,
    read: u64,
}

impl RunCursor {
    pub(super) fn new(run: Arc<Run>) -> Result<Self, IndexError> {
        let mut cursor = Self { run, records: None, next_block: 0, read: 0 };
        cursor.load()?;
        Ok(cursor)
    }

    /// Key and position of the record that the cursor is at, or `None` past the last.
    #[inline]
    pub(super) fn at(&self) -> Option<(u64, u64)> {
        self.records.as_ref().map(Records::at)
    }

    /// The row of the record that the cursor is at.
    #[inline]
    pub(super) fn row(&self) -> Row<'_> {
        self.records.as_ref().map_or(Row::EMPTY, Records::row)
    }

    /// The block that the cursor is at the beginning of, if a merge could take it over.
    #[inline]
    pub(super) fn whole_block(&self) -> Option<WholeBlock<'_>> {
        let records = self.records.as_ref()?;
        let (body, count) = records.whole()?;
        // Where the next block begins no key of this one is above.
        let next = self.run.fences.get(self.next_block);
        let last_key = next.map_or(self.run.row.last_key, |next| next.begin().0);
        let whole = WholeBlock { body, records: count, first: records.at(), last_key };
        (body.len() >= LEAST_WHOLE).then_some(whole)
    }

    /// Goes past the block.
    pub(super) fn advance_block(&mut self) -> Result<(), IndexError> {
        let whole = self.records.as_ref().and_then(Records::whole);
        self.read += whole.map_or(0, |(_, records)| u64::from(records));
        self.load()
    }

    #[inline]
    pub(super) fn advance(&mut self) -> Result<(), IndexError> {
        self.read += 1;
        if let Some(records) = &mut self.records
            && !records.next()?
        {
            self.load()?;
        }
        Ok(())
    }

    fn load(&mut self) -> Result<(), IndexError> {
        self.records = None;
        let row = self.run.row;
        if self.next_block < self.run.fences.len() {
            let body = self.run.block(self.next_block)?;
            self.records = Some(Records::of(body, row.from, row.table == TableId::Trails)?);
            self.next_block += 1;
        } else if self.read != row.records {
            return Err(IndexError::damaged(format!(
                "run {} holds {} records instead of {}",
                row.run, self.read, row.records
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
