//! The tree over a ledger's records, from its tiles: those of the records are made from the log when
//! they are asked for, those above are in the index. They are not trusted: what is made from them is
//! checked against the tree that the replica carries.

use crate::proofs::Consistency;
use bergulir_chain::merkle::{
    Prefixes, ProveError, TreeHead, prove_consistency, prove_inclusion, read_root,
    verify_consistency,
};
use bergulir_chain::tiles::{FULL_WIDTH, HASH_BYTES, Tile, TileError, TileHashes, TileSource};
use bergulir_chain::{Hash, Position, record};
use bergulir_store::index::{Index, IndexError};
use bergulir_store::{EventLog, ReadError, ReadLimit};
use std::num::NonZero;
use thiserror::Error;

#[cfg(test)]
mod tests;

const PREFIXES: Prefixes = Prefixes::RFC_6962;

/// Why nothing can be said of the tree.
#[derive(Debug, Error)]
pub(crate) enum TreeError {
    /// The log cannot be read. The index has no part in it: made anew it would help nobody.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The index cannot be read, or does not have what the log leads to.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What the tree over the records of a ledger is made from. Every size that is asked about must be
/// indexed.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'a> {
    pub(crate) log: &'a dyn EventLog,
    pub(crate) index: &'a Index,
}

impl<'a> Tree<'a> {
    /// The bytes of a tile of any size that is indexed.
    ///
    /// # Errors
    /// [`IndexError::NoTile`], if there is no such size.
    pub(crate) fn tile(self, tile: Tile) -> Result<Vec<u8>, TreeError> {
        Tiles { tree: self, wanted: None, record: None }.tile(tile)
    }

    /// Looks at so many records in order.
    pub(crate) fn each_record(
        self,
        first: Position,
        count: usize,
        mut look: impl FnMut(Position, &[u8]),
    ) -> Result<(), ReadError> {
        let (mut at, mut left) = (first, count);
        while left > 0 {
            let records = self.log.read(at, ReadLimit::records(left))?;
            if records.is_empty() {
                return Err(ReadError::BeyondHead { from: at, size: self.log.head().size });
            }
            records.iter().for_each(|(position, bytes)| look(position, bytes));
            left -= records.len();
            at = records.next();
        }
        Ok(())
    }

    fn record(self, position: Position) -> Result<Vec<u8>, ReadError> {
        let mut record = Vec::new();
        self.each_record(position, 1, |_, bytes| record = bytes.to_vec())?;
        Ok(record)
    }

    fn hashes(self, size: u64, wanted: Option<Position>) -> TileHashes<Tiles<'a>> {
        TileHashes::new(PREFIXES, size, Tiles { tree: self, wanted, record: None })
    }

    /// The head of the tree over the first `size` records.
    pub(crate) fn head(self, size: u64) -> Result<TreeHead, TreeError> {
        read_root(PREFIXES, size, &mut self.hashes(size, None)).map_err(failed)
    }

    /// A record, and the path from it to the root over the first `size`, which has it.
    pub(crate) fn inclusion(
        self,
        size: u64,
        position: Position,
    ) -> Result<(Vec<u8>, Vec<Hash>), TreeError> {
        let mut hashes = self.hashes(size, Some(position));
        let path = prove_inclusion(PREFIXES, size, position.get(), &mut hashes);
        let path = path.map_err(no_proof)?;
        // Alone in its tile, it has no sibling there: the tile was not asked for.
        let record = hashes.into_source().record.map_or_else(|| self.record(position), Ok)?;
        Ok((record, path))
    }

    /// The proof that the tree of `new` records goes on from the one of `old`, which are not more.
    pub(crate) fn consistency(self, old: u64, new: u64) -> Result<Consistency, TreeError> {
        let mut hashes = self.hashes(new, None);
        // In this order no tile is made twice: the proof begins at the end of the newer tree, and
        // ends where the older one does.
        let to_root = read_root(PREFIXES, new, &mut hashes).map_err(failed)?.root;
        let path = prove_consistency(PREFIXES, old, new, &mut hashes).map_err(no_proof)?;
        let from_root = read_root(PREFIXES, old, &mut hashes).map_err(failed)?.root;
        Ok(Consistency { from_root, to_root, path })
    }

    /// The head of the tree of `old` records, and the path that proves that `new` goes on from it.
    ///
    /// # Errors
    /// If the tiles do not prove it: then the index is damaged, since `new` is the log's own; or a
    /// record is another one than it was, which is found when the index is made anew from the log.
    pub(crate) fn extension(
        self,
        old: u64,
        new: TreeHead,
    ) -> Result<(TreeHead, Vec<Hash>), TreeError> {
        let Consistency { from_root, path, .. } = self.consistency(old, new.size)?;
        let earlier = TreeHead { size: old, root: from_root };
        verify_consistency(PREFIXES, earlier, new, &path).map_err(|error| IndexError::Damaged {
            what: format!("the tiles do not lead from {old} records to {}: {error}", new.size),
        })?;
        Ok((earlier, path))
    }
}

/// The tiles, and a record that is wanted, if it came by.
struct Tiles<'a> {
    tree: Tree<'a>,
    wanted: Option<Position>,
    record: Option<Vec<u8>>,
}

impl TileSource for Tiles<'_> {
    type Error = TreeError;

    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, TreeError> {
        match NonZero::new(tile.level) {
            Some(level) => Ok(self.tree.index.tile(level, tile.index, tile.width)?),
            None => self.of_records(tile),
        }
    }
}

impl Tiles<'_> {
    /// A tile of level 0.
    fn of_records(&mut self, tile: Tile) -> Result<Vec<u8>, TreeError> {
        let applied = self.tree.index.applied();
        if !tile.is_in(applied.get()) {
            return Err(IndexError::NoTile { tile, applied }.into());
        }
        let (first, records) = (tile.index * u64::from(FULL_WIDTH), usize::from(tile.width));
        let mut hashes = Vec::with_capacity(records * HASH_BYTES);
        self.tree.each_record(Position::new(first), records, |position, bytes| {
            hashes.extend_from_slice(record::hash(bytes).as_bytes());
            if self.wanted == Some(position) {
                self.record = Some(bytes.to_vec());
            }
        })?;
        Ok(hashes)
    }
}

fn failed(error: TileError<TreeError>) -> TreeError {
    match error {
        TileError::Source(error) => error,
        other => IndexError::Damaged { what: other.to_string() }.into(),
    }
}

fn no_proof(error: ProveError<TileError<TreeError>>) -> TreeError {
    match error {
        ProveError::Source(error) => failed(error),
        other => IndexError::Damaged { what: other.to_string() }.into(),
    }
}
