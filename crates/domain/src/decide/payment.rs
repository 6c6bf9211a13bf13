//! Money that moves: tranches, grants, returns by the bank, repayments.

use super::Now;
use super::account::{is_not_closed, is_open};
use super::room::Room;
use crate::command::{Disburse, DisburseGrant, Repay, ReturnDisbursement};
use crate::event::{DisbursementReturned, Event, Paid, PaidOut, Repaid};
use crate::journal::{disbursement, journal, payment_received};
use crate::money::Amount;
use crate::postings::JournalEntry;
use crate::rejection::{NeedsFund, Purse, Rejection, Resource};
use crate::state::{AccountIndex, ActiveLoan, Fund, Loan, LoanIndex, State};
use crate::terms::Purpose;

pub(super) fn disburse(state: &State, command: &Disburse, now: &Now) -> Result<Event, Rejection> {
    let (index, loan) = state.find_loan_near(command.loan, now.context.near)?;
    let active = is_approved(loan)?;
    let account = state.accounts.get(loan.account);
    let fund = state.funds.get(account.fund);
    is_open(account)?;
    nothing_is_written_off(loan, active)?;
    one_person_may_pay(fund, command.amount, now)?;
    Room::new(state).headroom(index, command.amount)?;
    now.value_date(state, account.fund, command.value_date, fund.opening_date)?;
    is_available(fund, command.amount)?;
    grows(account.balances().disbursed, command.amount.minor())?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    fits(fund, &disbursement(command))?;
    Ok(Event::Disbursed(command.clone()))
}

pub(super) fn disburse_grant(
    state: &State,
    command: &DisburseGrant,
    now: &Now,
) -> Result<Event, Rejection> {
    let (index, account) = state.find_account(command.fund, command.account)?;
    let fund = state.funds.get(account.fund);
    let room = Room::new(state);
    may_grant(&room, state, index, command.amount, now)?;
    one_person_may_pay(fund, command.amount, now)?;
    now.value_date(state, account.fund, command.value_date, fund.opening_date)?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    posts(state, Event::GrantDisbursed(command.clone()))
}

pub(super) fn return_disbursement(
    state: &State,
    command: &ReturnDisbursement,
    now: &Now,
) -> Result<Event, Rejection> {
    let position = command.disbursement;
    let not_found = Rejection::NotFound(Resource::Record(position));
    let event = now.context.lookups.record(position)?.ok_or(not_found)?;
    let paid_out = event.paid_out().ok_or(Rejection::NotADisbursement { position })?;
    let PaidOut { paid, amount, value_date: disbursed_on } = paid_out;
    if let Some(undone) = state.undone(position) {
        return Err(Rejection::AlreadyUndone { position, by: undone.by() });
    }
    let account = state.account_paid(paid).ok_or(Rejection::NotADisbursement { position })?;
    let fund = state.accounts.get(account).fund;
    now.value_date(state, fund, command.value_date, disbursed_on)?;
    may_come_back(state, paid, amount)?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    let command = command.clone();
    let returned = DisbursementReturned { command, paid, amount };
    posts(state, Event::DisbursementReturned(returned))
}

pub(super) fn repay(state: &State, command: &Repay, now: &Now) -> Result<Event, Rejection> {
    let (_, loan) = state.find_loan_near(command.loan, now.context.near)?;
    let active = is_approved(loan)?;
    let account = state.accounts.get(loan.account);
    let fund = state.funds.get(account.fund);
    is_not_closed(account)?;
    if active.balances().claim_has_ended() {
        return Err(Rejection::ClaimEnded { loan: loan.id });
    }
    let [principal, interest, late_fee] = command.parts();
    let parts = principal + interest + late_fee;
    if parts != command.amount.minor() {
        return Err(Rejection::PartsDoNotSum { amount: command.amount, parts });
    }
    let Some(earliest) = active.tranches.earliest() else {
        return Err(Rejection::NothingDisbursed { loan: loan.id });
    };
    now.value_date(state, account.fund, command.value_date, earliest)?;
    let outstanding = active.balances().outstanding();
    if principal > outstanding {
        return Err(Rejection::OutstandingExceeded { outstanding, principal });
    }
    let paid = account.balances();
    grows(paid.interest_paid, interest)?;
    grows(paid.late_fees_paid, late_fee)?;
    now.bank_reference_is_free(state, &command.bank_reference)?;
    // By the day on which the money came, so that the order of recording does not matter.
    let relend_income = match fund.terms_on(command.value_date).purpose {
        Purpose::Loan(terms) => terms.relend_income,
        Purpose::Grant => false,
    };
    fits(fund, &payment_received(command))?;
    Ok(Event::Repaid(Repaid { command: command.clone(), relend_income }))
}

