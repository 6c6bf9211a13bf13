//! Corrections: nothing is edited; a wrong money event is reversed by a new one that names it.

use crate::commands::{
    allocate, approve_reversal, approve_withdrawal, bring_back, disburse, propose_loan,
    propose_reversal, propose_withdrawal, refuse_proposal, repay, rp, withdraw_proposal,
};
use crate::given::{Ledger, encoded, given, on};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::{Purse, Resource};
use bergulir_domain::state::Undone;
use bergulir_domain::{Event, Position};

fn lent() -> Ledger {
    pilot().with_disbursed_loan("l1", rp(100_000_000))
}

fn lent_to_two() -> Ledger {
    lent().with_disbursed_loan("l2", rp(100_000_000))
}

#[test]
fn rule_17_a_repayment_to_the_wrong_cooperative_is_reversed_and_posted_anew() {
    let instalment = [3_030_303, 454_545, 10_000];
    let right_at_once = lent_to_two().when(repay("l2", instalment)).then_ok();
    given(lent_to_two())
        .when(repay("l1", instalment))
        .then_ok()
        .named("wrong")
        .reversed("wrong")
        .named("reversal")
        .when(repay("l2", instalment))
        .then_ok()
        .named("right")
        .see(|ledger| {
            for loan in ["l1", "l2"] {
                let balances = |ledger: &Ledger| ledger.loan(loan).active().unwrap().balances();
                assert_eq!(balances(ledger), balances(&right_at_once));
            }
            assert_eq!(ledger.fund(), right_at_once.fund());

            let event =
                |label| &ledger.records.0[usize::try_from(ledger.at(label).get()).unwrap()].1;
            assert!(matches!(event("wrong"), Event::Repaid(_)));
            assert!(matches!(event("reversal"), Event::Reversed(_)));
            assert!(matches!(event("right"), Event::Repaid(_)));
            let undone = ledger.state.undone(ledger.at("wrong"));
            assert_eq!(undone, Some(Undone::Reversed(ledger.at("reversal"))));
            assert_eq!(encoded(&ledger.replay()), encoded(&ledger.state));
        });
}

#[test]
fn a_reversal_proposed_changes_no_balance() {
    let ledger = lent().when(repay("l1", [10, 5, 1])).then_ok().named("it");
    let before = ledger.fund();
    given(ledger).when(on("it", propose_reversal)).then_ok().see(|ledger| {
        assert_eq!(ledger.fund().books, before.books);
        assert_eq!(ledger.loan_balances("l1").principal_repaid, 1_000);
    });
}

#[test]
fn a_record_is_undone_once() {
    given(lent().when(repay("l1", [10, 0, 0])).then_ok().named("it"))
        .reversed("it")
        .when(on("it", propose_reversal))
        .then_refused(is!(AlreadyUndone { .. }));
}

#[test]
fn one_reversal_of_a_record_is_pending_at_a_time() {
    given(lent().when(repay("l1", [10, 0, 0])).then_ok().named("it"))
        .when(on("it", propose_reversal))
        .then_ok()
        .named("proposal")
        .by("checker")
        .when(on("it", propose_reversal))
        .then_refused(is!(ReversalPending { .. }))
        .when(on("proposal", refuse_proposal))
        .then_ok()
        .when(on("it", propose_reversal))
        .then_ok()
        .named("second")
        .when(on("second", withdraw_proposal))
        .then_ok()
        .reversed("it");
}

#[test]
fn a_reversal_is_not_reversed() {
    given(lent().when(repay("l1", [10, 0, 0])).then_ok().named("it"))
        .reversed("it")
        .named("reversal")
        .when(on("reversal", propose_reversal))
        .then_refused(is!(ReversalNotReversible { .. }));
}

#[test]
fn what_moved_no_money_is_not_reversed() {
    let ledger = lent();
    for position in 0..ledger.state.size() {
        let event = &ledger.records.0[usize::try_from(position).unwrap()].1;
        let moves_cash = event.bank_reference().is_some();
        let answer = ledger.clone().when(propose_reversal(Position::new(position)));
        if !moves_cash {
            answer.then_refused(is!(NotReversible { .. }));
        }
    }
    given(ledger.clone())
        .when(propose_reversal(Position::new(ledger.state.size())))
        .then_refused(is!(NotFound(Resource::Record(_))))
        .when(propose_reversal(Position::new(u64::MAX)))
        .then_refused(is!(NotFound(Resource::Record(_))));
}

#[test]
fn an_allocation_is_reversed_whole() {
    given(pilot())
        .when(allocate("pilot", rp(500)))
        .then_ok()
        .named("wrong")
        .reversed("wrong")
        .available(rp(5_800_000_000))
        .see(|ledger| assert_eq!(ledger.fund().books.amount(Book::Capital), 580_000_000_000))
        .when(on("wrong", propose_withdrawal(rp(1))))
        .then_refused(is!(NotFound(Resource::Record(_))));
}

#[test]
fn an_allocation_that_is_lent_is_not_reversed() {
    given(lent())
        .when(on("allocation", propose_reversal))
        .then_refused(is!(InsufficientFunds { purse: Purse::Committable, .. }))
        .when(on("l1", bring_back))
        .then_ok()
        .when(on("allocation", propose_reversal))
        .then_refused(is!(InsufficientFunds { .. }));
}

