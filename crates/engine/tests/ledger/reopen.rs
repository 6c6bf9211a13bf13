//! Stopped, started, damaged: everything that was answered is there, and the index heals itself.

use crate::support::*;
use bergulir_chain::{Authentication, ChainCursor, Position, Record};
use bergulir_domain::Event;
use bergulir_engine::{Answer, LedgerOptions, Node, NodeError, Slot, Terms};
use bergulir_proto::event::encode_event;
use bergulir_proto::replay::{Checked, Replica, check};
use bergulir_store::index::{Index, IndexOptions, NextRead};
use bergulir_store::{EventLog, FileLog, FileLogOptions, Group, ReadLimit};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn options() -> LedgerOptions {
    LedgerOptions { seal_at_stop: 1, ..LedgerOptions::default() }
}

/// A ledger with a few money events, stopped. Gives the request ids with their receipts.
async fn history(
    folder: &Path,
    options: LedgerOptions,
) -> Vec<([u8; 16], bergulir_engine::Accepted)> {
    let desk = Desk::pilot(folder, options).await;
    desk.lend("l", 100_000_000).await;
    let mut known = Vec::new();
    for n in 0..30 {
        let request_id = id(1_000 + n);
        let command = tranche(n);
        let accepted = desk.send("maker", request_id, command, Terms::PLAIN).await.unwrap();
        known.push((request_id, accepted));
    }
    desk.stop().await;
    known
}

fn tranche(n: u64) -> bergulir_domain::Command {
    disburse("l", 1_000_000, &format!("T{n}"))
}

async fn everything_is_there(desk: &Desk, known: &[([u8; 16], bergulir_engine::Accepted)]) {
    for (n, (request_id, first)) in known.iter().enumerate() {
        let again = desk.send("maker", *request_id, tranche(n as u64), Terms::PLAIN).await.unwrap();
        let (receipt, first_receipt) = (again.receipt.unwrap(), first.receipt.unwrap());
        assert!(receipt.duplicate);
        assert_eq!(receipt.record_hash, first_receipt.record_hash);
        assert_eq!(again.balances, first.balances);
    }
    // A bank reference stays used, too.
    let reused = desk.post("maker", disburse("l", 5, "T3")).await;
    assert!(reused.is_err());
}

#[tokio::test]
async fn request_ids_hold_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let known = history(folder.path(), options()).await;
    let desk = Desk::at(folder.path(), options());
    everything_is_there(&desk, &known).await;
}

#[tokio::test]
async fn request_ids_hold_when_the_index_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let known = history(folder.path(), options()).await;
    std::fs::remove_dir_all(folder.path().join("ledgers/pilot/index")).unwrap();
    let desk = Desk::at(folder.path(), options());
    everything_is_there(&desk, &known).await;
}

#[tokio::test]
async fn request_ids_hold_when_the_index_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let known = history(folder.path(), options()).await;
    let mut damaged = 0;
    let mut folders = vec![folder.path().join("ledgers/pilot/index")];
    while let Some(next) = folders.pop() {
        for found in std::fs::read_dir(next).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x40);
                std::fs::write(&path, bytes).unwrap();
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    let desk = Desk::at(folder.path(), options());
    everything_is_there(&desk, &known).await;
}

#[tokio::test]
async fn a_clean_stop_seals_and_the_next_start_goes_on_from_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let known = history(folder.path(), options()).await;
    let desk = Desk::at(folder.path(), options());
    let sealed = events(&desk.ledger()).into_iter().filter(|(e, ..)| matches!(e, Event::Sealed(_)));
    assert_eq!(sealed.count(), 1);
    let replayed = desk.ledger().replayed_at_open();
    assert_eq!(replayed, 1, "only the seal itself comes after the snapshot");
    everything_is_there(&desk, &known).await;
}

