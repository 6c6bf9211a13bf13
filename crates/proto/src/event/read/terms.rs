//! The terms of a fund or loan in an event.

use bergulir_domain::cooperative::ReadinessSet;
use bergulir_domain::money::Rate;
use bergulir_domain::terms::{LoanTerms, PaymentPart, Purpose, RepaymentOrder, Terms};

use super::Read;
use super::values::{amount, enumeration, invalid, money, months};
use crate::enums::WireEnum;
use crate::event::EventError;
use crate::pb;

pub(super) fn terms(message: &pb::EventTerms) -> Read<Terms> {
    let purpose = match (pb::FundKind::try_from(message.kind), &message.loan) {
        (Ok(pb::FundKind::Loan), Some(loan)) => Purpose::Loan(loan_terms(loan)?),
        (Ok(pb::FundKind::Loan), None) => {
            return Err(EventError::Missing { field: "terms.loan" });
        }
        (Ok(pb::FundKind::Grant), None) => Purpose::Grant,
        (Ok(pb::FundKind::Grant), Some(_)) => {
            return Err(invalid("terms.loan", &"must be absent for a grant fund"));
        }
        (Ok(pb::FundKind::Unspecified) | Err(_), _) => {
            return Err(invalid("terms.kind", &"has a value that is not known here"));
        }
    };
    let mut required_readiness = ReadinessSet::EMPTY;
    for number in &message.required_readiness {
        required_readiness.insert(enumeration("terms.required_readiness", *number)?);
    }
    // A set has one order and no item twice; the message must show just that.
    if !required_readiness
        .iter()
        .map(WireEnum::to_wire)
        .eq(message.required_readiness.iter().copied())
    {
        return Err(EventError::NotCanonical);
    }
    let terms = Terms {
        purpose,
        ceiling: amount("terms.ceiling", message.ceiling)?,
        required_readiness,
        proposal_validity_days: message
            .proposal_validity_days
            .map(|days| months("terms.proposal_validity_days", days))
            .transpose()?,
        disbursement_approval_above: message
            .disbursement_approval_above
            .map(|minor| money("terms.disbursement_approval_above", minor))
            .transpose()?,
    };
    terms.check().map_err(|error| invalid("terms", &error))?;
    Ok(terms)
}

pub(super) fn loan_terms(message: &pb::EventLoanTerms) -> Read<LoanTerms> {
    Ok(LoanTerms {
        rate: Rate::from_units(message.rate).map_err(|error| invalid("terms.rate", &error))?,
        method: enumeration("terms.method", message.method)?,
        tenor_months: months("terms.tenor_months", message.tenor_months)?,
        grace_months: months("terms.grace_months", message.grace_months)?,
        grace_bears_interest: message.grace_bears_interest,
        repayment_order: repayment_order(&message.repayment_order)?,
        relend_income: message.relend_income,
    })
}

pub(super) fn repayment_order(parts: &[i32]) -> Read<Option<RepaymentOrder>> {
    const FIELD: &str = "terms.repayment_order";
    if parts.is_empty() {
        return Ok(None);
    }
    let parts: Vec<PaymentPart> =
        parts.iter().map(|part| enumeration(FIELD, *part)).collect::<Result<_, _>>()?;
    RepaymentOrder::new(&parts).map(Some).map_err(|error| invalid(FIELD, &error))
}
