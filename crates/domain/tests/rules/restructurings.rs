//! Loans that get new terms, by two people. Since version 3 of the rules.

use crate::commands::{
    TODAY, approve_close, approve_restructuring, approve_write_off, day, loan_terms,
    new_loan_terms, open_ledger, propose_close, propose_restructuring, propose_write_off,
    refuse_proposal, repay, rp, withdraw_proposal,
};
use crate::given::{Ledger, encoded, given, on, ten_o_clock};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::command as c;
use bergulir_domain::terms::{LoanTerms, TermsError};
use bergulir_domain::{Position, State, Timestamp};

const PRINCIPAL: i64 = 100_000_000;

/// It is June; two instalments of the pilot's loan of March were paid.
fn lent() -> Ledger {
    pilot()
        .with_disbursed_loan("l1", rp(PRINCIPAL))
        .when(repay("l1", [2 * 3_030_303, 0, 0]))
        .then_ok()
        .today("2026-06-10")
}

fn from(date: &str) -> c::ProposeRestructuring {
    c::ProposeRestructuring { effective_from: day(date), ..propose_restructuring("l1") }
}

fn restructured(ledger: Ledger, proposal: c::ProposeRestructuring) -> Ledger {
    ledger.by_two(proposal, approve_restructuring)
}

fn terms_on(ledger: &Ledger, date: &str) -> LoanTerms {
    let index = ledger.state.loans().find(&"l1".parse().unwrap()).unwrap();
    *ledger.state.loan_terms(index, day(date)).unwrap()
}

#[test]
fn new_terms_hold_from_their_day_on_and_no_money_moves() {
    let before = lent();
    let after = restructured(before.clone(), from("2026-06-01"));
    assert_eq!(terms_on(&after, "2026-05-31"), loan_terms());
    assert_eq!(terms_on(&after, "2026-06-01"), new_loan_terms());
    assert_eq!(after.fund(), before.fund());
    assert_eq!(after.account("a1").balances(), before.account("a1").balances());
    assert_eq!(after.loan("l1"), before.loan("l1"), "the approval stays as it was");
    let later = LoanTerms { tenor_months: 60, ..new_loan_terms() };
    let again = c::ProposeRestructuring { terms: later, ..from("2026-06-05") };
    let after = restructured(after, again);
    assert_eq!(terms_on(&after, "2026-06-04"), new_loan_terms());
    assert_eq!(terms_on(&after, "2026-06-05"), later);
}

#[test]
fn rule_19_whoever_proposed_new_terms_does_not_approve_them() {
    let ledger = given(lent()).when(from("2026-06-01")).then_ok().named("proposal");
    let _ = ledger
        .clone()
        .when(from("2026-06-02"))
        .then_refused(is!(RestructuringPending { .. }))
        .when(on("proposal", approve_restructuring))
        .then_refused(is!(SamePerson { .. }))
        .when(on("proposal", refuse_proposal))
        .then_refused(is!(SamePerson { .. }))
        .by("checker")
        .when(on("proposal", approve_write_off))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(on("proposal", refuse_proposal))
        .then_ok()
        .see(|ledger| assert_eq!(terms_on(ledger, "2026-06-10"), loan_terms()))
        .by("maker")
        .when(from("2026-06-02"))
        .then_ok()
        .named("proposal")
        .when(on("proposal", withdraw_proposal))
        .then_ok();
    let _ = ledger
        .today("2026-06-24")
        .by("checker")
        .when(on("proposal", approve_restructuring))
        .then_refused(is!(ProposalNotPending { .. }));
}

#[test]
fn rule_16_a_repayment_of_before_that_is_recorded_late_gives_the_same_state() {
    let late =
        || c::Repay { value_date: day("2026-05-20"), ..repay("l1", [3_030_303, 454_545, 0]) };
    let first = restructured(given(lent()).when(late()).then_ok(), from("2026-06-01"));
    let last = given(restructured(lent(), from("2026-06-01"))).when(late()).then_ok();
    assert_eq!(first.loan_balances("l1"), last.loan_balances("l1"));
    assert_eq!(terms_on(&first, "2026-06-10"), terms_on(&last, "2026-06-10"));
}

#[test]
fn only_a_loan_of_which_something_is_outstanding_gets_new_terms() {
    let ledger = given(lent())
        .with_loan("l2", rp(1))
        .when(propose_restructuring("l2"))
        .then_refused(is!(NothingOutstanding { .. }))
        .when(propose_restructuring("l9"))
        .then_refused(is!(NotFound(_)))
        .when(from("2026-06-01"))
        .then_ok()
        .named("proposal");
    let left = PRINCIPAL - 2 * 3_030_303;
    // Settled meanwhile, or written off.
    let refused = is!(NothingOutstanding { .. });
    let _ = ledger
        .clone()
        .when(repay("l1", [left, 0, 0]))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_restructuring))
        .then_refused(refused);
    let written_off = |amount: i64| {
        let ledger = ledger.clone().named("new-terms");
        ledger.by_two(propose_write_off("l1", rp(amount)), approve_write_off)
    };
    let _ = written_off(left)
        .by("checker")
        .when(on("new-terms", approve_restructuring))
        .then_refused(refused);
    // What is left of a loan that was written off in part gets them.
    let after = written_off(left - 1).approved("new-terms", approve_restructuring);
    assert_eq!(terms_on(&after, "2026-06-01"), new_loan_terms());
}