#[tokio::test]
async fn seals_come_at_their_cadence_so_that_a_crash_costs_a_short_replay() {
    let folder = tempfile::tempdir().unwrap();
    let often =
        LedgerOptions { seal_every: 10, seal_at_stop: u64::MAX, ..LedgerOptions::default() };
    let known = history(folder.path(), often).await;
    let desk = Desk::at(folder.path(), often);
    for n in 30..100 {
        desk.send("maker", id(1_000 + n), tranche(n), Terms::PLAIN).await.unwrap();
    }
    let is_seal = |(event, ..): &(Event, [u8; 16], u32)| matches!(event, Event::Sealed(_));
    let events = events(&desk.ledger());
    let longest = events.split(is_seal).map(<[_]>::len).max();
    // The last one may be on its way, and a few records come while one is.
    assert!(longest < Some(70), "{longest:?} of {} records without a seal", events.len());
    desk.stop().await;
    let desk = Desk::at(folder.path(), often);
    let replayed = desk.ledger().replayed_at_open();
    assert!(replayed < 90, "{replayed}");
    everything_is_there(&desk, &known).await;
}

/// A seal is computed bit by bit, and records come in between.
#[tokio::test]
async fn a_seal_says_what_the_ledger_was_at_its_record_whatever_comes_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let often = LedgerOptions { seal_every: 3, ..never() };
    let desk = Desk::pilot(folder.path(), often).await;
    desk.lend("l", 100_000_000).await;
    let ledger = desk.ledger();
    for round in 0..25_u64 {
        let tranche = |n: u64| desk.post("maker", tranche(round * 4 + n));
        let (a, b, c, d, sealed) =
            tokio::join!(tranche(0), tranche(1), tranche(2), tranche(3), ledger.seal());
        assert!([a, b, c, d].iter().all(Result::is_ok));
        // Or a later one was recorded before.
        assert!(matches!(sealed, Answer::Items(_) | Answer::Refused { .. }));
    }

    let (mut replica, mut expected) = (Replica::default(), BTreeMap::new());
    let mut seals = 0;
    while replica.size() < ledger.head().size {
        let from = replica.size().next_position();
        for (_, bytes) in &ledger.records(from, ReadLimit::STEP).unwrap() {
            let mut cursor =
                ChainCursor::resume(replica.size().next_position(), replica.head_hash());
            let checked = check(&mut cursor, bytes).unwrap();
            let Checked { record, hash, header, event } = checked;
            if let Event::Sealed(seal) = &event {
                assert_eq!(expected.get(&seal.through), Some(seal));
                seals += 1;
            }
            replica.follow(&record, hash, &header, &event, None);
            expected.extend(replica.seal().map(|seal| (seal.through, seal)));
        }
    }
    assert!(seals > 10, "{seals}");
}

#[tokio::test]
async fn a_snapshot_that_no_seal_vouches_for_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let never = LedgerOptions { seal_at_stop: u64::MAX, ..LedgerOptions::default() };
    let known = history(folder.path(), never).await;
    let desk = Desk::at(folder.path(), never);
    assert_eq!(desk.ledger().replayed_at_open(), desk.size());
    everything_is_there(&desk, &known).await;
}

/// As older versions kept it: the position of the seal stood in front of the state.
#[tokio::test]
async fn a_snapshot_of_an_older_form_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let known = history(folder.path(), options()).await;
    let desk = Desk::at(folder.path(), options());
    let records = desk.ledger().records(Position::ZERO, ReadLimit::ONE).unwrap();
    let identity = bergulir_chain::record::hash(records.iter().next().unwrap().1);
    desk.stop().await;
    let index = folder.path().join("ledgers/pilot/index");
    let index = Index::open(&index, &IndexOptions::new(identity)).unwrap().index;
    assert!(!index.snapshots().is_empty());
    for size in index.snapshots() {
        let bytes = index.snapshot(size).unwrap().unwrap();
        let (state, sealed_at) = bytes.split_last_chunk::<8>().unwrap();
        let mut draft = index.begin_snapshot(NextRead::Soon).unwrap();
        draft.write(sealed_at).unwrap();
        draft.write(state).unwrap();
        index.keep_snapshot(size, draft).unwrap();
    }
    drop(index);

    let desk = Desk::at(folder.path(), options());
    assert_eq!(desk.ledger().replayed_at_open(), desk.size());
    everything_is_there(&desk, &known).await;
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), options()).await;
    let clock = Arc::clone(&desk.clock);
    let second = Node::open(folder.path(), clock as _, options(), &|_, _, _| {});
    assert!(matches!(second, Err(NodeError::Lock(_))));
}

