//! The bytes of one block of records: sorted, packed in columns, searched without unpacking.
//!
//! Little-endian, after the checksum that every value has:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | number of records, at least 1 |
//! | 1 | length `p` of the prefix that all keys share, 0 to 16 |
//! | 1 | width `w` of a position, 0 to 8 |
//! | 1 | 1 if there are values, else 0 |
//! | 8 | least position |
//! | p | the prefix |
//! | n × (16 − p) | the rest of each key |
//! | n × w | each position, less the least |
//! | n × 2, then the bytes | where each value ends, and the values (if there are any) |

use super::IndexError;
use super::blocks::{Body, MAX_BODY_BYTES, SEAL_BYTES};

const HEADER_BYTES: usize = 13;
const KEY_BYTES: usize = 16;

/// Collects sorted records until a block is full.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    keys: Vec<u128>,
    positions: Vec<u64>,
    ends: Vec<u16>,
    values: Vec<u8>,
}

impl BlockBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The first key and position.
    pub(super) fn first(&self) -> Option<(u128, u64)> {
        Some((*self.keys.first()?, *self.positions.first()?))
    }

    /// True if one more record still leaves the block within its size.
    pub(super) fn fits(&self, key: u128, value: &[u8], width: usize) -> bool {
        let Some((first, _)) = self.first() else {
            return true;
        };
        let records = self.keys.len() + 1;
        let prefix = shared_prefix(first, key);
        let values = self.values.len() + value.len();
        let ends = if values == 0 { 0 } else { 2 * records };
        let columns = records * (KEY_BYTES - prefix + width);
        HEADER_BYTES + prefix + columns + ends + values <= MAX_BODY_BYTES
    }

    /// Adds a record that sorts after all before it.
    pub(super) fn push(&mut self, key: u128, position: u64, value: &[u8]) {
        debug_assert!(self.keys.last().is_none_or(|last| *last <= key), "keys are sorted");
        self.keys.push(key);
        self.positions.push(position);
        self.values.extend_from_slice(value);
        let end = u16::try_from(self.values.len()).expect("a block is smaller than 64 KiB");
        self.ends.push(end);
    }

    /// The block as a value for sled, with room for the checksum; the builder is empty again.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let first = self.keys.first().copied().unwrap_or_default();
        let last = self.keys.last().copied().unwrap_or_default();
        let prefix = shared_prefix(first, last);
        let least = self.positions.iter().copied().min().unwrap_or_default();
        let most = self.positions.iter().copied().max().unwrap_or_default();
        let width = width_of(most - least);
        let with_values = !self.values.is_empty();

        let mut value = Vec::with_capacity(MAX_BODY_BYTES + SEAL_BYTES);
        value.extend_from_slice(&[0; SEAL_BYTES]);
        let count = u16::try_from(self.keys.len()).expect("a record takes more than one byte");
        value.extend_from_slice(&count.to_le_bytes());
        value.extend_from_slice(&[small(prefix), small(width), u8::from(with_values)]);
        value.extend_from_slice(&least.to_le_bytes());
        value.extend_from_slice(&first.to_be_bytes()[..prefix]);
        for key in &self.keys {
            value.extend_from_slice(&key.to_be_bytes()[prefix..]);
        }
        for position in &self.positions {
            value.extend_from_slice(&(position - least).to_le_bytes()[..width]);
        }
        if with_values {
            for end in &self.ends {
                value.extend_from_slice(&end.to_le_bytes());
            }
            value.extend_from_slice(&self.values);
        }
        self.keys.clear();
        self.positions.clear();
        self.ends.clear();
        self.values.clear();
        value
    }
}

fn small(length: usize) -> u8 {
    u8::try_from(length).expect("prefix and width are at most 16")
}

/// How many leading bytes two keys share.
fn shared_prefix(one: u128, other: u128) -> usize {
    (one ^ other).leading_zeros() as usize / 8
}

/// How many bytes hold this number.
pub(super) const fn width_of(number: u64) -> usize {
    8 - number.leading_zeros() as usize / 8
}

/// A block read back.
#[derive(Clone, Debug)]
pub(super) struct Block {
    body: Body,
    count: usize,
    prefix: usize,
    width: usize,
    least: u64,
    positions_at: usize,
    /// Where the ends of the values and the values themselves begin.
    values_at: Option<(usize, usize)>,
}

impl Block {
    /// Reads the layout, so that no later access can leave the bytes.
    pub(super) fn parse(body: Body) -> Result<Self, IndexError> {
        Self::layout(body).ok_or_else(|| IndexError::damaged("a block does not add up"))
    }

