//! The bytes of one block of keys: sorted, packed in columns of a fixed width, searched without
//! unpacking.
//!
//! Little-endian, after the checksum that every value has:
//!
//! | bytes | what |
//! |---|---|
//! | 2 | number of records `n`, at least 1 |
//! | 1 | width `k` of a key, 0 to 8 |
//! | 1 | width `p` of a position, 0 to 8 |
//! | 8 | the first key |
//! | n × k | each key, less the first |
//! | n × p | each position, less the first that the run covers |

use super::IndexError;
use super::blocks::{Body, MAX_BODY_BYTES, SEAL_BYTES};

const HEADER_BYTES: usize = 12;

/// How many bytes hold this number.
pub(super) const fn width_of(number: u64) -> usize {
    8 - number.leading_zeros() as usize / 8
}

/// Collects sorted records until a block is full.
#[derive(Debug)]
pub(super) struct KeyBlockBuilder {
    /// The first position that the run covers, and how wide any position past it is.
    from: u64,
    position_width: usize,
    keys: Vec<u64>,
    positions: Vec<u64>,
}

impl KeyBlockBuilder {
    /// For a run that covers these positions.
    pub(super) fn new(from: u64, to: u64) -> Self {
        let position_width = width_of(to.saturating_sub(from));
        Self { from, position_width, keys: Vec::new(), positions: Vec::new() }
    }

    /// The first key and position.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        Some((*self.keys.first()?, self.from.wrapping_add(*self.positions.first()?)))
    }

    /// Adds a record that sorts after all before it; false if it has no room.
    #[inline]
    pub(super) fn push(&mut self, key: u64, position: u64) -> bool {
        if let Some(first) = self.keys.first() {
            debug_assert!(*first <= key, "keys are sorted");
            let width = width_of(key.wrapping_sub(*first)) + self.position_width;
            if HEADER_BYTES + (self.keys.len() + 1) * width > MAX_BODY_BYTES {
                return false;
            }
        }
        self.keys.push(key);
        self.positions.push(position.wrapping_sub(self.from));
        true
    }

    /// Writes the block after the room for its checksum; the builder is empty again.
    pub(super) fn finish(&mut self, value: &mut Vec<u8>) {
        let first = self.keys.first().copied().unwrap_or_default();
        let last = self.keys.last().copied().unwrap_or_default();
        let key_width = width_of(last - first);
        let count = u16::try_from(self.keys.len()).unwrap_or(u16::MAX);
        value.extend_from_slice(&count.to_le_bytes());
        value.extend_from_slice(&[key_width, self.position_width].map(small));
        value.extend_from_slice(&first.to_le_bytes());
        pack(self.keys.iter().map(|key| key - first), key_width, value);
        pack(self.positions.iter().copied(), self.position_width, value);
        self.keys.clear();
        self.positions.clear();
    }
}

fn small(width: usize) -> u8 {
    u8::try_from(width).expect("a number takes at most 8 bytes")
}

fn pack(numbers: impl ExactSizeIterator<Item = u64>, width: usize, out: &mut Vec<u8>) {
    // All eight bytes of each, of which the next one overwrites those that are too many.
    let mut at = out.len();
    let end = at + numbers.len() * width;
    out.resize(end + size_of::<u64>(), 0);
    for number in numbers {
        out[at..at + size_of::<u64>()].copy_from_slice(&number.to_le_bytes());
        at += width;
    }
    out.truncate(end);
}

/// A block read back.
#[derive(Clone, Debug)]
pub(super) struct KeyBlock {
    body: Body,
    count: usize,
    key_width: usize,
    position_width: usize,
    first: u64,
    from: u64,
}

impl KeyBlock {
    /// Reads the layout, so that no later access can leave the bytes. The run covers positions
    /// beginning at `from`.
    pub(super) fn parse(body: Body, from: u64) -> Result<Self, IndexError> {
        Self::layout(body, from).ok_or_else(|| IndexError::damaged("a block does not add up"))
    }

    fn layout(body: Body, from: u64) -> Option<Self> {
        let header = body.first_chunk::<HEADER_BYTES>()?;
        let count = usize::from(u16::from_le_bytes([header[0], header[1]]));
        let [key_width, position_width] = [header[2], header[3]].map(usize::from);
        let first = u64::from_le_bytes(*header.last_chunk()?);
        let length = HEADER_BYTES + count * (key_width + position_width);
        let adds_up = count > 0 && key_width <= 8 && position_width <= 8 && body.len() == length;
        adds_up.then_some(Self { body, count, key_width, position_width, first, from })
    }

