//! The index against a naive model, and against damage.

mod damage;
mod fuzz;
mod model;
#[cfg(target_os = "linux")]
mod pages;
mod snapshots;
mod tiles;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bergulir_chain::merkle::{HashSource, Levels, Prefixes, Subtree};
use bergulir_chain::{Hash, LogSize, Position};
use tempfile::TempDir;

use super::blocks::{Kind, Place, Section};
use super::table::TableId;
use super::{Direction, Index, IndexBatch, IndexError, IndexOptions, Line, held};

/// Small memtables and narrow merges, so that few records make many runs.
fn options() -> IndexOptions {
    IndexOptions {
        cache_bytes: 1 << 20,
        memtable_records: 16,
        merge_width: 3,
        hash_seed: 11,
        ..IndexOptions::new(Hash::from_bytes([3; 32]))
    }
}

fn open(folder: &TempDir, options: &IndexOptions) -> Index {
    Index::open(folder.path(), options).unwrap().index
}

fn reason(folder: &Path, options: &IndexOptions) -> Option<String> {
    Index::open(folder, options).unwrap().fresh_because
}

/// Keys that look random, as ids and fingerprints do.
fn scattered(number: u64) -> [u8; 16] {
    let spread = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (spread ^ (spread >> 71)).to_be_bytes()
}

/// What a made-up record at this position adds: an id of its own, one of 40 bank references with
/// every third, a value in the trail of owner 0 and in that of one of 50 others.
fn add_record(batch: &mut IndexBatch, number: u64) {
    let position = Position::new(number);
    batch.request_id(position, &scattered(number));
    if number.is_multiple_of(3) {
        batch.bank_reference(position, &scattered(1_000_000 + number % 40));
    }
    batch.trail(position, 0, 1, &line_of_all(number).numbers).unwrap();
    let numbers = vec![7; usize::try_from(number % 60).unwrap()];
    batch.trail(position, 1 + u32::try_from(number % 50).unwrap(), 2, &numbers).unwrap();
    cover(batch, number);
}

/// What the made-up record with this number leaves in the trail of owner 0.
fn line_of_all(number: u64) -> Line {
    let number = i64::try_from(number).unwrap();
    Line { tag: 1, numbers: vec![number, -3 * number, 5] }
}

/// The tree over made-up records, as far as it was needed.
static TREE: LazyLock<Mutex<Levels>> =
    LazyLock::new(|| Mutex::new(Levels::new(Prefixes::RFC_6962)));

/// Looks at the tree over at least so many made-up records.
fn with_tree<R>(size: u64, look: impl FnOnce(&mut Levels) -> R) -> R {
    let mut tree = held(&TREE);
    while tree.head().size < size {
        let next = tree.head().size + 1;
        tree.push_hash(made_up_hash(next));
    }
    look(&mut tree)
}

/// The batch covers the made-up record with this number.
fn cover(batch: &mut IndexBatch, number: u64) {
    with_tree(number + 1, |tree| {
        for level in 0..=u8::try_from(number.trailing_ones()).unwrap() {
            let subtree = Subtree { level, index: number >> level };
            batch.completed(subtree, tree.hash(subtree).unwrap());
        }
    });
}

/// The hash of the last of so many made-up records.
fn made_up_hash(size: u64) -> Hash {
    if size == 0 {
        Hash::ZERO
    } else {
        Hash::from_bytes([scattered(size); 2].concat().try_into().unwrap())
    }
}

/// Applies made-up records up to a log size, in batches of the given length.
fn apply_to(index: &Index, size: u64, per_batch: u64) {
    let mut batch = IndexBatch::default();
    while index.applied().get() < size {
        let from = index.applied().get();
        batch.begin(LogSize::new(from));
        (from..size.min(from + per_batch)).for_each(|number| add_record(&mut batch, number));
        index.apply(&batch).unwrap();
    }
}

