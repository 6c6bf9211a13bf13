//! Lines of trails as bytes: what changed since the line before, in as few bytes as it takes.
//!
//! The caller writes a header with a bit for each number that differs from its base. Behind it, for
//! each of those:
//!
//! - a nibble: the length of the difference in bytes, 1 to 8; or that it is the first (9) or second
//!   (11) difference of the line again, or the negative of it (10, 12), since double entry moves one
//!   amount several times. Low nibbles first, and a last one of 0 if they are odd;
//! - then the differences that have a length, as zigzag, little-endian.

/// The most numbers of a line: a header has a bit for each.
pub(super) const MAX_NUMBERS: usize = 60;

/// How many differences of a line have a code of their own.
const REMEMBERED: usize = 2;

/// The bytes of one line while it is written. A `Vec` would look for room at each byte, which costs
/// more than all the rest.
#[derive(Debug)]
pub(super) struct LineBytes {
    bytes: [u8; MAX_LINE_BYTES],
    length: usize,
}

/// A header, a key, a position and form, then all numbers with their nibbles, and room for eight
/// bytes of the last one, however short it is.
const MAX_LINE_BYTES: usize =
    3 * MAX_VARINT_BYTES + 2 + MAX_NUMBERS.div_ceil(2) + 8 * MAX_NUMBERS + 8;
const MAX_VARINT_BYTES: usize = 10;

impl LineBytes {
    pub(super) const EMPTY: Self = Self { bytes: [0; MAX_LINE_BYTES], length: 0 };

    pub(super) const fn clear(&mut self) {
        self.length = 0;
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
        u8::try_from(length).expect("at most 8")
    }

    #[inline]
    pub(super) fn put_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.put_byte(low_byte(number) | 0x80);
            number >>= 7;
        }
        self.put_byte(low_byte(number));
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low byte is what is wanted")]
const fn low_byte(number: u64) -> u8 {
    number as u8
}

/// Reads a number; `None` if the bytes end before it does, or it is too long.
#[inline]
pub(super) fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (shift < 63 || *byte < 2).then_some(number);
        }
    }
    None
}

const fn zigzag(number: i64) -> u64 {
    (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned()
}

const fn unzigzag(code: u64) -> i64 {
    (code >> 1).cast_signed() ^ -(code & 1).cast_signed()
}

/// The code of the first difference that came before; its negative and the second ones follow.
const KNOWN: u8 = 9;

/// The first differences of a line.
#[derive(Default)]
struct Known {
    differences: [i64; REMEMBERED],
    count: usize,
}

impl Known {
    /// The code of a difference that came before. None is zero.
    #[inline]
    fn code(&self, difference: i64) -> Option<u8> {
        let negative = difference.wrapping_neg();
        (KNOWN..).step_by(2).zip(self.differences).find_map(|(code, known)| {
            if known == difference {
                Some(code)
            } else if known == negative {
                Some(code + 1)
            } else {
                None
            }
        })
    }

    #[inline]
    fn difference(&self, code: u8) -> Option<i64> {
        let code = code.checked_sub(KNOWN)?;
        let known = *self.differences.get(usize::from(code / 2))?;
        Some(if code.is_multiple_of(2) { known } else { known.wrapping_neg() })
    }

    #[inline]
    fn remember(&mut self, difference: i64) {
        if let Some(free) = self.differences.get_mut(self.count) {
            *free = difference;
            self.count += 1;
        }
    }
}

/// Which numbers differ from the base, a bit each.
#[inline]
pub(super) fn changes(base: &[i64], numbers: &[i64]) -> u64 {
    let differ = base.iter().zip(numbers).map(|(base, number)| u64::from(base != number));
    differ.zip(0..).fold(0, |changes, (differs, bit)| changes | differs << bit)
}

/// Writes the differences of the numbers that changed.
pub(super) fn write_changes(changes: u64, base: &[i64], numbers: &[i64], out: &mut LineBytes) {
    let mut known = Known::default();
    let codes = out.length;
    (0..changes.count_ones().div_ceil(2)).for_each(|_| out.put_byte(0));
    let mut left = changes;
    for nibble in 0..changes.count_ones() as usize {
        let at = left.trailing_zeros() as usize;
        left &= left - 1;
        let difference = numbers[at].wrapping_sub(base[at]);
        let code = known.code(difference).unwrap_or_else(|| {
            known.remember(difference);
            out.put_number(zigzag(difference))
        });
        out.bytes[codes + nibble / 2] |= code << (4 * (nibble % 2));
    }
}

/// Applies the differences to the base; `None` if they are none of a line of so many numbers.
#[inline]
pub(super) fn read_changes(changes: u64, numbers: &mut [i64], from: &mut &[u8]) -> Option<()> {
    let mut known = Known::default();
    let count = changes.count_ones() as usize;
    let (codes, rest) = from.split_at_checked(count.div_ceil(2))?;
    *from = rest;
    let mut left = changes;
    for nibble in 0..count {
        let at = left.trailing_zeros() as usize;
        left &= left - 1;
        let code = (codes[nibble / 2] >> (4 * (nibble % 2))) & 0xf;
        let difference = if code < KNOWN {
            let difference = unzigzag(take_number(usize::from(code), from)?);
            known.remember(difference);
            difference
        } else {
            known.difference(code)?
        };
        let number = numbers.get_mut(at)?;
        *number = number.wrapping_add(difference);
    }
    Some(())
}

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

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![-3..4_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)]
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
            let changed = changes(&base, &numbers);
            let mut bytes = LineBytes::EMPTY;
            write_changes(changed, &base, &numbers, &mut bytes);
            let bytes = bytes.as_slice();
            let mut read = base.clone();
            let mut from = bytes;
            read_changes(changed, &mut read, &mut from).unwrap();
            prop_assert_eq!(&read, &numbers);
            prop_assert!(from.is_empty());
            for cut in 0..bytes.len() {
                prop_assert!(read_changes(changed, &mut base.clone(), &mut &bytes[..cut]).is_none());
            }
        }

        #[test]
        fn a_varint_comes_back(number: u64, shift in 0..64) {
            let mut bytes = LineBytes::EMPTY;
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
        let mut bytes = LineBytes::EMPTY;
        write_changes(changes(&base, &numbers), &base, &numbers, &mut bytes);
        assert_eq!(bytes.as_slice().len(), 2 + 4);
    }

    #[test]
    fn a_varint_that_is_too_long_is_refused() {
        assert_eq!(take_varint(&mut [0xff; 11].as_slice()), None);
        let mut long = [0xff; 10];
        long[9] = 2;
        assert_eq!(take_varint(&mut long.as_slice()), None);
        long[9] = 1;
        assert_eq!(take_varint(&mut long.as_slice()), Some(u64::MAX));
    }
}
