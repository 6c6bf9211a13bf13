//! What ids become in the index: keys, by a hash that callers cannot foresee.

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

pub(super) const fn fold(one: u64, other: u64) -> u64 {
    let (high, low) = halves(one as u128 * other as u128);
    high ^ low
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
