//! Messages read straight from their bytes, if they are written as nearly every encoder writes them:
//! fields in the order of their numbers, each once, numbers in as few bytes as they take. What is
//! not is `None`, which says nothing about it: the slow way finds out.

use bergulir_domain::command::BankReference;
use bergulir_domain::id::Id;
use bergulir_domain::text::Text;

/// The wire type of a varint and of bytes behind their length, as a tag has them.
pub(crate) const VARINT: u8 = 0;
pub(crate) const BYTES: u8 = 2;

/// The key of a field with a number below 16.
#[inline]
pub(crate) const fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

/// The bytes are written in another way, or say something else.
pub(crate) struct NotInOrder;

/// The fields of a message, taken off the front in the order of their numbers, each at most once.
pub(crate) struct InOrder<'a>(pub(crate) &'a [u8]);

impl<'a> InOrder<'a> {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this field comes next; steps over its tag then.
    #[inline]
    pub(crate) fn has(&mut self, field: u8, wire_type: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == tag(field, wire_type) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// A varint in as few bytes as it takes.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let (value, rest) = match self.0.split_first() {
            Some((byte @ 0..0x80, rest)) => (u64::from(*byte), rest),
            _ => long_varint(self.0)?,
        };
        self.0 = rest;
        Some(value)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, field: u8) -> Option<&'a [u8]> {
        if self.has(field, BYTES) { self.length_delimited() } else { None }
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn length_delimited(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    #[inline]
    pub(crate) fn text<const MAX: usize>(&mut self, field: u8) -> Option<Text<MAX>> {
        let bytes = self.bytes(field)?;
        Text::from_ascii(bytes).or_else(|| Text::new(core::str::from_utf8(bytes).ok()?).ok())
    }

    #[inline]
    pub(crate) fn message(&mut self, field: u8) -> Option<InOrder<'a>> {
        self.bytes(field).map(InOrder)
    }

    #[inline]
    pub(crate) fn id<K>(&mut self, field: u8) -> Option<Id<K>> {
        Id::from_bytes(self.bytes(field)?)
    }

    #[inline]
    pub(crate) fn bank_reference(&mut self, field: u8) -> Option<BankReference> {
        let mut m = self.message(field)?;
        let (bank, reference) = (m.text(1)?, m.text(2)?);
        let line = if m.has(3, VARINT) { Some(u32::try_from(m.varint()?).ok()?) } else { None };
        m.is_empty().then_some(BankReference { bank, reference, line })
    }
}

/// A varint of two bytes or more, and what comes after it. Apart, and by value: so what is read most,
/// a byte, stays in registers.
fn long_varint(from: &[u8]) -> Option<(u64, &[u8])> {
    if let Some(eight) = from.first_chunk() {
        let word = u64::from_le_bytes(*eight);
        let last = !word & 0x8080_8080_8080_8080;
        if last != 0 {
            let bits = last.trailing_zeros() + 1;
            return Some((eight_byte_varint(word, bits)?, &from[bits as usize / 8..]));
        }
    }
    let mut value = 0;
    for (at, byte) in from.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (*byte != 0).then_some((value, &from[at + 1..]));
        }
    }
    None
}

/// A varint of two to eight bytes: so many bits of a word.
fn eight_byte_varint(word: u64, bits: u32) -> Option<u64> {
    let bytes = word & (u64::MAX >> (u64::BITS - bits));
    if bytes >> (bits - 8) == 0 {
        return None;
    }
    // Each seven bits move down, first one by one, then by twos, then by fours.
    let value = bytes & 0x007f_007f_007f_007f | (bytes & 0x7f00_7f00_7f00_7f00) >> 1;
    let value = value & 0x0000_3fff_0000_3fff | (value & 0x3fff_0000_3fff_0000) >> 2;
    Some(value & 0x0fff_ffff | (value & 0x0fff_ffff_0000_0000) >> 4)
}

/// Numbers below it take eight bytes as a varint, or fewer.
pub(crate) const SHORT: u64 = 1 << 56;

/// The bytes of a number below [`SHORT`] as a varint, the first one lowest, and how many they are.
pub(crate) const fn short_varint(value: u64) -> (u64, usize) {
    // Each seven bits move up past the high bits of the bytes before them: first in halves, then in
    // quarters, then each.
    let spread = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let spread = spread & 0x0000_3fff_0000_3fff | (spread & 0x0fff_c000_0fff_c000) << 2;
    let spread = spread & 0x007f_007f_007f_007f | (spread & 0x3f80_3f80_3f80_3f80) << 1;
    // The bits before the last byte: all those bytes say that more follow.
    let before = (spread | 1).ilog2() & !7;
    (spread | 0x8080_8080_8080_8080 & ((1 << before) - 1), before as usize / 8 + 1)
}

