//! Groups of made-up records for tests.

use bergulir_chain::{Authentication, Record, Timestamp};

use crate::group::{Group, GroupError};
use crate::log::Head;

/// A record that continues the group, with this event.
pub(crate) fn record<'a>(group: &Group, event: &'a [u8]) -> Record<'a> {
    let Head { size, hash } = group.head();
    Record {
        position: size.next_position(),
        previous: hash,
        recorded_at: Timestamp::from_micros(1_767_225_600_000_000),
        principal: "maker",
        authentication: Authentication::Stated,
        request_id: u128::from(size.get()).to_be_bytes(),
        following: 0,
        event,
        signature: None,
    }
}

/// Pushes a record with this event.
pub(crate) fn push(group: &mut Group, event: &[u8]) -> Result<(), GroupError> {
    let record = record(group, event);
    group.push(&record).map(|_| ())
}

/// A group of records with these events.
pub(crate) fn group<E: AsRef<[u8]>>(base: Head, events: impl IntoIterator<Item = E>) -> Group {
    let mut group = Group::new(base);
    for event in events {
        push(&mut group, event.as_ref()).unwrap();
    }
    group
}
