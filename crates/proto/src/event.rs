//! The event bytes of a record: [`encode_event`] and its inverse, [`decode_event`].
//!
//! There is one byte string for each event. `decode_event` takes no other: whatever another
//! encoder could write differently (order, repetition, explicit defaults, long varints, unknown
//! fields) is refused, so a record cannot say more than its event does.

mod frequent;
mod read;
mod write;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

use bergulir_domain::Event;
use prost::Message as _;
use thiserror::Error;

use crate::pb;

/// Why bytes are not an event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventError {
    /// They are not even a protobuf message of that shape.
    #[error("the event cannot be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    /// There is no kind, or one that this software does not know.
    #[error("the event's kind is not known here: read it with newer software")]
    UnknownKind,
    /// A field that must be there is not.
    #[error("the event has no {field}")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field holds what the domain does not allow.
    #[error("the event's {field} {why}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The bytes say the event in another way than the one that is allowed.
    #[error("the event is not encoded in the one way that is allowed")]
    NotCanonical,
}

/// Appends the bytes of an event to `out`.
pub fn encode_event(event: &Event, out: &mut Vec<u8>) {
    if !frequent::encode(event, out) {
        encode_any(event, out);
    }
}

fn encode_any(event: &Event, out: &mut Vec<u8>) {
    let message = event_to_wire(event);
    out.reserve(message.encoded_len());
    message.encode(out).expect("a Vec has room");
}

/// Reads an event from exactly its bytes.
///
/// # Errors
/// If the bytes are anything but what [`encode_event`] writes for the event.
pub fn decode_event(bytes: &[u8]) -> Result<Event, EventError> {
    frequent::decode(bytes).map_or_else(|| decode_any(bytes), Ok)
}

/// The tags of the events that say whose log it is: fields 16, 29 and 30, each a message.
const NAMING: [[u8; 2]; 3] = [[0x82, 0x01], [0xea, 0x01], [0xf2, 0x01]];

/// Whether the bytes begin like those of an event that says whose log it is: the opening of a
/// ledger, another key, or another origin. For whoever reads only those.
pub fn names_the_log(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|tag| NAMING.contains(tag))
}

fn decode_any(bytes: &[u8]) -> Result<Event, EventError> {
    let message = pb::Event::decode(bytes)?;
    // What cannot be seen in the message (unknown fields, order, long varints) shows here; what
    // the domain does not keep of the message would show below, and there is nothing of that:
    // `from_wire` refuses it.
    if message.encoded_len() != bytes.len() || message.encode_to_vec() != bytes {
        return Err(EventError::NotCanonical);
    }
    let event = event_from_wire(message)?;
    debug_assert_eq!(event_to_wire(&event).encode_to_vec(), bytes);
    Ok(event)
}

/// An event as the message that is stored and that queries answer with.
pub fn event_to_wire(event: &Event) -> pb::Event {
    pb::Event { kind: Some(write::kind(event)) }
}

/// The event of a message.
///
/// # Errors
/// If a field is missing, superfluous or holds what the domain does not allow.
pub fn event_from_wire(message: pb::Event) -> Result<Event, EventError> {
    read::event(message.kind.ok_or(EventError::UnknownKind)?)
}
