//! The verifier against logs that these tests write themselves: right ones, damaged ones, and
//! forged ones as an insider with the files would make them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, also where it calls a function beside it"
)]

mod commands;
mod files;
mod giving_up;
mod ledger;
mod programme;

mod chain_only;
mod damage;
mod endings;
mod forgery;
mod golden;
mod places;
mod rules_2;
mod rules_3;
mod seals;
mod valid;

use std::path::Path;
use std::time::Duration;

use bergulir_audit::{Depth, Finding, LedgerReport, Options, verify};

/// Options that do not wait for a writer that is not there.
fn at_once() -> Options {
    Options { patience: Duration::ZERO, ..Options::default() }
}

/// The report on the one log at a path.
#[track_caller]
fn report(path: &Path) -> LedgerReport {
    report_with(path, &at_once())
}

/// The report on its chain alone.
#[track_caller]
fn chain_report(path: &Path) -> LedgerReport {
    report_with(path, &Options { depth: Depth::ChainOnly, ..at_once() })
}

#[track_caller]
fn report_with(path: &Path, options: &Options) -> LedgerReport {
    let mut found = verify(path, options, &mut |_| {}).unwrap();
    assert_eq!((found.ledgers.len(), found.passed_over), (1, Vec::new()));
    found.ledgers.remove(0)
}

/// The first bad position and the code of the reason.
#[track_caller]
fn invalid(report: &LedgerReport) -> (u64, &'static str) {
    match &report.finding {
        Finding::Invalid { position, reason, .. } => (position.get(), reason.code()),
        other => panic!("not found to be invalid: {other:?}"),
    }
}
