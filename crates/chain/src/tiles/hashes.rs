//! The hashes of a tree, read from its tiles.

use alloc::vec::Vec;

use thiserror::Error;

use super::{HASH_BYTES, LEVELS, TILE_HEIGHT, Tile};
use crate::Hash;
use crate::merkle::{HashSource, Prefixes, Subtree};

/// Where tiles are kept: an index, a folder, a server.
pub trait TileSource {
    /// Why a tile could not be read.
    type Error;

    /// The bytes of a tile of the tree.
    ///
    /// # Errors
    /// If it cannot be read.
    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, Self::Error>;
}

/// Why a hash is not in the tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TileError<E> {
    /// The tree is too small to have it.
    #[error("the tree of {size} leaves has no subtree {index} at level {level}")]
    NotInTree {
        /// The size of the tree.
        size: u64,
        /// The level of the subtree.
        level: u8,
        /// Its place in the level.
        index: u64,
    },
    /// The tile has another length.
    #[error("{tile} has {given} bytes, not {expected}: fetch or make it again")]
    Length {
        /// The tile.
        tile: Tile,
        /// The bytes it must have.
        expected: usize,
        /// The bytes it has.
        given: usize,
    },
    /// The source failed.
    #[error(transparent)]
    Source(E),
}

/// The hashes of a tree of some size from its tiles. Remembers the last tile of each level, so that
/// a proof reads each tile once: about one for each factor of 256 in the size, and two at most.
///
/// The tiles are not checked against a root. A proof made from them is, by whoever verifies it.
#[derive(Debug)]
pub struct TileHashes<S> {
    prefixes: Prefixes,
    size: u64,
    source: S,
    held: [Option<(Tile, Vec<Hash>)>; LEVELS as usize],
}

impl<S: TileSource> TileHashes<S> {
    /// The hashes of the tree over the first `size` leaves.
    pub const fn new(prefixes: Prefixes, size: u64, source: S) -> Self {
        Self { prefixes, size, source, held: [const { None }; LEVELS as usize] }
    }

    /// The source, given back.
    pub fn into_source(self) -> S {
        self.source
    }

    fn hashes(&mut self, tile: Tile) -> Result<&[Hash], TileError<S::Error>> {
        let held = &mut self.held[usize::from(tile.level)];
        if held.as_ref().is_none_or(|(held, _)| *held != tile) {
            let bytes = self.source.tile(tile).map_err(TileError::Source)?;
            let (rows, rest) = bytes.as_chunks::<HASH_BYTES>();
            if rows.len() != usize::from(tile.width) || !rest.is_empty() {
                let expected = usize::from(tile.width) * HASH_BYTES;
                return Err(TileError::Length { tile, expected, given: bytes.len() });
            }
            *held = Some((tile, rows.iter().copied().map(Hash::from_bytes).collect()));
        }
        Ok(held.as_ref().map_or(&[], |(_, hashes)| hashes))
    }
}

impl<S: TileSource> HashSource for TileHashes<S> {
    type Error = TileError<S::Error>;

    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Self::Error> {
        let Subtree { level, index } = subtree;
        let size = self.size;
        let missing = || TileError::NotInTree { size, level, index };
        if !subtree.is_complete_in(size) {
            return Err(missing());
        }
        // The subtree is that over the hashes `first..first + leaves` of a level of tiles.
        let (tiles, above) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let (first, leaves) = (index << above, 1_usize << above);
        let tile = Tile::of_tree(size, tiles, first >> TILE_HEIGHT).ok_or_else(missing)?;
        let column = tile.column(first).ok_or_else(missing)?;
        let prefixes = self.prefixes;
        let hashes = self.hashes(tile)?;
        let row = hashes.get(column..column + leaves).ok_or_else(missing)?;
        Ok(prefixes.complete_root(row))
    }
}
