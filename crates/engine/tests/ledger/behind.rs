//! An index that is not where the log is: behind it after a crash, of another history, or ahead of
//! a log that lost records.

use crate::support::*;
use bergulir_chain::Position;
use bergulir_domain::Command;
use bergulir_engine::{Answer, OpenError, Owner, Request, Slot, Status, Terms, Work};
use std::path::Path;
use std::time::Duration;

fn index(folder: &Path) -> std::path::PathBuf {
    folder.join("ledgers/pilot/index")
}

/// Starts a ledger whose index a crash left at the disbursement `T0`, with `after` only in the log.
async fn crashed(after: impl AsyncFnOnce(&Desk)) -> (tempfile::TempDir, Desk) {
    let folder = tempfile::tempdir().unwrap();
    let aside = folder.path().join("aside");
    let desk = Desk::pilot(folder.path(), never()).await;
    desk.lend("l", 100_000_000).await;
    desk.post("maker", disburse("l", 1_000_000, "T0")).await.unwrap();
    desk.stop().await;
    copy(&index(folder.path()), &aside);
    let desk = Desk::at(folder.path(), never());
    desk.skip_ids(1_000);
    after(&desk).await;
    desk.stop().await;
    std::fs::remove_dir_all(index(folder.path())).unwrap();
    copy(&aside, &index(folder.path()));
    let desk = Desk::at(folder.path(), never());
    (folder, desk)
}

#[tokio::test]
async fn a_reversal_of_the_last_record_that_the_index_has() {
    let (_folder, desk) = crashed(async |desk| {
        desk.post("maker", propose_reversal(desk.size() - 1)).await.unwrap();
    })
    .await;
    desk.ledger();
}

#[tokio::test]
async fn a_reversal_of_a_record_that_the_index_lacks() {
    let (_folder, desk) = crashed(async |desk| {
        desk.post("maker", disburse("l", 1_000_000, "T1")).await.unwrap();
        let tranche = desk.size() - 1;
        desk.post("maker", repay("l", 5, 0, "R1")).await.unwrap();
        desk.post("maker", propose_reversal(tranche)).await.unwrap();
    })
    .await;
    desk.ledger();
}

#[tokio::test]
async fn a_bank_reference_that_was_freed_and_used_again_in_what_the_index_lacks() {
    let (_folder, desk) = crashed(async |desk| {
        desk.post("maker", disburse("l", 1_000_000, "T1")).await.unwrap();
        desk.post("maker", propose_reversal(desk.size() - 1)).await.unwrap();
        desk.post("checker", approve_reversal(desk.size() - 1)).await.unwrap();
        desk.post("maker", disburse("l", 1_000_000, "T1")).await.unwrap();
    })
    .await;
    desk.ledger();
    desk.skip_ids(2_000);
    assert!(desk.post("maker", disburse("l", 1, "T1")).await.is_err());
    assert!(desk.post("maker", disburse("l", 1, "T0")).await.is_err());
}

#[tokio::test]
async fn an_index_of_another_history_of_the_ledger_is_not_taken_on() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let desk = Desk::pilot(here.path(), never()).await;
    desk.lend("l", 100_000_000).await;
    desk.stop().await;
    copy(here.path(), there.path());
    for (folder, count, name) in [(&here, 10, "A"), (&there, 20, "B")] {
        let desk = Desk::at(folder.path(), never());
        for n in 0..count {
            let tranche = disburse("l", 1_000, &format!("{name}{n}"));
            desk.send("maker", id(7_000 + n), tranche, Terms::PLAIN).await.unwrap();
        }
        desk.stop().await;
    }
    std::fs::remove_dir_all(index(there.path())).unwrap();
    copy(&index(here.path()), &index(there.path()));
    let desk = Desk::at(there.path(), never());
    let again = desk.send("maker", id(7_001), disburse("l", 1_000, "B1"), Terms::PLAIN).await;
    assert!(again.unwrap().receipt.unwrap().duplicate);
}

/// The error that keeps the ledger from being opened.
fn why_broken(desk: &Desk) -> String {
    match desk.node.ledger("pilot".parse().unwrap()) {
        Some(Slot::Broken(error)) => {
            let missing = |error: &OpenError| {
                matches!(error, OpenError::RecordsMissing { .. } | OpenError::LogMissing { .. })
            };
            assert!(missing(&error), "{error}");
            error.to_string()
        }
        Some(Slot::Open(_)) => panic!("it was opened"),
        None => panic!("it is not known"),
    }
}

