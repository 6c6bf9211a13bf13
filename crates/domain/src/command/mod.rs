//! What may be asked of a ledger: one type a command, each field as the caller gave it. What the
//! caller left out stays absent, so that a retry can be compared with the event it made.

mod account;
mod cooperative;
mod correction;
mod fund;
mod ledger;
mod loan;
mod payment;
mod restructuring;
mod write_off;

pub use account::{
    ApproveBankAccountChange, BankAccount, CloseAccount, OpenAccount, ProposeBankAccountChange,
    ResumeAccount, SuspendAccount,
};
pub use cooperative::{AppointOfficer, ConfirmReadiness, Evidence, RegisterCooperative};
pub use correction::{ApproveReversal, ProposeReversal, RefuseProposal, WithdrawProposal};
pub use fund::{
    AllocateFund, AllocationSource, ApproveAllocationWithdrawal, ApprovePeriodClose, ChangeTerms,
    OpenFund, ProposeAllocationWithdrawal, ProposePeriodClose,
};
pub use ledger::{AdoptRules, ContinueLedger, LastKnown, OpenLedger, RotateKey, Seal};
pub use loan::{ApproveLoan, ProposeLoan, RefuseLoan, WithdrawLoan};
pub use payment::{
    ApproveDisbursement, BankReference, Disburse, DisburseGrant, Payee, ProposeDisbursement, Repay,
    ReturnDisbursement,
};
pub use restructuring::{ApproveRestructuring, ProposeRestructuring};
pub use write_off::{ApproveWriteOff, ProposeWriteOff, RecordRecovery, WriteOffKind};

use crate::id::LoanId;

/// Everything that may be asked of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented at its type of the same name")]
pub enum Command {
    OpenLedger(OpenLedger),
    AdoptRules(AdoptRules),
    RotateKey(RotateKey),
    ContinueLedger(ContinueLedger),
    OpenFund(OpenFund),
    ChangeTerms(ChangeTerms),
    AllocateFund(AllocateFund),
    ProposeAllocationWithdrawal(ProposeAllocationWithdrawal),
    ApproveAllocationWithdrawal(ApproveAllocationWithdrawal),
    ProposePeriodClose(ProposePeriodClose),
    ApprovePeriodClose(ApprovePeriodClose),
    RegisterCooperative(RegisterCooperative),
    AppointOfficer(AppointOfficer),
    ConfirmReadiness(ConfirmReadiness),
    OpenAccount(OpenAccount),
    SuspendAccount(SuspendAccount),
    ResumeAccount(ResumeAccount),
    CloseAccount(CloseAccount),
    ProposeBankAccountChange(ProposeBankAccountChange),
    ApproveBankAccountChange(ApproveBankAccountChange),
    ProposeLoan(ProposeLoan),
    ApproveLoan(ApproveLoan),
    RefuseLoan(RefuseLoan),
    WithdrawLoan(WithdrawLoan),
    Disburse(Disburse),
    DisburseGrant(DisburseGrant),
    ProposeDisbursement(ProposeDisbursement),
    ApproveDisbursement(ApproveDisbursement),
    ReturnDisbursement(ReturnDisbursement),
    Repay(Repay),
    ProposeWriteOff(ProposeWriteOff),
    ApproveWriteOff(ApproveWriteOff),
    RecordRecovery(RecordRecovery),
    ProposeRestructuring(ProposeRestructuring),
    ApproveRestructuring(ApproveRestructuring),
    ProposeReversal(ProposeReversal),
    ApproveReversal(ApproveReversal),
    RefuseProposal(RefuseProposal),
    WithdrawProposal(WithdrawProposal),
    Seal(Seal),
}

impl Command {
    /// The loan that this pays out or back, if it is one of the two that nearly all are.
    pub fn paid_loan(&self) -> Option<LoanId> {
        match self {
            Command::Disburse(command) => Some(command.loan),
            Command::Repay(command) => Some(command.loan),
            _ => None,
        }
    }

    /// The bank reference that the event of this command uses, if it moves cash by itself.
    pub fn bank_reference(&self) -> Option<&BankReference> {
        match self {
            Command::AllocateFund(command) => Some(&command.bank_reference),
            Command::ApproveAllocationWithdrawal(command) => Some(&command.bank_reference),
            Command::Disburse(command) => Some(&command.bank_reference),
            Command::DisburseGrant(command) => Some(&command.bank_reference),
            Command::ApproveDisbursement(command) => Some(&command.bank_reference),
            Command::ReturnDisbursement(command) => Some(&command.bank_reference),
            Command::Repay(command) => Some(&command.bank_reference),
            Command::RecordRecovery(command) => Some(&command.bank_reference),
            Command::OpenLedger(_)
            | Command::ContinueLedger(_)
            | Command::AdoptRules(_)
            | Command::RotateKey(_)
            | Command::OpenFund(_)
            | Command::ChangeTerms(_)
            | Command::ProposeAllocationWithdrawal(_)
            | Command::RegisterCooperative(_)
            | Command::AppointOfficer(_)
            | Command::ConfirmReadiness(_)
            | Command::OpenAccount(_)
            | Command::SuspendAccount(_)
            | Command::ResumeAccount(_)
            | Command::CloseAccount(_)
            | Command::ProposeLoan(_)
            | Command::ApproveLoan(_)
            | Command::RefuseLoan(_)
            | Command::WithdrawLoan(_)
            | Command::ProposeDisbursement(_)
            | Command::ProposePeriodClose(_)
            | Command::ApprovePeriodClose(_)
            | Command::ProposeBankAccountChange(_)
            | Command::ApproveBankAccountChange(_)
            | Command::ProposeWriteOff(_)
            | Command::ApproveWriteOff(_)
            | Command::ProposeRestructuring(_)
            | Command::ApproveRestructuring(_)
            | Command::ProposeReversal(_)
            | Command::ApproveReversal(_)
            | Command::RefuseProposal(_)
            | Command::WithdrawProposal(_)
            | Command::Seal(_) => None,
        }
    }

    /// The oldest rules under which a ledger takes this command.
    pub fn rules_needed(&self) -> u32 {
        match self {
            Command::OpenFund(OpenFund { terms, .. })
            | Command::ChangeTerms(ChangeTerms { terms, .. }) => terms.rules_needed(),
            Command::ProposeDisbursement(_)
            | Command::ApproveDisbursement(_)
            | Command::ProposeBankAccountChange(_)
            | Command::ApproveBankAccountChange(_)
            | Command::ProposePeriodClose(_)
            | Command::ApprovePeriodClose(_) => 2,
            Command::ProposeWriteOff(_)
            | Command::ApproveWriteOff(_)
            | Command::RecordRecovery(_)
            | Command::ProposeRestructuring(_)
            | Command::ApproveRestructuring(_) => 3,
            _ => 1,
        }
    }
}
