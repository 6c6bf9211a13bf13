//! Payments: retries, bank references, dates, and the parts of a repayment.

use crate::commands::{
    OPENING, TODAY, allocate, approve_withdrawal, bank, bring_back, change_terms, day, disburse,
    loan_terms, part, propose_withdrawal, repay, rp, terms,
};
use crate::given::{Ledger, given, on};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::command::{self as c, BankReference, Command};
use bergulir_domain::terms::{LoanTerms, Purpose, Terms};

fn lent() -> Ledger {
    pilot().with_disbursed_loan("l1", rp(100_000_000))
}

#[test]
fn rule_14_a_retry_is_told_from_another_command() {
    // The same request id with the same command is a retry; what makes it the same is that the
    // command rebuilt from the event equals it, what was left out included.
    let given_parts = repay("l1", [3_030_303, 0, 0]);
    let ledger = lent().when(given_parts.clone()).then_ok();
    let rebuilt = ledger.records.0.last().unwrap().1.command();
    assert_eq!(rebuilt, Command::Repay(given_parts.clone()));
    let others = [
        c::Repay { interest: Some(part(0)), ..given_parts.clone() },
        c::Repay { amount: rp(3_030_304), ..given_parts.clone() },
        c::Repay { value_date: day(OPENING), ..given_parts.clone() },
        c::Repay {
            bank_reference: BankReference { line: Some(0), ..given_parts.bank_reference.clone() },
            ..given_parts
        },
    ];
    for other in others {
        assert_ne!(rebuilt, Command::Repay(other));
    }
}

#[test]
fn rule_15_a_bank_reference_is_used_once() {
    let first = repay("l1", [1_000_000, 0, 0]);
    let again =
        c::Repay { bank_reference: first.bank_reference.clone(), ..repay("l1", [2_000_000, 0, 0]) };
    given(lent())
        .when(first.clone())
        .then_ok()
        .when(again)
        .then_refused(is!(BankReferenceUsed { .. }))
        .when(c::AllocateFund { bank_reference: first.bank_reference, ..allocate("pilot", rp(1)) })
        .then_refused(is!(BankReferenceUsed { .. }));
}

#[test]
fn rule_15_every_movement_of_cash_has_one() {
    let reference = bank("SAME");
    let ledger = lent()
        .with_loan("l2", rp(10))
        .when(on("allocation", propose_withdrawal(rp(10))))
        .then_ok()
        .named("withdrawal")
        .when(c::Repay { bank_reference: reference.clone(), ..repay("l1", [1, 0, 0]) })
        .then_ok();
    let bank_reference = || reference.clone();
    given(ledger)
        .when(c::Disburse { bank_reference: bank_reference(), ..disburse("l2", rp(10)) })
        .then_refused(is!(BankReferenceUsed { .. }))
        .when(on("l1", |tranche| c::ReturnDisbursement {
            bank_reference: bank_reference(),
            ..bring_back(tranche)
        }))
        .then_refused(is!(DisbursementRepaid { .. }))
        .when(disburse("l2", rp(10)))
        .then_ok()
        .named("l2")
        .when(on("l2", |tranche| c::ReturnDisbursement {
            bank_reference: bank_reference(),
            ..bring_back(tranche)
        }))
        .then_refused(is!(BankReferenceUsed { .. }))
        .by("checker")
        .when(on("withdrawal", |proposal| c::ApproveAllocationWithdrawal {
            bank_reference: bank_reference(),
            ..approve_withdrawal(proposal)
        }))
        .then_refused(is!(BankReferenceUsed { .. }))
        .when(on("withdrawal", approve_withdrawal))
        .then_ok();
}

#[test]
fn rule_15_lines_tell_the_parts_of_a_bulk_transfer_apart() {
    let of_line = |line| c::Repay {
        bank_reference: BankReference { line, ..bank("BULK") },
        ..repay("l1", [1, 0, 0])
    };
    given(lent())
        .when(of_line(Some(1)))
        .then_ok()
        .when(of_line(Some(2)))
        .then_ok()
        .when(of_line(Some(1)))
        .then_refused(is!(BankReferenceUsed { .. }))
        .when(of_line(None))
        .then_ok()
        .when(of_line(Some(0)))
        .then_refused(is!(BankReferenceUsed { .. }));
}