/// The account may be given so much of its fund today.
pub(super) fn may_grant(
    room: &Room,
    state: &State,
    index: AccountIndex,
    amount: Amount,
    now: &Now,
) -> Result<(), Rejection> {
    let account = state.accounts.get(index);
    let fund = state.funds.get(account.fund);
    let terms = fund.terms_on(now.date);
    let Purpose::Grant = terms.purpose else {
        return Err(Rejection::WrongFundKind { fund: fund.id, needs: NeedsFund::Grant });
    };
    is_open(account)?;
    room.ceiling(index, terms, amount)?;
    room.committable(account.fund, fund, amount)
}

/// The fund's terms do not ask for a second person today.
fn one_person_may_pay(fund: &Fund, requested: Amount, now: &Now) -> Result<(), Rejection> {
    match fund.terms_on(now.date).disbursement_approval_above {
        Some(above) if requested.minor() > above.minor() => {
            Err(Rejection::NeedsSecondPerson { above, requested })
        }
        Some(_) | None => Ok(()),
    }
}

/// Nothing more is paid out on a loan of which something was given up.
pub(super) fn nothing_is_written_off(loan: &Loan, active: &ActiveLoan) -> Result<(), Rejection> {
    match active.balances().written_off {
        0 => Ok(()),
        written_off => Err(Rejection::LoanWrittenOff { loan: loan.id, written_off }),
    }
}

/// A payment can be undone as long as it was neither repaid nor written off.
pub(super) fn may_come_back(state: &State, paid: Paid, amount: Amount) -> Result<(), Rejection> {
    let Paid::Loan(loan) = paid else {
        return Ok(());
    };
    let (_, _, active) = approved(state, loan)?;
    let remaining = active.balances().disbursed - amount.minor();
    let repaid = active.balances().principal_repaid + active.balances().written_off;
    if remaining < repaid {
        return Err(Rejection::DisbursementRepaid { remaining, repaid });
    }
    Ok(())
}

pub(super) fn approved(
    state: &State,
    id: crate::LoanId,
) -> Result<(LoanIndex, &Loan, &ActiveLoan), Rejection> {
    let (index, loan) = state.find_loan(id)?;
    Ok((index, loan, is_approved(loan)?))
}

fn is_approved(loan: &Loan) -> Result<&ActiveLoan, Rejection> {
    let not_approved = || Rejection::LoanNotApproved { loan: loan.id, status: loan.status() };
    loan.active().ok_or_else(not_approved)
}

pub(super) fn is_available(fund: &Fund, requested: Amount) -> Result<(), Rejection> {
    let has = fund.balances.available();
    if has < requested.minor() {
        let purse = Purse::Available;
        return Err(Rejection::InsufficientFunds { fund: fund.id, purse, has, requested });
    }
    Ok(())
}

pub(super) fn grows(total: i64, minor: i64) -> Result<i64, Rejection> {
    total.checked_add(minor).ok_or(Rejection::BalanceLimitExceeded)
}

/// Accepts an event that moves money, if the books of its fund can hold the result.
pub(super) fn posts(state: &State, event: Event) -> Result<Event, Rejection> {
    if let Some((fund, entry)) = journal(state, &event) {
        fits(state.funds.get(fund), &entry)?;
    }
    Ok(event)
}

fn fits(fund: &Fund, entry: &JournalEntry) -> Result<(), Rejection> {
    match fund.balances.books.with(entry) {
        Some(_) => Ok(()),
        None => Err(Rejection::BalanceLimitExceeded),
    }
}
