//! Write-offs, by two people and with papers, and what comes back. Since version 3 of the rules.

use crate::commands::{
    approve_close, approve_disbursement, approve_write_off, bring_back, close, day, disburse,
    open_ledger, propose_bank_account, propose_close, propose_disbursement, propose_loan,
    propose_reversal, propose_write_off, recover, refuse_proposal, repay, rp, suspend,
    withdraw_proposal,
};
use crate::given::{Ledger, given, on, ten_o_clock};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::command as c;
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::LoanStatus;
use bergulir_domain::{Position, Timestamp};

const PRINCIPAL: i64 = 100_000_000;

fn lent() -> Ledger {
    pilot().with_disbursed_loan("l1", rp(PRINCIPAL))
}

fn absolute(loan: &str, rupiah: i64) -> c::ProposeWriteOff {
    c::ProposeWriteOff { kind: c::WriteOffKind::Absolute, ..propose_write_off(loan, rp(rupiah)) }
}

trait WritesOff {
    fn written_off(self, proposal: c::ProposeWriteOff) -> Ledger;
    fn owes(self, outstanding: i64, recoverable: i64) -> Ledger;
}

impl WritesOff for Ledger {
    /// By two people; the record is named `write-off`.
    #[track_caller]
    fn written_off(self, proposal: c::ProposeWriteOff) -> Ledger {
        self.by_two(proposal, approve_write_off).named("write-off")
    }
    #[track_caller]
    fn owes(self, outstanding: i64, recoverable: i64) -> Ledger {
        let balances = self.loan_balances("l1");
        let found = [balances.outstanding(), balances.recoverable()];
        assert_eq!(found, [outstanding * 100, recoverable * 100], "outstanding and recoverable");
        self
    }
}

#[test]
fn rule_23_a_conditional_write_off_and_what_comes_back() {
    let million = 1_000_000;
    let ledger = given(lent())
        .when(repay("l1", [60 * million, 0, 0]))
        .then_ok()
        .written_off(propose_write_off("l1", rp(40 * million)))
        .owes(0, 40 * million)
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::WrittenOff))
        .when(recover("l1", rp(25 * million)))
        .then_ok()
        .named("recovery")
        .owes(0, 15 * million)
        .when(recover("l1", rp(20 * million)))
        .then_refused(is!(RecoveryExceeded { recoverable: 1_500_000_000, .. }))
        .when(on("write-off", propose_reversal))
        .then_refused(is!(WriteOffRecovered { remaining: 0, gone: 2_500_000_000 }));
    let fund = ledger.fund();
    let amount = |book| fund.books.amount(book);
    assert_eq!(amount(Book::WriteOffLoss), rp(40 * million).minor());
    assert_eq!(amount(Book::RecoveryIncome), rp(25 * million).minor());
    assert_eq!(amount(Book::PrincipalReceivable), 0);
    // Once the recovery is undone, the write-off can be.
    let ledger = ledger.reversed("recovery").reversed("write-off").owes(40 * million, 0);
    let balances = ledger.account("a1").balances();
    assert_eq!((balances.written_off, balances.recovered), (0, 0));
    let _ = ledger
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::Disbursed))
        .when(repay("l1", [40 * million, 0, 0]))
        .then_ok();
}

#[test]
fn rule_23_an_absolute_write_off_ends_the_claim() {
    let _ = given(lent())
        .written_off(absolute("l1", PRINCIPAL))
        .owes(0, 0)
        .when(recover("l1", rp(1)))
        .then_refused(is!(ClaimEnded { .. }))
        .when(repay("l1", [1, 0, 0]))
        .then_refused(is!(ClaimEnded { .. }))
        .when(repay("l1", [0, 1, 1]))
        .then_refused(is!(ClaimEnded { .. }))
        .reversed("write-off")
        .owes(PRINCIPAL, 0)
        .when(repay("l1", [PRINCIPAL, 0, 0]))
        .then_ok();
}