#[test]
fn new_terms_that_wait_lapse_at_the_instant_that_they_name() {
    let lapses = ten_o_clock("2026-06-12");
    let proposal = c::ProposeRestructuring { expires_at: Some(lapses), ..from("2026-06-01") };
    let pending = given(lent()).when(proposal).then_ok().named("proposal");
    let just_before = Timestamp::from_micros(lapses.as_micros() - 1);
    let _ = pending.clone().now(just_before).approved("proposal", approve_restructuring);
    let _ = pending
        .now(lapses)
        .by("checker")
        .when(on("proposal", approve_restructuring))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(from("2026-06-01"))
        .then_ok();
}

/// What was due and not paid stays due under the terms of then, and what had come in stays.
#[test]
fn a_loan_in_arrears_gets_new_terms_and_keeps_what_it_owes() {
    let late = [3_030_303, 454_545, 10_000];
    let before = given(lent()).today("2026-12-10");
    let after = restructured(before.clone(), from("2026-12-01"));
    assert_eq!(after.loan_balances("l1"), before.loan_balances("l1"));
    assert_eq!(terms_on(&after, "2026-08-10"), loan_terms(), "those of an instalment of August");
    let _ = after.when(repay("l1", late)).then_ok().see(|ledger| {
        let balances = ledger.loan_balances("l1");
        assert_eq!(balances.outstanding(), (PRINCIPAL - 3 * 3_030_303) * 100);
    });
}

#[test]
fn of_two_terms_from_one_day_those_of_the_later_record_hold() {
    let later = LoanTerms { tenor_months: 60, ..new_loan_terms() };
    let again = c::ProposeRestructuring { terms: later, ..from("2026-06-01") };
    let after = restructured(restructured(lent(), from("2026-06-01")), again);
    assert_eq!(terms_on(&after, "2026-06-01"), later);
    assert_eq!(terms_on(&after, "2026-05-31"), loan_terms());
}

#[test]
fn new_terms_follow_those_before_and_change_nothing_that_was_reported() {
    let refused = is!(RestructuringOutOfRange { .. });
    let _ = given(restructured(lent(), from("2026-04-01")))
        .when(from("2026-03-31"))
        .then_refused(refused)
        .when(from("2026-06-11"))
        .then_refused(refused)
        .when(from("2026-05-31"))
        .then_ok()
        .named("proposal")
        .when(propose_close("2026-05-31"))
        .then_ok()
        .named("close")
        .approved("close", approve_close)
        .by("checker")
        .when(on("proposal", approve_restructuring))
        .then_refused(refused);
    let _ =
        given(lent()).when(from("2026-03-01")).then_refused(refused).when(from(TODAY)).then_ok();
}

#[test]
fn new_terms_must_fit_together() {
    let of = |change: fn(&mut LoanTerms)| {
        let mut proposal = from("2026-06-01");
        change(&mut proposal.terms);
        proposal
    };
    let _ = given(lent())
        .when(of(|terms| terms.tenor_months = 0))
        .then_refused(is!(InvalidTerms(TermsError::Tenor)))
        .when(of(|terms| terms.grace_months = 48))
        .then_refused(is!(InvalidTerms(TermsError::Grace)))
        .when(of(|terms| terms.method = bergulir_domain::terms::InterestMethod::None))
        .then_refused(is!(InvalidTerms(TermsError::MethodWithoutRate)));
}

#[test]
fn what_was_restructured_is_in_the_state() {
    let before = encoded(&lent().state).len();
    let after = restructured(lent(), from("2026-06-01"));
    assert!(encoded(&after.state).len() > before);
    let mut restored = after;
    restored.state = State::decode(&encoded(&restored.state)).unwrap();
    assert_eq!(terms_on(&restored, "2026-06-01"), new_loan_terms());
}

#[test]
fn rules_before_version_3_know_no_restructuring() {
    let needs_3 = is!(RulesTooOld { needed: 3, .. });
    for rules_version in [1, 2] {
        let _ = given(Ledger::empty())
            .when(c::OpenLedger { rules_version, ..open_ledger() })
            .then_ok()
            .when(propose_restructuring("l1"))
            .then_refused(needs_3)
            .when(approve_restructuring(Position::new(0)))
            .then_refused(needs_3);
    }
}
