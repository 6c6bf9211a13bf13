//! Events of every kind.

use super::commands::{command, continuing, seal};
use super::{
    a_disbursement, amount, date, id, loan_terms, money, position, timestamp, write_off_kind,
};
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::event::{
    BankAccountChanged, DisbursementApproved, DisbursementReturned, LoanApproved, Paid,
    PeriodClosed, Proposed, Repaid, Restructured, ReversalProposed, Undoes, WrittenOff,
};
use bergulir_domain::id::Id;
use bergulir_domain::text::Text;
use bergulir_domain::{Event, Money};
use proptest::prelude::*;

fn paid() -> impl Strategy<Value = Paid> {
    prop_oneof![
        id().prop_map(Paid::Loan),
        (id(), id()).prop_map(|(fund, account)| Paid::Grant(fund, account)),
    ]
}

fn undoes() -> BoxedStrategy<Undoes> {
    prop_oneof![
        (id(), amount()).prop_map(|(fund, amount)| Undoes::Allocation { fund, amount }),
        (id(), position(), amount()).prop_map(|(fund, allocation, amount)| {
            Undoes::AllocationWithdrawal { fund, allocation, amount }
        }),
        (paid(), amount()).prop_map(|(paid, amount)| Undoes::Disbursement { paid, amount }),
        (position(), paid(), amount(), date()).prop_map(
            |(disbursement, paid, amount, disbursed_on)| {
                Undoes::Return { disbursement, paid, amount, disbursed_on }
            }
        ),
        (id(), money(), money(), money(), any::<bool>()).prop_map(
            |(loan, principal, interest, late_fee, relend_income)| {
                Undoes::Repayment { loan, principal, interest, late_fee, relend_income }
            }
        ),
        (id(), write_off_kind(), amount(), money()).prop_map(|(loan, kind, amount, principal)| {
            Undoes::WriteOff { loan, kind, amount, principal }
        }),
        (id(), amount()).prop_map(|(loan, amount)| Undoes::Recovery { loan, amount }),
    ]
    .boxed()
}

/// Every event.
pub(crate) fn event() -> BoxedStrategy<Event> {
    let commands = prop_oneof![38 => command(), 1 => seal(), 1 => continuing()];
    (commands, timestamp(), loan_terms(), paid(), amount(), undoes(), any::<bool>())
        .prop_map(|(command, expires_at, terms, paid, amount, undoes, flag)| match command {
            Command::OpenLedger(c) => Event::LedgerOpened(Box::new(c)),
            Command::AdoptRules(c) => Event::RulesAdopted(c),
            Command::RotateKey(c) => Event::KeyRotated(c),
            Command::ContinueLedger(c) => Event::LedgerContinued(Box::new(c)),
            Command::OpenFund(c) => Event::FundOpened(Box::new(c)),
            Command::ChangeTerms(c) => Event::TermsChanged(Box::new(c)),
            Command::AllocateFund(c) => Event::FundAllocated(c),
            Command::ProposeAllocationWithdrawal(command) => {
                Event::AllocationWithdrawalProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveAllocationWithdrawal(c) => Event::AllocationWithdrawn(c),
            Command::ProposePeriodClose(command) => {
                Event::PeriodCloseProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApprovePeriodClose(command) => Event::PeriodClosed(PeriodClosed {
                command,
                fund: Id::new("dana").unwrap(),
                through: a_disbursement().value_date,
            }),
            Command::RegisterCooperative(c) => Event::CooperativeRegistered(c.into()),
            Command::AppointOfficer(c) => Event::OfficerAppointed(c),
            Command::ConfirmReadiness(c) => Event::ReadinessConfirmed(c),
            Command::OpenAccount(c) => Event::AccountOpened(c),
            Command::SuspendAccount(c) => Event::AccountSuspended(c),
            Command::ResumeAccount(c) => Event::AccountResumed(c),
            Command::CloseAccount(c) => Event::AccountClosed(c),
            Command::ProposeBankAccountChange(command) => {
                Event::BankAccountChangeProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveBankAccountChange(command) => {
                Event::BankAccountChanged(Box::new(BankAccountChanged {
                    command,
                    fund: Id::new("dana").unwrap(),
                    account: Id::new("a1").unwrap(),
                    bank_account: c::BankAccount {
                        bank: Text::new("BJB").unwrap(),
                        number: Text::new("001").unwrap(),
                    },
                }))
            }
            Command::ProposeLoan(command) => {
                Event::LoanProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveLoan(command) => Event::LoanApproved(LoanApproved { command, terms }),
            Command::RefuseLoan(c) => Event::LoanRefused(c),
            Command::WithdrawLoan(c) => Event::LoanWithdrawn(c),
            Command::Disburse(c) => Event::Disbursed(c),
            Command::DisburseGrant(c) => Event::GrantDisbursed(c),
            Command::ProposeDisbursement(command) => {
                Event::DisbursementProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveDisbursement(command) => {
                Event::DisbursementApproved(DisbursementApproved { command, paid, amount })
            }
            Command::ReturnDisbursement(command) => {
                Event::DisbursementReturned(DisbursementReturned { command, paid, amount })
            }
            Command::Repay(command) => Event::Repaid(Repaid { command, relend_income: flag }),
            Command::ProposeWriteOff(command) => {
                Event::WriteOffProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveWriteOff(command) => Event::WrittenOff(WrittenOff {
                command,
                loan: Id::new("l1").unwrap(),
                kind: if flag { c::WriteOffKind::Absolute } else { c::WriteOffKind::Conditional },
                amount,
                principal: Money::from_minor(amount.minor() - i64::from(flag)).unwrap(),
            }),
            Command::RecordRecovery(c) => Event::Recovered(c),
            Command::ProposeRestructuring(command) => {
                Event::RestructuringProposed(Box::new(Proposed { command, expires_at }))
            }
            Command::ApproveRestructuring(command) => Event::Restructured(Restructured {
                command,
                loan: Id::new("l1").unwrap(),
                effective_from: a_disbursement().value_date,
                terms,
            }),
            Command::ProposeReversal(command) => {
                Event::ReversalProposed(Box::new(ReversalProposed { command, expires_at, undoes }))
            }
            Command::ApproveReversal(c) => Event::Reversed(c),
            Command::RefuseProposal(c) => Event::ProposalRefused(c),
            Command::WithdrawProposal(c) => Event::ProposalWithdrawn(c),
            Command::Seal(c) => Event::Sealed(c),
        })
        .boxed()
}
