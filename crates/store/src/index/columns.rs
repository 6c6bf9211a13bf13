//! Lines of trails in memory: what a batch brings, and what a memtable holds.

use std::ops::Range;

use super::numbers::MAX_NUMBERS;
use super::table::Direction;

/// The numbers of a line, each in its place. Those that are zero may have anything there.
pub(super) type Numbers = [i64; MAX_NUMBERS];

/// What a line of a trail says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) tag: u8,
    /// How many numbers there are.
    pub(super) count: u8,
    /// A bit for each that is not zero: only those are to be read.
    pub(super) filled: u64,
    pub(super) numbers: &'a Numbers,
}

impl Row<'_> {
    /// What a record of a table without lines says.
    pub(super) const EMPTY: Self = Self { tag: 0, count: 0, filled: 0, numbers: &[0; MAX_NUMBERS] };

    /// All numbers, those that are zero with them.
    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = i64> + '_ {
        let numbers = self.numbers[..usize::from(self.count)].iter().enumerate();
        numbers.map(|(at, number)| if self.filled >> at & 1 == 1 { *number } else { 0 })
    }
}

/// What a line of a trail says: a tag, whose meaning is the caller's, and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What was given as the tag.
    pub tag: u8,
    /// The numbers.
    pub numbers: Vec<i64>,
}

impl From<Row<'_>> for Line {
    fn from(row: Row<'_>) -> Self {
        Self { tag: row.tag, numbers: row.all().collect() }
    }
}

/// Lines in the order of the log.
///
/// A line is a row of words: its position, tag and count; which numbers are not zero; and those
/// numbers. So who reads a line waits for one place in memory. Zeros, about half of the numbers, take no
/// room.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    owners: Vec<u32>,
    /// Where each line begins.
    starts: Vec<u32>,
    words: Vec<i64>,
}

/// So many owners are looked at together.
const PIECE: usize = 64;

/// The bits of the first word that are the tag and the count: a log has fewer than 2^48 records.
const FORM_BITS: u32 = 16;

impl Columns {
    pub(super) fn clear(&mut self) {
        self.owners.clear();
        self.starts.clear();
        self.words.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.owners.len()
    }

    /// Takes the next line of an owner out of a range of lines.
    pub(super) fn next_of(
        &self,
        owner: u32,
        within: &mut Range<usize>,
        direction: Direction,
    ) -> Option<usize> {
        let owners = &self.owners[within.clone()];
        // Owners of a piece are compared several at a time.
        let count = |piece: &[u32]| piece.iter().map(|one| u32::from(*one == owner)).sum::<u32>();
        let holds = |piece: &[u32]| count(piece) > 0;
        match direction {
            Direction::OldestFirst => {
                let piece = owners.chunks(PIECE).position(holds);
                within.start = piece.map_or(within.end, |piece| within.start + piece * PIECE);
            }
            Direction::NewestFirst => {
                let piece = owners.rchunks(PIECE).position(holds);
                within.end = piece.map_or(within.start, |piece| within.end - piece * PIECE);
            }
        }
        std::iter::from_fn(|| direction.next(within)).find(|line| self.owners[*line] == owner)
    }

    pub(super) fn owners(&self) -> &[u32] {
        &self.owners
    }

    /// Where each line begins, which stands for it.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// How many words all lines take.
    pub(super) fn words(&self) -> usize {
        self.words.len()
    }

    /// In the order of the log.
    pub(super) fn positions(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.starts.iter().map(|start| self.position(*start))
    }

    /// How many lines are at positions below this one.
    pub(super) fn before(&self, position: u64) -> usize {
        self.starts.partition_point(|start| self.position(*start) < position)
    }

    #[inline]
    pub(super) fn position(&self, start: u32) -> u64 {
        self.words[start as usize].cast_unsigned() >> FORM_BITS
    }