#[test]
fn rule_15_another_bank_may_use_the_same_reference() {
    let of_bank = |code: &str| c::Repay {
        bank_reference: BankReference { bank: crate::commands::text(code), ..bank("TRX") },
        ..repay("l1", [1, 0, 0])
    };
    given(lent())
        .when(of_bank("BRI"))
        .then_ok()
        .when(of_bank("BNI"))
        .then_ok()
        .when(of_bank("BRI"))
        .then_refused(is!(BankReferenceUsed { .. }));
}

#[test]
fn rule_15_a_reversal_frees_the_reference_for_one_new_posting() {
    let posted =
        |principal| c::Repay { bank_reference: bank("TRX"), ..repay("l1", [principal, 0, 0]) };
    given(lent())
        .when(posted(3_000_000))
        .then_ok()
        .named("wrong")
        .reversed("wrong")
        .when(posted(3_030_303))
        .then_ok()
        .named("right")
        .when(posted(1))
        .then_refused(is!(BankReferenceUsed { .. }))
        .reversed("right")
        .when(posted(1))
        .then_ok();
}

#[test]
fn rule_15_a_pending_reversal_frees_nothing() {
    let posted = || c::Repay { bank_reference: bank("TRX"), ..repay("l1", [1, 0, 0]) };
    given(lent())
        .when(posted())
        .then_ok()
        .named("wrong")
        .when(on("wrong", crate::commands::propose_reversal))
        .then_ok()
        .when(posted())
        .then_refused(is!(BankReferenceUsed { .. }));
}

#[test]
fn rule_16_the_order_of_recording_does_not_matter() {
    let dated = |date: &str, parts| c::Repay { value_date: day(date), ..repay("l1", parts) };
    let march_16 = dated("2026-03-16", [3_030_303, 454_545, 10_000]);
    let march_20 = dated("2026-03-20", [2_000_000, 0, 500]);
    let ledger = lent().today("2026-03-21");
    let after = |first: &c::Repay, second: &c::Repay| {
        ledger.clone().when(first.clone()).then_ok().when(second.clone()).then_ok()
    };
    let (late, in_order) = (after(&march_20, &march_16), after(&march_16, &march_20));
    assert_eq!(late.loan("l1"), in_order.loan("l1"));
    assert_eq!(late.account("a1"), in_order.account("a1"));
    assert_eq!(late.fund(), in_order.fund());
}

#[test]
fn the_parts_of_a_repayment_sum_to_it() {
    let of = |amount, parts| c::Repay { amount: rp(amount), ..repay("l1", parts) };
    given(lent())
        .when(of(3_484_849, [3_030_303, 454_545, 0]))
        .then_refused(is!(PartsDoNotSum { parts: 348_484_800, .. }))
        .when(of(3_484_847, [3_030_303, 454_545, 0]))
        .then_refused(is!(PartsDoNotSum { .. }))
        .when(of(1, [0, 0, 0].map(|n| n + 1)))
        .then_refused(is!(PartsDoNotSum { .. }))
        .when(of(3_484_848, [3_030_303, 454_545, 0]))
        .then_ok()
        .see(|ledger| {
            let loan = ledger.loan_balances("l1");
            assert_eq!(loan.outstanding(), 9_696_969_700);
            assert_eq!(loan.interest_paid, 45_454_500);
        });
}

#[test]
fn no_more_principal_is_repaid_than_is_outstanding() {
    given(lent())
        .when(repay("l1", [100_000_001, 0, 0]))
        .then_refused(is!(OutstandingExceeded { .. }))
        .when(repay("l1", [100_000_000, 0, 0]))
        .then_ok()
        .when(repay("l1", [1, 0, 0]))
        .then_refused(is!(OutstandingExceeded { outstanding: 0, .. }))
        .when(repay("l1", [0, 10, 10]))
        .then_ok();
}

