//! Batches and the answers to payments as bytes: what a server works with in place of the typed
//! messages, of which a batch of thousands would cost more than to decide it. The schema is the typed
//! one, and so is what clients see.

use core::marker::PhantomData;

use bergulir_domain::money::Currency;
use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use super::batch::{BatchError, MAX_BATCH_ITEMS, Request};
use super::frequent;
use crate::in_order::{InOrder, VARINT};
use crate::pb;

/// A message as its bytes; `M` is what they say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded<M>(Bytes, PhantomData<M>);

/// A `SubmitBatchRequest`, or a `SubmitStreamRequest`, which has the same form, as it arrived.
pub type BatchBytes = Encoded<pb::SubmitBatchRequest>;

/// A `SubmitBatchResponse`, or a `SubmitStreamResponse`, which begins with the same fields, made of
/// bytes.
pub type BatchAnswer = Encoded<pb::SubmitBatchResponse>;

/// A `DisburseResponse`, or a `RepayResponse`, which has the same form, made of bytes.
pub type PaymentAnswer = Encoded<pb::DisburseResponse>;

impl<M> From<Vec<u8>> for Encoded<M> {
    fn from(bytes: Vec<u8>) -> Self {
        Encoded(bytes.into(), PhantomData)
    }
}

impl<M> From<Bytes> for Encoded<M> {
    fn from(bytes: Bytes) -> Self {
        Encoded(bytes, PhantomData)
    }
}

impl<M> Encoded<M> {
    /// Its bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl<M: Message + Default> Message for Encoded<M> {
    fn decode(mut bytes: impl Buf) -> Result<Self, DecodeError> {
        Ok(Encoded(bytes.copy_to_bytes(bytes.remaining()), PhantomData))
    }

    fn encode_raw(&self, out: &mut impl BufMut) {
        out.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    /// Two messages, one behind the other, are what both say together.
    fn merge_field(
        &mut self,
        field: u32,
        wire_type: WireType,
        from: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut typed = M::default();
        typed.merge_field(field, wire_type, from, context)?;
        self.0 = [&self.0[..], &typed.encode_to_vec()].concat().into();
        Ok(())
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl BatchBytes {
    /// What it says, with its items as bytes.
    ///
    /// # Errors
    /// If it is not a message.
    pub fn parts(&self) -> Result<BatchParts<'_>, BatchError> {
        BatchParts::of(&self.0).map_err(BatchError::Malformed)
    }

    /// Appends the commands of a batch that takes each by itself, and says how many they are: of one
    /// that is written as nearly every encoder does, for that ledger, with 1 to `most` commands of the
    /// frequent kinds, all right. `None` says nothing, and then nothing is appended.
    pub fn append_frequent(
        &self,
        ledger: &str,
        currency: Currency,
        most: usize,
        requests: &mut Vec<Request>,
    ) -> Option<usize> {
        let before = requests.len();
        let appended = self.frequent(ledger, currency, most.min(MAX_BATCH_ITEMS), requests);
        let count = requests.len() - before;
        if appended.is_none() {
            requests.truncate(before);
        }
        appended.map(|()| count)
    }

    fn frequent(
        &self,
        ledger: &str,
        currency: Currency,
        most: usize,
        requests: &mut Vec<Request>,
    ) -> Option<()> {
        let mut from = InOrder(&self.0);
        if from.bytes(1).is_some_and(|name| name != ledger.as_bytes()) {
            return None;
        }
        let mode = pb::BatchMode::Independent as i32;
        if !from.has(2, VARINT) || from.varint()? != mode.cast_unsigned().into() {
            return None;
        }
        let mut last_date = None;
        let mut count = 0;
        while count == 0 || !from.is_empty() {
            requests.push(frequent::read(from.bytes(5)?, currency, &mut last_date)?);
            count += 1;
            if count > most {
                return None;
            }
        }
        Some(())
    }
}

/// What a batch says, with its items as bytes.
#[derive(Debug, Default)]
pub struct BatchParts<'a> {
    /// The name of its ledger.
    pub ledger: &'a str,
    pub(super) mode: i32,
    pub(super) expected_position: Option<u64>,
    pub(super) validate_only: bool,
    pub(super) items: Vec<&'a [u8]>,
}

/// Few items of a batch are shorter.
const SHORT_ITEM_BYTES: usize = 64;

impl<'a> BatchParts<'a> {
    /// How many commands it has.
    pub fn commands(&self) -> usize {
        self.items.len()
    }