/// Appends a varint in as few bytes as it takes.
pub(crate) fn put_varint(value: u64, out: &mut Vec<u8>) {
    if value >= SHORT {
        return put_long_varint(value, out);
    }
    let (bytes, length) = short_varint(value);
    put_padded(&bytes.to_le_bytes(), length, out);
}

fn put_long_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

/// Appends the first `length` of these bytes. A copy of a fixed length is a few instructions, and one
/// of any length a call.
#[inline]
fn put_padded<const N: usize>(bytes: &[u8; N], length: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(bytes);
    out.truncate(start + length);
}

/// Appends a field that is a number.
pub(crate) fn put_number(field: u8, value: u64, out: &mut Vec<u8>) {
    out.push(tag(field, VARINT));
    put_varint(value, out);
}

/// Appends a field that is an id.
pub(crate) fn put_id<K>(field: u8, id: &Id<K>, out: &mut Vec<u8>) {
    let (bytes, length) = id.padded();
    put_short(field, bytes, length, out);
}

/// Appends a field that is a text.
pub(crate) fn put_text<const MAX: usize>(field: u8, text: &Text<MAX>, out: &mut Vec<u8>) {
    match text.padded() {
        Some((bytes, length)) => put_short(field, bytes, length, out),
        None => put_bytes(field, text.as_bytes(), out),
    }
}

/// Appends a field of bytes whose length takes a byte.
#[inline]
fn put_short<const N: usize>(field: u8, bytes: &[u8; N], length: u8, out: &mut Vec<u8>) {
    const { assert!(N < 0x80) };
    out.extend_from_slice(&[tag(field, BYTES), length]);
    put_padded(bytes, length.into(), out);
}

/// Appends a field that is a message.
#[inline]
pub(crate) fn put_message(tag: u8, out: &mut Vec<u8>, put_fields: impl FnOnce(&mut Vec<u8>)) {
    const SHORT: u8 = 0x7f;
    let start = out.len();
    out.extend_from_slice(&[tag, 0]);
    let fields = start + 2;
    put_fields(out);
    let length = out.len() - fields;
    // One byte was kept for it, and for nearly all it is enough.
    if let Ok(length @ ..=SHORT) = u8::try_from(length) {
        out[start + 1] = length;
    } else {
        let mut prefix = Vec::new();
        put_varint(length as u64, &mut prefix);
        out.splice(start + 1..fields, prefix);
    }
}

/// Appends a field that is bytes or text.
pub(crate) fn put_bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag(field, BYTES));
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(value, &mut bytes);
        bytes
    }

    #[test]
    fn numbers_of_every_length_are_written_as_the_library_writes_them() {
        for bits in 0..u64::BITS {
            let power = 1_u64 << bits;
            for value in
                [power - 1, power, power + 1, u64::MAX >> bits, 0x5555_5555_5555_5555 >> bits]
            {
                let mut bytes = vec![7];
                put_varint(value, &mut bytes);
                assert_eq!(bytes[1..], varint(value), "{value}");
            }
        }
    }

    #[test]
    fn messages_of_every_length_stand_behind_their_length() {
        for length in [0_usize, 1, 127, 128, 129, 255, 256, 16_383, 16_384] {
            let fields: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            let mut bytes = vec![7];
            put_message(tag(3, BYTES), &mut bytes, |out| out.extend_from_slice(&fields));
            let expected = [vec![7, tag(3, BYTES)], varint(fields.len() as u64), fields].concat();
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn a_varint_is_read_if_it_takes_no_more_bytes_than_it_must() {
        let around = |bit: u32| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1, 0x5555_5555 << bit];
        for value in (0..63).flat_map(around).filter(|value| *value < 1 << 63) {
            let mut bytes = Vec::new();
            put_varint(value, &mut bytes);
            // With little behind it, and with much.
            for behind in [0, 1, 12] {
                let mut all = bytes.clone();
                all.resize(bytes.len() + behind, 0x85);
                let mut from = InOrder(&all);
                assert_eq!(from.varint(), Some(value), "{value:x}");
                assert_eq!(from.0.len(), behind);
                let mut longer = bytes.clone();
                *longer.last_mut().unwrap() |= 0x80;
                longer.push(0);
                longer.resize(longer.len() + behind, 0x85);
                assert_eq!(InOrder(&longer).varint(), None, "{value:x}");
            }
            // Cut off, it is none.
            assert_eq!(InOrder(&bytes[..bytes.len() - 1]).varint(), None);
        }
    }
}
