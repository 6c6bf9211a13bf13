//! Looking ahead: with a nation's accounts, a decision waits for memory most of its time, once for
//! each thing that it looks up. Whoever has several commands at hand looks at all of them first:
//! then the waits of one overlap with those of the others.

use super::{AccountIndex, LoanIndex, State};
use crate::id::LoanId;
use core::hint::black_box;

/// For how many commands to look ahead at once. Fewer overlap less; of more, the first would be
/// gone from the nearest cache by the time they are decided.
pub const LOOK_AHEAD: usize = 16;

impl State {
    /// Reads what decisions about these loans are going to read, at most [`LOOK_AHEAD`] of them,
    /// and gives what most likely are their accounts to whoever keeps more of each. It changes
    /// nothing, and no decision depends on it.
    pub fn look_ahead(
        &self,
        loans: impl Iterator<Item = LoanId>,
    ) -> [Option<AccountIndex>; LOOK_AHEAD] {
        // Step by step for all of them: within a step, no read waits for another.
        let mut found: [Option<LoanIndex>; LOOK_AHEAD] = [None; LOOK_AHEAD];
        for (place, loan) in found.iter_mut().zip(loans) {
            *place = self.loans.guess(&loan);
        }
        self.read_ahead(found)
    }

    /// Where a loan most likely is, without a look at it.
    pub fn guess_loan(&self, loan: LoanId) -> Option<LoanIndex> {
        self.loans.guess(&loan)
    }

    /// As [`State::look_ahead`], for whoever knows the places of the loans; some may be yet to come.
    pub fn look_ahead_at(&self, loans: impl Iterator<Item = LoanIndex>) {
        let mut found = [None; LOOK_AHEAD];
        let loans = loans.filter(|loan| (loan.get() as usize) < self.loans.len());
        for (place, loan) in found.iter_mut().zip(loans) {
            *place = Some(loan);
        }
        self.read_ahead(found);
    }

    fn read_ahead(
        &self,
        found: [Option<LoanIndex>; LOOK_AHEAD],
    ) -> [Option<AccountIndex>; LOOK_AHEAD] {
        let rows = found.map(|index| index.map(|index| self.loans.get(index)));
        for loan in rows.iter().flatten() {
            black_box(loan.undisbursed());
        }
        for active in rows.iter().flatten().filter_map(|loan| loan.active()) {
            // A disbursement adds to the end of them; a repayment asks what is owed, and since when.
            black_box((active.tranches.end(), active.tranches.earliest(), active.balances()));
        }
        let accounts = rows.map(|loan| loan.map(|loan| loan.account));
        for account in accounts.iter().flatten() {
            // Its numbers and its id: two lines.
            let account = self.accounts.get(*account);
            black_box((account.balances().exposure(), account.id.as_bytes().len()));
        }
        accounts
    }
}
