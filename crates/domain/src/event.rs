//! What happened. An event is the accepted command, every field as given, and the facts that the
//! decision found: so the command can be rebuilt from it, compared with a retry, and decided again.

use crate::command::{self as c, Command};
use crate::id::{AccountId, FundId, LoanId, PrincipalId};
use crate::moment::{Date, Position, Timestamp};
use crate::money::{Amount, Money};
use crate::terms::LoanTerms;
use alloc::boxed::Box;
use alloc::sync::Arc;

/// Where, when and by whom: what a record says around its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Where the record stands.
    pub position: Position,
    /// When it was recorded; never before the record in front of it.
    pub recorded_at: Timestamp,
    /// Who acted.
    pub principal: PrincipalId,
}

/// Everything that can have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is documented at its command")]
pub enum Event {
    LedgerOpened(Box<c::OpenLedger>),
    RulesAdopted(c::AdoptRules),
    KeyRotated(c::RotateKey),
    LedgerContinued(Box<c::ContinueLedger>),
    FundOpened(Box<c::OpenFund>),
    TermsChanged(Box<c::ChangeTerms>),
    FundAllocated(c::AllocateFund),
    AllocationWithdrawalProposed(Box<Proposed<c::ProposeAllocationWithdrawal>>),
    AllocationWithdrawn(c::ApproveAllocationWithdrawal),
    PeriodCloseProposed(Box<Proposed<c::ProposePeriodClose>>),
    PeriodClosed(PeriodClosed),
    CooperativeRegistered(Arc<c::RegisterCooperative>),
    OfficerAppointed(c::AppointOfficer),
    ReadinessConfirmed(c::ConfirmReadiness),
    AccountOpened(c::OpenAccount),
    AccountSuspended(c::SuspendAccount),
    AccountResumed(c::ResumeAccount),
    AccountClosed(c::CloseAccount),
    BankAccountChangeProposed(Box<Proposed<c::ProposeBankAccountChange>>),
    BankAccountChanged(Box<BankAccountChanged>),
    LoanProposed(Box<Proposed<c::ProposeLoan>>),
    LoanApproved(LoanApproved),
    LoanRefused(c::RefuseLoan),
    LoanWithdrawn(c::WithdrawLoan),
    Disbursed(c::Disburse),
    GrantDisbursed(c::DisburseGrant),
    DisbursementProposed(Box<Proposed<c::ProposeDisbursement>>),
    DisbursementApproved(DisbursementApproved),
    DisbursementReturned(DisbursementReturned),
    Repaid(Repaid),
    WriteOffProposed(Box<Proposed<c::ProposeWriteOff>>),
    WrittenOff(WrittenOff),
    Recovered(c::RecordRecovery),
    RestructuringProposed(Box<Proposed<c::ProposeRestructuring>>),
    Restructured(Restructured),
    ReversalProposed(Box<ReversalProposed>),
    Reversed(c::ApproveReversal),
    ProposalRefused(c::RefuseProposal),
    ProposalWithdrawn(c::WithdrawProposal),
    Sealed(c::Seal),
}

/// Something waits for a second person until `expires_at`; time alone releases it then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed<C> {
    /// What was asked.
    pub command: C,
    /// From this instant on it has lapsed.
    pub expires_at: Timestamp,
}

/// A loan was approved under the terms of that day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoanApproved {
    /// What was asked.
    pub command: c::ApproveLoan,
    /// The snapshot of the fund's terms that holds for this loan.
    pub terms: LoanTerms,
}

/// What a disbursement was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// A tranche of a loan.
    Loan(LoanId),
    /// A grant to an account.
    Grant(FundId, AccountId),
}

/// A payment to a borrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidOut {
    /// What it was for.
    pub paid: Paid,
    /// How much.
    pub amount: Amount,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// A fund's books are closed through a day, for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeriodClosed {
    /// What was asked.
    pub command: c::ApprovePeriodClose,
    /// The fund.
    pub fund: FundId,
    /// The last day of the period.
    pub through: Date,
}

/// An account is tied to another bank account from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankAccountChanged {
    /// What was asked.
    pub command: c::ApproveBankAccountChange,
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// The bank account from here on.
    pub bank_account: c::BankAccount,
}

