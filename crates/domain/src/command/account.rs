//! Accounts of cooperatives in funds, and the bank accounts that they are tied to.

use super::Evidence;
use crate::id::{AccountId, CooperativeId, FundId};
use crate::moment::{Position, Timestamp};
use crate::text::{BankCode, Name, Number, Reason};

/// Opens a cooperative's account in a fund, the prerequisite of every disbursement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Whose it is.
    pub cooperative: CooperativeId,
    /// The bank account that it is tied to.
    pub bank_account: BankAccount,
    /// The holder's name at the bank: the cooperative's registered name.
    pub holder: Name,
}

/// An account at a bank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankAccount {
    /// The bank.
    pub bank: BankCode,
    /// The number: a text, because leading zeros count.
    pub number: Number,
}

/// Stops loans and disbursements of an account; repayments and corrections go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspendAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// Lets a suspended account borrow again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// Closes an account for good; only when nothing is outstanding, promised or pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseAccount {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// Why.
    pub reason: Reason,
}

/// Proposes to tie an open account to another bank account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeBankAccountChange {
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
    /// The bank account from then on.
    pub bank_account: BankAccount,
    /// The holder's name at the bank: the cooperative's registered name.
    pub holder: Name,
    /// Why.
    pub reason: Reason,
    /// The cooperative's request and the bank's confirmation.
    pub evidence: Evidence,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed change of a bank account; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveBankAccountChange {
    /// The record of the proposal.
    pub proposal: Position,
}
