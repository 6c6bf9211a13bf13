//! Disbursements that two people make: proposed by one, approved by another once the bank has paid.

use super::Now;
use super::account::is_open;
use super::payment::{approved, grows, is_available, may_grant, nothing_is_written_off, posts};
use super::room::Room;
use crate::command::{ApproveDisbursement, Payee, ProposeDisbursement};
use crate::event::{DisbursementApproved, Event, Paid, Proposed};
use crate::money::Amount;
use crate::rejection::Rejection;
use crate::state::{FundIndex, Reservation, State, Subject};
use alloc::boxed::Box;

pub(super) fn propose(
    state: &State,
    command: &ProposeDisbursement,
    now: &Now,
) -> Result<Event, Rejection> {
    let paid = command.payee.paid();
    let fund = may_pay(&Room::new(state), state, paid, command.amount, now)?;
    let expires_at = now.expiry(command.expires_at, state.funds.get(fund).terms_on(now.date))?;
    let command = command.clone();
    Ok(Event::DisbursementProposed(Box::new(Proposed { command, expires_at })))
}

pub(super) fn approve(
    state: &State,
    command: &ApproveDisbursement,
    now: &Now,
) -> Result<Event, Rejection> {
    let proposal = state.find_proposal(command.proposal)?;
    let Subject::Disbursement { paid, amount } = proposal.subject else {
        return Err(Rejection::ProposalNotPending { proposal: command.proposal });
    };
    now.is_another_than(proposal.maker)?;
    let index = may_pay(&Room::of(state, &proposal.reservation), state, paid, amount, now)?;
    let fund = state.funds.get(index);
    now.value_date(state, index, command.value_date, fund.opening_date)?;
    is_available(fund, amount)?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    let command = command.clone();
    posts(state, Event::DisbursementApproved(DisbursementApproved { command, paid, amount }))
}

/// What a disbursement keeps for itself while it is pending. What a loan may be paid is promised,
/// and so out of everybody's reach, since the loan was approved.
pub(crate) fn disbursement_reserves(state: &State, paid: Paid, amount: Amount) -> Reservation {
    let found = match paid {
        Paid::Loan(loan) => state.loans.find(&loan).map(|index| {
            let fund = state.accounts.get(state.loans.get(index).account).fund;
            let headroom = Some((index, amount.minor()));
            Reservation { headroom, ..Reservation::of(fund, 0) }
        }),
        Paid::Grant(fund, account) => state.funds.find(&fund).map(|fund| {
            let ceiling = state.accounts.find(&(fund, account)).map(|a| (a, amount.minor()));
            Reservation { ceiling, ..Reservation::of(fund, amount.minor()) }
        }),
    };
    found.expect("decide found the payee on this very state")
}

/// So much may be paid today; gives the fund that pays.
fn may_pay(
    room: &Room,
    state: &State,
    paid: Paid,
    amount: Amount,
    now: &Now,
) -> Result<FundIndex, Rejection> {
    match paid {
        Paid::Loan(loan) => {
            let (index, loan, active) = approved(state, loan)?;
            let account = state.accounts.get(loan.account);
            is_open(account)?;
            nothing_is_written_off(loan, active)?;
            room.headroom(index, amount)?;
            grows(account.balances().disbursed, amount.minor())?;
            Ok(account.fund)
        }
        Paid::Grant(fund, account) => {
            let (index, account) = state.find_account(fund, account)?;
            may_grant(room, state, index, amount, now)?;
            Ok(account.fund)
        }
    }
}

impl Payee {
    /// What a disbursement to it is paid for.
    pub fn paid(&self) -> Paid {
        match self {
            Payee::Loan(loan) => Paid::Loan(*loan),
            Payee::Grant { fund, account, .. } => Paid::Grant(*fund, *account),
        }
    }
}
