//! A filter per run that says "not here" to most keys that are not, without reading a block.
//!
//! Most runs are small and their filters are asked most often: theirs is a [`Bloom`] filter, the
//! quickest to ask. The few large ones have most of the keys, so that bits count: theirs are
//! [`EliasFano`] lines, of which as many bits let a third as many absent keys through.

mod bloom;
mod elias_fano;

use super::IndexError;
use super::hasher::fold;
use bloom::Bloom;
use elias_fano::EliasFano;

/// A run with more keys than this is large.
///
/// Small runs together hold at most some 4 M records (10 MB of bits over what large ones would take);
/// each key that gets through costs a read of a sled page, 5 to 25 µs.
const SMALL_RUN: u64 = 1 << 20;

const LINE_BYTES: usize = 64;

/// A cache line of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
struct Line([u64; 8]);

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
pub(super) enum Filter {
    Small(Bloom),
    Large(EliasFano),
}

/// A filter that is being made.
#[derive(Debug)]
pub(super) enum FilterBuilder {
    Small(Bloom),
    Large(elias_fano::Builder),
}

impl FilterBuilder {
    /// Of a filter for so many keys.
    pub(super) fn for_keys(keys: u64) -> Self {
        if is_small(keys) {
            Self::Small(Bloom::for_keys(keys))
        } else {
            Self::Large(elias_fano::Builder::for_keys(keys))
        }
    }

    /// Takes the next key; they ascend.
    #[inline]
    pub(super) fn push(&mut self, key: u64) {
        match self {
            Self::Small(filter) => filter.insert(key),
            Self::Large(builder) => builder.push(key),
        }
    }

    pub(super) fn finish(self) -> Filter {
        match self {
            Self::Small(filter) => Filter::Small(filter),
            Self::Large(builder) => Filter::Large(builder.finish()),
        }
    }
}

impl Filter {
    /// False if the key was never pushed.
    #[inline]
    pub(super) fn may_hold(&self, probe: &Probe) -> bool {
        match self {
            Self::Small(filter) => filter.may_hold(probe),
            Self::Large(filter) => filter.may_hold(probe.key),
        }
    }

    /// Reads what asking about these keys is going to read. Nothing here waits for an answer, so
    /// that the misses of the cache overlap.
    pub(super) fn look_ahead(&self, probes: &[Probe]) {
        let read = match self {
            Self::Small(filter) => or(probes.iter().map(|probe| filter.first_word(probe.key))),
            Self::Large(filter) => or(probes.iter().map(|probe| filter.first_word(probe.key))),
        };
        std::hint::black_box(read);
    }

    /// The length in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.lines())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.lines().iter().flat_map(|line| line.0).flat_map(u64::to_le_bytes).collect()
    }

    /// The filter of a run with so many keys.
    pub(super) fn from_bytes(bytes: &[u8], keys: u64) -> Result<Self, IndexError> {
        let (lines, rest) = bytes.as_chunks::<LINE_BYTES>();
        if lines.is_empty() || !rest.is_empty() {
            return Err(IndexError::damaged("a filter has a wrong length"));
        }
        let line = |bytes: &[u8; LINE_BYTES]| {
            let mut line = Line::default();
            let (words, _) = bytes.as_chunks();
            for (word, bytes) in line.0.iter_mut().zip(words) {
                *word = u64::from_le_bytes(*bytes);
            }
            line
        };
        let lines = lines.iter().map(line).collect();
        Ok(if is_small(keys) {
            Self::Small(Bloom::of(lines))
        } else {
            Self::Large(EliasFano::of(lines))
        })
    }

    fn lines(&self) -> &[Line] {
        match self {
            Self::Small(filter) => filter.lines(),
            Self::Large(filter) => filter.lines(),
        }
    }
}

const fn is_small(keys: u64) -> bool {
    keys <= SMALL_RUN
}

/// So many empty lines that each of them gets its share of so many keys.
fn empty_lines(keys: u64, for_1024: u64) -> Vec<Line> {
    let lines = (keys * for_1024).div_ceil(1024).max(1);
    let lines = usize::try_from(lines).expect("a run's keys were counted in memory");
    vec![Line::default(); lines]
}

fn or(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(0, |all, word| all | word)
}

/// Another hash of a key, six bits of which name its bit of each word.
#[inline]
fn spread(key: u64) -> u64 {
    fold(key ^ 0x2d35_8dcc_aa6c_78a5, 0x8ebc_6af0_9c88_c6e3)
}

#[cfg(test)]
mod tests {
    use super::super::hasher::KeyHasher;
    use super::*;

    fn filled(keys: &[u64]) -> Filter {
        let mut builder = FilterBuilder::for_keys(keys.len() as u64);
        for key in keys {
            builder.push(*key);
        }
        builder.finish()
    }

    /// The keys of so many ids, in their order.
    fn keys(ids: std::ops::Range<u64>) -> Vec<u64> {
        let hasher = KeyHasher::new(7);
        let mut keys: Vec<u64> = ids.map(|id| hasher.key(id.into())).collect();
        keys.sort_unstable();
        keys
    }

    /// How many of a million absent keys a filter of this many keys lets through.
    fn let_through(count: u64) -> usize {
        let present = keys(0..count);
        let filter = filled(&present);
        assert!(present.iter().all(|key| filter.may_hold(&Probe::new(*key))));
        let absent = keys(count..count + 1_000_000);
        let absent = absent.iter().filter(|key| present.binary_search(key).is_err());
        absent.filter(|key| filter.may_hold(&Probe::new(**key))).count()
    }

    #[test]
    fn every_key_is_found_and_few_others_are() {
        let (small, large) = (let_through(100_000), let_through(SMALL_RUN + 1));
        assert!(small < 400, "{small} of a million absent keys pass a small filter");
        assert!(large < 2_600, "{large} of a million absent keys pass a large filter");
        let bytes = FilterBuilder::for_keys(10_000_000).finish().bytes();
        assert!(2 * bytes < 10_000_000 * 29 / 10, "{bytes} bytes for each of two tables");
    }

    #[test]
    fn a_filter_survives_its_bytes() {
        for count in [1_000, SMALL_RUN + 1_000] {
            let filter = filled(&keys(0..count));
            let read = Filter::from_bytes(&filter.to_bytes(), count).unwrap();
            assert_eq!(read, filter);
            assert!(Filter::from_bytes(&filter.to_bytes()[1..], count).is_err());
            assert!(Filter::from_bytes(&[], count).is_err());
        }
    }
}
