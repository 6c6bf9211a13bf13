//! The tiles against a tree in memory, at many sizes, however the index was closed.

use std::num::NonZero;

use bergulir_chain::merkle::{TreeHead, prove_inclusion, read_root, verify_inclusion};
use bergulir_chain::tiles::{LEVELS, Tile, TileHashes, TileSource, tiles_added};

use super::super::blocks::{Place, Section};
use super::*;

/// So many records that the lowest level of the index has three full rows and the next a hash.
const MANY: u64 = 100_000;

/// The tiles of an index over the hashes of the made-up records.
struct WithLeaves<'a>(&'a Index);

impl TileSource for WithLeaves<'_> {
    type Error = IndexError;

    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, IndexError> {
        match NonZero::new(tile.level) {
            Some(level) => self.0.tile(level, tile.index, tile.width),
            None => Ok(read(tile)),
        }
    }
}

/// A tile of the tree over the made-up records, as far as it was needed.
fn read(tile: Tile) -> Vec<u8> {
    with_tree(0, |tree| tile.read(tree).unwrap())
}

fn with_room() -> IndexOptions {
    IndexOptions { memtable_records: 7_000, ..options() }
}

/// Applies made-up records that add nothing but their hashes.
fn cover_to(index: &Index, size: u64, per_batch: u64) {
    let mut batch = IndexBatch::default();
    while index.applied().get() < size {
        let from = index.applied().get();
        batch.begin(LogSize::new(from));
        (from..size.min(from + per_batch)).for_each(|number| cover(&mut batch, number));
        index.apply(&batch).unwrap();
    }
}

/// Checks all tiles of the made-up log of this size that the index keeps, and its root.
fn check_tiles(index: &Index, size: u64) {
    for tile in tiles_added(0, size) {
        let Some(level) = NonZero::new(tile.level) else { continue };
        let bytes = index.tile(level, tile.index, tile.width).unwrap();
        assert_eq!(bytes, read(tile), "{tile} of {size}");
    }
    check_root(index, size);
}

pub(super) fn check_root(index: &Index, size: u64) {
    assert_eq!(root(index, size), expected_root(size));
}

fn root(index: &Index, size: u64) -> TreeHead {
    let mut hashes = TileHashes::new(Prefixes::RFC_6962, size, WithLeaves(index));
    read_root(Prefixes::RFC_6962, size, &mut hashes).unwrap()
}

fn expected_root(size: u64) -> TreeHead {
    with_tree(size, |tree| read_root(Prefixes::RFC_6962, size, tree).unwrap())
}

#[test]
fn every_size_has_its_tiles_in_memory_on_disk_and_after_opening_again() {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &with_room());
    cover_to(&index, MANY, 900);
    let about_full_tiles = (0..=MANY / 256).flat_map(|full| full * 256..=full * 256 + 1);
    about_full_tiles.filter(|size| *size <= MANY).for_each(|size| check_tiles(&index, size));
    index.flush().unwrap();
    (0..=MANY).step_by(997).for_each(|size| check_tiles(&index, size));
    drop(index);
    let index = open(&folder, &with_room());
    assert_eq!(index.applied(), LogSize::new(MANY));
    (0..=MANY).step_by(1_021).for_each(|size| check_tiles(&index, size));
}

#[test]
fn after_a_crash_at_any_size_the_tiles_go_on_from_the_last_manifest() {
    let folder = TempDir::new().unwrap();
    let mut size = 0;
    for step in [5, 255, 33_000, 1, 30_000, 300, 4_096, 31_111, 256] {
        let index = open(&folder, &with_room());
        let from = index.applied().get();
        assert!(from <= size);
        check_tiles(&index, from);
        size += step;
        cover_to(&index, size, 900);
        check_tiles(&index, size);
        check_tiles(&index, from);
    }
}

