//! Records of a ledger, changed in their events and headers and chained again: what a forger would do
//! who may write the log but not break a hash.

use std::fs;
use std::path::Path;

use bergulir_chain::{
    Authentication, ChainCursor, Frame, Hash, Position, Record, Timestamp, record, segment,
};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Event, Position as At};
use bergulir_fuzz::{Field, Value, fields, fuzz, outcome, write_fields};

use super::target;
use crate::event::decode_event;
use crate::record::records_to_wire;
use crate::replay::Replica;

/// The events so far.
#[derive(Default)]
struct Past(Vec<Event>);

impl Lookups for Past {
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<At>, LookupFailed> {
        let events = (0..).map(At::new).zip(&self.0);
        Ok(events
            .filter(|(_, event)| event.bank_reference() == Some(reference))
            .map(|(at, _)| at)
            .collect())
    }

    fn record(&self, position: At) -> Result<Option<Event>, LookupFailed> {
        Ok(usize::try_from(position.get()).ok().and_then(|place| self.0.get(place).cloned()))
    }
}

/// The whole logs among the golden bundles: all that can happen under each version of the rules.
pub(super) fn golden() -> Vec<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../audit/tests/golden");
    let mut logs: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    logs.sort();
    logs.iter()
        .map(|log| {
            let segments = fs::read_dir(log.join("log/log")).unwrap();
            let mut segments: Vec<_> = segments.map(|entry| entry.unwrap().path()).collect();
            segments.sort();
            segments.iter().flat_map(|segment| records_of(&fs::read(segment).unwrap())).collect()
        })
        .collect()
}

fn records_of(segment: &[u8]) -> Vec<Vec<u8>> {
    let mut at = segment::HEADER_BYTES;
    let mut records = Vec::new();
    while let Ok(frame) = Frame::parse(&segment[at..], at as u64) {
        records.extend(frame.records().map(<[u8]>::to_vec));
        at += frame.length();
    }
    records
}

/// A log as a message: each record a field with its event, principal, time, authentication, how many
/// follow, so that what changes a message changes a log.
fn as_message(records: &[Vec<u8>]) -> Vec<u8> {
    let records = records.iter().map(|bytes| {
        let record = Record::parse(bytes).unwrap();
        let event = match fields(record.event) {
            Some(fields) => Value::Message(fields),
            None => Value::Bytes(record.event.to_vec()),
        };
        let values = [
            event,
            Value::Bytes(record.principal.into()),
            Value::Varint(record.recorded_at.as_micros().cast_unsigned()),
            Value::Varint(record.authentication as u64),
            Value::Varint(record.following.into()),
        ];
        let fields = (1..).zip(values).map(|(number, value)| Field { number, value });
        Field { number: 1, value: Value::Message(fields.collect()) }
    });
    let mut message = Vec::new();
    write_fields(&records.collect::<Vec<_>>(), &mut message);
    message
}

/// The log of such a message, each record naming the one before it.
fn as_log(message: &[u8]) -> Vec<Vec<u8>> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    let mut previous = Hash::ZERO;
    for field in fields(message).unwrap_or_default() {
        let Value::Message(fields) = field.value else { continue };
        let bytes = |number| fields.iter().rfind(|field| field.number == number).map(bytes_of);
        let number = |number| match fields.iter().rfind(|field| field.number == number)?.value {
            Value::Varint(number) => Some(number),
            _ => None,
        };
        let principal = bytes(2).and_then(|bytes| String::from_utf8(bytes).ok());
        let authentication =
            number(4).and_then(|byte| Authentication::from_byte(u8::try_from(byte).ok()?));
        let event = bytes(1).unwrap_or_default();
        let record = Record {
            position: Position::new(records.len() as u64),
            previous,
            recorded_at: Timestamp::from_micros(number(3).unwrap_or_default().cast_signed()),
            principal: principal.as_deref().unwrap_or("maker"),
            authentication: authentication.unwrap_or(Authentication::Stated),
            request_id: [1; 16],
            following: number(5)
                .and_then(|following| u32::try_from(following).ok())
                .unwrap_or_default(),
            event: &event,
            signature: None,
        };
        let mut bytes = Vec::new();
        if let Ok(hash) = record.encode(&mut bytes) {
            previous = hash;
            records.push(bytes);
        }
    }
    records
}

fn bytes_of(field: &Field) -> Vec<u8> {
    match &field.value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Message(fields) => {
            let mut bytes = Vec::new();
            write_fields(fields, &mut bytes);
            bytes
        }
        _ => Vec::new(),
    }
}

/// What a log leads to, and what stopped it.
pub(super) fn replayed(records: &[Vec<u8>]) -> (Replica, String) {
    let mut replica = Replica::default();
    let mut past = Past::default();
    for bytes in records {
        match replica.replay(bytes, &past) {
            Ok(replayed) => past.0.push(replayed.event),
            Err(error) => return (replica, outcome(&error)),
        }
    }
    (replica, "whole".to_owned())
}

#[test]
fn whatever_is_in_the_records_the_books_balance_and_the_state_reads_back() {
    let logs = golden();
    assert!(logs.iter().all(|log| replayed(&as_log(&as_message(log))).1 == "whole"));
    let mut samples: Vec<Vec<u8>> = logs.iter().map(|log| as_message(log)).collect();
    // Shorter ones too, of which more are run.
    samples
        .extend(logs.iter().flat_map(|log| [6, 14, 24].map(|records| as_message(&log[..records]))));
    let target = target("replay").samples(samples).protobuf().memory(4 << 20, 512);
    fuzz!(target, |input| {
        let (replica, came) = replayed(&as_log(input));
        // Balances of every fund and account are read here, whose books must sum to zero.
        let snapshot = replica.snapshot();
        let restored = Replica::restore(&snapshot).expect("a snapshot reads back");
        assert!(restored.snapshot() == snapshot);
        assert_eq!(restored.balance_root(), replica.balance_root());
        came
    });
}

#[test]
fn records_are_shown_whatever_their_events_are() {
    let log = golden().swap_remove(0);
    fuzz!(target("shown-record").samples(log).memory(256 << 10, 256), |input| {
        let Ok(record) = Record::parse(input) else { return "no record".to_owned() };
        let hash = record::hash(input);
        for verbatim_only in [true, false] {
            records_to_wire([(input, record, hash)].into_iter(), verbatim_only, 1);
        }
        let _ =
            crate::replay::check(&mut ChainCursor::resume(record.position, record.previous), input);
        outcome(&decode_event(record.event).map(|_| ()))
    });
}