#[test]
fn rule_23_an_absolute_write_off_ends_what_is_left_of_a_conditional_one() {
    let ledger = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::Disbursed))
        .when(repay("l1", [PRINCIPAL - 40, 0, 0]))
        .then_ok()
        .when(recover("l1", rp(25)))
        .then_ok()
        .named("recovery")
        .when(absolute("l1", 16))
        .then_refused(is!(WriteOffExceeded { left: 1_500, .. }))
        .written_off(absolute("l1", 15))
        .owes(0, 0)
        .when(recover("l1", rp(1)))
        .then_refused(is!(ClaimEnded { .. }));
    // It moved nothing on the books: that was done before.
    assert_eq!(ledger.fund().books.amount(Book::WriteOffLoss), rp(40).minor());
    let _ = given(ledger)
        .reversed("write-off")
        .owes(0, 15)
        .when(recover("l1", rp(15)))
        .then_ok()
        .owes(0, 0);
}

#[test]
fn rule_23_what_was_ended_stands_in_the_way_of_undoing_what_was_written_off() {
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(PRINCIPAL)))
        .named("first")
        .written_off(absolute("l1", 15))
        .owes(0, PRINCIPAL - 15)
        .when(on("first", propose_reversal))
        .then_refused(is!(WriteOffRecovered { remaining: 0, gone: 1_500 }))
        .reversed("write-off")
        .reversed("first")
        .owes(PRINCIPAL, 0);
}

#[test]
fn rule_23_of_two_write_offs_one_can_be_undone_if_the_other_is_as_large_as_what_came_back() {
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .written_off(propose_write_off("l1", rp(25)))
        .when(recover("l1", rp(40)))
        .then_ok()
        .reversed("write-off")
        .owes(PRINCIPAL - 40, 0)
        .when(recover("l1", rp(1)))
        .then_refused(is!(RecoveryExceeded { recoverable: 0, .. }));
}

#[test]
fn a_recovery_that_is_undone_is_a_claim_again_though_the_rest_of_it_ended() {
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(PRINCIPAL)))
        .when(recover("l1", rp(25)))
        .then_ok()
        .named("recovery")
        .written_off(absolute("l1", PRINCIPAL - 25))
        .owes(0, 0)
        .when(recover("l1", rp(1)))
        .then_refused(is!(ClaimEnded { .. }))
        .reversed("recovery")
        .owes(0, 25)
        .when(recover("l1", rp(26)))
        .then_refused(is!(RecoveryExceeded { recoverable: 2_500, .. }))
        .when(recover("l1", rp(25)))
        .then_ok();
}

#[test]
fn an_absolute_write_off_takes_what_is_outstanding_first() {
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .written_off(absolute("l1", PRINCIPAL - 10))
        .owes(0, 10)
        .when(recover("l1", rp(11)))
        .then_refused(is!(RecoveryExceeded { recoverable: 1_000, .. }))
        .when(recover("l1", rp(10)))
        .then_ok();
}

#[test]
fn what_is_written_off_cannot_be_lent_and_what_is_recovered_can() {
    let before = lent().fund();
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .see(|ledger| assert_eq!(ledger.fund().available(), before.available()))
        .committable(before.committable())
        .when(recover("l1", rp(25)))
        .then_ok()
        .named("recovery")
        .committable(before.committable() + 2_500)
        .when(on("recovery", propose_reversal))
        .then_ok()
        // The reversal would take it out again.
        .committable(before.committable());
}

#[test]
fn a_recovery_that_was_lent_again_cannot_be_reversed() {
    let recovered = |ledger: Ledger| {
        ledger
            .written_off(propose_write_off("l1", rp(PRINCIPAL)))
            .when(recover("l1", rp(PRINCIPAL)))
            .then_ok()
            .named("recovery")
    };
    let ledger = recovered(lent());
    let most = 3_000_000_000;
    let rest = ledger.fund().committable() / 100 - most;
    let _ = ledger
        .with_loan("l2", rp(most))
        .with_loan("l3", rp(rest))
        .when(on("recovery", propose_reversal))
        .then_refused(is!(InsufficientFunds { .. }));
}

