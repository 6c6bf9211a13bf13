//! A filter per run that says "not here" to most keys that are not, without reading a block.
//!
//! A split-block Bloom filter: one cache line a key, one bit in each of its eight words. Its bits
//! are part of the stored format, so they come from code that no dependency can change under us.

use super::IndexError;

/// Lines for 1,024 keys of a small run: 20 bits a key, one absent key in 4,000 gets through.
///
/// Most runs are small, and together they hold at most some 4 M records (10 MB of bits over the
/// other rate); each key that gets through costs a read of a sled page, 5 to 25 µs.
const LINES_OF_SMALL: u64 = 40;

/// Lines for 1,024 keys of any other run: 11 bits a key, one absent key in 150 gets through.
/// Request ids and bank references together stay under 3 bytes a record.
const LINES_OF_LARGE: u64 = 22;

/// A run with more keys than this is large.
const SMALL_RUN: u64 = 1 << 20;

const LINE_BYTES: usize = 64;

/// A cache line of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
struct Line([u64; 8]);

/// The bits of a key. In a log of a hundred million records one absent id in 10,000 meets the key of
/// another, which costs a look into the log; each byte more would cost one a record.
pub(super) const KEY_BITS: u32 = 40;

/// Turns ids into keys, with a seed of this index that callers cannot know: nobody can choose ids
/// that share a key, fill one line of a filter or one bucket of a table.
///
/// Both factors of each product have a secret in them: half of an id that is equal to a factor which
/// callers know would make the product zero, whatever the other half.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHasher {
    high: u64,
    low: u64,
}

impl KeyHasher {
    pub(super) const fn new(seed: u64) -> Self {
        let high = fold(seed ^ 0x2d35_8dcc_aa6c_78a5, 0x8bb8_4b93_962e_acc9);
        Self { high, low: fold(high ^ 0x9e37_79b9_7f4a_7c15, seed ^ 0xe703_7ed1_a0b4_28db) }
    }

    pub(super) const fn key(self, id: u128) -> u64 {
        let (high, low) = halves(id);
        let mixed = fold(high ^ self.high, low ^ self.low);
        let hash = fold(mixed ^ self.low, self.high ^ 0xe703_7ed1_a0b4_28db);
        hash >> (u64::BITS - KEY_BITS)
    }

    /// A short form of texts, each with its length, and of a number.
    pub(super) fn fingerprint(self, texts: &[&[u8]], number: u64) -> u64 {
        let mut hash = fold(number ^ self.high, self.low);
        for text in texts {
            hash = fold(hash ^ text.len() as u64, self.low ^ self.high);
            let (pieces, rest) = text.as_chunks();
            let whole = pieces.iter().map(|piece| halves(u128::from_le_bytes(*piece)));
            for (high, low) in whole.chain((!rest.is_empty()).then(|| ends(rest))) {
                hash = fold(high ^ hash ^ self.high, low ^ self.low);
            }
        }
        hash
    }
}

/// Two numbers that bytes of one length, at most 16, share with no others.
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let Some((first, last)) = bytes.first_chunk::<8>().zip(bytes.last_chunk()) {
        (u64::from_le_bytes(*last), u64::from_le_bytes(*first))
    } else if let Some((first, last)) = bytes.first_chunk::<4>().zip(bytes.last_chunk()) {
        (u32::from_le_bytes(*last).into(), u32::from_le_bytes(*first).into())
    } else {
        (0, bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves are what is wanted")]
const fn halves(number: u128) -> (u64, u64) {
    ((number >> 64) as u64, number as u64)
}

const fn fold(one: u64, other: u64) -> u64 {
    let (high, low) = halves(one as u128 * other as u128);
    high ^ low
}

/// A key that filters are asked about: what says which bits are its own is the same in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) key: u64,
    spread: u64,
}

impl Probe {
    pub(super) fn new(key: u64) -> Self {
        Self { key, spread: spread(key) }
    }
}

/// The keys of one run, approximately.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    /// An empty filter with room for this many keys.
    pub(super) fn for_keys(keys: u64) -> Self {
        let rate = if keys <= SMALL_RUN { LINES_OF_SMALL } else { LINES_OF_LARGE };
        let lines = (keys * rate).div_ceil(1024).max(1);
        let lines = usize::try_from(lines).expect("a run's keys were counted in memory");
        Self { lines: vec![Line::default(); lines] }
    }

    pub(super) fn insert(&mut self, key: u64) {
        let at = self.line(key);
        let spread = spread(key);
        for (number, word) in self.lines[at].0.iter_mut().enumerate() {
            *word |= 1 << bit(spread, number);
        }
    }

    /// False if the key was never inserted.
    #[inline]
    pub(super) fn may_hold(&self, probe: &Probe) -> bool {
        let line = &self.lines[self.line(probe.key)].0;
        let has = |word: usize| line[word] >> bit(probe.spread, word) & 1 == 1;
        // Two words rule out most that are not there.
        (has(0) & has(1)) && (2..line.len()).all(has)
    }

    /// Reads what asking about these keys is going to read. Nothing here waits for an answer, so
    /// that the misses of the cache overlap.
    pub(super) fn look_ahead(&self, probes: &[Probe]) {
        let lines = probes.iter().map(|probe| self.lines[self.line(probe.key)].0[0]);
        std::hint::black_box(lines.fold(0, |all, word| all | word));
    }

    /// The length in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| line.0).flat_map(u64::to_le_bytes).collect()
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

    /// By the highest bits of the key, so that keys in their order fill one line after another.
    #[inline]
    fn line(&self, key: u64) -> usize {
        (((key >> (KEY_BITS - 32)) * self.lines.len() as u64) >> 32) as usize
    }
}

