//! Batches: all or nothing, or each by itself.

use crate::support::*;
use bergulir_domain::{Command, Rejection};
use bergulir_engine::{Answer, LedgerOptions, Refusal, Request, Terms, Work};

fn requests(commands: impl IntoIterator<Item = Command>, from: u64) -> Vec<Request> {
    let with_id =
        |(n, command): (usize, Command)| Request { request_id: id(from + n as u64), command };
    commands.into_iter().enumerate().map(with_id).collect()
}

#[tokio::test]
async fn an_atomic_batch_is_all() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let size = desk.size();
    let batch = requests(cooperative(2).into_iter().chain([propose_loan("l2", 2, 5)]), 900);
    let answer = desk.ledger().submit(caller("maker"), Work::Atomic(batch), Terms::PLAIN).await;
    let Answer::Items(items) = answer else { panic!("{answer:?}") };
    let receipts: Vec<_> = items.into_iter().map(|item| item.unwrap().receipt.unwrap()).collect();
    let positions: Vec<u64> = receipts.iter().map(|r| r.position.get()).collect();
    assert_eq!(positions, (size..size + 5).collect::<Vec<_>>());
    let first = usize::try_from(size).unwrap();
    let following: Vec<u32> = events(&desk.ledger()).iter().skip(first).map(|e| e.2).collect();
    assert_eq!(following, [4, 3, 2, 1, 0]);
}

#[tokio::test]
async fn an_atomic_batch_is_nothing_if_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.lend("l", 100_000_000).await;
    let size = desk.size();
    let batch = requests(
        [
            disburse("l", 60_000_000, "B1"),
            propose_loan("m", 1, 1_000_000),
            disburse("l", 60_000_000, "B2"),
        ],
        900,
    );
    let answer = desk.ledger().submit(caller("maker"), Work::Atomic(batch), Terms::PLAIN).await;
    let Answer::Refused { item: Some(2), refusal: Refusal::Rule(rejection) } = answer else {
        panic!("{answer:?}")
    };
    assert!(matches!(rejection, Rejection::LoanLimitExceeded { .. }));
    assert_eq!(desk.size(), size);
    // Nothing of it stays: neither headroom, loan, request id nor bank reference is used.
    desk.send("maker", id(900), disburse("l", 100_000_000, "B1"), Terms::PLAIN).await.unwrap();
    desk.post("maker", propose_loan("m", 1, 1_000_000)).await.unwrap();
}

#[tokio::test]
async fn an_atomic_batch_that_is_retried_gets_the_first_answer() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let batch = requests(cooperative(2), 900);
    let ledger = desk.ledger();
    let send = |batch: Vec<Request>| {
        let ledger = ledger.clone();
        async move { ledger.submit(caller("maker"), Work::Atomic(batch), Terms::PLAIN).await }
    };
    let hashes = |answer: Answer| match answer {
        Answer::Items(items) => items
            .into_iter()
            .map(|item| item.unwrap().receipt.unwrap())
            .map(|receipt| (receipt.record_hash, receipt.duplicate))
            .collect::<Vec<_>>(),
        Answer::Refused { .. } => panic!("{answer:?}"),
    };
    let first = hashes(send(batch.clone()).await);
    let again = hashes(send(batch.clone()).await);
    assert!(first.iter().zip(&again).all(|(a, b)| a.0 == b.0 && !a.1 && b.1));

    // A part of it, more than it, another order, or one of it alone is something else.
    let conflict = |answer: Answer| {
        let refusal = match answer {
            Answer::Refused { refusal, .. } => refusal,
            Answer::Items(mut items) => items.pop().unwrap().unwrap_err(),
        };
        assert!(matches!(refusal, Refusal::RequestIdConflict { .. }), "{refusal:?}");
    };
    conflict(send(batch[..3].to_vec()).await);
    conflict(send(batch[1..].to_vec()).await);
    let mut more = batch.clone();
    more.extend(requests([allocate(1, "A9")], 990));
    conflict(send(more).await);
    let mut swapped = batch.clone();
    swapped.swap(1, 2);
    conflict(send(swapped).await);
    for part in [0, 3] {
        let alone = Work::Single(batch[part].clone());
        conflict(ledger.submit(caller("maker"), alone, Terms::PLAIN).await);
    }
}

#[tokio::test]
async fn a_request_id_stands_once_in_an_atomic_batch() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let mut batch = requests([allocate(1, "A1"), allocate(2, "A2")], 900);
    batch[1].request_id = batch[0].request_id;
    let answer = desk.ledger().submit(caller("maker"), Work::Atomic(batch), Terms::PLAIN).await;
    let repeated = Answer::Refused { item: Some(1), refusal: Refusal::RequestIdRepeated };
    assert_eq!(answer, repeated);
}

#[tokio::test]
async fn independent_commands_are_answered_each_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    desk.lend("l", 100_000_000).await;
    let mut batch = requests(
        [
            disburse("l", 60_000_000, "B1"),
            disburse("l", 60_000_000, "B2"),
            disburse("l", 40_000_000, "B1"),
            disburse("l", 40_000_000, "B3"),
        ],
        900,
    );
    batch.push(batch[0].clone());
    let work = Work::Independent(batch);
    let Answer::Items(items) = desk.ledger().submit(caller("maker"), work, Terms::PLAIN).await
    else {
        panic!()
    };
    assert!(items[0].is_ok());
    let rule = |item: usize| match &items[item] {
        Err(Refusal::Rule(rejection)) => rejection.clone(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(rule(1), Rejection::LoanLimitExceeded { .. }));
    assert!(matches!(rule(2), Rejection::BankReferenceUsed { .. }));
    assert!(items[3].is_ok());
    assert!(items[4].as_ref().unwrap().receipt.unwrap().duplicate);
}

#[tokio::test]
async fn an_atomic_batch_can_be_validated_only() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), LedgerOptions::default()).await;
    let size = desk.size();
    let only = Terms { validate_only: true, ..Terms::PLAIN };
    let work = Work::Atomic(requests(cooperative(2), 900));
    let answer = desk.ledger().submit(caller("maker"), work.clone(), only).await;
    let Answer::Items(items) = answer else { panic!("{answer:?}") };
    assert!(items.iter().all(|item| item.as_ref().unwrap().receipt.is_none()));
    assert_eq!(desk.size(), size);
    let answer = desk.ledger().submit(caller("maker"), work, Terms::PLAIN).await;
    assert!(matches!(answer, Answer::Items(_)));
}
