//! Checking proofs from hashes alone.

use thiserror::Error;

use super::{Prefixes, TreeHead, empty_root};
use crate::Hash;

/// What a proof does not prove, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf cannot be in the tree.
    #[error("leaf {index} cannot be in a tree of {size}: the proof is for another tree")]
    NotInTree {
        /// The leaf that the proof is of.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("the tree shrank from {old} to {new} leaves: something was removed")]
    Shrank {
        /// The size of the older tree.
        old: u64,
        /// The size of the newer tree.
        new: u64,
    },
    /// The proof has too many or too few hashes for these sizes.
    #[error("the proof has {given} hashes where {expected} belong")]
    Length {
        /// How many hashes these sizes take.
        expected: usize,
        /// How many there are.
        given: usize,
    },
    /// The leaf and the proof, or two trees of one size, lead to another root.
    #[error("the root is {expected}, but the proof leads to {computed}: one of them is forged")]
    Root {
        /// The root of the tree.
        expected: Hash,
        /// The root that follows from leaf and proof.
        computed: Hash,
    },
    /// The proof does not lead to the older root.
    #[error("the older root is {expected}, but the proof leads to {computed}: history was altered")]
    OldRoot {
        /// The root of the older tree.
        expected: Hash,
        /// The root that follows from the proof.
        computed: Hash,
    },
}

/// Checks that the leaf with number `index` in the tree has this hash.
///
/// # Errors
/// If that does not follow from the path.
pub fn verify_inclusion(
    prefixes: Prefixes,
    head: TreeHead,
    index: u64,
    leaf: Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    let computed = inclusion_root(prefixes, head.size, index, leaf, path)?;
    if computed == head.root {
        Ok(())
    } else {
        Err(ProofError::Root { expected: head.root, computed })
    }
}

/// The root of a tree of `size` leaves that has this leaf at `index`, if the path is right.
///
/// # Errors
/// If the index or the number of hashes does not fit the size.
pub fn inclusion_root(
    prefixes: Prefixes,
    size: u64,
    index: u64,
    leaf: Hash,
    path: &[Hash],
) -> Result<Hash, ProofError> {
    if index >= size {
        return Err(ProofError::NotInTree { index, size });
    }
    let fork = Fork::new(index, size, 0);
    expect_length(fork.inner + fork.border, path)?;
    let (inner, border) = path.split_at(fork.inner);
    Ok(climb_left(prefixes, climb(prefixes, index, leaf, inner), border))
}

/// Checks that the newer tree begins with all the leaves of the older one, unchanged.
///
/// Anything continues an empty tree; the path is empty then.
///
/// # Errors
/// If that does not follow from the path.
pub fn verify_consistency(
    prefixes: Prefixes,
    old: TreeHead,
    new: TreeHead,
    path: &[Hash],
) -> Result<(), ProofError> {
    let Some(last) = old.size.checked_sub(1) else {
        expect_length(0, path)?;
        return expect_old(old, empty_root());
    };
    if old.size > new.size {
        return Err(ProofError::Shrank { old: old.size, new: new.size });
    }
    if old.size == new.size {
        expect_length(0, path)?;
        return expect_new(new, old.root);
    }
    let (computed_old, computed_new) = climb_both(prefixes, last, new.size, old.root, path)?;
    expect_old(old, computed_old)?;
    expect_new(new, computed_new)
}

/// The root of the older tree, as the proof has it that a newer one goes on from it: for whoever
/// has the newer tree only. `None` if the sizes are such that the proof leaves it out.
///
/// # Errors
/// If no older tree of this size could follow from the path.
pub fn older_root(
    prefixes: Prefixes,
    old: u64,
    new: TreeHead,
    path: &[Hash],
) -> Result<Option<Hash>, ProofError> {
    let Some(last) = old.checked_sub(1) else {
        return expect_length(0, path).map(|()| Some(empty_root()));
    };
    if old > new.size {
        return Err(ProofError::Shrank { old, new: new.size });
    }
    if old == new.size {
        return expect_length(0, path).map(|()| Some(new.root));
    }
    let (computed_old, computed_new) = climb_both(prefixes, last, new.size, Hash::ZERO, path)?;
    if old.is_power_of_two() {
        return Ok(None);
    }
    expect_new(new, computed_new)?;
    Ok(Some(computed_old))
}

