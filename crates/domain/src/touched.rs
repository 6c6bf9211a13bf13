//! Whom an event concerns: in whose trails it stands, and whose balances it may have changed.

use crate::decide::{LookupFailed, Lookups};
use crate::event::{Event, Paid, Undoes};
use crate::id::{AccountId, FundId, LoanId};
use crate::moment::Position;
use crate::state::{AccountIndex, CooperativeIndex, FundIndex, LoanIndex, State, Subject};

/// Whom an event of the past concerned, asked of any later state.
///
/// # Errors
/// If the proposal that the event decided on cannot be looked up.
pub fn touched(
    state: &State,
    event: &Event,
    lookups: &dyn Lookups,
) -> Result<Touched, LookupFailed> {
    let Some(proposal) = closed_proposal(event) else {
        return Ok(Touched::by(state, event));
    };
    let proposed = lookups.record(proposal)?;
    Ok(proposed.map_or_else(Touched::default, |proposed| Touched::by(state, &proposed)))
}

/// The proposal that an event decides on, where the event itself does not say whom it concerns.
pub(crate) fn closed_proposal(event: &Event) -> Option<Position> {
    match event {
        Event::AllocationWithdrawn(e) => Some(e.proposal),
        Event::Reversed(e) => Some(e.proposal),
        Event::ProposalRefused(e) => Some(e.proposal),
        Event::ProposalWithdrawn(e) => Some(e.proposal),
        _ => None,
    }
}

/// Whom an event concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched {
    /// The fund.
    pub fund: Option<FundIndex>,
    /// The cooperative, for what concerns it outside of any fund.
    pub cooperative: Option<CooperativeIndex>,
    /// The account.
    pub account: Option<AccountIndex>,
    /// The loan.
    pub loan: Option<LoanIndex>,
}

impl Touched {
    fn fund(state: &State, fund: FundId) -> Touched {
        Touched { fund: state.funds().find(&fund), ..Touched::default() }
    }

    fn account(state: &State, account: AccountIndex) -> Touched {
        let fund = state.accounts().get(account).fund;
        Touched { fund: Some(fund), account: Some(account), ..Touched::default() }
    }

    fn account_named(state: &State, fund: FundId, account: AccountId) -> Touched {
        let index = state.funds().find(&fund).and_then(|f| state.accounts().find(&(f, account)));
        index.map_or_else(Touched::default, |account| Touched::account(state, account))
    }

    fn loan(state: &State, loan: LoanIndex) -> Touched {
        let account = state.loans().get(loan).account;
        Touched { loan: Some(loan), ..Touched::account(state, account) }
    }

    pub(crate) fn loan_named(state: &State, loan: LoanId) -> Touched {
        Touched::loan_near(state, loan, None)
    }

    pub(crate) fn loan_near(state: &State, loan: LoanId, near: Option<LoanIndex>) -> Touched {
        let index = state.loans().find_near(&loan, near);
        index.map_or_else(Touched::default, |loan| Touched::loan(state, loan))
    }

    fn paid(state: &State, paid: Paid) -> Touched {
        match paid {
            Paid::Loan(loan) => Touched::loan_named(state, loan),
            Paid::Grant(fund, account) => Touched::account_named(state, fund, account),
        }
    }

    fn undoes(state: &State, undoes: Undoes) -> Touched {
        match undoes {
            Undoes::Allocation { fund, .. } | Undoes::AllocationWithdrawal { fund, .. } => {
                Touched::fund(state, fund)
            }
            Undoes::Disbursement { paid, .. } | Undoes::Return { paid, .. } => {
                Touched::paid(state, paid)
            }
            Undoes::Repayment { loan, .. }
            | Undoes::WriteOff { loan, .. }
            | Undoes::Recovery { loan, .. } => Touched::loan_named(state, loan),
        }
    }

