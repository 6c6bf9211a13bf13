//! A tree that only grows, in memory logarithmic in its size.

use alloc::vec::Vec;

use thiserror::Error;

use super::{HashSource, Prefixes, Subtree, TreeHead, empty_root, peaks};
use crate::Hash;

/// The root of a tree over leaves taken in one by one, in memory logarithmic in their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    prefixes: Prefixes,
    size: u64,
    /// The roots of the complete subtrees from left to right, one for each bit set in `size`.
    subtrees: Vec<Hash>,
}

/// These are not the subtrees of a tree of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a tree of {size} leaves has {expected} complete subtrees, not {given}")]
pub struct TreeError {
    /// The size that was stated.
    pub size: u64,
    /// How many subtrees it takes.
    pub expected: usize,
    /// How many there were.
    pub given: usize,
}

impl Tree {
    /// A tree without leaves.
    pub const fn new(prefixes: Prefixes) -> Self {
        Self { prefixes, size: 0, subtrees: Vec::new() }
    }

    /// A tree that goes on where one with these [`subtrees`](Self::subtrees) was.
    ///
    /// # Errors
    /// If their number does not fit the size.
    pub fn resume(prefixes: Prefixes, size: u64, subtrees: Vec<Hash>) -> Result<Self, TreeError> {
        let (expected, given) = (peaks(size).count(), subtrees.len());
        if given == expected {
            Ok(Self { prefixes, size, subtrees })
        } else {
            Err(TreeError { size, expected, given })
        }
    }

    /// A tree that goes on from the first `size` leaves of a stored one. At most 64 reads.
    ///
    /// # Errors
    /// Those of the source.
    pub fn read<S: HashSource + ?Sized>(
        prefixes: Prefixes,
        size: u64,
        source: &mut S,
    ) -> Result<Self, S::Error> {
        let subtrees = peaks(size).map(|peak| source.hash(peak)).collect::<Result<_, _>>()?;
        Ok(Self { prefixes, size, subtrees })
    }

    /// Adds a leaf at the right.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_hash(self.prefixes.leaf_hash(leaf));
    }

    /// Adds a leaf, given as its hash, at the right.
    pub fn push_hash(&mut self, leaf: Hash) {
        self.push_hash_with(leaf, |_, _| ());
    }

    /// Adds a leaf, given as its hash, and tells `completed` each subtree that it completes with
    /// its root, from the leaf itself upwards: what a store of the tree has to keep.
    pub fn push_hash_with(&mut self, leaf: Hash, mut completed: impl FnMut(Subtree, Hash)) {
        let (mut place, mut root) = (Subtree { level: 0, index: self.size }, leaf);
        completed(place, root);
        // One subtree ends here for each 1 at the end of the size, as in the carry of an addition.
        for _ in 0..self.size.trailing_ones() {
            let left = self.subtrees.pop().expect("there is one for each bit set in the size");
            root = self.prefixes.node_hash(left, root);
            place = place.parent();
            completed(place, root);
        }
        self.subtrees.push(root);
        self.size += 1;
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees that the tree consists of, from left to right: all that
    /// has to be kept to go on.
    pub fn subtrees(&self) -> &[Hash] {
        &self.subtrees
    }

    /// The root; of no leaves, SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        fold(self.prefixes, &self.subtrees)
    }

    /// The size and the root.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root() }
    }
}

/// The root over complete subtrees that fall in size from left to right.
pub(super) fn fold(prefixes: Prefixes, subtrees: &[Hash]) -> Hash {
    let mut right_to_left = subtrees.iter().rev().copied();
    right_to_left.next().map_or_else(empty_root, |last| {
        right_to_left.fold(last, |right, left| prefixes.node_hash(left, right))
    })
}