/// The roots of the older tree, which ends with leaf `last`, and of the newer one, which is larger,
/// as a proof gives them. It begins with the root of the largest subtree that ends at that leaf; if
/// that is the whole older tree, its root is known and left out.
fn climb_both(
    prefixes: Prefixes,
    last: u64,
    new: u64,
    old_root: Hash,
    path: &[Hash],
) -> Result<(Hash, Hash), ProofError> {
    let old = last + 1;
    let level = old.trailing_zeros();
    let seeds = usize::from(!old.is_power_of_two());
    let fork = Fork::new(last, new, level);
    expect_length(seeds + fork.inner + fork.border, path)?;
    let (seed, path) = path.split_at(seeds);
    let seed = seed.first().copied().unwrap_or(old_root);
    let (inner, border) = path.split_at(fork.inner);
    let sides = last >> level;
    let computed_old =
        climb_left(prefixes, climb_where_right(prefixes, sides, seed, inner), border);
    let computed_new = climb_left(prefixes, climb(prefixes, sides, seed, inner), border);
    Ok((computed_old, computed_new))
}

/// How the way from a subtree up to the root divides: below, siblings are on either side; from
/// where it meets the right edge of the tree, those that count are all on the left.
struct Fork {
    /// How many siblings come before the right edge: one on each level.
    inner: usize,
    /// How many come on it: one for each level where the edge is a right child.
    border: usize,
}

impl Fork {
    /// Of the way up from the subtree of this level that holds leaf `index`.
    const fn new(index: u64, size: u64, level: u32) -> Self {
        // The levels on which the leaf and the last one of the tree are in different subtrees.
        let apart = u64::BITS - (index ^ (size - 1)).leading_zeros();
        let edge = match index.checked_shr(apart) {
            Some(place) => place.count_ones(),
            None => 0,
        };
        Self { inner: apart.saturating_sub(level) as usize, border: edge as usize }
    }
}

/// Joins with the siblings upwards: `sides` says with its lowest bit on which side the first is.
fn climb(prefixes: Prefixes, mut sides: u64, start: Hash, siblings: &[Hash]) -> Hash {
    siblings.iter().fold(start, |root, &sibling| {
        let right = sides & 1 == 1;
        sides >>= 1;
        if right { prefixes.node_hash(sibling, root) } else { prefixes.node_hash(root, sibling) }
    })
}

/// Joins with those siblings only that are on the left: the others came after the older tree.
fn climb_where_right(prefixes: Prefixes, mut sides: u64, start: Hash, siblings: &[Hash]) -> Hash {
    siblings.iter().fold(start, |root, &sibling| {
        let right = sides & 1 == 1;
        sides >>= 1;
        if right { prefixes.node_hash(sibling, root) } else { root }
    })
}

/// Joins with siblings that are all on the left.
fn climb_left(prefixes: Prefixes, start: Hash, siblings: &[Hash]) -> Hash {
    siblings.iter().fold(start, |root, &sibling| prefixes.node_hash(sibling, root))
}

fn expect_length(expected: usize, path: &[Hash]) -> Result<(), ProofError> {
    let given = path.len();
    if given == expected { Ok(()) } else { Err(ProofError::Length { expected, given }) }
}

fn expect_old(old: TreeHead, computed: Hash) -> Result<(), ProofError> {
    let expected = old.root;
    if computed == expected { Ok(()) } else { Err(ProofError::OldRoot { expected, computed }) }
}

fn expect_new(new: TreeHead, computed: Hash) -> Result<(), ProofError> {
    let expected = new.root;
    if computed == expected { Ok(()) } else { Err(ProofError::Root { expected, computed }) }
}
