//! Where logs are looked for.

use bergulir_audit::{CannotTell, Finding, Options, Verdict, verify};

use crate::commands::id;
use crate::files::{Log, SMALL};
use crate::ledger::Ledger;
use crate::programme::small;
use crate::{at_once, invalid, report};

fn of(ledger: &str) -> Options {
    Options { ledger: Some(id(ledger)), ..at_once() }
}

fn other() -> Ledger {
    let mut ledger = Ledger::empty();
    ledger.submit("maker", &crate::commands::open_ledger("bandung"));
    ledger
}

#[test]
fn a_data_directory_a_ledgers_folder_and_a_log_are_found() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("ledgers/tangerang");
    Log::of(&small().drafts, SMALL).write(&folder.join("log"));
    Log::of(&other().drafts, SMALL).write(&data.path().join("ledgers/bandung/log"));

    let reports = verify(data.path(), &at_once(), &mut |_| {}).unwrap();
    let names = reports.iter().map(|r| r.ledger.unwrap().to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["bandung", "tangerang"]);
    assert!(reports.iter().all(|r| r.finding == Finding::Valid));

    let one = verify(data.path(), &of("tangerang"), &mut |_| {}).unwrap();
    assert_eq!(one.len(), 1);
    assert_eq!(report(&folder).finding, Finding::Valid);
    assert_eq!(report(&folder.join("log")).finding, Finding::Valid);
}

#[test]
fn what_is_not_there_is_said() {
    let data = tempfile::tempdir().unwrap();
    let none = |error| matches!(error, Err(CannotTell::NoLog { .. }));
    assert!(none(verify(data.path(), &at_once(), &mut |_| {})));
    let missing = verify(&data.path().join("x"), &at_once(), &mut |_| {});
    assert!(matches!(missing, Err(CannotTell::Io { .. })));
    Log::of(&other().drafts, SMALL).write(&data.path().join("ledgers/bandung/log"));
    let wanted = verify(data.path(), &of("tangerang"), &mut |_| {});
    assert!(matches!(wanted, Err(CannotTell::NoLedger { .. })));
}

#[test]
fn the_log_of_another_ledger_is_found() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("ledgers/tangerang/log");
    Log::of(&other().drafts, SMALL).write(&log);
    assert_eq!(invalid(&report(data.path())), (0, "OTHER_LEDGER"));
    let reports = verify(&log, &of("tangerang"), &mut |_| {}).unwrap();
    assert_eq!(invalid(&reports[0]), (0, "OTHER_LEDGER"));
    // Nothing says whose a log is that lies alone.
    assert_eq!(report(&log).finding, Finding::Valid);
}

#[test]
fn of_several_findings_the_worst_counts() {
    let worst = [Verdict::CannotTell, Verdict::Invalid, Verdict::Valid];
    assert_eq!(worst.into_iter().max(), Some(Verdict::Invalid));
    assert!(Verdict::CannotTell > Verdict::Valid);
}
