//! The tree over a ledger's records, from the tiles in its index. They are not trusted: what is
//! made from them is checked against the tree that the replica carries.

use bergulir_chain::Hash;
use bergulir_chain::merkle::{
    Prefixes, ProveError, TreeHead, prove_consistency, prove_inclusion, read_root,
    verify_consistency,
};
use bergulir_chain::tiles::{TileError, TileHashes};
use bergulir_store::index::{Index, IndexError, Tiles};

const PREFIXES: Prefixes = Prefixes::RFC_6962;

fn hashes(index: &Index, size: u64) -> TileHashes<Tiles<'_>> {
    TileHashes::new(PREFIXES, size, index.tiles())
}

/// The head of the tree over the first `size` records; they must be indexed.
pub(crate) fn head(index: &Index, size: u64) -> Result<TreeHead, IndexError> {
    read_root(PREFIXES, size, &mut hashes(index, size)).map_err(damage)
}

/// The path from a record to the root over the first `size`, which has it; they must be indexed.
pub(crate) fn inclusion(index: &Index, size: u64, record: u64) -> Result<Vec<Hash>, IndexError> {
    prove_inclusion(PREFIXES, size, record, &mut hashes(index, size)).map_err(no_proof)
}

/// The proof that the tree of `new` records goes on from the one of `old`; they must be indexed,
/// and not be fewer.
pub(crate) fn consistency(index: &Index, old: u64, new: u64) -> Result<Vec<Hash>, IndexError> {
    prove_consistency(PREFIXES, old, new, &mut hashes(index, new)).map_err(no_proof)
}

/// The head of the tree of `old` records from which, as the tiles prove, `new` goes on.
///
/// # Errors
/// If the tiles do not prove it: then they are damaged, since `new` is the log's own.
pub(crate) fn earlier_head(index: &Index, old: u64, new: TreeHead) -> Result<TreeHead, IndexError> {
    let earlier = head(index, old)?;
    let path = consistency(index, old, new.size)?;
    verify_consistency(PREFIXES, earlier, new, &path).map_err(|error| IndexError::Damaged {
        what: format!("the tiles do not lead from {old} records to {}: {error}", new.size),
    })?;
    Ok(earlier)
}

fn damage(error: TileError<IndexError>) -> IndexError {
    match error {
        TileError::Source(error) => error,
        other => IndexError::Damaged { what: other.to_string() },
    }
}

fn no_proof(error: ProveError<TileError<IndexError>>) -> IndexError {
    match error {
        ProveError::Source(error) => damage(error),
        other => IndexError::Damaged { what: other.to_string() },
    }
}
