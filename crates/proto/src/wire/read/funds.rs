//! Commands about funds.

use bergulir_domain::command as c;

use super::values::bank_reference;
use crate::pb;
use crate::wire::fields::{Fields, Read};
use crate::wire::terms::terms;

pub(super) fn open_fund(f: &mut Fields, m: &pb::OpenFund) -> Read<c::OpenFund> {
    let fund = f.parse("fund", &m.fund);
    let name = f.parse("display_name", &m.display_name);
    let opening_date = f.date("opening_date", m.opening_date.as_ref());
    let terms = terms(f, m.terms.as_ref());
    Ok(c::OpenFund { fund: fund?, name: name?, opening_date: opening_date?, terms: terms? })
}

pub(super) fn change_terms(f: &mut Fields, m: &pb::ChangeTerms) -> Read<c::ChangeTerms> {
    let fund = f.parse("fund", &m.fund);
    let effective_from = f.date("effective_from", m.effective_from.as_ref());
    let terms = terms(f, m.terms.as_ref());
    let reference = f.parse("reference", &m.reference);
    Ok(c::ChangeTerms {
        fund: fund?,
        effective_from: effective_from?,
        terms: terms?,
        reference: reference?,
    })
}

pub(super) fn allocate_fund(f: &mut Fields, m: &pb::AllocateFund) -> Read<c::AllocateFund> {
    let fund = f.parse("fund", &m.fund);
    let amount = f.amount("amount", m.amount.as_ref());
    let source = f.choice("source", m.source);
    let reference = f.parse("reference", &m.reference);
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::AllocateFund {
        fund: fund?,
        amount: amount?,
        source: source?,
        reference: reference?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn propose_withdrawal(
    f: &mut Fields,
    m: &pb::ProposeAllocationWithdrawal,
) -> Read<c::ProposeAllocationWithdrawal> {
    let fund = f.parse("fund", &m.fund);
    let allocation = f.position("allocation", m.allocation);
    let amount = f.amount("amount", m.amount.as_ref());
    let reason = f.parse("reason", &m.reason);
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeAllocationWithdrawal {
        fund: fund?,
        allocation: allocation?,
        amount: amount?,
        reason: reason?,
        expires_at: expires_at?,
    })
}

pub(super) fn approve_withdrawal(
    f: &mut Fields,
    m: &pb::ApproveAllocationWithdrawal,
) -> Read<c::ApproveAllocationWithdrawal> {
    let proposal = f.position("proposal", m.proposal);
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::ApproveAllocationWithdrawal {
        proposal: proposal?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

pub(super) fn propose_period_close(
    f: &mut Fields,
    m: &pb::ProposePeriodClose,
) -> Read<c::ProposePeriodClose> {
    let fund = f.parse("fund", &m.fund);
    let through = f.date("through", m.through.as_ref());
    let reference = f.parse("reference", &m.reference);
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposePeriodClose {
        fund: fund?,
        through: through?,
        reference: reference?,
        expires_at: expires_at?,
    })
}