#[test]
fn what_a_write_out_left_that_no_manifest_names_is_written_over() {
    let folder = TempDir::new().unwrap();
    let never = IndexOptions { memtable_records: 1_000_000, ..options() };
    let index = open(&folder, &never);
    cover_to(&index, 40_000, 5_000);
    index.flush().unwrap();
    cover_to(&index, MANY, 5_000);
    // All of a write-out but its manifest.
    let mut write_out = held(&index.write_out);
    index.tile_rows.write(&mut write_out.tile_writer, LogSize::new(MANY)).unwrap();
    drop(write_out);
    index.blocks.flush().unwrap();
    drop(index);

    let index = open(&folder, &never);
    assert_eq!(index.applied(), LogSize::new(40_000));
    check_tiles(&index, 40_000);
    cover_to(&index, 40_200, 256);
    index.flush().unwrap();
    check_tiles(&index, 40_200);
    drop(index);
    let index = open(&folder, &never);
    check_tiles(&index, 40_200);
    cover_to(&index, MANY + 30_000, 5_000);
    check_tiles(&index, MANY + 30_000);
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
        let mut hashes = TileHashes::new(Prefixes::RFC_6962, size, WithLeaves(&index));
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
    let index = open(&folder, &with_room());
    cover_to(&index, 10_000, 900);
    let ask = |level, place, width| index.tile(NonZero::new(level).unwrap(), place, width);
    for (level, place, width) in [
        (1, 0, 40),
        (1, 0, 256),
        (1, 1, 1),
        (2, 0, 1),
        (1, 0, 0),
        (1, 0, 257),
        (LEVELS, 0, 1),
        (255, 0, 1),
        (1, u64::MAX, 256),
        (1, u64::MAX >> 8, 256),
    ] {
        let found = ask(level, place, width);
        assert!(matches!(found, Err(IndexError::NoTile { .. })), "{level} {place} {width}");
    }
    assert!(ask(1, 0, 39).is_ok());
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
    let index = open(&folder, &with_room());
    cover_to(&index, MANY, 900);
    index.flush().unwrap();
    // Rows 0 to 2 are full; the last one is in memory too, and is asked for at the next open.
    let lowest = NonZero::new(1).unwrap();
    for row in 0..3 {
        let place = Place::Part(Section::Tiles(1), row);
        index.tile_rows.shelf().flip_byte(place, 31 * (1 + row as usize));
        let found = index.tile(lowest, u64::from(row / 2), if row < 2 { 256 } else { 128 });
        let found = found.unwrap_err();
        assert!(found.calls_for_rebuild(), "{found}");
        assert!(matches!(index.content_digest(), Err(IndexError::Damaged { .. })));
        index.tile_rows.shelf().flip_byte(place, 31 * (1 + row as usize));
    }
    check_tiles(&index, MANY);
    index.tile_rows.shelf().flip_byte(Place::Part(Section::Tiles(1), 3), 77);
    drop(index);
    assert!(reason(folder.path(), &options()).unwrap().contains("checksum"));
}

#[test]
fn the_digest_tells_of_another_record_and_of_a_wrong_hash_above_the_records() {
    let digest = |change: &dyn Fn(&mut IndexBatch)| {
        let folder = TempDir::new().unwrap();
        let index = open(&folder, &options());
        apply_to(&index, 250, 16);
        let mut batch = IndexBatch::new(LogSize::new(250));
        (250..256).for_each(|number| add_record(&mut batch, number));
        change(&mut batch);
        index.apply(&batch).unwrap();
        index.content_digest().unwrap()
    };
    let right = digest(&|_| {});
    assert_eq!(digest(&|_| {}), right);
    assert_ne!(digest(&|batch| batch.hashes_mut()[0][0] = Hash::ZERO), right);
    // The last record of both is another one, and no tile is complete.
    let last = |hash: u8| {
        let folder = TempDir::new().unwrap();
        let index = open(&folder, &options());
        let mut batch = IndexBatch::default();
        batch.completed(Subtree { level: 0, index: 0 }, Hash::from_bytes([hash; 32]));
        index.apply(&batch).unwrap();
        index.content_digest().unwrap()
    };
    assert_eq!(last(1), last(1));
    assert_ne!(last(1), last(2));
}
