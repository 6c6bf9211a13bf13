//! Records of the log, read one here and one there.

use crate::refusal::{read_status, unreadable_record};
use bergulir_chain::{Position, Record};
use bergulir_domain::Event;
use bergulir_engine::{Ledger, ReadLimit, Records};
use bergulir_proto::decode_event;
use tonic::Status;

/// What is read at once where records that are wanted lie together.
const NEIGHBOURS: ReadLimit = ReadLimit { max_records: 64, max_bytes: 16 << 10 };

/// A record that is at most so far after the one before it is near.
const NEAR: u64 = 64;

/// Reads single records. Blocks on the disk.
pub(crate) struct Reader<'a> {
    ledger: &'a Ledger,
    near: Option<Records>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(ledger: &'a Ledger) -> Reader<'a> {
        Reader { ledger, near: None }
    }

    /// The bytes of a record that is in the log.
    pub(crate) fn bytes(&mut self, position: Position) -> Result<&[u8], Status> {
        let holds = |records: &Records| (records.first()..records.next()).contains(&position);
        if !self.near.as_ref().is_some_and(holds) {
            let after = |records: &Records| position.get().wrapping_sub(records.first().get());
            let is_near = self.near.as_ref().is_some_and(|near| after(near) <= NEAR);
            let limit = if is_near { NEIGHBOURS } else { ReadLimit::ONE };
            let read = self.ledger.records(position, limit);
            self.near = Some(read.map_err(|refused| read_status(&refused))?);
        }
        let mut near = self.near.iter().flatten();
        let found = near.find(|(at, _)| *at == position);
        found
            .map(|(_, bytes)| bytes)
            .ok_or_else(|| unreadable_record(position.get(), &"it is past the end of the log"))
    }

    /// The event of a record that is in the log.
    pub(crate) fn event(&mut self, position: Position) -> Result<Event, Status> {
        let bytes = self.bytes(position)?;
        event_of(position, &parse(position, bytes)?)
    }
}

/// The parts of a record.
pub(crate) fn parse(position: Position, bytes: &[u8]) -> Result<Record<'_>, Status> {
    Record::parse(bytes).map_err(|error| unreadable_record(position.get(), &error))
}

/// What a record says.
pub(crate) fn event_of(position: Position, record: &Record<'_>) -> Result<Event, Status> {
    decode_event(record.event).map_err(|error| unreadable_record(position.get(), &error))
}
