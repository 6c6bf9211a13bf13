//! Corrections: a wrong money event is undone by a new one that names it; both stay.

use super::Now;
use super::account::is_not_closed;
use super::payment::{approved, may_come_back, posts};
use super::room::Room;
use crate::command::{ApproveReversal, ProposeReversal, RefuseProposal, WithdrawProposal};
use crate::event::{Event, Paid, PaidOut, ReversalProposed, Undoes};
use crate::journal;
use crate::moment::Position;
use crate::money::Amount;
use crate::rejection::{Purse, Rejection, Resource};
use crate::state::{AccountIndex, Claim, FundIndex, Proposal, Reservation, State, Subject};
use alloc::boxed::Box;

pub(super) fn propose(
    state: &State,
    command: &ProposeReversal,
    now: &Now,
) -> Result<Event, Rejection> {
    let position = command.reverses;
    let undoes = what_it_did(state, position, now)?;
    if let Some(undone) = state.undone(position) {
        return Err(Rejection::AlreadyUndone { position, by: undone.by() });
    }
    if let Some(proposal) = state.claimed.get(&Claim::Record(position)) {
        return Err(Rejection::ReversalPending { position, proposal: *proposal });
    }
    let reservation = may_undo(&Room::new(state), state, position, undoes, now)?;
    let terms = state.funds.get(reservation.fund).terms_on(now.date);
    let expires_at = now.expiry(command.expires_at, terms)?;
    let command = command.clone();
    Ok(Event::ReversalProposed(Box::new(ReversalProposed { command, expires_at, undoes })))
}

pub(super) fn approve(
    state: &State,
    command: &ApproveReversal,
    now: &Now,
) -> Result<Event, Rejection> {
    let proposal = state.find_proposal(command.proposal)?;
    let Subject::Reversal { reverses, undoes } = proposal.subject else {
        return Err(Rejection::ProposalNotPending { proposal: command.proposal });
    };
    now.is_another_than(proposal.maker)?;
    if let Some(undone) = state.undone(reverses) {
        return Err(Rejection::AlreadyUndone { position: reverses, by: undone.by() });
    }
    may_undo(&Room::of(state, &proposal.reservation), state, reverses, undoes, now)?;
    posts(state, Event::Reversed(command.clone()))
}

pub(super) fn refuse(
    state: &State,
    command: &RefuseProposal,
    now: &Now,
) -> Result<Event, Rejection> {
    now.is_another_than(not_a_loan(state, command.proposal)?.maker)?;
    Ok(Event::ProposalRefused(command.clone()))
}

pub(super) fn withdraw(
    state: &State,
    command: &WithdrawProposal,
    now: &Now,
) -> Result<Event, Rejection> {
    now.is_the_maker(not_a_loan(state, command.proposal)?.maker)?;
    Ok(Event::ProposalWithdrawn(command.clone()))
}

/// A loan's proposal goes by the loan's own commands.
fn not_a_loan(state: &State, position: Position) -> Result<&Proposal, Rejection> {
    let proposal = state.find_proposal(position)?;
    match proposal.subject {
        Subject::Loan(_) => Err(Rejection::ProposalNotPending { proposal: position }),
        Subject::AllocationWithdrawal { .. }
        | Subject::Reversal { .. }
        | Subject::Disbursement { .. }
        | Subject::BankAccountChange { .. }
        | Subject::PeriodClose { .. }
        | Subject::WriteOff { .. }
        | Subject::Restructuring { .. } => Ok(proposal),
    }
}

/// What the named record did, read from the record itself.
fn what_it_did(state: &State, position: Position, now: &Now) -> Result<Undoes, Rejection> {
    let record = |at: Position| {
        let not_found = Rejection::NotFound(Resource::Record(at));
        now.context.lookups.record(at)?.ok_or(not_found)
    };
    if position.get() >= state.size() {
        return Err(Rejection::NotFound(Resource::Record(position)));
    }
    let event = record(position)?;
    if let Some(PaidOut { paid, amount, .. }) = event.paid_out() {
        return Ok(Undoes::Disbursement { paid, amount });
    }
    match event {
        Event::FundAllocated(e) => Ok(Undoes::Allocation { fund: e.fund, amount: e.amount }),
        Event::AllocationWithdrawn(e) => match record(e.proposal)? {
            Event::AllocationWithdrawalProposed(proposed) => {
                let c = &proposed.command;
                let (fund, allocation, amount) = (c.fund, c.allocation, c.amount);
                Ok(Undoes::AllocationWithdrawal { fund, allocation, amount })
            }
            _ => Err(Rejection::NotReversible { position }),
        },
        Event::DisbursementReturned(e) => {
            let disbursement = e.command.disbursement;
            let paid_out = record(disbursement)?.paid_out();
            let disbursed_on = paid_out.ok_or(Rejection::NotReversible { position })?.value_date;
            let (paid, amount) = (e.paid, e.amount);
            Ok(Undoes::Return { disbursement, paid, amount, disbursed_on })
        }
        Event::Repaid(e) => Ok(Undoes::Repayment {
            loan: e.command.loan,
            principal: e.command.principal.unwrap_or_default(),
            interest: e.command.interest.unwrap_or_default(),
            late_fee: e.command.late_fee.unwrap_or_default(),
            relend_income: e.relend_income,
        }),
        Event::WrittenOff(e) => {
            let (loan, kind, amount, principal) = (e.loan, e.kind, e.amount, e.principal);
            Ok(Undoes::WriteOff { loan, kind, amount, principal })
        }
        Event::Recovered(e) => Ok(Undoes::Recovery { loan: e.loan, amount: e.amount }),
        Event::Reversed(_) => Err(Rejection::ReversalNotReversible { position }),
        _ => Err(Rejection::NotReversible { position }),
    }
}