#[test]
fn rule_19_whoever_proposed_a_write_off_does_not_approve_it() {
    let ledger = given(lent()).when(propose_write_off("l1", rp(40))).then_ok().named("proposal");
    let _ = ledger
        .clone()
        .when(on("proposal", approve_write_off))
        .then_refused(is!(SamePerson { .. }))
        .when(on("proposal", refuse_proposal))
        .then_refused(is!(SamePerson { .. }))
        .by("checker")
        .when(on("proposal", withdraw_proposal))
        .then_refused(is!(NotMaker { .. }))
        .when(on("proposal", refuse_proposal))
        .then_ok()
        .owes(PRINCIPAL, 0)
        .when(on("proposal", approve_write_off))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(propose_write_off("l1", rp(40)))
        .then_ok();
    let _ = ledger
        .today("2026-03-20")
        .by("checker")
        .when(on("proposal", approve_write_off))
        .then_refused(is!(ProposalNotPending { .. }));
}

#[test]
fn a_repayment_goes_before_a_write_off_that_waits() {
    let _ = given(lent())
        .when(propose_write_off("l1", rp(PRINCIPAL)))
        .then_ok()
        .named("proposal")
        .when(propose_write_off("l1", rp(1)))
        .then_refused(is!(WriteOffPending { .. }))
        .when(repay("l1", [1, 0, 0]))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_write_off))
        .then_refused(is!(WriteOffExceeded { left: 9_999_999_900, .. }))
        .by("maker")
        .when(on("proposal", withdraw_proposal))
        .then_ok()
        .written_off(propose_write_off("l1", rp(PRINCIPAL - 1)))
        .owes(0, PRINCIPAL - 1);
}

#[test]
fn a_tranche_that_the_bank_sends_back_goes_before_a_write_off_that_waits() {
    let _ = given(lent())
        .when(propose_write_off("l1", rp(40)))
        .then_ok()
        .named("proposal")
        .when(on("l1", bring_back))
        .then_ok()
        .owes(0, 0)
        .by("checker")
        .when(on("proposal", approve_write_off))
        .then_refused(is!(WriteOffExceeded { left: 0, .. }));
}

#[test]
fn a_repayment_that_was_wrong_is_undone_after_the_rest_was_written_off() {
    let million = 1_000_000;
    let _ = given(lent())
        .when(repay("l1", [60 * million, 0, 0]))
        .then_ok()
        .named("repayment")
        .written_off(propose_write_off("l1", rp(40 * million)))
        .reversed("repayment")
        .owes(60 * million, 40 * million)
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::Disbursed))
        .when(repay("l1", [60 * million, 0, 0]))
        .then_ok()
        .owes(0, 40 * million);
}

#[test]
fn what_was_paid_before_a_write_off_and_found_after_it_is_a_recovery_of_its_day() {
    let before = c::RecordRecovery { value_date: day("2026-03-04"), ..recover("l1", rp(25)) };
    let repaid = c::Repay { value_date: day("2026-03-04"), ..repay("l1", [PRINCIPAL - 40, 0, 0]) };
    let _ = given(lent())
        .today("2026-03-10")
        .by_two(propose_write_off("l1", rp(40)), |proposal| c::ApproveWriteOff {
            value_date: day("2026-03-10"),
            ..approve_write_off(proposal)
        })
        // What is outstanding takes it first.
        .when(repaid)
        .then_ok()
        .owes(0, 40)
        .when(before)
        .then_ok()
        .owes(0, 15);
}

#[test]
fn a_write_off_that_waits_lapses_at_the_instant_that_it_names() {
    let lapses = ten_o_clock("2026-03-05");
    let proposal =
        c::ProposeWriteOff { expires_at: Some(lapses), ..propose_write_off("l1", rp(40)) };
    let pending = given(lent()).when(proposal).then_ok().named("proposal");
    let just_before = Timestamp::from_micros(lapses.as_micros() - 1);
    let _ = pending.clone().now(just_before).approved("proposal", approve_write_off);
    let _ = pending
        .now(lapses)
        .by("checker")
        .when(on("proposal", approve_write_off))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(propose_write_off("l1", rp(40)))
        .then_ok();
}

