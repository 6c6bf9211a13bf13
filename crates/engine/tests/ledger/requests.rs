//! Single commands: receipts, retries, conditions.

use crate::support::*;
use bergulir_chain::LogSize;
use bergulir_domain::Rejection;
use bergulir_engine::{LedgerOptions, Refusal, Terms};
use std::time::{Duration, Instant};

#[tokio::test]
async fn rule_14_a_retry_gets_the_first_answer_again() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.lend("l", 100_000_000).await;
    let tranche = disburse("l", 70_000_000, "B1");
    let first = desk.send("maker", id(900), tranche.clone(), Terms::PLAIN).await.unwrap();
    desk.post("maker", disburse("l", 10_000_000, "B2")).await.unwrap();
    let size = desk.size();

    let again = desk.send("maker", id(900), tranche, Terms::PLAIN).await.unwrap();
    let (first_receipt, again_receipt) = (first.receipt.unwrap(), again.receipt.unwrap());
    assert!(!first_receipt.duplicate && again_receipt.duplicate);
    assert_eq!(again_receipt.record_hash, first_receipt.record_hash);
    assert_eq!(again_receipt.position, first_receipt.position);
    // The balances are those of that position, not of now.
    assert_eq!(again.balances, first.balances);
    assert_eq!(again.balances.loan.unwrap().disbursed, 7_000_000_000);
    assert_eq!(desk.size(), size);
}

#[tokio::test]
async fn rule_14_the_same_id_for_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.lend("l", 100_000_000).await;
    let tranche = |reference| disburse("l", 70_000_000, reference);
    desk.send("maker", id(900), tranche("B1"), Terms::PLAIN).await.unwrap();
    let size = desk.size();

    let other_command = desk.send("maker", id(900), tranche("B2"), Terms::PLAIN).await;
    assert!(matches!(other_command, Err(Refusal::RequestIdConflict { .. })));
    let other_principal = desk.send("other", id(900), tranche("B1"), Terms::PLAIN).await;
    assert!(matches!(other_principal, Err(Refusal::RequestIdConflict { .. })));
    assert_eq!(desk.size(), size);
}

#[tokio::test]
async fn a_refused_command_leaves_no_trace_and_its_id_is_decided_afresh() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let (size, tranche) = (desk.size(), disburse("l", 70_000_000, "B1"));
    let refused = desk.send("maker", id(900), tranche.clone(), Terms::PLAIN).await;
    assert!(matches!(refused, Err(Refusal::Rule(Rejection::NotFound(_)))));
    assert_eq!(desk.size(), size);
    desk.lend("l", 100_000_000).await;
    let accepted = desk.send("maker", id(900), tranche, Terms::PLAIN).await.unwrap();
    assert!(!accepted.receipt.unwrap().duplicate);
}

#[tokio::test]
async fn the_expected_position_is_checked_after_the_request_id() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let expecting = |n| Terms { expected_position: Some(LogSize::new(n)), ..Terms::PLAIN };
    let size = desk.size();
    let stale = desk.send("maker", id(1), allocate(1, "A1"), expecting(size - 1)).await;
    let moved = Refusal::HeadMoved { expected: LogSize::new(size - 1), size: LogSize::new(size) };
    assert_eq!(stale.unwrap_err(), moved);
    desk.send("maker", id(900), allocate(1, "A1"), expecting(size)).await.unwrap();
    let retry = desk.send("maker", id(900), allocate(1, "A1"), expecting(size)).await.unwrap();
    assert!(retry.receipt.unwrap().duplicate);
}

#[tokio::test]
async fn validating_only_records_nothing_and_keeps_the_id_free() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.lend("l", 100_000_000).await;
    let (size, only) = (desk.size(), Terms { validate_only: true, ..Terms::PLAIN });
    let tranche = disburse("l", 70_000_000, "B1");
    let valid = desk.send("maker", id(900), tranche.clone(), only).await.unwrap();
    assert_eq!(valid.receipt, None);
    assert_eq!(valid.balances.loan.unwrap().disbursed, 7_000_000_000);
    let invalid = desk.send("maker", id(901), disburse("l", 100_000_001, "B2"), only).await;
    assert!(matches!(invalid, Err(Refusal::Rule(Rejection::LoanLimitExceeded { .. }))));
    assert_eq!(desk.size(), size);
    let done = desk.send("maker", id(900), tranche, Terms::PLAIN).await.unwrap();
    assert!(!done.receipt.unwrap().duplicate);
}

#[tokio::test]
async fn a_command_whose_deadline_passed_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let size = desk.size();
    let late = Terms { deadline: Some(Instant::now()), ..Terms::PLAIN };
    let answer = desk.send("maker", id(900), allocate(1, "A1"), late).await;
    assert_eq!(answer.unwrap_err(), Refusal::DeadlineExceeded);
    assert_eq!(desk.size(), size);
}

#[tokio::test]
async fn a_clock_that_was_set_back_stops_writes() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.stop().await;
    let ten_minutes = 600_000_000;
    let desk = Desk::at_time(folder.path(), LedgerOptions::default(), NINE - ten_minutes);
    let refused = desk.send("maker", id(900), allocate(1, "A1"), Terms::PLAIN).await.unwrap_err();
    assert!(matches!(refused, Refusal::ReadOnly { .. }), "{refused}");
    desk.clock.pass(Duration::from_secs(599));
    desk.send("maker", id(900), allocate(1, "A1"), Terms::PLAIN).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_pushes_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = LedgerOptions { queue: 1, ..LedgerOptions::default() };
    let desk = std::sync::Arc::new(Desk::pilot(folder.path(), options).await);
    let mut crowd = tokio::task::JoinSet::new();
    for n in 0..500 {
        let desk = std::sync::Arc::clone(&desk);
        crowd.spawn(async move { desk.post("maker", allocate(1, &format!("Q{n}"))).await });
    }
    let answers = crowd.join_all().await;
    let pushed = |r: &Result<_, Refusal>| matches!(r, Err(Refusal::QueueFull { .. }));
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted + answers.iter().filter(|answer| pushed(answer)).count(), 500);
    assert!(accepted > 0);
    // Seven records were there before.
    assert_eq!(desk.size(), 7 + accepted as u64);
}
