//! Protobuf messages as their fields, without a schema.

/// A field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub value: Value,
}

/// What a field holds, as far as its bytes tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64([u8; 8]),
    /// Wire type 2, which is no message.
    Bytes(Vec<u8>),
    /// Wire type 2, which can be read as a message.
    Message(Vec<Field>),
    /// Wire type 5.
    Fixed32([u8; 4]),
}

/// Messages in messages are looked for so deep.
const DEPTH: usize = 12;

/// The fields of a message, or `None` if the bytes are none.
pub fn fields(bytes: &[u8]) -> Option<Vec<Field>> {
    read(bytes, DEPTH)
}

fn read(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                let message = if depth > 0 { read(value, depth - 1) } else { None };
                match message.filter(|fields| !fields.is_empty()) {
                    Some(fields) => Value::Message(fields),
                    None => Value::Bytes(value.to_vec()),
                }
            }
            5 => Value::Fixed32(take(&mut bytes)?),
            _ => return None,
        };
        fields.push(Field { number, value });
    }
    Some(fields)
}

/// Appends the fields as a message, with the lengths that they have now.
pub fn write_fields(fields: &[Field], out: &mut Vec<u8>) {
    for Field { number, value } in fields {
        let tag = u64::from(*number) << 3;
        match value {
            Value::Varint(number) => {
                put_varint(tag, out);
                put_varint(*number, out);
            }
            Value::Fixed64(bytes) => {
                put_varint(tag | 1, out);
                out.extend_from_slice(bytes);
            }
            Value::Bytes(bytes) => {
                put_varint(tag | 2, out);
                put_varint(bytes.len() as u64, out);
                out.extend_from_slice(bytes);
            }
            Value::Message(fields) => {
                let mut bytes = Vec::new();
                write_fields(fields, &mut bytes);
                put_varint(tag | 2, out);
                put_varint(bytes.len() as u64, out);
                out.extend_from_slice(&bytes);
            }
            Value::Fixed32(bytes) => {
                put_varint(tag | 5, out);
                out.extend_from_slice(bytes);
            }
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).expect("seven bits"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_as_it_was_read() {
        let inner = [Field { number: 3, value: Value::Varint(300) }];
        let message = [
            Field { number: 1, value: Value::Message(inner.to_vec()) },
            Field { number: 2, value: Value::Bytes(b"text".to_vec()) },
            Field { number: 2_000, value: Value::Fixed64([1; 8]) },
            Field { number: 5, value: Value::Fixed32([2; 4]) },
        ];
        let mut bytes = Vec::new();
        write_fields(&message, &mut bytes);
        assert_eq!(bytes[..6], [0x0a, 0x03, 0x18, 0xac, 0x02, 0x12]);
        let read = fields(&bytes).unwrap();
        let mut again = Vec::new();
        write_fields(&read, &mut again);
        assert_eq!(again, bytes);
        assert_eq!(read[0], message[0]);
        assert_eq!(fields(&[0xff]), None);
    }
}
