//! Lines of trails as bytes: what changed since the line before, in as few bytes as it takes.
//!
//! The caller writes a header with a bit for each number that differs from its base. Behind it, for
//! each of those:
//!
//! - a nibble: the length of the difference in bytes, 1 to 8; or that it is the first (9) or second
//!   (11) difference of the line again, or the negative of it (10, 12), since double entry moves one
//!   amount several times. Low nibbles first, and a last one of 0 if they are odd;
//! - then the differences that have a length, as zigzag, little-endian.

use super::blocks::MAX_BODY_BYTES;

/// The most numbers of a line: a header has a bit for each.
pub(super) const MAX_NUMBERS: usize = 60;

/// A header, a key, a position and form, then all numbers with their nibbles, and room for eight
/// bytes of the last one, however short it is.
const MAX_LINE_BYTES: usize =
    3 * MAX_VARINT_BYTES + 2 + MAX_NUMBERS.div_ceil(2) + 8 * MAX_NUMBERS + 8;
const MAX_VARINT_BYTES: usize = 10;

/// The bytes of a block's lines while they are written, and of one line more than it has room for.
/// A `Vec` would look for room at each byte, which costs more than all the rest.
#[derive(Debug)]
pub(super) struct LineBytes {
    bytes: Box<[u8; MAX_BODY_BYTES + MAX_LINE_BYTES]>,
    length: usize,
}

