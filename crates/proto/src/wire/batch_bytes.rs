//! Batches and the answers to payments as bytes: what a server works with in place of the typed
//! messages, of which a batch of thousands would cost more than to decide it. The schema is the typed
//! one, and so is what clients see.

use core::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

use super::batch::BatchError;
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
