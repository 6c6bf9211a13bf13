//! Files that cannot be read when a ledger is opened.

use super::disk::{EIO, Faults};
use super::place::{Place, cooperatives, id, receipt, until, why};
use crate::clock::SystemClock;
use crate::fault_tests::{caller, open_ledger, refusal, register, submit};
use crate::health::Status;
use crate::node::Slot;
use crate::open::OpenError;
use crate::submission::{Answer, Refusal, Request, Terms};
use crate::trail::Owner;
use bergulir_chain::Position;
use bergulir_domain::command::OpenLedger;
use bergulir_domain::{Command, LedgerId};
use bergulir_store::index::Direction;
use bergulir_store::layout::CONTINUED_FILE;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_the_disk_does_not_give_at_a_start_is_opened_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    receipt(submit(&place.ledger(), register(1)).await);
    let faults = Arc::clone(&place.faults);
    place.stop().await;

    Faults::set(&faults.reads, EIO);
    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), faults);
    let Some(Slot::Broken(error)) = place.node.ledger(id()) else { panic!("it is open") };
    assert!(matches!(&*error, OpenError::Log(_)), "{error}");
    // The log of the server names folders, what callers are told does not.
    let folder_of_server = folder.path().display().to_string();
    assert!(error.to_string().contains(&folder_of_server), "{error}");
    assert!(!error.without_paths().contains(&folder_of_server), "{}", error.without_paths());
    place.attempts(2).await;
    place.faults.heal();
    let is_open = || matches!(place.node.ledger(id()), Some(Slot::Open(_)));
    until(is_open).await;
    assert!(receipt(submit(&place.ledger(), register(1)).await).duplicate);
    place.stop().await;

    // Damage does not pass.
    let log = folder.path().join("ledgers/pilot/log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), Arc::default());
    let Some(Slot::Broken(error)) = place.node.ledger(id()) else { panic!("it is open") };
    assert!(error.to_string().contains(&folder_of_server), "{error}");
    assert!(!error.without_paths().contains(&folder_of_server), "{}", error.without_paths());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(place.faults.probes.load(Ordering::SeqCst), 0);
    place.stop().await;
}

/// What a node needs beside the logs of two ledgers, of one of them at a time.
async fn two_ledgers(folder: &Path) -> Place {
    let place = Place::open(folder, Arc::new(SystemClock::new()), Arc::default());
    for (number, name) in [(1, "pilot"), (2, "other")] {
        let ledger: LedgerId = name.parse().unwrap();
        let opened = open_ledger(name);
        let key = place.node.verifier_key(&opened.origin, ledger).unwrap();
        let verifier_key = Some(key.to_string().parse().unwrap());
        let command = Command::OpenLedger(OpenLedger { verifier_key, ..opened });
        let request = Request { request_id: [number; 16], command };
        let answer = place.node.create(ledger, caller(), request, Terms::PLAIN).await;
        assert!(matches!(answer, Answer::Items(_)), "{answer:?}");
    }
    receipt(submit(&place.ledger(), register(1)).await);
    place
}

/// Moves a file away while no node runs, has something else done in its place, and starts. The ledger
/// takes no writes for the reason that begins with `kind`, is read all the same, and the other one goes
/// on; when the file is back, so does this one.
async fn unreadable_at_a_start(file: &str, instead: impl Fn(&Path), kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    two_ledgers(folder.path()).await.stop().await;
    let (path, aside) = (folder.path().join(file), folder.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    instead(&path);

    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), Arc::default());
    let before = place.ledger();
    let told = why(&before);
    assert!(told.starts_with(kind), "{told}");
    let name = file.rsplit('/').next().unwrap();
    assert!(told.contains(name) && !told.contains(folder.path().to_str().unwrap()), "{told}");
    let refused = refusal(submit(&before, register(2)).await);
    assert!(matches!(refused, Refusal::ReadOnly { .. }), "{refused:?}");
    let Some(Slot::Open(other)) = place.node.ledger("other".parse().unwrap()) else {
        panic!("the other ledger is not open")
    };
    receipt(submit(&other, register(2)).await);
    // However often it is tried: nothing of what can be read is closed for it.
    place.attempts(3).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    assert_eq!(cooperatives(&before).await.unwrap(), 1);
    let c1 = before.glance(|state| state.cooperatives().find(&"c1".parse().unwrap())).unwrap();
    let owners = [Owner::Cooperative(c1)];
    let trail = before.trail(&owners, Position::ZERO..Position::new(9), 9, Direction::NewestFirst);
    assert_eq!(trail.await.unwrap().len(), 1);

    let _ = std::fs::remove_dir(&path).or_else(|_| std::fs::remove_file(&path));
    std::fs::rename(&aside, &path).unwrap();
    let after = place.reopened(&before).await;
    assert_eq!(*after.status().borrow(), Status::Serving);
    assert_eq!(receipt(submit(&after, register(2)).await).position, Position::new(2));
    place.stop().await;
}

/// What cannot be read, whoever asks.
fn a_folder(path: &Path) {
    std::fs::create_dir(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_the_disk_does_not_give_is_read_error_and_no_rollback() {
    unreadable_at_a_start("ledgers/pilot/checkpoint", a_folder, "CHECKPOINT_UNREADABLE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_cannot_be_used_stops_its_ledger_alone() {
    let garbage = |path: &Path| std::fs::write(path, "garbage").unwrap();
    unreadable_at_a_start("keys/pilot.key", garbage, "KEY_UNUSABLE").await;
    unreadable_at_a_start("keys/pilot.key", a_folder, "KEY_UNUSABLE").await;
}

/// That it goes on as another one is not believed of a mark that nobody could read, nor is it passed over.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_the_disk_does_not_give_keeps_writes_waiting() {
    let folder = tempfile::tempdir().unwrap();
    two_ledgers(folder.path()).await.stop().await;
    let mark = folder.path().join("ledgers/pilot").join(CONTINUED_FILE);
    a_folder(&mark);
    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), Arc::default());
    let before = place.ledger();
    assert!(why(&before).starts_with("MARK_UNREADABLE"), "{}", why(&before));
    place.attempts(2).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    std::fs::remove_dir(&mark).unwrap();
    let after = place.reopened(&before).await;
    receipt(submit(&after, register(2)).await);
    place.stop().await;
}