/// A proposed disbursement was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisbursementApproved {
    /// What was asked.
    pub command: c::ApproveDisbursement,
    /// What it was for.
    pub paid: Paid,
    /// How much was paid.
    pub amount: Amount,
}

/// The bank sent a disbursement back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisbursementReturned {
    /// What was asked.
    pub command: c::ReturnDisbursement,
    /// What the disbursement was for.
    pub paid: Paid,
    /// How much came back: the whole of it.
    pub amount: Amount,
}

/// A borrower paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaid {
    /// What was asked.
    pub command: c::Repay,
    /// Whether the terms of that day let its interest and late fee be lent again.
    pub relend_income: bool,
}

/// Principal of a loan was written off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenOff {
    /// What was asked.
    pub command: c::ApproveWriteOff,
    /// The loan.
    pub loan: LoanId,
    /// Whether the claim stays.
    pub kind: c::WriteOffKind,
    /// How much.
    pub amount: Amount,
    /// What of it left the books: was outstanding. The rest was written off before, and is a claim no
    /// more.
    pub principal: Money,
}

/// A loan got new terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restructured {
    /// What was asked.
    pub command: c::ApproveRestructuring,
    /// The loan.
    pub loan: LoanId,
    /// The day from which they hold.
    pub effective_from: Date,
    /// The terms.
    pub terms: LoanTerms,
}

/// A reversal waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReversalProposed {
    /// What was asked.
    pub command: c::ProposeReversal,
    /// From this instant on it has lapsed.
    pub expires_at: Timestamp,
    /// What the named record did.
    pub undoes: Undoes,
}

/// What a record that can be reversed did, as its reversal needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undoes {
    /// Money was put into a fund.
    Allocation {
        /// The fund.
        fund: FundId,
        /// How much.
        amount: Amount,
    },
    /// Money of an allocation was taken out.
    AllocationWithdrawal {
        /// The fund.
        fund: FundId,
        /// The record that allocated it.
        allocation: Position,
        /// How much.
        amount: Amount,
    },
    /// A tranche or a grant was paid out.
    Disbursement {
        /// What it was for.
        paid: Paid,
        /// How much.
        amount: Amount,
    },
    /// A tranche or a grant came back from the bank.
    Return {
        /// The record of the disbursement that came back.
        disbursement: Position,
        /// What it was for.
        paid: Paid,
        /// How much.
        amount: Amount,
        /// The value date of the disbursement.
        disbursed_on: Date,
    },
    /// A borrower paid.
    Repayment {
        /// The loan.
        loan: LoanId,
        /// Pokok.
        principal: Money,
        /// Jasa.
        interest: Money,
        /// Denda.
        late_fee: Money,
        /// Whether interest and late fee could be lent again.
        relend_income: bool,
    },
    /// Principal was written off.
    WriteOff {
        /// The loan.
        loan: LoanId,
        /// Whether the claim stayed.
        kind: c::WriteOffKind,
        /// How much.
        amount: Amount,
        /// What of it left the books.
        principal: Money,
    },
    /// Something came back of what was written off.
    Recovery {
        /// The loan.
        loan: LoanId,
        /// How much.
        amount: Amount,
    },
}

