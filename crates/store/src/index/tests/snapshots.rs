//! Snapshots are there whole or not at all, whatever lies in their folder.

use std::fs;
use std::path::PathBuf;

use bergulir_chain::{Hash, LogSize};
use tempfile::TempDir;

use super::super::{Index, IndexError, IndexOptions, KEPT_SNAPSHOTS, NextRead, held};
use super::{open, options};
use crate::log::Head;

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("snapshots")
}

/// The names of the files, in their order.
fn names(folder: &TempDir) -> Vec<String> {
    let files = fs::read_dir(path(folder)).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn name(size: u64) -> String {
    format!("{size:020}.snapshot")
}

/// Writes and keeps a snapshot, in pieces that are none of the index's.
fn put(index: &Index, size: u64, bytes: &[u8]) {
    let mut draft = index.begin_snapshot(NextRead::Later).unwrap();
    bytes.chunks(1_009).for_each(|piece| draft.write(piece).unwrap());
    index.keep_snapshot(LogSize::new(size), draft).unwrap();
}

fn sizes(index: &Index) -> Vec<u64> {
    index.snapshots().into_iter().map(LogSize::get).collect()
}

fn state(size: u64, length: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().skip(usize::try_from(size).unwrap() % 256).take(length).collect()
}

#[test]
fn a_snapshot_is_there_only_once_it_is_kept() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    let (early, late) = (vec![1; 20_000], vec![2; 30_000]);
    let mut first = index.begin_snapshot(NextRead::Later).unwrap();
    first.write(&early).unwrap();
    // What others begin, keep and give up does not touch it.
    put(&index, 20, &late);
    let mut given_up = index.begin_snapshot(NextRead::Later).unwrap();
    given_up.write(&late).unwrap();
    assert_eq!(sizes(&index), [20]);
    assert_eq!(names(&folder).len(), 3);
    drop(given_up);
    assert_eq!(names(&folder).len(), 2);
    index.keep_snapshot(LogSize::new(10), first).unwrap();
    assert_eq!(index.snapshot(LogSize::new(10)).unwrap(), Some(early));
    assert_eq!(index.snapshot(LogSize::new(20)).unwrap(), Some(late.clone()));
    assert_eq!(names(&folder), [10, 20].map(name));

    // Of one that was being written when the process ended nothing is left.
    let mut cut_short = index.begin_snapshot(NextRead::Later).unwrap();
    cut_short.write(&late).unwrap();
    std::mem::forget(cut_short);
    drop(index);
    assert_eq!(names(&folder).len(), 3);
    let index = open(&folder, &options());
    assert_eq!(names(&folder), [10, 20].map(name));
    assert_eq!(sizes(&index), [10, 20]);
}

#[test]
fn a_snapshot_is_kept_once_the_index_is_written_out_as_far() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &IndexOptions { inline: false, ..options() });
    for by_flush in [false, true] {
        let size = index.applied().get() + 10;
        super::apply_to(&index, size, 10);
        put(&index, size, &state(size, 5_000));
        assert!(!sizes(&index).contains(&size));
        assert!(index.written() < LogSize::new(size));
        if by_flush {
            index.flush().unwrap();
        } else {
            assert!(index.work_once().unwrap());
        }
        assert!(sizes(&index).contains(&size));
        assert!(index.written() >= LogSize::new(size));
    }
}

#[test]
fn the_newest_snapshots_are_kept() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    assert_eq!(index.snapshots(), []);
    assert_eq!(index.snapshot(LogSize::new(1)).unwrap(), None);
    // Around the length that is written at once, and of nothing.
    let length = |size: u64| usize::try_from(size).unwrap() * (256 << 10) / 50;
    for size in [20, 0, 50, 30] {
        put(&index, size, &state(size, length(size)));
    }
    let without = index.stats().unwrap().disk_bytes;
    put(&index, 50, &state(51, length(50) - 40));
    drop(index);

    let index = open(&folder, &options());
    assert_eq!(sizes(&index), [30, 50]);
    assert_eq!(index.snapshots().len(), KEPT_SNAPSHOTS);
    assert_eq!(index.snapshot(LogSize::new(30)).unwrap(), Some(state(30, length(30))));
    assert_eq!(index.snapshot(LogSize::new(50)).unwrap(), Some(state(51, length(50) - 40)));
    assert_eq!(index.snapshot(LogSize::new(20)).unwrap(), None);
    assert_eq!(names(&folder), [30, 50].map(name));
    assert!(without >= (length(30) + length(50)) as u64, "they count: {without}");
    assert_eq!(held(&index.manifest).applied, Head::EMPTY);
}

