//! The few hashes of a tree that proofs need, picked out while it grows.

use std::collections::HashMap;

use bergulir_chain::Hash;
use bergulir_chain::merkle::{
    HashSource, Prefixes, ProveError, Subtree, prove_consistency, prove_inclusion,
};
use thiserror::Error;

/// Which hashes of a tree of known size proofs will ask for depends on sizes and positions alone.
/// So they are planned first, and then taken as the tree grows past them: memory goes with the
/// number of proofs and not with that of records.
#[derive(Debug)]
pub(super) struct Picked {
    size: u64,
    hashes: HashMap<Subtree, Option<Hash>>,
}

/// The tree did not grow past what a proof needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the tree did not grow to the size that proofs were planned for")]
pub(super) struct Missing;

/// Notes what is asked for.
struct Plan<'a>(&'a mut HashMap<Subtree, Option<Hash>>);

impl HashSource for Plan<'_> {
    type Error = Missing;

    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Missing> {
        self.0.entry(subtree).or_default();
        Ok(Hash::ZERO)
    }
}

impl HashSource for Picked {
    type Error = Missing;

    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Missing> {
        self.hashes.get(&subtree).copied().flatten().ok_or(Missing)
    }
}

impl Picked {
    /// For proofs to a tree of this size.
    pub(super) fn new(size: u64) -> Picked {
        Picked { size, hashes: HashMap::new() }
    }

    /// Plans a proof that a record is in the tree.
    pub(super) fn want_inclusion(&mut self, index: u64) -> Result<(), ProveError<Missing>> {
        let source = &mut Plan(&mut self.hashes);
        prove_inclusion(Prefixes::RFC_6962, self.size, index, source).map(drop)
    }

    /// Plans a proof that the tree goes on from an older one.
    pub(super) fn want_consistency(&mut self, old: u64) -> Result<(), ProveError<Missing>> {
        let source = &mut Plan(&mut self.hashes);
        prove_consistency(Prefixes::RFC_6962, old, self.size, source).map(drop)
    }

    /// Takes a hash if it is wanted.
    pub(super) fn see(&mut self, subtree: Subtree, hash: Hash) {
        if let Some(wanted) = self.hashes.get_mut(&subtree) {
            *wanted = Some(hash);
        }
    }

    /// A proof that was planned.
    pub(super) fn inclusion(&mut self, index: u64) -> Result<Vec<Hash>, ProveError<Missing>> {
        prove_inclusion(Prefixes::RFC_6962, self.size, index, self)
    }

    /// A proof that was planned.
    pub(super) fn consistency(&mut self, old: u64) -> Result<Vec<Hash>, ProveError<Missing>> {
        prove_consistency(Prefixes::RFC_6962, old, self.size, self)
    }
}

#[cfg(test)]
mod tests {
    use bergulir_chain::merkle::{Tree, TreeHead, verify_consistency, verify_inclusion};

    use super::*;

    #[test]
    fn planned_proofs_hold_at_every_size() {
        for size in 1..70_u64 {
            let mut picked = Picked::new(size);
            let index = size * 7 % size.max(3) % size;
            let old = size.div_ceil(3);
            picked.want_inclusion(index).unwrap();
            picked.want_consistency(old).unwrap();
            assert_eq!(picked.consistency(old).is_ok(), old == size, "nothing was seen yet");
            let mut tree = Tree::new(Prefixes::RFC_6962);
            let mut older = TreeHead { size: 0, root: Hash::ZERO };
            let mut leaf = Hash::ZERO;
            for number in 0..size {
                let hash = Prefixes::RFC_6962.leaf_hash(&number.to_le_bytes());
                tree.push_hash_with(hash, |subtree, hash| picked.see(subtree, hash));
                if number == index {
                    leaf = hash;
                }
                if tree.size() == old {
                    older = tree.head();
                }
            }
            let path = picked.inclusion(index).unwrap();
            assert_eq!(
                verify_inclusion(Prefixes::RFC_6962, tree.head(), index, leaf, &path),
                Ok(())
            );
            let path = picked.consistency(old).unwrap();
            assert_eq!(verify_consistency(Prefixes::RFC_6962, older, tree.head(), &path), Ok(()));
        }
    }
}
