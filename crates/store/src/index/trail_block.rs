//! The bytes of one block of trails: each line as what changed since the line of the same owner
//! before it, so a block is read from its beginning.
//!
//! After the checksum that every value has: a position from which others are counted (8 bytes,
//! little-endian) and the number of lines (2 bytes); then each line, all but its changes as LEB128:
//!
//! - header: 1 if the owner is another one than before (as it is for the first line), plus 2 if
//!   tag and number of numbers follow, plus 4 × the bits of the numbers that changed;
//! - for another owner: its key, and the position less the one at the beginning; for the same
//!   one: how many positions after its line before;
//! - tag and number of numbers, a byte each, if the header says so: the base of the changes is then
//!   zero, otherwise it is the line before;
//! - the changes: see [`numbers`](super::numbers).
//!
//! Nothing in a block refers to what is outside of it, so that a merge can take it over as it is.

use super::IndexError;
use super::blocks::{Body, MAX_BODY_BYTES};
use super::columns::{Numbers, Row};
use super::numbers::{LineBytes, MAX_NUMBERS, skip_differences, take_differences};
use crate::varint::take_varint;

const FROM_BYTES: usize = 8;
const HEADER_BYTES: usize = FROM_BYTES + 2;
const OTHER_OWNER: u64 = 1;
const OTHER_FORM: u64 = 2;
const FLAG_BITS: u32 = 2;

/// A line, as the base of the one after it.
#[derive(Clone, Debug)]
struct Base {
    key: u64,
    position: u64,
    tag: u8,
    count: u8,
    /// A bit for each number that is not zero: there may be anything in the place of the others.
    filled: u64,
    numbers: Numbers,
}

impl Base {
    const NONE: Self =
        Self { key: 0, position: 0, tag: 0, count: 0, filled: 0, numbers: [0; MAX_NUMBERS] };

    #[inline]
    fn number(&self, at: usize) -> i64 {
        if self.filled >> at & 1 == 1 { self.numbers[at] } else { 0 }
    }

    #[inline]
    fn set(&mut self, at: usize, number: i64) {
        self.numbers[at] = number;
        self.filled = self.filled & !(1 << at) | u64::from(number != 0) << at;
    }
}

/// Collects sorted lines until a block is full.
#[derive(Debug)]
pub(super) struct TrailBlockBuilder {
    from: u64,
    first: Option<(u64, u64)>,
    count: u16,
    lines: LineBytes,
    base: Base,
    differences: Numbers,
}

impl TrailBlockBuilder {
    /// For a run that covers positions beginning at `from`.
    pub(super) fn new(from: u64) -> Self {
        let (lines, differences) = (LineBytes::new(), [0; MAX_NUMBERS]);
        Self { from, first: None, count: 0, lines, base: Base::NONE, differences }
    }

    /// The first key and position.
    pub(super) const fn first(&self) -> Option<(u64, u64)> {
        self.first
    }

    /// Adds a line that sorts after all before it; false if it has no room.
    pub(super) fn push(&mut self, key: u64, position: u64, row: Row<'_>) -> bool {
        let Self { base, lines, .. } = self;
        let before = lines.len();
        let is_other = self.first.is_none() || base.key != key;
        let is_other_form = is_other || base.tag != row.tag || base.count != row.count;
        if is_other_form {
            base.filled = 0;
        }
        // How the numbers differ, and the base for the next line: if this one has no room, the next
        // one begins a block, and has none.
        let (mut changes, mut changed) = (0, 0);
        let mut left = base.filled | row.filled;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            let number = if row.filled >> at & 1 == 1 { row.numbers[at] } else { 0 };
            let difference = number.wrapping_sub(base.number(at));
            base.numbers[at] = number;
            self.differences[changed] = difference;
            changed += usize::from(difference != 0);
            changes |= u64::from(difference != 0) << at;
        }
        base.filled = row.filled;