/// Checks every look-up for the made-up records below a log size.
fn check_made_up(index: &Index, size: u64) {
    let written = index.written().get();
    assert!(written <= size);
    for number in (0..size).step_by(7) {
        let found = index.request_id(&scattered(number)).unwrap();
        let expected = if number < written { vec![Position::new(number)] } else { Vec::new() };
        assert_eq!(found, expected);
    }
    for absent in size..size + 300 {
        assert_eq!(index.request_id(&scattered(absent)).unwrap(), []);
        assert_eq!(index.bank_reference(&scattered(absent)).unwrap(), []);
    }
    // Many at once, of which every other one is there.
    let ids: Vec<u64> = (0..2 * size.min(700))
        .map(|number| scattered(if number % 2 == 0 { number / 2 } else { size + number }))
        .map(|id| index.key(&id))
        .collect();
    let mut found = Vec::new();
    index.request_ids(&ids, |number, positions| found.push((number, positions.to_vec()))).unwrap();
    let there = (0..ids.len()).step_by(2).map(|number| (number, vec![number as u64 / 2]));
    let expected: Vec<_> = there.filter(|(_, positions)| positions[0] < written).collect();
    assert_eq!(found, expected);
    for reference in 0..40 {
        let found = index.bank_reference(&scattered(1_000_000 + reference)).unwrap();
        let expected = (0..written).filter(|number| number % 3 == 0 && number % 40 == reference);
        assert_eq!(found, expected.map(Position::new).collect::<Vec<_>>());
    }
    let all = Position::ZERO..Position::new(size);
    let trail = index.trail(0, all, usize::MAX, Direction::OldestFirst).unwrap();
    assert_eq!(trail.len() as u64, size);
    for (number, (position, line)) in (0_u64..).zip(&trail) {
        assert_eq!((position.get(), line), (number, &line_of_all(number)));
    }
}

fn merge_all(index: &Index) {
    while index.work_once().unwrap() {}
}

#[test]
fn records_are_found_in_memory_in_runs_and_after_opening_again() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 1_000, 23);
    check_made_up(&index, 1_000);
    index.flush().unwrap();
    check_made_up(&index, 1_000);
    drop(index);

    let Opened { index, fresh_because } = Index::open(folder.path(), &options()).unwrap();
    assert_eq!(fresh_because, None);
    assert_eq!(index.applied(), LogSize::new(1_000));
    check_made_up(&index, 1_000);
}

use super::Opened;

#[test]
fn without_a_flush_the_index_stands_at_its_last_manifest() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 16 * 5 + 9, 1);
    drop(index);
    let index = open(&folder, &options());
    assert_eq!(index.applied(), LogSize::new(16 * 5));
    check_made_up(&index, 16 * 5);
    apply_to(&index, 200, 50);
    check_made_up(&index, 200);
}

#[test]
fn memtables_are_written_out_before_they_take_too_much_memory() {
    let folder = TempDir::new().unwrap();
    let many = IndexOptions { memtable_records: 100_000, memtable_bytes: 100_000, ..options() };
    let index = open(&folder, &many);
    apply_to(&index, 1_000, 1_000);
    assert_eq!(index.stats().unwrap().written, LogSize::new(1_000));
    check_made_up(&index, 1_000);
}

#[test]
fn records_that_add_nothing_are_covered_too() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    let mut batch = IndexBatch::new(LogSize::EMPTY);
    (0..100).for_each(|number| cover(&mut batch, number));
    index.apply(&batch).unwrap();
    index.flush().unwrap();
    drop(index);
    assert_eq!(open(&folder, &options()).applied(), LogSize::new(100));
}

#[test]
fn the_hash_of_the_last_record_is_known_for_what_is_applied_and_for_what_is_written() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    let head = |size: u64| (LogSize::new(size), made_up_hash(size));
    assert_eq!(index.applied_head(), head(0));
    // A memtable has room for 16 records: one batch of 11, not two; and one of 40 all the same.
    for (size, written) in [(11, 0), (22, 11), (38, 38), (49, 38), (89, 89), (90, 89)] {
        let from = index.applied().get();
        apply_to(&index, size, size - from);
        assert_eq!(index.applied_head(), head(size));
        assert_eq!(index.stats().unwrap().written, LogSize::new(written));
        assert_eq!(held(&index.manifest).applied.hash, made_up_hash(written));
    }
    // A batch that covers nothing has nothing to say.
    let mut batch = IndexBatch::new(LogSize::new(90));
    index.apply(&batch).unwrap();
    assert_eq!(index.applied_head(), head(90));
    add_record(&mut batch, 90);
    index.apply(&batch).unwrap();
    assert_eq!(index.applied_head(), head(91));
    drop(index);

    let index = open(&folder, &options());
    assert_eq!(index.applied_head(), head(89));
    check_made_up(&index, 89);
    merge_all(&index);
    drop(index);
    assert_eq!(open(&folder, &options()).applied_head(), head(89));
}

