//! Corrections, and what a second person or the maker says to a proposal.

use super::Evidence;
use crate::moment::{Position, Timestamp};
use crate::text::Reason;

/// Proposes to undo a wrong money event by a new one that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeReversal {
    /// The record to undo.
    pub reverses: Position,
    /// Why.
    pub reason: Reason,
    /// The papers.
    pub evidence: Option<Evidence>,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed reversal; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveReversal {
    /// The record of the proposal.
    pub proposal: Position,
}

/// Refuses a proposal other than a loan's; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefuseProposal {
    /// The record of the proposal.
    pub proposal: Position,
    /// Why.
    pub reason: Reason,
}

/// Takes a proposal other than a loan's back; by its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WithdrawProposal {
    /// The record of the proposal.
    pub proposal: Position,
    /// Why.
    pub reason: Reason,
}
