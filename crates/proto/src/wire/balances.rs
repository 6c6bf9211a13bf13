//! Balances as the wire has them: as messages in the answer to a single command, and as the same
//! messages' bytes in the answer to a batch, which has thousands of them.

use bergulir_domain::money::Currency;
use bergulir_domain::postings::Book;
use bergulir_domain::state::{AccountBalances, FundBalances, LoanBalances};

use crate::money::money_to_wire;
use crate::name::{AccountName, FundName, LoanName};
use crate::pb;

/// The numbers of `FundBalances` in minor units, in the order of its fields from 2 on; the second ones
/// are left out where they are zero.
pub(super) fn of_fund(balances: &FundBalances) -> ([i64; 11], [i64; 2]) {
    let book = |book| balances.books.amount(book);
    let always = [
        book(Book::Cash),
        book(Book::Capital),
        book(Book::PrincipalReceivable),
        book(Book::InterestIncome),
        book(Book::LateFeeIncome),
        book(Book::GrantExpense),
        balances.income_apart,
        balances.available(),
        balances.committed,
        balances.reserved,
        balances.committable(),
    ];
    (always, [book(Book::WriteOffLoss), book(Book::RecoveryIncome)])
}

/// The numbers of `AccountBalances`, as [`of_fund`] gives them.
pub(super) fn of_account(balances: &AccountBalances) -> ([i64; 8], [i64; 2]) {
    let always = [
        balances.disbursed,
        balances.principal_repaid,
        balances.outstanding(),
        balances.interest_paid,
        balances.late_fees_paid,
        balances.committed,
        balances.pending,
        balances.granted,
    ];
    (always, [balances.written_off, balances.recovered])
}

/// The numbers of `LoanBalances`, as [`of_fund`] gives them. `balances` is `None` while the loan is not
/// approved.
pub(super) fn of_loan(principal: i64, balances: Option<&LoanBalances>) -> ([i64; 7], [i64; 3]) {
    let undisbursed = balances.map_or(0, |balances| principal - balances.disbursed);
    let balances = balances.copied().unwrap_or_default();
    let always = [
        principal,
        balances.disbursed,
        undisbursed,
        balances.principal_repaid,
        balances.outstanding(),
        balances.interest_paid,
        balances.late_fees_paid,
    ];
    (always, [balances.written_off, balances.recovered, balances.recoverable()])
}

/// Money that is left out where there is none.
fn if_any(minor: i64, currency: Currency) -> Option<pb::Money> {
    (minor != 0).then(|| money_to_wire(minor, currency))
}

/// A fund's balances under its name.
pub fn fund_balances(
    name: &FundName,
    balances: &FundBalances,
    currency: Currency,
) -> pb::FundBalances {
    let (always, given_up) = of_fund(balances);
    let money = always.map(|minor| Some(money_to_wire(minor, currency)));
    let [write_off_loss, recovery_income] = given_up.map(|minor| if_any(minor, currency));
    let [cash, capital, principal_receivable, interest_income, late_fee_income, money @ ..] = money;
    let [grant_expense, income_apart, available, committed, reserved, committable] = money;
    pb::FundBalances {
        fund: name.to_string(),
        cash,
        capital,
        principal_receivable,
        interest_income,
        late_fee_income,
        grant_expense,
        income_apart,
        available,
        committed,
        reserved,
        committable,
        write_off_loss,
        recovery_income,
    }
}

/// An account's balances under its name.
pub fn account_balances(
    name: &AccountName,
    balances: &AccountBalances,
    currency: Currency,
) -> pb::AccountBalances {
    let (always, given_up) = of_account(balances);
    let money = always.map(|minor| Some(money_to_wire(minor, currency)));
    let [written_off, recovered] = given_up.map(|minor| if_any(minor, currency));
    let [disbursed, principal_repaid, outstanding, interest_paid, money @ ..] = money;
    let [late_fee_paid, committed, pending, granted] = money;
    pb::AccountBalances {
        account: name.to_string(),
        disbursed,
        principal_repaid,
        outstanding,
        interest_paid,
        late_fee_paid,
        committed,
        pending,
        granted,
        written_off,
        recovered,
    }
}

/// A loan's balances under its name. `balances` is `None` while it is not approved.
pub fn loan_balances(
    name: &LoanName,
    principal: i64,
    balances: Option<&LoanBalances>,
    currency: Currency,
) -> pb::LoanBalances {
    let (always, given_up) = of_loan(principal, balances);
    let money = always.map(|minor| Some(money_to_wire(minor, currency)));
    let [written_off, recovered, recoverable] = given_up.map(|minor| if_any(minor, currency));
    let [principal, disbursed, undisbursed, principal_repaid, money @ ..] = money;
    let [outstanding, interest_paid, late_fee_paid] = money;
    pb::LoanBalances {
        loan: name.to_string(),
        principal,
        disbursed,
        undisbursed,
        principal_repaid,
        outstanding,
        interest_paid,
        late_fee_paid,
        written_off,
        recovered,
        recoverable,
    }
}
