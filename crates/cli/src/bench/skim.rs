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

/// The answer to a batch, read while it comes, piece by piece, and where it came to: what is long need
/// not be put together first.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    /// The beginning of a field that is not here whole.
    begun: Vec<u8>,
}

impl Arriving {
    /// Reads one more piece, as [`outcomes`] does.
    pub(crate) fn read(
        &mut self,
        mut piece: &[u8],
        mut each: impl FnMut(Outcome<'_>),
    ) -> Result<(), Unreadable> {
        while !self.begun.is_empty() {
            let missing = match length(&self.begun)? {
                Some(length) => length.saturating_sub(self.begun.len()),
                None => 1,
            };
            let Some((next, rest)) = piece.split_at_checked(missing) else {
                self.begun.extend_from_slice(piece);
                return Ok(());
            };
            self.begun.extend_from_slice(next);
            piece = rest;
            if length(&self.begun)?.is_some_and(|length| length <= self.begun.len()) {
                outcomes(&self.begun, &mut each)?;
                self.begun.clear();
            }
        }
        let mut whole = 0;
        while let Some(length) = length(&piece[whole..])?
            && piece.len() - whole >= length
        {
            whole += length;
        }
        outcomes(&piece[..whole], each)?;
        self.begun.extend_from_slice(&piece[whole..]);
        Ok(())
    }

    /// That nothing more comes.
    pub(crate) fn end(self) -> Result<(), Unreadable> {
        if self.begun.is_empty() { Ok(()) } else { Err(Unreadable) }
    }
}

/// The most bytes of a key and what follows it, a length or a number.
const MAX_FIELD_BEGINNING: usize = 20;

/// How many bytes the first field takes; `None`: not even its length is here.
fn length(rest: &[u8]) -> Result<Option<usize>, Unreadable> {
    let mut after = rest;
    let (Ok(key), Ok(number)) = (decode_varint(&mut after), decode_varint(&mut after)) else {
        return if rest.len() < MAX_FIELD_BEGINNING { Ok(None) } else { Err(Unreadable) };
    };
    let beginning = rest.len() - after.len();
    let content = if key & 7 == 2 { usize::try_from(number).map_err(|_| Unreadable)? } else { 0 };
    beginning.checked_add(content).map(Some).ok_or(Unreadable)
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
    fn an_answer_that_comes_in_pieces_is_the_same() {
        let results = vec![receipt(0, false), error("NO"), receipt(1 << 40, true)];
        let answer = pb::SubmitBatchResponse { results, log_size: 900 }.encode_to_vec();
        let whole = read(&answer).unwrap();
        for first in 0..answer.len() {
            for second in [0, 1, 3, 100] {
                let (one, rest) = answer.split_at(first);
                let (two, three) = rest.split_at(second.min(rest.len()));
                let (mut arriving, mut got) = (Arriving::default(), Vec::new());
                for piece in [one, two, three] {
                    arriving.read(piece, |outcome| got.push(format!("{outcome:?}"))).unwrap();
                }
                arriving.end().unwrap();
                let expected: Vec<_> = whole.iter().map(|got| format!("{got:?}")).collect();
                assert_eq!(got, expected, "{first}, {second}");
            }
            let mut cut = Arriving::default();
            if cut.read(&answer[..first], |_| ()).and_then(|()| cut.end()).is_ok() {
                assert!(read(&answer[..first]).is_ok(), "{first}");
            }
        }
        assert_eq!(Arriving::default().read(&[0xff; 30], |_| ()), Err(Unreadable));
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