#[test]
fn a_damaged_snapshot_is_noticed_and_the_older_one_is_still_there() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    put(&index, 5, &state(5, 900));
    put(&index, 10, &state(10, 2_000));
    drop(index);
    let file = path(&folder).join(name(10));
    let whole = fs::read(&file).unwrap();
    let check = |bytes: &[u8], why: &str| {
        fs::write(&file, bytes).unwrap();
        let index = open(&folder, &options());
        // Seen at the open already, or when it is read; then it is not offered again.
        let read = index.snapshot(LogSize::new(10));
        assert!(matches!(read, Ok(None) | Err(IndexError::Damaged { .. })), "{why}: {read:?}");
        assert_eq!(sizes(&index), [5], "{why}");
        assert_eq!(index.snapshot(LogSize::new(5)).unwrap(), Some(state(5, 900)), "{why}");
        assert_eq!(names(&folder), [name(5)], "{why}");
    };
    for byte in (0..whole.len()).step_by(41).chain(whole.len() - 20..whole.len()) {
        let mut flipped = whole.clone();
        flipped[byte] ^= 0x10;
        check(&flipped, &format!("byte {byte}"));
    }
    for length in [0, 7, 39, 59, 60, 1_000, whole.len() - 1] {
        check(&whole[..length], &format!("{length} bytes"));
    }
    check(&[&whole[..], &[0]].concat(), "one byte more");
    fs::write(&file, &whole).unwrap();
    assert_eq!(sizes(&open(&folder, &options())), [5, 10]);

    // While the index is open.
    let index = open(&folder, &options());
    fs::remove_file(&file).unwrap();
    assert!(matches!(index.snapshot(LogSize::new(10)), Err(IndexError::Damaged { .. })));
    assert_eq!(sizes(&index), [5]);
}

#[test]
fn what_is_foreign_in_the_folder_does_no_harm() {
    let other = TempDir::new().unwrap();
    let identity = Hash::from_bytes([4; 32]);
    let others = open(&other, &IndexOptions { identity, ..options() });
    put(&others, 90, &state(90, 700));
    drop(others);
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    put(&index, 10, &state(10, 700));
    put(&index, 20, &state(20, 700));
    drop(index);
    let at = |name: &str| path(&folder).join(name);
    // Another ledger's; one of this one under another size, which would push out a right one; a
    // draft; and what nobody of ours has written.
    fs::copy(path(&other).join(name(90)), at(&name(90))).unwrap();
    fs::copy(at(&name(20)), at(&name(80))).unwrap();
    fs::copy(at(&name(20)), at("20.snapshot")).unwrap();
    fs::write(at("7.new"), "half of one").unwrap();
    fs::write(at("notes.txt"), "kept").unwrap();
    let index = open(&folder, &options());
    assert_eq!(sizes(&index), [10, 20]);
    assert_eq!(names(&folder), [name(10), name(20), "notes.txt".to_owned()]);
    // The name that a draft would have is taken.
    fs::copy(at(&name(20)), at("0.new")).unwrap();
    put(&index, 30, &state(30, 700));
    assert_eq!(sizes(&index), [20, 30]);
}

#[test]
fn what_is_surplus_after_a_crash_is_removed() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    put(&index, 10, &state(10, 700));
    let aside = fs::read(path(&folder).join(name(10))).unwrap();
    put(&index, 20, &state(20, 700));
    put(&index, 30, &state(30, 700));
    drop(index);
    fs::write(path(&folder).join(name(10)), aside).unwrap();
    assert_eq!(sizes(&open(&folder, &options())), [20, 30]);
    assert_eq!(names(&folder), [20, 30].map(name));
}

#[test]
fn they_go_with_the_index_and_not_without_it() {
    let folder = TempDir::new().unwrap();
    let kept = || {
        let index = open(&folder, &options());
        put(&index, 10, &state(10, 700));
    };
    kept();
    Index::discard(folder.path()).unwrap();
    assert!(!path(&folder).exists());
    assert_eq!(sizes(&open(&folder, &options())), [0; 0]);
    // Where the rest of the index is gone, or of another ledger, they are not believed either.
    kept();
    fs::remove_dir_all(folder.path().join("sled")).unwrap();
    assert_eq!(sizes(&open(&folder, &options())), [0; 0]);
    kept();
    let identity = Hash::from_bytes([4; 32]);
    assert_eq!(sizes(&open(&folder, &IndexOptions { identity, ..options() })), [0; 0]);
    assert_eq!(names(&folder).len(), 0);
}
