//! What is right is found right, with the right sums.

use bergulir_audit::{Finding, Options, Stage, Totals, verify};
use bergulir_chain::{Hash, record};

use crate::files::{Layout, Log, SMALL};
use crate::ledger::chained;
use crate::programme::{programme, small};
use crate::{at_once, report};

const RP: i64 = 100;

#[test]
fn the_pilot_adds_up_to_its_known_figures() {
    let ledger = programme(58);
    let folder = tempfile::tempdir().unwrap();
    Log::of(&ledger.drafts, SMALL).write(folder.path());
    let report = report(folder.path());
    assert_eq!(report.finding, Finding::Valid);
    let expected = Totals {
        cooperatives: 58,
        accounts: 58,
        loans: 63,
        allocated: 5_800_000_000 * RP,
        disbursed: 6_300_000_000 * RP,
        granted: 0,
        principal_repaid: 527_272_722 * RP,
        interest_received: 79_090_830 * RP,
        late_fees_received: 0,
        available: 27_272_722 * RP,
        committed: 0,
        outstanding: 5_772_727_278 * RP,
        written_off: 0,
        recovered: 0,
        cash: (27_272_722 + 79_090_830) * RP,
    };
    assert_eq!(report.totals, expected);
    assert_eq!(report.seals, 1);
    assert_eq!(report.events["Repaid"], 3 * 58 + 1);
    assert_eq!(report.events["Reversed"], 1);
    assert_eq!(report.events.values().sum::<u64>(), ledger.size());
}

#[test]
fn every_kind_of_money_event_is_verified_in_any_layout() {
    let ledger = small();
    let records = chained(&ledger.drafts);
    for (records_in_frame, frames_in_segment) in [(1, 1), (3, 5), (7, 2), (1000, 1)] {
        let layout = Layout { records_in_frame, frames_in_segment };
        let folder = tempfile::tempdir().unwrap();
        Log::of(&ledger.drafts, layout).write(folder.path());
        let report = report(folder.path());
        assert_eq!(report.finding, Finding::Valid);
        assert_eq!(report.records.get(), ledger.size());
        assert_eq!(report.head_hash, record::hash(records.last().unwrap()));
        assert_eq!(report.seals, 2);
        assert_eq!(report.ledger.unwrap().as_str(), "tangerang");
        assert_eq!(report.origin.unwrap(), "ledger.example.go.id/tangerang");
        let first = &ledger.drafts[0];
        assert_eq!(report.first_recorded_at.unwrap().as_micros(), first.recorded_at);
        assert_eq!(report.last_recorded_at.unwrap().as_micros(), ledger.clock.as_micros());
        let totals = report.totals;
        assert_eq!(totals.loans, 2);
        assert_eq!(totals.allocated, 1_051_000_000 * RP);
        assert_eq!(totals.disbursed, 160_000_000 * RP);
        assert_eq!(totals.granted, 20_000_000 * RP);
        assert_eq!(totals.principal_repaid, 6_060_607 * RP);
        assert_eq!(totals.interest_received, 909_090 * RP);
        assert_eq!(totals.late_fees_received, 10_000 * RP);
        assert_eq!(totals.outstanding, (160_000_000 - 6_060_607) * RP);
        assert_eq!(report.funds.len(), 2);
    }
}

#[test]
fn every_prefix_of_whole_frames_is_valid() {
    let ledger = small();
    let one_each = Layout { records_in_frame: 1, frames_in_segment: 4 };
    let mut log = Log::of(&ledger.drafts, one_each);
    while log.segments.iter().flatten().count() > 1 {
        let frames = log.segments.last_mut().unwrap();
        frames.pop();
        if frames.is_empty() {
            log.segments.pop();
        }
        let folder = tempfile::tempdir().unwrap();
        log.write(folder.path());
        assert_eq!(report(folder.path()).finding, Finding::Valid);
    }
}

#[test]
fn progress_goes_to_the_end_of_both_stages() {
    let ledger = small();
    let folder = tempfile::tempdir().unwrap();
    Log::of(&ledger.drafts, SMALL).write(folder.path());
    let mut last = [None; 2];
    verify(folder.path(), &at_once(), &mut |progress| {
        assert!(progress.done <= progress.total);
        let stage = usize::from(progress.stage == Stage::Verify);
        last[stage] = Some((progress.done, progress.total));
    })
    .unwrap();
    let [survey, verify] = last.map(Option::unwrap);
    assert_eq!(survey.0, survey.1);
    assert_eq!(verify, (ledger.size(), ledger.size()));
}

#[test]
fn the_end_is_not_waited_for_where_it_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    Log::of(&small().drafts, SMALL).write(folder.path());
    let began = std::time::Instant::now();
    let options = Options { patience: std::time::Duration::from_secs(3600), ..Options::default() };
    let reports = verify(folder.path(), &options, &mut |_| {}).unwrap().ledgers;
    assert_eq!(reports[0].finding, Finding::Valid);
    assert_ne!(reports[0].head_hash, Hash::ZERO);
    assert!(began.elapsed().as_secs() < 60);
}
