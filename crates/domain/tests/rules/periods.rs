//! Periods, closed by two people and for good. Since version 2 of the rules.

use crate::commands::{
    allocate, approve_close, approve_disbursement, approve_withdrawal, bring_back, day, disburse,
    grant, id, open_ledger, propose_close, propose_disbursement, propose_withdrawal,
    refuse_proposal, repay, rp, withdraw_proposal,
};
use crate::given::{Ask, Ledger, encoded, given, on, ten_o_clock};
use crate::is;
use crate::programme::{pilot, with_grant_fund};
use bergulir_domain::command as c;
use bergulir_domain::{Date, Position, State};

/// It is April; March is to be closed.
fn with_pending() -> Ledger {
    pilot()
        .with_disbursed_loan("l1", rp(100_000_000))
        .today("2026-04-05")
        .when(propose_close("2026-03-31"))
        .then_ok()
        .named("proposal")
}

fn with_closed() -> Ledger {
    with_pending().approved("proposal", approve_close)
}

fn closed_through(state: &State) -> Option<Date> {
    state.closed_through(state.funds().find(&id("pilot")).unwrap())
}

/// Refused on the last day that is closed, and accepted on the first one that is open.
#[track_caller]
fn both<C: Ask>(ledger: &Ledger, post: impl Fn(Date) -> C, dates: [Date; 2]) {
    let [closed, open] = dates;
    let refused = is!(PeriodClosed { .. });
    let ledger = given(ledger.clone()).when(post(closed)).then_refused(refused);
    let _ = ledger.when(post(open)).then_ok();
}

#[test]
fn rule_24_nothing_is_posted_into_a_closed_period() {
    let last = day("2026-03-31");
    let first_open = day("2026-04-01");
    let refused = is!(PeriodClosed { .. });
    let dates = [last, first_open];
    let ledger = with_closed().with_loan("l2", rp(50));
    both(&ledger, |value_date| c::AllocateFund { value_date, ..allocate("pilot", rp(1)) }, dates);
    both(&ledger, |value_date| c::Disburse { value_date, ..disburse("l2", rp(50)) }, dates);
    both(&ledger, |value_date| c::Repay { value_date, ..repay("l1", [1, 0, 0]) }, dates);
    let tranche = ledger.at("l1");
    both(&ledger, |value_date| c::ReturnDisbursement { value_date, ..bring_back(tranche) }, dates);
    // What was proposed before the close is posted after it.
    let ledger = with_pending()
        .with_loan("l2", rp(50))
        .when(propose_disbursement("l2", rp(50)))
        .then_ok()
        .named("payment")
        .when(on("allocation", propose_withdrawal(rp(1))))
        .then_ok()
        .named("withdrawal")
        .by("checker")
        .when(on("proposal", approve_close))
        .then_ok();
    let [payment, withdrawal] = ["payment", "withdrawal"].map(|label| ledger.at(label));
    both(
        &ledger,
        |value_date| c::ApproveDisbursement { value_date, ..approve_disbursement(payment) },
        dates,
    );
    both(
        &ledger,
        |value_date| c::ApproveAllocationWithdrawal {
            value_date,
            ..approve_withdrawal(withdrawal)
        },
        dates,
    );
    let close = c::ProposePeriodClose { fund: id("hibah"), ..propose_close("2026-03-31") };
    let hibah = with_grant_fund()
        .today("2026-04-05")
        .when(close)
        .then_ok()
        .named("proposal")
        .by("checker")
        .when(on("proposal", approve_close))
        .then_ok();
    both(&hibah, |value_date| c::DisburseGrant { value_date, ..grant("g1", rp(1)) }, dates);
    // Each fund has its own periods.
    let in_pilot = c::AllocateFund { value_date: last, ..allocate("pilot", rp(1)) };
    let _ = given(hibah)
        .when(in_pilot)
        .then_ok()
        .when(c::AllocateFund { value_date: last, ..allocate("hibah", rp(1)) })
        .then_refused(refused);
}

/// A reversal is of the day on which it is recorded, and that one is open.
#[test]
fn rule_24_what_was_posted_then_is_reversed_on_a_day_that_is_open() {
    given(with_closed()).reversed("l1").see(|ledger| {
        assert_eq!(ledger.loan_balances("l1").disbursed, 0);
        let (header, _) = ledger.records.0.last().unwrap();
        assert!(header.recorded_at > ten_o_clock("2026-04-05"));
    });
}

#[test]
fn rule_19_the_maker_of_a_close_is_not_its_checker() {
    given(with_pending())
        .when(on("proposal", approve_close))
        .then_refused(is!(SamePerson { .. }))
        .when(on("proposal", refuse_proposal))
        .then_refused(is!(SamePerson { .. }))
        .by("checker")
        .when(on("proposal", withdraw_proposal))
        .then_refused(is!(NotMaker { .. }))
        .see(|ledger| assert_eq!(closed_through(&ledger.state), None))
        .when(on("proposal", approve_close))
        .then_ok()
        .see(|ledger| assert_eq!(closed_through(&ledger.state), Some(day("2026-03-31"))));
}

#[test]
fn until_it_is_approved_the_period_is_open() {
    let late = || c::Repay { value_date: day("2026-03-31"), ..repay("l1", [1, 0, 0]) };
    given(with_pending()).when(late()).then_ok();
    given(with_pending())
        .by("checker")
        .when(on("proposal", refuse_proposal))
        .then_ok()
        .when(late())
        .then_ok();
}

#[test]
fn periods_follow_each_other_and_are_over() {
    given(with_closed())
        .when(propose_close("2026-03-31"))
        .then_refused(is!(PeriodOutOfOrder { .. }))
        .when(propose_close("2026-02-28"))
        .then_refused(is!(PeriodOutOfOrder { .. }))
        .when(propose_close("2026-04-05"))
        .then_refused(is!(PeriodNotOver { .. }))
        .when(propose_close("2026-04-04"))
        .then_ok()
        .when(propose_close("2026-04-04"))
        .then_refused(is!(PeriodClosePending { .. }));
    // Nothing was before the fund opened.
    given(pilot())
        .when(propose_close("2025-12-31"))
        .then_refused(is!(PeriodOutOfOrder { .. }))
        .when(c::ProposePeriodClose { fund: id("none"), ..propose_close("2026-01-31") })
        .then_refused(is!(NotFound(..)))
        .when(propose_close("2026-01-01"))
        .then_ok();
}

#[test]
fn a_close_that_nobody_decides_on_lapses() {
    let lapses = ten_o_clock("2026-04-06");
    given(pilot())
        .today("2026-04-05")
        .when(c::ProposePeriodClose { expires_at: Some(lapses), ..propose_close("2026-03-31") })
        .then_ok()
        .named("proposal")
        .now(lapses)
        .by("checker")
        .when(on("proposal", approve_close))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(propose_close("2026-03-31"))
        .then_ok();
}

#[test]
fn what_is_closed_is_in_the_state() {
    let decoded = State::decode(&encoded(&with_closed().state)).unwrap();
    assert_eq!(closed_through(&decoded), Some(day("2026-03-31")));
}

#[test]
fn version_1_of_the_rules_closes_no_period() {
    let old = Ledger::empty().when(c::OpenLedger { rules_version: 1, ..open_ledger() }).then_ok();
    given(old)
        .when(propose_close("2026-01-31"))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }))
        .when(approve_close(Position::new(1)))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }));
}
