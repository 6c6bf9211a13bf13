//! Disbursements by two people, where the fund's terms ask for it. Since version 2 of the rules.

use crate::commands::{
    approve_disbursement, approve_withdrawal, bring_back, change_terms, close, day, disburse,
    grant, grant_terms, id, open_fund, open_ledger, part, propose_disbursement, propose_grant,
    propose_loan, propose_withdrawal, refuse_proposal, repay, rp, suspend, terms,
    withdraw_proposal,
};
use crate::given::{Ledger, given, on, ten_o_clock};
use crate::is;
use crate::programme::{pilot, with_grant_fund};
use bergulir_domain::command as c;
use bergulir_domain::moment::MICROS_PER_DAY;
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::{NeedsFund, Purse};
use bergulir_domain::terms::Terms;
use bergulir_domain::{State, Timestamp};

/// The pilot, where more than Rp50,000,000 takes two people, and loan `l1` of Rp100,000,000.
fn careful() -> Ledger {
    let terms = Terms { disbursement_approval_above: Some(part(50_000_000)), ..terms() };
    pilot().when(change_terms("2026-03-02", terms)).then_ok().with_loan("l1", rp(100_000_000))
}

fn with_pending() -> Ledger {
    careful().when(propose_disbursement("l1", rp(70_000_000))).then_ok().named("proposal")
}

fn with_pending_grant() -> Ledger {
    with_grant_fund().when(propose_grant("g1", rp(60_000_000))).then_ok().named("proposal")
}

#[test]
fn above_the_amount_of_the_terms_one_person_alone_pays_nothing() {
    given(careful())
        .when(disburse("l1", rp(50_000_001)))
        .then_refused(is!(NeedsSecondPerson { .. }))
        .when(disburse("l1", rp(50_000_000)))
        .then_ok()
        .when(propose_disbursement("l1", rp(50_000_000)))
        .then_ok()
        .named("proposal")
        .by("checker")
        .when(on("proposal", approve_disbursement))
        .then_ok()
        .see(|ledger| {
            assert_eq!(ledger.loan_balances("l1").disbursed, 10_000_000_000);
            assert_eq!(ledger.fund().books.amount(Book::PrincipalReceivable), 10_000_000_000);
        });
}

#[test]
fn an_amount_of_zero_asks_for_two_people_always_and_of_grants_too() {
    let always = Terms { disbursement_approval_above: Some(part(0)), ..grant_terms() };
    let change = c::ChangeTerms { fund: id("hibah"), ..change_terms("2026-03-02", always) };
    given(with_grant_fund())
        .when(change)
        .then_ok()
        .when(grant("g1", rp(1)))
        .then_refused(is!(NeedsSecondPerson { .. }))
        .when(propose_grant("g1", rp(1)))
        .then_ok()
        .named("proposal")
        .by("checker")
        .when(on("proposal", approve_disbursement))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.account("g1").balances().granted, 100));
}

