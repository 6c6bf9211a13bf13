//! The newest records of one table, in memory until they are written out as a run.

use std::ops::{ControlFlow, Range};

use super::columns::{Columns, Numbers, Row};
use super::hasher::KEY_BITS;
use super::numbers::MAX_NUMBERS;
use super::table::Direction;

/// A memtable holds fewer ids, or words of lines, than this, and covers a shorter stretch of the log:
/// a key and where it is are sorted as one word.
pub(super) const MAX_RECORDS: usize = 1 << LOW_BITS;

/// What a key leaves of a word.
const LOW_BITS: u32 = u64::BITS - KEY_BITS;
const LOW: u64 = MAX_RECORDS as u64 - 1;

/// So many lines are touched at once before they are shown.
const TOUCHED_AT_ONCE: usize = 16;

/// The newest records of a table of ids, or of the trails.
#[derive(Clone, Debug)]
pub(super) enum Memtable {
    /// Ids are not looked for here: each is a word as it is sorted, in the order of the log.
    Ids {
        /// The position of the first.
        first: u64,
        words: Vec<u64>,
    },
    /// Lines, which are seldom asked for, are found by going along the column of owners.
    Lines(Columns),
}

impl Memtable {
    /// An empty table; one of ids with room for this many: growing would stall those who look
    /// something up meanwhile.
    pub(super) fn new(is_of_lines: bool, room: usize) -> Self {
        if is_of_lines {
            Self::Lines(Columns::default())
        } else {
            Self::Ids { first: 0, words: Vec::with_capacity(room) }
        }
    }

    /// Empties the table and keeps its memory.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Ids { words, .. } => words.clear(),
            Self::Lines(lines) => lines.clear(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ids { words, .. } => words.len(),
            Self::Lines(lines) => lines.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the records take.
    pub(super) fn filled_bytes(&self) -> usize {
        match self {
            Self::Ids { words, .. } => size_of_val(words.as_slice()),
            Self::Lines(lines) => lines.filled_bytes(),
        }
    }

    /// The memory that the table takes, in bytes, with the room that it keeps.
    pub(super) fn resident_bytes(&self) -> usize {
        match self {
            Self::Ids { words, .. } => words.capacity() * size_of::<u64>(),
            Self::Lines(lines) => lines.resident_bytes(),
        }
    }

    /// Adds ids, none of them below an earlier position. A key twice at one position counts once.
    pub(super) fn insert_keys(&mut self, added: impl Iterator<Item = (u64, u64)>) {
        let Self::Ids { first, words } = self else { return };
        for (key, position) in added {
            if words.is_empty() {
                *first = position;
            }
            let word = key << LOW_BITS | (position - *first);
            let is_here = |other: &&u64| (**other ^ word) & LOW == 0;
            if !words.iter().rev().take_while(is_here).any(|other| *other == word) {
                words.push(word);
            }
        }
    }

    /// Adds lines of trails, none of them below an earlier position.
    pub(super) fn insert_lines(&mut self, added: &Columns) {
        if let Self::Lines(lines) = self {
            lines.extend(added);
        }
    }

    /// Shows the lines of one owner in a range of positions, until told to stop.
    pub(super) fn visit(
        &self,
        owner: u64,
        positions: &Range<u64>,
        direction: Direction,
        mut visit: impl FnMut(u64, Row<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Self::Lines(lines) = self else { return ControlFlow::Continue(()) };
        let Ok(owner) = u32::try_from(owner) else { return ControlFlow::Continue(()) };
        let mut within = lines.before(positions.start)..lines.before(positions.end);
        let mut numbers = [0; MAX_NUMBERS];
        while let Some(line) = lines.next_of(owner, &mut within, direction) {
            let start = lines.starts()[line];
            visit(lines.position(start), lines.row(start, &mut numbers))?;
        }
        ControlFlow::Continue(())
    }

    /// All records in the order of keys and positions: a key, and in the low bits where it is.
    pub(super) fn sorted(&self, order: &mut Order) {
        // Records are in the order of positions: that of the low bits is the order within a key.
        let Order { words, spare } = order;
        match self {
            Self::Ids { words: ids, .. } => sort_scattered(ids, words),
            Self::Lines(lines) => {
                let lines = lines.owners().iter().zip(lines.starts());
                let word = |(owner, start): (&u32, &u32)| {
                    u64::from(*owner) << LOW_BITS | u64::from(*start)
                };
                words.clear();
                words.extend(lines.map(word));
                sort_owners(words, spare);
            }
        }
    }

    /// Shows every record in the order of keys and positions, until the visitor fails.
    pub(super) fn visit_sorted<E>(
        &self,
        order: &mut Order,
        mut visit: impl FnMut(u64, u64, Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.sorted(order);
        let Self::Lines(lines) = self else {
            return order.words.iter().try_for_each(|sorted| {
                let (key, position) = self.at(*sorted);
                visit(key, position, Row::EMPTY)
            });
        };
        let mut numbers = [0; MAX_NUMBERS];
        // In this order lines lie anywhere. Some are touched before they are shown, so that the
        // misses of the cache overlap: one by one they cost more than all the rest.
        for some in order.words.chunks(TOUCHED_AT_ONCE) {
            let touched = some.iter().map(|sorted| lines.touch(low(*sorted)));
            std::hint::black_box(touched.fold(0, |all, one| all ^ one));
            for sorted in some {
                let (key, position) = self.at(*sorted);
                visit(key, position, lines.row(low(*sorted), &mut numbers))?;
            }
        }
        Ok(())
    }

    /// Key and position of a record that [`sorted`](Self::sorted) tells of.
    #[inline]
    pub(super) fn at(&self, sorted: u64) -> (u64, u64) {
        let position = match self {
            Self::Ids { first, .. } => first + (sorted & LOW),
            Self::Lines(lines) => lines.position(low(sorted)),
        };
        (sorted >> LOW_BITS, position)
    }

    /// What such a record says.
    pub(super) fn row<'a>(&self, sorted: u64, numbers: &'a mut Numbers) -> Row<'a> {
        match self {
            Self::Ids { .. } => Row::EMPTY,
            Self::Lines(lines) => lines.row(low(sorted), numbers),
        }
    }
}

/// The low bits of a word.
fn low(sorted: u64) -> u32 {
    u32::try_from(sorted & LOW).unwrap_or_default()
}

/// The order in which a memtable is shown, and memory to make it.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) words: Vec<u64>,
    spare: Vec<u64>,
}