#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 10, 10);
    let digest = index.content_digest().unwrap();

    let gap = IndexBatch::new(LogSize::new(11));
    assert!(matches!(index.apply(&gap), Err(IndexError::Gap { .. })));
    let again = IndexBatch::new(LogSize::new(9));
    assert!(matches!(index.apply(&again), Err(IndexError::Gap { .. })));

    for positions in [[10, 9], [11, 10], [10, 12]] {
        let mut batch = IndexBatch::new(LogSize::new(10));
        for position in positions {
            batch.request_id(Position::new(position), &scattered(position));
        }
        (10..12).for_each(|number| cover(&mut batch, number));
        assert!(matches!(index.apply(&batch), Err(IndexError::OutOfOrder { .. })));
    }
    let mut batch = IndexBatch::new(LogSize::new(10));
    let long = batch.trail(Position::new(10), 1, 0, &[0; super::MAX_LINE_NUMBERS + 1]);
    assert!(matches!(long, Err(IndexError::LineTooLong { .. })));
    assert_eq!(index.applied(), LogSize::new(10));
    assert_eq!(index.content_digest().unwrap(), digest);
}

#[test]
fn a_second_value_at_a_position_replaces_the_first() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    let mut batch = IndexBatch::new(LogSize::EMPTY);
    let position = Position::ZERO;
    batch.trail(position, 5, 1, &[11]).unwrap();
    batch.trail(position, 6, 2, &[12, 13]).unwrap();
    batch.trail(position, 5, 3, &[]).unwrap();
    batch.bank_reference(position, &scattered(1));
    batch.bank_reference(position, &scattered(1));
    cover(&mut batch, 0);
    index.apply(&batch).unwrap();
    for _ in 0..2 {
        let line = |tag, numbers| Some((position, Line { tag, numbers }));
        assert_eq!(index.trail_at(5, position).unwrap(), line(3, vec![]));
        assert_eq!(index.trail_at(6, position).unwrap(), line(2, vec![12, 13]));
        index.flush().unwrap();
        assert_eq!(index.bank_reference(&scattered(1)).unwrap(), [position]);
    }
}

#[test]
fn the_number_of_runs_stays_logarithmic_and_nothing_is_left_behind() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 16 * 400, 16);
    merge_all(&index);
    let stats = index.stats().unwrap();
    // 400 write-outs in base 3 have 6 digits of at most 2.
    for table in [stats.request_ids, stats.bank_references, stats.trails] {
        assert!(table.runs <= 12, "{table:?}");
    }
    assert_eq!(stats.request_ids.records_in_runs, 16 * 400);
    check_made_up(&index, 16 * 400);
    assert_eq!(index.blocks.shelves(Kind::Run), live_runs(&index));
}

fn live_runs(index: &Index) -> usize {
    index.tables.iter().map(|table| table.runs().len()).sum()
}

#[test]
fn a_run_is_removed_only_when_nobody_reads_it() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &IndexOptions { inline: false, ..options() });
    apply_to(&index, 16 * 3, 16);
    let read = Arc::clone(&index.tables[0].runs()[0]);
    merge_all(&index);
    assert_eq!(index.tables[0].runs().len(), 1);
    assert!(
        index.blocks.shelves(Kind::Run) > live_runs(&index),
        "the run that is read is still there"
    );
    let mut found = Vec::new();
    let key = index.hasher.key(u128::from_be_bytes(scattered(0)));
    read.positions_of([key].into_iter(), |_, position| found.push(position)).unwrap();
    assert_eq!(found, [0]);
    drop(read);
    merge_all(&index);
    assert_eq!(index.blocks.shelves(Kind::Run), live_runs(&index));
}

#[test]
fn whoever_adds_leaves_the_work_to_others_until_the_memtables_are_full_again() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &IndexOptions { inline: false, ..options() });
    apply_to(&index, 16, 16);
    assert_eq!(index.written(), LogSize::EMPTY);
    apply_to(&index, 31, 15);
    assert_eq!(index.written(), LogSize::EMPTY);
    check_made_up(&index, 31);
    // Somebody is told of it, and does it.
    index.wait_for_work(Duration::MAX);
    assert!(index.work_once().unwrap());
    assert_eq!(index.written(), LogSize::new(16));
    // If nobody does, whoever adds must, before a third memtable is filled.
    apply_to(&index, 48, 17);
    assert_eq!(index.written(), LogSize::new(31));
    check_made_up(&index, 48);
}

#[test]
fn who_waits_for_work_can_be_woken() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &IndexOptions { inline: false, ..options() });
    index.wait_for_work(Duration::from_millis(1));
    std::thread::scope(|scope| {
        scope.spawn(|| index.wait_for_work(Duration::MAX));
        index.wake();
    });
}

