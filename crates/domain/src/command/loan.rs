//! Loans: proposed by one person, decided on by another.

use crate::id::{AccountId, FundId, LoanId, OfficerId};
use crate::moment::Timestamp;
use crate::money::Amount;
use crate::text::{Reason, Reference};

/// Proposes a loan to an open account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeLoan {
    /// The fund that lends.
    pub fund: FundId,
    /// The account that borrows.
    pub account: AccountId,
    /// The loan; its id is unique in the ledger.
    pub loan: LoanId,
    /// How much.
    pub principal: Amount,
    /// The contract.
    pub contract_reference: Reference,
    /// The chair who signs, in office now.
    pub chair: OfficerId,
    /// The treasurer who signs, in office now.
    pub treasurer: OfficerId,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed loan; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveLoan {
    /// The loan.
    pub loan: LoanId,
}

/// Refuses a proposed loan; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefuseLoan {
    /// The loan.
    pub loan: LoanId,
    /// Why.
    pub reason: Reason,
}

/// Takes a proposed loan back; by its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawLoan {
    /// The loan.
    pub loan: LoanId,
    /// Why.
    pub reason: Reason,
}
