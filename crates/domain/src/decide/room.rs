//! What is left to promise. A proposal that is being approved counts what it reserved as free for
//! itself, so that proposing and approving ask the same questions.

use crate::moment::Position;
use crate::money::Amount;
use crate::rejection::{Purse, Rejection};
use crate::state::{AccountIndex, Fund, FundIndex, LoanIndex, Reservation, State};
use crate::terms::Terms;

pub(super) struct Room<'a> {
    state: &'a State,
    own: Option<&'a Reservation>,
}

impl<'a> Room<'a> {
    /// For something that has reserved nothing yet.
    pub(super) fn new(state: &'a State) -> Room<'a> {
        Room { state, own: None }
    }
    /// For a proposal that reserved something when it was made.
    pub(super) fn of(state: &'a State, own: &'a Reservation) -> Room<'a> {
        Room { state, own: Some(own) }
    }

    /// That the fund can promise so much.
    pub(super) fn committable(
        &self,
        index: FundIndex,
        fund: &Fund,
        requested: Amount,
    ) -> Result<(), Rejection> {
        let own = self.own.filter(|own| own.fund == index).map_or(0, |own| own.committable);
        let has = fund.balances.committable() + own;
        if has < requested.minor() {
            let purse = Purse::Committable;
            return Err(Rejection::InsufficientFunds { fund: fund.id, purse, has, requested });
        }
        Ok(())
    }

    /// That the cooperative stays under its ceiling with so much more; all its accounts in the
    /// fund count.
    pub(super) fn ceiling(
        &self,
        account: AccountIndex,
        terms: &Terms,
        requested: Amount,
    ) -> Result<(), Rejection> {
        let Room { state, own } = self;
        let row = state.accounts.get(account);
        let accounts = &state.cooperatives.get(row.cooperative).accounts;
        let in_fund =
            accounts.iter().map(|a| state.accounts.get(*a)).filter(|a| a.fund == row.fund);
        let exposure: i64 = in_fund.map(|a| a.balances().exposure()).sum();
        let own = own.and_then(|own| own.ceiling).filter(|(a, _)| *a == account);
        let in_use = exposure - own.map_or(0, |(_, amount)| amount);
        if terms.ceiling.minor() - in_use < requested.minor() {
            return Err(Rejection::CeilingExceeded { ceiling: terms.ceiling, in_use, requested });
        }
        Ok(())
    }

    /// That so much of the loan may still be paid out.
    pub(super) fn headroom(&self, index: LoanIndex, requested: Amount) -> Result<(), Rejection> {
        let loan = self.state.loans.get(index);
        let own = self.own.and_then(|own| own.headroom).filter(|(l, _)| *l == index);
        let left = loan.undisbursed() + own.map_or(0, |(_, amount)| amount);
        if left < requested.minor() {
            let approved = loan.principal;
            let disbursed = approved.minor() - left;
            return Err(Rejection::LoanLimitExceeded { approved, disbursed, requested });
        }
        Ok(())
    }

    /// What can still be taken out of an allocation; `None` if it is not one of the fund's.
    pub(super) fn allocation(&self, fund: &Fund, position: Position) -> Option<i64> {
        let own = self.own.and_then(|own| own.allocation).filter(|(p, _)| *p == position);
        Some(fund.allocations.get(&position)?.remaining() + own.map_or(0, |(_, amount)| amount))
    }
}
