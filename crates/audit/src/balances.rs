//! Money counted in two ways: what accounts add up to, against the books of their funds. At every
//! position for whom its record concerned, and over the whole state at each seal and at the end.

use std::collections::BTreeMap;
use std::hint::black_box;

use bergulir_domain::postings::Book;
use bergulir_domain::rejection::AccountStatus;
use bergulir_domain::state::{
    Account, AccountBalances, AccountIndex, Fund, FundBalances, FundIndex, Loan, Tranches,
};
use bergulir_domain::{State, Touched};
use thiserror::Error;

/// Two numbers that must agree and do not, or one that must not be negative and is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Imbalance {
    /// Two ways to count the same money differ.
    #[error("{whose}: {what} is {found}, but it should be {expected} minor units")]
    Differ {
        /// Which fund, account or loan.
        whose: String,
        /// Which number.
        what: &'static str,
        /// As it stands there.
        found: i128,
        /// As the other way to count gives it.
        expected: i128,
    },
    /// A number that must not be negative.
    #[error("{whose}: {what} is {found} minor units")]
    Negative {
        /// Which fund, account or loan.
        whose: String,
        /// Which number.
        what: &'static str,
        /// The number.
        found: i128,
    },
}

type Checked = Result<(), Imbalance>;

/// What the accounts of each fund add up to, kept up with every record.
#[derive(Debug, Default)]
pub(crate) struct Balances {
    accounts: Vec<AccountBalances>,
    funds: Vec<Sums>,
}

/// What accounts add up to, without what is pending, which time alone can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    outstanding: i128,
    interest_paid: i128,
    late_fees_paid: i128,
    granted: i128,
    committed: i128,
    written_off: i128,
    recovered: i128,
}

impl Sums {
    fn add(&mut self, balances: &AccountBalances, sign: i128) {
        self.outstanding += sign * i128::from(balances.outstanding());
        self.interest_paid += sign * i128::from(balances.interest_paid);
        self.late_fees_paid += sign * i128::from(balances.late_fees_paid);
        self.granted += sign * i128::from(balances.granted);
        self.committed += sign * i128::from(balances.committed);
        self.written_off += sign * i128::from(balances.written_off);
        self.recovered += sign * i128::from(balances.recovered);
    }
}

impl Balances {
    /// Those of a state that is taken as it is.
    pub(crate) fn of(state: &State) -> Balances {
        let mut balances = Balances::default();
        for (index, account) in state.accounts().iter() {
            *at(&mut balances.accounts, index.get()) = account.balances();
            at(&mut balances.funds, account.fund.get()).add(&account.balances(), 1);
        }
        balances
    }

    /// Reads what is kept of these accounts, ahead of [`Balances::step`].
    pub(crate) fn look_ahead(&self, accounts: impl Iterator<Item = AccountIndex>) {
        for account in accounts {
            black_box(self.accounts.get(account.get() as usize).copied());
        }
    }

    /// Checks whom the last record concerned.
    pub(crate) fn step(&mut self, state: &State, touched: &Touched) -> Checked {
        if let Some(index) = touched.account {
            let account = state.accounts().get(index);
            let before = at(&mut self.accounts, index.get());
            let sums = at(&mut self.funds, account.fund.get());
            sums.add(before, -1);
            sums.add(&account.balances(), 1);
            *before = account.balances();
            check_account(account)?;
        }
        if let Some(index) = touched.loan {
            check_loan(state.loans().get(index))?;
        }
        if let Some(index) = touched.fund {
            let sums = at(&mut self.funds, index.get());
            check_fund(state.funds().get(index), sums)?;
        }
        Ok(())
    }

    /// Checks the whole state from nothing.
    pub(crate) fn whole(&mut self, state: &State) -> Checked {
        let mut funds = vec![Sums::default(); state.funds().len()];
        for (_, account) in state.accounts().iter() {
            check_account(account)?;
            at(&mut funds, account.fund.get()).add(&account.balances(), 1);
        }
        check_reservations(state)?;
        check_loans(state)?;
        for (index, fund) in state.funds().iter() {
            let sums = at(&mut funds, index.get());
            check_fund(fund, sums)?;
            check_allocations(fund)?;
            let kept = *at(&mut self.funds, index.get());
            let whose = || format!("fund {}", fund.id);
            // They differ only if a record changed an account that it did not say it concerns.
            differ(whose, "the sum over its accounts", kept.outstanding, sums.outstanding)?;
            differ(whose, "the sum over its accounts", kept.committed, sums.committed)?;
        }
        Ok(())
    }
}

fn at<T: Clone + Default>(rows: &mut Vec<T>, index: u32) -> &mut T {
    let index = index as usize;
    if rows.len() <= index {
        rows.resize(index + 1, T::default());
    }
    &mut rows[index]
}

