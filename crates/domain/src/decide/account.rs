//! Accounts: the prerequisite of every disbursement.

use super::Now;
use super::bank_account::may_have;
use crate::command::{CloseAccount, OpenAccount, ResumeAccount, SuspendAccount};
use crate::event::Event;
use crate::rejection::{AccountStatus, Rejection, Resource};
use crate::state::{Account, State};

pub(super) fn open(state: &State, command: &OpenAccount, now: &Now) -> Result<Event, Rejection> {
    let (fund_index, fund) = state.find_fund(command.fund)?;
    if state.accounts.find(&(fund_index, command.account)).is_some() {
        return Err(Rejection::AlreadyExists(Resource::Account(command.fund, command.account)));
    }
    let (owner, cooperative) = state.find_cooperative(command.cooperative)?;
    let mut accounts = cooperative.accounts.iter().map(|index| state.accounts.get(*index));
    let open = accounts.find(|a| a.fund == fund_index && a.status != AccountStatus::Closed);
    if let Some(open) = open {
        let (fund, account) = (command.fund, open.id);
        return Err(Rejection::CooperativeHasAccount { fund, account });
    }
    let required = fund.terms_on(now.date).required_readiness;
    let missing = required.without(cooperative.readiness());
    if !missing.is_empty() {
        return Err(Rejection::NotReady { missing });
    }
    may_have(state, owner, &command.bank_account, &command.holder)?;
    Ok(Event::AccountOpened(command.clone()))
}

pub(super) fn suspend(state: &State, command: &SuspendAccount) -> Result<Event, Rejection> {
    let (_, account) = state.find_account(command.fund, command.account)?;
    is_open(account)?;
    Ok(Event::AccountSuspended(command.clone()))
}

pub(super) fn resume(state: &State, command: &ResumeAccount) -> Result<Event, Rejection> {
    let (_, account) = state.find_account(command.fund, command.account)?;
    match account.status {
        AccountStatus::Suspended => Ok(Event::AccountResumed(command.clone())),
        status @ (AccountStatus::Open | AccountStatus::Closed) => {
            Err(Rejection::AccountNotSuspended { account: account.id, status })
        }
    }
}

pub(super) fn close(state: &State, command: &CloseAccount) -> Result<Event, Rejection> {
    let (_, account) = state.find_account(command.fund, command.account)?;
    is_not_closed(account)?;
    let balances = account.balances();
    let (outstanding, committed) = (balances.outstanding(), balances.committed);
    if outstanding != 0 || committed != 0 || balances.pending != 0 {
        let (account, pending) = (account.id, balances.pending);
        return Err(Rejection::AccountNotEmpty { account, outstanding, committed, pending });
    }
    Ok(Event::AccountClosed(command.clone()))
}

/// It may borrow.
pub(super) fn is_open(account: &Account) -> Result<(), Rejection> {
    match account.status {
        AccountStatus::Open => Ok(()),
        status @ (AccountStatus::Suspended | AccountStatus::Closed) => {
            Err(Rejection::AccountNotOpen { account: account.id, status })
        }
    }
}

/// It may repay and be corrected.
pub(super) fn is_not_closed(account: &Account) -> Result<(), Rejection> {
    match account.status {
        AccountStatus::Open | AccountStatus::Suspended => Ok(()),
        status @ AccountStatus::Closed => {
            Err(Rejection::AccountNotOpen { account: account.id, status })
        }
    }
}
