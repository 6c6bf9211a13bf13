//! Tiles and proofs over logs in files and in memory, against a tree that is held in memory.

use super::*;
use bergulir_chain::merkle::{Levels, inclusion_root};
use bergulir_chain::tiles::tiles_added;
use bergulir_chain::{Authentication, Record, Timestamp};
use bergulir_store::index::{IndexBatch, IndexOptions};
use bergulir_store::{AppendError, FileLog, FileLogOptions, Group, Head, MemoryLog, Records};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many that a segment holds some hundred records: most tiles lie in more than one.
const SEGMENT_BYTES: u64 = 40_000;

/// A bit more than four tiles.
const RECORDS: u64 = 1_100;

/// An index of a log, and the tree over the log's records.
struct Grown {
    index: Index,
    levels: Levels,
}

fn open_log(folder: &Path) -> FileLog {
    let options = FileLogOptions { segment_bytes: SEGMENT_BYTES };
    FileLog::open(&folder.join("log"), options).unwrap().0
}

fn open_index(folder: &Path) -> Index {
    let options = IndexOptions { memtable_records: 300, ..IndexOptions::new(Hash::ZERO) };
    Index::open(&folder.join("index"), &options).unwrap().index
}

/// Appends records in groups of one to some hundred, and indexes them.
fn grow(log: &dyn EventLog, folder: &Path) -> Grown {
    let (index, mut levels) = (open_index(folder), Levels::new(PREFIXES));
    let (mut tree, mut batch) =
        (bergulir_chain::merkle::Tree::new(PREFIXES), IndexBatch::default());
    for size in [1, 2, 60, 1, 190, 3, 255, 256, 257, 1].into_iter().cycle() {
        let base = log.head();
        let left = RECORDS - base.size.get();
        if left == 0 {
            break;
        }
        let mut group = Group::new(base);
        batch.begin(base.size);
        for number in (base.size.get()..).take(usize::try_from(left.min(size)).unwrap()) {
            let event = number.to_be_bytes().repeat(1 + usize::try_from(number % 9).unwrap());
            let record = Record {
                position: Position::new(number),
                previous: group.head().hash,
                recorded_at: Timestamp::from_micros(7),
                principal: "maker",
                authentication: Authentication::Stated,
                request_id: [5; 16],
                following: 0,
                event: &event,
                signature: None,
            };
            let hash = group.push(&record).unwrap();
            tree.push_hash_with(hash, |subtree, root| batch.completed(subtree, root));
            levels.push_hash(hash);
        }
        log.append(base, &group).unwrap();
        index.apply(&batch).unwrap();
    }
    Grown { index, levels }
}

/// All tiles of many sizes, and proofs at them, are those of the tree in memory.
fn check(log: &dyn EventLog, index: &Index, levels: &mut Levels) {
    let tree = Tree { log, index };
    let newest = levels.head();
    assert_eq!(newest.size, RECORDS);
    let about_full_tiles = (0..=4).flat_map(|full| full * 256..=full * 256 + 1);
    for size in about_full_tiles.chain((3..RECORDS).step_by(83)).chain([255, 511, RECORDS]) {
        for tile in tiles_added(0, size) {
            assert_eq!(tree.tile(tile).unwrap(), tile.read(levels).unwrap(), "{tile} of {size}");
        }
        let expected = read_root(PREFIXES, size, levels).unwrap();
        let head = TreeHead { size, root: expected.root };
        assert_eq!(tree.head(size).unwrap(), head);
        assert_eq!(tree.extension(size, newest).unwrap().0, head);
        let consistency = tree.consistency(size, RECORDS).unwrap();
        assert_eq!((consistency.from_root, consistency.to_root), (head.root, newest.root));
        for position in (0..size).step_by(97).chain(size.checked_sub(1)) {
            let (record, path) = tree.inclusion(size, Position::new(position)).unwrap();
            let hash = record::hash(&record);
            assert_eq!(Some(hash), levels.leaf(position));
            assert_eq!(inclusion_root(PREFIXES, size, position, hash, &path).unwrap(), head.root);
        }
    }
}

#[test]
fn tiles_of_records_are_those_of_a_tree_in_memory_at_many_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let Grown { index, mut levels } = grow(&log, folder.path());
    let segments = std::fs::read_dir(folder.path().join("log")).unwrap().filter(|file| {
        file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|it| it == "seg"))
    });
    assert!(segments.count() > 3);
    check(&log, &index, &mut levels);
    index.flush().unwrap();
    drop((log, index));
    check(&open_log(folder.path()), &open_index(folder.path()), &mut levels);

    let (folder, log) = (tempfile::tempdir().unwrap(), MemoryLog::new());
    let Grown { index, mut levels } = grow(&log, folder.path());
    check(&log, &index, &mut levels);
}

