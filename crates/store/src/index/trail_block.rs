//! The bytes of one block of trails: each line as what changed since the line of the same owner
//! before it, so a block is read from its beginning.
//!
//! After the checksum that every value has: the number of lines (2 bytes, little-endian), then
//! each, all but its changes as LEB128:
//!
//! - header: 1 if the owner is another one than before (as it is for the first line), plus 2 if
//!   tag and number of numbers follow, plus 4 × the bits of the numbers that changed;
//! - for another owner: its key, and the position less the first that the run covers; for the same
//!   one: how many positions after its line before;
//! - tag and number of numbers, a byte each, if the header says so: the base of the changes is then
//!   zero, otherwise it is the line before;
//! - the changes: see [`numbers`](super::numbers).

use super::IndexError;
use super::blocks::{Body, MAX_BODY_BYTES};
use super::columns::Row;
use super::numbers::{LineBytes, MAX_NUMBERS, changes, read_changes, take_varint, write_changes};

const COUNT_BYTES: usize = 2;
const OTHER_OWNER: u64 = 1;
const OTHER_FORM: u64 = 2;
const FLAG_BITS: u32 = 2;
const ZEROS: [i64; MAX_NUMBERS] = [0; MAX_NUMBERS];

/// A line, as the base of the one after it.
#[derive(Clone, Debug)]
struct Base {
    key: u64,
    position: u64,
    tag: u8,
    count: usize,
    numbers: [i64; MAX_NUMBERS],
}

impl Base {
    const NONE: Self = Self { key: 0, position: 0, tag: 0, count: 0, numbers: ZEROS };

    fn is_of_form(&self, row: Row<'_>) -> bool {
        self.tag == row.tag && self.count == row.numbers.len()
    }
}

/// Collects sorted lines until a block is full.
#[derive(Debug)]
pub(super) struct TrailBlockBuilder {
    from: u64,
    first: Option<(u64, u64)>,
    count: u16,
    lines: Vec<u8>,
    base: Base,
    line: LineBytes,
}

impl TrailBlockBuilder {
    /// For a run that covers positions beginning at `from`.
    pub(super) fn new(from: u64) -> Self {
        let lines = Vec::with_capacity(MAX_BODY_BYTES);
        Self { from, first: None, count: 0, lines, base: Base::NONE, line: LineBytes::EMPTY }
    }

    /// The first key and position.
    pub(super) const fn first(&self) -> Option<(u64, u64)> {
        self.first
    }

    /// Adds a line that sorts after all before it; false if it has no room.
    pub(super) fn push(&mut self, key: u64, position: u64, row: Row<'_>) -> bool {
        let is_other = self.first.is_none() || self.base.key != key;
        let is_other_form = is_other || !self.base.is_of_form(row);
        let base = if is_other_form { &ZEROS } else { &self.base.numbers };
        let changes = changes(base, row.numbers);
        let flags = (u64::from(is_other) * OTHER_OWNER) | (u64::from(is_other_form) * OTHER_FORM);
        let line = &mut self.line;
        line.clear();
        line.put_varint((changes << FLAG_BITS) | flags);
        if is_other {
            line.put_varint(key);
            line.put_varint(position.wrapping_sub(self.from));
        } else {
            line.put_varint(position.wrapping_sub(self.base.position));
        }
        if is_other_form {
            line.put_byte(row.tag);
            line.put_byte(u8::try_from(row.numbers.len()).expect("a batch takes no longer row"));
        }
        write_changes(changes, base, row.numbers, line);
        if COUNT_BYTES + self.lines.len() + line.as_slice().len() > MAX_BODY_BYTES {
            return false;
        }
        self.lines.extend_from_slice(line.as_slice());
        self.count += 1;
        self.first = self.first.or(Some((key, position)));
        self.base.key = key;
        self.base.position = position;
        self.base.tag = row.tag;
        self.base.count = row.numbers.len();
        self.base.numbers[..row.numbers.len()].copy_from_slice(row.numbers);
        true
    }

