//! SHA-256 hashes and their text.

use core::fmt;
use core::str::FromStr;

use sha2::block_api::compress256;
use thiserror::Error;

/// The state that SHA-256 begins with (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// The bytes of the length of a message, behind it in its last block, and of its padding at least.
const LENGTH_BYTES: usize = 8;
const PADDING_BYTES: usize = 1 + LENGTH_BYTES;

/// A SHA-256 hash. Its text is 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// 32 zero bytes: the previous hash of the first record of a ledger.
    pub const ZERO: Self = Self([0; 32]);

    /// Takes the 32 bytes of a hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of `prefix ‖ bytes`.
    ///
    /// By blocks, without a hasher in between: for messages as short as records are, that and the
    /// bookkeeping around it cost a third of the hashing itself. A message of few blocks, as nearly
    /// every record is, is laid out with its padding and taken in at once.
    pub fn prefixed(prefix: u8, bytes: &[u8]) -> Self {
        const FEW: usize = 4 * BLOCK_BYTES;
        let mut state = INITIAL;
        if bytes.len() < FEW - PADDING_BYTES {
            let mut message = [0; FEW];
            message[0] = prefix;
            message[1..=bytes.len()].copy_from_slice(bytes);
            return Self::finish(state, message, bytes.len() + 1, bytes.len() + 1);
        }
        let mut last = [0; 2 * BLOCK_BYTES];
        let mut place = 0;
        let mut rest = bytes;
        if let Some((start, after)) = bytes.split_first_chunk::<{ BLOCK_BYTES - 1 }>() {
            let mut first = [prefix; BLOCK_BYTES];
            first[1..].copy_from_slice(start);
            compress256(&mut state, &[first]);
            let (blocks, tail) = after.as_chunks();
            compress256(&mut state, blocks);
            rest = tail;
        } else {
            last[0] = prefix;
            place = 1;
        }
        let end = place + rest.len();
        last[place..end].copy_from_slice(rest);
        Self::finish(state, last, end, bytes.len() + 1)
    }

    /// SHA-256 of `prefix ‖ left ‖ right`: a node of a Merkle tree, or a link of a running hash.
    pub fn of_pair(prefix: u8, left: Self, right: Self) -> Self {
        const BYTES: usize = 1 + 32 + 32;
        let mut message = [0; 2 * BLOCK_BYTES];
        message[0] = prefix;
        message[1..33].copy_from_slice(&left.0);
        message[33..BYTES].copy_from_slice(&right.0);
        Self::finish(INITIAL, message, BYTES, BYTES)
    }

    /// Pads the `end` bytes at the start of `last`, the rest of a message of `length` bytes, and
    /// takes them in.
    fn finish<const ROOM: usize>(
        mut state: [u32; 8],
        mut last: [u8; ROOM],
        end: usize,
        length: usize,
    ) -> Self {
        last[end] = 0x80;
        let bits = (length as u64 * 8).to_be_bytes();
        let (blocks, _) = last.as_chunks_mut::<BLOCK_BYTES>();
        let blocks = &mut blocks[..(end + PADDING_BYTES).div_ceil(BLOCK_BYTES)];
        if let Some(block) = blocks.last_mut() {
            block[BLOCK_BYTES - LENGTH_BYTES..].copy_from_slice(&bits);
        }
        compress256(&mut state, blocks);
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        Self(hash)
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// The text is not a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a hash is written as 64 lowercase hexadecimal digits")]
pub struct ParseHashError;

impl FromStr for Hash {
    type Err = ParseHashError;

    /// Reads exactly what `Display` writes, so that a hash has one text only.
    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| ParseHashError)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, ParseHashError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ParseHashError),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn prefixed_bytes_hash_as_the_whole_does() {
        let message: [u8; 400] = core::array::from_fn(|at| (at * 7 % 251).try_into().unwrap());
        for length in 1..message.len() {
            let expected = Hash(Sha256::digest(&message[..length]).into());
            assert_eq!(Hash::prefixed(message[0], &message[1..length]), expected, "{length}");
        }
        let [left, right] = [1, 33].map(|at| Hash(*message[at..].first_chunk().unwrap()));
        assert_eq!(Hash::of_pair(0, left, right), Hash(Sha256::digest(&message[..65]).into()));
    }

    #[test]
    fn text_and_bytes_correspond() {
        let bytes = core::array::from_fn(|index| u8::try_from(index * 8).expect("below 256"));
        let text = Hash::from_bytes(bytes).to_string();
        assert!(text.starts_with("00081018"));
        assert_eq!(text.parse(), Ok(Hash::from_bytes(bytes)));
    }

    #[test]
    fn other_spellings_are_refused() {
        let text = "ab".repeat(32);
        assert!(text.parse::<Hash>().is_ok());
        assert_eq!(text.to_uppercase().parse::<Hash>(), Err(ParseHashError));
        assert_eq!(text[..62].parse::<Hash>(), Err(ParseHashError));
        assert_eq!((text.clone() + "00").parse::<Hash>(), Err(ParseHashError));
        assert_eq!(text.replace('a', "g").parse::<Hash>(), Err(ParseHashError));
    }
}
