//! The tiles of the tree over the log's records, but those of the records themselves: its stored
//! hashes, from which proofs are made.
//!
//! Level 0 would be 32 incompressible bytes a record, a third of the index, and says nothing that the
//! log does not: whoever wants it hashes 256 records. All that is kept is an eighth of a byte a record.
//!
//! A tile of 256 hashes is longer than a value may be, so a value is a row of 128: half a tile.
//! Full rows never change. The last row of a level is written again whenever the index is written
//! out, longer than before, in the place where it was: whichever of the two a crash leaves there,
//! it begins with the hashes that the manifest's log size asks for, since all of them are hashes of
//! one log.

use std::num::NonZero;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bergulir_chain::tiles::{FULL_WIDTH, HASH_BYTES, LEVELS, TILE_HEIGHT, Tile};
use bergulir_chain::{Hash, LogSize};
use sha2::{Digest, Sha256};

use super::blocks::{Blocks, Kind, Place, Section, Shelf, ShelfWriter};
use super::key_block::begin_value;
use super::run::pieces;
use super::{Index, IndexError};
use crate::log::Head;

/// The hashes of a full row.
const ROW_HASHES: u64 = 128;

/// The number of levels of tiles that are kept.
pub(super) const KEPT_LEVELS: usize = LEVELS as usize - 1;

/// The levels of tiles that are kept: all above that of the records.
pub(super) const fn kept_levels() -> Range<u8> {
    1..LEVELS
}

/// The place of a level among those that are kept.
const fn place_of_level(level: u8) -> usize {
    level as usize - 1
}

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

/// All levels of the tiles that are kept.
#[derive(Debug)]
pub(super) struct TileRows {
    shelf: Shelf,
    levels: RwLock<[Level; KEPT_LEVELS]>,
}

impl TileRows {
    /// The rows of an index that stands at this log size, and what will write more of them.
    pub(super) fn load(
        blocks: &Blocks,
        applied: LogSize,
    ) -> Result<(Self, ShelfWriter), IndexError> {
        let shelf = blocks.shelf(Kind::Tiles, 0)?;
        let mut writer = ShelfWriter::new(blocks.shelf(Kind::Tiles, 0)?);
        let mut levels: [Level; KEPT_LEVELS] = Default::default();
        for (number, level) in kept_levels().zip(&mut levels) {
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
    pub(super) fn add(&self, hashes: &[Vec<Hash>; KEPT_LEVELS]) {
        for (level, added) in self.write_lock().iter_mut().zip(hashes) {
            level.hashes.extend_from_slice(added);
        }
    }

    /// Writes the rows of the first `to` records that are in memory only; says how many.
    pub(super) fn write(&self, writer: &mut ShelfWriter, to: LogSize) -> Result<usize, IndexError> {
        let mut rows = 0;
        let mut value = Vec::new();
        for number in kept_levels() {
            let end = hashes_of(to, number);
            let (mut first, written) = {
                let level = &self.read_lock()[place_of_level(number)];
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
                if let Some(hashes) = self.read_lock()[place_of_level(number)].hashes(&range) {
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
        for (number, level) in kept_levels().zip(self.write_lock().iter_mut()) {
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
            let in_memory = self.read_lock()[place_of_level(level)]
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

    /// Puts a log that ends so into a digest: its head, and what is kept of its tree, level by level.
    pub(super) fn digest(&self, head: Head, hasher: &mut Sha256) -> Result<(), IndexError> {
        hasher.update(head.size.get().to_be_bytes());
        hasher.update(head.hash.as_bytes());
        let mut bytes = Vec::new();
        for level in kept_levels() {
            let end = hashes_of(head.size, level);
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

    fn read_lock(&self) -> RwLockReadGuard<'_, [Level; KEPT_LEVELS]> {
        self.levels.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, [Level; KEPT_LEVELS]> {
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
    u32::try_from(row).expect("2^47 records are more than a log can hold")
}

impl Index {
    /// The bytes of a tile of the tree over the records that are indexed: of every size up to
    /// [`applied`](Self::applied), a partial tile being the beginning of what there is of it. Of
    /// level 0 there is none to ask for: its hashes are those of the records in the log.
    ///
    /// Fails with [`NoTile`](IndexError::NoTile) if no such size has the tile.
    pub fn tile(&self, level: NonZero<u8>, index: u64, width: u16) -> Result<Vec<u8>, IndexError> {
        let (level, applied) = (level.get(), self.applied());
        let tile = Tile { level, index, width };
        if !tile.is_in(applied.get()) {
            return Err(IndexError::NoTile { tile, applied });
        }
        let (first, hashes) = (index * u64::from(FULL_WIDTH), u64::from(width));
        let mut bytes = Vec::with_capacity(usize::from(width) * HASH_BYTES);
        self.tile_rows.read(level, first..first + hashes, &mut bytes)?;
        Ok(bytes)
    }
}
