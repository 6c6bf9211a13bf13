//! An answer as of an instant stays true across a restart, whatever the clock says then.

use crate::support::*;
use bergulir_domain::Timestamp;
use bergulir_engine::{NodeOptions, ReadRefusal, Status};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// So far ahead of the clock the horizon is written.
const AHEAD: i64 = 2_000_000;

fn file(folder: &Path) -> PathBuf {
    folder.join("ledgers/pilot/horizon")
}

/// What the file of a ledger says, in microseconds; `None` if there is none.
fn kept(folder: &Path) -> Option<i64> {
    let text = std::fs::read_to_string(file(folder)).ok()?;
    text.lines().nth(1)?.strip_prefix("before ")?.parse().ok()
}

fn just_before(desk: &Desk) -> Timestamp {
    Timestamp::from_micros(desk.clock.micros() - 1)
}

/// A minute after its last record, a ledger is asked as of now. Gives the instant and the answer.
async fn asked(desk: &Desk) -> (Timestamp, Option<bergulir_chain::Position>) {
    desk.clock.pass(Duration::from_secs(60));
    let instant = just_before(desk);
    (instant, desk.ledger().position_at(instant).await.unwrap())
}

/// Posts something, each with another number; gives its time.
async fn post(desk: &Desk, number: u64) -> i64 {
    desk.skip_ids(1_000 * number);
    let accepted = desk.post("maker", allocate(1, &format!("A{number}"))).await.unwrap();
    accepted.receipt.unwrap().recorded_at.as_micros()
}

#[tokio::test]
async fn an_answer_as_of_an_instant_stays_true_if_the_clock_is_set_back_across_a_restart() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk::pilot(folder.path(), never()).await;
        let (instant, answer) = asked(&desk).await;
        let set_back = desk.clock.micros() - 200_000_000;
        if cleanly {
            desk.stop().await;
        } else {
            drop(desk);
        }
        let desk = Desk::at_time(folder.path(), never(), set_back);
        let recorded_at = post(&desk, 1).await;
        assert!(recorded_at > instant.as_micros(), "cleanly: {cleanly}");
        desk.clock.pass(Duration::from_secs(300));
        assert_eq!(desk.ledger().position_at(instant).await.unwrap(), answer);
    }
}

#[tokio::test]
async fn after_a_clean_stop_no_stamp_is_ahead_of_the_clock_and_after_a_crash_hardly() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    asked(&desk).await;
    let now = desk.clock.micros();
    desk.stop().await;

    let desk = Desk::at_time(folder.path(), never(), now + 1);
    assert_eq!(post(&desk, 1).await, now + 1);
    asked(&desk).await;
    let now = desk.clock.micros();
    drop(desk);

    let desk = Desk::at_time(folder.path(), never(), now + 1);
    assert_eq!(post(&desk, 2).await, now + AHEAD);
    desk.clock.pass(Duration::from_micros(AHEAD.unsigned_abs()));
    assert_eq!(post(&desk, 3).await, now + 1 + AHEAD);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_questions_share_one_sync_and_it_is_renewed_before_they_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Some(tokio::runtime::Handle::current());
    let desk = Desk::pilot(folder.path(), NodeOptions { runtime, ..never().into() }).await;
    assert_eq!(kept(folder.path()), None, "nobody asked");
    asked(&desk).await;
    let first = desk.clock.micros() + AHEAD;
    assert_eq!(kept(folder.path()), Some(first));
    for _ in 0..9 {
        desk.clock.pass(Duration::from_millis(100));
        desk.ledger().position_at(just_before(&desk)).await.unwrap();
        assert_eq!(kept(folder.path()), Some(first));
    }
    desk.clock.pass(Duration::from_millis(101));
    desk.ledger().position_at(just_before(&desk)).await.unwrap();
    let renewed = desk.clock.micros() + AHEAD;
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while kept(folder.path()) != Some(renewed) {
        assert!(std::time::Instant::now() < patience, "it is not renewed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // What a later record has settled needs none.
    desk.clock.pass(Duration::from_secs(10));
    let instant = just_before(&desk);
    post(&desk, 1).await;
    desk.ledger().position_at(instant).await.unwrap();
    assert_eq!(kept(folder.path()), Some(renewed));
}

#[tokio::test]
async fn what_cannot_be_noted_down_is_not_answered_and_a_clock_that_is_not_believed_notes_nothing()
{
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    desk.clock.pass(Duration::from_secs(60));
    let in_the_way = folder.path().join("ledgers/pilot/horizon.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = desk.ledger().position_at(just_before(&desk)).await;
    assert!(matches!(refused, Err(ReadRefusal::NotNoted { .. })), "{refused:?}");
    post(&desk, 1).await;
    std::fs::remove_dir(&in_the_way).unwrap();
    asked(&desk).await;

    let noted = kept(folder.path());
    desk.clock.step(600);
    let refused = desk.ledger().position_at(just_before(&desk)).await;
    assert!(matches!(refused, Err(ReadRefusal::NotFinal)), "{refused:?}");
    assert_eq!(kept(folder.path()), noted);
}

#[tokio::test]
async fn a_damaged_horizon_stops_writes_until_an_operator_takes_it_away() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    asked(&desk).await;
    let now = desk.clock.micros();
    desk.stop().await;
    let whole = std::fs::read(file(folder.path())).unwrap();
    let mut flipped = whole.clone();
    flipped[30] ^= 1;
    for damaged in [&b""[..], &whole[..20], &flipped, &[0xff; 300]] {
        std::fs::write(file(folder.path()), damaged).unwrap();
        let desk = Desk::at_time(folder.path(), never(), now);
        let status = desk.ledger().status().borrow().clone();
        let Status::ReadOnly { why } = status else { panic!("{damaged:?}: {status:?}") };
        assert!(why.starts_with("HORIZON_DAMAGED") && why.contains("remove the file"), "{why}");
        desk.ledger().read(None, |_, _| ()).await.unwrap();
    }
    std::fs::remove_file(file(folder.path())).unwrap();
    post(&Desk::at_time(folder.path(), never(), now), 1).await;
}
