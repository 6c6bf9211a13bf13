//! Commands about loans, grants, and corrections.

use bergulir_domain::command as c;

use super::values::{bank_reference, optional_evidence, required_evidence};
use crate::pb::{self, propose_disbursement};
use crate::wire::fields::{Fields, Read};
use crate::wire::terms::terms_of_loan;

pub(super) fn propose_loan(f: &mut Fields, m: &pb::ProposeLoan) -> Read<c::ProposeLoan> {
    let fund = f.parse("fund", &m.fund);
    let account = f.parse("account", &m.account);
    let loan = f.parse("loan", &m.loan);
    let principal = f.amount("principal", m.principal.as_ref());
    let contract_reference = f.parse("contract_reference", &m.contract_reference);
    let chair = f.parse("chair", &m.chair);
    let treasurer = f.parse("treasurer", &m.treasurer);
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeLoan {
        fund: fund?,
        account: account?,
        loan: loan?,
        principal: principal?,
        contract_reference: contract_reference?,
        chair: chair?,
        treasurer: treasurer?,
        expires_at: expires_at?,
    })
}

pub(super) fn disburse(f: &mut Fields, m: &pb::Disburse) -> Read<c::Disburse> {
    let loan = f.parse("loan", &m.loan);
    let amount = f.amount("amount", m.amount.as_ref());
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::Disburse {
        loan: loan?,
        amount: amount?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn disburse_grant(f: &mut Fields, m: &pb::DisburseGrant) -> Read<c::DisburseGrant> {
    let fund = f.parse("fund", &m.fund);
    let account = f.parse("account", &m.account);
    let amount = f.amount("amount", m.amount.as_ref());
    let reference = f.parse("reference", &m.reference);
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::DisburseGrant {
        fund: fund?,
        account: account?,
        amount: amount?,
        reference: reference?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn propose_disbursement(
    f: &mut Fields,
    m: &pb::ProposeDisbursement,
) -> Read<c::ProposeDisbursement> {
    let payee = payee(f, m.payee.as_ref());
    let amount = f.amount("amount", m.amount.as_ref());
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeDisbursement { payee: payee?, amount: amount?, expires_at: expires_at? })
}

pub(super) fn payee(f: &mut Fields, payee: Option<&propose_disbursement::Payee>) -> Read<c::Payee> {
    match f.present("payee", payee)? {
        propose_disbursement::Payee::Loan(loan) => f.parse("loan", loan).map(c::Payee::Loan),
        propose_disbursement::Payee::Grant(m) => f.within("grant", |f| {
            let (fund, account) = (f.parse("fund", &m.fund), f.parse("account", &m.account));
            let reference = f.parse("reference", &m.reference);
            Ok(c::Payee::Grant { fund: fund?, account: account?, reference: reference? })
        }),
    }
}

pub(super) fn approve_disbursement(
    f: &mut Fields,
    m: &pb::ApproveDisbursement,
) -> Read<c::ApproveDisbursement> {
    let proposal = f.position("proposal", m.proposal);
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::ApproveDisbursement {
        proposal: proposal?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn return_disbursement(
    f: &mut Fields,
    m: &pb::ReturnDisbursement,
) -> Read<c::ReturnDisbursement> {
    let disbursement = f.position("disbursement", m.disbursement);
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::ReturnDisbursement {
        disbursement: disbursement?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn repay(f: &mut Fields, m: &pb::Repay) -> Read<c::Repay> {
    let loan = f.parse("loan", &m.loan);
    let amount = f.amount("amount", m.amount.as_ref());
    let principal = f.part("principal", m.principal.as_ref());
    let interest = f.part("interest", m.interest.as_ref());
    let late_fee = f.part("late_fee", m.late_fee.as_ref());
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::Repay {
        loan: loan?,
        amount: amount?,
        principal: principal?,
        interest: interest?,
        late_fee: late_fee?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn propose_write_off(
    f: &mut Fields,
    m: &pb::ProposeWriteOff,
) -> Read<c::ProposeWriteOff> {
    let loan = f.parse("loan", &m.loan);
    let amount = f.amount("amount", m.amount.as_ref());
    let kind = f.choice("kind", m.kind);
    let reason = f.parse("reason", &m.reason);
    let evidence = required_evidence(f, m.evidence.as_ref());
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeWriteOff {
        loan: loan?,
        amount: amount?,
        kind: kind?,
        reason: reason?,
        evidence: evidence?,
        expires_at: expires_at?,
    })
}

pub(super) fn record_recovery(f: &mut Fields, m: &pb::RecordRecovery) -> Read<c::RecordRecovery> {
    let loan = f.parse("loan", &m.loan);
    let amount = f.amount("amount", m.amount.as_ref());
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::RecordRecovery {
        loan: loan?,
        amount: amount?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn propose_restructuring(
    f: &mut Fields,
    m: &pb::ProposeRestructuring,
) -> Read<c::ProposeRestructuring> {
    let loan = f.parse("loan", &m.loan);
    let effective_from = f.date("effective_from", m.effective_from.as_ref());
    let terms = terms_of_loan(f, m.terms.as_ref());
    let addendum_reference = f.parse("addendum_reference", &m.addendum_reference);
    let reason = f.parse("reason", &m.reason);
    let evidence = required_evidence(f, m.evidence.as_ref());
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeRestructuring {
        loan: loan?,
        effective_from: effective_from?,
        terms: terms?,
        addendum_reference: addendum_reference?,
        reason: reason?,
        evidence: evidence?,
        expires_at: expires_at?,
    })
}

pub(super) fn propose_reversal(
    f: &mut Fields,
    m: &pb::ProposeReversal,
) -> Read<c::ProposeReversal> {
    let reverses = f.position("reverses", m.reverses);
    let reason = f.parse("reason", &m.reason);
    let evidence = optional_evidence(f, m.evidence.as_ref());
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeReversal {
        reverses: reverses?,
        reason: reason?,
        evidence: evidence?,
        expires_at: expires_at?,
    })
}