    /// What a line says; its numbers are put where they are wanted.
    #[inline]
    pub(super) fn row<'a>(&self, start: u32, numbers: &'a mut Numbers) -> Row<'a> {
        let (form, filled, all) = match &self.words[start as usize..] {
            [form, filled, all @ ..] => (form.to_le_bytes(), filled.cast_unsigned(), all),
            _ => unreachable!("a line has its first two words"),
        };
        let mut left = filled;
        for number in all {
            if left == 0 {
                break;
            }
            numbers[left.trailing_zeros() as usize % MAX_NUMBERS] = *number;
            left &= left - 1;
        }
        Row { tag: form[1], count: form[0], filled, numbers }
    }

    /// Reads what showing a line is going to read: some ten words, in two lines of the cache.
    #[inline]
    pub(super) fn touch(&self, start: u32) -> i64 {
        let start = start as usize;
        let last = self.words.len() - 1;
        self.words[start] ^ self.words[(start + 8).min(last)]
    }

    /// Adds a line, in the place of the one that the same owner has at this position.
    pub(super) fn push(&mut self, owner: u32, position: u64, tag: u8, numbers: &[i64]) {
        let count = u8::try_from(numbers.len()).expect("a batch takes no longer line");
        let start = self.begin(position, tag, count);
        let first = self.words.len();
        self.words.extend_from_slice(numbers);
        let kept = &mut self.words[first..];
        let (mut filled, mut count) = (0, 0);
        for (at, number) in numbers.iter().enumerate() {
            // Mostly the same numbers are zero as in the line before, so this is guessed well.
            if *number != 0 {
                kept[count] = *number;
                count += 1;
                filled |= 1 << at;
            }
        }
        self.words.truncate(first + count);
        self.words[first - 1] = filled;
        self.finish(owner, position, start);
    }

    /// The same for a line that was read.
    pub(super) fn push_row(&mut self, owner: u32, position: u64, row: Row<'_>) {
        let start = self.begin(position, row.tag, row.count);
        let mut left = row.filled;
        if let Some(filled) = self.words.last_mut() {
            *filled = left.cast_signed();
        }
        while left != 0 {
            self.words.push(row.numbers[left.trailing_zeros() as usize]);
            left &= left - 1;
        }
        self.finish(owner, position, start);
    }

    /// The first words of a line, of which the second is left to be set.
    fn begin(&mut self, position: u64, tag: u8, count: u8) -> u32 {
        let start = u32::try_from(self.words.len()).expect("written out long before 2^32");
        let form = position << FORM_BITS | u64::from(tag) << 8 | u64::from(count);
        self.words.extend_from_slice(&[form.cast_signed(), 0]);
        start
    }

    fn finish(&mut self, owner: u32, position: u64, start: u32) {
        let mut before = self.owners.len();
        while before > 0 && self.position(self.starts[before - 1]) == position {
            before -= 1;
            if self.owners[before] == owner {
                self.starts[before] = start;
                return;
            }
        }
        self.owners.push(owner);
        self.starts.push(start);
    }

    /// Adds all lines of other columns, which come after these.
    pub(super) fn extend(&mut self, other: &Self) {
        let past = u32::try_from(self.words.len()).expect("written out long before 2^32");
        self.owners.extend_from_slice(&other.owners);
        self.starts.extend(other.starts.iter().map(|start| start + past));
        self.words.extend_from_slice(&other.words);
    }

    /// The bytes that the lines take.
    pub(super) fn filled_bytes(&self) -> usize {
        self.owners.len() * 2 * size_of::<u32>() + self.words.len() * size_of::<i64>()
    }

    /// The memory that the columns take, in bytes, with the room that they keep.
    pub(super) fn resident_bytes(&self) -> usize {
        (self.owners.capacity() + self.starts.capacity()) * size_of::<u32>()
            + self.words.capacity() * size_of::<i64>()
    }
}

/// Numbers in their places, and which of them are not zero.
#[cfg(test)]
pub(super) fn placed(all: &[i64]) -> (u64, Numbers) {
    // What is not filled is not read.
    let mut numbers = [0x5a5a; MAX_NUMBERS];
    let mut filled = 0;
    for (at, number) in all.iter().enumerate().filter(|(_, number)| **number != 0) {
        numbers[at] = *number;
        filled |= 1 << at;
    }
    (filled, numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_lines_of_an_owner_are_found_from_either_end(
            owners in prop::collection::vec(prop_oneof![99 => 2..9_u32, 1 => Just(1)], 0..600),
            within in (0_usize..200, 0_usize..600),
        ) {
            let mut lines = Columns::default();
            for (owner, position) in owners.iter().zip(7..) {
                lines.push(*owner, position, 1, &[]);
            }
            let end = within.1.min(owners.len());
            let within = within.0.min(end)..end;
            let mut expected: Vec<_> = within.clone().filter(|line| owners[*line] == 1).collect();
            for direction in [Direction::OldestFirst, Direction::NewestFirst] {
                let mut left = within.clone();
                let found = std::iter::from_fn(|| lines.next_of(1, &mut left, direction));
                prop_assert_eq!(found.collect::<Vec<_>>(), expected.clone());
                expected.reverse();
            }
        }
    }
}
