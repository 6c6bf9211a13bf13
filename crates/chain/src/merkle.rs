//! Merkle trees in the shape of RFC 6962 (RFC 9162 has the same), and proofs about them.
//!
//! Each kind of tree has its own prefixes, so that a node of one can never pass for a leaf or a
//! node of another. The tree over the records of a log has [`Prefixes::RFC_6962`], and there the
//! hash of a record is the hash of its leaf.
//!
//! A [`Tree`] takes leaves in one by one and knows its root in memory logarithmic in their number.
//! Proofs need hashes from inside the tree: a [`HashSource`] gives the root of any complete
//! [`Subtree`], and [`prove_inclusion`] and [`prove_consistency`] ask it for O(log n) of them.
//! Whoever checks a proof needs none of that: [`verify_inclusion`] and [`verify_consistency`] work
//! from [`TreeHead`]s and the path alone.

mod absence;
mod levels;
mod prove;
mod tree;
mod verify;

use sha2::{Digest, Sha256};

pub use absence::{Absence, AbsenceError, Member, Neighbour, verify_absence};
pub use levels::Levels;
pub use prove::{HashSource, ProveError, prove_consistency, prove_inclusion, read_root};
pub use tree::{Tree, TreeError};
pub use verify::{ProofError, inclusion_root, older_root, verify_consistency, verify_inclusion};

use crate::Hash;

/// The most hashes that a proof can have, for the largest size.
pub const MAX_PATH_HASHES: usize = 65;

/// What is hashed before the bytes of a leaf and before the two children of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// Before a leaf.
    pub leaf: &'static [u8],
    /// Before the two children of a node.
    pub node: &'static [u8],
}

impl Prefixes {
    /// The prefixes of RFC 6962, those of the tree over the records of a log.
    pub const RFC_6962: Self = Self { leaf: &[0x00], node: &[0x01] };

    /// The hash of a leaf.
    pub fn leaf_hash(&self, leaf: &[u8]) -> Hash {
        match *self.leaf {
            [prefix] => Hash::prefixed(prefix, leaf),
            _ => digest(&[self.leaf, leaf]),
        }
    }

    /// The hash of a node over its children.
    pub fn node_hash(&self, left: Hash, right: Hash) -> Hash {
        match *self.node {
            [prefix] => Hash::of_pair(prefix, left, right),
            _ => digest(&[self.node, left.as_bytes(), right.as_bytes()]),
        }
    }

    /// The root of the tree over these leaf hashes, a number that is a power of two.
    pub(crate) fn complete_root(&self, hashes: &[Hash]) -> Hash {
        debug_assert!(hashes.len().is_power_of_two());
        let mut row = hashes.to_vec();
        while row.len() > 1 {
            row = row.chunks_exact(2).map(|pair| self.node_hash(pair[0], pair[1])).collect();
        }
        row[0]
    }
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    Hash::from_bytes(digest.finalize().into())
}

/// The root of a tree without leaves: SHA-256 of nothing, under any prefixes.
pub fn empty_root() -> Hash {
    Hash::from_bytes(Sha256::new().finalize().into())
}

/// How large a tree is and what its root is: all that a verifier knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// The number of leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// The place of a complete subtree: `2^level` leaves, of which the first has the number
/// `index * 2^level`. At level 0 it is a leaf.
///
/// Its root never changes once all its leaves are there, however far the tree grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// The height over the leaves, at most 63.
    pub level: u8,
    /// The place among the subtrees of this level, from 0.
    pub index: u64,
}

impl Subtree {
    /// The subtree that this one and its neighbour are the children of.
    #[must_use]
    pub const fn parent(self) -> Self {
        Self { level: self.level + 1, index: self.index >> 1 }
    }

    /// True if a tree of `size` leaves has all the leaves of this subtree.
    pub const fn is_complete_in(self, size: u64) -> bool {
        self.level < 64 && self.index < size >> self.level
    }
}

/// The complete subtrees that a tree of `size` leaves consists of, from left to right: one for
/// each bit that is set in `size`.
fn peaks(size: u64) -> impl DoubleEndedIterator<Item = Subtree> {
    (0..64_u8)
        .rev()
        .filter(move |level| size >> level & 1 == 1)
        .map(move |level| Subtree { level, index: (size >> level) - 1 })
}

/// The root of the tree over these leaves.
pub fn root<L: AsRef<[u8]>>(prefixes: Prefixes, leaves: impl IntoIterator<Item = L>) -> Hash {
    let mut tree = Tree::new(prefixes);
    for leaf in leaves {
        tree.push(leaf.as_ref());
    }
    tree.root()
}
#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    /// The leaves and roots that the Certificate Transparency projects test with.
    const LEAVES: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        b"`abcdefghijklmno",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    /// The definition of RFC 6962, section 2.1, word by word.
    fn defined(prefixes: Prefixes, leaves: &[&[u8]]) -> Hash {
        match leaves {
            [] => Hash::from_bytes(Sha256::digest([]).into()),
            [leaf] => prefixes.leaf_hash(leaf),
            _ => {
                let split = 1 << (leaves.len() - 1).ilog2();
                let (left, right) = leaves.split_at(split);
                prefixes.node_hash(defined(prefixes, left), defined(prefixes, right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        for (leaves, expected) in ROOTS.iter().enumerate() {
            let root = root(Prefixes::RFC_6962, &LEAVES[..leaves]);
            assert_eq!(&root.to_string(), expected, "{leaves} leaves");
        }
    }

    #[test]
    fn every_size_agrees_with_the_definition_under_any_prefixes() {
        let prefixes = Prefixes { leaf: b"leaf", node: b"node" };
        let leaves = [&b"leaf"[..]; 70];
        for size in 0..leaves.len() {
            assert_eq!(root(prefixes, &leaves[..size]), defined(prefixes, &leaves[..size]));
        }
    }
}
