//! A fund's terms: data that changes by decree, never constants in code.

use crate::cooperative::ReadinessSet;
use crate::money::{Amount, Money, Rate};

/// How long a proposal waits for its second person where the terms do not say.
pub const DEFAULT_PROPOSAL_VALIDITY_DAYS: u16 = 30;
/// The longest tenor that terms may state, in months.
pub const MAX_TENOR_MONTHS: u16 = 600;
/// The longest validity of a proposal that terms may state, in days.
pub const MAX_PROPOSAL_VALIDITY_DAYS: u16 = 366;

/// What a fund gives and under which terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Loans that come back, or grants that do not.
    pub purpose: Purpose,
    /// The most that one cooperative may have: outstanding, approved and not yet disbursed, and
    /// pending; for a grant fund all that it was granted.
    pub ceiling: Amount,
    /// What must be confirmed before an account opens.
    pub required_readiness: ReadinessSet,
    /// How many days a proposal waits for its second person; 1 to 366. Absent:
    /// [`DEFAULT_PROPOSAL_VALIDITY_DAYS`].
    pub proposal_validity_days: Option<u16>,
    /// A disbursement of more than this takes effect only when a second person approves it; zero:
    /// each does. Absent: none needs to. It is asked of the terms of the day, not of a loan's
    /// snapshot: it says how the office pays, not what a borrower owes. Since rules version 2.
    pub disbursement_approval_above: Option<Money>,
}

/// Loan or grant. A grant (hibah, CSR) disburses and creates no receivable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The fund lends.
    Loan(LoanTerms),
    /// The fund gives.
    Grant,
}

impl Purpose {
    /// Whether both are loans or both are grants.
    pub const fn same_kind(self, other: Purpose) -> bool {
        matches!(
            (self, other),
            (Purpose::Loan(_), Purpose::Loan(_)) | (Purpose::Grant, Purpose::Grant)
        )
    }
}

/// The terms of a loan; a snapshot of them is kept with the loan at its approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoanTerms {
    /// Interest (jasa), percent a year.
    pub rate: Rate,
    /// How interest is counted.
    pub method: InterestMethod,
    /// Months from disbursement to the last instalment, grace included; 1 to 600.
    pub tenor_months: u16,
    /// Months at the start in which nothing is due; less than the tenor.
    pub grace_months: u16,
    /// Whether the grace months bear interest.
    pub grace_bears_interest: bool,
    /// In which order a payment is split where it is not stated. Absent: late fee, interest,
    /// principal.
    pub repayment_order: Option<RepaymentOrder>,
    /// Whether interest and late fees may be lent again: those with a value date from the day on
    /// which these terms are in force. What came before stays apart.
    pub relend_income: bool,
}

/// How interest is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterestMethod {
    /// No interest; the rate is zero.
    None,
    /// On the original principal.
    Flat,
    /// On the principal that is still outstanding.
    Declining,
}

/// A part of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PaymentPart {
    /// Denda.
    LateFee,
    /// Jasa.
    Interest,
    /// Pokok.
    Principal,
}

/// The three parts of a payment, each once, in the order in which a payment settles them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepaymentOrder([PaymentPart; 3]);

/// Why a list of parts is not an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must name late fee, interest and principal, each once")]
pub struct RepaymentOrderError;

impl RepaymentOrder {
    /// What holds where the terms do not say.
    pub const DEFAULT: RepaymentOrder =
        RepaymentOrder([PaymentPart::LateFee, PaymentPart::Interest, PaymentPart::Principal]);

    /// An order of the three parts.
    pub fn new(parts: &[PaymentPart]) -> Result<RepaymentOrder, RepaymentOrderError> {
        let &[a, b, c] = parts else {
            return Err(RepaymentOrderError);
        };
        if a == b || b == c || a == c {
            Err(RepaymentOrderError)
        } else {
            Ok(RepaymentOrder([a, b, c]))
        }
    }
    /// The parts, first settled first.
    pub const fn parts(self) -> [PaymentPart; 3] {
        self.0
    }
}

/// Why terms cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The tenor is zero or too long.
    #[error("tenor_months must be from 1 to {MAX_TENOR_MONTHS}")]
    Tenor,
    /// The grace months do not leave a month to repay in.
    #[error("grace_months must be less than tenor_months")]
    Grace,
    /// Method and rate contradict each other.
    #[error("a rate above zero needs a method, and the method NONE a rate of zero")]
    MethodWithoutRate,
    /// The validity of proposals is zero or too long.
    #[error("proposal_validity_days must be from 1 to {MAX_PROPOSAL_VALIDITY_DAYS}")]
    ProposalValidity,
}

impl LoanTerms {
    /// Whether the numbers fit each other.
    pub fn check(&self) -> Result<(), TermsError> {
        if !(1..=MAX_TENOR_MONTHS).contains(&self.tenor_months) {
            return Err(TermsError::Tenor);
        }
        if self.grace_months >= self.tenor_months {
            return Err(TermsError::Grace);
        }
        if self.method == InterestMethod::None && self.rate.to_units() != 0 {
            return Err(TermsError::MethodWithoutRate);
        }
        Ok(())
    }
}

impl Terms {
    /// Whether the numbers fit each other; each caller's input goes through it once.
    pub fn check(&self) -> Result<(), TermsError> {
        let validity = self.proposal_validity_days.unwrap_or(DEFAULT_PROPOSAL_VALIDITY_DAYS);
        if !(1..=MAX_PROPOSAL_VALIDITY_DAYS).contains(&validity) {
            return Err(TermsError::ProposalValidity);
        }
        let Purpose::Loan(loan) = &self.purpose else {
            return Ok(());
        };
        loan.check()
    }

    /// The oldest rules that know these terms.
    pub(crate) const fn rules_needed(&self) -> u32 {
        if self.disbursement_approval_above.is_some() { 2 } else { 1 }
    }

    /// How many days a proposal waits for its second person.
    pub fn proposal_validity(&self) -> u16 {
        self.proposal_validity_days.unwrap_or(DEFAULT_PROPOSAL_VALIDITY_DAYS)
    }
}
