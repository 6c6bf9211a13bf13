//! Records that are well chained and summed, and still not what the ledger would have written.

use bergulir_audit::Finding;
use bergulir_chain::Authentication;
use bergulir_domain::Event;
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::event::{LoanApproved, WrittenOff};
use bergulir_domain::terms::Purpose;

use crate::commands::{
    approve_loan, bank, confirm, day, disburse, event, id, open_account, open_fund, propose_loan,
    register, repay, rp,
};
use crate::files::{Log, SMALL, write};
use crate::ledger::Ledger;
use crate::programme::{LOAN, lent, small};
use crate::{giving_up, invalid, report};

/// What the verifier says about a ledger.
#[track_caller]
fn found(ledger: &Ledger) -> (u64, &'static str, String) {
    let folder = tempfile::tempdir().unwrap();
    Log::of(&ledger.drafts, SMALL).write(folder.path());
    let report = report(folder.path());
    let (position, code) = invalid(&report);
    let Finding::Invalid { reason, .. } = report.finding else {
        unreachable!("it is invalid");
    };
    (position, code, reason.to_string())
}

#[test]
fn a_broken_rule_is_found_though_the_chain_is_right() {
    let disburse = |amount| event(disburse("l1", amount, "d1"));
    for (forged, principal, rule) in [
        (disburse(rp(LOAN + 1)), "maker", "LOAN_LIMIT_EXCEEDED"),
        (event(repay("l1", [1, 0, 0], "r1")), "maker", "NOTHING_DISBURSED"),
        (event(open_account("pilot", 1)), "maker", "ALREADY_EXISTS"),
        (event(register(1)), "maker", "ALREADY_EXISTS"),
        (event(confirm(2)), "maker", "COOPERATIVE_NOT_FOUND"),
    ] {
        let mut ledger = lent();
        let at = ledger.forge(principal, &forged);
        let (position, code, message) = found(&ledger);
        assert_eq!((position, code), (at, "RULE_BROKEN"), "{message}");
        assert!(message.contains(rule), "{message}");
    }
}

#[test]
fn the_same_maker_and_checker_are_found() {
    let mut ledger = lent();
    ledger.submit("maker", &propose_loan("l2", 1, rp(LOAN)));
    let mut other = ledger.clone();
    other.submit("checker", &approve_loan("l2"));
    ledger.drafts = other.drafts;
    let at = ledger.size() - 1;
    ledger.drafts.last_mut().unwrap().principal = "maker".to_owned();
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (at, "RULE_BROKEN"));
    assert!(message.contains("SAME_PERSON"), "{message}");
}

/// A ledger under version 3 of the rules, with a loan that was paid out.
fn owing() -> Ledger {
    let mut ledger = lent();
    ledger.submit("maker", &Command::AdoptRules(c::AdoptRules { version: 3 }));
    ledger.submit("maker", &disburse("l1", rp(LOAN), "d1"));
    ledger
}

#[test]
fn a_write_off_by_its_maker_alone_is_found() {
    let mut ledger = owing();
    let kind = c::WriteOffKind::Conditional;
    let proposal = ledger.submit("maker", &giving_up::propose("l1", rp(LOAN), kind));
    ledger.submit("checker", &giving_up::approve(proposal));
    ledger.drafts.last_mut().unwrap().principal = "maker".to_owned();
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (ledger.size() - 1, "RULE_BROKEN"));
    assert!(message.contains("SAME_PERSON"), "{message}");
}

#[test]
fn new_terms_by_their_maker_alone_are_found() {
    let mut ledger = owing();
    let proposal = ledger.submit("maker", &giving_up::new_terms("l1", 48));
    ledger.submit("checker", &giving_up::approve_terms(proposal));
    ledger.drafts.last_mut().unwrap().principal = "maker".to_owned();
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (ledger.size() - 1, "RULE_BROKEN"));
    assert!(message.contains("SAME_PERSON"), "{message}");
}

#[test]
fn a_write_off_that_nobody_proposed_and_one_of_more_than_was_approved_are_found() {
    let kind = c::WriteOffKind::Conditional;
    let written_off = |proposal, amount: bergulir_domain::Amount| {
        let command = c::ApproveWriteOff { proposal, value_date: day(0) };
        let principal = bergulir_domain::Money::from_minor(amount.minor()).unwrap();
        Event::WrittenOff(WrittenOff { command, loan: id("l1"), kind, amount, principal })
    };
    let mut ledger = owing();
    let nothing = bergulir_domain::Position::new(ledger.size() - 1);
    let at = ledger.forge("checker", &written_off(nothing, rp(1)));
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (at, "RULE_BROKEN"));
    assert!(message.contains("PROPOSAL_NOT_PENDING"), "{message}");

    let mut ledger = owing();
    let proposal = ledger.submit("maker", &giving_up::propose("l1", rp(1), kind));
    let at = ledger.forge("checker", &written_off(proposal, rp(2)));
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (at, "EVENT_FORGED"), "{message}");
}

