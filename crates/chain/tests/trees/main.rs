//! Merkle trees, their proofs and their tiles, against implementations of others.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod absence;
mod others;
mod served;
mod tampering;
mod tiles;

use std::collections::BTreeMap;
use std::convert::Infallible;

use bergulir_chain::Hash;
use bergulir_chain::merkle::{HashSource, Levels, Prefixes, Subtree};

const RFC: Prefixes = Prefixes::RFC_6962;

/// Leaves that are all different.
fn leaf(index: u64) -> Vec<u8> {
    format!("record {index}").into_bytes()
}

fn levels(size: u64) -> Levels {
    let mut levels = Levels::new(RFC);
    (0..size).for_each(|index| levels.push(&leaf(index)));
    levels
}

/// A tree of any size in no memory: all leaves are the same, save some.
struct Sparse {
    rows: [Hash; 64],
    special: BTreeMap<u64, Hash>,
    reads: usize,
}

impl Sparse {
    fn new(special: impl IntoIterator<Item = u64>) -> Self {
        let mut rows = [RFC.leaf_hash(b"the same"); 64];
        for level in 1..64 {
            rows[level] = RFC.node_hash(rows[level - 1], rows[level - 1]);
        }
        let special = special.into_iter().map(|index| (index, RFC.leaf_hash(&leaf(index))));
        Self { rows, special: special.collect(), reads: 0 }
    }

    fn get(&self, Subtree { level, index }: Subtree) -> Hash {
        let first = index << level;
        if self.special.range(first..=first + ((1 << level) - 1)).next().is_none() {
            return self.rows[usize::from(level)];
        }
        if level == 0 {
            return self.special[&index];
        }
        let child = |side| self.get(Subtree { level: level - 1, index: index * 2 + side });
        RFC.node_hash(child(0), child(1))
    }
}

impl HashSource for Sparse {
    type Error = Infallible;

    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Infallible> {
        self.reads += 1;
        Ok(self.get(subtree))
    }
}

/// Sizes up to 2^63, with those where something changes more often.
fn any_size() -> impl proptest::strategy::Strategy<Value = u64> {
    use proptest::prelude::*;
    prop_oneof![
        1..1_000_u64,
        1..(1_u64 << 40),
        1..=(1_u64 << 63),
        (0..63_u32, -2..=2_i64)
            .prop_map(|(power, near)| (1_u64 << power).saturating_add_signed(near).max(1)),
    ]
}
