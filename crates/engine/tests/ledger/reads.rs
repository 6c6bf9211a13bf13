//! Reads: always what was durable when they came in; as of any past position or instant.

use crate::support::*;
use bergulir_chain::Position;
use bergulir_domain::Timestamp;
use bergulir_domain::rejection::LoanStatus;
use bergulir_domain::state::{AccountIndex, FundIndex, LoanIndex};
use bergulir_domain::{Rejection, State};
use bergulir_engine::{
    Direction, LedgerOptions, Owner, ReadRefusal, Refusal, Request, Terms, Work,
};
use std::time::Duration;

const ACCOUNT: Owner = Owner::Account(AccountIndex::new(0));
const FUND: Owner = Owner::Fund(FundIndex::new(0));

#[tokio::test]
async fn a_read_sees_every_write_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    for n in 0..200 {
        let receipt = desk.post("maker", allocate(1, &format!("R{n}"))).await.unwrap().receipt;
        let seen = desk.ledger().read(None, |state, _| state.size()).await.unwrap();
        assert!(seen > receipt.unwrap().position.get());
    }
}

#[tokio::test]
async fn what_has_lapsed_by_now_is_seen_as_released_without_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.post("maker", propose_loan("l", 1, 100)).await.unwrap();
    let (ledger, size) = (desk.ledger(), desk.size());
    let seen = || async {
        let look = |state: &State, _| {
            let reserved = state.funds().get(FundIndex::new(0)).balances.reserved;
            (state.loans().get(LoanIndex::new(0)).status(), reserved)
        };
        ledger.read(None, look).await.unwrap()
    };
    desk.clock.pass(Duration::from_secs(30 * 86_400 - 1));
    assert_eq!(seen().await, (LoanStatus::Pending, 10_000));
    desk.clock.pass(Duration::from_secs(1));
    for _ in 0..2 {
        assert_eq!(seen().await, (LoanStatus::Expired, 0));
    }
    assert_eq!(desk.size(), size);
    // The writer sees it as the readers do.
    let late = desk.post("checker", approve_loan("l")).await;
    assert!(matches!(late, Err(Refusal::Rule(Rejection::LoanNotPending { .. }))));
}

#[tokio::test]
async fn a_position_that_is_not_reached_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let size = desk.size();
    let refused = desk.ledger().read(Some(Position::new(size)), |_, _| ()).await;
    assert!(matches!(refused, Err(ReadRefusal::NotReached { .. })));
    desk.ledger().read(Some(Position::new(size - 1)), |_, _| ()).await.unwrap();
}

#[tokio::test]
async fn balances_as_of_a_position_are_those_right_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.lend("l", 100_000_000).await;
    let mut expected = Vec::new();
    for n in 0..20 {
        let tranche = disburse("l", 1_000_000, &format!("D{n}"));
        let accepted = desk.post("maker", tranche).await.unwrap();
        expected.push((accepted.receipt.unwrap().position, accepted.balances));
        desk.post("maker", allocate(7, &format!("N{n}"))).await.unwrap();
    }
    for (position, balances) in expected {
        for at in [position, position.next()] {
            let (found, running) = desk.ledger().balances_at(ACCOUNT, at).await.unwrap().unwrap();
            assert_eq!(found, position);
            assert_eq!(running.balances.account, balances.account);
            assert_eq!(running.balances.loan, balances.loan);
        }
        let (_, fund) = desk.ledger().balances_at(FUND, position).await.unwrap().unwrap();
        assert_eq!(fund.balances.fund, balances.fund);
    }
}

#[tokio::test]
async fn a_trail_names_every_record_that_concerns_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.lend("l", 100_000_000).await;
    let paid = desk.post("maker", disburse("l", 9, "D")).await.unwrap().receipt.unwrap().position;
    let proposed = desk.post("maker", propose_reversal(paid.get())).await.unwrap();
    let proposal = proposed.receipt.unwrap().position;
    let reversed = desk.post("checker", approve_reversal(proposal.get())).await.unwrap();
    let reversal = reversed.receipt.unwrap().position;
    let all = Position::new(0)..Position::new(u64::MAX);
    let ledger = desk.ledger();
    let trail = ledger.trail(&[ACCOUNT], all.clone(), 100, Direction::OldestFirst).await.unwrap();
    let positions: Vec<u64> = trail.iter().map(|(position, _)| position.get()).collect();
    // Opened, proposed, approved, disbursed, reversal proposed, reversed.
    assert_eq!(positions, [6, 7, 8, paid.get(), proposal.get(), reversal.get()]);
    assert_eq!(trail[5].1.balances.account.unwrap().outstanding(), 0);
    let newest = ledger.trail(&[ACCOUNT], all, 2, Direction::NewestFirst).await.unwrap();
    let positions: Vec<u64> = newest.iter().map(|(position, _)| position.get()).collect();
    assert_eq!(positions, [reversal.get(), proposal.get()]);
}

#[tokio::test]
async fn an_answer_as_of_an_instant_stays_true() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.clock.pass(Duration::from_secs(1));
    let last = desk.post("maker", allocate(1, "A1")).await.unwrap().receipt.unwrap();
    // The clock stands still: without the fence the next record would carry the same instant.
    desk.clock.pass(Duration::from_micros(1));
    let instant = Timestamp::from_micros(last.recorded_at.as_micros());
    assert_eq!(desk.ledger().position_at(instant).await.unwrap(), Some(last.position));
    for n in 0..3 {
        let later = desk.post("maker", allocate(1, &format!("L{n}"))).await.unwrap();
        assert!(later.receipt.unwrap().recorded_at > last.recorded_at);
    }
    assert_eq!(desk.ledger().position_at(instant).await.unwrap(), Some(last.position));
    let before = Timestamp::from_micros(NINE - 1);
    assert_eq!(desk.ledger().position_at(before).await.unwrap(), None);
    let now = Timestamp::from_micros(desk.clock.micros());
    assert!(matches!(desk.ledger().position_at(now).await, Err(ReadRefusal::InTheFuture)));
}

#[tokio::test]
async fn nothing_is_shown_from_inside_an_atomic_batch() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let first = desk.size();
    let requests = cooperative(2).into_iter().enumerate();
    let batch = requests.map(|(n, command)| Request { request_id: id(900 + n as u64), command });
    let work = Work::Atomic(batch.collect());
    desk.ledger().submit(caller("maker"), work, Terms::PLAIN).await;
    for inside in first..first + 3 {
        let refused = desk.ledger().check_as_of(Position::new(inside)).unwrap_err();
        let ReadRefusal::InsideBatch { before, after, .. } = refused else { panic!("{refused}") };
        assert_eq!((before.get(), after.get()), (first - 1, first + 3));
    }
    desk.ledger().check_as_of(Position::new(first + 3)).unwrap();
    desk.ledger().check_as_of(Position::new(first - 1)).unwrap();
}