        let flags = (u64::from(is_other) * OTHER_OWNER) | (u64::from(is_other_form) * OTHER_FORM);
        lines.put_varint((changes << FLAG_BITS) | flags);
        if is_other {
            lines.put_varint(key);
            lines.put_varint(position.wrapping_sub(self.from));
        } else {
            lines.put_varint(position.wrapping_sub(base.position));
        }
        if is_other_form {
            lines.put_byte(row.tag);
            lines.put_byte(row.count);
        }
        lines.put_differences(&self.differences[..changed]);
        if HEADER_BYTES + lines.len() > MAX_BODY_BYTES {
            lines.truncate(before);
            return false;
        }
        self.count += 1;
        self.first = self.first.or(Some((key, position)));
        base.key = key;
        base.position = position;
        base.tag = row.tag;
        base.count = row.count;
        true
    }

    /// Writes the block after the room for its checksum; the builder is empty again.
    pub(super) fn finish(&mut self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.from.to_le_bytes());
        value.extend_from_slice(&self.count.to_le_bytes());
        value.extend_from_slice(self.lines.as_slice());
        self.lines.truncate(0);
        self.first = None;
        self.count = 0;
    }
}

/// Reads the lines of a block one after another.
#[derive(Clone, Debug)]
pub(super) struct TrailLines {
    body: Body,
    from: u64,
    count: u16,
    at: usize,
    left: u16,
    line: Base,
}

impl TrailLines {
    /// The lines of a block.
    pub(super) fn of(body: Body) -> Result<Self, IndexError> {
        let header = body.first_chunk::<FROM_BYTES>().zip(body[..].get(FROM_BYTES..HEADER_BYTES));
        let (from, count) = header.ok_or_else(broken)?;
        let from = u64::from_le_bytes(*from);
        let count = u16::from_le_bytes([count[0], count[1]]);
        if count == 0 {
            return Err(broken());
        }
        Ok(Self { body, from, count, at: HEADER_BYTES, left: count, line: Base::NONE })
    }

    /// The whole block, and how many lines it has, while the first of them is the one that is read.
    pub(super) fn whole(&self) -> Option<(&Body, u16)> {
        (self.left + 1 == self.count).then_some((&self.body, self.count))
    }

    /// Goes to the next line; false if there is none.
    pub(super) fn next(&mut self) -> Result<bool, IndexError> {
        if self.left == 0 {
            return if self.at == self.body.len() { Ok(false) } else { Err(broken()) };
        }
        self.left -= 1;
        self.read().ok_or_else(broken).map(|()| true)
    }

    /// Goes to the first line of an owner whose key is not below this one, and reads nothing of what
    /// the lines of owners before it say; false if there is none. No line was read before.
    pub(super) fn next_from(&mut self, key: u64) -> Result<bool, IndexError> {
        self.skip_to(key).ok_or_else(broken)?;
        self.next()
    }

    fn skip_to(&mut self, key: u64) -> Option<()> {
        while self.left > 0 {
            let from = &mut self.body.get(self.at..)?;
            let header = take_varint(from)?;
            if header & OTHER_OWNER != 0 && take_varint(from)? >= key {
                break;
            }
            take_varint(from)?;
            if header & OTHER_FORM != 0 {
                *from = from.get(2..)?;
            }
            skip_differences(header >> FLAG_BITS, from)?;
            self.at = self.body.len() - from.len();
            self.left -= 1;
        }
        Some(())
    }

    fn read(&mut self) -> Option<()> {
        let from = &mut self.body.get(self.at..)?;
        let line = &mut self.line;
        let header = take_varint(from)?;
        if header & OTHER_OWNER != 0 {
            line.key = take_varint(from)?;
            line.position = self.from.wrapping_add(take_varint(from)?);
        } else {
            line.position = line.position.wrapping_add(take_varint(from)?);
        }
        if header & OTHER_FORM != 0 {
            let ([tag, count], rest) = from.split_first_chunk()?;
            *from = rest;
            line.tag = *tag;
            line.count = *count;
            line.filled = 0;
        }
        let changes = header >> FLAG_BITS;
        if usize::from(line.count) > MAX_NUMBERS || changes >> line.count != 0 {
            return None;
        }
        take_differences(changes, from, |at, by| line.set(at, line.number(at).wrapping_add(by)))?;
        self.at = self.body.len() - from.len();
        Some(())
    }

