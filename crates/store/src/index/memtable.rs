//! The newest records of one table, in memory until they are written out as a run.

use std::ops::{ControlFlow, Range};

use super::columns::{Columns, Row};
use super::filter::KEY_BITS;
use super::table::Direction;

/// A memtable holds fewer records than this, and covers a shorter stretch of the log: a key and
/// where it is are sorted as one word.
pub(super) const MAX_RECORDS: usize = 1 << LOW_BITS;

/// What a key leaves of a word.
const LOW_BITS: u32 = u64::BITS - KEY_BITS;

/// So many rows are touched at once before they are shown.
const TOUCHED_AT_ONCE: usize = 16;

/// Records in the order of the log. Ids are not looked for here; lines of trails, which are seldom
/// asked for, are found by going along the column of keys: some 50 µs for 100,000 of them.
#[derive(Clone, Debug)]
pub(super) struct Memtable {
    columns: Columns,
}

impl Memtable {
    /// An empty table with room for this many records: growing would stall those who look
    /// something up meanwhile.
    pub(super) fn with_room(records: usize) -> Self {
        let mut columns = Columns::default();
        columns.reserve(records);
        Self { columns }
    }

    /// Empties the table and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.columns.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the records take.
    pub(super) fn filled_bytes(&self) -> usize {
        self.columns.filled_bytes()
    }

    /// The memory that the table takes, in bytes, with the room that it keeps.
    pub(super) fn resident_bytes(&self) -> usize {
        self.columns.resident_bytes()
    }

    /// Adds ids, none of them below an earlier position. A key twice at one position counts once.
    pub(super) fn insert_keys(&mut self, added: impl Iterator<Item = (u64, u64)>) {
        for (key, position) in added {
            let positions = self.columns.positions().iter().rev();
            let here = positions.take_while(|other| **other == position).count();
            if !self.columns.keys()[self.len() - here..].contains(&key) {
                self.columns.push_key(key, position);
            }
        }
    }

    /// Adds lines of trails, none of them below an earlier position.
    pub(super) fn insert_lines(&mut self, added: &Columns) {
        self.columns.extend(added);
    }

    /// Shows the lines of one key in a range of positions, until told to stop.
    pub(super) fn visit(
        &self,
        key: u64,
        positions: &Range<u64>,
        direction: Direction,
        mut visit: impl FnMut(u64, Row<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let columns = &self.columns;
        let before = |bound| columns.positions().partition_point(|position| *position < bound);
        let within = before(positions.start)..before(positions.end);
        direction.over(within, |record| {
            if columns.keys()[record] != key {
                return ControlFlow::Continue(());
            }
            visit(columns.positions()[record], columns.row(record))
        })
    }

    /// All records in the order of keys and positions: a key, and in the low bits where it is.
    pub(super) fn sorted(&self, order: &mut Order) {
        // Records are in the order of positions: that of the low bits is the order within a key.
        let key = |key: &u64| key << LOW_BITS;
        let Order { words, spare } = order;
        words.clear();
        if self.columns.has_rows() {
            words.extend(self.columns.keys().iter().map(key).zip(0..).map(|(key, at)| key | at));
        } else {
            let first = self.first_position();
            let past = self.columns.positions().iter().map(|position| position - first);
            words.extend(self.columns.keys().iter().map(key).zip(past).map(|(key, at)| key | at));
        }
        sort_by_key(words, spare);
    }

    fn first_position(&self) -> u64 {
        self.columns.positions().first().copied().unwrap_or_default()
    }

    /// Shows every record in the order of keys and positions, until the visitor fails.
    pub(super) fn visit_sorted<E>(
        &self,
        order: &mut Order,
        mut visit: impl FnMut(u64, u64, Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.sorted(order);
        // In this order rows lie anywhere. Some are touched before they are shown, so that the
        // misses of the cache overlap: one by one they cost more than all the rest.
        for some in order.words.chunks(TOUCHED_AT_ONCE) {
            std::hint::black_box(some.iter().fold(0, |touched, sorted| {
                let (_, position, Row { numbers, .. }) = self.record(*sorted);
                let ends = [numbers.first(), numbers.last()].map(|end| end.copied().unwrap_or(0));
                touched ^ position.cast_signed() ^ ends[0] ^ ends[1]
            }));
            for sorted in some {
                let (key, position, row) = self.record(*sorted);
                visit(key, position, row)?;
            }
        }
        Ok(())
    }

    /// Key, position and row of a record that [`sorted`](Self::sorted) tells of.
    #[inline]
    pub(super) fn record(&self, sorted: u64) -> (u64, u64, Row<'_>) {
        let key = sorted >> LOW_BITS;
        let low = sorted & (MAX_RECORDS as u64 - 1);
        if self.columns.has_rows() {
            let number = usize::try_from(low).unwrap_or_default();
            (key, self.columns.positions()[number], self.columns.row(number))
        } else {
            (key, self.first_position() + low, Row::default())
        }
    }
}

/// The order in which a memtable is shown, and memory to make it.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) words: Vec<u64>,
    spare: Vec<u64>,
}

/// Sorts words by their keys; those of one key keep their order. A radix sort: twice as fast here
/// as one that compares.
fn sort_by_key(words: &mut Vec<u64>, spare: &mut Vec<u64>) {
    spare.resize(words.len(), 0);
    // Digits are bytes, lowest first; those below the key are in order.
    for byte in LOW_BITS as usize / 8..8 {
        let digit = |word: u64| usize::from(word.to_le_bytes()[byte]);
        let mut next = [0_usize; 256];
        for word in &*words {
            next[digit(*word)] += 1;
        }
        if next.contains(&words.len()) {
            continue;
        }
        let mut start = 0;
        for next in &mut next {
            start += std::mem::replace(next, start);
        }
        for word in &*words {
            let next = &mut next[digit(*word)];
            spare[*next] = *word;
            *next += 1;
        }
        std::mem::swap(words, spare);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_are_sorted_by_key_and_then_as_they_came(
            keys in prop::collection::vec(prop_oneof![0_u64..4, 0_u64..1 << KEY_BITS], 0..300),
        ) {
            let mut words: Vec<u64> =
                keys.iter().zip(0..).map(|(key, at)| (key << LOW_BITS) | at).collect();
            let mut expected = words.clone();
            expected.sort_unstable();
            sort_by_key(&mut words, &mut vec![7; 3]);
            prop_assert_eq!(words, expected);
        }
    }
}