impl Event {
    /// The command that this event accepted, as its caller gave it.
    pub fn command(&self) -> Command {
        match self {
            Event::LedgerOpened(e) => Command::OpenLedger((**e).clone()),
            Event::RulesAdopted(e) => Command::AdoptRules(e.clone()),
            Event::KeyRotated(e) => Command::RotateKey(e.clone()),
            Event::LedgerContinued(e) => Command::ContinueLedger((**e).clone()),
            Event::FundOpened(e) => Command::OpenFund((**e).clone()),
            Event::TermsChanged(e) => Command::ChangeTerms((**e).clone()),
            Event::FundAllocated(e) => Command::AllocateFund(e.clone()),
            Event::AllocationWithdrawalProposed(e) => {
                Command::ProposeAllocationWithdrawal(e.command.clone())
            }
            Event::AllocationWithdrawn(e) => Command::ApproveAllocationWithdrawal(e.clone()),
            Event::PeriodCloseProposed(e) => Command::ProposePeriodClose(e.command.clone()),
            Event::PeriodClosed(e) => Command::ApprovePeriodClose(e.command.clone()),
            Event::CooperativeRegistered(e) => Command::RegisterCooperative((**e).clone()),
            Event::OfficerAppointed(e) => Command::AppointOfficer(e.clone()),
            Event::ReadinessConfirmed(e) => Command::ConfirmReadiness(e.clone()),
            Event::AccountOpened(e) => Command::OpenAccount(e.clone()),
            Event::AccountSuspended(e) => Command::SuspendAccount(e.clone()),
            Event::AccountResumed(e) => Command::ResumeAccount(e.clone()),
            Event::AccountClosed(e) => Command::CloseAccount(e.clone()),
            Event::BankAccountChangeProposed(e) => {
                Command::ProposeBankAccountChange(e.command.clone())
            }
            Event::BankAccountChanged(e) => Command::ApproveBankAccountChange(e.command.clone()),
            Event::LoanProposed(e) => Command::ProposeLoan(e.command.clone()),
            Event::LoanApproved(e) => Command::ApproveLoan(e.command.clone()),
            Event::LoanRefused(e) => Command::RefuseLoan(e.clone()),
            Event::LoanWithdrawn(e) => Command::WithdrawLoan(e.clone()),
            Event::Disbursed(e) => Command::Disburse(e.clone()),
            Event::GrantDisbursed(e) => Command::DisburseGrant(e.clone()),
            Event::DisbursementProposed(e) => Command::ProposeDisbursement(e.command.clone()),
            Event::DisbursementApproved(e) => Command::ApproveDisbursement(e.command.clone()),
            Event::DisbursementReturned(e) => Command::ReturnDisbursement(e.command.clone()),
            Event::Repaid(e) => Command::Repay(e.command.clone()),
            Event::WriteOffProposed(e) => Command::ProposeWriteOff(e.command.clone()),
            Event::WrittenOff(e) => Command::ApproveWriteOff(e.command.clone()),
            Event::Recovered(e) => Command::RecordRecovery(e.clone()),
            Event::RestructuringProposed(e) => Command::ProposeRestructuring(e.command.clone()),
            Event::Restructured(e) => Command::ApproveRestructuring(e.command.clone()),
            Event::ReversalProposed(e) => Command::ProposeReversal(e.command.clone()),
            Event::Reversed(e) => Command::ApproveReversal(e.clone()),
            Event::ProposalRefused(e) => Command::RefuseProposal(e.clone()),
            Event::ProposalWithdrawn(e) => Command::WithdrawProposal(e.clone()),
            Event::Sealed(e) => Command::Seal(e.clone()),
        }
    }

    /// The payment to a borrower that this event is, if it is one.
    pub fn paid_out(&self) -> Option<PaidOut> {
        let (paid, amount, value_date) = match self {
            Event::Disbursed(e) => (Paid::Loan(e.loan), e.amount, e.value_date),
            Event::GrantDisbursed(e) => (Paid::Grant(e.fund, e.account), e.amount, e.value_date),
            Event::DisbursementApproved(e) => (e.paid, e.amount, e.command.value_date),
            _ => return None,
        };
        Some(PaidOut { paid, amount, value_date })
    }

    /// The loan that this event pays out or back, if it is one of the two that nearly all are.
    pub fn paid_loan(&self) -> Option<LoanId> {
        match self {
            Event::Disbursed(e) => Some(e.loan),
            Event::Repaid(e) => Some(e.command.loan),
            _ => None,
        }
    }

    /// The bank reference that this event uses, if it moved cash by itself.
    pub fn bank_reference(&self) -> Option<&c::BankReference> {
        match self {
            Event::FundAllocated(e) => Some(&e.bank_reference),
            Event::AllocationWithdrawn(e) => Some(&e.bank_reference),
            Event::Disbursed(e) => Some(&e.bank_reference),
            Event::GrantDisbursed(e) => Some(&e.bank_reference),
            Event::DisbursementApproved(e) => Some(&e.command.bank_reference),
            Event::DisbursementReturned(e) => Some(&e.command.bank_reference),
            Event::Repaid(e) => Some(&e.command.bank_reference),
            Event::Recovered(e) => Some(&e.bank_reference),
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
            | Event::WrittenOff(_)
            | Event::RestructuringProposed(_)
            | Event::Restructured(_)
            | Event::ReversalProposed(_)
            | Event::Reversed(_)
            | Event::ProposalRefused(_)
            | Event::ProposalWithdrawn(_)
            | Event::Sealed(_) => None,
        }
    }
}
