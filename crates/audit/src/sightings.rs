//! Where a key was seen, for as many keys as a log has records, in eleven bytes each.

use std::hash::{BuildHasher, Hash};
use std::hint::black_box;

use foldhash::quality::RandomState;

/// Positions by key, without the keys: a short tag of each says that a position may be the key's,
/// and its record has to confirm it.
///
/// A table of fixed size with linear probing. A slot is a tag of 24 bits and a position plus one
/// of 40; zero is free. The hash is another one in each run, so that a caller who chooses request
/// ids cannot make them fall together.
#[derive(Debug)]
pub(crate) struct Sightings {
    slots: Vec<u64>,
    used: usize,
    hasher: RandomState,
}

const POSITION_BITS: u32 = 40;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;
const TAG_MASK: u64 = !POSITION_MASK;

/// There are more keys than the table was made for, or a position is past 2^40 - 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Sightings {
    /// A table for so many keys. Its memory is taken from the system as it fills.
    pub(crate) fn new(keys: u64) -> Sightings {
        let keys = usize::try_from(keys).unwrap_or(usize::MAX / 16);
        // Three quarters full, a search for what is not there looks at nine slots: two cache lines.
        Sightings { slots: vec![0; keys + keys / 3 + 8], used: 0, hasher: RandomState::default() }
    }

    pub(crate) fn hash(&self, key: &impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Reads where a key with this hash is looked for, ahead of looking: the table is large, and
    /// the reads for several keys do not wait for each other.
    pub(crate) fn look_ahead(&self, hash: u64) {
        black_box(self.probe(hash).next().map(|slot| self.slots[slot]));
    }

    /// The positions that may be those of a key with this hash, in no order.
    pub(crate) fn candidates(&self, hash: u64) -> impl Iterator<Item = u64> {
        let slots = self.probe(hash).map(|slot| self.slots[slot]);
        slots
            .take_while(|slot| *slot != 0)
            .filter(move |slot| slot & TAG_MASK == tag(hash))
            .map(|slot| (slot & POSITION_MASK) - 1)
    }

    /// Adds a position of a key with this hash.
    pub(crate) fn insert(&mut self, hash: u64, position: u64) -> Result<(), Full> {
        // One slot stays free, where every search ends.
        if self.used + 1 >= self.slots.len() || position >= POSITION_MASK {
            return Err(Full);
        }
        let free = self.probe(hash).find(|slot| self.slots[*slot] == 0);
        let free = free.expect("a slot is free");
        self.slots[free] = tag(hash) | (position + 1);
        self.used += 1;
        Ok(())
    }

    fn probe(&self, hash: u64) -> impl Iterator<Item = usize> {
        let length = self.slots.len();
        let start = (u128::from(hash) * length as u128) >> u64::BITS;
        let start = usize::try_from(start).expect("below the length");
        (start..length).chain(0..start)
    }
}

/// The low bits of the hash; its high bits choose the slot.
fn tag(hash: u64) -> u64 {
    hash << POSITION_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_of_a_key_is_found_and_few_others() {
        let mut sightings = Sightings::new(10_000);
        for position in 0..10_000_u64 {
            let hash = sightings.hash(&(position / 2));
            sightings.insert(hash, position).unwrap();
        }
        let mut others = 0;
        for key in 0..5_000_u64 {
            let found: Vec<u64> = sightings.candidates(sightings.hash(&key)).collect();
            assert!(found.contains(&(2 * key)) && found.contains(&(2 * key + 1)));
            others += found.len() - 2;
        }
        for key in 5_000..10_000_u64 {
            others += sightings.candidates(sightings.hash(&key)).count();
        }
        assert!(others < 5, "{others} of 10,000 need a look at a record in vain");
    }

    /// There are two such tables, and 10 million records must be verified within 300 MiB beside the
    /// state.
    #[test]
    fn a_key_takes_eleven_bytes() {
        let keys = 1_000_000;
        let table = Sightings::new(keys);
        let bytes = (table.slots.capacity() * size_of::<u64>()) as u64;
        assert!(bytes <= 11 * keys, "{bytes} bytes for {keys} keys");
    }

    #[test]
    fn a_full_table_says_so() {
        let mut sightings = Sightings::new(0);
        let hash = |p: u64| p << 60 | p;
        let taken = (0..100).take_while(|p| sightings.insert(hash(*p), *p).is_ok());
        assert_eq!(taken.count(), 7);
        assert_eq!(sightings.candidates(hash(5)).count(), 1, "a search still ends");
        assert_eq!(Sightings::new(10).insert(0, POSITION_MASK), Err(Full));
    }
}
