//! Proving that a key is not in a tree whose leaves are sorted by key.

use alloc::vec::Vec;

use thiserror::Error;

use super::{Levels, Prefixes, ProofError, TreeHead, empty_root, verify_inclusion};
use crate::Hash;

/// A leaf with the proof that it is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number, from 0.
    pub index: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// The path from its sibling up to the root.
    pub path: Vec<Hash>,
}

impl Member {
    /// Checks that the leaf is in the tree, at its place.
    ///
    /// # Errors
    /// If that does not follow from the path.
    pub fn verify(&self, prefixes: Prefixes, head: TreeHead) -> Result<(), ProofError> {
        verify_inclusion(prefixes, head, self.index, prefixes.leaf_hash(&self.leaf), &self.path)
    }
}

/// The proof that a tree sorted by key has no leaf of some key: the two leaves between which it
/// would stand. At an end there is one, and none in an empty tree.
///
/// It holds as far as the leaves are sorted, each key once. A verifier that makes the tree anew
/// sees to that. The size may come with the proof: the right side of each path down to one leaf
/// and the left side of the other's meet in one node only in neighbours, whatever size is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// The leaf before; `None` if the key is below that of the first.
    pub before: Option<Member>,
    /// The leaf after; `None` if the key is above that of the last.
    pub after: Option<Member>,
}

impl Absence {
    /// The proof for a key that would stand at number `place`, given the leaf bytes by number; or
    /// `None` if `place` is past the tree or `leaf` does not have what the tree has.
    pub fn between(
        tree: &Levels,
        place: u64,
        mut leaf: impl FnMut(u64) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        let size = tree.head().size;
        let mut member =
            |index| Some(Member { index, leaf: leaf(index)?, path: tree.inclusion(index)? });
        let before = match place.checked_sub(1) {
            Some(index) => Some(member(index)?),
            None => None,
        };
        let after = if place == size { None } else { Some(member(place)?) };
        Some(Self { before, after })
    }
}

/// Which of the two leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// The one before the key.
    Before,
    /// The one after the key.
    After,
}

impl core::fmt::Display for Neighbour {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

/// Why a key may yet be in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AbsenceError {
    /// A leaf is not in the tree.
    #[error("the leaf {which} the key is not in the tree: {source}")]
    NotInTree {
        /// Which.
        which: Neighbour,
        /// Why.
        source: ProofError,
    },
    /// A leaf has no key that can be read.
    #[error("the leaf {0} the key cannot be read")]
    Unreadable(Neighbour),
    /// A leaf is on the wrong side of the key, or has that very key.
    #[error("the leaf {0} the key does not stand there")]
    Order(Neighbour),
    /// Leaves lie between the two, or beyond the one.
    #[error("the key may stand where the proof does not look: the leaves are not neighbours")]
    Gap,
}

/// Checks that a tree sorted by key has no leaf of this key. `key_of` reads the key of a leaf's
/// bytes, `None` if they are no leaf of such a tree.
///
/// # Errors
/// If that does not follow from the proof.
pub fn verify_absence<K: Ord>(
    prefixes: Prefixes,
    head: TreeHead,
    key: &K,
    key_of: impl Fn(&[u8]) -> Option<K>,
    absence: &Absence,
) -> Result<(), AbsenceError> {
    let check = |member: &Member, which| {
        let included = member.verify(prefixes, head);
        included.map_err(|source| AbsenceError::NotInTree { which, source })?;
        let found = key_of(&member.leaf).ok_or(AbsenceError::Unreadable(which))?;
        let in_order = match which {
            Neighbour::Before => found < *key,
            Neighbour::After => found > *key,
        };
        if in_order { Ok(()) } else { Err(AbsenceError::Order(which)) }
    };
    if let Some(before) = &absence.before {
        check(before, Neighbour::Before)?;
    }
    if let Some(after) = &absence.after {
        check(after, Neighbour::After)?;
    }
    let adjacent = match (&absence.before, &absence.after) {
        (Some(before), Some(after)) => before.index.checked_add(1) == Some(after.index),
        (None, Some(after)) => after.index == 0,
        (Some(before), None) => before.index.checked_add(1) == Some(head.size),
        (None, None) => head.size == 0 && head.root == empty_root(),
    };
    if adjacent { Ok(()) } else { Err(AbsenceError::Gap) }
}
