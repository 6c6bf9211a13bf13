//! The tiles of the tree over the log's records: its stored hashes, from which proofs are made.
//!
//! A tile of 256 hashes is longer than a value may be, so a value is a row of 128: half a tile.
//! Full rows never change. The last row of a level is written again whenever the index is written
//! out, longer than before, in the place where it was: whichever of the two a crash leaves there,
//! it begins with the hashes that the manifest's log size asks for, since all of them are hashes of
//! one log.

use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bergulir_chain::tiles::{FULL_WIDTH, HASH_BYTES, LEVELS, TILE_HEIGHT, Tile, TileSource};
use bergulir_chain::{Hash, LogSize};
use sha2::{Digest, Sha256};

use super::blocks::{Blocks, Kind, Place, Section, Shelf, ShelfWriter};
use super::key_block::begin_value;
use super::run::pieces;
use super::{Index, IndexError};

/// The hashes of a full row.
const ROW_HASHES: u64 = 128;

/// One level of the tiles: its newest hashes, older rows being on the shelf alone.
#[derive(Clone, Debug, Default)]
struct Level {
    /// The number of the first hash in memory, a multiple of [`ROW_HASHES`].
    first: u64,
    hashes: Vec<Hash>,
    /// How many hashes of the level are on the shelf.
    written: u64,
}

impl Level {
    /// The hashes with these numbers, if they are in memory.
    fn hashes(&self, numbers: &Range<u64>) -> Option<&[Hash]> {
        let at = |number: u64| usize::try_from(number.checked_sub(self.first)?).ok();
        self.hashes.get(at(numbers.start)?..at(numbers.end)?)
    }
}

/// All levels of the tiles.
#[derive(Debug)]
pub(super) struct TileRows {
    shelf: Shelf,
    levels: RwLock<[Level; LEVELS as usize]>,
}

impl TileRows {
    /// The rows of an index that stands at this log size, and what will write more of them.
    pub(super) fn load(
        blocks: &Blocks,
        applied: LogSize,
    ) -> Result<(Self, ShelfWriter), IndexError> {
        let shelf = blocks.shelf(Kind::Tiles, 0)?;
        let mut writer = ShelfWriter::new(blocks.shelf(Kind::Tiles, 0)?);
        let mut levels: [Level; LEVELS as usize] = Default::default();
        for (number, level) in (0..LEVELS).zip(&mut levels) {
            let written = hashes_of(applied, number);
            let row = written / ROW_HASHES;
            let first = row * ROW_HASHES;
            let hashes = read_row(&shelf, number, row, 0..written - first)?;
            *level = Level { first, hashes, written };
            writer.go_on_at(Section::Tiles(number), place_of(row));
        }
        Ok((Self { shelf, levels: RwLock::new(levels) }, writer))
    }

    /// Takes on what a batch adds to each level.
    pub(super) fn add(&self, hashes: &[Vec<Hash>; LEVELS as usize]) {
        for (level, added) in self.write_lock().iter_mut().zip(hashes) {
            level.hashes.extend_from_slice(added);
        }
    }

    /// Writes the rows of the first `to` records that are in memory only; says how many.
    pub(super) fn write(&self, writer: &mut ShelfWriter, to: LogSize) -> Result<usize, IndexError> {
        let mut rows = 0;
        let mut value = Vec::new();
        for number in 0..LEVELS {
            let end = hashes_of(to, number);
            let (mut first, written) = {
                let level = &self.read_lock()[usize::from(number)];
                (level.first, level.written)
            };
            if end <= written {
                continue;
            }
            writer.go_on_at(Section::Tiles(number), place_of(first / ROW_HASHES));
            while first < end {
                begin_value(&mut value);
                let range = first..end.min(first + ROW_HASHES);
                // Only whoever writes takes hashes out of memory, and that is done afterwards.
                if let Some(hashes) = self.read_lock()[usize::from(number)].hashes(&range) {
                    put(hashes, &mut value);
                }
                writer.push(Section::Tiles(number), &mut value)?;
                first = range.end;
                rows += 1;
            }
        }
        Ok(rows)
    }

