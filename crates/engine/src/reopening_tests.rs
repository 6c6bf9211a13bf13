//! Disks that fail for a while: the ledger takes writes again by itself, and nothing was acknowledged
//! that is not there.

mod disk;
mod index;
mod place;
mod starts;

use crate::clock::SystemClock;
use crate::fault_tests::{Bomb, refusal, register, submit};
use crate::health::Status;
use crate::node::Slot;
use crate::open::CONDEMNED_INDEX;
use crate::proofs::ProofRefusal;
use crate::reads::ReadRefusal;
use crate::reopening::ROOM_FILE;
use crate::submission::{Answer, Refusal, Request};
use crate::trail::Owner;
use bergulir_chain::{LogSize, Position};
use bergulir_domain::Command;
use bergulir_store::ReadLimit;
use bergulir_store::index::{Direction, IndexError};
use disk::{EIO, ENOSPC, Faults};
use place::{Place, cooperatives, id, receipt, request_ids, until, why};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn when_a_full_disk_has_room_again_the_ledger_takes_writes_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    let first = receipt(submit(&before, register(1)).await);
    let mut head = before.watch_head();
    head.mark_unchanged();
    Faults::set(&place.faults.writes, ENOSPC);

    let refused = refusal(submit(&before, register(2)).await);
    assert!(matches!(refused, Refusal::OutcomeUnknown { .. }), "{refused:?}");
    // It is tried and tried, and as long as there is no room everything can be read.
    place.attempts(3).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    assert!(why(&before).contains("opens the ledger again by itself"), "{}", why(&before));
    assert_eq!(cooperatives(&before).await.unwrap(), 1);
    let first_one = before.glance(|state| state.cooperatives().find(&"c1".parse().unwrap()));
    let owners = [Owner::Cooperative(first_one.unwrap())];
    let trail = before.trail(&owners, Position::ZERO..Position::new(9), 9, Direction::OldestFirst);
    assert_eq!(trail.await.unwrap().len(), 1);
    before.inclusion_proof(Position::new(1), LogSize::new(2)).unwrap();
    assert!(!head.has_changed().unwrap(), "who follows it waits");

    place.faults.heal();
    let after = place.reopened(&before).await;
    assert_eq!(*after.status().borrow(), Status::Serving);
    let second = receipt(submit(&after, register(2)).await);
    assert_eq!((second.position, second.duplicate), (first.position.next(), false));
    let again = receipt(submit(&after, register(1)).await);
    assert_eq!((again.record_hash, again.duplicate), (first.record_hash, true));

    // Whoever holds the old one is told, and its state is gone.
    assert!(matches!(refusal(submit(&before, register(3)).await), Refusal::Reopening));
    assert!(matches!(cooperatives(&before).await, Err(ReadRefusal::Reopening)));
    let read = before.records(Position::ZERO, ReadLimit::ONE);
    assert!(matches!(read, Err(ReadRefusal::Reopening)));
    let proof = before.inclusion_proof(Position::new(1), LogSize::new(2));
    assert!(matches!(proof, Err(ProofRefusal::Reopening)));
    assert!(head.changed().await.is_err(), "who followed it is told that it ended");
    assert_eq!(before.glance(|state| state.cooperatives().len()), 0);
    assert!(!place.ledger_folder().join(ROOM_FILE).exists());
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_sync_left_in_the_log_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    Faults::set(&place.faults.syncs, EIO);
    let refused = refusal(submit(&before, register(1)).await);
    assert!(matches!(refused, Refusal::OutcomeUnknown { .. }), "{refused:?}");
    assert_eq!(before.head().size.get(), 1);
    place.attempts(2).await;
    place.faults.heal();
    let after = place.reopened(&before).await;
    assert_eq!(after.head().size.get(), 2, "its bytes were written, and synced at last");
    let known = receipt(submit(&after, register(1)).await);
    assert_eq!((known.position.get(), known.duplicate), (1, true));
    assert_eq!(request_ids(&after), [register(1).request_id]);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_damaged_is_made_anew_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    receipt(submit(&before, register(1)).await);
    before.health.index_failed(&IndexError::Damaged { what: "a block".to_owned() });
    let after = place.reopened(&before).await;
    assert!(!place.ledger_folder().join(CONDEMNED_INDEX).exists());
    assert_eq!(after.replayed_at_open(), 2);
    assert!(receipt(submit(&after, register(1)).await).duplicate);
    receipt(submit(&after, register(2)).await);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_which_a_thread_died_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = Arc::new(Bomb(AtomicBool::new(false), SystemClock::new()));
    let place = Place::with_clock(folder.path(), Arc::<Bomb>::clone(&bomb) as _).await;
    let before = place.ledger();
    bomb.0.store(true, Ordering::SeqCst);
    let refused = refusal(submit(&before, register(1)).await);
    assert!(matches!(refused, Refusal::OutcomeUnknown { .. }), "{refused:?}");
    bomb.0.store(false, Ordering::SeqCst);
    let after = place.reopened(&before).await;
    assert!(!receipt(submit(&after, register(1)).await).duplicate);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_to_see_to_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    before.health.fail_for_now("as if the disk were full");
    before.health.fail("CHAIN_BROKEN at position 1".to_owned());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    assert!(why(&before).starts_with("CHAIN_BROKEN"));
    assert_eq!(place.faults.probes.load(Ordering::SeqCst), 0);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_what_was_acknowledged_is_not_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    let log = place.ledger_folder().join("log/00000000000000000000.seg");
    let shorter = std::fs::read(&log).unwrap();
    receipt(submit(&before, register(1)).await);
    Faults::set(&place.faults.writes, ENOSPC);
    refusal(submit(&before, register(2)).await);
    // No checkpoint tells, and the index, made anew, does not either.
    std::fs::write(&log, &shorter).unwrap();
    before.health.index_failed(&IndexError::Damaged { what: "a block".to_owned() });
    std::fs::write(place.ledger_folder().join(CONDEMNED_INDEX), "").unwrap();
    place.faults.heal();
    let after = place.reopened(&before).await;
    assert!(
        why(&after).starts_with("ROLLED_BACK: this server knows of 2 records"),
        "{}",
        why(&after)
    );
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_while_a_disk_fails_and_opens_nothing_after() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    Faults::set(&place.faults.writes, ENOSPC);
    refusal(submit(&place.ledger(), register(1)).await);
    place.attempts(1).await;
    let (ledger, faults, node) =
        (place.ledger(), Arc::clone(&place.faults), Arc::clone(&place.node));
    place.stop().await;
    faults.heal();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Some(Slot::Open(after)) = node.ledger(id()) else { panic!("it is not open") };
    assert!(Arc::ptr_eq(&ledger, &after));
    assert!(matches!(refusal(submit(&ledger, register(2)).await), Refusal::ReadOnly { .. }));
}

