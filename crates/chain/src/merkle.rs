//! Merkle trees in the shape of RFC 6962.
//!
//! Each kind of tree has its own prefixes, so that a node of one can never pass for a leaf or a
//! node of another.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::Hash;

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
        let digest = Sha256::new().chain_update(self.leaf).chain_update(leaf).finalize();
        Hash::from_bytes(digest.into())
    }

    /// The hash of a node over its children.
    pub fn node_hash(&self, left: Hash, right: Hash) -> Hash {
        let digest = Sha256::new()
            .chain_update(self.node)
            .chain_update(left.as_bytes())
            .chain_update(right.as_bytes())
            .finalize();
        Hash::from_bytes(digest.into())
    }
}

/// The root of a tree over leaves taken in one by one, in memory logarithmic in their number.
#[derive(Clone, Debug)]
pub struct Tree {
    prefixes: Prefixes,
    /// The roots of the complete subtrees from left to right, each with its height; heights fall.
    subtrees: Vec<(u32, Hash)>,
}

impl Tree {
    /// A tree without leaves.
    pub const fn new(prefixes: Prefixes) -> Self {
        Self { prefixes, subtrees: Vec::new() }
    }

    /// Adds a leaf at the right.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_hash(self.prefixes.leaf_hash(leaf));
    }

    /// Adds a leaf, given as its hash, at the right.
    pub fn push_hash(&mut self, leaf: Hash) {
        let (mut height, mut root) = (0, leaf);
        while let Some((_, left)) = self.subtrees.pop_if(|(left, _)| *left == height) {
            root = self.prefixes.node_hash(left, root);
            height += 1;
        }
        self.subtrees.push((height, root));
    }

    /// The root; of no leaves, SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let mut right_to_left = self.subtrees.iter().rev().map(|&(_, root)| root);
        match right_to_left.next() {
            None => Hash::from_bytes(Sha256::new().finalize().into()),
            Some(last) => {
                right_to_left.fold(last, |right, left| self.prefixes.node_hash(left, right))
            }
        }
    }
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