#[test]
fn tiles_of_records_that_are_not_indexed_are_not_there_yet() {
    let (folder, log) = (tempfile::tempdir().unwrap(), MemoryLog::new());
    drop(grow(&log, folder.path()));
    Index::discard(&folder.path().join("index")).unwrap();
    let index = open_index(folder.path());
    let tree = Tree { log: &log, index: &index };
    for tile in [(0, 0, 1), (0, 4, 76), (0, u64::MAX, 256), (0, u64::MAX >> 8, 256), (1, 0, 1)] {
        let (level, index, width) = tile;
        let found = tree.tile(Tile { level, index, width });
        let absent = matches!(found, Err(TreeError::Index(IndexError::NoTile { .. })));
        assert!(absent, "{tile:?}");
    }
}

#[test]
fn a_damaged_record_is_a_damage_of_the_log_and_what_does_not_need_it_is_proved() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let Grown { index, levels } = grow(&log, folder.path());
    drop(log);
    // The first segment, within the first records.
    let segments = std::fs::read_dir(folder.path().join("log")).unwrap();
    let first = segments.map(|file| file.unwrap().path()).filter(|path| path.is_file()).min();
    let first = first.unwrap();
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[20_000] ^= 1;
    std::fs::write(&first, bytes).unwrap();

    let log = open_log(folder.path());
    let tree = Tree { log: &log, index: &index };
    let is_of_the_log = |error: TreeError| match error {
        TreeError::Log(ReadError::Corrupt { position, .. }) => position < Position::new(256),
        TreeError::Log(_) | TreeError::Index(_) => false,
    };
    assert!(is_of_the_log(tree.tile(Tile { level: 0, index: 0, width: 256 }).unwrap_err()));
    assert!(is_of_the_log(tree.head(255).unwrap_err()));
    assert!(is_of_the_log(tree.inclusion(RECORDS, Position::ZERO).unwrap_err()));
    assert!(is_of_the_log(tree.consistency(100, RECORDS).unwrap_err()));
    assert!(is_of_the_log(tree.extension(200, levels.head()).unwrap_err()));

    // Above other records than these, their tile is not asked for.
    assert_eq!(tree.head(RECORDS).unwrap(), levels.head());
    let last = Position::new(RECORDS - 1);
    let (record, path) = tree.inclusion(RECORDS, last).unwrap();
    let hash = record::hash(&record);
    let root = inclusion_root(PREFIXES, RECORDS, last.get(), hash, &path).unwrap();
    assert_eq!(root, levels.head().root);
}

/// A log that counts how many records were read of it.
struct Counting(MemoryLog, AtomicUsize);

impl EventLog for Counting {
    fn head(&self) -> Head {
        self.0.head()
    }
    fn read(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadError> {
        let records = self.0.read(from, limit)?;
        self.1.fetch_add(records.len(), Ordering::Relaxed);
        Ok(records)
    }
    fn append(&self, expected: Head, group: &Group) -> Result<Head, AppendError> {
        self.0.append(expected, group)
    }
}

#[test]
fn a_proof_reads_the_records_of_its_tiles_once_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let log = Counting(MemoryLog::new(), 0.into());
    let Grown { index, .. } = grow(&log, folder.path());
    let tree = Tree { log: &log, index: &index };
    let read = || log.1.swap(0, Ordering::Relaxed);
    let inclusion = |size, position| {
        tree.inclusion(size, Position::new(position)).unwrap();
        read()
    };
    assert_eq!(inclusion(1_024, 300), 256);
    assert_eq!(inclusion(1_025, 1_024), 1);
    assert_eq!(inclusion(1_030, 1_027), 6);
    // The last tile has the sibling.
    assert_eq!(inclusion(1_030, 300), 256 + 6);
    assert_eq!(inclusion(1, 0), 1);
    let consistency = |old, new| {
        tree.consistency(old, new).unwrap();
        read()
    };
    assert_eq!(consistency(100, 1_030), 256 + 6);
    assert_eq!(consistency(1_024, 1_030), 6);
    assert_eq!(consistency(1_027, 1_030), 6);
    assert_eq!(consistency(512, 1_024), 0);
}
