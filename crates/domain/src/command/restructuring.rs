//! Loans that get new terms, by an addendum to their contract.

use super::Evidence;
use crate::id::LoanId;
use crate::moment::{Date, Position, Timestamp};
use crate::terms::LoanTerms;
use crate::text::{Reason, Reference};

/// Proposes new terms for what is outstanding of a loan. No money moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeRestructuring {
    /// The loan.
    pub loan: LoanId,
    /// The day from which the new terms hold; tenor and grace are counted from it.
    pub effective_from: Date,
    /// The new terms, whole.
    pub terms: LoanTerms,
    /// The addendum to the contract.
    pub addendum_reference: Reference,
    /// Why.
    pub reason: Reason,
    /// The papers.
    pub evidence: Evidence,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed restructuring; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveRestructuring {
    /// The record of the proposal.
    pub proposal: Position,
}