    fn layout(body: Body) -> Option<Self> {
        let header = body.first_chunk::<HEADER_BYTES>()?;
        let count = usize::from(u16::from_le_bytes([header[0], header[1]]));
        let prefix = usize::from(header[2]);
        let width = usize::from(header[3]);
        let with_values = header[4] == 1;
        let least = u64::from_le_bytes(*header.last_chunk()?);
        if count == 0 || prefix > KEY_BYTES || width > 8 || header[4] > 1 {
            return None;
        }
        let positions_at = HEADER_BYTES + prefix + count * (KEY_BYTES - prefix);
        let ends_at = positions_at + count * width;
        let values_at = with_values.then_some((ends_at, ends_at + 2 * count));
        let block = Self { body, count, prefix, width, least, positions_at, values_at };
        let mut length = ends_at;
        if let Some((_, values_at)) = values_at {
            if block.body.len() < values_at {
                return None;
            }
            let mut before = 0;
            for record in 0..count {
                let end = block.value_end(record);
                if end < before {
                    return None;
                }
                before = end;
            }
            length = values_at + before;
        }
        (block.body.len() == length).then_some(block)
    }

    /// The number of records.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The checksum of the block.
    pub(super) const fn crc(&self) -> u32 {
        self.body.crc()
    }

    pub(super) fn key(&self, record: usize) -> u128 {
        let rest = KEY_BYTES - self.prefix;
        let at = HEADER_BYTES + self.prefix + record * rest;
        let mut key = [0; KEY_BYTES];
        key[..self.prefix].copy_from_slice(&self.body[HEADER_BYTES..HEADER_BYTES + self.prefix]);
        key[self.prefix..].copy_from_slice(&self.body[at..at + rest]);
        u128::from_be_bytes(key)
    }

    pub(super) fn position(&self, record: usize) -> u64 {
        let at = self.positions_at + record * self.width;
        let mut past_least = [0; 8];
        past_least[..self.width].copy_from_slice(&self.body[at..at + self.width]);
        self.least.wrapping_add(u64::from_le_bytes(past_least))
    }

    pub(super) fn value(&self, record: usize) -> &[u8] {
        let Some((_, values_at)) = self.values_at else {
            return &[];
        };
        let start = if record == 0 { 0 } else { self.value_end(record - 1) };
        &self.body[values_at + start..values_at + self.value_end(record)]
    }

    /// The first record that does not sort before this key and position, or the length.
    pub(super) fn lower_bound(&self, key: u128, position: u64) -> usize {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if (self.key(middle), self.position(middle)) < (key, position) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn value_end(&self, record: usize) -> usize {
        let Some((ends_at, _)) = self.values_at else {
            return 0;
        };
        let at = ends_at + 2 * record;
        usize::from(u16::from_le_bytes([self.body[at], self.body[at + 1]]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::blocks::MAX_VALUE_BYTES;
    use super::*;

    proptest! {
        #[test]
        fn a_block_gives_back_its_records(
            shift in prop::sample::select(vec![0_u32, 8, 64, 112]),
            records in prop::collection::btree_map(
                (0_u128..0xffff, 5_u64..u64::MAX),
                prop::collection::vec(any::<u8>(), 0..40),
                1..400,
            ),
            with_values: bool,
        ) {
            let records: BTreeMap<_, _> = records
                .into_iter()
                .map(|((key, position), value)| {
                    ((key << shift, position), if with_values { value } else { Vec::new() })
                })
                .collect();
            let mut builder = BlockBuilder::default();
            let mut packed = Vec::new();
            for ((key, position), value) in &records {
                if !builder.fits(*key, value, 8) {
                    break;
                }
                builder.push(*key, *position, value);
                packed.push((*key, *position, value));
            }
            let value = builder.finish();
            prop_assert!(value.len() <= MAX_VALUE_BYTES);
            prop_assert!(builder.is_empty());

            let block = Block::parse(Body::of(value.clone())).unwrap();
            prop_assert_eq!(block.len(), packed.len());
            for (record, (key, position, value)) in packed.iter().enumerate() {
                prop_assert_eq!((block.key(record), block.position(record)), (*key, *position));
                prop_assert_eq!(block.value(record), value.as_slice());
                prop_assert_eq!(block.lower_bound(*key, *position), record);
                prop_assert_eq!(block.lower_bound(*key, *position + 1), record + 1);
            }
            for shorter in SEAL_BYTES..value.len() {
                prop_assert!(Block::parse(Body::of(value[..shorter].to_vec())).is_err());
            }
        }

        #[test]
        fn bytes_that_are_no_block_do_no_harm(
            bytes in prop::collection::vec(any::<u8>(), SEAL_BYTES..300),
            small in 0_u8..20,
        ) {
            let mut bytes = bytes;
            // Most counts are far too large to get past the first check.
            if bytes.len() > 7 {
                bytes[4] = small;
                bytes[5] = 0;
                bytes[6] %= 18;
                bytes[7] %= 10;
            }
            if let Ok(block) = Block::parse(Body::of(bytes)) {
                for record in 0..block.len() {
                    let _ = (block.key(record), block.position(record), block.value(record));
                }
                let _ = block.lower_bound(u128::MAX, u64::MAX);
            }
        }
    }

    #[test]
    fn the_width_of_a_number_is_its_length_in_bytes() {
        assert_eq!([0, 1, 255, 256, u64::MAX].map(width_of), [0, 1, 1, 2, 8]);
    }
}
