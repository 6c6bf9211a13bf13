//! Tiles and bundles, against `tlog_tiles`.

use std::collections::BTreeMap;

use bergulir_chain::body::push_encoded;
use bergulir_chain::merkle::{
    HashSource, Subtree, prove_consistency, prove_inclusion, read_root, verify_consistency,
    verify_inclusion,
};
use bergulir_chain::tiles::{
    Bundle, BundleError, FULL_WIDTH, Resource, Tile, TileError, TileHashes, TileSource,
    bundles_added, tiles_added,
};
use proptest::prelude::*;

use crate::served::Served;
use crate::{RFC, Sparse, any_size, leaf, levels};

/// Their path has the height of tiles in front, and `data` for entries.
fn their_path(path: &str) -> String {
    path.replace("tile/", "tile/8/")
}

proptest! {
    #[test]
    fn paths_agree(level in 0..8_u8, index in 0..(1_u64 << 55), width in 1..=FULL_WIDTH) {
        let tile = Tile { level, index, width };
        let theirs = tlog_tiles::Tile::new(8, level, index, width.into(), false);
        prop_assert_eq!(their_path(&tile.to_string()), theirs.path());
        prop_assert_eq!(tile.to_string().parse(), Ok(Resource::Tile(tile)));
        let bundle = Bundle { index, width };
        prop_assert_eq!(bundle.to_string().parse(), Ok(Resource::Bundle(bundle)));
    }

    #[test]
    fn added_tiles_agree(old in 0..200_000_u64, more in 0..70_000_u64) {
        let new = old + more;
        let mut ours: Vec<String> =
            tiles_added(old, new).map(|tile| their_path(&tile.to_string())).collect();
        let theirs = tlog_tiles::Tile::new_tiles(8, old, new);
        let mut theirs: Vec<String> = theirs.iter().map(tlog_tiles::Tile::path).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        prop_assert_eq!(ours, theirs);
        let records: u64 = bundles_added(old, new)
            .map(|bundle| bundle.first() + u64::from(bundle.width) - old.max(bundle.first()))
            .sum();
        prop_assert_eq!(records, more);
    }

    /// Whatever is in the path of a request, reading it does not panic.
    #[test]
    fn any_text_is_a_path_or_not(path in "(tile/(entries|[0-9]{1,2})/(x?[0-9]{3}/){0,7}[0-9]{3}(\\.p/[0-9]{1,3})?|.*)") {
        if let Ok(resource) = path.parse::<Resource>() {
            prop_assert_eq!(resource.to_string(), path);
        }
    }
}

proptest! {
    // Each case makes some forty tiles.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn proofs_from_tiles_read_few_tiles(
        size in any_size(),
        index in any::<u64>(),
        old in any::<u64>(),
    ) {
        let (index, old) = (index % size, old % size + 1);
        let mut source = Sparse::new([0, index, old - 1, size - 1]);
        let mut tiles = TileHashes::new(RFC, size, Cut { source: Sparse::new([0, index, old - 1, size - 1]), tiles: 0 });
        let head = read_root(RFC, size, &mut source).unwrap();
        prop_assert_eq!(read_root(RFC, size, &mut tiles), Ok(head));
        let leaf = source.get(Subtree { level: 0, index });
        let path = prove_inclusion(RFC, size, index, &mut tiles).unwrap();
        verify_inclusion(RFC, head, index, leaf, &path).unwrap();
        let steps = prove_consistency(RFC, old, size, &mut tiles).unwrap();
        let old = read_root(RFC, old, &mut source).unwrap();
        verify_consistency(RFC, old, head, &steps).unwrap();
        // The root takes at most one tile a level, each proof one or two.
        let levels = usize::try_from(size.ilog2()).unwrap() / 8 + 1;
        let read = tiles.into_source().tiles;
        prop_assert!(read <= 5 * levels, "{read} tiles on {levels} levels");
    }
}

/// The tiles of any tree.
struct Cut {
    source: Sparse,
    tiles: usize,
}

impl TileSource for Cut {
    type Error = std::convert::Infallible;

    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, Self::Error> {
        self.tiles += 1;
        tile.read(&mut self.source)
    }
}

#[test]
fn the_tiles_of_the_specification_s_example() {
    let mut widths = BTreeMap::new();
    for tile in tiles_added(0, 70_000) {
        *widths.entry((tile.level, tile.width)).or_insert(0) += 1;
    }
    let expected = [((0, 256), 273), ((0, 112), 1), ((1, 256), 1), ((1, 17), 1), ((2, 1), 1)];
    assert_eq!(widths, BTreeMap::from(expected));
    let paths: Vec<String> = tiles_added(0, 256).map(|tile| tile.to_string()).collect();
    assert_eq!(paths, ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(Tile::of_tree(70_000, 1, 1), Some(Tile { level: 1, index: 1, width: 17 }));
    assert_eq!(Tile::of_tree(70_000, 1, 2), None);
    assert_eq!(Tile::of_tree(256, 0, 1), None);
    assert_eq!(Tile::of_tree(u64::MAX, 8, 0), None);
}

/// Their reader authenticates each tile that it reads against the root.
#[test]
fn their_client_reads_our_tiles() {
    for size in [1_u64, 2, 255, 256, 257, 600, 66_000] {
        let mut source = levels(size);
        let head = source.head();
        let tiles = tiles_added(0, size)
            .map(|tile| (their_path(&tile.to_string()), tile.read(&mut source).unwrap()));
        let served = Served(tiles.collect());
        let root = tlog_tiles::Hash(*head.root.as_bytes());
        let reader = tlog_tiles::TileHashReader::new(size, root, &served);
        for index in [0, size / 3, size - 1] {
            let path = tlog_tiles::prove_record(size, index, &reader).unwrap();
            let leaf = tlog_tiles::record_hash(&leaf(index));
            tlog_tiles::check_record(&path, size, root, index, leaf).unwrap();
        }
    }
}

#[test]
fn a_tile_of_another_length_is_refused() {
    struct Short;
    impl TileSource for Short {
        type Error = std::convert::Infallible;
        fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, Self::Error> {
            Ok(vec![0; usize::from(tile.width) * 32 - 1])
        }
    }
    let mut tiles = TileHashes::new(RFC, 300, Short);
    let tile = Tile { level: 0, index: 1, width: 44 };
    let refused = tiles.hash(Subtree { level: 0, index: 256 });
    assert_eq!(refused, Err(TileError::Length { tile, expected: 1_408, given: 1_407 }));
    let beyond = tiles.hash(Subtree { level: 1, index: 150 });
    assert_eq!(beyond, Err(TileError::NotInTree { size: 300, level: 1, index: 150 }));
}

#[test]
fn a_bundle_is_its_records_and_nothing_else() {
    let bundle = Bundle { index: 2, width: 3 };
    assert_eq!(bundle.first(), 512);
    let records = [&b"first"[..], b"", b"the third"];
    let mut bytes = Vec::new();
    for record in records {
        push_encoded(&mut bytes, record);
    }
    assert_eq!(bytes, b"\0\x05first\0\0\0\x09the third");
    assert!(bundle.parse(&bytes).unwrap().eq(records));
    let refused = Some(BundleError { expected: 3 });
    assert_eq!(bundle.parse(&bytes[..bytes.len() - 1]).err(), refused);
    assert_eq!(
        Bundle { width: 2, ..bundle }.parse(&bytes).err(),
        Some(BundleError { expected: 2 })
    );
    bytes.push(0);
    assert_eq!(bundle.parse(&bytes).err(), refused);
}
