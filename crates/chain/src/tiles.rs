//! A log as static files, after C2SP `tlog-tiles`: where its hashes and records lie.
//!
//! A tile is a row of up to 256 hashes: at level 0 of leaves, at each level above of the full tiles
//! of the level below. A bundle holds the records of a level-0 tile. Full ones never change; the
//! last ones of a size are partial, and have their width in their name.

mod hashes;
mod path;

use alloc::vec::Vec;

use thiserror::Error;

pub use hashes::{TileError, TileHashes, TileSource};
pub use path::{CHECKPOINT_PATH, PathError, Resource};

use crate::body::RecordSlices;
use crate::merkle::{HashSource, Subtree};

/// Hashes in a full tile, and records in a full bundle.
pub const FULL_WIDTH: u16 = 256;

/// Levels of the tree that one level of tiles spans: a full tile is a subtree of this height.
pub const TILE_HEIGHT: u8 = 8;

/// The levels of tiles of the largest log. The specification lets a path name 64; tiles of the
/// others would be empty.
pub const LEVELS: u8 = 8;

/// Bytes of a hash in a tile.
pub const HASH_BYTES: usize = 32;

/// A row of hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// From 0 to 7. Level 0 has the leaves; a hash of level `l` is the root over `256^l` of them.
    pub level: u8,
    /// The place among the tiles of its level, from 0.
    pub index: u64,
    /// How many hashes it has, 1 to 256.
    pub width: u16,
}

impl Tile {
    /// Which hash of the tile has this place among the hashes of its level, if it is of the tile.
    pub fn column(&self, hash: u64) -> Option<usize> {
        let column = hash.checked_sub(self.index * u64::from(FULL_WIDTH))?;
        if column < u64::from(self.width) { usize::try_from(column).ok() } else { None }
    }

    /// True if it has all 256 hashes.
    pub const fn is_full(&self) -> bool {
        self.width == FULL_WIDTH
    }

    /// True if a tree of `size` leaves has all its hashes.
    pub fn is_in(&self, size: u64) -> bool {
        let first = self.index.checked_mul(u64::from(FULL_WIDTH));
        let end = first.and_then(|first| first.checked_add(u64::from(self.width)));
        (1..=FULL_WIDTH).contains(&self.width)
            && end.is_some_and(|end| end <= hashes_of_level(size, self.level))
    }

    /// The tile with this place in a tree of `size` leaves, partial if it is the last of its level;
    /// `None` if the tree has none there.
    pub fn of_tree(size: u64, level: u8, index: u64) -> Option<Self> {
        let hashes = hashes_of_level(size, level);
        let before = index.checked_mul(u64::from(FULL_WIDTH))?;
        let width = hashes.checked_sub(before)?.min(u64::from(FULL_WIDTH));
        let width = u16::try_from(width).expect("at most 256");
        (width > 0).then_some(Self { level, index, width })
    }

    /// The subtrees whose roots the tile has, in order.
    pub fn subtrees(&self) -> impl Iterator<Item = Subtree> + use<> {
        let (level, first) = (self.level * TILE_HEIGHT, self.index * u64::from(FULL_WIDTH));
        (0..u64::from(self.width)).map(move |column| Subtree { level, index: first + column })
    }

    /// The bytes of the tile: its hashes, one after another.
    ///
    /// # Errors
    /// Those of the source.
    pub fn read<S: HashSource + ?Sized>(&self, source: &mut S) -> Result<Vec<u8>, S::Error> {
        let mut bytes = Vec::with_capacity(usize::from(self.width) * HASH_BYTES);
        for subtree in self.subtrees() {
            bytes.extend_from_slice(source.hash(subtree)?.as_bytes());
        }
        Ok(bytes)
    }
}

/// The records of a level-0 tile: each as its length (2 bytes, big-endian) and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    /// The place among the bundles, from 0.
    pub index: u64,
    /// How many records it has, 1 to 256.
    pub width: u16,
}

/// The bytes are not those records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bundle does not hold {expected} records and nothing else: fetch it again")]
pub struct BundleError {
    /// How many records the bundle has by its name.
    pub expected: u16,
}

impl Bundle {
    /// The position of its first record.
    pub const fn first(&self) -> u64 {
        self.index * FULL_WIDTH as u64
    }

    /// The tile with the hashes of its records.
    pub const fn tile(&self) -> Tile {
        Tile { level: 0, index: self.index, width: self.width }
    }

    /// The records in these bytes, in order. They are those of the log if their hashes are those of
    /// [`tile`](Self::tile), and the tile is of the tree.
    ///
    /// # Errors
    /// If they are not exactly as many as the bundle has.
    pub fn parse<'a>(&self, bytes: &'a [u8]) -> Result<RecordSlices<'a>, BundleError> {
        if crate::body::is_well_formed(bytes, self.width.into()) {
            Ok(RecordSlices::new(bytes))
        } else {
            Err(BundleError { expected: self.width })
        }
    }
}

/// The number of hashes that the tiles of a level have together.
const fn hashes_of_level(size: u64, level: u8) -> u64 {
    if level < LEVELS { size >> (level * TILE_HEIGHT) } else { 0 }
}

/// The tiles of a tree of `new` leaves that one of `old` does not have: those that became full, and
/// on each level that grew the partial one at the end. From level 0 up, from left to right.
///
/// With `old` 0 these are all tiles of the tree.
pub fn tiles_added(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    (0..LEVELS).flat_map(move |level| {
        let (before, now) = (hashes_of_level(old, level), hashes_of_level(new, level));
        let first = before / u64::from(FULL_WIDTH);
        let end = if now > before { now.div_ceil(u64::from(FULL_WIDTH)) } else { first };
        (first..end).filter_map(move |index| Tile::of_tree(new, level, index))
    })
}

/// The bundles of a log of `new` records that one of `old` does not have, in order.
pub fn bundles_added(old: u64, new: u64) -> impl Iterator<Item = Bundle> {
    let level_0 = tiles_added(old, new).take_while(|tile| tile.level == 0);
    level_0.map(|tile| Bundle { index: tile.index, width: tile.width })
}
