//! The static log.

use std::fs;
use std::path::Path;

use bergulir_audit::Part;
use bergulir_chain::merkle::{HashSource, Levels, Prefixes, Subtree};
use bergulir_chain::note::Note;
use bergulir_chain::record;
use bergulir_chain::tiles::{Bundle, Resource, tiles_added};

use super::bundle;
use crate::ledger::chained;
use crate::programme::programme;
use crate::scene::{Scene, checkpoint};

#[test]
fn static_files_have_the_hashes_and_records_of_the_log() {
    let drafts = programme(70).drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "tiles", Part::Tiles, None);
    let records = chained(&drafts);
    let mut levels = Levels::new(Prefixes::RFC_6962);
    for bytes in &records {
        levels.push_hash(record::hash(bytes));
    }
    let size = records.len() as u64;
    assert!(size > 512, "more than one full tile");
    let mut files = 1;
    for tile in tiles_added(0, size) {
        let bytes = fs::read(path.join(Resource::Tile(tile).to_string())).unwrap();
        let hashes: Vec<u8> = tile
            .subtrees()
            .flat_map(|Subtree { level, index }| {
                *levels.hash(Subtree { level, index }).unwrap().as_bytes()
            })
            .collect();
        assert_eq!(bytes, hashes, "{tile}");
        files += 1;
        if tile.level == 0 {
            let bundle = Bundle { index: tile.index, width: tile.width };
            let bytes = fs::read(path.join(bundle.to_string())).unwrap();
            let first = usize::try_from(bundle.first()).unwrap();
            for (place, bytes) in bundle.parse(&bytes).unwrap().enumerate() {
                assert_eq!(bytes, records[first + place]);
            }
            files += 1;
        }
    }
    assert_eq!(count(&path), files);
    let note = fs::read(path.join("checkpoint")).unwrap();
    assert_eq!(Note::parse(&note).unwrap(), checkpoint(&drafts));
}

fn count(path: &Path) -> usize {
    let counted = fs::read_dir(path).unwrap().map(|found| {
        let path = found.unwrap().path();
        if path.is_dir() { count(&path) } else { 1 }
    });
    counted.sum()
}
