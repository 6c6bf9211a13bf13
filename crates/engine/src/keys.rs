//! Where the newest records used their keys, until the index has them.

use hashbrown::HashMap;
use std::hash::Hash;

/// A generation of keys is closed once it has so many records: few enough that all of them stay in
/// the nearest caches, where each command looks for its keys first.
const GENERATION: u64 = if cfg!(test) { 8 } else { 4_096 };

/// Which of the newest records used a key. In two generations: the older one is emptied at once
/// when the index has all of it, which costs less than key by key.
#[derive(Debug)]
pub(crate) struct Keys<K> {
    young: HashMap<K, u64>,
    old: HashMap<K, u64>,
    /// Where the generations begin.
    young_from: u64,
    old_from: u64,
    /// Which record used the key of a record before it, if one of these did.
    earlier: HashMap<u64, u64>,
}

impl<K: Copy + Eq + Hash> Keys<K> {
    /// No keys; the next record will be at `first`.
    pub(crate) fn new(first: u64) -> Keys<K> {
        Keys {
            young: HashMap::new(),
            old: HashMap::new(),
            young_from: first,
            old_from: first,
            earlier: HashMap::new(),
        }
    }

    /// The keys of all records from here on are there.
    pub(crate) fn first(&self) -> u64 {
        self.old_from
    }

    /// The record at `position`, after all others, uses a key.
    pub(crate) fn insert(&mut self, key: K, position: u64) {
        let before = self.young.insert(key, position);
        let before = before.or_else(|| self.old.get(&key).copied());
        if let Some(before) = before {
            self.earlier.insert(position, before);
        }
    }

    /// The record at `position`, the last one, is rolled back.
    pub(crate) fn remove(&mut self, key: K, position: u64) {
        match self.earlier.remove(&position) {
            Some(before) => self.young.insert(key, before),
            None => self.young.remove(&key),
        };
    }

    /// The records that used the key, the newest first.
    pub(crate) fn positions(&self, key: &K) -> impl Iterator<Item = u64> {
        let last = self.young.get(key).or_else(|| self.old.get(key));
        std::iter::successors(last.copied(), |position| self.earlier.get(position).copied())
    }

    /// Closes the young generation if it is large and the index, which reaches to `indexed`, has
    /// all of the old one.
    pub(crate) fn turn(&mut self, indexed: u64, next: u64) {
        if next - self.young_from < GENERATION || indexed < self.young_from {
            return;
        }
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
        // What grew beyond a generation's size while the index lagged is given back: few keys
        // scattered over much memory are no longer near.
        self.young.shrink_to(usize::try_from(2 * GENERATION).unwrap_or(usize::MAX));
        self.old_from = std::mem::replace(&mut self.young_from, next);
        let first = self.old_from;
        self.earlier.retain(|position, _| *position >= first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Keys that the index has do not stay for ever.
        #[test]
        fn old_keys_are_dropped(step in 1_u64..8) {
            let mut keys = Keys::new(0);
            for next in 0..100 * step {
                keys.insert(next % 3, next);
                if next % step == 0 {
                    keys.turn(next + 1, next + 1);
                }
                prop_assert!(keys.young.len() + keys.old.len() <= 6);
                prop_assert!(keys.earlier.len() as u64 <= 2 * (GENERATION + step));
                prop_assert!(next - keys.first() <= 2 * (GENERATION + step));
            }
        }
    }
}
