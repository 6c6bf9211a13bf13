//! What every [`EventLog`] does, whatever it keeps its records in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bergulir_chain::record::{FIXED_BYTES, hash as hash_of};
use bergulir_chain::{ChainCursor, MAX_RECORD_BYTES, Position, Record, frame};

use crate::group::{Group, GroupError};
use crate::log::{AppendError, EventLog, Head, ReadError, ReadLimit, Refusal};
use crate::sample::{group, push, record};

/// A place that keeps a log while it is closed.
pub(crate) trait Store: Default {
    /// Opens the log; the one opened before is dropped.
    fn open(&self) -> Arc<dyn EventLog>;
}

/// Makes a test of each function of the suite for a store.
macro_rules! conforms {
    ($store:ty) => {
        crate::conformance::conforms!($store:
            starts_empty, reads_back_what_was_appended, keeps_to_limits, refuses_a_stale_head,
            refuses_what_is_no_group, takes_the_longest_record, refuses_what_no_frame_holds,
            keeps_batches_whole, is_the_same_when_reopened, serves_readers_while_it_grows,
        );
    };
    ($store:ty: $($test:ident),+ $(,)?) => {
        $(#[test]
        fn $test() {
            crate::conformance::$test::<$store>();
        })+
    };
}
pub(crate) use conforms;

/// All records from `from` on, read in steps, after a check of their chain.
pub(crate) fn read_all(log: &dyn EventLog, limit: ReadLimit) -> Vec<Vec<u8>> {
    let head = log.head();
    let mut cursor = ChainCursor::origin();
    let mut read = Vec::new();
    while cursor.next() < head.size.next_position() {
        let records = log.read(cursor.next(), limit).unwrap();
        assert!(!records.is_empty());
        assert_eq!(records.first(), cursor.next());
        for (position, bytes) in &records {
            assert_eq!(position, cursor.next());
            cursor.check(bytes).unwrap();
            read.push(bytes.to_vec());
        }
        assert_eq!(records.next(), cursor.next());
    }
    assert_eq!((cursor.next(), cursor.previous()), (head.size.next_position(), head.hash));
    read
}

fn append(log: &dyn EventLog, events: &[&[u8]]) -> Vec<Vec<u8>> {
    let head = log.head();
    let group = group(head, events);
    assert_eq!(log.append(head, &group).unwrap(), group.head());
    assert_eq!(log.head(), group.head());
    group.iter().map(<[u8]>::to_vec).collect()
}

pub(crate) fn starts_empty<S: Store>() {
    let store = S::default();
    let log = store.open();
    assert_eq!(log.head(), Head::EMPTY);
    let records = log.read(Position::ZERO, ReadLimit::STEP).unwrap();
    assert!(records.is_empty());
    assert_eq!(records.next(), Position::ZERO);
    let beyond = log.read(Position::new(1), ReadLimit::STEP);
    assert!(matches!(beyond, Err(ReadError::BeyondHead { .. })));
}

pub(crate) fn reads_back_what_was_appended<S: Store>() {
    let store = S::default();
    let log = store.open();
    let mut expected = Vec::new();
    for round in 0_u8..40 {
        expected.extend(append(&*log, &[&[round; 1], &[round; 200], &[round; 30]]));
    }
    for limit in [ReadLimit::STEP, ReadLimit::ONE, ReadLimit::records(7)] {
        assert_eq!(read_all(&*log, limit), expected);
    }
    for (position, bytes) in (0..).map(Position::new).zip(&expected) {
        let one = log.read(position, ReadLimit::ONE).unwrap();
        assert_eq!(one.iter().collect::<Vec<_>>(), [(position, &bytes[..])]);
    }
    for step in [1, 2, 50, 119] {
        let some = (0_u64..).map(Position::new).zip(&expected).step_by(step);
        let (positions, records): (Vec<_>, Vec<_>) = some.unzip();
        let each = log.read_each(&positions).unwrap();
        let (at, bytes): (Vec<_>, Vec<_>) = each.iter().map(|(at, _, bytes)| (at, bytes)).unzip();
        assert_eq!((at, bytes), (positions, records.iter().map(|one| &one[..]).collect()));
        assert!(each.iter().all(|(_, hash, bytes)| hash == hash_of(bytes)));
    }
    let end = log.head().size.next_position();
    assert!(
        matches!(log.read_each(&[end]), Err(ReadError::BeyondHead { from, .. }) if from == end)
    );
    assert!(log.read(end, ReadLimit::STEP).unwrap().is_empty());
    assert!(matches!(
        log.read(end.next(), ReadLimit::STEP),
        Err(ReadError::BeyondHead { from, size }) if from == end.next() && size == log.head().size
    ));
    assert!(log.read(Position::new(u64::MAX), ReadLimit::STEP).is_err());
}

pub(crate) fn keeps_to_limits<S: Store>() {
    let store = S::default();
    let log = store.open();
    let one = append(&*log, &[&[1; 100], &[2; 100], &[3; 100]])[0].len();
    append(&*log, &[&[4; 100], &[5; 100]]);
    let count = |max_records, max_bytes| {
        log.read(Position::ZERO, ReadLimit { max_records, max_bytes }).unwrap().len()
    };
    assert_eq!(count(4, usize::MAX), 4);
    assert_eq!(count(9, usize::MAX), 5);
    assert_eq!(count(9, 3 * one), 3);
    assert_eq!(count(9, 4 * one - 1), 3);
    assert_eq!(count(9, 0), 1, "a first record is always served");
    assert_eq!(count(0, 0), 1);
}

