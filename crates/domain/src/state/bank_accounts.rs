//! Which bank account each account is tied to, and whose each is. Most accounts keep the one that they
//! were opened with, which is in their row; what was changed stands beside the rows.

use super::{Account, AccountIndex, CooperativeIndex, State, Subject};
use crate::command::BankAccount;
use crate::event::Paid;
use crate::moment::Position;

impl State {
    /// The bank account that an account is tied to.
    pub fn bank_account(&self, account: AccountIndex) -> BankAccount {
        let change = self.bank_account_changes.get(&account);
        let changed = change.and_then(|at| self.bank_accounts.get(at));
        changed.map_or_else(
            || self.accounts.get(account).first_bank_account(),
            |(_, changed)| changed.clone(),
        )
    }

    /// Whose a bank account is, or once was: one that was given up goes to no other cooperative.
    pub(crate) fn bank_account_owner(&self, number: &BankAccount) -> Option<CooperativeIndex> {
        let opened_with = self.accounts.find_first(&Account::kept(number));
        let opened_with = opened_with.map(|account| self.accounts.get(account).cooperative);
        opened_with.or_else(|| self.bank_account_owners.get(number).copied())
    }

    /// For which cooperative a pending change reserves a bank account.
    pub(crate) fn bank_account_reserved(
        &self,
        number: &BankAccount,
    ) -> Option<(CooperativeIndex, Position)> {
        let from = (number.clone(), Position::new(0));
        let ((reserved, at), ()) = self.reserved_bank_accounts.at_or_after(&from)?;
        let proposal = self.proposals.get(at).filter(|_| reserved == number)?;
        match &proposal.subject {
            Subject::BankAccountChange { account, .. } => {
                Some((self.accounts.get(*account).cooperative, *at))
            }
            Subject::Loan(_)
            | Subject::AllocationWithdrawal { .. }
            | Subject::Reversal { .. }
            | Subject::Disbursement { .. }
            | Subject::PeriodClose { .. }
            | Subject::WriteOff { .. }
            | Subject::Restructuring { .. } => None,
        }
    }

    /// From that record on the account is tied to that bank account.
    pub(crate) fn change_bank_account(
        &mut self,
        at: Position,
        account: AccountIndex,
        number: BankAccount,
    ) {
        let cooperative = self.accounts.get(account).cooperative;
        self.bank_account_owners.insert(number.clone(), cooperative);
        self.bank_account_changes.insert(account, at);
        self.bank_accounts.insert(at, (account, number));
    }

    /// The account that a disbursement is paid to.
    pub(crate) fn account_paid(&self, paid: Paid) -> Option<AccountIndex> {
        match paid {
            Paid::Loan(loan) => Some(self.loans.get(self.loans.find(&loan)?).account),
            Paid::Grant(fund, account) => self.accounts.find(&(self.funds.find(&fund)?, account)),
        }
    }
}
