//! The bank accounts that accounts are tied to: never shared between cooperatives, and changed by two
//! people.

use super::Now;
use super::account::is_open;
use crate::command::{ApproveBankAccountChange, BankAccount, ProposeBankAccountChange};
use crate::event::{BankAccountChanged, Event, Proposed};
use crate::rejection::Rejection;
use crate::state::{AccountIndex, Claim, CooperativeIndex, State, Subject};
use crate::text::Name;
use alloc::boxed::Box;

pub(super) fn propose(
    state: &State,
    command: &ProposeBankAccountChange,
    now: &Now,
) -> Result<Event, Rejection> {
    let (index, account) = state.find_account(command.fund, command.account)?;
    is_open(account)?;
    if let Some(proposal) = state.claimed.get(&Claim::BankAccountOf(index)) {
        let (account, proposal) = (account.id, *proposal);
        return Err(Rejection::BankAccountChangePending { account, proposal });
    }
    if state.bank_account(index) == command.bank_account {
        return Err(Rejection::BankAccountUnchanged { account: account.id });
    }
    may_have(state, account.cooperative, &command.bank_account, &command.holder)?;
    let terms = state.funds.get(account.fund).terms_on(now.date);
    let expires_at = now.expiry(command.expires_at, terms)?;
    let command = command.clone();
    Ok(Event::BankAccountChangeProposed(Box::new(Proposed { command, expires_at })))
}

pub(super) fn approve(
    state: &State,
    command: &ApproveBankAccountChange,
    now: &Now,
) -> Result<Event, Rejection> {
    let proposal = state.find_proposal(command.proposal)?;
    let Subject::BankAccountChange { account: index, bank_account } = &proposal.subject else {
        return Err(Rejection::ProposalNotPending { proposal: command.proposal });
    };
    now.is_another_than(proposal.maker)?;
    let account = state.accounts.get(*index);
    is_open(account)?;
    nothing_is_on_its_way(state, *index)?;
    // Whose it is was asked when it was proposed, and it is reserved since.
    Ok(Event::BankAccountChanged(Box::new(BankAccountChanged {
        command: command.clone(),
        fund: state.funds.get(account.fund).id,
        account: account.id,
        bank_account: bank_account.clone(),
    })))
}

/// The cooperative may have that bank account: it holds it, and no other has it or waits for it.
pub(super) fn may_have(
    state: &State,
    owner: CooperativeIndex,
    bank_account: &BankAccount,
    holder: &Name,
) -> Result<(), Rejection> {
    let registered = &state.cooperatives.get(owner).registered.name;
    if holder != registered {
        let registered = Box::new(registered.clone());
        return Err(Rejection::HolderNameMismatch { registered });
    }
    if let Some(other) = state.bank_account_owner(bank_account)
        && other != owner
    {
        let cooperative = state.cooperatives.get(other).id();
        return Err(Rejection::BankAccountTaken { cooperative });
    }
    if let Some((other, proposal)) = state.bank_account_reserved(bank_account)
        && other != owner
    {
        let cooperative = state.cooperatives.get(other).id();
        return Err(Rejection::BankAccountReserved { cooperative, proposal });
    }
    Ok(())
}

/// No disbursement to the account waits for its second person: its maker saw another bank account
/// than its checker would.
fn nothing_is_on_its_way(state: &State, index: AccountIndex) -> Result<(), Rejection> {
    let is_paid = |subject: &Subject| match subject {
        Subject::Disbursement { paid, .. } => state.account_paid(*paid) == Some(index),
        Subject::Loan(_)
        | Subject::AllocationWithdrawal { .. }
        | Subject::Reversal { .. }
        | Subject::BankAccountChange { .. }
        | Subject::PeriodClose { .. }
        | Subject::WriteOff { .. }
        | Subject::Restructuring { .. } => false,
    };
    match state.proposals.iter().find(|(_, proposal)| is_paid(&proposal.subject)) {
        Some((proposal, _)) => {
            let (account, proposal) = (state.accounts.get(index).id, *proposal);
            Err(Rejection::DisbursementPending { account, proposal })
        }
        None => Ok(()),
    }
}
