//! Standard Base 64 with padding (RFC 4648, section 4): one text for each byte string.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding};

use crate::Hash;

/// The text of these bytes.
pub fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// The bytes of this text; `None` if `encode` would not write it so.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// Reads exactly `N` bytes.
pub(crate) fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    decode_into(text, &mut bytes)?;
    Some(bytes)
}

/// Reads exactly as many bytes as there is room for: where a secret must not be left elsewhere.
pub(crate) fn decode_into(text: &str, bytes: &mut [u8]) -> Option<()> {
    let room = bytes.len();
    let decoded = Base64::decode(text, bytes).ok()?;
    (decoded.len() == room).then_some(())
}

/// Reads a hash.
pub fn decode_hash(text: &str) -> Option<Hash> {
    decode_exact(text).map(Hash::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_string_has_one_text() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"\xfb\xff", "+/8="),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).as_deref(), Some(bytes));
        }
        for other in
            ["Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "-_8=", "Zm9vZg", "="]
        {
            assert_eq!(decode(other), None, "{other:?}");
        }
        assert_eq!(decode_exact::<2>("Zm8="), Some(*b"fo"));
        assert_eq!(decode_exact::<3>("Zm8="), None);
        assert_eq!(decode_exact::<1>("Zm8="), None);
    }
}
