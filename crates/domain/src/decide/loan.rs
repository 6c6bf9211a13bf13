//! Loans: proposed by one person, approved or refused by another.

use super::Now;
use super::account::is_open;
use super::room::Room;
use crate::command::{ApproveLoan, ProposeLoan, RefuseLoan, WithdrawLoan};
use crate::cooperative::Office;
use crate::event::{Event, LoanApproved, Proposed};
use crate::money::Amount;
use crate::rejection::{NeedsFund, Rejection, Resource};
use crate::state::{AccountIndex, FundIndex, Loan, LoanState, Reservation, State};
use crate::terms::{LoanTerms, Purpose};
use alloc::boxed::Box;

pub(super) fn propose(state: &State, command: &ProposeLoan, now: &Now) -> Result<Event, Rejection> {
    if state.loans.find(&command.loan).is_some() {
        return Err(Rejection::AlreadyExists(Resource::Loan(command.loan)));
    }
    let (index, account) = state.find_account(command.fund, command.account)?;
    let cooperative = state.cooperatives.get(account.cooperative);
    for (office, officer) in
        [(Office::Chair, command.chair), (Office::Treasurer, command.treasurer)]
    {
        if cooperative.officer(office) != Some(officer) {
            return Err(Rejection::NotInOffice { office, officer });
        }
    }
    may_lend(&Room::new(state), state, index, command.principal, now)?;
    let terms = state.funds.get(account.fund).terms_on(now.date);
    let expires_at = now.expiry(command.expires_at, terms)?;
    Ok(Event::LoanProposed(Box::new(Proposed { command: command.clone(), expires_at })))
}

pub(super) fn approve(state: &State, command: &ApproveLoan, now: &Now) -> Result<Event, Rejection> {
    let loan = pending(state, command.loan)?;
    now.is_another_than(*loan.maker)?;
    let own = &state.find_proposal(loan.proposed_at)?.reservation;
    let terms = may_lend(&Room::of(state, own), state, loan.account, loan.principal, now)?;
    Ok(Event::LoanApproved(LoanApproved { command: command.clone(), terms }))
}

pub(super) fn refuse(state: &State, command: &RefuseLoan, now: &Now) -> Result<Event, Rejection> {
    now.is_another_than(*pending(state, command.loan)?.maker)?;
    Ok(Event::LoanRefused(command.clone()))
}

pub(super) fn withdraw(
    state: &State,
    command: &WithdrawLoan,
    now: &Now,
) -> Result<Event, Rejection> {
    now.is_the_maker(*pending(state, command.loan)?.maker)?;
    Ok(Event::LoanWithdrawn(command.clone()))
}

/// What a loan keeps for itself while it is pending.
pub(crate) fn loan_reserves(
    fund: FundIndex,
    account: AccountIndex,
    principal: Amount,
) -> Reservation {
    let ceiling = Some((account, principal.minor()));
    Reservation { ceiling, ..Reservation::of(fund, principal.minor()) }
}

fn pending(state: &State, id: crate::LoanId) -> Result<&Loan, Rejection> {
    let (_, loan) = state.find_loan(id)?;
    match loan.state {
        LoanState::Pending { .. } => Ok(loan),
        LoanState::Refused | LoanState::Withdrawn | LoanState::Expired | LoanState::Approved(_) => {
            Err(Rejection::LoanNotPending { loan: id, status: loan.status() })
        }
    }
}

/// The account may borrow so much more of its fund today; gives the terms of today.
fn may_lend(
    room: &Room,
    state: &State,
    index: AccountIndex,
    principal: Amount,
    now: &Now,
) -> Result<LoanTerms, Rejection> {
    let account = state.accounts.get(index);
    let fund = state.funds.get(account.fund);
    let terms = fund.terms_on(now.date);
    let Purpose::Loan(loan_terms) = terms.purpose else {
        return Err(Rejection::WrongFundKind { fund: fund.id, needs: NeedsFund::Loan });
    };
    is_open(account)?;
    room.ceiling(index, terms, principal)?;
    room.committable(account.fund, fund, principal)?;
    Ok(loan_terms)
}