pub(crate) fn refuses_a_stale_head<S: Store>() {
    let store = S::default();
    let log = store.open();
    let stale = group(Head::EMPTY, ["late"]);
    append(&*log, &[b"first"]);
    let head = log.head();
    assert!(matches!(
        log.append(Head::EMPTY, &stale),
        Err(AppendError::HeadMoved { expected: Head::EMPTY, actual }) if actual == head
    ));
    // The size alone is not enough: the hash must be that of the log too.
    let other = Head { hash: [1; 32].into(), ..head };
    assert!(matches!(
        log.append(other, &group(other, ["forked"])),
        Err(AppendError::HeadMoved { .. })
    ));
    assert_eq!(log.head(), head);
    append(&*log, &[b"second"]);
}

pub(crate) fn refuses_what_is_no_group<S: Store>() {
    let store = S::default();
    let log = store.open();
    append(&*log, &[b"first"]);
    let head = log.head();
    let refusal = |group: &Group| match log.append(head, group) {
        Err(AppendError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&Group::new(head)), Refusal::Empty);
    let elsewhere = group(Head::EMPTY, ["x"]);
    assert_eq!(refusal(&elsewhere), Refusal::OtherBase { base: Head::EMPTY });
    let mut unfinished = Group::new(head);
    let opening = Record { following: 2, ..record(&unfinished, b"x") };
    unfinished.push(&opening).unwrap();
    assert_eq!(refusal(&unfinished), Refusal::BatchUnfinished { missing: 2 });
    assert_eq!(log.head(), head);
    append(&*log, &[b"second"]);
    assert_eq!(read_all(&*log, ReadLimit::STEP).len(), 2);
}

pub(crate) fn takes_the_longest_record<S: Store>() {
    let store = S::default();
    let log = store.open();
    let longest = vec![7; MAX_RECORD_BYTES - FIXED_BYTES - "maker".len()];
    let appended = append(&*log, &[b"before", &longest, b"after"]);
    assert_eq!(appended[1].len(), MAX_RECORD_BYTES);
    assert_eq!(read_all(&*log, ReadLimit::STEP), appended);

    let mut group = Group::new(log.head());
    let mut too_long = longest;
    too_long.push(7);
    assert!(matches!(push(&mut group, &too_long), Err(GroupError::Record(_))));
    assert!(group.is_empty() && group.body().is_empty());
}

pub(crate) fn refuses_what_no_frame_holds<S: Store>() {
    let store = S::default();
    let log = store.open();
    let long = vec![7; 65_000];
    let records = frame::MAX_BODY_BYTES / 65_000 + 1;
    let too_much = group(Head::EMPTY, std::iter::repeat_n(&long, records));
    assert!(matches!(
        log.append(Head::EMPTY, &too_much),
        Err(AppendError::Refused(Refusal::TooLarge { .. }))
    ));
    assert_eq!(log.head(), Head::EMPTY);
    append(&*log, &[b"small"]);
}

pub(crate) fn keeps_batches_whole<S: Store>() {
    let store = S::default();
    let log = store.open();
    let mut batch = Group::new(Head::EMPTY);
    for following in [0, 2, 1, 0, 0] {
        let record = Record { following, ..record(&batch, b"x") };
        batch.push(&record).unwrap();
    }
    let opening = Record { following: 1, ..record(&batch, b"x") };
    batch.push(&opening).unwrap();
    let jump = Record { following: 1, ..record(&batch, b"x") };
    assert!(matches!(batch.push(&jump), Err(GroupError::Chain(_))));
    let close = record(&batch, b"x");
    batch.push(&close).unwrap();
    log.append(Head::EMPTY, &batch).unwrap();
    assert_eq!(read_all(&*log, ReadLimit::ONE).len(), 7);
}

pub(crate) fn is_the_same_when_reopened<S: Store>() {
    let store = S::default();
    let mut expected = Vec::new();
    for round in 0_u8..10 {
        let log = store.open();
        assert_eq!(read_all(&*log, ReadLimit::STEP), expected);
        expected.extend(append(&*log, &[&[round; 80], &[round; 80]]));
        expected.extend(append(&*log, &[&[round; 300]]));
    }
    assert_eq!(read_all(&*store.open(), ReadLimit::records(3)), expected);
}

pub(crate) fn serves_readers_while_it_grows<S: Store>() {
    const GROUPS: usize = 100;
    let store = S::default();
    let log = store.open();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for limit in [ReadLimit::STEP, ReadLimit::records(3)] {
            let (log, done) = (&*log, &done);
            scope.spawn(move || {
                let mut cursor = ChainCursor::origin();
                loop {
                    let was_done = done.load(Ordering::Acquire);
                    let records = log.read(cursor.next(), limit).unwrap();
                    for (_, bytes) in &records {
                        cursor.check(bytes).unwrap();
                    }
                    if records.is_empty() && was_done {
                        break;
                    }
                }
                assert_eq!(cursor.next().get(), 3 * GROUPS as u64);
            });
        }
        let mut group = Group::new(Head::EMPTY);
        for round in 0..GROUPS {
            let head = log.head();
            group.begin(head);
            for size in [10, 400, 90] {
                push(&mut group, &vec![u8::try_from(round).unwrap() | 1; size]).unwrap();
            }
            log.append(head, &group).unwrap();
        }
        done.store(true, Ordering::Release);
    });
}