#[test]
fn no_more_is_written_off_than_is_outstanding() {
    let _ = given(lent())
        .with_loan("l1b", rp(1))
        .when(propose_write_off("l1", rp(PRINCIPAL + 1)))
        .then_refused(is!(WriteOffExceeded { .. }))
        .when(absolute("l1", PRINCIPAL + 1))
        .then_refused(is!(WriteOffExceeded { .. }))
        .when(propose_write_off("l1b", rp(1)))
        .then_refused(is!(WriteOffExceeded { left: 0, .. }))
        .when(recover("l1", rp(1)))
        .then_refused(is!(RecoveryExceeded { recoverable: 0, .. }))
        .when(propose_write_off("l9", rp(1)))
        .then_refused(is!(NotFound(_)))
        // What was written off before is not written off conditionally a second time.
        .written_off(propose_write_off("l1", rp(40)))
        .when(propose_write_off("l1", rp(PRINCIPAL - 39)))
        .then_refused(is!(WriteOffExceeded { left: 9_999_996_000, .. }));
}

#[test]
fn a_loan_written_off_in_part_goes_on_with_the_rest() {
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .when(repay("l1", [PRINCIPAL - 39, 0, 0]))
        .then_refused(is!(OutstandingExceeded { .. }))
        .when(repay("l1", [PRINCIPAL - 40, 1, 1]))
        .then_ok()
        // Interest may still come of what is claimed; principal of it is a recovery.
        .when(repay("l1", [0, 1, 0]))
        .then_ok()
        .when(repay("l1", [1, 0, 0]))
        .then_refused(is!(OutstandingExceeded { outstanding: 0, .. }));
}

#[test]
fn nothing_more_is_paid_out_on_a_loan_of_which_something_was_written_off() {
    let _ = given(pilot())
        .with_loan("l1", rp(PRINCIPAL))
        .when(disburse("l1", rp(70)))
        .then_ok()
        .named("tranche")
        .when(propose_disbursement("l1", rp(10)))
        .then_ok()
        .named("payment")
        .written_off(propose_write_off("l1", rp(40)))
        .when(disburse("l1", rp(1)))
        .then_refused(is!(LoanWrittenOff { written_off: 4_000, .. }))
        .when(propose_disbursement("l1", rp(1)))
        .then_refused(is!(LoanWrittenOff { .. }))
        .by("checker")
        .when(on("payment", approve_disbursement))
        .then_refused(is!(LoanWrittenOff { .. }))
        // What was written off had gone out.
        .when(on("tranche", bring_back))
        .then_refused(is!(DisbursementRepaid { remaining: 0, repaid: 4_000 }))
        .reversed("write-off")
        .when(disburse("l1", rp(1)))
        .then_ok();
}

#[test]
fn rule_24_a_write_off_and_a_recovery_have_a_value_date_in_an_open_period() {
    let pending = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .when(propose_write_off("l1", rp(10)))
        .then_ok()
        .named("proposal")
        .today("2026-03-05")
        .when(propose_close("2026-03-03"))
        .then_ok()
        .named("close")
        .approved("close", approve_close)
        .by("checker");
    let dated = |date: &str| {
        let value_date = day(date);
        move |proposal| c::ApproveWriteOff { value_date, ..approve_write_off(proposal) }
    };
    let back = |date: &str| c::RecordRecovery { value_date: day(date), ..recover("l1", rp(1)) };
    let _ = pending
        .when(on("proposal", dated("2026-03-03")))
        .then_refused(is!(PeriodClosed { .. }))
        .when(on("proposal", dated("2026-03-01")))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(on("proposal", dated("2026-03-06")))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(back("2026-03-03"))
        .then_refused(is!(PeriodClosed { .. }))
        .when(back("2026-03-01"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(back("2026-03-04"))
        .then_ok()
        .when(on("proposal", dated("2026-03-04")))
        .then_ok();
}

#[test]
fn rule_24_a_write_off_of_a_closed_period_is_reversed_on_a_day_that_is_open() {
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .when(recover("l1", rp(25)))
        .then_ok()
        .named("recovery")
        .today("2026-04-05")
        .by_two(propose_close("2026-03-31"), approve_close)
        .reversed("recovery")
        .reversed("write-off")
        .owes(PRINCIPAL, 0);
}

#[test]
fn rule_15_a_recovery_uses_a_bank_reference() {
    let first = recover("l1", rp(1));
    let again = c::RecordRecovery { amount: rp(2), ..first.clone() };
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(40)))
        .when(first)
        .then_ok()
        .named("recovery")
        .when(again.clone())
        .then_refused(is!(BankReferenceUsed { .. }))
        .reversed("recovery")
        .when(again)
        .then_ok();
}

