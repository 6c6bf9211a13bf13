//! Disbursements that the bank sent back.

use crate::commands::{
    bank, bring_back, close, day, disburse, propose_loan, propose_reversal, repay, rp,
};
use crate::given::{Ledger, given, on};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::Position;
use bergulir_domain::command as c;
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::{LoanStatus, Resource};

fn lent() -> Ledger {
    pilot().with_disbursed_loan("l1", rp(100_000_000))
}

#[test]
fn rule_18_a_disbursement_that_came_back_leaves_no_receivable() {
    let before = pilot().fund();
    given(lent())
        .when(on("l1", bring_back))
        .then_ok()
        .see(|ledger| {
            assert_eq!(ledger.loan_balances("l1").outstanding(), 0);
            assert_eq!(ledger.account("a1").balances().outstanding(), 0);
            assert_eq!(ledger.fund().books, before.books);
            assert_eq!(ledger.fund().books.amount(Book::PrincipalReceivable), 0);
            assert_eq!(ledger.loan("l1").status(), LoanStatus::Approved);
        })
        .available(rp(5_800_000_000))
        .committable(570_000_000_000);
}

#[test]
fn rule_18_it_comes_back_once() {
    given(lent())
        .when(on("l1", bring_back))
        .then_ok()
        .when(on("l1", bring_back))
        .then_refused(is!(AlreadyUndone { .. }))
        .when(on("l1", propose_reversal))
        .then_refused(is!(AlreadyUndone { .. }));
}

#[test]
fn a_tranche_that_came_back_revives_the_headroom_of_its_loan_for_that_much() {
    given(pilot().with_loan("l1", rp(100_000_000)))
        .when(disburse("l1", rp(70_000_000)))
        .then_ok()
        .when(disburse("l1", rp(30_000_000)))
        .then_ok()
        .named("second")
        .when(on("second", bring_back))
        .then_ok()
        .when(disburse("l1", rp(30_000_001)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .when(disburse("l1", rp(30_000_000)))
        .then_ok();
}

#[test]
fn a_return_has_its_own_reference_and_frees_none() {
    let paid = || c::Disburse { bank_reference: bank("OUT"), ..disburse("l1", rp(50_000_000)) };
    let came_back =
        |tranche| c::ReturnDisbursement { bank_reference: bank("BACK"), ..bring_back(tranche) };
    given(pilot().with_loan("l1", rp(100_000_000)))
        .when(paid())
        .then_ok()
        .named("tranche")
        .when(on("tranche", |tranche| c::ReturnDisbursement {
            bank_reference: bank("OUT"),
            ..bring_back(tranche)
        }))
        .then_refused(is!(BankReferenceUsed { .. }))
        .when(on("tranche", came_back))
        .then_ok()
        .named("return")
        .when(paid())
        .then_refused(is!(BankReferenceUsed { .. }))
        .reversed("return")
        .when(paid())
        .then_refused(is!(BankReferenceUsed { .. }))
        .when(on("tranche", came_back))
        .then_ok();
}

#[test]
fn only_a_disbursement_comes_back() {
    given(lent())
        .when(repay("l1", [1, 0, 0]))
        .then_ok()
        .named("repayment")
        .when(on("repayment", bring_back))
        .then_refused(is!(NotADisbursement { .. }))
        .when(on("allocation", bring_back))
        .then_refused(is!(NotADisbursement { .. }))
        .when(bring_back(Position::new(1_000_000)))
        .then_refused(is!(NotFound(Resource::Record(_))));
}

#[test]
fn it_comes_back_on_its_day_or_later_and_not_after_today() {
    let came_back = |date: &'static str| {
        on("tranche", move |tranche| c::ReturnDisbursement {
            value_date: day(date),
            ..bring_back(tranche)
        })
    };
    given(pilot().with_loan("l1", rp(100)))
        .when(c::Disburse { value_date: day("2026-02-10"), ..disburse("l1", rp(100)) })
        .then_ok()
        .named("tranche")
        .when(came_back("2026-02-09"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(came_back("2026-03-03"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(came_back("2026-02-10"))
        .then_ok();
}

#[test]
fn what_was_repaid_does_not_come_back() {
    given(pilot().with_loan("l1", rp(100)))
        .when(disburse("l1", rp(60)))
        .then_ok()
        .named("first")
        .when(disburse("l1", rp(40)))
        .then_ok()
        .named("second")
        .when(repay("l1", [50, 0, 0]))
        .then_ok()
        .when(on("first", bring_back))
        .then_refused(is!(DisbursementRepaid { remaining: 4_000, repaid: 5_000 }))
        .when(on("second", bring_back))
        .then_ok();
}

#[test]
fn a_return_that_was_wrong_is_reversed_and_the_tranche_stands_again() {
    let before = lent();
    given(lent())
        .when(on("l1", bring_back))
        .then_ok()
        .named("return")
        .reversed("return")
        .see(|ledger| {
            assert_eq!(ledger.loan("l1").active(), before.loan("l1").active());
            assert_eq!(ledger.fund(), before.fund());
        })
        .when(repay("l1", [100_000_000, 0, 0]))
        .then_ok();
}

#[test]
fn a_tranche_that_stands_again_may_come_back_again_or_be_reversed() {
    let again = lent().when(on("l1", bring_back)).then_ok().named("return").reversed("return");
    given(again.clone())
        .when(on("l1", bring_back))
        .then_ok()
        .named("second return")
        .when(on("return", propose_reversal))
        .then_refused(is!(AlreadyUndone { .. }))
        .reversed("second return");
    given(again).reversed("l1").available(rp(5_800_000_000));
}

#[test]
fn a_return_is_not_reversed_when_its_headroom_was_used_again() {
    given(lent())
        .when(on("l1", bring_back))
        .then_ok()
        .named("return")
        .when(disburse("l1", rp(1)))
        .then_ok()
        .when(on("return", propose_reversal))
        .then_refused(is!(LoanLimitExceeded { .. }));
}

#[test]
fn a_pending_reversal_of_a_return_reserves_the_headroom() {
    given(lent())
        .when(on("l1", bring_back))
        .then_ok()
        .named("return")
        .when(on("return", propose_reversal))
        .then_ok()
        .named("proposal")
        .when(disburse("l1", rp(1)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .when(close("a1"))
        .then_refused(is!(AccountNotEmpty { .. }))
        .when(on("proposal", crate::commands::withdraw_proposal))
        .then_ok()
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn a_return_keeps_the_money_promised_to_its_loan() {
    let mut ledger = pilot();
    for loan in ["l1", "l2"] {
        ledger = ledger.with_disbursed_loan(loan, rp(2_900_000_000));
    }
    given(ledger)
        .when(on("l1", bring_back))
        .then_ok()
        .available(rp(2_900_000_000))
        .when(propose_loan("l3", rp(1)))
        .then_refused(is!(InsufficientFunds { has: 0, .. }))
        .when(disburse("l1", rp(2_900_000_000)))
        .then_ok();
}
