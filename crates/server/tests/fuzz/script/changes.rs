//! Messages that are not as they should be.

use super::line::throws;
use bergulir_fuzz::{Field, Value, fields, write_fields};

/// The message, changed in a way that the seed chooses.
pub(super) fn changed(message: &[u8], seed: u64) -> Vec<u8> {
    let mut throw = throws(seed);
    let mut bytes = message.to_vec();
    for _ in 0..=throw(2) {
        match fields(&bytes) {
            Some(mut message) if throw(3) > 0 => {
                change(&mut message, &mut throw);
                bytes.clear();
                write_fields(&message, &mut bytes);
            }
            _ if bytes.is_empty() => {}
            _ => {
                let at = throw(bytes.len());
                bytes[at] ^= u8::try_from(1 + throw(255)).unwrap();
            }
        }
    }
    bytes
}

fn change(message: &mut Vec<Field>, throw: &mut impl FnMut(usize) -> usize) {
    const NUMBERS: [u64; 6] = [0, 1, 7, 300, u64::MAX, 1 << 63];
    let at = throw(message.len());
    let number = Value::Varint(NUMBERS[throw(NUMBERS.len())]);
    if throw(4) > 0
        && let Some(Field { value: Value::Message(inner), .. }) = message.get_mut(at)
    {
        return change(inner, throw);
    }
    match throw(4) {
        0 if !message.is_empty() => drop(message.remove(at)),
        1 if !message.is_empty() => message.insert(at, message[at].clone()),
        2 if !message.is_empty() => message[at].value = number,
        _ => {
            let field = u32::try_from(1 + throw(12)).unwrap();
            message.push(Field { number: field, value: number });
        }
    }
}