#[test]
fn the_ceiling_counts_what_is_outstanding_and_a_reversal_needs_room_under_it() {
    let ceiling = 3_000_000_000;
    let _ = given(pilot())
        .with_disbursed_loan("l1", rp(ceiling))
        .written_off(propose_write_off("l1", rp(40)))
        .with_loan("l1b", rp(40))
        .when(on("write-off", propose_reversal))
        .then_refused(is!(CeilingExceeded { .. }));
}

#[test]
fn while_a_reversal_of_a_write_off_waits_its_room_under_the_ceiling_is_taken() {
    let ceiling = 3_000_000_000;
    let _ = given(pilot())
        .with_disbursed_loan("l1", rp(ceiling))
        .written_off(propose_write_off("l1", rp(40)))
        .when(on("write-off", propose_reversal))
        .then_ok()
        .named("reversal")
        .when(propose_loan("l1b", rp(1)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(on("reversal", withdraw_proposal))
        .then_ok()
        .when(propose_loan("l1b", rp(40)))
        .then_ok();
}

#[test]
fn a_loan_of_a_suspended_account_is_written_off_and_recovered_all_the_same() {
    let _ = given(lent())
        .when(suspend("a1"))
        .then_ok()
        .written_off(propose_write_off("l1", rp(40)))
        .when(recover("l1", rp(25)))
        .then_ok()
        .owes(PRINCIPAL - 40, 15)
        .named("recovery")
        .reversed("recovery")
        .reversed("write-off")
        .owes(PRINCIPAL, 0);
}

#[test]
fn an_account_can_be_closed_although_a_claim_stays_and_what_comes_back_is_recorded() {
    let _ = given(lent())
        .written_off(propose_write_off("l1", rp(PRINCIPAL)))
        .when(close("a1"))
        .then_ok()
        .when(propose_bank_account("a1", "00991"))
        .then_refused(is!(AccountNotOpen { .. }))
        .when(on("write-off", propose_reversal))
        .then_refused(is!(AccountNotOpen { .. }))
        .when(recover("l1", rp(1)))
        .then_ok()
        .named("recovery")
        .reversed("recovery")
        // The claim can be ended too.
        .written_off(absolute("l1", PRINCIPAL))
        .owes(0, 0);
}

#[test]
fn rule_17_a_write_off_of_the_wrong_loan_is_reversed_and_made_anew() {
    let _ = given(lent())
        .with_disbursed_loan("l1b", rp(50))
        .written_off(propose_write_off("l1b", rp(50)))
        .reversed("write-off")
        .when(on("write-off", propose_reversal))
        .then_refused(is!(AlreadyUndone { .. }))
        .written_off(propose_write_off("l1", rp(50)))
        .owes(PRINCIPAL - 50, 50);
}

#[test]
fn rules_before_version_3_know_no_write_off() {
    let needs_3 = is!(RulesTooOld { needed: 3, .. });
    for rules_version in [1, 2] {
        let _ = given(Ledger::empty())
            .when(c::OpenLedger { rules_version, ..open_ledger() })
            .then_ok()
            .when(propose_write_off("l1", rp(1)))
            .then_refused(needs_3)
            .when(approve_write_off(Position::new(0)))
            .then_refused(needs_3)
            .when(recover("l1", rp(1)))
            .then_refused(needs_3)
            .when(c::AdoptRules { version: 3 })
            .then_ok()
            .when(approve_write_off(Position::new(0)))
            .then_refused(is!(ProposalNotPending { .. }))
            .when(recover("l1", rp(1)))
            .then_refused(is!(NotFound(_)));
    }
}