fn check_fund(fund: &Fund, sums: &Sums) -> Checked {
    let whose = || format!("fund {}", fund.id);
    let balances = &fund.balances;
    let amount = |book| i128::from(balances.books.amount(book));
    for (what, book) in [
        ("cash", Book::Cash),
        ("capital", Book::Capital),
        ("principal receivable", Book::PrincipalReceivable),
        ("interest income", Book::InterestIncome),
        ("late fee income", Book::LateFeeIncome),
        ("suspense", Book::Suspense),
        ("write-off loss", Book::WriteOffLoss),
        ("recovery income", Book::RecoveryIncome),
        ("grant expense", Book::GrantExpense),
    ] {
        not_negative(whose, what, amount(book))?;
    }
    differ(
        whose,
        "cash",
        amount(Book::Cash),
        amount(Book::Capital)
            + amount(Book::InterestIncome)
            + amount(Book::LateFeeIncome)
            + amount(Book::RecoveryIncome)
            + amount(Book::Suspense)
            - amount(Book::PrincipalReceivable)
            - amount(Book::WriteOffLoss)
            - amount(Book::GrantExpense),
    )?;
    let FundBalances { income_apart, committed, reserved, .. } = *balances;
    for (what, minor) in [
        ("available", balances.available()),
        ("committable", balances.committable()),
        ("income kept apart", income_apart),
        ("committed", committed),
        ("reserved", reserved),
    ] {
        not_negative(whose, what, i128::from(minor))?;
    }
    let income = amount(Book::InterestIncome) + amount(Book::LateFeeIncome);
    not_negative(whose, "income not kept apart", income - i128::from(income_apart))?;
    for (what, found, expected) in [
        ("principal receivable", amount(Book::PrincipalReceivable), sums.outstanding),
        ("interest income", amount(Book::InterestIncome), sums.interest_paid),
        ("late fee income", amount(Book::LateFeeIncome), sums.late_fees_paid),
        ("grant expense", amount(Book::GrantExpense), sums.granted),
        ("write-off loss", amount(Book::WriteOffLoss), sums.written_off),
        ("recovery income", amount(Book::RecoveryIncome), sums.recovered),
        ("committed", i128::from(committed), sums.committed),
    ] {
        differ(whose, what, found, expected)?;
    }
    Ok(())
}

fn check_account(account: &Account) -> Checked {
    let whose = || format!("account {}", account.id);
    let balances = &account.balances();
    for (what, minor) in [
        ("outstanding", balances.outstanding()),
        ("pending", balances.pending),
        ("committed", balances.committed),
        ("disbursed", balances.disbursed),
        ("principal repaid", balances.principal_repaid),
        ("interest paid", balances.interest_paid),
        ("late fees paid", balances.late_fees_paid),
        ("granted", balances.granted),
        ("written off", balances.written_off),
        ("recovered", balances.recovered),
    ] {
        not_negative(whose, what, i128::from(minor))?;
    }
    if account.status == AccountStatus::Closed {
        differ(whose, "outstanding of a closed account", i128::from(balances.outstanding()), 0)?;
    }
    Ok(())
}

fn check_loan(loan: &Loan) -> Checked {
    let Some(active) = loan.active() else {
        return Ok(());
    };
    let whose = || format!("loan {}", loan.id);
    for (what, minor) in [
        ("outstanding", active.balances().outstanding()),
        ("principal repaid", active.balances().principal_repaid),
        ("written off", active.balances().written_off),
        ("recovered", active.balances().recovered),
        ("claim that ended", active.balances().claim_ended),
        ("what can still be recovered", active.balances().recoverable()),
        ("what may still be disbursed", loan.undisbursed()),
    ] {
        not_negative(whose, what, i128::from(minor))?;
    }
    Ok(())
}

/// An account is the sum of its loans, and a loan of its tranches.
fn check_loans(state: &State) -> Checked {
    let mut accounts = vec![[0_i128; 7]; state.accounts().len()];
    for (_, loan) in state.loans().iter() {
        check_loan(loan)?;
        let Some(active) = loan.active() else {
            continue;
        };
        let tranches = active.tranches.all().into_iter().flat_map(Tranches::iter);
        let tranches = tranches.map(|t| i128::from(t.amount.minor()));
        let balances = active.balances();
        let whose = || format!("loan {}", loan.id);
        differ(whose, "disbursed", i128::from(balances.disbursed), tranches.sum())?;
        let numbers = [
            loan.principal.minor() - balances.disbursed,
            balances.disbursed,
            balances.principal_repaid,
            balances.interest_paid,
            balances.late_fees_paid,
            balances.written_off,
            balances.recovered,
        ];
        let totals = at(&mut accounts, loan.account.get());
        for (total, number) in totals.iter_mut().zip(numbers) {
            *total += i128::from(number);
        }
    }
    for (index, account) in state.accounts().iter() {
        let whose = || format!("account {}", account.id);
        let balances = &account.balances();
        let [committed, disbursed, repaid, paid @ ..] = *at(&mut accounts, index.get());
        let [interest, late_fees, written_off, recovered] = paid;
        let grants = account.grants().map(|t| i128::from(t.amount.minor()));
        for (what, found, expected) in [
            ("committed", balances.committed, committed),
            ("disbursed", balances.disbursed, disbursed),
            ("principal repaid", balances.principal_repaid, repaid),
            ("interest paid", balances.interest_paid, interest),
            ("late fees paid", balances.late_fees_paid, late_fees),
            ("granted", balances.granted, grants.sum()),
            ("written off", balances.written_off, written_off),
            ("recovered", balances.recovered, recovered),
        ] {
            differ(whose, what, i128::from(found), expected)?;
        }
    }
    Ok(())
}

