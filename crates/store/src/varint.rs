//! Numbers in as few bytes as they take: seven bits a byte, the lowest first (LEB128).

/// Appends a number.
pub(crate) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        let [low, ..] = number.to_le_bytes();
        out.push(low | 0x80);
        number >>= 7;
    }
    let [low, ..] = number.to_le_bytes();
    out.push(low);
}

/// Takes a number off the front; `None` if the bytes end before it does, or it is too long.
#[inline]
pub(crate) fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (shift < 63 || *byte < 2).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_varint_comes_back(number: u64, shift in 0..64) {
            let mut bytes = Vec::new();
            put_varint(number >> shift, &mut bytes);
            let mut from = &bytes[..];
            prop_assert_eq!(take_varint(&mut from), Some(number >> shift));
            prop_assert!(from.is_empty());
        }
    }

    #[test]
    fn a_varint_that_is_too_long_is_refused() {
        assert_eq!(take_varint(&mut [0xff; 11].as_slice()), None);
        let mut long = [0xff; 10];
        long[9] = 2;
        assert_eq!(take_varint(&mut long.as_slice()), None);
        long[9] = 1;
        assert_eq!(take_varint(&mut long.as_slice()), Some(u64::MAX));
    }
}
