//! Funds: their terms, the money in them, their periods.

use super::BankReference;
use crate::id::FundId;
use crate::moment::{Date, Position, Timestamp};
use crate::money::Amount;
use crate::terms::Terms;
use crate::text::{Name, Reason, Reference};

/// Opens a fund with its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFund {
    /// The fund.
    pub fund: FundId,
    /// Its name for people.
    pub name: Name,
    /// The day from which it exists; may lie in the past, never after today. No value date of the
    /// fund may lie before it.
    pub opening_date: Date,
    /// Its terms from that day on.
    pub terms: Terms,
}

/// Changes a fund's terms from a day on; loans already approved keep theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeTerms {
    /// The fund.
    pub fund: FundId,
    /// The first day of the new terms: today or later.
    pub effective_from: Date,
    /// The new terms, whole.
    pub terms: Terms,
    /// The decree or decision that changed them.
    pub reference: Reference,
}

/// Where allocated money comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AllocationSource {
    /// The national budget.
    Apbn,
    /// The regional budget.
    Apbd,
    /// Corporate social responsibility.
    Csr,
    /// Any other source; its reference says which.
    Other,
}

/// Puts money into a fund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocateFund {
    /// The fund.
    pub fund: FundId,
    /// How much.
    pub amount: Amount,
    /// Where it comes from.
    pub source: AllocationSource,
    /// The decree or budget document.
    pub reference: Reference,
    /// The credit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Proposes to take money of an allocation out of the fund: a part of it, or all, which cancels it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeAllocationWithdrawal {
    /// The fund.
    pub fund: FundId,
    /// The record that allocated it.
    pub allocation: Position,
    /// How much of it goes back.
    pub amount: Amount,
    /// Why.
    pub reason: Reason,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed withdrawal, and with it the cash leaves; by another principal than its
/// maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveAllocationWithdrawal {
    /// The record of the proposal.
    pub proposal: Position,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Proposes to close a fund's books through a day: no later record may carry a value date up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposePeriodClose {
    /// The fund.
    pub fund: FundId,
    /// The last day of the period, before today. The first closes everything up to it.
    pub through: Date,
    /// The report that was made of it.
    pub reference: Reference,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed close; by another principal than its maker. A closed period is never opened
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovePeriodClose {
    /// The record of the proposal.
    pub proposal: Position,
}