#[test]
fn the_terms_of_the_day_count_and_not_those_of_the_approval() {
    given(careful())
        .when(change_terms("2026-03-10", terms()))
        .then_ok()
        .when(disburse("l1", rp(100_000_000)))
        .then_refused(is!(NeedsSecondPerson { .. }))
        .today("2026-03-10")
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn rule_19_the_maker_of_a_disbursement_is_not_its_checker() {
    for ledger in [with_pending(), with_pending_grant()] {
        given(ledger)
            .when(on("proposal", approve_disbursement))
            .then_refused(is!(SamePerson { .. }))
            .when(on("proposal", refuse_proposal))
            .then_refused(is!(SamePerson { .. }))
            .by("checker")
            .when(on("proposal", withdraw_proposal))
            .then_refused(is!(NotMaker { .. }))
            .when(on("proposal", approve_disbursement))
            .then_ok()
            .when(on("proposal", approve_disbursement))
            .then_refused(is!(ProposalNotPending { .. }));
    }
}

#[test]
fn rule_3_a_pending_tranche_reserves_the_headroom_of_its_loan() {
    given(with_pending())
        .when(disburse("l1", rp(30_000_001)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .when(propose_disbursement("l1", rp(30_000_001)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .when(disburse("l1", rp(30_000_000)))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_disbursement))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.loan("l1").undisbursed(), 0));
}

#[test]
fn rule_7_what_a_pending_tranche_needs_nobody_else_can_use() {
    given(with_pending())
        .available(rp(5_800_000_000))
        .committable(570_000_000_000)
        .when(propose_loan("l2", rp(3_000_000_000)))
        .then_ok()
        .when(on("allocation", propose_withdrawal(rp(2_700_000_000))))
        .then_ok()
        .named("withdrawal")
        .when(propose_loan("l3", rp(1)))
        .then_refused(is!(InsufficientFunds { purse: Purse::Committable, .. }))
        .by("checker")
        .when(on("withdrawal", approve_withdrawal))
        .then_ok()
        .when(on("proposal", approve_disbursement))
        .then_ok();
}

#[test]
fn a_pending_grant_reserves_money_and_the_ceiling() {
    given(with_pending_grant())
        .see(|ledger| {
            assert_eq!(ledger.fund_of("hibah").reserved, 6_000_000_000);
            assert_eq!(ledger.account("g1").balances().pending, 6_000_000_000);
        })
        .when(grant("g1", rp(40_000_001)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(c::CloseAccount { fund: id("hibah"), ..close("g1") })
        .then_refused(is!(AccountNotEmpty { .. }))
        .when(on("proposal", withdraw_proposal))
        .then_ok()
        .see(|ledger| {
            assert_eq!(ledger.fund_of("hibah").reserved, 0);
            assert_eq!(ledger.account("g1").balances().pending, 0);
        })
        .when(grant("g1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn refusing_taking_back_and_time_release_what_was_reserved() {
    let left = |ledger: &Ledger| ledger.loan("l1").undisbursed();
    given(with_pending()).see(|ledger| assert_eq!(left(ledger), 3_000_000_000));
    given(with_pending())
        .by("checker")
        .when(on("proposal", refuse_proposal))
        .then_ok()
        .see(|ledger| assert_eq!(left(ledger), 10_000_000_000));
    given(with_pending())
        .when(on("proposal", withdraw_proposal))
        .then_ok()
        .see(|ledger| assert_eq!(left(ledger), 10_000_000_000));
    // The terms say 14 days; the record tells the instant.
    let pending = with_pending();
    let proposed = pending.records.0.last().unwrap().0.recorded_at;
    let lapses = Timestamp::from_micros(proposed.as_micros() + 14 * MICROS_PER_DAY);
    given(pending)
        .now(lapses)
        .by("checker")
        .when(on("proposal", approve_disbursement))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(disburse("l1", rp(50_000_000)))
        .then_ok();
}

#[test]
fn a_disbursement_lapses_when_its_proposal_says() {
    let at = ten_o_clock("2026-03-05");
    let proposal = c::ProposeDisbursement {
        expires_at: Some(at),
        ..propose_disbursement("l1", rp(70_000_000))
    };
    given(careful())
        .when(c::ProposeDisbursement {
            expires_at: Some(ten_o_clock("2026-03-02")),
            ..proposal.clone()
        })
        .then_refused(is!(ExpiryOutOfRange { .. }))
        .when(proposal)
        .then_ok()
        .named("proposal")
        .now(at)
        .by("checker")
        .when(on("proposal", approve_disbursement))
        .then_refused(is!(ProposalNotPending { .. }));
}

#[test]
fn rule_1_an_account_that_is_not_open_is_paid_nothing() {
    given(careful())
        .when(suspend("a1"))
        .then_ok()
        .when(propose_disbursement("l1", rp(1)))
        .then_refused(is!(AccountNotOpen { .. }));
    given(with_pending())
        .when(suspend("a1"))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_disbursement))
        .then_refused(is!(AccountNotOpen { .. }));
}

#[test]
fn only_an_approved_loan_or_a_grant_fund_is_paid_out_of() {
    given(careful())
        .when(propose_loan("l2", rp(1)))
        .then_ok()
        .when(propose_disbursement("l2", rp(1)))
        .then_refused(is!(LoanNotApproved { .. }))
        .when(propose_disbursement("l9", rp(1)))
        .then_refused(is!(NotFound(..)));
    let of_loan_fund = |mut proposal: c::ProposeDisbursement| {
        if let c::Payee::Grant { fund, account, .. } = &mut proposal.payee {
            (*fund, *account) = (id("pilot"), id("a1"));
        }
        proposal
    };
    given(with_grant_fund())
        .when(of_loan_fund(propose_grant("g1", rp(1))))
        .then_refused(is!(WrongFundKind { needs: NeedsFund::Grant, .. }));
}

#[test]
fn rule_15_the_bank_reference_comes_with_the_approval_and_is_used_once() {
    given(with_pending())
        .when(disburse("l1", rp(1)))
        .then_ok()
        .named("paid")
        .by("checker")
        .see(|ledger| {
            let (_, paid) = ledger.records.0.last().unwrap();
            let used = paid.bank_reference().unwrap().clone();
            let again = c::ApproveDisbursement {
                bank_reference: used,
                ..approve_disbursement(ledger.at("proposal"))
            };
            let _ = given(ledger.clone()).when(again).then_refused(is!(BankReferenceUsed { .. }));
        })
        .when(on("proposal", |proposal| c::ApproveDisbursement {
            value_date: day("2025-12-31"),
            ..approve_disbursement(proposal)
        }))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(on("proposal", approve_disbursement))
        .then_ok();
}

#[test]
fn rule_18_a_disbursement_of_two_people_comes_back_as_any_other() {
    let paid = || with_pending().by("checker").when(on("proposal", approve_disbursement)).then_ok();
    given(paid()).named("paid").when(on("paid", bring_back)).then_ok().see(|ledger| {
        assert_eq!(ledger.fund().books.amount(Book::PrincipalReceivable), 0);
        assert_eq!(ledger.loan("l1").undisbursed(), 10_000_000_000);
    });
    given(paid()).named("paid").reversed("paid").available(rp(5_800_000_000)).see(|ledger| {
        assert_eq!(ledger.loan_balances("l1").disbursed, 0);
    });
    given(paid())
        .named("paid")
        .when(on("paid", bring_back))
        .then_ok()
        .named("back")
        .reversed("back")
        .see(|ledger| {
            assert_eq!(ledger.loan_balances("l1").disbursed, 7_000_000_000);
        });
    given(paid()).when(repay("l1", [70_000_000, 0, 0])).then_ok();
}

#[test]
fn version_1_of_the_rules_knows_nothing_of_it() {
    let asks = Terms { disbursement_approval_above: Some(part(0)), ..terms() };
    let old = Ledger::empty().when(c::OpenLedger { rules_version: 1, ..open_ledger() }).then_ok();
    given(old)
        .when(open_fund("pilot", asks))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }))
        .when(open_fund("pilot", terms()))
        .then_ok()
        .when(change_terms("2026-03-02", asks))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }))
        .when(propose_disbursement("l1", rp(1)))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }))
        .when(approve_disbursement(bergulir_domain::Position::new(1)))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }))
        .see(|ledger| assert_eq!(first_byte(&ledger.state), 1))
        .when(c::AdoptRules { version: 2 })
        .then_ok()
        .see(|ledger| assert_eq!(first_byte(&ledger.state), 2))
        .when(change_terms("2026-03-02", asks))
        .then_ok();
}

fn first_byte(state: &State) -> u8 {
    let mut bytes = Vec::new();
    state.encode(&mut bytes);
    bytes[0]
}
