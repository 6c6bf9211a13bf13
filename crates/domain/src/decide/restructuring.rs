//! Restructuring: what is outstanding of a loan gets new terms, by two people.

use super::Now;
use super::payment::approved;
use crate::command::{ApproveRestructuring, ProposeRestructuring};
use crate::event::{Event, Proposed, Restructured};
use crate::moment::Date;
use crate::rejection::Rejection;
use crate::state::{Claim, LoanIndex, State, Subject};
use alloc::boxed::Box;

pub(super) fn propose(
    state: &State,
    command: &ProposeRestructuring,
    now: &Now,
) -> Result<Event, Rejection> {
    let (index, loan, _) = approved(state, command.loan)?;
    if let Some(proposal) = state.claimed.get(&Claim::RestructuringOf(index)) {
        return Err(Rejection::RestructuringPending { loan: loan.id, proposal: *proposal });
    }
    command.terms.check()?;
    may_restructure(state, index, command.effective_from, now)?;
    let fund = state.funds.get(state.accounts.get(loan.account).fund);
    let expires_at = now.expiry(command.expires_at, fund.terms_on(now.date))?;
    let command = command.clone();
    Ok(Event::RestructuringProposed(Box::new(Proposed { command, expires_at })))
}

pub(super) fn approve(
    state: &State,
    command: &ApproveRestructuring,
    now: &Now,
) -> Result<Event, Rejection> {
    let proposal = state.find_proposal(command.proposal)?;
    let Subject::Restructuring { loan: index, effective_from, terms } = proposal.subject else {
        return Err(Rejection::ProposalNotPending { proposal: command.proposal });
    };
    now.is_another_than(proposal.maker)?;
    may_restructure(state, index, effective_from, now)?;
    let (command, loan) = (command.clone(), state.loans.get(index).id);
    Ok(Event::Restructured(Restructured { command, loan, effective_from, terms }))
}

/// Something is outstanding, and terms that hold from that day follow those before and change nothing
/// that was reported.
fn may_restructure(
    state: &State,
    index: LoanIndex,
    effective_from: Date,
    now: &Now,
) -> Result<(), Rejection> {
    let (_, loan, active) = approved(state, state.loans.get(index).id)?;
    let first = active.tranches.earliest().filter(|_| active.balances().outstanding() > 0);
    let first = first.ok_or(Rejection::NothingOutstanding { loan: loan.id })?;
    let last = state.restructurings_of(index).last().map(|(_, last)| last.effective_from);
    let closed = state.closed_through(state.accounts.get(loan.account).fund);
    let after_closed = closed.and_then(Date::next_day);
    let earliest = [Some(first), last, after_closed].into_iter().flatten().max().unwrap_or(first);
    let latest = now.date;
    if !(earliest..=latest).contains(&effective_from) {
        let loan = loan.id;
        return Err(Rejection::RestructuringOutOfRange { loan, effective_from, earliest, latest });
    }
    Ok(())
}