    /// The number of records.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) fn key(&self, record: usize) -> u64 {
        self.first.wrapping_add(self.number(HEADER_BYTES, record, self.key_width))
    }

    pub(super) fn position(&self, record: usize) -> u64 {
        let at = HEADER_BYTES + self.count * self.key_width;
        self.from.wrapping_add(self.number(at, record, self.position_width))
    }

    /// The first record that does not sort before this key and position, or the length.
    pub(super) fn lower_bound(&self, key: u64, position: u64) -> usize {
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

    /// Puts keys and positions of all records into columns.
    pub(super) fn unpack(&self, keys: &mut Vec<u64>, positions: &mut Vec<u64>) {
        keys.clear();
        positions.clear();
        let (at, count) = (HEADER_BYTES, self.count);
        let (packed, rest) = self.body[at..].split_at(count * self.key_width);
        unpack(packed, self.key_width, count, self.first, keys);
        unpack(rest, self.position_width, count, self.from, positions);
    }

    fn number(&self, column: usize, record: usize, width: usize) -> u64 {
        let at = column + record * width;
        number(&self.body[at..at + width])
    }
}

#[inline]
fn number(packed: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..packed.len()].copy_from_slice(packed);
    u64::from_le_bytes(bytes)
}

fn unpack(packed: &[u8], width: usize, count: usize, least: u64, out: &mut Vec<u64>) {
    match width {
        0 => out.extend(std::iter::repeat_n(least, count)),
        2 => unpack_fixed::<2>(packed, least, out),
        3 => unpack_fixed::<3>(packed, least, out),
        4 => unpack_fixed::<4>(packed, least, out),
        5 => unpack_fixed::<5>(packed, least, out),
        _ => out.extend(packed.chunks_exact(width).map(|it| least.wrapping_add(number(it)))),
    }
}

/// With a width that the compiler knows, several times as fast.
fn unpack_fixed<const WIDTH: usize>(packed: &[u8], least: u64, out: &mut Vec<u64>) {
    let (packed, _) = packed.as_chunks::<WIDTH>();
    out.extend(packed.iter().map(|packed| least.wrapping_add(number(packed))));
}

/// The value of a block: room for the checksum, so far.
pub(super) fn begin_value(value: &mut Vec<u8>) {
    value.clear();
    value.extend_from_slice(&[0; SEAL_BYTES]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::blocks::MAX_VALUE_BYTES;
    use super::*;

    proptest! {
        #[test]
        fn a_block_gives_back_its_records(
            shift in prop::sample::select(vec![0_u32, 8, 24, 48]),
            records in prop::collection::btree_set((0_u64..0xffff, 5_u64..u64::MAX), 1..1_200),
        ) {
            let mut builder = KeyBlockBuilder::new(5, u64::MAX);
            let packed: Vec<(u64, u64)> = records
                .iter()
                .map(|(key, position)| (key << shift, *position))
                .take_while(|(key, position)| builder.push(*key, *position))
                .collect();
            prop_assert_eq!(builder.first(), Some(packed[0]));
            let mut value = Vec::new();
            begin_value(&mut value);
            builder.finish(&mut value);
            prop_assert!(value.len() <= MAX_VALUE_BYTES);
            prop_assert_eq!(builder.first(), None);

            let block = KeyBlock::parse(Body::of(&value), 5).unwrap();
            prop_assert_eq!(block.len(), packed.len());
            let (mut keys, mut positions) = (vec![1], vec![2]);
            block.unpack(&mut keys, &mut positions);
            for (record, (key, position)) in packed.iter().enumerate() {
                prop_assert_eq!((block.key(record), block.position(record)), (*key, *position));
                prop_assert_eq!((keys[record], positions[record]), (*key, *position));
                prop_assert_eq!(block.lower_bound(*key, *position), record);
                prop_assert_eq!(block.lower_bound(*key, *position + 1), record + 1);
            }
            prop_assert_eq!(keys.len(), packed.len());
            for shorter in SEAL_BYTES..value.len() {
                prop_assert!(KeyBlock::parse(Body::of(&value[..shorter]), 5).is_err());
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
                bytes[6] %= 10;
                bytes[7] %= 10;
            }
            if let Ok(block) = KeyBlock::parse(Body::of(&bytes), 5) {
                for record in 0..block.len() {
                    let _ = (block.key(record), block.position(record));
                }
                let _ = block.lower_bound(u64::MAX, u64::MAX);
                block.unpack(&mut Vec::new(), &mut Vec::new());
            }
        }
    }

    #[test]
    fn the_width_of_a_number_is_its_length_in_bytes() {
        assert_eq!([0, 1, 255, 256, u64::MAX].map(width_of), [0, 1, 1, 2, 8]);
    }
}