#[test]
fn a_write_off_without_papers_is_found() {
    let mut ledger = owing();
    let kind = c::WriteOffKind::Conditional;
    ledger.submit("maker", &giving_up::propose("l1", rp(LOAN), kind));
    // Field 5 with its reference and its digest is cut out of the event's bytes.
    let event = &mut ledger.drafts.last_mut().unwrap().event;
    let evidence = [&[0x2a, 41, 0x0a, 5][..], b"SK 20", &[0x12, 32], &[5; 32]].concat();
    let at = event.windows(evidence.len()).position(|bytes| bytes == evidence).unwrap();
    event.drain(at..at + evidence.len());
    event[2] -= 43;
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (ledger.size() - 1, "EVENT_UNREADABLE"), "{message}");
    assert!(message.contains("evidence"), "{message}");
}

#[test]
fn a_recovery_above_what_is_left_is_found() {
    let kind = c::WriteOffKind::Conditional;
    for (recovered, reason) in [(rp(41), "RECOVERY_EXCEEDED"), (rp(LOAN), "RECOVERY_EXCEEDED")] {
        let mut ledger = owing();
        let proposal = ledger.submit("maker", &giving_up::propose("l1", rp(40), kind));
        ledger.submit("checker", &giving_up::approve(proposal));
        let at = ledger.forge("maker", &event(giving_up::recover("l1", recovered, "r1")));
        let (position, code, message) = found(&ledger);
        assert_eq!((position, code), (at, "RULE_BROKEN"));
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_disbursement_without_an_open_account_is_found() {
    let mut ledger = lent();
    let suspended = ledger.submit("maker", &crate::commands::suspend(1));
    let at = ledger.forge("maker", &event(disburse("l1", rp(LOAN), "d1")));
    assert_eq!(at, suspended.get() + 1);
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (at, "RULE_BROKEN"));
    assert!(message.contains("ACCOUNT_NOT_OPEN"), "{message}");
}

#[test]
fn a_bank_reference_used_twice_is_found_and_one_that_was_freed_is_not() {
    let mut ledger = lent();
    ledger.submit("maker", &disburse("l1", rp(1_000_000), "same"));
    // In `small` a reference is used again after a reversal, which is right.
    let mut again = c::Disburse {
        loan: id("l1"),
        amount: rp(1_000_000),
        bank_reference: bank("same"),
        value_date: day(0),
    };
    again.bank_reference.line = Some(0);
    let at = ledger.forge("maker", &Event::Disbursed(again));
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (at, "RULE_BROKEN"));
    assert!(message.contains("BANK_REFERENCE_USED"), "{message}");
}

#[test]
fn facts_that_the_decision_did_not_find_are_found() {
    let mut ledger = lent();
    ledger.submit("maker", &propose_loan("l2", 1, rp(LOAN)));
    let Command::OpenFund(fund) = open_fund("pilot") else {
        unreachable!("it opens a fund");
    };
    let Purpose::Loan(mut terms) = fund.terms.purpose else {
        unreachable!("it lends");
    };
    terms.tenor_months = 60;
    let forged =
        Event::LoanApproved(LoanApproved { command: c::ApproveLoan { loan: id("l2") }, terms });
    let at = ledger.forge("checker", &forged);
    let (position, code, _) = found(&ledger);
    assert_eq!((position, code), (at, "EVENT_FORGED"));
}

#[test]
fn an_amount_edited_and_the_whole_chain_made_anew_is_found_where_a_rule_breaks() {
    let mut ledger = small();
    let repaid = ledger.drafts.len() - 1;
    ledger.drafts[repaid].set_event(&event(repay("l2", [60_000_001, 0, 0], "r3")));
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (repaid as u64, "RULE_BROKEN"));
    assert!(message.contains("OUTSTANDING_EXCEEDED"), "{message}");
}

#[test]
fn a_request_id_used_twice_is_found() {
    let ledger = small();
    for (first, second) in [(0, 40), (20, 21), (3, 30)] {
        let mut ledger = ledger.clone();
        ledger.drafts[second].request_id = ledger.drafts[first].request_id;
        let (position, code, message) = found(&ledger);
        // Seals cover the records before them, not their ids.
        assert_eq!((position, code), (second as u64, "REQUEST_ID_USED"), "{message}");
        assert!(message.contains(&format!("position {first} ")), "{message}");
    }
}

