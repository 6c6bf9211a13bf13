//! What is found, and what is not, where only the chain is verified.

use bergulir_audit::{Checked, Finding, LedgerReport, NotChecked, Totals};
use bergulir_chain::Record;
use bergulir_domain::Event;
use bergulir_domain::command::Command;

use crate::commands::{disburse, rp};
use crate::files::{Log, SMALL};
use crate::ledger::{Draft, Ledger};
use crate::programme::{LOAN, cooperative, loan, opened, small};
use crate::{chain_report, invalid, report};

/// What is said about these records by their chain, and by all.
fn reports(drafts: &[Draft]) -> [LedgerReport; 2] {
    let folder = tempfile::tempdir().unwrap();
    Log::of(drafts, SMALL).write(folder.path());
    [chain_report(folder.path()), report(folder.path())]
}

/// Found by deciding again, and not by the chain, which says that this was not looked at.
#[track_caller]
fn escapes(ledger: &Ledger, code: &str) {
    let [chain, rules] = reports(&ledger.drafts);
    assert_eq!(invalid(&rules).1, code);
    assert_eq!(chain.finding, Finding::Valid);
    assert_eq!(chain.records.get(), ledger.size());
    assert!(chain.not_checked.contains(&NotChecked::Rules));
}

#[test]
fn a_right_chain_is_found_right_and_no_more_is_said() {
    let ledger = small();
    let [chain, rules] = reports(&ledger.drafts);
    assert_eq!((&chain.finding, &rules.finding), (&Finding::Valid, &Finding::Valid));
    assert_eq!((chain.ledger, &chain.origin), (rules.ledger, &rules.origin));
    assert_eq!((chain.records, chain.head_hash), (rules.records, rules.head_hash));
    assert_eq!((chain.tree_size, chain.root_hash), (rules.tree_size, rules.root_hash));
    assert_eq!(chain.first_recorded_at, rules.first_recorded_at);
    assert_eq!(chain.last_recorded_at, rules.last_recorded_at);
    let records = ledger.size();
    assert_eq!(chain.checked, [Checked::Chain { records }]);
    assert!(rules.checked.contains(&Checked::Decisions { records }));
    assert!(!rules.not_checked.contains(&NotChecked::Rules));
    assert_eq!((chain.has_totals(), rules.has_totals()), (false, true));
    assert_eq!((chain.totals, chain.seals), (Totals::default(), 0));
    assert!(chain.events.is_empty() && chain.funds.is_empty());
}

#[test]
fn a_broken_rule_escapes_the_chain() {
    let mut ledger = opened(1_000_000_000);
    cooperative(&mut ledger, 1);
    ledger.submit("maker", &crate::commands::open_account("pilot", 1));
    loan(&mut ledger, "l1", 1);
    let Command::Disburse(too_much) = disburse("l1", rp(LOAN + 1), "d1") else {
        unreachable!("it disburses");
    };
    ledger.forge("maker", &Event::Disbursed(too_much));
    escapes(&ledger, "RULE_BROKEN");
}

#[test]
fn a_request_id_used_twice_escapes_the_chain() {
    let mut ledger = small();
    ledger.drafts[21].request_id = ledger.drafts[20].request_id;
    escapes(&ledger, "REQUEST_ID_USED");
}

#[test]
fn a_forged_seal_escapes_the_chain() {
    let mut ledger = small();
    let mut seal = ledger.seal();
    seal.balance_root[0] ^= 1;
    ledger.append_seal(seal);
    escapes(&ledger, "SEAL_ROOT_FORGED");
}

#[test]
fn an_event_that_nobody_can_read_escapes_the_chain() {
    let mut ledger = small();
    ledger.drafts[25].event = vec![0xff];
    escapes(&ledger, "EVENT_UNREADABLE");
    // Unless it says whose log it is.
    let mut ledger = small();
    ledger.drafts[0].event.truncate(9);
    let [chain, rules] = reports(&ledger.drafts);
    assert_eq!(invalid(&chain), (0, "EVENT_UNREADABLE"));
    assert_eq!(invalid(&rules), (0, "EVENT_UNREADABLE"));
}

#[test]
fn what_the_chain_tells_is_found() {
    let change = |change: fn(&mut [Draft])| {
        let mut drafts = small().drafts;
        change(&mut drafts);
        let [chain, rules] = reports(&drafts);
        assert_eq!(invalid(&chain), invalid(&rules));
        invalid(&chain)
    };
    let found = change(|drafts| drafts[30].recorded_at = drafts[29].recorded_at - 1);
    assert_eq!(found, (30, "TIME_BACKWARDS"));
    let batch = small().drafts.iter().position(|draft| draft.following == 3).unwrap() as u64;
    let found = change(|drafts| {
        let batch = drafts.iter().position(|draft| draft.following == 3).unwrap();
        drafts[batch + 1].following = 1;
    });
    assert_eq!(found, (batch + 1, "BATCH_BROKEN"));

    let mut log = Log::of(&small().drafts, SMALL);
    log.remove(20);
    let folder = tempfile::tempdir().unwrap();
    log.write(folder.path());
    assert_eq!(invalid(&chain_report(folder.path())), (20, "RECORD_MISPLACED"));
}

#[test]
fn a_frame_that_ends_inside_a_batch_is_found_by_the_chain() {
    let drafts = small().drafts;
    let mut log = Log::of(&drafts, SMALL);
    let batch = drafts.iter().position(|draft| draft.following == 3).unwrap() as u64;
    let has_it = |frame: &Vec<Vec<u8>>| {
        frame.iter().any(|bytes| Record::parse(bytes).unwrap().position.get() == batch)
    };
    let frames = log.segments.iter_mut().find(|frames| frames.iter().any(has_it)).unwrap();
    let place = frames.iter().position(has_it).unwrap();
    let rest = frames[place].pop().unwrap();
    let at = Record::parse(&rest).unwrap().position.get();
    frames.insert(place + 1, vec![rest]);
    let folder = tempfile::tempdir().unwrap();
    log.write(folder.path());
    for report in [chain_report(folder.path()), report(folder.path())] {
        assert_eq!(invalid(&report), (at, "BATCH_BROKEN"));
    }
}