    /// The rows of the first `to` records are on stable storage: the full ones leave the memory.
    pub(super) fn forget(&self, to: LogSize) {
        for (number, level) in (0..LEVELS).zip(self.write_lock().iter_mut()) {
            level.written = level.written.max(hashes_of(to, number));
            let first = level.written / ROW_HASHES * ROW_HASHES;
            let full = usize::try_from(first - level.first).unwrap_or(usize::MAX);
            level.hashes.drain(..full.min(level.hashes.len()));
            level.first = first;
        }
    }

    /// Adds the bytes of hashes of a level. They must have been added.
    fn read(&self, level: u8, numbers: Range<u64>, out: &mut Vec<u8>) -> Result<(), IndexError> {
        let mut first = numbers.start;
        while first < numbers.end {
            let row = first / ROW_HASHES;
            let range = first..numbers.end.min((row + 1) * ROW_HASHES);
            let in_memory = self.read_lock()[usize::from(level)]
                .hashes(&range)
                .map(|hashes| put(hashes, out))
                .is_some();
            if !in_memory {
                let before = row * ROW_HASHES;
                let within = range.start - before..range.end - before;
                put(&read_row(&self.shelf, level, row, within)?, out);
            }
            first = range.end;
        }
        Ok(())
    }

    /// Puts the hashes of a log of `size` records into a digest, level by level.
    pub(super) fn digest(&self, size: LogSize, hasher: &mut Sha256) -> Result<(), IndexError> {
        let mut bytes = Vec::new();
        for level in 0..LEVELS {
            let end = hashes_of(size, level);
            hasher.update(end.to_be_bytes());
            let mut first = 0;
            while first < end {
                let next = end.min(first + ROW_HASHES);
                bytes.clear();
                self.read(level, first..next, &mut bytes)?;
                hasher.update(&bytes);
                first = next;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, [Level; LEVELS as usize]> {
        self.levels.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, [Level; LEVELS as usize]> {
        self.levels.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(hashes: &[Hash], out: &mut Vec<u8>) {
    for hash in hashes {
        out.extend_from_slice(hash.as_bytes());
    }
}

/// The hashes of a stored row from one number within it to another.
fn read_row(
    shelf: &Shelf,
    level: u8,
    row: u64,
    within: Range<u64>,
) -> Result<Vec<Hash>, IndexError> {
    if within.is_empty() {
        return Ok(Vec::new());
    }
    let body = shelf.get(Place::Part(Section::Tiles(level), place_of(row)))?;
    let hashes = pieces::<HASH_BYTES>(&body)?;
    let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let hashes = hashes.get(at(within.start)..at(within.end)).ok_or_else(|| {
        IndexError::damaged(format!("row {row} of the tiles of level {level} is too short"))
    })?;
    Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
}

/// The number of hashes that the tiles of a level have together.
const fn hashes_of(size: LogSize, level: u8) -> u64 {
    size.get() >> (level * TILE_HEIGHT)
}

fn place_of(row: u64) -> u32 {
    u32::try_from(row).expect("the hashes of 2^39 records would take 17 TB")
}

/// The tiles of every log size up to [`Index::applied`]: see [`Index::tiles`].
#[derive(Clone, Copy, Debug)]
pub struct Tiles<'a> {
    index: &'a Index,
}

impl TileSource for Tiles<'_> {
    type Error = IndexError;

    /// A partial tile is the beginning of what the index has of it.
    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, IndexError> {
        let applied = self.index.applied();
        let absent = || IndexError::NoTile { tile, applied };
        let first = tile.index.checked_mul(u64::from(FULL_WIDTH)).ok_or_else(absent)?;
        let end = first.checked_add(u64::from(tile.width)).ok_or_else(absent)?;
        if tile.level >= LEVELS
            || !(1..=FULL_WIDTH).contains(&tile.width)
            || end > hashes_of(applied, tile.level)
        {
            return Err(absent());
        }
        let mut bytes = Vec::with_capacity(usize::from(tile.width) * HASH_BYTES);
        self.index.tile_rows.read(tile.level, first..end, &mut bytes)?;
        Ok(bytes)
    }
}

impl Index {
    /// The tiles of the tree over the records that are indexed: of every size up to
    /// [`applied`](Self::applied).
    pub const fn tiles(&self) -> Tiles<'_> {
        Tiles { index: self }
    }
}