/// How many times the disk fails in the test with a crowd; `BERGULIR_FAULT_ROUNDS` sets more.
fn rounds() -> u32 {
    std::env::var("BERGULIR_FAULT_ROUNDS").map_or(4, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_a_disk_fails_what_is_acknowledged_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Arc::new(Place::new(folder.path()).await);
    let done = Arc::new(AtomicBool::new(false));
    let acknowledged: Arc<Mutex<Vec<(u32, crate::Receipt)>>> = Arc::default();
    let mut crowd = tokio::task::JoinSet::new();
    for one in 0..8_u32 {
        let (place, done) = (Arc::clone(&place), Arc::clone(&done));
        let acknowledged = Arc::clone(&acknowledged);
        crowd.spawn(async move {
            for n in (one * 100..one * 100 + 100).chain((1_000 + one * 1_000)..) {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                // Until it is answered, as a caller does.
                loop {
                    match submit(&place.ledger(), register_any(n)).await {
                        Answer::Items(mut items) => {
                            let receipt = items.pop().unwrap().unwrap().receipt.unwrap();
                            acknowledged.lock().unwrap().push((n, receipt));
                            break;
                        }
                        Answer::Refused { .. } => {
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                }
            }
        });
    }
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (fault, code) = match round % 2 {
            0 => (&place.faults.writes, ENOSPC),
            _ => (&place.faults.syncs, EIO),
        };
        let before = place.ledger();
        Faults::set(fault, code);
        until(|| before.health.failure().is_some()).await;
        place.faults.heal();
        place.reopened(&before).await;
    }
    done.store(true, Ordering::SeqCst);
    crowd.join_all().await;
    let ledger = place.ledger();
    let ids = request_ids(&ledger);
    let acknowledged = acknowledged.lock().unwrap();
    for (n, receipt) in acknowledged.iter() {
        let at = usize::try_from(receipt.position.get()).unwrap() - 1;
        assert_eq!(ids[at], register_any(*n).request_id);
        let found = ledger.records(receipt.position, ReadLimit::ONE).unwrap();
        let (_, bytes) = found.iter().next().unwrap();
        assert_eq!(bergulir_chain::record::hash(bytes), receipt.record_hash);
    }
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "one is there twice");
    assert_eq!(ids.len(), acknowledged.len(), "all were asked for until they were answered");
}

/// Like [`register`], for more of them than villages have numbers.
fn register_any(n: u32) -> Request {
    let mut request = register(n % 1_000);
    request.request_id = u128::from(n + 1).to_be_bytes();
    if let Command::RegisterCooperative(register) = &mut request.command {
        register.cooperative = format!("c{n}").parse().unwrap();
        register.village =
            format!("36.{:02}.{:02}.2{:03}", 1 + n / 90_000, 1 + n / 1_000 % 90, n % 1_000)
                .parse()
                .unwrap();
    }
    request
}