/// Whether a record can be undone now, and what its reversal keeps for itself until it is decided.
fn may_undo(
    room: &Room,
    state: &State,
    position: Position,
    undoes: Undoes,
    now: &Now,
) -> Result<Reservation, Rejection> {
    match undoes {
        Undoes::Allocation { fund, amount } => {
            let (index, fund) = state.find_fund(fund)?;
            let remaining = room.allocation(fund, position).unwrap_or_default();
            if remaining < amount.minor() {
                let (allocation, requested) = (position, amount);
                return Err(Rejection::AllocationExceeded { allocation, remaining, requested });
            }
            room.committable(index, fund, amount)?;
        }
        Undoes::Disbursement { paid, amount } => may_come_back(state, paid, amount)?,
        Undoes::Return { paid: Paid::Loan(loan), amount, .. } => {
            let (index, loan, _) = approved(state, loan)?;
            is_not_closed(state.accounts.get(loan.account))?;
            room.headroom(index, amount)?;
        }
        Undoes::Return { paid: Paid::Grant(fund, account), amount, .. } => {
            let (index, account) = state.find_account(fund, account)?;
            goes_out_again(room, state, index, account.fund, amount, now)?;
        }
        Undoes::Repayment { loan, principal, interest, late_fee, relend_income } => {
            let (_, loan, _) = approved(state, loan)?;
            is_not_closed(state.accounts.get(loan.account))?;
            let fund_index = state.accounts.get(loan.account).fund;
            let fund = state.funds.get(fund_index);
            let income = interest.minor() + late_fee.minor();
            if !relend_income && fund.balances.income_apart < income {
                let (purse, has) = (Purse::IncomeApart, fund.balances.income_apart);
                let requested = Amount::from_minor(income).expect("more than what is apart");
                return Err(Rejection::InsufficientFunds { fund: fund.id, purse, has, requested });
            }
            if let Ok(principal) = Amount::from_minor(principal.minor()) {
                room.ceiling(loan.account, fund.terms_on(now.date), principal)?;
            }
            let lent = principal.minor() + if relend_income { income } else { 0 };
            if let Ok(lent) = Amount::from_minor(lent) {
                room.committable(fund_index, fund, lent)?;
            }
        }
        Undoes::AllocationWithdrawal { .. } => {}
        Undoes::WriteOff { loan, kind, amount, principal } => {
            let (_, loan, active) = approved(state, loan)?;
            let account = state.accounts.get(loan.account);
            is_not_closed(account)?;
            let balances = &active.balances();
            let remaining = balances.written_off - principal.minor();
            let gone = balances.recovered + balances.claim_ended - kind.ends(amount);
            if remaining < gone {
                return Err(Rejection::WriteOffRecovered { remaining, gone });
            }
            if let Ok(principal) = Amount::from_minor(principal.minor()) {
                let terms = state.funds.get(account.fund).terms_on(now.date);
                room.ceiling(loan.account, terms, principal)?;
            }
        }
        Undoes::Recovery { loan, amount } => {
            let (_, loan, _) = approved(state, loan)?;
            let fund = state.accounts.get(loan.account).fund;
            room.committable(fund, state.funds.get(fund), amount)?;
        }
    }
    let (fund, entry) =
        journal::reversal(state, undoes).ok_or(Rejection::NotFound(Resource::Record(position)))?;
    let books = state.funds.get(fund).balances.books;
    books.with(&entry).ok_or(Rejection::BalanceLimitExceeded)?;
    Ok(reversal_reserves(state, fund, position, undoes))
}

fn goes_out_again(
    room: &Room,
    state: &State,
    account: AccountIndex,
    fund: FundIndex,
    amount: Amount,
    now: &Now,
) -> Result<(), Rejection> {
    let row = state.funds.get(fund);
    is_not_closed(state.accounts.get(account))?;
    room.ceiling(account, row.terms_on(now.date), amount)?;
    room.committable(fund, row, amount)
}

/// What a reversal keeps for itself while it is pending.
pub(crate) fn reversal_reserves(
    state: &State,
    fund: FundIndex,
    position: Position,
    undoes: Undoes,
) -> Reservation {
    match undoes {
        Undoes::Allocation { amount, .. } => {
            let allocation = Some((position, amount.minor()));
            Reservation { allocation, ..Reservation::of(fund, amount.minor()) }
        }
        Undoes::AllocationWithdrawal { .. } | Undoes::Disbursement { .. } => {
            Reservation::of(fund, 0)
        }
        Undoes::Return { paid: Paid::Loan(loan), amount, .. } => {
            let headroom = state.loans.find(&loan).map(|loan| (loan, amount.minor()));
            Reservation { headroom, ..Reservation::of(fund, 0) }
        }
        Undoes::Return { paid: Paid::Grant(_, account), amount, .. } => {
            let ceiling = state.accounts.find(&(fund, account)).map(|a| (a, amount.minor()));
            Reservation { ceiling, ..Reservation::of(fund, amount.minor()) }
        }
        Undoes::Repayment { loan, principal, interest, late_fee, relend_income } => {
            let income = if relend_income { interest.minor() + late_fee.minor() } else { 0 };
            let account = state.loans.find(&loan).map(|loan| state.loans.get(loan).account);
            let ceiling = account.map(|account| (account, principal.minor()));
            Reservation { ceiling, ..Reservation::of(fund, principal.minor() + income) }
        }
        Undoes::WriteOff { loan, principal, .. } => {
            let account = state.loans.find(&loan).map(|loan| state.loans.get(loan).account);
            let ceiling = account.map(|account| (account, principal.minor()));
            Reservation { ceiling, ..Reservation::of(fund, 0) }
        }
        Undoes::Recovery { amount, .. } => Reservation::of(fund, amount.minor()),
    }
}
