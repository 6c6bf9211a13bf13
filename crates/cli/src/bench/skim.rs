//! Reads of an answer what a load checks, and passes over the rest: where each command was
//! recorded, whether it had been before, or why it was refused.

use prost::encoding::decode_varint;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome<'a> {
    /// It is in the log.
    Recorded {
        /// Where.
        position: u64,
        /// Whether it had been there before.
        duplicate: bool,
    },
    /// It was refused, for that reason.
    Refused(&'a [u8]),
}

/// An answer that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// One field of a message.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Takes the next field off a message; `None` at its end. Fields of fixed width do not occur in
/// what is read here.
fn field<'a>(rest: &mut &'a [u8]) -> Result<Option<(u64, Value<'a>)>, Unreadable> {
    if rest.is_empty() {
        return Ok(None);
    }
    let key = decode_varint(rest).map_err(|_| Unreadable)?;
    let number = decode_varint(rest).map_err(|_| Unreadable)?;
    let value = match key & 7 {
        0 => Value::Number(number),
        2 => {
            let length = usize::try_from(number).map_err(|_| Unreadable)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(Unreadable)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        _ => return Err(Unreadable),
    };
    Ok(Some((key >> 3, value)))
}

/// The outcomes of `pb::SubmitBatchResponse` or `pb::SubmitStreamResponse`, in their order. A
/// message that was refused as a whole is unreadable: a load sends none.
pub(crate) fn outcomes<'a>(
    answer: &'a [u8],
    mut each: impl FnMut(Outcome<'a>),
) -> Result<(), Unreadable> {
    let mut rest = answer;
    while let Some((tag, value)) = field(&mut rest)? {
        match (tag, value) {
            (1, Value::Bytes(mut result)) => match field(&mut result)?.ok_or(Unreadable)? {
                (1, Value::Bytes(receipt)) => each(recorded(receipt, 3)?),
                (2, Value::Bytes(error)) => each(Outcome::Refused(reason(error)?)),
                _ => return Err(Unreadable),
            },
            (2, Value::Number(_)) => {}
            _ => return Err(Unreadable),
        }
    }
    Ok(())
}

/// The outcome of a single call that succeeded.
pub(crate) fn single(answer: &[u8]) -> Result<Outcome<'_>, Unreadable> {
    match field(&mut { answer })? {
        Some((1, Value::Bytes(receipt))) => recorded(receipt, 4),
        _ => Err(Unreadable),
    }
}

/// The records of `pb::ReadRecordsResponse`, each as its bytes and its hash; gives the size of the
/// log that it states.
pub(crate) fn records<'a>(
    answer: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8]),
) -> Result<u64, Unreadable> {
    let (mut rest, mut log_size) = (answer, 0);
    while let Some((tag, value)) = field(&mut rest)? {
        match (tag, value) {
            (1, Value::Bytes(mut record)) => {
                let (mut bytes, mut hash) = (&[][..], &[][..]);
                while let Some((tag, value)) = field(&mut record)? {
                    match (tag, value) {
                        (2, Value::Bytes(found)) => hash = found,
                        (3, Value::Bytes(found)) => bytes = found,
                        _ => {}
                    }
                }
                each(bytes, hash);
            }
            (2, Value::Number(size)) => log_size = size,
            _ => return Err(Unreadable),
        }
    }
    Ok(log_size)
}

/// `pb::BatchReceipt` and `pb::Receipt`, which have `duplicate` in fields of their own.
fn recorded(receipt: &[u8], duplicate_field: u64) -> Result<Outcome<'static>, Unreadable> {
    let (mut position, mut duplicate) = (0, false);
    let mut rest = receipt;
    while let Some((tag, value)) = field(&mut rest)? {
        match value {
            Value::Number(number) if tag == 1 => position = number,
            Value::Number(number) if tag == duplicate_field => duplicate = number != 0,
            // Fields come in their order, and balances last.
            Value::Bytes(_) if tag > 2 => break,
            Value::Number(_) | Value::Bytes(_) => {}
        }
    }
    Ok(Outcome::Recorded { position, duplicate })
}

fn reason(error: &[u8]) -> Result<&[u8], Unreadable> {
    let mut rest = error;
    while let Some((tag, value)) = field(&mut rest)? {
        if let (2, Value::Bytes(reason)) = (tag, value) {
            return Ok(reason);
        }
    }
    Err(Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_proto::pb;
    use bergulir_proto::pb::batch_item_result::Outcome as Full;
    use prost::Message as _;

    fn receipt(position: u64, duplicate: bool) -> pb::BatchItemResult {
        let balances = Some(pb::Balances {
            loan: Some(pb::LoanBalances { loan: "l".to_owned(), ..pb::LoanBalances::default() }),
            ..pb::Balances::default()
        });
        let record_hash = vec![1; 32];
        let receipt = pb::BatchReceipt { position, record_hash, duplicate, balances };
        pb::BatchItemResult { outcome: Some(Full::Receipt(receipt)) }
    }

    fn error(reason: &str) -> pb::BatchItemResult {
        let error = pb::CommandError {
            code: 9,
            reason: reason.to_owned(),
            message: "because".to_owned(),
            ..pb::CommandError::default()
        };
        pb::BatchItemResult { outcome: Some(Full::Error(error)) }
    }

    fn read(answer: &[u8]) -> Result<Vec<Outcome<'_>>, Unreadable> {
        let mut read = Vec::new();
        outcomes(answer, |outcome| read.push(outcome)).map(|()| read)
    }

    #[test]
    fn an_answer_is_read_in_order() {
        let results = vec![receipt(0, false), error("NO"), receipt(1 << 40, true)];
        let answer = pb::SubmitBatchResponse { results, log_size: 9 }.encode_to_vec();
        let recorded = |position, duplicate| Outcome::Recorded { position, duplicate };
        let expected = [recorded(0, false), Outcome::Refused(b"NO"), recorded(1 << 40, true)];
        assert_eq!(read(&answer).unwrap(), expected);
        // Cut off anywhere it is unreadable, or a part of it.
        let parts = (0..answer.len()).filter_map(|end| read(&answer[..end]).ok());
        let parts: Vec<_> = parts.inspect(|part| assert!(expected.starts_with(part))).collect();
        // Between the results, and on either side of the size of the log.
        assert_eq!(parts.len(), 4);
        let refused = pb::SubmitStreamResponse {
            error: Some(pb::CommandError::default()),
            ..pb::SubmitStreamResponse::default()
        };
        assert_eq!(read(&refused.encode_to_vec()), Err(Unreadable));
    }

    #[test]
    fn a_single_answer_is_its_receipt() {
        let receipt =
            pb::Receipt { position: 300, log_size: 301, duplicate: true, ..Default::default() };
        let answer = pb::DisburseResponse { receipt: Some(receipt), ..Default::default() };
        let expected = Outcome::Recorded { position: 300, duplicate: true };
        assert_eq!(single(&answer.encode_to_vec()), Ok(expected));
        assert_eq!(single(&[]), Err(Unreadable));
    }
}
