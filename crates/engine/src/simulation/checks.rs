//! What must hold of the records, after each start and at the end.

use super::machine::{Machine, Site};
use super::oracle::Oracle;
use super::watchers::Watchers;
use crate::submission::Accepted;
use bergulir_audit::{Finding, Options, verify};
use bergulir_chain::{LogSize, Position, Record};
use bergulir_domain::{Decider, Event, Header, State, evolve};
use bergulir_proto::{decode_event, replay};
use bergulir_store::{EventLog, ReadLimit};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The log holds what the model recorded, each once; what was acknowledged lies where it was said.
pub(super) fn log(
    log: &dyn EventLog,
    oracle: &Oracle,
    acknowledged: &BTreeMap<u64, Accepted>,
    watchers: &Watchers,
) {
    let mut hashes = Vec::new();
    let mut ids = BTreeSet::new();
    let mut state = State::default();
    let mut next = Position::new(0);
    while log.head().size.holds(next) {
        let records = log.read(next, ReadLimit::STEP).unwrap();
        for (position, bytes) in &records {
            let record = Record::parse(bytes).unwrap();
            let event = decode_event(record.event).unwrap();
            let expected = &oracle.records[usize::try_from(position.get()).unwrap()];
            assert_eq!(record.request_id, expected.request.request_id, "at {position}");
            assert_eq!(event.command(), expected.request.command, "at {position}");
            assert_eq!(record.principal, expected.by.as_str());
            assert_eq!(record.following, expected.following);
            assert_eq!(record.recorded_at.as_micros(), expected.at);
            hashes.push(bergulir_chain::record::hash(bytes));
            assert!(ids.insert(record.request_id), "recorded twice: {:?}", record.request_id);
            if let Some(receipt) = acknowledged.get(&position.get()).and_then(|a| a.receipt) {
                assert_eq!(receipt.record_hash, bergulir_chain::record::hash(bytes));
            }
            apply(&mut state, &record, &event);
            expected.after.compare(&state);
        }
        next = records.next();
    }
    watchers.check(&hashes);
    let size = log.head().size.get();
    assert_eq!(size, oracle.records.len() as u64);
    let last = acknowledged.keys().next_back();
    assert!(last.is_none_or(|last| *last < size), "acknowledged, and gone: {last:?} of {size}");
}

fn apply(state: &mut State, record: &Record<'_>, event: &Event) {
    let header: Header = replay::header(record).unwrap();
    evolve(state, &header, event);
}

/// Opened from nothing, the log leads to the same state and the same index; the auditor finds it
/// valid. The machine has come to rest.
pub(super) fn end(site: &Site, machine: Machine) {
    let size = machine.log.head().size;
    assert_eq!(machine.ledger.projected_size(), size);
    let published = machine.ledger.published.read().unwrap().snapshot();
    let indexed = machine.writer.index.content_digest().unwrap();
    let mut writer = machine.writer.state.clone();
    drop(machine);

    let (_, opened) = site.open_in(&site.path("fresh")).unwrap();
    assert_eq!(opened.replica.size(), size);
    assert!(opened.replica.snapshot() == published, "a replay leads to another state");
    assert_eq!(opened.index.content_digest().unwrap(), indexed, "the index is not that of the log");
    let mut replayed = Decider::new(opened.replica.state());
    let late = bergulir_domain::Timestamp::from_micros(i64::MAX / 2);
    for state in [&mut writer, &mut replayed] {
        state.advance(late);
    }
    assert!(every_field(&writer) == every_field(&replayed), "the writer has another state");
    if size > LogSize::new(1) {
        assert_eq!(opened.index.applied(), size);
    }

    let folder = site.path("audited");
    site.copy_log(&folder);
    let options = Options { patience: Duration::ZERO, ..Options::default() };
    let verified = verify(&folder, &options, &mut |_| {}).unwrap();
    for report in verified.ledgers {
        assert_eq!(report.finding, Finding::Valid);
        assert_eq!(report.records, size);
    }
}

/// Everything in a state. Lines are sorted because a table's map of keys has no order.
fn every_field(state: &State) -> Vec<String> {
    let mut lines: Vec<String> = format!("{state:#?}").lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}
