//! From terms on the wire to terms of the domain.

use bergulir_domain::cooperative::{ReadinessItem, ReadinessSet};
use bergulir_domain::money::{Rate, RateError};
use bergulir_domain::terms::{
    LoanTerms, PaymentPart, Purpose, RepaymentOrder, RepaymentOrderError, Terms, TermsError,
};
use rust_decimal::Decimal;

use super::fields::{Fields, Read, Refused};
use crate::enums::WireEnum as _;
use crate::pb;
use crate::status::MAX_VIOLATIONS;

pub(super) fn terms(f: &mut Fields, m: Option<&pb::Terms>) -> Read<Terms> {
    let m = f.present("terms", m)?;
    f.within("terms", |f| {
        let purpose = purpose(f, m);
        let ceiling = f.amount("ceiling", m.ceiling.as_ref());
        let required_readiness = required_readiness(f, &m.required_readiness);
        let validity = match m.proposal_validity_days {
            None => Ok(None),
            Some(days) => f.u16("proposal_validity_days", days).map(Some),
        };
        let approval_above =
            f.part("disbursement_approval_above", m.disbursement_approval_above.as_ref());
        let terms = Terms {
            purpose: purpose?,
            ceiling: ceiling?,
            required_readiness: required_readiness?,
            proposal_validity_days: validity?,
            disbursement_approval_above: approval_above?,
        };
        terms.check().map_err(|error| refuse(f, wrong_term(error), error))?;
        Ok(terms)
    })
}

/// The terms of a loan by themselves.
pub(super) fn terms_of_loan(f: &mut Fields, m: Option<&pb::LoanTerms>) -> Read<LoanTerms> {
    let m = f.present("terms", m)?;
    f.within("terms", |f| {
        let terms = loan_terms(f, m)?;
        let name = |error| wrong_term(error).trim_start_matches("loan.");
        terms.check().map_err(|error| refuse(f, name(error), error))?;
        Ok(terms)
    })
}

fn refuse(f: &mut Fields, field: &str, error: TermsError) -> Refused {
    let said = error.to_string();
    // The domain begins with the field's name, which the path says already.
    let name = field.rsplit('.').next().unwrap_or(field);
    f.refuse(field, said.strip_prefix(name).map_or(said.as_str(), str::trim_start))
}

fn wrong_term(error: TermsError) -> &'static str {
    match error {
        TermsError::Tenor => "loan.tenor_months",
        TermsError::Grace => "loan.grace_months",
        TermsError::MethodWithoutRate => "loan.method",
        TermsError::ProposalValidity => "proposal_validity_days",
    }
}

fn purpose(f: &mut Fields, m: &pb::Terms) -> Read<Purpose> {
    match (pb::FundKind::try_from(m.kind), &m.loan) {
        (Ok(pb::FundKind::Loan), loan) => {
            let loan = f.present("loan", loan.as_ref())?;
            f.within("loan", |f| loan_terms(f, loan)).map(Purpose::Loan)
        }
        (Ok(pb::FundKind::Grant), None) => Ok(Purpose::Grant),
        (Ok(pb::FundKind::Grant), Some(_)) => {
            Err(f.refuse("loan", "must be absent for a grant fund"))
        }
        (Ok(pb::FundKind::Unspecified), _) => Err(f.refuse("kind", "must be specified")),
        (Err(_), _) => Err(f.refuse("kind", format_args!("has no meaning for {}", m.kind))),
    }
}

fn loan_terms(f: &mut Fields, m: &pb::LoanTerms) -> Read<LoanTerms> {
    let rate = rate(&m.rate_percent).ok_or_else(|| f.refuse("rate_percent", RateError));
    let method = f.choice("method", m.method);
    let tenor_months = f.u16("tenor_months", m.tenor_months);
    let grace_months = f.u16("grace_months", m.grace_months);
    let repayment_order = repayment_order(f, &m.repayment_order);
    Ok(LoanTerms {
        rate: rate?,
        method: method?,
        tenor_months: tenor_months?,
        grace_months: grace_months?,
        grace_bears_interest: m.grace_bears_interest,
        repayment_order: repayment_order?,
        relend_income: m.relend_income,
    })
}

/// The most characters of a rate. `Decimal` reads digit by digit and deeper with each, so a text that
/// is as long as a message may be would not fit on the stack.
const MAX_RATE_CHARACTERS: usize = 32;

/// Digits with at most one point; `Decimal` by itself takes signs and underscores too.
fn rate(percent: &str) -> Option<Rate> {
    let plain = percent.len() <= MAX_RATE_CHARACTERS
        && percent.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    plain
        .then(|| percent.parse::<Decimal>().ok())
        .flatten()
        .and_then(|p| Rate::from_percent(p).ok())
}

fn required_readiness(f: &mut Fields, numbers: &[i32]) -> Read<ReadinessSet> {
    let mut set = ReadinessSet::EMPTY;
    let mut outcome = Ok(());
    for (i, number) in numbers.iter().enumerate() {
        // More is not shown, and a list may be as long as a message.
        if f.found() > MAX_VIOLATIONS {
            break;
        }
        let field = format!("required_readiness[{i}]");
        match f.choice::<ReadinessItem>(&field, *number) {
            Ok(item) if set.contains(item) => {
                outcome = Err(f.refuse(&field, "must not repeat an item"));
            }
            Ok(item) => set.insert(item),
            Err(refused) => outcome = Err(refused),
        }
    }
    outcome.map(|()| set)
}

fn repayment_order(f: &mut Fields, numbers: &[i32]) -> Read<Option<RepaymentOrder>> {
    if numbers.is_empty() {
        return Ok(None);
    }
    let parts: Vec<PaymentPart> =
        numbers.iter().filter_map(|number| PaymentPart::from_wire(*number)).collect();
    if parts.len() != numbers.len() {
        return Err(f.refuse("repayment_order", RepaymentOrderError));
    }
    RepaymentOrder::new(&parts).map(Some).map_err(|error| f.refuse("repayment_order", error))
}