/// What is reserved is the sum of what is pending.
fn check_reservations(state: &State) -> Checked {
    let mut funds: BTreeMap<FundIndex, i128> = BTreeMap::new();
    let mut accounts = BTreeMap::new();
    for (_, proposal) in state.proposals().iter() {
        let reservation = &proposal.reservation;
        *funds.entry(reservation.fund).or_default() += i128::from(reservation.committable);
        if let Some((account, minor)) = reservation.ceiling {
            *accounts.entry(account).or_default() += i128::from(minor);
        }
    }
    for (index, fund) in state.funds().iter() {
        let expected = funds.get(&index).copied().unwrap_or_default();
        let whose = || format!("fund {}", fund.id);
        differ(whose, "reserved", i128::from(fund.balances.reserved), expected)?;
    }
    for (index, account) in state.accounts().iter() {
        let expected = accounts.get(&index).copied().unwrap_or_default();
        let whose = || format!("account {}", account.id);
        differ(whose, "pending", i128::from(account.balances().pending), expected)?;
    }
    Ok(())
}

/// Capital is what was allocated and not withdrawn.
fn check_allocations(fund: &Fund) -> Checked {
    let whose = || format!("fund {}", fund.id);
    let mut capital = 0;
    for allocation in fund.allocations.values() {
        not_negative(whose, "what is left of an allocation", allocation.remaining().into())?;
        capital += i128::from(allocation.amount.minor() - allocation.withdrawn);
    }
    let found = i128::from(fund.balances.books.amount(Book::Capital));
    differ(whose, "capital", found, capital)
}

fn differ(whose: impl Fn() -> String, what: &'static str, found: i128, expected: i128) -> Checked {
    if found == expected {
        return Ok(());
    }
    let whose = whose();
    Err(Imbalance::Differ { whose, what, found, expected })
}

fn not_negative(whose: impl Fn() -> String, what: &'static str, found: i128) -> Checked {
    if found >= 0 {
        return Ok(());
    }
    let whose = whose();
    Err(Imbalance::Negative { whose, what, found })
}

#[cfg(test)]
mod tests {
    use bergulir_domain::Date;
    use bergulir_domain::id::Id;
    use bergulir_domain::postings::Books;
    use bergulir_domain::text::Text;

    use super::*;

    fn fund(books: [i64; 9], committed: i64) -> Fund {
        Fund {
            id: Id::new("pilot").unwrap(),
            name: Text::new("Dana").unwrap(),
            opening_date: Date::MIN,
            terms: Vec::new(),
            balances: FundBalances {
                books: Books::new(books).unwrap(),
                committed,
                ..FundBalances::default()
            },
            allocations: BTreeMap::new(),
        }
    }

    fn sums(outstanding: i128, committed: i128) -> Sums {
        Sums { outstanding, committed, ..Sums::default() }
    }

    #[test]
    fn a_fund_agrees_with_its_accounts_and_is_never_negative() {
        let books = [60, -100, 40, 0, 0, 0, 0, 0, 0];
        assert_eq!(check_fund(&fund(books, 5), &sums(40, 5)), Ok(()));
        for (bad, sums) in [
            (fund(books, 5), sums(39, 5)),
            (fund(books, 5), sums(40, 6)),
            (fund(books, 61), sums(40, 61)),
            (fund([-1, -100, 101, 0, 0, 0, 0, 0, 0], 0), sums(101, 0)),
        ] {
            assert!(check_fund(&bad, &sums).is_err(), "{bad:?} {sums:?}");
        }
    }

    #[test]
    fn capital_is_what_was_allocated() {
        let fund = fund([100, -100, 0, 0, 0, 0, 0, 0, 0], 0);
        assert!(matches!(
            check_allocations(&fund),
            Err(Imbalance::Differ { found: 100, expected: 0, .. })
        ));
    }
}