    /// The parts of a message. Of a field that stands there twice the last counts, and fields
    /// without a meaning are passed over, as everywhere in protobuf. `None`: it is not a message.
    fn of(mut bytes: &'a [u8]) -> Result<BatchParts<'a>, String> {
        let from = &mut bytes;
        let mut parts = BatchParts::default();
        while !from.is_empty() {
            let (field, wire_type) = decode_key(from).map_err(why)?;
            match (field, wire_type) {
                (1, WireType::LengthDelimited) => {
                    parts.ledger = core::str::from_utf8(length_delimited(from)?).map_err(why)?;
                }
                (2, WireType::Varint) => parts.mode = int32(decode_varint(from).map_err(why)?),
                (3, WireType::Varint) => {
                    parts.expected_position = Some(decode_varint(from).map_err(why)?);
                }
                (4, WireType::Varint) => {
                    parts.validate_only = decode_varint(from).map_err(why)? != 0;
                }
                (5, WireType::LengthDelimited) => {
                    let item = length_delimited(from)?;
                    if parts.items.is_empty() {
                        // As many as there are if all are as long.
                        parts.items.reserve(1 + from.len() / item.len().max(SHORT_ITEM_BYTES));
                    }
                    parts.items.push(item);
                }
                (1..=5, _) => return Err(format!("field {field} has another type")),
                _ => {
                    skip_field(wire_type, field, from, DecodeContext::default()).map_err(why)?;
                }
            }
        }
        Ok(parts)
    }
}

fn length_delimited<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = usize::try_from(decode_varint(from).map_err(why)?).map_err(why)?;
    let split = from.split_at_checked(length);
    let (bytes, rest) = split.ok_or_else(|| "it ends inside a field".to_owned())?;
    *from = rest;
    Ok(bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn why(error: impl ToString) -> String {
    error.to_string()
}

#[expect(clippy::cast_possible_truncation, reason = "what protobuf says of an int32")]
const fn int32(number: u64) -> i32 {
    number as i32
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::*;
    use crate::samples::frequent_command;
    use crate::wire::{BatchMode, command_to_wire};
    use proptest::prelude::*;

    const LEDGER: &str = "ledgers/kab";

    /// A batch of these commands, each under an id of its own.
    fn batch(commands: &[bergulir_domain::Command]) -> pb::SubmitBatchRequest {
        let items = commands.iter().zip(1_u128..).map(|(command, n)| pb::BatchItem {
            request_id: uuid::Uuid::from_u128(n).to_string(),
            command: command_to_wire(command),
        });
        pb::SubmitBatchRequest {
            ledger: LEDGER.to_owned(),
            mode: pb::BatchMode::Independent as i32,
            items: items.collect(),
            ..pb::SubmitBatchRequest::default()
        }
    }

    fn quick(bytes: Vec<u8>, most: usize, requests: &mut Vec<Request>) -> Option<usize> {
        BatchBytes::from(bytes).append_frequent(LEDGER, Currency::Idr, most, requests)
    }

    fn slow(bytes: Vec<u8>) -> Batch {
        Batch::read(BatchBytes::from(bytes).parts().unwrap(), Currency::Idr).unwrap()
    }

    proptest! {
        #[test]
        fn commands_are_appended_as_a_batch_of_them_is_read(
            commands in prop::collection::vec(frequent_command(), 1..4),
        ) {
            let named = batch(&commands);
            let unnamed = pb::SubmitBatchRequest { ledger: String::new(), ..named.clone() };
            let expected = slow(named.encode_to_vec()).requests;
            let mut requests = Vec::new();
            for message in [&named, &unnamed] {
                let bytes = message.encode_to_vec();
                prop_assert_eq!(quick(bytes.clone(), 3, &mut requests), Some(commands.len()));
                prop_assert_eq!(quick(bytes, commands.len() - 1, &mut requests), None);
            }
            prop_assert_eq!(requests, [&expected[..], &expected[..]].concat());
        }

        #[test]
        fn whatever_is_not_such_a_batch_appends_nothing(
            commands in prop::collection::vec(frequent_command(), 1..4),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = batch(&commands).encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let mut requests = slow(batch(&commands[..1]).encode_to_vec()).requests;
            if let Some(count) = quick(bytes.clone(), MAX_BATCH_ITEMS, &mut requests) {
                let read = slow(bytes);
                prop_assert_eq!(read.mode, BatchMode::Independent);
                prop_assert_eq!(read.ledger.to_string(), "kab");
                prop_assert!(read.wrong.is_empty());
                prop_assert_eq!(&requests[1..], &read.requests[..]);
                prop_assert_eq!(count, read.requests.len());
            } else {
                prop_assert_eq!(requests.len(), 1);
            }
        }
    }

    #[test]
    fn what_says_more_is_left_to_the_other_way() {
        let command = bergulir_domain::Command::Repay(crate::samples::a_repayment());
        let right = batch(&[command]);
        let changed = |change: fn(&mut pb::SubmitBatchRequest)| {
            let mut message = right.clone();
            change(&mut message);
            quick(message.encode_to_vec(), 10, &mut Vec::new())
        };
        assert_eq!(changed(|_| ()), Some(1));
        assert_eq!(changed(|m| m.ledger.push('x')), None);
        assert_eq!(changed(|m| m.mode = pb::BatchMode::Atomic as i32), None);
        assert_eq!(changed(|m| m.mode = 0), None);
        assert_eq!(changed(|m| m.expected_position = Some(1)), None);
        assert_eq!(changed(|m| m.validate_only = true), None);
        assert_eq!(changed(|m| m.items.clear()), None);
        // Of two modes the last one counts.
        let atomic = [0x10, pb::BatchMode::Atomic as u8];
        let twice = [&right.encode_to_vec()[..], &atomic].concat();
        assert_eq!(quick(twice, 10, &mut Vec::new()), None);
    }
}