#[tokio::test]
async fn a_log_that_lost_acknowledged_records_is_not_written_on() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let segment = folder.path().join("ledgers/pilot/log/00000000000000000000.seg");
    let shorter = std::fs::read(&segment).unwrap();
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    desk.stop().await;
    let whole = std::fs::read(&segment).unwrap();

    std::fs::write(&segment, &shorter).unwrap();
    let desk = Desk::at(folder.path(), never());
    assert!(why_broken(&desk).contains("records are missing"));
    let request = Request { request_id: id(9_000), command: open_ledger("pilot") };
    let ledger = "pilot".parse().unwrap();
    let answer = desk.node.create(ledger, caller("operator"), request, Terms::PLAIN).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    desk.stop().await;

    std::fs::remove_file(&segment).unwrap();
    let desk = Desk::at(folder.path(), never());
    why_broken(&desk);
    desk.stop().await;

    std::fs::write(&segment, whole).unwrap();
    let desk = Desk::at(folder.path(), never());
    desk.ledger();
    desk.stop().await;

    // Said to be lost for good: it can be read, and gone on with if no checkpoint covers them.
    std::fs::write(&segment, shorter).unwrap();
    std::fs::remove_dir_all(index(folder.path())).unwrap();
    let desk = Desk::at(folder.path(), never());
    desk.skip_ids(1_000);
    assert!(matches!(&*desk.ledger().status().borrow(), Status::ReadOnly { .. }));
    desk.stop().await;
    std::fs::remove_file(folder.path().join("ledgers/pilot/checkpoint")).unwrap();
    let desk = Desk::at(folder.path(), never());
    desk.skip_ids(1_000);
    desk.post("maker", allocate(1, "A2")).await.unwrap();
}

#[tokio::test]
async fn a_creation_whose_outcome_was_unknown_answers_its_retry() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Desk::at(here.path(), never());
    let request = Request { request_id: id(77), command: open_ledger("pilot") };
    let pilot = "pilot".parse().unwrap();
    first.node.create(pilot, caller("operator"), request.clone(), Terms::PLAIN).await;
    first.stop().await;
    // What a failed sync leaves: the record is in the file, the ledger is not open.
    let second = Desk::at(there.path(), never());
    let log = |folder: &Path| folder.join("ledgers/pilot/log");
    copy(&log(here.path()), &log(there.path()));
    let answer = second.node.create(pilot, caller("operator"), request, Terms::PLAIN).await;
    let Answer::Items(items) = answer else { panic!("{answer:?}") };
    assert!(items[0].as_ref().unwrap().receipt.unwrap().duplicate);
}

/// Whether the balances as of the head are those of now, and the trail is the account's own.
async fn as_of_the_head_is_now(desk: &Desk) {
    let ledger = desk.ledger();
    let look = |state: &bergulir_domain::State, _| {
        let fund = state.funds().find(&"f".parse().unwrap()).unwrap();
        let account = state.accounts().find(&(fund, "a1".parse().unwrap())).unwrap();
        let balances = state.accounts().get(account).balances();
        (account, balances, fund, state.funds().get(fund).balances)
    };
    let (account, balances, fund, fund_balances) = ledger.read(None, look).await.unwrap();
    let head = ledger.head().size.last().unwrap();
    let at = async |owner| ledger.balances_at(owner, head).await.unwrap().unwrap().1.balances;
    assert_eq!(balances.pending, 0);
    assert_eq!(at(Owner::Account(account)).await.account, Some(balances));
    assert_eq!(at(Owner::Fund(fund)).await.fund, Some(fund_balances));
    let all = Position::new(0)..Position::new(u64::MAX);
    let direction = bergulir_engine::Direction::OldestFirst;
    let trail = ledger.trail(&[Owner::Account(account)], all, 100, direction).await.unwrap();
    assert_eq!(trail.len(), 2, "opened, proposed");
}

#[tokio::test]
async fn balances_as_of_the_head_are_those_of_now_after_a_lapse_too() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    desk.post("maker", propose_loan("l", 1, 100_000_000)).await.unwrap();
    desk.clock.pass(Duration::from_secs(100 * 86_400));
    for command in cooperative(2) {
        desk.post("maker", command).await.unwrap();
    }
    as_of_the_head_is_now(&desk).await;
    let now = desk.clock.micros();
    desk.stop().await;
    std::fs::remove_dir_all(index(folder.path())).unwrap();
    as_of_the_head_is_now(&Desk::at_time(folder.path(), never(), now)).await;
}

#[tokio::test]
async fn a_large_atomic_batch_costs_what_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let batch = |from: u64| {
        let command = |n: u64| allocate(1, &format!("L{}", from + n));
        (0..3_000)
            .map(|n| Request { request_id: id(100_000 + from + n), command: command(n) })
            .collect::<Vec<Request>>()
    };
    for round in 0..3 {
        let work = Work::Atomic(batch(round * 3_000));
        let answer = desk.ledger().submit(caller("maker"), work, Terms::PLAIN).await;
        assert!(matches!(answer, Answer::Items(_)), "{answer:?}");
    }
    let refused = Work::Atomic(
        batch(9_000)
            .into_iter()
            .chain([Request { request_id: id(1), command: Command::clone(&open_fund()) }])
            .collect(),
    );
    let ledger = desk.ledger();
    let fund = |state: &bergulir_domain::State, _| state.funds().iter().next().unwrap().1.balances;
    let before = ledger.read(None, fund).await.unwrap();
    let answer = ledger.submit(caller("maker"), refused, Terms::PLAIN).await;
    assert!(matches!(answer, Answer::Refused { .. }));
    desk.post("maker", allocate(2, "one more")).await.unwrap();
    let after = ledger.read(None, fund).await.unwrap();
    assert_eq!(after.available(), before.available() + 200);
}
