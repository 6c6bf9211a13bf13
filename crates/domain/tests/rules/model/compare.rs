//! The ledger and the model, side by side: every balance, and what is open.

use super::{FundSums, Model};
use bergulir_domain::postings::Book;
use bergulir_domain::state::{AccountBalances, FundBalances, LoanBalances};
use bergulir_domain::{Position, State};
use std::collections::BTreeSet;

impl FundSums {
    pub(crate) fn of(balances: &FundBalances) -> FundSums {
        let books = &balances.books;
        FundSums {
            cash: books.amount(Book::Cash),
            capital: books.amount(Book::Capital),
            receivable: books.amount(Book::PrincipalReceivable),
            interest: books.amount(Book::InterestIncome),
            late_fees: books.amount(Book::LateFeeIncome),
            grants: books.amount(Book::GrantExpense),
            losses: books.amount(Book::WriteOffLoss),
            recoveries: books.amount(Book::RecoveryIncome),
            available: balances.available(),
            income_apart: balances.income_apart,
            committed: balances.committed,
            reserved: balances.reserved,
        }
    }

    /// No money comes from nowhere, and none is gone.
    pub(crate) fn check_conserved(&self) {
        let from = self.capital + self.interest + self.late_fees + self.recoveries;
        let there = self.cash + self.receivable + self.losses + self.grants;
        assert_eq!(there, from, "conserved");
    }
}

/// What [`Model::account_sums`] gives, of the ledger.
pub(crate) fn account_sums_of(b: &AccountBalances) -> [i64; 4] {
    [b.outstanding(), b.committed, b.pending, b.granted]
}

/// What [`Model::loan_sums`] gives, of the ledger.
pub(crate) fn loan_sums_of(b: &LoanBalances) -> [i64; 7] {
    let paid = [b.disbursed, b.principal_repaid, b.interest_paid, b.late_fees_paid];
    let [disbursed, repaid, interest, late_fees] = paid;
    let [written_off, ended, recovered] = [b.written_off, b.claim_ended, b.recovered];
    [disbursed, repaid, interest, late_fees, written_off, ended, recovered]
}

impl Model {
    /// The state of the ledger is what the model says.
    pub(crate) fn compare(&self, state: &State) {
        assert_eq!(state.funds().len(), self.funds.len());
        assert_eq!(state.accounts().len(), self.accounts.len());
        assert_eq!(state.loans().len(), self.loans.len());
        let keys = state.keys().map(|(at, key)| (at.get(), key.to_string()));
        assert_eq!(keys.collect::<Vec<_>>(), self.keys);
        let pending: BTreeSet<u64> = self.pending.iter().map(|p| p.at).collect();
        let proposals: BTreeSet<u64> = state.proposals().iter().map(|(at, _)| at.get()).collect();
        assert_eq!(proposals, pending);

        let undone = (0..state.size()).filter(|at| state.undone(Position::new(*at)).is_some());
        assert_eq!(undone.collect::<Vec<_>>(), self.undone());

        for (index, fund) in state.funds().iter() {
            let closed = self.closed.get(&fund.id).copied();
            assert_eq!(state.closed_through(index), closed, "fund {}", fund.id);
            let sums = FundSums::of(&fund.balances);
            assert_eq!(sums, self.fund_sums(fund.id), "fund {}", fund.id);
            sums.check_conserved();
        }
        for (index, account) in state.accounts().iter() {
            let fund = state.funds().get(account.fund).id;
            let bank_account = self.bank_account(fund, account.id);
            assert_eq!(state.bank_account(index), *bank_account, "account {}", account.id);
            let sums = account_sums_of(&account.balances());
            assert_eq!(sums, self.account_sums((fund, account.id)));
            let losses = [account.balances().written_off, account.balances().recovered];
            assert_eq!(losses, self.losses((fund, account.id)));
        }
        for (index, loan) in state.loans().iter() {
            let of_loan = self.restructured.iter().filter(|(_, of, ..)| *of == loan.id);
            let expected: Vec<_> =
                of_loan.map(|(at, _, from, terms)| (*at, *from, *terms)).collect();
            let found = state.restructurings_of(index);
            let found: Vec<_> =
                found.map(|(at, new)| (at.get(), new.effective_from, new.terms)).collect();
            assert_eq!(found, expected, "loan {}", loan.id);
            let sums = loan.active().map_or([0; 7], |active| loan_sums_of(&active.balances()));
            assert_eq!(sums, self.loan_sums(loan.id));
        }
    }
}
