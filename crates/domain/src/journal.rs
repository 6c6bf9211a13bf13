//! Which event moves what: the postings of each event on the books of its fund.

use crate::command::{Disburse, Repay};
use crate::event::{Event, Paid, Undoes};
use crate::postings::{Book, JournalEntry};
use crate::state::{FundIndex, State, Subject};

/// The postings of an event and the fund on whose books they stand; `None` for an event that moves
/// no money. Asked of the state before the event.
pub fn journal(state: &State, event: &Event) -> Option<(FundIndex, JournalEntry)> {
    match event {
        Event::FundAllocated(e) => Some((state.funds.find(&e.fund)?, allocation(e.amount.minor()))),
        Event::AllocationWithdrawn(e) => match state.proposals.get(&e.proposal)?.subject {
            Subject::AllocationWithdrawal { fund, amount, .. } => {
                Some((fund, -allocation(amount.minor())))
            }
            Subject::Loan(_)
            | Subject::Reversal { .. }
            | Subject::Disbursement { .. }
            | Subject::BankAccountChange { .. }
            | Subject::PeriodClose { .. }
            | Subject::WriteOff { .. }
            | Subject::Restructuring { .. } => None,
        },
        Event::Disbursed(e) => Some((fund_of(state, Paid::Loan(e.loan))?, disbursement(e))),
        Event::GrantDisbursed(e) => Some((state.funds.find(&e.fund)?, grant(e.amount.minor()))),
        Event::DisbursementApproved(e) => {
            Some((fund_of(state, e.paid)?, payment(e.paid, e.amount.minor())))
        }
        Event::DisbursementReturned(e) => {
            Some((fund_of(state, e.paid)?, -payment(e.paid, e.amount.minor())))
        }
        Event::Repaid(e) => {
            let command = &e.command;
            Some((fund_of(state, Paid::Loan(command.loan))?, payment_received(command)))
        }
        Event::WrittenOff(e) => {
            Some((fund_of(state, Paid::Loan(e.loan))?, write_off(e.principal.minor())))
        }
        Event::Recovered(e) => {
            Some((fund_of(state, Paid::Loan(e.loan))?, recovery(e.amount.minor())))
        }
        Event::Reversed(e) => match state.proposals.get(&e.proposal)?.subject {
            Subject::Reversal { undoes, .. } => reversal(state, undoes),
            Subject::Loan(_)
            | Subject::AllocationWithdrawal { .. }
            | Subject::Disbursement { .. }
            | Subject::BankAccountChange { .. }
            | Subject::PeriodClose { .. }
            | Subject::WriteOff { .. }
            | Subject::Restructuring { .. } => None,
        },
        Event::LedgerOpened(_)
        | Event::RulesAdopted(_)
        | Event::KeyRotated(_)
        | Event::LedgerContinued(_)
        | Event::FundOpened(_)
        | Event::TermsChanged(_)
        | Event::AllocationWithdrawalProposed(_)
        | Event::CooperativeRegistered(_)
        | Event::OfficerAppointed(_)
        | Event::ReadinessConfirmed(_)
        | Event::AccountOpened(_)
        | Event::AccountSuspended(_)
        | Event::AccountResumed(_)
        | Event::AccountClosed(_)
        | Event::LoanProposed(_)
        | Event::LoanApproved(_)
        | Event::LoanRefused(_)
        | Event::LoanWithdrawn(_)
        | Event::DisbursementProposed(_)
        | Event::PeriodCloseProposed(_)
        | Event::PeriodClosed(_)
        | Event::BankAccountChangeProposed(_)
        | Event::BankAccountChanged(_)
        | Event::WriteOffProposed(_)
        | Event::RestructuringProposed(_)
        | Event::Restructured(_)
        | Event::ReversalProposed(_)
        | Event::ProposalRefused(_)
        | Event::ProposalWithdrawn(_)
        | Event::Sealed(_) => None,
    }
}

/// The postings of a tranche, on the books of its loan's fund.
pub(crate) fn disbursement(command: &Disburse) -> JournalEntry {
    tranche(command.amount.minor())
}

/// The postings of a borrower's payment, on the books of its loan's fund.
pub(crate) fn payment_received(command: &Repay) -> JournalEntry {
    let [principal, interest, late_fee] = command.parts();
    repayment(principal, interest, late_fee)
}

/// The postings that undo what a record did.
pub(crate) fn reversal(state: &State, undoes: Undoes) -> Option<(FundIndex, JournalEntry)> {
    let (fund, entry) = match undoes {
        Undoes::Allocation { fund, amount } => {
            (state.funds.find(&fund)?, allocation(amount.minor()))
        }
        Undoes::AllocationWithdrawal { fund, amount, .. } => {
            (state.funds.find(&fund)?, -allocation(amount.minor()))
        }
        Undoes::Disbursement { paid, amount } => {
            (fund_of(state, paid)?, payment(paid, amount.minor()))
        }
        Undoes::Return { paid, amount, .. } => {
            (fund_of(state, paid)?, -payment(paid, amount.minor()))
        }
        Undoes::Repayment { loan, principal, interest, late_fee, .. } => (
            fund_of(state, Paid::Loan(loan))?,
            repayment(principal.minor(), interest.minor(), late_fee.minor()),
        ),
        Undoes::WriteOff { loan, principal, .. } => {
            (fund_of(state, Paid::Loan(loan))?, write_off(principal.minor()))
        }
        Undoes::Recovery { loan, amount } => {
            (fund_of(state, Paid::Loan(loan))?, recovery(amount.minor()))
        }
    };
    Some((fund, -entry))
}

fn fund_of(state: &State, paid: Paid) -> Option<FundIndex> {
    match paid {
        Paid::Loan(loan) => {
            let account = state.loans.get(state.loans.find(&loan)?).account;
            Some(state.accounts.get(account).fund)
        }
        Paid::Grant(fund, _) => state.funds.find(&fund),
    }
}

fn allocation(minor: i64) -> JournalEntry {
    JournalEntry::of(Book::Cash, Book::Capital, minor)
}

fn tranche(minor: i64) -> JournalEntry {
    JournalEntry::of(Book::PrincipalReceivable, Book::Cash, minor)
}

fn grant(minor: i64) -> JournalEntry {
    JournalEntry::of(Book::GrantExpense, Book::Cash, minor)
}

fn payment(paid: Paid, minor: i64) -> JournalEntry {
    match paid {
        Paid::Loan(_) => tranche(minor),
        Paid::Grant(..) => grant(minor),
    }
}

fn repayment(principal: i64, interest: i64, late_fee: i64) -> JournalEntry {
    JournalEntry::of(Book::Cash, Book::PrincipalReceivable, principal)
        .and(Book::Cash, Book::InterestIncome, interest)
        .and(Book::Cash, Book::LateFeeIncome, late_fee)
}

fn write_off(minor: i64) -> JournalEntry {
    JournalEntry::of(Book::WriteOffLoss, Book::PrincipalReceivable, minor)
}

fn recovery(minor: i64) -> JournalEntry {
    JournalEntry::of(Book::Cash, Book::RecoveryIncome, minor)
}
