//! Write-offs: proposed by one person with the papers, approved by another; and what comes back.

use super::Now;
use super::payment::{approved, posts};
use crate::command::{ApproveWriteOff, ProposeWriteOff, RecordRecovery, WriteOffKind};
use crate::event::{Event, Proposed, WrittenOff};
use crate::money::{Amount, Money};
use crate::rejection::Rejection;
use crate::state::{Claim, LoanBalances, State, Subject};
use alloc::boxed::Box;

pub(super) fn propose(
    state: &State,
    command: &ProposeWriteOff,
    now: &Now,
) -> Result<Event, Rejection> {
    let (index, loan, active) = approved(state, command.loan)?;
    if let Some(proposal) = state.claimed.get(&Claim::WriteOffOf(index)) {
        return Err(Rejection::WriteOffPending { loan: loan.id, proposal: *proposal });
    }
    may_write_off(&active.balances(), command.kind, command.amount)?;
    let fund = state.funds.get(state.accounts.get(loan.account).fund);
    let expires_at = now.expiry(command.expires_at, fund.terms_on(now.date))?;
    let command = command.clone();
    Ok(Event::WriteOffProposed(Box::new(Proposed { command, expires_at })))
}

pub(super) fn approve(
    state: &State,
    command: &ApproveWriteOff,
    now: &Now,
) -> Result<Event, Rejection> {
    let proposal = state.find_proposal(command.proposal)?;
    let Subject::WriteOff { loan, kind, amount } = proposal.subject else {
        return Err(Rejection::ProposalNotPending { proposal: command.proposal });
    };
    now.is_another_than(proposal.maker)?;
    let (_, loan, active) = approved(state, state.loans.get(loan).id)?;
    // Asked again: what the bank booked meanwhile was recorded, whatever waited here.
    let principal = may_write_off(&active.balances(), kind, amount)?;
    let earliest = active.tranches.earliest();
    let earliest = earliest.ok_or(Rejection::NothingDisbursed { loan: loan.id })?;
    now.value_date(state, state.accounts.get(loan.account).fund, command.value_date, earliest)?;
    let (command, loan) = (command.clone(), loan.id);
    posts(state, Event::WrittenOff(WrittenOff { command, loan, kind, amount, principal }))
}

pub(super) fn recover(
    state: &State,
    command: &RecordRecovery,
    now: &Now,
) -> Result<Event, Rejection> {
    let (_, loan, active) = approved(state, command.loan)?;
    let recoverable = active.balances().recoverable();
    if recoverable < command.amount.minor() {
        if recoverable == 0 && active.balances().claim_ended > 0 {
            return Err(Rejection::ClaimEnded { loan: loan.id });
        }
        let requested = command.amount;
        return Err(Rejection::RecoveryExceeded { recoverable, requested });
    }
    let earliest = active.tranches.earliest();
    let earliest = earliest.ok_or(Rejection::NothingDisbursed { loan: loan.id })?;
    now.value_date(state, state.accounts.get(loan.account).fund, command.value_date, earliest)?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    posts(state, Event::Recovered(command.clone()))
}

/// So much may be written off; gives what of it leaves the books.
fn may_write_off(
    balances: &LoanBalances,
    kind: WriteOffKind,
    requested: Amount,
) -> Result<Money, Rejection> {
    let outstanding = balances.outstanding();
    let left = match kind {
        WriteOffKind::Conditional => outstanding,
        WriteOffKind::Absolute => outstanding + balances.recoverable(),
    };
    if left < requested.minor() {
        return Err(Rejection::WriteOffExceeded { left, requested });
    }
    let principal = requested.minor().min(outstanding);
    Ok(Money::from_minor(principal).expect("neither part is negative"))
}

impl WriteOffKind {
    /// What of a claim ends when so much of it is written off.
    pub(crate) fn ends(self, amount: Amount) -> i64 {
        match self {
            WriteOffKind::Conditional => 0,
            WriteOffKind::Absolute => amount.minor(),
        }
    }
}