#[test]
fn nothing_is_repaid_before_something_is_disbursed() {
    given(pilot().with_loan("l1", rp(100)))
        .when(repay("l1", [0, 1, 0]))
        .then_refused(is!(NothingDisbursed { .. }))
        .when(disburse("l1", rp(50)))
        .then_ok()
        .named("tranche")
        .when(repay("l1", [0, 1, 0]))
        .then_ok()
        .when(on("tranche", bring_back))
        .then_ok()
        .when(repay("l1", [0, 1, 0]))
        .then_refused(is!(NothingDisbursed { .. }));
}

#[test]
fn a_value_date_lies_between_the_opening_of_the_fund_and_today() {
    let allocated =
        |date: &str| c::AllocateFund { value_date: day(date), ..allocate("pilot", rp(1)) };
    let disbursed = |date: &str| c::Disburse { value_date: day(date), ..disburse("l2", rp(1)) };
    given(lent().with_loan("l2", rp(10)))
        .when(allocated("2025-12-31"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(allocated(OPENING))
        .then_ok()
        .when(allocated("2026-03-03"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(allocated(TODAY))
        .then_ok()
        .when(disbursed("2025-12-31"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(disbursed("2026-03-03"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(disbursed(OPENING))
        .then_ok();
}

#[test]
fn a_repayment_is_not_dated_before_the_first_tranche_that_stands() {
    let disbursed = |date: &str| c::Disburse { value_date: day(date), ..disburse("l1", rp(50)) };
    let repaid = |date: &str| c::Repay { value_date: day(date), ..repay("l1", [1, 0, 0]) };
    given(pilot().with_loan("l1", rp(150)))
        .when(disbursed("2026-02-10"))
        .then_ok()
        .when(disbursed("2026-02-01"))
        .then_ok()
        .named("first")
        .when(repaid("2026-01-31"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(repaid("2026-02-01"))
        .then_ok()
        .when(repaid("2026-03-03"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(on("first", bring_back))
        .then_ok()
        .when(repaid("2026-02-09"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(repaid("2026-02-10"))
        .then_ok();
}

#[test]
fn today_begins_at_midnight_of_the_ledger() {
    let tomorrow = c::AllocateFund { value_date: day("2026-03-03"), ..allocate("pilot", rp(1)) };
    let ten = crate::given::ten_o_clock("2026-03-02").as_micros();
    let midnight = bergulir_domain::Timestamp::from_micros(ten + 14 * 3_600_000_000);
    let just_before = bergulir_domain::Timestamp::from_micros(midnight.as_micros() - 1);
    given(pilot())
        .now(just_before)
        .when(tomorrow.clone())
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .now(midnight)
        .when(tomorrow)
        .then_ok();
}

#[test]
fn income_is_lent_again_from_the_day_on_which_the_terms_say_so() {
    let relending = Terms {
        purpose: Purpose::Loan(LoanTerms { relend_income: true, ..loan_terms() }),
        ..terms()
    };
    given(lent())
        .when(change_terms("2026-03-10", relending))
        .then_ok()
        .when(repay("l1", [0, 10, 5]))
        .then_ok()
        .named("kept apart")
        .available(rp(5_700_000_000))
        .today("2026-03-10")
        .available(rp(5_700_000_000))
        .when(c::Repay { value_date: day("2026-03-10"), ..repay("l1", [0, 20, 7]) })
        .then_ok()
        .named("lent again")
        .available(rp(5_700_000_027))
        // It came before that day, whenever it is recorded.
        .when(repay("l1", [0, 40, 9]))
        .then_ok()
        .named("late, kept apart")
        .available(rp(5_700_000_027))
        .when(change_terms("2026-03-10", terms()))
        .then_ok()
        .available(rp(5_700_000_027))
        .reversed("lent again")
        .available(rp(5_700_000_000))
        .reversed("late, kept apart")
        .reversed("kept apart")
        .available(rp(5_700_000_000))
        .see(|ledger| assert_eq!(ledger.fund().income_apart, 0));
}