#[test]
fn an_allocation_that_is_committed_or_pending_is_not_reversed() {
    given(pilot().with_loan("l1", rp(1)))
        .when(on("allocation", propose_reversal))
        .then_refused(is!(InsufficientFunds { .. }));
    given(pilot())
        .when(propose_loan("l1", rp(1)))
        .then_ok()
        .when(on("allocation", propose_reversal))
        .then_refused(is!(InsufficientFunds { .. }));
}

#[test]
fn an_allocation_that_was_withdrawn_in_part_is_not_reversed() {
    given(pilot())
        .when(allocate("pilot", rp(500)))
        .then_ok()
        .when(on("allocation", propose_withdrawal(rp(100))))
        .then_ok()
        .named("withdrawal")
        .when(on("allocation", propose_reversal))
        .then_refused(is!(AllocationExceeded { .. }))
        .by("checker")
        .when(on("withdrawal", approve_withdrawal))
        .then_ok()
        .when(on("allocation", propose_reversal))
        .then_refused(is!(AllocationExceeded { .. }));
}

#[test]
fn a_pending_reversal_of_an_allocation_reserves_it() {
    given(pilot())
        .when(on("allocation", propose_reversal))
        .then_ok()
        .when(propose_loan("l1", rp(1)))
        .then_refused(is!(InsufficientFunds { has: 0, .. }))
        .when(allocate("pilot", rp(500)))
        .then_ok()
        .when(on("allocation", propose_withdrawal(rp(1))))
        .then_refused(is!(AllocationExceeded { remaining: 0, .. }))
        .when(propose_loan("l1", rp(500)))
        .then_ok();
}

#[test]
fn a_withdrawal_is_reversed() {
    given(pilot())
        .when(on("allocation", propose_withdrawal(rp(300))))
        .then_ok()
        .named("proposal")
        .by("checker")
        .when(on("proposal", approve_withdrawal))
        .then_ok()
        .named("withdrawal")
        .available(rp(5_799_999_700))
        .when(on("proposal", propose_reversal))
        .then_refused(is!(NotReversible { .. }))
        .reversed("withdrawal")
        .available(rp(5_800_000_000))
        .when(on("allocation", propose_withdrawal(rp(5_800_000_000))))
        .then_ok();
}

#[test]
fn a_disbursement_is_reversed() {
    let before = pilot().with_loan("l1", rp(100_000_000));
    given(lent())
        .reversed("l1")
        .available(rp(5_800_000_000))
        .see(|ledger| {
            assert_eq!(ledger.loan("l1").active(), before.loan("l1").active());
            assert_eq!(ledger.fund(), before.fund());
        })
        .when(on("l1", bring_back))
        .then_refused(is!(AlreadyUndone { .. }))
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn a_disbursement_that_is_repaid_is_not_reversed() {
    given(lent())
        .when(repay("l1", [1, 0, 0]))
        .then_ok()
        .named("repayment")
        .when(on("l1", propose_reversal))
        .then_refused(is!(DisbursementRepaid { .. }))
        .reversed("repayment")
        .reversed("l1");
}

#[test]
fn a_disbursement_repaid_or_returned_meanwhile_is_not_reversed() {
    let pending = lent().when(on("l1", propose_reversal)).then_ok().named("proposal");
    given(pending.clone())
        .when(repay("l1", [1, 0, 0]))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_reversal))
        .then_refused(is!(DisbursementRepaid { .. }));
    given(pending)
        .when(on("l1", bring_back))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_reversal))
        .then_refused(is!(AlreadyUndone { .. }))
        .when(on("proposal", refuse_proposal))
        .then_ok();
}

#[test]
fn a_repayment_whose_principal_is_lent_again_is_not_reversed() {
    let everything = rp(2_900_000_000);
    given(pilot())
        .with_disbursed_loan("l1", everything)
        .with_disbursed_loan("l2", everything)
        .when(repay("l1", [100, 7, 0]))
        .then_ok()
        .named("repayment")
        .when(propose_loan("l3", rp(100)))
        .then_ok()
        .when(on("repayment", propose_reversal))
        .then_refused(is!(InsufficientFunds { purse: Purse::Committable, has: 0, .. }))
        .when(crate::commands::withdraw_loan("l3"))
        .then_ok()
        .when(on("repayment", propose_reversal))
        .then_ok()
        .when(propose_loan("l3b", rp(1)))
        .then_refused(is!(InsufficientFunds { has: 0, .. }));
}

#[test]
fn a_repayment_of_interest_alone_is_reversed_whatever_is_lent() {
    let everything = rp(2_900_000_000);
    given(pilot())
        .with_disbursed_loan("l1", everything)
        .with_disbursed_loan("l2", everything)
        .when(repay("l1", [0, 7, 3]))
        .then_ok()
        .named("repayment")
        .reversed("repayment")
        .see(|ledger| {
            assert_eq!(ledger.fund().books.amount(Book::InterestIncome), 0);
            assert_eq!(ledger.fund().books.amount(Book::LateFeeIncome), 0);
            assert_eq!(ledger.fund().books.amount(Book::Cash), 0);
        });
}
