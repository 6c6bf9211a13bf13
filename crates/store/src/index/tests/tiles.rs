//! The tiles against a tree in memory, at every size, however the index was closed.

use bergulir_chain::merkle::{TreeHead, prove_inclusion, read_root, verify_inclusion};
use bergulir_chain::tiles::{LEVELS, Tile, TileHashes, TileSource, tiles_added};

use super::super::blocks::{Place, Section};
use super::*;

/// Checks all tiles of the made-up log of this size, and its root.
fn check_tiles(index: &Index, size: u64) {
    for tile in tiles_added(0, size) {
        let bytes = index.tiles().tile(tile).unwrap();
        assert_eq!(bytes, with_tree(size, |tree| tile.read(tree).unwrap()), "{tile} of {size}");
    }
    check_root(index, size);
}

pub(super) fn check_root(index: &Index, size: u64) {
    assert_eq!(root(index, size), expected_root(size));
}

fn root(index: &Index, size: u64) -> TreeHead {
    let mut hashes = TileHashes::new(Prefixes::RFC_6962, size, index.tiles());
    read_root(Prefixes::RFC_6962, size, &mut hashes).unwrap()
}

fn expected_root(size: u64) -> TreeHead {
    with_tree(size, |tree| read_root(Prefixes::RFC_6962, size, tree).unwrap())
}

#[test]
fn every_size_has_its_tiles_in_memory_on_disk_and_after_opening_again() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 700, 7);
    (0..=700).for_each(|size| check_tiles(&index, size));
    index.flush().unwrap();
    (0..=700).step_by(37).for_each(|size| check_tiles(&index, size));
    drop(index);
    let index = open(&folder, &options());
    assert_eq!(index.applied(), LogSize::new(700));
    (0..=700).step_by(41).for_each(|size| check_tiles(&index, size));
}

#[test]
fn after_a_crash_at_any_size_the_tiles_go_on_from_the_last_manifest() {
    let folder = TempDir::new().unwrap();
    let mut size = 0;
    for step in [5, 130, 121, 1, 255, 3, 400, 128, 700, 256] {
        let index = open(&folder, &options());
        let from = index.applied().get();
        assert!(from <= size);
        check_tiles(&index, from);
        size += step;
        apply_to(&index, size, 9);
        check_tiles(&index, size);
        check_tiles(&index, from);
    }
}

#[test]
fn what_a_write_out_left_that_no_manifest_names_is_written_over() {
    let folder = TempDir::new().unwrap();
    let never = IndexOptions { memtable_records: 100_000, ..options() };
    let index = open(&folder, &never);
    apply_to(&index, 300, 100);
    index.flush().unwrap();
    apply_to(&index, 900, 100);
    // All of a write-out but its manifest.
    let mut applier = held(&index.applier);
    index.tile_rows.write(&mut applier.tile_writer, LogSize::new(900)).unwrap();
    drop(applier);
    index.blocks.flush().unwrap();
    drop(index);

    let index = open(&folder, &never);
    assert_eq!(index.applied(), LogSize::new(300));
    check_tiles(&index, 300);
    apply_to(&index, 301, 1);
    index.flush().unwrap();
    check_tiles(&index, 301);
    drop(index);
    let index = open(&folder, &never);
    check_tiles(&index, 301);
    apply_to(&index, 1_200, 100);
    check_tiles(&index, 1_200);
}

#[test]
fn proofs_are_made_from_the_tiles_at_large_sizes() {
    let folder = TempDir::new().unwrap();
    let large = IndexOptions { memtable_records: 10_000, ..options() };
    let index = open(&folder, &large);
    let all = 70_000;
    apply_to(&index, all, 3_000);
    for size in [1, 256, 257, 65_535, 65_536, 65_537, 69_123, all] {
        assert_eq!(root(&index, size), expected_root(size));
        let mut hashes = TileHashes::new(Prefixes::RFC_6962, size, index.tiles());
        for leaf in [0, size / 3, size - 1] {
            let path = prove_inclusion(Prefixes::RFC_6962, size, leaf, &mut hashes).unwrap();
            let (head, hash) = (expected_root(size), made_up_hash(leaf + 1));
            verify_inclusion(Prefixes::RFC_6962, head, leaf, hash, &path).unwrap();
        }
    }
    index.flush().unwrap();
    drop(index);
    let index = open(&folder, &large);
    assert_eq!(root(&index, 65_537), expected_root(65_537));
}

#[test]
fn a_tile_that_the_tree_does_not_have_is_refused() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 600, 50);
    let tile = |level, index, width| Tile { level, index, width };
    for absent in [
        tile(0, 2, 89),
        tile(0, 2, 256),
        tile(0, 3, 1),
        tile(1, 0, 3),
        tile(2, 0, 1),
        tile(0, 0, 0),
        tile(0, 0, 257),
        tile(LEVELS, 0, 1),
        tile(255, 0, 1),
        tile(0, u64::MAX, 256),
        tile(0, u64::MAX >> 8, 256),
    ] {
        let found = index.tiles().tile(absent);
        assert!(matches!(found, Err(IndexError::NoTile { .. })), "{absent:?}");
    }
    assert!(index.tiles().tile(tile(0, 2, 88)).is_ok());
}

#[test]
fn a_batch_without_all_its_hashes_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 250, 50);
    let digest = index.content_digest().unwrap();
    let mut batch = IndexBatch::new(LogSize::new(250));
    for number in 250..260 {
        let leaf = Subtree { level: 0, index: number };
        batch.completed(leaf, made_up_hash(number + 1));
    }
    let found = index.apply(&batch);
    let missing = IndexError::TileHashes { level: 1, given: 0, expected: 1 };
    assert_eq!(found.unwrap_err().to_string(), missing.to_string());
    assert_eq!(index.content_digest().unwrap(), digest);
    check_tiles(&index, 250);
}

#[test]
fn a_flipped_byte_in_any_row_is_noticed() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, 700, 20);
    index.flush().unwrap();
    // Rows 0 to 4 are full; the last one is in memory too, and is asked for at the next open.
    for row in 0..5 {
        let place = Place::Part(Section::Tiles(0), row);
        index.tile_rows.shelf().flip_byte(place, 31 * (1 + row as usize));
        let tile =
            Tile { level: 0, index: u64::from(row / 2), width: if row < 4 { 256 } else { 128 } };
        let found = index.tiles().tile(tile).unwrap_err();
        assert!(found.calls_for_rebuild(), "{found}");
        assert!(matches!(index.content_digest(), Err(IndexError::Damaged { .. })));
        index.tile_rows.shelf().flip_byte(place, 31 * (1 + row as usize));
    }
    check_tiles(&index, 700);
    index.tile_rows.shelf().flip_byte(Place::Part(Section::Tiles(0), 5), 77);
    drop(index);
    assert!(reason(folder.path(), &options()).unwrap().contains("checksum"));
}

#[test]
fn the_digest_tells_of_a_wrong_hash_above_the_records() {
    let (right, wrong) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (right, wrong) = (open(&right, &options()), open(&wrong, &options()));
    apply_to(&right, 256, 16);
    apply_to(&wrong, 255, 16);
    let mut batch = IndexBatch::new(LogSize::new(255));
    add_record(&mut batch, 255);
    let mut forged = batch.clone();
    forged.hashes_mut()[1][0] = Hash::ZERO;
    wrong.apply(&forged).unwrap();
    assert_ne!(wrong.content_digest().unwrap(), right.content_digest().unwrap());
}
