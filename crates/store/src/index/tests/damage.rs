//! Whatever happens to the files: a fresh index, an error, or right answers. Never wrong ones.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::blocks::{Place, SEAL_BYTES, Section};
use super::super::table::TableId;
use super::*;

fn filled(size: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    let index = open(&folder, &options());
    apply_to(&index, size, 40);
    index.flush().unwrap();
    folder
}

#[test]
fn a_folder_that_is_missing_or_deleted_is_made_fresh() {
    let folder = filled(100);
    assert_eq!(reason(folder.path(), &options()), None);
    fs::remove_dir_all(folder.path()).unwrap();
    assert_eq!(reason(folder.path(), &options()).unwrap(), "there was no index");
    let index = open(&folder, &options());
    assert_eq!(index.applied(), LogSize::EMPTY);
    apply_to(&index, 100, 9);
    check_made_up(&index, 100);
}

#[test]
fn a_discarded_index_is_made_fresh() {
    let folder = filled(100);
    Index::discard(folder.path()).unwrap();
    Index::discard(folder.path()).unwrap();
    assert!(reason(folder.path(), &options()).is_some());
}

#[test]
fn an_index_that_is_open_is_neither_opened_nor_discarded() {
    let folder = filled(100);
    let index = open(&folder, &options());
    let second = Index::open(folder.path(), &options());
    assert!(matches!(second, Err(IndexError::InUse { .. })));
    assert!(matches!(Index::discard(folder.path()), Err(IndexError::InUse { .. })));
    drop(index);
    assert_eq!(open(&folder, &options()).applied(), LogSize::new(100));
}

#[test]
fn the_index_of_another_ledger_or_format_is_made_fresh() {
    let folder = filled(100);
    let other = IndexOptions { identity: Hash::from_bytes([4; 32]), ..options() };
    assert!(reason(folder.path(), &other).unwrap().contains("another ledger"));
    assert_eq!(reason(folder.path(), &other), None);

    let index = open(&folder, &other);
    let mut marker = vec![0; SEAL_BYTES];
    marker.extend_from_slice(&index.blocks.root().get(Place::Marker).unwrap());
    marker[SEAL_BYTES] += 1;
    index.blocks.root().put(Place::Marker, &mut marker).unwrap();
    drop(index);
    assert!(reason(folder.path(), &other).unwrap().contains("format"));
}

#[test]
fn an_index_without_a_marker_or_manifest_is_made_fresh() {
    for place in [Place::Marker, Place::Manifest] {
        let folder = filled(50);
        let index = open(&folder, &options());
        index.blocks.root().remove(place);
        drop(index);
        assert!(reason(folder.path(), &options()).unwrap().contains("missing"));
    }
}

const FIRST_BLOCK: Place = Place::Part(Section::Records, 0);

#[test]
fn garbage_of_a_crash_is_removed() {
    let folder = filled(200);
    let index = open(&folder, &options());
    let live = index.blocks.shelves(Kind::Run);
    assert_eq!(live, live_runs(&index));
    for run in [1_000, 1_001, u64::MAX] {
        let shelf = index.blocks.shelf(Kind::Run, run).unwrap();
        shelf.put(FIRST_BLOCK, &mut [0; 20]).unwrap();
    }
    drop(index);
    let index = open(&folder, &options());
    assert_eq!(index.blocks.shelves(Kind::Run), live);
    check_made_up(&index, 200);
}

#[test]
fn a_flipped_byte_in_any_block_is_noticed_by_whoever_reads_it() {
    let folder = filled(16 * 27);
    let index = open(&folder, &options());
    let mut tried = 0;
    for run in index.tables.iter().flat_map(|table| table.runs().to_vec()) {
        for number in 0..run.row().blocks {
            let place = Place::Part(Section::Records, number);
            run.shelf().flip_byte(place, 97 * (tried + 1));
            let digest = index.content_digest();
            assert!(matches!(digest, Err(IndexError::Damaged { .. })));
            run.shelf().flip_byte(place, 97 * (tried + 1));
            tried += 1;
        }
    }
    assert!(tried > 5, "there were blocks");
    index.content_digest().unwrap();

    let run = index.table(TableId::RequestIds).runs()[0].clone();
    run.shelf().flip_byte(FIRST_BLOCK, 50);
    let found = index.request_id(&scattered(run.row().from)).unwrap_err();
    assert!(found.calls_for_rebuild(), "{found}");
}

#[test]
fn a_whole_block_of_another_time_is_noticed() {
    let folder = filled(16 * 2);
    let index = open(&folder, &options());
    let run = index.table(TableId::RequestIds).runs()[0].clone();
    let mut stale = vec![0; SEAL_BYTES];
    stale.extend_from_slice(&run.shelf().get(FIRST_BLOCK).unwrap());
    let last = stale.len() - 1;
    stale[last] ^= 1;
    run.shelf().put(FIRST_BLOCK, &mut stale).unwrap();
    let found = index.request_id(&scattered(run.row().from)).unwrap_err();
    assert!(found.calls_for_rebuild(), "{found}");
}

#[test]
fn damaged_fences_filters_and_manifests_are_noticed_at_open() {
    let places = [
        Place::Part(Section::Fences, 0),
        Place::Part(Section::Filter, 0),
        Place::Manifest,
        Place::Marker,
    ];
    for place in places {
        let folder = filled(16 * 3);
        let index = open(&folder, &options());
        let run = index.table(TableId::BankReferences).runs()[0].clone();
        let shelf = match place {
            Place::Part(..) => run.shelf(),
            _ => index.blocks.root(),
        };
        shelf.flip_byte(place, 21);
        drop((run, index));
        let reason = reason(folder.path(), &options()).unwrap();
        assert!(reason.contains("checksum"), "{reason}");
    }
}

fn sled_files(folder: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path().join("sled")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.is_file());
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Bytes of sled's files change, or their ends are lost.
    #[test]
    fn damage_to_files_never_gives_wrong_answers(
        damage in prop::collection::vec((any::<u64>(), any::<u8>(), any::<bool>()), 1..4),
    ) {
        let folder = filled(16 * 9);
        for (at, byte, cut) in damage {
            let files = sled_files(&folder);
            let file = &files[usize::try_from(at % files.len() as u64).unwrap()];
            let mut bytes = fs::read(file).unwrap();
            if bytes.is_empty() {
                continue;
            }
            // sled's file is mostly zeros after its beginning: damage what is used.
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
            let place = usize::try_from(at >> 8).unwrap() % used;
            if cut {
                bytes.truncate(place);
            } else {
                bytes[place] ^= byte | 1;
            }
            fs::write(file, bytes).unwrap();
        }
        let index = open(&folder, &options());
        let applied = index.applied().get();
        // Everything that is found is right, whatever was lost.
        let trail = index.trail(
            0, Position::ZERO..Position::new(applied), usize::MAX, Direction::OldestFirst,
        );
        let digest = index.content_digest();
        match (trail, digest) {
            (Ok(trail), Ok(_)) => {
                prop_assert_eq!(trail.len() as u64, applied);
                check_made_up(&index, applied);
            }
            (_, Err(error)) | (Err(error), _) => prop_assert!(error.calls_for_rebuild()),
        }
    }
}
