//! A log that is not the newest one, or another one, is found at start by what is known of it.

use crate::support::*;
use bergulir_chain::merkle::{Prefixes, Tree, root};
use bergulir_chain::{Hash, LogSize, Position, record};
use bergulir_engine::{NodeOptions, ProofRefusal, ROLLED_BACK, ReadLimit, Refusal, Status};
use bergulir_store::index::{Index, IndexBatch, IndexOptions};
use std::path::{Path, PathBuf};

const ANCHOR_FILE: &str = "ledger.example.go.id%2Fpilot.checkpoint";

/// A data directory, a copy of it from before, and an anchor that has seen more than the copy.
struct Past {
    folder: tempfile::TempDir,
    older: PathBuf,
    anchor: PathBuf,
    newest: u64,
}

impl Past {
    async fn new() -> Past {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (data, older, anchor) = (path("data"), path("older"), path("anchor"));
        std::fs::create_dir(&anchor).unwrap();
        let desk = Desk::pilot(&data, anchored(&anchor)).await;
        desk.stop().await;
        copy(&data, &older);
        let desk = Desk::at(&data, anchored(&anchor));
        desk.skip_ids(1_000);
        for n in 0..3 {
            desk.post("maker", allocate(1, &format!("A{n}"))).await.unwrap();
        }
        let newest = desk.size();
        desk.stop().await;
        Past { folder, older, anchor, newest }
    }

