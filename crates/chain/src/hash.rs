//! SHA-256 hashes and their text.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

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
