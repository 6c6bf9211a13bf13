//! The static log: paths, bundles, tiles and what is read from them.

use bergulir_chain::merkle::{
    Levels, Prefixes, TreeHead, empty_root, prove_consistency, prove_inclusion, read_root,
    verify_consistency, verify_inclusion,
};
use bergulir_chain::tiles::{Bundle, HASH_BYTES, Resource, Tile, TileHashes, TileSource};
use bergulir_chain::{Hash, body};
use bergulir_fuzz::{Target, fuzz, outcome};

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_resource_has_one_path() {
    const WORDS: &[&str] =
        &["/", "x", "x001/", "000", ".p/", "255", "tile/", "entries/", "x072/x057/x594/x037/x927/"];
    let paths =
        ["checkpoint", "tile/0/x001/x234/067", "tile/7/000.p/5", "tile/entries/x001/067.p/255"];
    fuzz!(target("tile-path").samples(paths.map(Into::into)).words(WORDS), |input| {
        let Ok(path) = str::from_utf8(input) else { return "no text".to_owned() };
        let read = path.parse::<Resource>();
        match read {
            Ok(resource) => {
                assert_eq!(resource.to_string(), path);
                if let Resource::Tile(tile) = resource {
                    for size in [0, 1, 7, 256, 70_000, u64::MAX] {
                        assert!(
                            !tile.is_in(size)
                                || Tile::of_tree(size, tile.level, tile.index).is_some()
                        );
                    }
                    assert!(tile.subtrees().count() <= 256 && tile.column(u64::MAX).is_none());
                }
                if let Resource::Bundle(bundle) = resource {
                    assert_eq!(bundle.first() / 256, bundle.tile().index);
                }
            }
            Err(_) => return "no path".to_owned(),
        }
        outcome(&read)
    });
}

#[test]
fn a_bundle_has_as_many_records_as_it_says() {
    let mut three = Vec::new();
    for record in [&b"one"[..], b"", b"three"] {
        body::push_encoded(&mut three, record);
    }
    fuzz!(target("bundle").sample(three), |input| {
        let mut holding = Vec::new();
        for width in [1, 2, 3, 4, 256] {
            if let Ok(records) = (Bundle { index: 0, width }).parse(input) {
                let mut again = Vec::new();
                records.for_each(|record| body::push_encoded(&mut again, record));
                assert_eq!(again, input);
                holding.push(width);
            }
        }
        assert!(holding.len() <= 1);
        format!("{holding:?}")
    });
}

/// One tile for every question: right for a tree of as many leaves as it has hashes, if at all.
struct Given<'a>(&'a [u8]);

impl TileSource for Given<'_> {
    type Error = ();

    fn tile(&mut self, _: Tile) -> Result<Vec<u8>, ()> {
        Ok(self.0.to_vec())
    }
}

#[test]
fn whatever_a_tile_holds_proves_only_itself() {
    let mut levels = Levels::new(Prefixes::RFC_6962);
    let mut tile = Vec::new();
    let mut four = empty_root();
    for index in 0..13_u64 {
        if index == 4 {
            four = levels.head().root;
        }
        let leaf = Prefixes::RFC_6962.leaf_hash(&index.to_be_bytes());
        levels.push_hash(leaf);
        tile.extend_from_slice(leaf.as_bytes());
    }
    let honest = levels.head();
    let honest_tile = tile.clone();
    fuzz!(target("tile").sample(tile).memory(64 << 10, 64), |input| {
        let of_input = (input.len() / HASH_BYTES) as u64;
        let mut came = String::new();
        for size in [of_input, 13, 256, 70_000] {
            let mut hashes = TileHashes::new(Prefixes::RFC_6962, size, Given(input));
            let head = read_root(Prefixes::RFC_6962, size, &mut hashes);
            let path = prove_inclusion(Prefixes::RFC_6962, size, 5, &mut hashes);
            came += &outcome(&(head.map(|_| ()), path.as_ref().map(|_| ())));
            let (Ok(head), Ok(path)) = (head, path) else { continue };
            let leaf = Hash::from_bytes(*input[5 * HASH_BYTES..].first_chunk().unwrap());
            if size == of_input {
                verify_inclusion(Prefixes::RFC_6962, head, 5, leaf, &path).unwrap();
            }
            let is_honest = verify_inclusion(Prefixes::RFC_6962, honest, 5, leaf, &path).is_ok();
            assert!(!is_honest || honest_tile[5 * HASH_BYTES..][..HASH_BYTES] == *leaf.as_bytes());
            let older = prove_consistency(Prefixes::RFC_6962, 4, size, &mut hashes);
            if let Ok(proof) = older {
                let old = TreeHead { size: 4, root: four };
                let goes_on = verify_consistency(Prefixes::RFC_6962, old, head, &proof).is_ok();
                came += if goes_on { " goes on " } else { " does not go on " };
            }
        }
        came
    });
}
