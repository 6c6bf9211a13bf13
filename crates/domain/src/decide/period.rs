//! Periods: closed by two people, in order, and for good. What was reported then stays.

use super::Now;
use crate::command::{ApprovePeriodClose, ProposePeriodClose};
use crate::event::{Event, PeriodClosed, Proposed};
use crate::moment::Date;
use crate::rejection::Rejection;
use crate::state::{Claim, FundIndex, State, Subject};
use alloc::boxed::Box;

pub(super) fn propose(
    state: &State,
    command: &ProposePeriodClose,
    now: &Now,
) -> Result<Event, Rejection> {
    let (index, fund) = state.find_fund(command.fund)?;
    if let Some(proposal) = state.claimed.get(&Claim::PeriodOf(index)) {
        return Err(Rejection::PeriodClosePending { fund: fund.id, proposal: *proposal });
    }
    may_close(state, index, command.through, now)?;
    let expires_at = now.expiry(command.expires_at, fund.terms_on(now.date))?;
    let command = command.clone();
    Ok(Event::PeriodCloseProposed(Box::new(Proposed { command, expires_at })))
}

pub(super) fn approve(
    state: &State,
    command: &ApprovePeriodClose,
    now: &Now,
) -> Result<Event, Rejection> {
    let proposal = state.find_proposal(command.proposal)?;
    let Subject::PeriodClose { fund, through } = proposal.subject else {
        return Err(Rejection::ProposalNotPending { proposal: command.proposal });
    };
    // No other close of the fund came between, and a period that was over is over: the rest was
    // asked when it was proposed.
    now.is_another_than(proposal.maker)?;
    let (command, fund) = (command.clone(), state.funds.get(fund).id);
    Ok(Event::PeriodClosed(PeriodClosed { command, fund, through }))
}

/// The period is over, and follows the one before.
fn may_close(state: &State, index: FundIndex, through: Date, now: &Now) -> Result<(), Rejection> {
    let today = now.date;
    if through >= today {
        return Err(Rejection::PeriodNotOver { through, today });
    }
    let fund = state.funds.get(index);
    let after_last = state.closed_through(index).and_then(Date::next_day);
    let earliest = after_last.unwrap_or(fund.opening_date);
    if through < earliest {
        return Err(Rejection::PeriodOutOfOrder { fund: fund.id, through, earliest });
    }
    Ok(())
}