/// The bits of a word that are sorted by in one pass: the counts of all values stay in the near
/// caches.
const DIGIT_BITS: u32 = 16;

/// Copies words whose keys are spread evenly, as those of ids are, into their order: one pass by the
/// highest bits, after which few that share them are left to be sorted.
fn sort_scattered(words: &[u64], sorted: &mut Vec<u64>) {
    let mut start = 0;
    for end in by_digit(words, sorted, u64::BITS - DIGIT_BITS) {
        let end = end as usize;
        if end - start > 1 {
            sorted[start..end].sort_unstable();
        }
        start = end;
    }
}

/// Sorts words by their owners; those of one owner keep their order.
fn sort_owners(words: &mut Vec<u64>, spare: &mut Vec<u64>) {
    for shift in [LOW_BITS, LOW_BITS + DIGIT_BITS] {
        by_digit(words, spare, shift);
        std::mem::swap(words, spare);
    }
}

/// Copies words into the order of one of their digits, those that share one as they came; tells
/// where those of each digit end.
fn by_digit(words: &[u64], sorted: &mut Vec<u64>, shift: u32) -> Vec<u32> {
    let digit = |word: u64| (word >> shift & ((1 << DIGIT_BITS) - 1)) as usize;
    let mut next = vec![0_u32; 1 << DIGIT_BITS];
    for word in words {
        next[digit(*word)] += 1;
    }
    let mut start = 0;
    for next in &mut next {
        start += std::mem::replace(next, start);
    }
    sorted.resize(words.len(), 0);
    for word in words {
        let next = &mut next[digit(*word)];
        sorted[*next as usize] = *word;
        *next += 1;
    }
    next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(keys: impl IntoIterator<Item = u64>) -> Vec<u64> {
        keys.into_iter().zip(0..).map(|(key, at)| (key << LOW_BITS) | at).collect()
    }

    fn in_order(mut words: Vec<u64>) -> Vec<u64> {
        words.sort_unstable();
        words
    }

    proptest! {
        #[test]
        fn words_are_sorted_by_key_and_then_as_they_came(
            keys in prop::collection::vec(prop_oneof![0_u64..4, 0_u64..1 << KEY_BITS], 0..300),
        ) {
            let words = words(keys);
            let mut sorted = vec![7; 3];
            sort_scattered(&words, &mut sorted);
            prop_assert_eq!(sorted, in_order(words));
        }

        #[test]
        fn lines_are_sorted_by_owner_and_then_as_they_came(
            owners in prop::collection::vec(prop_oneof![0_u32..4, any::<u32>()], 0..300),
        ) {
            let mut words = words(owners.into_iter().map(u64::from));
            let expected = in_order(words.clone());
            sort_owners(&mut words, &mut vec![7; 3]);
            prop_assert_eq!(words, expected);
        }
    }
}
