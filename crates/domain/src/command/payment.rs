//! Money that moves between a fund and its borrowers.

use crate::id::{AccountId, FundId, LoanId};
use crate::moment::{Date, Position, Timestamp};
use crate::money::{Amount, Money};
use crate::text::{BankCode, Reference};

/// The bank's own name for a movement of cash. At most one live posting of a ledger uses it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankReference {
    /// The bank.
    pub bank: BankCode,
    /// The bank's reference of the transfer.
    pub reference: Reference,
    /// Tells the parts of a bulk transfer apart; absent is the same line as 0.
    pub line: Option<u32>,
}

/// Pays out a tranche of an approved loan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disburse {
    /// The loan.
    pub loan: LoanId,
    /// How much of it.
    pub amount: Amount,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Pays out a grant, which creates no receivable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisburseGrant {
    /// The fund that gives.
    pub fund: FundId,
    /// The account that receives.
    pub account: AccountId,
    /// How much.
    pub amount: Amount,
    /// The decree or agreement.
    pub reference: Reference,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// Whom a proposed disbursement is to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payee {
    /// A tranche of an approved loan.
    Loan(LoanId),
    /// A grant, which creates no receivable.
    Grant {
        /// The fund that gives.
        fund: FundId,
        /// The account that receives.
        account: AccountId,
        /// The decree or agreement.
        reference: Reference,
    },
}

/// Proposes a tranche or a grant, which another person approves once the bank has paid it. It may
/// be proposed where the terms do not ask for it, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeDisbursement {
    /// Whom to pay.
    pub payee: Payee,
    /// How much.
    pub amount: Amount,
    /// When the proposal lapses. Absent: after the validity that the terms state.
    pub expires_at: Option<Timestamp>,
}

/// Approves a proposed disbursement, and with it the cash leaves; by another principal than its
/// maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproveDisbursement {
    /// The record of the proposal.
    pub proposal: Position,
    /// The debit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// The bank sent a disbursement back, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnDisbursement {
    /// The record of the tranche or grant that came back.
    pub disbursement: Position,
    /// The credit on the fund's bank account: a reference of its own.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

/// A payment of a borrower, in stated parts that sum to its amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repay {
    /// The loan.
    pub loan: LoanId,
    /// The whole payment.
    pub amount: Amount,
    /// Pokok: what lowers the outstanding principal.
    pub principal: Option<Money>,
    /// Jasa.
    pub interest: Option<Money>,
    /// Denda.
    pub late_fee: Option<Money>,
    /// The credit on the fund's bank account.
    pub bank_reference: BankReference,
    /// The day on which the bank booked it.
    pub value_date: Date,
}

impl Repay {
    /// Principal, interest and late fee in minor units; zero for what was left out.
    pub(crate) fn parts(&self) -> [i64; 3] {
        [self.principal, self.interest, self.late_fee].map(|part| part.unwrap_or_default().minor())
    }
}
