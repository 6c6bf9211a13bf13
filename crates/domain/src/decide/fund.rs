//! Funds: opened with terms, given money, and money taken out again.

use super::Now;
use super::payment::posts;
use super::room::Room;
use crate::command::{
    AllocateFund, ApproveAllocationWithdrawal, ChangeTerms, OpenFund, ProposeAllocationWithdrawal,
};
use crate::event::{Event, Proposed};
use crate::moment::Position;
use crate::money::Amount;
use crate::rejection::{Rejection, Resource};
use crate::state::{Fund, FundIndex, Reservation, State, Subject};
use alloc::boxed::Box;

pub(super) fn open(state: &State, command: &OpenFund, now: &Now) -> Result<Event, Rejection> {
    if state.funds.find(&command.fund).is_some() {
        return Err(Rejection::AlreadyExists(Resource::Fund(command.fund)));
    }
    command.terms.check()?;
    let (opening_date, today) = (command.opening_date, now.date);
    if opening_date > today {
        return Err(Rejection::OpeningDateInFuture { opening_date, today });
    }
    Ok(Event::FundOpened(Box::new(command.clone())))
}

pub(super) fn change_terms(
    state: &State,
    command: &ChangeTerms,
    now: &Now,
) -> Result<Event, Rejection> {
    let (_, fund) = state.find_fund(command.fund)?;
    command.terms.check()?;
    let (effective_from, today) = (command.effective_from, now.date);
    if effective_from < today {
        return Err(Rejection::TermsInPast { effective_from, today });
    }
    if !command.terms.purpose.same_kind(fund.terms_on(today).purpose) {
        return Err(Rejection::FundKindFixed);
    }
    Ok(Event::TermsChanged(Box::new(command.clone())))
}

pub(super) fn allocate(
    state: &State,
    command: &AllocateFund,
    now: &Now,
) -> Result<Event, Rejection> {
    let (index, fund) = state.find_fund(command.fund)?;
    now.value_date(state, index, command.value_date, fund.opening_date)?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    posts(state, Event::FundAllocated(command.clone()))
}

pub(super) fn propose_withdrawal(
    state: &State,
    command: &ProposeAllocationWithdrawal,
    now: &Now,
) -> Result<Event, Rejection> {
    let (index, fund) = state.find_fund(command.fund)?;
    may_withdraw(&Room::new(state), index, fund, command.allocation, command.amount)?;
    let expires_at = now.expiry(command.expires_at, fund.terms_on(now.date))?;
    let command = command.clone();
    Ok(Event::AllocationWithdrawalProposed(Box::new(Proposed { command, expires_at })))
}

pub(super) fn approve_withdrawal(
    state: &State,
    command: &ApproveAllocationWithdrawal,
    now: &Now,
) -> Result<Event, Rejection> {
    let proposal = state.find_proposal(command.proposal)?;
    let Subject::AllocationWithdrawal { fund: index, allocation, amount } = proposal.subject else {
        return Err(Rejection::ProposalNotPending { proposal: command.proposal });
    };
    now.is_another_than(proposal.maker)?;
    let fund = state.funds.get(index);
    let room = Room::of(state, &proposal.reservation);
    may_withdraw(&room, index, fund, allocation, amount)?;
    now.value_date(state, index, command.value_date, fund.opening_date)?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    posts(state, Event::AllocationWithdrawn(command.clone()))
}

/// What a withdrawal keeps for itself while it is pending.
pub(crate) fn withdrawal_reserves(
    fund: FundIndex,
    allocation: Position,
    amount: Amount,
) -> Reservation {
    let allocation = Some((allocation, amount.minor()));
    Reservation { allocation, ..Reservation::of(fund, amount.minor()) }
}

/// Never below what is out plus what is promised, and never more than was allocated.
fn may_withdraw(
    room: &Room,
    index: FundIndex,
    fund: &Fund,
    allocation: Position,
    requested: Amount,
) -> Result<(), Rejection> {
    let remaining = room
        .allocation(fund, allocation)
        .ok_or(Rejection::NotFound(Resource::Record(allocation)))?;
    if remaining < requested.minor() {
        return Err(Rejection::AllocationExceeded { allocation, remaining, requested });
    }
    room.committable(index, fund, requested)
}