    /// Records so many more that the index has a hash of their tree.
    async fn grow_beyond_a_tile(&self) {
        let desk = Desk::at(&self.data(), anchored(&self.anchor));
        let allocation = |n: u64| bergulir_engine::Request {
            request_id: id(50_000 + n),
            command: allocate(1, &format!("G{n}")),
        };
        let work = bergulir_engine::Work::Independent((0..270).map(allocation).collect());
        desk.ledger().submit(caller("maker"), work, bergulir_engine::Terms::PLAIN).await;
        assert!(desk.size() > 270);
        desk.stop().await;
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn anchor_file(&self) -> PathBuf {
        self.anchor.join(ANCHOR_FILE)
    }
}

fn anchored(anchor: &Path) -> NodeOptions {
    NodeOptions { anchors: vec![anchor.to_owned()], ..NodeOptions::from(never()) }
}

/// The ledger takes no writes and signs nothing, says why, and answers questions; returns why.
async fn refuses_writes(desk: &Desk) -> String {
    refuses_writes_for(desk, ROLLED_BACK).await
}

/// The same for the reason that begins with this.
async fn refuses_writes_for(desk: &Desk, kind: &str) -> String {
    let ledger = desk.ledger();
    let Status::ReadOnly { why } = ledger.status().borrow().clone() else {
        panic!("it takes writes")
    };
    assert!(why.starts_with(kind), "{why}");
    // It is told to callers: where the server keeps its files is no concern of theirs.
    let above = desk.folder.parent().unwrap();
    assert!(!why.contains(above.to_str().unwrap()), "{why}");
    desk.skip_ids(9_000);
    let refused = desk.post("maker", allocate(1, "X1")).await.unwrap_err();
    assert!(matches!(refused, Refusal::ReadOnly { .. }), "{refused}");
    let funds = ledger.read(None, |state, _| state.funds().len()).await.unwrap();
    assert_eq!(funds, 1);
    ledger.records(Position::new(0), ReadLimit::ONE).unwrap();
    let size = ledger.head().size;
    ledger.inclusion_proof(Position::new(0), size).unwrap();
    why
}

async fn signs_nothing(desk: &Desk) {
    let ledger = desk.ledger();
    let refused = ledger.checkpoint(Some(ledger.head().size)).await;
    assert!(matches!(refused, Err(ProofRefusal::ReadOnly { .. })), "{refused:?}");
}

#[tokio::test]
async fn an_older_copy_of_the_whole_directory_is_found_by_an_anchor() {
    let past = Past::new().await;
    let known = std::fs::read(past.anchor_file()).unwrap();
    let desk = Desk::at(&past.older, anchored(&past.anchor));
    let why = refuses_writes(&desk).await;
    assert!(why.contains(&past.newest.to_string()) && why.contains("anchor"), "{why}");
    desk.stop().await;
    assert_eq!(std::fs::read(past.anchor_file()).unwrap(), known, "the anchor is as it was");

    // The newest copy goes on.
    let desk = Desk::at(&past.data(), anchored(&past.anchor));
    assert_eq!(*desk.ledger().status().borrow(), Status::Serving);
}

#[tokio::test]
async fn an_older_log_beside_a_newer_checkpoint_is_found() {
    let past = Past::new().await;
    // Without its index, which would tell of missing records by itself.
    for folder in ["log", "index"] {
        let (data, older) = (past.data().join("ledgers/pilot"), past.older.join("ledgers/pilot"));
        std::fs::remove_dir_all(data.join(folder)).unwrap();
        copy(&older.join(folder), &data.join(folder));
    }
    let desk = Desk::at(&past.data(), never());
    let why = refuses_writes(&desk).await;
    assert!(why.contains("pilot/checkpoint"), "{why}");
}

/// The older copy, with as many other records as the data directory has more.
async fn other_history(past: &Past) {
    let desk = Desk::at(&past.older, never());
    desk.skip_ids(2_000);
    while desk.size() < past.newest + 2 {
        desk.post("maker", allocate(2, &format!("B{}", desk.size()))).await.unwrap();
    }
    desk.stop().await;
}

#[tokio::test]
async fn another_history_that_is_as_long_is_found_by_an_anchor() {
    let past = Past::new().await;
    other_history(&past).await;
    let desk = Desk::at(&past.older, anchored(&past.anchor));
    let why = refuses_writes(&desk).await;
    assert!(why.contains("another history"), "{why}");
    signs_nothing_new(&desk).await;
}

/// Its own newest checkpoint is of the whole log; more is not signed.
async fn signs_nothing_new(desk: &Desk) {
    let ledger = desk.ledger();
    let before = std::fs::metadata(ledger_folder(desk).join("checkpoint")).unwrap();
    assert_eq!(ledger.checkpoint(None).await.unwrap().checkpoint.size, ledger.head().size);
    let after = std::fs::metadata(ledger_folder(desk).join("checkpoint")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
}

fn ledger_folder(desk: &Desk) -> PathBuf {
    desk.folder.join("ledgers/pilot")
}

#[tokio::test]
async fn another_history_is_found_by_the_checkpoint_in_the_directory_and_nothing_is_signed() {
    let past = Past::new().await;
    other_history(&past).await;
    let (data, older) = (past.data().join("ledgers/pilot"), past.older.join("ledgers/pilot"));
    std::fs::copy(data.join("checkpoint"), older.join("checkpoint")).unwrap();
    for without_index in [false, true] {
        if without_index {
            std::fs::remove_dir_all(older.join("index")).unwrap();
        }
        let desk = Desk::at(&past.older, never());
        let why = refuses_writes(&desk).await;
        assert!(why.contains("another history"), "{why}");
        signs_nothing(&desk).await;
        desk.stop().await;
    }
    let kept = std::fs::read(older.join("checkpoint")).unwrap();
    assert_eq!(kept, std::fs::read(data.join("checkpoint")).unwrap());
}

#[tokio::test]
async fn a_ledger_opened_anew_under_a_known_origin_is_found() {
    let past = Past::new().await;
    let fresh = past.folder.path().join("fresh");
    let desk = Desk::at(&fresh, anchored(&past.anchor));
    desk.create("pilot").await;
    let Status::ReadOnly { why } = desk.ledger().status().borrow().clone() else {
        panic!("it takes writes")
    };
    assert!(why.starts_with(ROLLED_BACK) && why.contains("another log of the origin"), "{why}");
    let known = std::fs::read(past.anchor_file()).unwrap();
    desk.stop().await;
    assert_eq!(std::fs::read(past.anchor_file()).unwrap(), known, "the anchor is as it was");
}

#[tokio::test]
async fn what_is_no_checkpoint_is_not_written_over() {
    let past = Past::new().await;
    for content in ["", "not a note", "a\n\n\u{2014} b AAAAAAAA\n"] {
        std::fs::write(past.anchor_file(), content).unwrap();
        let desk = Desk::at(&past.data(), anchored(&past.anchor));
        refuses_writes(&desk).await;
        desk.stop().await;
        assert_eq!(std::fs::read_to_string(past.anchor_file()).unwrap(), content);
    }
    // A file that cannot be read is not one that is not there.
    std::fs::remove_file(past.anchor_file()).unwrap();
    std::os::unix::fs::symlink(past.anchor_file(), past.anchor_file()).unwrap();
    let desk = Desk::at(&past.data(), anchored(&past.anchor));
    refuses_writes_for(&desk, "CHECKPOINT_UNREADABLE").await;
}

#[tokio::test]
async fn an_altered_checkpoint_is_not_believed() {
    let past = Past::new().await;
    let note = std::fs::read_to_string(past.anchor_file()).unwrap();
    let altered = note.replacen(&past.newest.to_string(), "1", 1);
    std::fs::write(past.anchor_file(), altered).unwrap();
    let desk = Desk::at(&past.data(), anchored(&past.anchor));
    refuses_writes(&desk).await;
}

/// Waits for a file to have that content.
async fn becomes(file: &Path, content: &[u8]) {
    for _ in 0..2_000 {
        if std::fs::read(file).is_ok_and(|found| found == content) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{} does not get the newest checkpoint", file.display());
}

#[tokio::test]
async fn a_new_anchor_and_one_that_is_behind_get_the_newest_checkpoint_at_start() {
    let past = Past::new().await;
    let new = past.folder.path().join("new");
    std::fs::create_dir(&new).unwrap();
    let newest = std::fs::read(past.anchor_file()).unwrap();
    let older = past.older.join("ledgers/pilot/checkpoint");
    std::fs::copy(&older, past.anchor_file()).unwrap();
    let anchors = vec![past.anchor.clone(), new.clone()];
    let desk = Desk::at(&past.data(), NodeOptions { anchors, ..NodeOptions::from(never()) });
    becomes(&new.join(ANCHOR_FILE), &newest).await;
    becomes(&past.anchor_file(), &newest).await;
    drop(desk);
}

#[tokio::test]
async fn an_anchor_that_knows_more_than_the_directory_is_not_set_back() {
    let past = Past::new().await;
    let own = past.data().join("ledgers/pilot/checkpoint");
    std::fs::copy(past.older.join("ledgers/pilot/checkpoint"), &own).unwrap();
    let newest = std::fs::read(past.anchor_file()).unwrap();
    let desk = Desk::at(&past.data(), anchored(&past.anchor));
    let signed = desk.ledger().checkpoint(None).await.unwrap();
    assert_eq!(signed.checkpoint.size.get(), past.newest);
    desk.stop().await;
    assert_eq!(std::fs::read(past.anchor_file()).unwrap(), newest);
}

#[tokio::test]
async fn wrong_tiles_are_made_anew_and_do_not_look_like_another_history() {
    for known in [true, false] {
        let past = Past::new().await;
        past.grow_beyond_a_tile().await;
        if !known {
            // Nothing that they could be compared with but the log.
            let ledger = past.data().join("ledgers/pilot");
            std::fs::remove_file(ledger.join("checkpoint")).unwrap();
            std::fs::rename(past.data().join("keys"), past.data().join("aside")).unwrap();
            std::fs::remove_file(past.anchor_file()).unwrap();
        }
        wrong_tiles_are_made_anew(&past).await;
    }
}

async fn wrong_tiles_are_made_anew(past: &Past) {
    let index = past.data().join("ledgers/pilot/index");
    let desk = Desk::at(&past.data(), never());
    let records = desk.ledger().records(Position::new(0), ReadLimit::STEP).unwrap();
    desk.stop().await;
    Index::discard(&index).unwrap();
    // What a fault of the disk or a forger leaves that every checksum holds of.
    let hashes: Vec<_> = records.iter().map(|(_, bytes)| record::hash(bytes)).collect();
    let forged = Index::open(&index, &IndexOptions::new(hashes[0])).unwrap().index;
    let (mut batch, mut tree) = (IndexBatch::default(), Tree::new(Prefixes::RFC_6962));
    for (n, hash) in hashes.iter().enumerate() {
        let hash = if n == 2 { Hash::ZERO } else { *hash };
        tree.push_hash_with(hash, |subtree, root| batch.completed(subtree, root));
    }
    forged.apply(&batch).unwrap();
    forged.flush().unwrap();
    drop(forged);

    let desk = Desk::at(&past.data(), anchored(&past.anchor));
    assert_eq!(*desk.ledger().status().borrow(), Status::Serving);
    let size = LogSize::new(hashes.len() as u64);
    let proof = desk.ledger().inclusion_proof(Position::new(260), size).unwrap();
    assert_eq!(proof.record_hash, hashes[260]);
    assert_eq!(proof.root, root(Prefixes::RFC_6962, records.iter().map(|(_, bytes)| bytes)));
}