    /// Key and position of the line.
    pub(super) const fn at(&self) -> (u64, u64) {
        (self.line.key, self.line.position)
    }

    /// What the line says.
    pub(super) const fn row(&self) -> Row<'_> {
        let Base { tag, count, filled, ref numbers, .. } = self.line;
        Row { tag, count, filled, numbers }
    }
}

fn broken() -> IndexError {
    IndexError::damaged("a block of trails does not add up")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::blocks::{MAX_VALUE_BYTES, SEAL_BYTES};
    use super::super::columns::{Line, placed};
    use super::super::key_block::begin_value;
    use super::*;

    fn row() -> impl Strategy<Value = (u8, Vec<i64>)> {
        let number = prop_oneof![4 => -9..9_i64, 1 => any::<i64>()];
        prop_oneof![
            8 => (Just(1), prop::collection::vec(number.clone(), 12)),
            1 => (Just(2), prop::collection::vec(number.clone(), 12)),
            1 => (any::<u8>(), prop::collection::vec(number, 0..=MAX_NUMBERS)),
        ]
    }

    proptest! {
        #[test]
        fn a_block_gives_back_its_lines(
            lines in prop::collection::btree_map(
                (prop_oneof![0_u64..5, Just(u64::from(u32::MAX))], 7_u64..u64::MAX),
                row(),
                1..400,
            ),
        ) {
            let mut builder = TrailBlockBuilder::new(7);
            // Whatever a block before this one left behind is no base.
            let mut value = Vec::new();
            builder.push(3, 9, Row { tag: 1, count: 12, filled: 0xfff, numbers: &[8; MAX_NUMBERS] });
            builder.finish(&mut value);
            let packed: Vec<_> = lines
                .iter()
                .take_while(|((key, position), (tag, numbers))| {
                    let (filled, placed) = placed(numbers);
                    let count = u8::try_from(numbers.len()).unwrap();
                    let row = Row { tag: *tag, count, filled, numbers: &placed };
                    builder.push(*key, *position, row)
                })
                .collect();
            prop_assert_eq!(builder.first(), Some(*packed[0].0));
            begin_value(&mut value);
            builder.finish(&mut value);
            prop_assert!(value.len() <= MAX_VALUE_BYTES);
            prop_assert!(builder.first().is_none());

            let mut read = TrailLines::of(Body::of(&value)).unwrap();
            for (at, (tag, numbers)) in &packed {
                prop_assert!(read.next().unwrap());
                prop_assert_eq!(read.at(), **at);
                prop_assert_eq!(Line::from(read.row()), Line { tag: *tag, numbers: numbers.clone() });
            }
            prop_assert!(!read.next().unwrap());
            for wanted in (0..6).chain([u64::from(u32::MAX)]) {
                let mut read = TrailLines::of(Body::of(&value)).unwrap();
                let mut there = read.next_from(wanted).unwrap();
                for (at, (tag, numbers)) in packed.iter().filter(|((key, _), _)| *key >= wanted) {
                    prop_assert!(there);
                    prop_assert_eq!(read.at(), **at);
                    let line = Line { tag: *tag, numbers: numbers.clone() };
                    prop_assert_eq!(Line::from(read.row()), line);
                    there = read.next().unwrap();
                }
                prop_assert!(!there);
            }
            for shorter in (SEAL_BYTES..value.len()).rev().step_by(61) {
                let cut = TrailLines::of(Body::of(&value[..shorter]));
                prop_assert!(cut.and_then(read_all).is_err());
            }
        }

        #[test]
        fn bytes_that_are_no_block_do_no_harm(
            bytes in prop::collection::vec(any::<u8>(), SEAL_BYTES..300),
        ) {
            let _ = TrailLines::of(Body::of(&bytes)).and_then(read_all);
            let _ = TrailLines::of(Body::of(&bytes)).and_then(|mut lines| lines.next_from(3));
        }
    }

    fn read_all(mut lines: TrailLines) -> Result<(), IndexError> {
        while lines.next()? {
            let _ = (lines.at(), lines.row());
        }
        Ok(())
    }
}
