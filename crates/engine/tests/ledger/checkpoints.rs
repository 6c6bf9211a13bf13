//! When a ledger signs, and where its checkpoints are kept.

use crate::support::*;
use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::Note;
use bergulir_engine::{Node, NodeError, NodeOptions, ProofRefusal};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a file with a checkpoint states.
fn stated(path: &Path) -> Checkpoint {
    let note = Note::parse(&std::fs::read(path).unwrap()).unwrap();
    Checkpoint::parse_unverified(note.text()).unwrap()
}

fn own(folder: &Path) -> std::path::PathBuf {
    folder.join("ledgers/pilot/checkpoint")
}

fn anchored(folder: &Path) -> NodeOptions {
    NodeOptions { anchors: vec![folder.to_owned()], ..NodeOptions::from(never()) }
}

#[tokio::test]
async fn a_new_ledger_is_signed_without_being_asked_and_so_is_what_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let ledger = desk.ledger();
    let mut newest = ledger.watch_checkpoint();
    let size = ledger.head().size;
    let reached = newest
        .wait_for(|newest| newest.as_ref().is_some_and(|newest| newest.checkpoint.size == size));
    let waited = tokio::time::timeout(Duration::from_secs(5), reached).await.unwrap().unwrap();
    let signed = Arc::clone(waited.as_ref().unwrap());
    drop(waited);
    assert_eq!(stated(&own(folder.path())), signed.checkpoint);
    // The newest one is given to whoever does not ask for more.
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    assert_eq!(ledger.checkpoint(Some(size)).await.unwrap(), signed);
}

#[tokio::test]
async fn while_records_arrive_one_a_second_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let ledger = desk.ledger();
    let newest = ledger.watch_checkpoint();
    let (began, mut sizes) = (Instant::now(), BTreeSet::new());
    for n in 0.. {
        if began.elapsed() > Duration::from_millis(2_500) {
            break;
        }
        desk.post("maker", allocate(1, &format!("A{n}"))).await.unwrap();
        sizes.extend(newest.borrow().as_ref().map(|newest| newest.checkpoint.size));
    }
    // The first at once, then one each second; one more if this test was slow.
    assert!((2..=4).contains(&sizes.len()), "{sizes:?}");
}

#[tokio::test]
async fn one_that_is_asked_for_covers_what_was_asked_and_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    for n in 0..5 {
        desk.post("maker", allocate(1, &format!("A{n}"))).await.unwrap();
        let size = desk.ledger().head().size;
        let signed = desk.ledger().checkpoint(Some(size)).await.unwrap();
        assert_eq!(signed.checkpoint.size, size);
        assert_eq!(stated(&own(folder.path())), signed.checkpoint);
    }
}

#[tokio::test]
async fn a_stop_signs_all_that_was_acknowledged_and_a_start_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let anchor = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), anchored(anchor.path())).await;
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    let size = LogSize::new(desk.size());
    desk.stop().await;
    assert_eq!(stated(&own(folder.path())).size, size);
    let file = anchor.path().join("ledger.example.go.id%2Fpilot.checkpoint");
    assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(own(folder.path())).unwrap());

    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    let written = inode(&own(folder.path()));
    let desk = Desk::at(folder.path(), anchored(anchor.path()));
    assert_eq!(desk.ledger().checkpoint(None).await.unwrap().checkpoint.size, size);
    assert_eq!(desk.ledger().anchors()[0].path, file);
    desk.stop().await;
    assert_eq!(inode(&own(folder.path())), written, "what is signed is not signed again");
}

#[tokio::test]
async fn an_anchor_that_fails_later_is_told_and_does_not_stop_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let anchor = tempfile::tempdir().unwrap();
    let disk = anchor.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let desk = Desk::pilot(folder.path(), anchored(&disk)).await;
    let ledger = desk.ledger();
    ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
    assert_eq!(ledger.anchors()[0].failure, None);
    std::fs::remove_dir_all(&disk).unwrap();
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
    assert!(ledger.anchors()[0].failure.is_some());
    std::fs::create_dir(&disk).unwrap();
    desk.post("maker", allocate(1, "A2")).await.unwrap();
    ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
    assert_eq!(ledger.anchors()[0].failure, None);
}

#[tokio::test]
async fn an_anchor_that_cannot_be_used_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Desk::at(&folder.path().join("other"), never()).clock;
    let open = |anchor: &Path| {
        let data = folder.path().join("data");
        Node::open(&data, Arc::clone(&clock) as _, anchored(anchor), &|_, _, _| {})
    };
    for anchor in [folder.path().join("missing"), folder.path().join("data")] {
        let Err(NodeError::Anchor(error)) = open(&anchor) else { panic!("it was taken") };
        assert!(error.to_string().contains("anchor"), "{error}");
    }
}

#[tokio::test]
async fn a_ledger_without_a_key_goes_on_and_says_why_it_signs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(folder.path(), never());
    desk.create_as(open_ledger("pilot")).await;
    desk.post("maker", open_fund()).await.unwrap();
    let refused = desk.ledger().checkpoint(None).await;
    let Err(ProofRefusal::NoKey { why }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("names no key"), "{why}");
    desk.stop().await;
    assert!(!own(folder.path()).exists());
}
