//! Where logs are looked for.

use std::fs;
use std::path::Path;

use bergulir_audit::{CannotTell, Finding, Options, Verdict, WhyPassedOver, verify};

use crate::commands::id;
use crate::files::{Log, SMALL, write};
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

    let reports = verify(data.path(), &at_once(), &mut |_| {}).unwrap().ledgers;
    let names = reports.iter().map(|r| r.ledger.unwrap().to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["bandung", "tangerang"]);
    assert!(reports.iter().all(|r| r.finding == Finding::Valid));

    let one = verify(data.path(), &of("tangerang"), &mut |_| {}).unwrap().ledgers;
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
    let reports = verify(&log, &of("tangerang"), &mut |_| {}).unwrap().ledgers;
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

#[test]
fn what_is_no_ledger_is_named_and_has_no_part_in_the_verdict() {
    let data = tempfile::tempdir().unwrap();
    let ledgers = data.path().join("ledgers");
    fs::create_dir_all(ledgers.join("Old_Backup/log")).unwrap();
    fs::create_dir_all(ledgers.join("bekasi")).unwrap();
    fs::write(ledgers.join("bogor"), "").unwrap();
    fs::create_dir_all(ledgers.join("cilegon/log")).unwrap();
    // Killed inside the write of the first record.
    let mut torn = Log::of(&small().drafts[..1], SMALL).files();
    torn[0].bytes.truncate(100);
    write(&ledgers.join("depok/log"), &torn);
    let all = [
        ("Old_Backup", WhyPassedOver::Name),
        ("bekasi", WhyPassedOver::NoLog),
        ("bogor", WhyPassedOver::NoFolder),
        ("cilegon", WhyPassedOver::NoRecord),
        ("depok", WhyPassedOver::NoRecord),
    ]
    .map(|(name, why)| (ledgers.join(name), why));

    let Err(CannotTell::NoLedger { passed_over, .. }) =
        verify(data.path(), &at_once(), &mut |_| {})
    else {
        panic!("there is no ledger");
    };
    assert_eq!(passed_over.len(), all.len());

    Log::of(&other().drafts, SMALL).write(&ledgers.join("bandung/log"));
    let found = verify(data.path(), &at_once(), &mut |_| {}).unwrap();
    assert_eq!(found.ledgers.len(), 1);
    assert_eq!(found.ledgers[0].finding, Finding::Valid);
    let passed_over = found.passed_over.into_iter().map(|one| (one.path, one.why));
    assert_eq!(passed_over.collect::<Vec<_>>(), all);

    // Asked for by its name, or given itself, there is nothing else that could be told.
    let wanted = verify(data.path(), &of("cilegon"), &mut |_| {});
    assert!(
        matches!(wanted, Err(CannotTell::NoLedger { passed_over, .. }) if passed_over.len() == 1)
    );
    assert_eq!(report(&ledgers.join("cilegon")).finding, Finding::Empty);
}

#[test]
fn an_index_without_records_shows_that_they_are_missing() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("ledgers/tangerang");
    let log = folder.join("log");
    fs::create_dir_all(folder.join("index")).unwrap();
    let missing = |path: &Path| assert_eq!(invalid(&report(path)), (0, "LOG_MISSING"));
    missing(data.path());
    fs::create_dir_all(&log).unwrap();
    missing(data.path());
    missing(&folder);
    let mut files = Log::of(&small().drafts[..1], SMALL).files();
    files[0].bytes.truncate(100);
    write(&log, &files);
    missing(data.path());
    files[0].bytes.truncate(64);
    write(&log, &files);
    missing(data.path());
    Log::of(&other().drafts, SMALL).write(&log);
    assert_eq!(invalid(&report(data.path())), (0, "OTHER_LEDGER"));
}

#[cfg(unix)]
#[test]
fn a_log_that_cannot_be_reached_is_not_passed_over() {
    let data = tempfile::tempdir().unwrap();
    let ledgers = data.path().join("ledgers");
    Log::of(&other().drafts, SMALL).write(&ledgers.join("bandung/log"));
    fs::create_dir_all(ledgers.join("tangerang")).unwrap();
    let nowhere = data.path().join("not-mounted");
    std::os::unix::fs::symlink(nowhere, ledgers.join("tangerang/log")).unwrap();
    let found = verify(data.path(), &at_once(), &mut |_| {}).unwrap();
    assert_eq!((found.ledgers.len(), found.passed_over), (2, Vec::new()));
    assert!(matches!(found.ledgers[1].finding, Finding::Unreadable { .. }));
}

#[test]
fn a_segment_that_cannot_be_read_is_not_the_end_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let files = Log::of(&small().drafts, SMALL).files();
    write(folder.path(), &files[..1]);
    fs::create_dir(folder.path().join(&files[1].name)).unwrap();
    let finding = report(folder.path()).finding;
    assert!(matches!(finding, Finding::Unreadable { .. }), "{finding:?}");
}

#[test]
fn what_is_not_part_of_a_log_is_named_and_what_recovery_leaves_is_not() {
    let folder = tempfile::tempdir().unwrap();
    Log::of(&small().drafts, SMALL).write(folder.path());
    let left_over = ["cut-00000000000000000003.bin", "00000000000000000099.seg.new"];
    let others = ["cut-corner.txt", "letter.txt", "tail.bin"];
    for name in left_over.iter().chain(&others) {
        fs::write(folder.path().join(name), "by the way").unwrap();
    }
    let report = report(folder.path());
    assert_eq!(report.finding, Finding::Valid);
    assert_eq!(report.not_read, others);
}