#[test]
fn look_ups_go_on_while_one_applies_and_another_merges() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &IndexOptions { inline: false, ..options() });
    let size = 16 * 300;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (index, done) = (&index, &done);
            scope.spawn(move || {
                let mut number = reader;
                while !done.load(Ordering::Acquire) {
                    let written = index.written().get();
                    if written == 0 {
                        continue;
                    }
                    number = (number * 31 + 7) % written;
                    let position = Position::new(number);
                    assert_eq!(index.request_id(&scattered(number)).unwrap(), [position]);
                    let at = index.trail_at(0, position).unwrap();
                    assert_eq!(at, Some((position, line_of_all(number))));
                    assert_eq!(index.request_id(&scattered(size + number)).unwrap(), []);
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                index.work_once().unwrap();
            }
        });
        apply_to(&index, size, 37);
        done.store(true, Ordering::Release);
    });
    check_made_up(&index, size);
}

#[test]
fn values_stay_small_enough_for_sled_to_keep_them_in_its_own_file() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &IndexOptions { memtable_records: 4_096, ..options() });
    apply_to(&index, 4_096 * 4, 1_000);
    let blobs = folder.path().join("sled").join("blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0);
}

#[test]
fn the_digest_does_not_depend_on_how_runs_are_cut() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let one = open(&one, &options());
    let wide = IndexOptions { memtable_records: 333, inline: false, ..options() };
    let other = open(&other, &IndexOptions { hash_seed: 99, ..wide });
    apply_to(&one, 2_000, 17);
    apply_to(&other, 1_999, 1_000);
    assert_ne!(one.content_digest().unwrap(), other.content_digest().unwrap());
    apply_to(&other, 2_000, 1_000);
    assert_eq!(one.content_digest().unwrap(), other.content_digest().unwrap());
    one.flush().unwrap();
    merge_all(&other);
    assert_eq!(one.content_digest().unwrap(), other.content_digest().unwrap());
}

/// What the made-up record with this number leaves in the trail of an owner that every record concerns.
fn line_of_busy(number: u64) -> Line {
    let bytes = scattered(number);
    let [first, second] = [0, 8].map(|at| i64::from_le_bytes(*bytes[at..].first_chunk().unwrap()));
    Line { tag: 3, numbers: vec![first, 0, second] }
}

#[test]
fn blocks_of_one_owner_are_taken_over_by_a_merge_as_they_are() {
    const BUSY: u32 = 50;
    let fill = |batch: &mut IndexBatch, number: u64| {
        let position = Position::new(number);
        batch.trail(position, BUSY, 3, &line_of_busy(number).numbers).unwrap();
        let other = u32::try_from(number % 100).unwrap();
        batch.trail(position, other, 1, &line_of_all(number).numbers).unwrap();
        cover(batch, number);
    };
    let make = |per_run: u64, runs: u64| {
        let folder = TempDir::new().unwrap();
        let memtable_records = usize::try_from(per_run).unwrap();
        let options = IndexOptions { memtable_records, inline: false, ..options() };
        let index = open(&folder, &options);
        for run in 0..runs {
            let mut batch = IndexBatch::new(LogSize::new(run * per_run));
            (run * per_run..(run + 1) * per_run).for_each(|number| fill(&mut batch, number));
            index.apply(&batch).unwrap();
            index.write_out_once().unwrap();
        }
        (folder, index)
    };
    let (_folder, index) = make(1_500, 6);
    let bodies = |index: &Index| {
        let runs = index.table(TableId::Trails).runs();
        let blocks = runs.iter().flat_map(|run| (0..run.row().blocks).map(move |at| (run, at)));
        let place = |at| Place::Part(Section::Records, at);
        blocks.map(|(run, at)| run.shelf().get(place(at)).unwrap().to_vec()).collect::<Vec<_>>()
    };
    let (before, digest) = (bodies(&index), index.content_digest().unwrap());
    merge_all(&index);
    assert_eq!(index.stats().unwrap().trails.runs, 1);
    let taken_over = bodies(&index).iter().filter(|body| before.contains(body)).count();
    assert!(taken_over >= 6 * 3, "{taken_over} of {}", before.len());

    assert_eq!(index.content_digest().unwrap(), digest);
    assert_eq!(make(900, 10).1.content_digest().unwrap(), digest);
    let all = Position::ZERO..Position::new(9_000);
    let trail = index.trail(BUSY, all, usize::MAX, Direction::OldestFirst).unwrap();
    let numbers = (0..9_000).filter(|number| number % 100 != u64::from(BUSY));
    let lines: Vec<_> = trail.iter().filter(|(at, _)| at.get() % 100 != u64::from(BUSY)).collect();
    assert_eq!(lines.len(), 8_910);
    for (number, (position, line)) in numbers.zip(lines) {
        assert_eq!((position.get(), line), (number, &line_of_busy(number)));
    }
}