#[test]
fn time_that_runs_backwards_is_found() {
    let mut ledger = small();
    ledger.drafts[30].recorded_at = ledger.drafts[29].recorded_at - 1;
    let (position, code, _) = found(&ledger);
    assert_eq!((position, code), (30, "TIME_BACKWARDS"));
}

#[test]
fn a_record_moved_in_from_another_ledger_is_found() {
    let ledger = small();
    let mut other = ledger.clone();
    for draft in &mut other.drafts {
        draft.recorded_at += 1;
    }
    for position in [0, 7, 30] {
        let mut log = Log::of(&ledger.drafts, SMALL);
        let moved = Log::of(&other.drafts, SMALL).record(position).clone();
        *log.record(position) = moved;
        let folder = tempfile::tempdir().unwrap();
        log.write(folder.path());
        let (at, code) = invalid(&report(folder.path()));
        assert_eq!((at, code), (position, "CHAIN_BROKEN"));
    }
}

#[test]
fn who_claims_to_be_the_server_is_found_and_the_server_that_claims_to_be_another() {
    for (principal, authentication) in [
        ("system", Authentication::Stated),
        ("maker", Authentication::System),
        ("not a principal", Authentication::Stated),
    ] {
        let mut ledger = small();
        let last = ledger.drafts.len() - 1;
        let draft = &mut ledger.drafts[last];
        draft.principal = principal.to_owned();
        draft.authentication = authentication;
        let (position, code, _) = found(&ledger);
        assert_eq!((position, code), (last as u64, "PRINCIPAL_INVALID"));
    }
    // The server itself disburses nothing.
    let mut ledger = small();
    let last = ledger.drafts.len() - 1;
    ledger.drafts[last].principal = "system".to_owned();
    ledger.drafts[last].authentication = Authentication::System;
    let (position, code, _) = found(&ledger);
    assert_eq!((position, code), (last as u64, "RULE_BROKEN"));
}

#[test]
fn a_batch_that_is_not_whole_or_crosses_a_frame_is_found() {
    let ledger = small();
    let first = ledger.drafts.iter().position(|d| d.following == 3).unwrap();
    // A frame ends inside it.
    let mut log = Log::of(&ledger.drafts, SMALL);
    for frames in &mut log.segments {
        *frames = frames
            .iter()
            .flat_map(|frame| frame.iter().map(|record| vec![record.clone()]))
            .collect();
    }
    let folder = tempfile::tempdir().unwrap();
    log.write(folder.path());
    let (position, code) = invalid(&report(folder.path()));
    assert_eq!((position, code), (first as u64 + 1, "BATCH_BROKEN"));

    let mut shorter = ledger.clone();
    shorter.drafts[first + 1].following = 1;
    let (position, code, _) = found(&shorter);
    assert_eq!((position, code), (first as u64 + 1, "BATCH_BROKEN"));
}

#[test]
fn a_frame_that_claims_more_records_than_it_has_is_found() {
    let ledger = small();
    let mut files = Log::of(&ledger.drafts, SMALL).files();
    let file = &mut files[1];
    let frame = file.frames[1].clone();
    let header = &mut file.bytes[frame.start..frame.start + 32];
    header[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    let sum = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&sum.to_le_bytes());
    let expected = file.owners[frame.end - 1] + 1;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    assert_eq!(invalid(&report(folder.path())), (expected, "FRAME_DAMAGED"));
}

#[test]
fn versions_that_are_not_known_here_cannot_be_told() {
    let ledger = small();
    let mut newer_rules = ledger.clone();
    newer_rules.forge("maker", &Event::RulesAdopted(c::AdoptRules { version: 4 }));
    let mut newer_record = Log::of(&ledger.drafts, SMALL);
    let last = ledger.size() - 1;
    newer_record.record(last)[0] = 2;
    for (log, position) in [(Log::of(&newer_rules.drafts, SMALL), last + 1), (newer_record, last)] {
        let folder = tempfile::tempdir().unwrap();
        log.write(folder.path());
        let report = report(folder.path());
        let Finding::Unreadable { position: at, .. } = report.finding else {
            panic!("{:?}", report.finding);
        };
        assert_eq!(at.get(), position);
    }
}

#[test]
fn an_event_in_another_encoding_is_found() {
    let mut ledger = small();
    // A field that no event has.
    let last = ledger.drafts.len() - 1;
    ledger.drafts[last].event.extend_from_slice(&[0xf8, 0x3f, 0x00]);
    let (position, code, _) = found(&ledger);
    assert_eq!((position, code), (last as u64, "EVENT_UNREADABLE"));
}
