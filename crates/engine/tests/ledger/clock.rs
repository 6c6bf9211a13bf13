//! A clock that is wrong gets into no log, and an operator who says that it is right is believed.

use crate::support::*;
use bergulir_domain::PrincipalId;
use bergulir_engine::clock::Clock;
use bergulir_engine::{
    LedgerOptions, NodeOptions, ReadRefusal, Refusal, Status, accept_clock, clock_was_taken,
};
use std::path::Path;
use std::time::{Duration, Instant};

const DAY: i64 = 86_400_000_000;

async fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(60), "it did not come to that");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn accept(folder: &Path, clock: &dyn Clock) {
    accept_clock(folder, PrincipalId::new("operator-1").unwrap(), clock).unwrap();
    until(|| clock_was_taken(folder)).await;
}

/// A command is refused because of the clock, and says so.
async fn refused(desk: &Desk, reference: &str) {
    let refused = desk.post("maker", allocate(1, reference)).await.unwrap_err();
    let Refusal::ReadOnly { why } = refused else { panic!("{refused}") };
    assert!(why.starts_with("CLOCK_SUSPECT") && why.contains("bergulir clock accept"), "{why}");
    assert!(matches!(&*desk.ledger().status().borrow(), Status::ClockSuspect { .. }));
}

fn serves(desk: &Desk) -> bool {
    *desk.ledger().status().borrow() == Status::Serving
}

#[tokio::test]
async fn a_clock_that_leapt_stops_writes_and_shows_until_it_is_right_again() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    desk.clock.step(600);
    refused(&desk, "A1").await;
    // Reads go on; but not about an instant that may lie in the future.
    desk.ledger().read(None, |_, _| ()).await.unwrap();
    let instant = bergulir_domain::Timestamp::from_micros(desk.clock.micros() - 1);
    let asked = desk.ledger().position_at(instant).await;
    assert!(matches!(asked, Err(ReadRefusal::NotFinal)), "{asked:?}");

    desk.clock.step(-600);
    until(|| serves(&desk)).await;
    desk.post("maker", allocate(1, "A2")).await.unwrap();
    // Nobody has to write for it to show.
    desk.clock.step(600);
    until(|| !serves(&desk)).await;
    desk.stop().await;
}

#[tokio::test]
async fn a_leap_that_an_operator_confirms_is_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    desk.clock.step(600);
    refused(&desk, "A1").await;
    // What was said at another time does not count.
    accept(folder.path(), &TestClock::at(desk.clock.micros() - 301_000_000)).await;
    refused(&desk, "A2").await;
    std::fs::write(folder.path().join("clock-accepted"), "nonsense").unwrap();
    until(|| clock_was_taken(folder.path())).await;
    refused(&desk, "A3").await;

    accept(folder.path(), desk.clock.as_ref()).await;
    until(|| serves(&desk)).await;
    let accepted = desk.post("maker", allocate(1, "A4")).await.unwrap();
    assert_eq!(accepted.receipt.unwrap().recorded_at.as_micros(), desk.clock.micros());
    desk.stop().await;
}

#[tokio::test]
async fn a_start_after_a_long_rest_waits_for_an_operator() {
    let folder = tempfile::tempdir().unwrap();
    Desk::pilot(folder.path(), never()).await.stop().await;
    let rested = NINE + 40 * DAY;

    let desk = Desk::at_time(folder.path(), never(), rested);
    desk.skip_ids(100);
    assert!(!serves(&desk), "it shows before anybody writes");
    refused(&desk, "A1").await;
    let request = bergulir_engine::Request { request_id: id(7_777), command: open_ledger("other") };
    let terms = bergulir_engine::Terms::PLAIN;
    let other = "other".parse().unwrap();
    let answer = desk.node.create(other, caller("operator"), request, terms).await;
    let no_time = |refusal: &Refusal| matches!(refusal, Refusal::ReadOnly { .. });
    let bergulir_engine::Answer::Refused { refusal, .. } = answer else { panic!("{answer:?}") };
    assert!(no_time(&refusal), "{refusal}");
    accept(folder.path(), desk.clock.as_ref()).await;
    until(|| serves(&desk)).await;
    desk.stop().await;

    // Nothing was recorded: the next start doubts again, unless offices rest that long here.
    let desk = Desk::at_time(folder.path(), never(), rested);
    assert!(!serves(&desk));
    desk.stop().await;
    let longest_rest = Duration::from_secs(50 * 86_400);
    let options = NodeOptions { longest_rest, ..NodeOptions::from(LedgerOptions::default()) };
    let desk = Desk::at_time(folder.path(), options, rested);
    assert!(serves(&desk));
    desk.skip_ids(100);
    desk.post("maker", allocate(1, "A1")).await.unwrap();
}
