//! A filter per run that says "not here" to most keys that are not, without reading a block.
//!
//! A split-block Bloom filter: one cache line a key, one bit in each of its eight words. Its bits
//! are part of the stored format, so they come from code that no dependency can change under us.

use super::IndexError;

/// 11 bits a key: request ids and bank references together stay under 3 bytes a record, and
/// about one absent key in 150 costs a needless look into a block.
const LINES_PER_1024_KEYS: u64 = 22;

const LINE_BYTES: usize = 64;

/// A cache line of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
struct Line([u64; 8]);

/// Turns keys into hashes, with a seed of this index that callers cannot know: nobody can choose
/// ids that fill one line of a filter or one bucket of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHasher {
    seed: u64,
}

impl KeyHasher {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed }
    }

    pub(super) const fn hash(self, key: u128) -> u64 {
        let (high, low) = halves(key);
        let mixed = fold(
            high ^ self.seed ^ 0x2d35_8dcc_aa6c_78a5,
            low ^ 0x9e37_79b9_7f4a_7c15,
        );
        fold(
            mixed ^ 0x8bb8_4b93_962e_acc9,
            self.seed ^ 0xe703_7ed1_a0b4_28db,
        )
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves are what is wanted"
)]
const fn halves(number: u128) -> (u64, u64) {
    ((number >> 64) as u64, number as u64)
}

const fn fold(one: u64, other: u64) -> u64 {
    let (high, low) = halves(one as u128 * other as u128);
    high ^ low
}

/// The keys of one run, approximately.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    /// An empty filter with room for this many keys.
    pub(super) fn for_keys(keys: u64) -> Self {
        let lines = (keys * LINES_PER_1024_KEYS).div_ceil(1024).max(1);
        let lines = usize::try_from(lines).expect("a run's keys were counted in memory");
        Self {
            lines: vec![Line::default(); lines],
        }
    }

    pub(super) fn insert(&mut self, hash: u64) {
        let at = self.line(hash);
        let bits = bits(hash);
        for (word, bit) in self.lines[at].0.iter_mut().zip(bits) {
            *word |= bit;
        }
    }

    /// False if the key with this hash was never inserted.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let line = &self.lines[self.line(hash)].0;
        let bits = bits(hash);
        line.iter()
            .zip(bits)
            .fold(0, |missing, (word, bit)| missing | (!word & bit))
            == 0
    }

    /// The length in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.lines
            .iter()
            .flat_map(|line| line.0)
            .flat_map(u64::to_le_bytes)
            .collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, IndexError> {
        let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
        if lines.is_empty() || !rest.is_empty() {
            return Err(IndexError::damaged("a filter has a wrong length"));
        }
        let lines = lines
            .iter()
            .map(|bytes| {
                let mut line = Line::default();
                let (words, _) = bytes.as_chunks();
                for (word, bytes) in line.0.iter_mut().zip(words) {
                    *word = u64::from_le_bytes(*bytes);
                }
                line
            })
            .collect();
        Ok(Self { lines })
    }

    fn line(&self, hash: u64) -> usize {
        (((hash >> 32) * self.lines.len() as u64) >> 32) as usize
    }
}

/// One bit for each word of a line, six bits of a second hash each: the first has chosen the line.
fn bits(hash: u64) -> [u64; 8] {
    let spread = fold(hash, 0x8ebc_6af0_9c88_c6e3);
    [0, 6, 12, 18, 24, 30, 36, 42].map(|shift| 1 << (spread >> shift & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_few_others_are() {
        let hasher = KeyHasher::new(7);
        let mut filter = Filter::for_keys(100_000);
        (0..100_000).for_each(|key| filter.insert(hasher.hash(key)));
        assert!((0..100_000).all(|key| filter.may_hold(hasher.hash(key))));

        let wrong = (100_000..1_100_000)
            .filter(|key| filter.may_hold(hasher.hash(*key)))
            .count();

        assert!(wrong < 8_000, "{wrong} of a million absent keys pass");
        assert!(filter.bytes() <= 100_000 * 7 / 5);
    }

    #[test]
    fn a_filter_survives_its_bytes() {
        let hasher = KeyHasher::new(8);
        let mut filter = Filter::for_keys(1_000);
        (0..1_000).for_each(|key| filter.insert(hasher.hash(key << 77)));
        assert_eq!(Filter::from_bytes(&filter.to_bytes()).unwrap(), filter);
        assert!(Filter::from_bytes(&filter.to_bytes()[1..]).is_err());
        assert!(Filter::from_bytes(&[]).is_err());
    }
}
