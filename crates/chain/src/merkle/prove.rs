//! Making proofs from the stored hashes of a tree.

use alloc::vec::Vec;

use thiserror::Error;

use super::tree::fold;
use super::{Prefixes, Subtree, TreeHead, peaks};
use crate::Hash;

/// The roots of the complete subtrees of a stored tree: tiles, or levels in memory.
pub trait HashSource {
    /// Why a hash could not be read.
    type Error;

    /// The root of a complete subtree. Asked only for subtrees complete in the size proved from.
    ///
    /// # Errors
    /// If it cannot be read.
    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Self::Error>;
}

impl<S: HashSource + ?Sized> HashSource for &mut S {
    type Error = S::Error;

    fn hash(&mut self, subtree: Subtree) -> Result<Hash, S::Error> {
        (**self).hash(subtree)
    }
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProveError<E> {
    /// The leaf is not in the tree.
    #[error("there is no leaf {index} in a tree of {size}: ask for a larger tree")]
    NotInTree {
        /// The leaf asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("a tree of {old} leaves is not an earlier state of one of {new}: swap them")]
    Shrinks {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// The source failed.
    #[error(transparent)]
    Source(E),
}

/// The head of the tree over the first `size` leaves. At most 64 reads.
///
/// # Errors
/// Those of the source.
pub fn read_root<S: HashSource + ?Sized>(
    prefixes: Prefixes,
    size: u64,
    source: &mut S,
) -> Result<TreeHead, S::Error> {
    Ok(TreeHead { size, root: run_root(prefixes, Run { first: 0, leaves: size }, source)? })
}

/// The path from leaf `index` to the root over the first `size` leaves, from the leaf's sibling
/// upwards (RFC 6962, section 2.1.1). At most 2 log n reads.
///
/// # Errors
/// If the leaf is not among them, or the source fails.
pub fn prove_inclusion<S: HashSource + ?Sized>(
    prefixes: Prefixes,
    size: u64,
    index: u64,
    source: &mut S,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    if index >= size {
        return Err(ProveError::NotInTree { index, size });
    }
    let mut path = Vec::new();
    let mut run = Run { first: 0, leaves: size };
    while run.leaves > 1 {
        let (left, right) = run.split();
        let (inside, sibling) = if index < right.first { (left, right) } else { (right, left) };
        path.push(run_root(prefixes, sibling, source).map_err(ProveError::Source)?);
        run = inside;
    }
    path.reverse();
    Ok(path)
}

/// The proof that the first `old` leaves of a tree of `new` are those of a tree of `old` (RFC 6962,
/// section 2.1.2). At most 2 log n reads. It is empty if the sizes are equal or `old` is 0.
///
/// # Errors
/// If `old` is larger than `new`, or the source fails.
pub fn prove_consistency<S: HashSource + ?Sized>(
    prefixes: Prefixes,
    old: u64,
    new: u64,
    source: &mut S,
) -> Result<Vec<Hash>, ProveError<S::Error>> {
    if old > new {
        return Err(ProveError::Shrinks { old, new });
    }
    let mut path = Vec::new();
    if old == 0 {
        return Ok(path);
    }
    let mut run = Run { first: 0, leaves: new };
    // Until the first turn to the right, what is left is a subtree of the old tree by itself, so
    // whoever checks knows its root already.
    let mut known = true;
    while run.end() != old {
        let (left, right) = run.split();
        if old <= right.first {
            path.push(run_root(prefixes, right, source).map_err(ProveError::Source)?);
            run = left;
        } else {
            path.push(run_root(prefixes, left, source).map_err(ProveError::Source)?);
            run = right;
            known = false;
        }
    }
    if !known {
        path.push(run_root(prefixes, run, source).map_err(ProveError::Source)?);
    }
    path.reverse();
    Ok(path)
}

/// Some leaves in a row that are a subtree: the first is a multiple of a power of two that is not
/// below their number.
#[derive(Clone, Copy)]
struct Run {
    first: u64,
    leaves: u64,
}

impl Run {
    const fn end(self) -> u64 {
        self.first + self.leaves
    }

    /// The two children: the left one has the largest power of two below the number of leaves,
    /// which must be 2 or more.
    const fn split(self) -> (Self, Self) {
        let left = 1 << (self.leaves - 1).ilog2();
        (
            Self { first: self.first, leaves: left },
            Self { first: self.first + left, leaves: self.leaves - left },
        )
    }
}

/// The root over a run, from the complete subtrees that it consists of.
fn run_root<S: HashSource + ?Sized>(
    prefixes: Prefixes,
    run: Run,
    source: &mut S,
) -> Result<Hash, S::Error> {
    let roots: Vec<Hash> = peaks(run.leaves)
        .map(|Subtree { level, index }| {
            source.hash(Subtree { level, index: (run.first >> level) + index })
        })
        .collect::<Result<_, _>>()?;
    Ok(fold(prefixes, &roots))
}
