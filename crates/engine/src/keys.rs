//! Where the newest records used their keys, until the index has them written out.

use hashbrown::HashTable;

/// A generation of keys is closed once it has so many records.
const GENERATION: u64 = if cfg!(test) { 8 } else { 4_096 };

/// The bits of a number that says which trace a key leaves in its generation. All traces of one take
/// 64 kB, and stay near; a generation has some 50,000 keys before the index has them written out, and
/// so a trace in ten is there.
const TRACE_BITS: u32 = 19;

/// The bits of an entry that say where, past the beginning of its generation.
const OFFSET_BITS: u32 = 24;

/// Which of the newest records used a key, by the short form under which the index keeps it: a hit
/// is to be confirmed against its record.
///
/// In two generations: the older one is emptied at once when the index has all of it, which costs
/// less than key by key. Each command looks here first, and mostly for what is not here: that is
/// mostly told by its trace, without a look at the table.
#[derive(Debug)]
pub(crate) struct Keys {
    young: Generation,
    old: Generation,
}

#[derive(Debug)]
struct Generation {
    /// Where it begins.
    from: u64,
    /// A key of at most 40 bits, and below it how far past the beginning.
    uses: HashTable<u64>,
    /// A bit for each trace that some key left, also of those that were removed.
    traces: Box<[u64]>,
}

impl Generation {
    fn new(from: u64) -> Generation {
        let traces = vec![0; 1 << TRACE_BITS >> u64::BITS.ilog2()].into();
        Generation { from, uses: HashTable::new(), traces }
    }

    fn empty(&mut self, from: u64) {
        self.from = from;
        self.uses.clear();
        self.traces.fill(0);
    }

    /// Whether some record may have used the key with that spread.
    fn may_hold(&self, spread: u64) -> bool {
        let (word, bit) = trace(spread);
        self.traces[word] & bit != 0
    }

    fn entry(&self, key: u64, position: u64) -> u64 {
        let offset = position - self.from;
        // Or another key would be kept than the one that is looked for.
        assert!(offset < 1 << OFFSET_BITS, "whoever adds waits for the index long before");
        key << OFFSET_BITS | offset
    }

    fn insert(&mut self, key: u64, position: u64) {
        let entry = self.entry(key, position);
        let (word, bit) = trace(spread(key));
        self.traces[word] |= bit;
        self.uses.insert_unique(spread(key), entry, |entry| spread(entry >> OFFSET_BITS));
    }

    fn positions(&self, key: u64) -> impl Iterator<Item = u64> {
        let entries = self.uses.iter_hash(spread(key)).copied();
        let of_key = entries.filter(move |entry| entry >> OFFSET_BITS == key);
        of_key.map(|entry| self.from + (entry & ((1 << OFFSET_BITS) - 1)))
    }
}

impl Keys {
    /// No keys; the next record will be at `first`.
    pub(crate) fn new(first: u64) -> Keys {
        Keys { young: Generation::new(first), old: Generation::new(first) }
    }

    /// The keys of all records from here on are there.
    pub(crate) fn first(&self) -> u64 {
        self.old.from
    }

    /// How many records the younger generation has, if the next one will be at `next`.
    pub(crate) fn young(&self, next: u64) -> u64 {
        next - self.young.from
    }

    /// The record at `position`, after all others, uses a key.
    pub(crate) fn insert(&mut self, key: u64, position: u64) {
        self.young.insert(key, position);
    }

    /// The record at `position`, one of the last, is rolled back.
    pub(crate) fn remove(&mut self, key: u64, position: u64) {
        let entry = self.young.entry(key, position);
        if let Ok(found) = self.young.uses.find_entry(spread(key), |other| *other == entry) {
            found.remove();
        }
    }

    /// The records that may have used the key, in no order.
    pub(crate) fn positions(&self, key: u64) -> impl Iterator<Item = u64> {
        self.young.positions(key).chain(self.old.positions(key))
    }

    /// Whether some record may have used the key. Mostly none has, and this says so soonest.
    pub(crate) fn may_hold(&self, key: u64) -> bool {
        let spread = spread(key);
        self.young.may_hold(spread) || self.old.may_hold(spread)
    }

    /// Closes the young generation if it is large and the index, which is written out up to
    /// `written`, has all of the old one. Nothing of what is rolled back later may be in it.
    pub(crate) fn turn(&mut self, written: u64, next: u64) {
        if self.young(next) < GENERATION || written < self.young.from {
            return;
        }
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.empty(next);
        // What grew while the index lagged is given back: few keys scattered over much memory are
        // no longer near.
        let usual = 2 * self.old.uses.len();
        self.young.uses.shrink_to(usual, |entry| spread(entry >> OFFSET_BITS));
    }
}

/// A key for the hash table, which looks at the highest and the lowest bits.
const fn spread(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Which trace a key with that spread leaves: a bit of a word.
fn trace(spread: u64) -> (usize, u64) {
    let trace = spread >> (u64::BITS - TRACE_BITS);
    let word = usize::try_from(trace / u64::from(u64::BITS)).expect("it has few bits");
    (word, 1 << (trace % u64::from(u64::BITS)))
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
                let held = keys.young.uses.len() + keys.old.uses.len();
                prop_assert!(held as u64 <= 2 * (GENERATION + step));
                prop_assert!(next - keys.first() <= 2 * (GENERATION + step));
            }
        }
    }
}