/// Another hash of a key, six bits of which name its bit of each word.
#[inline]
fn spread(key: u64) -> u64 {
    fold(key ^ 0x2d35_8dcc_aa6c_78a5, 0x8ebc_6af0_9c88_c6e3)
}

/// The bit of a word.
#[inline]
const fn bit(spread: u64, word: usize) -> u64 {
    spread >> (6 * word) & 63
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a million absent keys a filter of this many keys lets through.
    fn let_through(keys: u64) -> usize {
        let hasher = KeyHasher::new(7);
        let mut filter = Filter::for_keys(keys);
        (0..keys).for_each(|key| filter.insert(hasher.key(key.into())));
        assert!((0..keys).all(|key| filter.may_hold(&Probe::new(hasher.key(key.into())))));
        let absent = keys..keys + 1_000_000;
        absent.filter(|key| filter.may_hold(&Probe::new(hasher.key((*key).into())))).count()
    }

    #[test]
    fn every_key_is_found_and_few_others_are() {
        let (small, large) = (let_through(100_000), let_through(SMALL_RUN + 1));
        assert!(small < 400, "{small} of a million absent keys pass a small filter");
        assert!(large < 7_500, "{large} of a million absent keys pass a large filter");
        let bytes = Filter::for_keys(10_000_000).bytes();
        assert!(2 * bytes < 10_000_000 * 28 / 10, "{bytes} bytes for each of two tables");
    }

    #[test]
    fn no_half_of_an_id_makes_its_key() {
        let hasher = KeyHasher::new(9);
        // What an earlier version multiplied the lower half with, which anyone could read.
        let low = 0x9e37_79b9_7f4a_7c15_u128;
        let keys = (0..1_000_u128).map(|high| hasher.key(high << 64 | low));
        assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), 1_000);
        assert_ne!(hasher.key(low), KeyHasher::new(10).key(low));
    }

    #[test]
    fn fingerprints_tell_texts_and_numbers_apart() {
        let hasher = KeyHasher::new(9);
        let texts: [&[&[u8]]; 14] = [
            &[b"BJB", b"R-1"],
            &[b"BJBR", b"-1"],
            &[b"BJ", b"BR-1"],
            &[b"BJB", b"R-1\0"],
            &[b"BJB", b"R-12345678901234567890"],
            &[b"BJB", b"R-12345678901234567891"],
            &[b"BJB", b"R-12345678"],
            &[b"BJB", b"R+12345678"],
            &[b"BJB", b"R-12345679"],
            &[b"BJB", b"R-123"],
            &[b"BJB", b"R-124"],
            &[b"BJB", b"R+123"],
            &[b"", b""],
            &[b"BJB", b""],
        ];
        let of = |hasher: KeyHasher| {
            let all = texts
                .iter()
                .flat_map(move |texts| [0, 1, 2].map(|line| hasher.fingerprint(texts, line)));
            all.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(of(hasher).len(), 3 * texts.len());
        assert!(of(hasher).is_disjoint(&of(KeyHasher::new(10))));
    }

    #[test]
    fn a_filter_survives_its_bytes() {
        let hasher = KeyHasher::new(8);
        let mut filter = Filter::for_keys(1_000);
        (0..1_000).for_each(|key| filter.insert(hasher.key(key << 77)));
        assert_eq!(Filter::from_bytes(&filter.to_bytes()).unwrap(), filter);
        assert!(Filter::from_bytes(&filter.to_bytes()[1..]).is_err());
        assert!(Filter::from_bytes(&[]).is_err());
    }
}
