//! The ceiling per cooperative: outstanding, approved and not yet disbursed, and pending.

use crate::commands::{
    TODAY, approve_loan, bring_back, change_terms, disburse, propose_loan, propose_reversal,
    refuse_loan, repay, rp, terms,
};
use crate::given::{Ledger, given, on};
use crate::is;
use crate::programme::programme;
use bergulir_domain::terms::Terms;

fn ceiling_of(rupiah: i64) -> Terms {
    Terms { ceiling: rp(rupiah), ..terms() }
}

fn hundred_million_each() -> Ledger {
    programme(ceiling_of(100_000_000), 2)
}

#[test]
fn what_is_pending_counts() {
    given(hundred_million_each())
        .when(propose_loan("l1", rp(60_000_000)))
        .then_ok()
        .when(propose_loan("l1b", rp(40_000_001)))
        .then_refused(is!(CeilingExceeded { in_use: 6_000_000_000, .. }))
        .when(propose_loan("l1b", rp(40_000_000)))
        .then_ok()
        .when(propose_loan("l2", rp(100_000_000)))
        .then_ok()
        .by("checker")
        .when(refuse_loan("l1"))
        .then_ok()
        .by("maker")
        .when(propose_loan("l1c", rp(60_000_000)))
        .then_ok();
}

#[test]
fn what_is_approved_and_not_yet_disbursed_counts() {
    given(hundred_million_each().with_loan("l1", rp(60_000_000)))
        .when(propose_loan("l1b", rp(40_000_001)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(disburse("l1", rp(20_000_000)))
        .then_ok()
        .when(propose_loan("l1b", rp(40_000_001)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(propose_loan("l1b", rp(40_000_000)))
        .then_ok();
}

#[test]
fn what_is_outstanding_counts_and_what_is_repaid_does_not() {
    given(hundred_million_each().with_disbursed_loan("l1", rp(100_000_000)))
        .when(propose_loan("l1b", rp(1)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(repay("l1", [30_000_000, 5_000_000, 5_000_000]))
        .then_ok()
        .when(propose_loan("l1b", rp(30_000_001)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(propose_loan("l1b", rp(30_000_000)))
        .then_ok();
}

#[test]
fn a_loan_above_the_ceiling_is_refused_at_once() {
    given(hundred_million_each())
        .when(propose_loan("l1", rp(100_000_001)))
        .then_refused(is!(CeilingExceeded { in_use: 0, .. }));
}

#[test]
fn a_ceiling_lowered_meanwhile_holds_at_the_approval() {
    given(hundred_million_each())
        .when(propose_loan("l1", rp(100_000_000)))
        .then_ok()
        .when(change_terms(TODAY, ceiling_of(99_999_999)))
        .then_ok()
        .by("checker")
        .when(approve_loan("l1"))
        .then_refused(is!(CeilingExceeded { in_use: 0, .. }))
        .when(change_terms(TODAY, ceiling_of(100_000_000)))
        .then_ok()
        .when(approve_loan("l1"))
        .then_ok();
}

#[test]
fn a_lowered_ceiling_does_not_stop_a_loan_that_was_approved() {
    given(hundred_million_each().with_loan("l1", rp(100_000_000)))
        .when(change_terms(TODAY, ceiling_of(1)))
        .then_ok()
        .when(disburse("l1", rp(100_000_000)))
        .then_ok()
        .named("tranche")
        .when(on("tranche", bring_back))
        .then_ok()
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn a_tranche_that_came_back_revives_the_headroom_and_stays_under_the_ceiling() {
    given(hundred_million_each().with_disbursed_loan("l1", rp(100_000_000)))
        .when(disburse("l1", rp(1)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .when(on("l1", bring_back))
        .then_ok()
        .when(propose_loan("l1b", rp(1)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn a_repayment_is_not_reversed_above_the_ceiling() {
    given(hundred_million_each().with_disbursed_loan("l1", rp(100_000_000)))
        .when(repay("l1", [40_000_000, 0, 0]))
        .then_ok()
        .named("repayment")
        .with_loan("l1b", rp(1))
        .when(on("repayment", propose_reversal))
        .then_refused(is!(CeilingExceeded { .. }));
}

#[test]
fn a_pending_reversal_of_a_repayment_reserves_its_room_under_the_ceiling() {
    given(hundred_million_each().with_disbursed_loan("l1", rp(100_000_000)))
        .when(repay("l1", [40_000_000, 0, 0]))
        .then_ok()
        .named("repayment")
        .when(on("repayment", propose_reversal))
        .then_ok()
        .when(propose_loan("l1b", rp(1)))
        .then_refused(is!(CeilingExceeded { .. }));
}