#[tokio::test]
async fn damage_is_found_at_open_and_does_not_keep_other_ledgers_from_being_served() {
    let folder = tempfile::tempdir().unwrap();
    let never = LedgerOptions { seal_at_stop: u64::MAX, ..LedgerOptions::default() };
    let desk = Desk::pilot(folder.path(), never).await;
    desk.create("other").await;
    desk.stop().await;
    let log = folder.path().join("ledgers/pilot/log");
    let segment = std::fs::read_dir(log).unwrap().map(|d| d.unwrap().path());
    let segment =
        segment.filter(|path| path.extension().is_some_and(|e| e == "seg")).min().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    let desk = Desk::at(folder.path(), never);
    let Some(Slot::Broken(error)) = desk.node.ledger("pilot".parse().unwrap()) else {
        panic!("a damaged ledger was opened")
    };
    assert!(error.position().is_some(), "{error}");
    desk.named("other");
}

#[tokio::test]
async fn ledgers_of_one_node_are_independent() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), options()).await;
    desk.create("other").await;
    let (pilot, other) = (desk.ledger(), desk.named("other"));
    let size = pilot.head().size;
    assert_eq!(other.head().size.get(), 1);
    let status = other.status();
    assert_eq!(*status.borrow(), bergulir_engine::Status::Serving);
    // The same request id means nothing to another ledger.
    let request = bergulir_engine::Request { request_id: id(2), command: open_fund() };
    let work = bergulir_engine::Work::Single(request);
    let answer = other.submit(caller("maker"), work, Terms::PLAIN).await;
    assert!(matches!(answer, bergulir_engine::Answer::Items(_)), "{answer:?}");
    assert_eq!(pilot.head().size, size);
}

/// Appends a record with this event to the log, chained as it should be.
fn forge(folder: &Path, event: &Event) {
    let folder = folder.join("ledgers/pilot/log");
    let (log, _) = FileLog::open(&folder, FileLogOptions::default()).unwrap();
    let head = log.head();
    let last = log.read(head.size.last().unwrap(), ReadLimit::ONE).unwrap();
    let last = Record::parse(last.iter().next().unwrap().1).unwrap().recorded_at;
    let mut bytes = Vec::new();
    encode_event(event, &mut bytes);
    let mut group = Group::new(head);
    let record = Record {
        position: head.size.next_position(),
        previous: head.hash,
        recorded_at: last,
        principal: "maker",
        authentication: Authentication::Stated,
        request_id: id(9_999),
        following: 0,
        event: &bytes,
        signature: None,
    };
    group.push(&record).unwrap();
    log.append(head, &group).unwrap();
}

#[tokio::test]
async fn a_bank_reference_that_a_forged_record_uses_again_is_found_at_a_start() {
    // With a snapshot the first use is in the index alone, without one among the records replayed.
    for options in [options(), never()] {
        let folder = tempfile::tempdir().unwrap();
        history(folder.path(), options).await;
        let desk = Desk::at(folder.path(), options);
        let uses = |event: &Event| event.bank_reference() == Some(&bank("T3"));
        let (event, ..) = events(&desk.ledger()).into_iter().find(|(e, ..)| uses(e)).unwrap();
        desk.stop().await;
        forge(folder.path(), &event);
        let desk = Desk::at(folder.path(), options);
        let Some(Slot::Broken(error)) = desk.node.ledger("pilot".parse().unwrap()) else {
            panic!("it was opened");
        };
        assert!(error.to_string().contains("a rule was broken"), "{error}");
    }
}
