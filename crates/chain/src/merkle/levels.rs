//! A whole tree in memory.

use alloc::vec::Vec;
use core::convert::Infallible;

use super::{HashSource, Prefixes, Subtree, Tree, TreeHead, prove_inclusion};
use crate::Hash;

/// A tree with all its hashes in memory, 64 bytes a leaf, that proves without reading: for the
/// balances of a seal, and for tests.
#[derive(Clone, Debug)]
pub struct Levels {
    prefixes: Prefixes,
    tree: Tree,
    /// For each level the roots of its complete subtrees.
    rows: Vec<Vec<Hash>>,
}

impl Levels {
    /// A tree without leaves.
    pub const fn new(prefixes: Prefixes) -> Self {
        Self { prefixes, tree: Tree::new(prefixes), rows: Vec::new() }
    }

    /// Adds a leaf at the right.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_hash(self.prefixes.leaf_hash(leaf));
    }

    /// Adds a leaf, given as its hash, at the right.
    pub fn push_hash(&mut self, leaf: Hash) {
        let rows = &mut self.rows;
        self.tree.push_hash_with(leaf, |subtree, root| {
            let level = usize::from(subtree.level);
            if level == rows.len() {
                rows.push(Vec::new());
            }
            rows[level].push(root);
        });
    }

    /// The number of leaves and the root.
    pub fn head(&self) -> TreeHead {
        self.tree.head()
    }

    /// The hash of a leaf, or `None` past the last one.
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.rows.first()?.get(usize::try_from(index).ok()?).copied()
    }

    /// The path from a leaf to the root over all, or `None` if there is no such leaf.
    pub fn inclusion(&self, index: u64) -> Option<Vec<Hash>> {
        prove_inclusion(self.prefixes, self.tree.size(), index, &mut &*self).ok()
    }
}

impl HashSource for Levels {
    type Error = Infallible;

    /// # Panics
    /// If the subtree is not complete.
    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Infallible> {
        (&*self).hash(subtree)
    }
}

impl HashSource for &Levels {
    type Error = Infallible;

    /// # Panics
    /// If the subtree is not complete.
    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Infallible> {
        let index = usize::try_from(subtree.index).expect("the tree is in memory");
        Ok(self.rows[usize::from(subtree.level)][index])
    }
}
