//! Principal that is given up, and what comes back of it.

use super::{BankReference, Evidence};
use crate::id::LoanId;
use crate::moment::{Date, Position, Timestamp};
use crate::money::Amount;
use crate::text::Reason;

/// Whether the borrower still owes what is written off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteOffKind {
    /// Penghapusan bersyarat: off the books, and the claim stays. What comes back is a recovery.
    Conditional,
    /// Penghapusan mutlak: the claim ends, too.
    Absolute,
}

/// Proposes to write principal of a loan off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeWriteOff {
    /// The loan.
    pub loan: LoanId,
    /// How much. Conditional: of what is outstanding. Absolute: of that first, then of what was
    /// written off conditionally and has not come back.
    pub amount: Amount,
    /// Whether the claim stays.
    pub kind: WriteOffKind,
    /// Why.
    pub reason: Reason,
    /// The papers: none is written off without.
    pub evidence: Evidence,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed write-off; by another principal than its maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveWriteOff {
    /// The record of the proposal.
    pub proposal: Position,
    /// The day on which it counts: that of the decision.
    pub value_date: Date,
}

/// Money that came back of what was written off conditionally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRecovery {
    /// The loan.
    pub loan: LoanId,
    /// How much, all of it principal.
    pub amount: Amount,
    /// The credit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}