    /// Writes the block after the room for its checksum; the builder is empty again.
    pub(super) fn finish(&mut self, value: &mut Vec<u8>) {
        value.extend_from_slice(&self.count.to_le_bytes());
        value.extend_from_slice(&self.lines);
        self.lines.clear();
        self.first = None;
        self.count = 0;
    }
}

/// Reads the lines of a block one after another.
#[derive(Clone, Debug)]
pub(super) struct TrailLines {
    body: Body,
    from: u64,
    at: usize,
    left: usize,
    line: Base,
}

impl TrailLines {
    /// The lines of a block of a run that covers positions beginning at `from`.
    pub(super) fn of(body: Body, from: u64) -> Result<Self, IndexError> {
        let count = body.first_chunk().map_or(0, |count| u16::from_le_bytes(*count));
        if count == 0 {
            return Err(broken());
        }
        Ok(Self { body, from, at: COUNT_BYTES, left: count.into(), line: Base::NONE })
    }

    /// Goes to the next line; false if there is none.
    pub(super) fn next(&mut self) -> Result<bool, IndexError> {
        if self.left == 0 {
            return if self.at == self.body.len() { Ok(false) } else { Err(broken()) };
        }
        self.left -= 1;
        self.read().ok_or_else(broken).map(|()| true)
    }

    fn read(&mut self) -> Option<()> {
        let from = &mut self.body.get(self.at..)?;
        let header = take_varint(from)?;
        if header & OTHER_OWNER != 0 {
            self.line.key = take_varint(from)?;
            self.line.position = self.from.wrapping_add(take_varint(from)?);
        } else {
            self.line.position = self.line.position.wrapping_add(take_varint(from)?);
        }
        if header & OTHER_FORM != 0 {
            let ([tag, count], rest) = from.split_first_chunk()?;
            *from = rest;
            self.line.tag = *tag;
            self.line.count = usize::from(*count);
            self.line.numbers.get_mut(..self.line.count)?.fill(0);
        }
        read_changes(header >> FLAG_BITS, &mut self.line.numbers[..self.line.count], from)?;
        self.at = self.body.len() - from.len();
        Some(())
    }

    /// Key and position of the line.
    pub(super) const fn at(&self) -> (u64, u64) {
        (self.line.key, self.line.position)
    }

    /// What the line says.
    pub(super) fn row(&self) -> Row<'_> {
        Row { tag: self.line.tag, numbers: &self.line.numbers[..self.line.count] }
    }
}

fn broken() -> IndexError {
    IndexError::damaged("a block of trails does not add up")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::blocks::{MAX_VALUE_BYTES, SEAL_BYTES};
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
            builder.push(3, 9, Row { tag: 1, numbers: &[8; 12] });
            builder.finish(&mut value);
            let packed: Vec<_> = lines
                .iter()
                .take_while(|((key, position), (tag, numbers))| {
                    builder.push(*key, *position, Row { tag: *tag, numbers })
                })
                .collect();
            prop_assert_eq!(builder.first(), Some(*packed[0].0));
            begin_value(&mut value);
            builder.finish(&mut value);
            prop_assert!(value.len() <= MAX_VALUE_BYTES);
            prop_assert!(builder.first().is_none());

            let mut read = TrailLines::of(Body::of(&value), 7).unwrap();
            for (at, (tag, numbers)) in &packed {
                prop_assert!(read.next().unwrap());
                prop_assert_eq!(read.at(), **at);
                prop_assert_eq!(read.row(), Row { tag: *tag, numbers });
            }
            prop_assert!(!read.next().unwrap());
            for shorter in (SEAL_BYTES..value.len()).rev().step_by(61) {
                let cut = TrailLines::of(Body::of(&value[..shorter]), 7);
                prop_assert!(cut.and_then(read_all).is_err());
            }
        }

        #[test]
        fn bytes_that_are_no_block_do_no_harm(
            bytes in prop::collection::vec(any::<u8>(), SEAL_BYTES..300),
        ) {
            let _ = TrailLines::of(Body::of(&bytes), 7).and_then(read_all);
        }
    }

    fn read_all(mut lines: TrailLines) -> Result<(), IndexError> {
        while lines.next()? {
            let _ = (lines.at(), lines.row());
        }
        Ok(())
    }
}
