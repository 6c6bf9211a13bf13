//! Lending: what may be promised, disbursed, and lent again.

use crate::commands::{
    approve_loan, disburse, fresh, id, open_account, propose_loan, repay, rp, terms,
};
use crate::given::given;
use crate::is;
use crate::programme::{pilot, programme};
use bergulir_domain::command as c;
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::{AccountStatus, LoanStatus, Purse, Resource};

#[test]
fn rule_01_nothing_is_disbursed_before_the_account_is_open() {
    given(programme(terms(), 0).with_cooperative(1))
        .when(propose_loan("l1", rp(100_000_000)))
        .then_refused(is!(NotFound(Resource::Account(..))))
        .when(disburse("l1", rp(100_000_000)))
        .then_refused(is!(NotFound(Resource::Loan(_))))
        .when(c::DisburseGrant { fund: id("pilot"), ..crate::commands::grant("a1", rp(1)) })
        .then_refused(is!(NotFound(Resource::Account(..))))
        .when(open_account("a1"))
        .then_ok()
        .with_loan("l1", rp(100_000_000))
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn rule_01_an_account_that_was_open_is_not_enough() {
    given(pilot().with_loan("l1", rp(100_000_000)))
        .when(crate::commands::suspend("a1"))
        .then_ok()
        .when(disburse("l1", rp(100_000_000)))
        .then_refused(is!(AccountNotOpen { status: AccountStatus::Suspended, .. }))
        .when(crate::commands::resume("a1"))
        .then_ok()
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn rule_03_tranches_stay_within_the_loan() {
    given(pilot().with_loan("l1", rp(100_000_000)))
        .when(disburse("l1", rp(70_000_000)))
        .then_ok()
        .when(disburse("l1", rp(30_000_001)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .when(disburse("l1", rp(30_000_000)))
        .then_ok()
        .when(disburse("l1", rp(1)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .see(|ledger| {
            assert_eq!(ledger.loan_balances("l1").disbursed, 10_000_000_000);
            assert_eq!(ledger.loan("l1").status(), LoanStatus::Disbursed);
        });
}

#[test]
fn rule_03_what_is_repaid_is_not_disbursed_again_under_the_same_loan() {
    given(pilot().with_disbursed_loan("l1", rp(100_000_000)))
        .when(repay("l1", [100_000_000, 0, 0]))
        .then_ok()
        .when(disburse("l1", rp(1)))
        .then_refused(is!(LoanLimitExceeded { .. }))
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::Settled));
}

#[test]
fn rule_04_of_two_tranches_that_do_not_both_fit_exactly_one_succeeds() {
    let ledger = pilot().with_loan("l1", rp(100_000_000));
    let [first, second] = [(); 2].map(|()| disburse("l1", rp(60_000_000)));
    let either = |command: &c::Disburse| ledger.decide(&c::Command::Disburse(command.clone()));
    assert!(either(&first).is_ok() && either(&second).is_ok());
    for [winner, loser] in [[first.clone(), second.clone()], [second, first]] {
        given(ledger.clone())
            .when(winner)
            .then_ok()
            .when(loser)
            .then_refused(is!(LoanLimitExceeded { .. }));
    }
}

#[test]
fn rule_05_principal_that_came_back_is_available() {
    let mut ledger = programme(terms(), 58);
    for number in 1..=58 {
        ledger = ledger.with_disbursed_loan(&format!("l{number}"), rp(100_000_000));
    }
    given(ledger)
        .see(|ledger| assert_eq!(ledger.fund().available(), 0))
        .when(repay("l1", [100_000_000, 0, 0]))
        .then_ok()
        .available(rp(100_000_000))
        .with_disbursed_loan("l2b", rp(100_000_000));
}

#[test]
fn rule_06_interest_raises_cash_and_income_and_not_what_is_available() {
    let ledger = pilot().with_disbursed_loan("l1", rp(100_000_000));
    let before = ledger.fund();
    given(ledger).when(repay("l1", [0, 15_000_000, 0])).then_ok().available(rp(5_700_000_000)).see(
        |ledger| {
            let rise = |book| ledger.fund().books.amount(book) - before.books.amount(book);
            assert_eq!(rise(Book::Cash), 1_500_000_000);
            assert_eq!(rise(Book::InterestIncome), 1_500_000_000);
            assert_eq!(ledger.fund().available(), before.available());
        },
    );
}

#[test]
fn rule_07_a_loan_not_yet_disbursed_lowers_what_is_committable() {
    given(pilot().with_loan("l1", rp(100_000_000)))
        .available(rp(5_800_000_000))
        .committable(570_000_000_000)
        .when(disburse("l1", rp(40_000_000)))
        .then_ok()
        .available(rp(5_760_000_000))
        .committable(570_000_000_000);
}

#[test]
fn rule_07_a_pending_loan_lowers_it_too() {
    given(pilot())
        .when(propose_loan("l1", rp(100_000_000)))
        .then_ok()
        .available(rp(5_800_000_000))
        .committable(570_000_000_000)
        .by("checker")
        .when(approve_loan("l1"))
        .then_ok()
        .available(rp(5_800_000_000))
        .committable(570_000_000_000);
}

#[test]
fn rule_08_the_59th_loan_is_refused_until_principal_is_back() {
    let mut ledger = programme(terms(), 59);
    for number in 1..=58 {
        ledger = ledger.with_disbursed_loan(&format!("l{number}"), rp(100_000_000));
    }
    given(ledger)
        .when(propose_loan("l59", rp(100_000_000)))
        .then_refused(is!(InsufficientFunds { purse: Purse::Committable, has: 0, .. }))
        .when(repay("l7", [99_999_999, 0, 0]))
        .then_ok()
        .when(propose_loan("l59", rp(100_000_000)))
        .then_refused(is!(InsufficientFunds { .. }))
        .when(repay("l7", [1, 0, 0]))
        .then_ok()
        .with_disbursed_loan("l59", rp(100_000_000));
}

#[test]
fn rule_08_promises_count_as_much_as_what_is_disbursed() {
    let mut ledger = programme(terms(), 59);
    for number in 1..=29 {
        ledger = ledger
            .with_loan(&format!("l{number}"), rp(100_000_000))
            .when(propose_loan(&format!("l{}", number + 29), rp(100_000_000)))
            .then_ok();
    }
    given(ledger)
        .available(rp(5_800_000_000))
        .committable(0)
        .when(propose_loan("l59", rp(1)))
        .then_refused(is!(InsufficientFunds { .. }));
}

#[test]
fn a_loan_that_is_not_approved_pays_nothing_and_takes_nothing() {
    given(pilot())
        .when(propose_loan("l1", rp(100_000_000)))
        .then_ok()
        .when(disburse("l1", rp(1)))
        .then_refused(is!(LoanNotApproved { status: LoanStatus::Pending, .. }))
        .when(repay("l1", [1, 0, 0]))
        .then_refused(is!(LoanNotApproved { .. }));
}

#[test]
fn a_loan_id_is_used_once_in_a_ledger() {
    given(pilot().with_loan("l1", rp(1)))
        .when(c::ProposeLoan { loan: id("l1"), ..propose_loan("l2", rp(1)) })
        .then_refused(is!(AlreadyExists(Resource::Loan(_))));
}

#[test]
fn a_bank_reference_of_a_refused_disbursement_stays_free() {
    let reference = fresh();
    given(pilot().with_loan("l1", rp(100_000_000)))
        .when(c::Disburse { bank_reference: reference.clone(), ..disburse("l1", rp(100_000_001)) })
        .then_refused(is!(LoanLimitExceeded { .. }))
        .when(c::Disburse { bank_reference: reference, ..disburse("l1", rp(100_000_000)) })
        .then_ok();
}

#[test]
fn looking_ahead_finds_the_accounts_and_takes_any_number_of_loans() {
    let ledger = pilot().with_loan("l1", rp(1)).with_loan("l2", rp(1));
    let account = |loan| Some(ledger.loan(loan).account);
    let ahead = ledger.state.look_ahead([id("l2"), id("l1")].into_iter());
    assert_eq!(ahead[..3], [account("l2"), account("l1"), None]);
    let many = ledger.state.look_ahead(core::iter::repeat_n(id("l1"), 100));
    assert!(many.iter().all(|found| *found == account("l1")));
    ledger.state.look_ahead((0..100).map(|n| id(&format!("unknown-{n}"))));
}