impl LineBytes {
    pub(super) fn new() -> Self {
        Self { bytes: Box::new([0; MAX_BODY_BYTES + MAX_LINE_BYTES]), length: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Leaves out what is beyond this length.
    pub(super) const fn truncate(&mut self, length: usize) {
        self.length = length;
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    #[inline]
    pub(super) fn put_byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    /// Adds a number without its leading zeros; says in how many bytes.
    #[inline]
    fn put_number(&mut self, number: u64) -> u8 {
        let length = (71 - number.leading_zeros()) / 8;
        self.bytes[self.length..self.length + 8].copy_from_slice(&number.to_le_bytes());
        self.length += length as usize;
        low_byte(length.into())
    }

    #[inline]
    pub(super) fn put_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.put_byte(low_byte(number) | 0x80);
            number >>= 7;
        }
        self.put_byte(low_byte(number));
    }

    /// Adds differences, none of which is zero.
    #[inline]
    pub(super) fn put_differences(&mut self, differences: &[i64]) {
        let codes = self.length..;
        self.length += differences.len().div_ceil(2);
        let mut known = Known::default();
        for (codes, pair) in codes.zip(differences.chunks(2)) {
            let mut code = self.put_difference(pair[0], &mut known);
            if let Some(second) = pair.get(1) {
                code |= self.put_difference(*second, &mut known) << 4;
            }
            self.bytes[codes] = code;
        }
    }

    /// Adds a difference, if it did not come before; returns its code.
    #[inline]
    fn put_difference(&mut self, difference: i64, known: &mut Known) -> u8 {
        known.code(difference).unwrap_or_else(|| {
            known.remember(difference);
            self.put_number(zigzag(difference))
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low byte is what is wanted")]
const fn low_byte(number: u64) -> u8 {
    number as u8
}

const fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

const fn unzigzag(code: u64) -> i64 {
    (code >> 1).cast_signed() ^ -(code & 1).cast_signed()
}

/// The code of the first difference that came before; its negative and the second ones follow.
const KNOWN: u8 = 9;

/// The first two differences of a line; zero, which none is, where there are fewer.
#[derive(Default)]
struct Known {
    first: i64,
    second: i64,
}

impl Known {
    /// The code of a difference that came before.
    #[inline]
    const fn code(&self, difference: i64) -> Option<u8> {
        let negative = difference.wrapping_neg();
        if difference == self.first {
            Some(KNOWN)
        } else if negative == self.first {
            Some(KNOWN + 1)
        } else if difference == self.second {
            Some(KNOWN + 2)
        } else if negative == self.second {
            Some(KNOWN + 3)
        } else {
            None
        }
    }

    #[inline]
    fn difference(&self, code: u8) -> Option<i64> {
        match code.checked_sub(KNOWN)? {
            0 => Some(self.first),
            1 => Some(self.first.wrapping_neg()),
            2 => Some(self.second),
            3 => Some(self.second.wrapping_neg()),
            _ => None,
        }
    }

    #[inline]
    const fn remember(&mut self, difference: i64) {
        if self.first == 0 {
            self.first = difference;
        } else if self.second == 0 {
            self.second = difference;
        }
    }
}

/// Reads as many differences as there are changes, and tells of each with its place; `None` if the
/// bytes are none of a line.
#[inline]
pub(super) fn take_differences(
    changes: u64,
    from: &mut &[u8],
    mut apply: impl FnMut(usize, i64),
) -> Option<()> {
    let mut known = Known::default();
    let count = changes.count_ones() as usize;
    let (codes, rest) = from.split_at_checked(count.div_ceil(2))?;
    *from = rest;
    let mut left = changes;
    for codes in codes {
        let mut code = *codes;
        for _ in 0..2 {
            if left == 0 {
                break;
            }
            let place = left.trailing_zeros() as usize;
            left &= left - 1;
            let difference = if code & 0xf < KNOWN {
                let difference = unzigzag(take_number(usize::from(code & 0xf), from)?);
                known.remember(difference);
                difference
            } else {
                known.difference(code & 0xf)?
            };
            apply(place, difference);
            code >>= 4;
        }
    }
    Some(())
}

/// Goes past as many differences as there are changes; `None` if the bytes end before.
#[inline]
pub(super) fn skip_differences(changes: u64, from: &mut &[u8]) -> Option<()> {
    let count = changes.count_ones() as usize;
    let (codes, rest) = from.split_at_checked(count.div_ceil(2))?;
    let length = codes.iter().map(|codes| usize::from(LENGTHS[usize::from(*codes)])).sum();
    (_, *from) = rest.split_at_checked(length)?;
    Some(())
}

/// How many bytes the differences of two codes take.
const LENGTHS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut codes: u8 = 0;
    loop {
        let (low, high) = (codes & 0xf, codes >> 4);
        lengths[codes as usize] =
            if low < KNOWN { low } else { 0 } + if high < KNOWN { high } else { 0 };
        if codes == u8::MAX {
            break lengths;
        }
        codes += 1;
    }
};

/// Reads a number of so many bytes, up to 8.
#[inline]
fn take_number(length: usize, from: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = from.split_at_checked(length)?;
    let number = match from.first_chunk() {
        // Mostly: all eight at once, without those behind it.
        Some(eight) if length > 0 => u64::from_le_bytes(*eight) & (u64::MAX >> (64 - 8 * length)),
        _ => bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    };
    *from = rest;
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::varint::take_varint;

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![-3..4_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)]
    }

    /// Which numbers differ from the base, a bit each, and by how much.
    fn differences(base: &[i64], numbers: &[i64]) -> (u64, Vec<i64>) {
        let differences = base.iter().zip(numbers).map(|(base, number)| number.wrapping_sub(*base));
        let changed = differences.enumerate().filter(|(_, difference)| *difference != 0);
        changed.fold((0, Vec::new()), |(changes, mut all), (at, difference)| {
            all.push(difference);
            (changes | 1 << at, all)
        })
    }

    proptest! {
        #[test]
        fn numbers_come_back(
            base in prop::collection::vec(number(), 12),
            amounts in prop::collection::vec(number(), 3),
            moves in prop::collection::vec((0_usize..12, 0_usize..3, any::<bool>()), 0..9),
        ) {
            let mut numbers = base.clone();
            for (at, amount, forth) in moves {
                let by = if forth { amounts[amount] } else { amounts[amount].wrapping_neg() };
                numbers[at] = numbers[at].wrapping_add(by);
            }
            let (changes, differences) = differences(&base, &numbers);
            let mut bytes = LineBytes::new();
            bytes.put_differences(&differences);
            let bytes = bytes.as_slice();
            let mut read = base.clone();
            let mut from = bytes;
            take_differences(changes, &mut from, |at, by| read[at] = read[at].wrapping_add(by))
                .unwrap();
            prop_assert_eq!(&read, &numbers);
            prop_assert!(from.is_empty());
            let mut from = bytes;
            prop_assert!(skip_differences(changes, &mut from).is_some() && from.is_empty());
            for cut in 0..bytes.len() {
                prop_assert!(skip_differences(changes, &mut &bytes[..cut]).is_none());
                prop_assert!(take_differences(changes, &mut &bytes[..cut], |_, _| ()).is_none());
            }
        }

        #[test]
        fn a_varint_comes_back(number: u64, shift in 0..64) {
            let mut bytes = LineBytes::new();
            bytes.put_varint(number >> shift);
            let mut from = bytes.as_slice();
            prop_assert_eq!(take_varint(&mut from), Some(number >> shift));
            prop_assert!(from.is_empty());
        }
    }

    #[test]
    fn an_amount_that_moves_again_takes_half_a_byte() {
        let base = [5_000_000_000, 0, 7, 5_000_000_000];
        let numbers = [4_900_000_000, 100_000_000, 7, 4_900_000_000];
        let mut bytes = LineBytes::new();
        bytes.put_differences(&differences(&base, &numbers).1);
        assert_eq!(bytes.as_slice().len(), 2 + 4);
    }
}
