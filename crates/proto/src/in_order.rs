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
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this field comes next; steps over its tag then.
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
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (at, byte) in self.0.iter().enumerate().take(9) {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return (at == 0 || *byte != 0).then_some(value);
            }
        }
        None
    }

    pub(crate) fn bytes(&mut self, field: u8) -> Option<&'a [u8]> {
        if self.has(field, BYTES) { self.length_delimited() } else { None }
    }

    /// Bytes behind their length.
    pub(crate) fn length_delimited(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn text<const MAX: usize>(&mut self, field: u8) -> Option<Text<MAX>> {
        let bytes = self.bytes(field)?;
        Text::from_ascii(bytes).or_else(|| Text::new(core::str::from_utf8(bytes).ok()?).ok())
    }

    pub(crate) fn message(&mut self, field: u8) -> Option<InOrder<'a>> {
        self.bytes(field).map(InOrder)
    }

    pub(crate) fn id<K>(&mut self, field: u8) -> Option<Id<K>> {
        Id::from_bytes(self.bytes(field)?)
    }

    pub(crate) fn bank_reference(&mut self, field: u8) -> Option<BankReference> {
        let mut m = self.message(field)?;
        let (bank, reference) = (m.text(1)?, m.text(2)?);
        let line = if m.has(3, VARINT) { Some(u32::try_from(m.varint()?).ok()?) } else { None };
        m.is_empty().then_some(BankReference { bank, reference, line })
    }
}

/// Appends a varint in as few bytes as it takes.
pub(crate) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

/// Appends a field that is a number.
pub(crate) fn put_number(field: u8, value: u64, out: &mut Vec<u8>) {
    out.push(tag(field, VARINT));
    put_varint(value, out);
}

/// Appends a field that is bytes or text.
pub(crate) fn put_bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag(field, BYTES));
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