    /// Whom a pending proposal concerns.
    pub(crate) fn proposal(state: &State, proposal: Position) -> Touched {
        match state.proposals().get(&proposal).map(|proposal| &proposal.subject) {
            Some(
                Subject::Loan(loan)
                | Subject::WriteOff { loan, .. }
                | Subject::Restructuring { loan, .. },
            ) => Touched::loan(state, *loan),
            Some(
                Subject::AllocationWithdrawal { fund, .. } | Subject::PeriodClose { fund, .. },
            ) => Touched { fund: Some(*fund), ..Touched::default() },
            Some(Subject::Reversal { undoes, .. }) => Touched::undoes(state, *undoes),
            Some(Subject::Disbursement { paid, .. }) => Touched::paid(state, *paid),
            Some(Subject::BankAccountChange { account, .. }) => Touched::account(state, *account),
            None => Touched::default(),
        }
    }

    /// Whom an event concerns, asked of the state after it. An event that closes a proposal is
    /// asked about before, by [`Touched::proposal`].
    pub(crate) fn by(state: &State, event: &Event) -> Touched {
        match event {
            Event::FundOpened(e) => Touched::fund(state, e.fund),
            Event::TermsChanged(e) => Touched::fund(state, e.fund),
            Event::FundAllocated(e) => Touched::fund(state, e.fund),
            Event::AllocationWithdrawalProposed(e) => Touched::fund(state, e.command.fund),
            Event::PeriodCloseProposed(e) => Touched::fund(state, e.command.fund),
            Event::PeriodClosed(e) => Touched::fund(state, e.fund),
            Event::CooperativeRegistered(e) => {
                let cooperative = state.cooperatives().find(&e.cooperative);
                Touched { cooperative, ..Touched::default() }
            }
            Event::OfficerAppointed(e) => {
                let cooperative = state.cooperatives().find(&e.cooperative);
                Touched { cooperative, ..Touched::default() }
            }
            Event::ReadinessConfirmed(e) => {
                let cooperative = state.cooperatives().find(&e.cooperative);
                Touched { cooperative, ..Touched::default() }
            }
            Event::AccountOpened(e) => Touched::account_named(state, e.fund, e.account),
            Event::AccountSuspended(e) => Touched::account_named(state, e.fund, e.account),
            Event::AccountResumed(e) => Touched::account_named(state, e.fund, e.account),
            Event::AccountClosed(e) => Touched::account_named(state, e.fund, e.account),
            Event::BankAccountChangeProposed(e) => {
                Touched::account_named(state, e.command.fund, e.command.account)
            }
            Event::BankAccountChanged(e) => Touched::account_named(state, e.fund, e.account),
            Event::LoanProposed(e) => Touched::loan_named(state, e.command.loan),
            Event::LoanApproved(e) => Touched::loan_named(state, e.command.loan),
            Event::LoanRefused(e) => Touched::loan_named(state, e.loan),
            Event::LoanWithdrawn(e) => Touched::loan_named(state, e.loan),
            Event::Disbursed(e) => Touched::loan_named(state, e.loan),
            Event::GrantDisbursed(e) => Touched::account_named(state, e.fund, e.account),
            Event::DisbursementProposed(e) => Touched::paid(state, e.command.payee.paid()),
            Event::DisbursementApproved(e) => Touched::paid(state, e.paid),
            Event::DisbursementReturned(e) => Touched::paid(state, e.paid),
            Event::Repaid(e) => Touched::loan_named(state, e.command.loan),
            Event::WriteOffProposed(e) => Touched::loan_named(state, e.command.loan),
            Event::WrittenOff(e) => Touched::loan_named(state, e.loan),
            Event::Recovered(e) => Touched::loan_named(state, e.loan),
            Event::RestructuringProposed(e) => Touched::loan_named(state, e.command.loan),
            Event::Restructured(e) => Touched::loan_named(state, e.loan),
            Event::ReversalProposed(e) => Touched::undoes(state, e.undoes),
            Event::LedgerOpened(_)
            | Event::RulesAdopted(_)
            | Event::KeyRotated(_)
            | Event::LedgerContinued(_)
            | Event::Sealed(_)
            | Event::AllocationWithdrawn(_)
            | Event::Reversed(_)
            | Event::ProposalRefused(_)
            | Event::ProposalWithdrawn(_) => Touched::default(),
        }
    }
}
