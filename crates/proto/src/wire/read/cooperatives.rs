//! Commands about cooperatives and their accounts.

use bergulir_domain::command as c;

use super::values::{bank_account, optional_evidence, required_evidence};
use crate::pb;
use crate::wire::fields::{Fields, Read};

pub(super) fn register(
    f: &mut Fields,
    m: &pb::RegisterCooperative,
) -> Read<c::RegisterCooperative> {
    let cooperative = f.parse("cooperative", &m.cooperative);
    let village = f.parse("village_code", &m.village_code);
    let kind = f.choice("kind", m.kind);
    let name = f.parse("registered_name", &m.registered_name);
    let cooperative_number = f.optional("cooperative_number", m.cooperative_number.as_deref());
    Ok(c::RegisterCooperative {
        cooperative: cooperative?,
        village: village?,
        kind: kind?,
        name: name?,
        cooperative_number: cooperative_number?,
    })
}

pub(super) fn appoint(f: &mut Fields, m: &pb::AppointOfficer) -> Read<c::AppointOfficer> {
    let cooperative = f.parse("cooperative", &m.cooperative);
    let office = f.choice("office", m.office);
    let officer = f.parse("officer", &m.officer);
    let evidence = optional_evidence(f, m.evidence.as_ref());
    Ok(c::AppointOfficer {
        cooperative: cooperative?,
        office: office?,
        officer: officer?,
        evidence: evidence?,
    })
}

pub(super) fn confirm(f: &mut Fields, m: &pb::ConfirmReadiness) -> Read<c::ConfirmReadiness> {
    let cooperative = f.parse("cooperative", &m.cooperative);
    let item = f.choice("item", m.item);
    let number = f.optional("number", m.number.as_deref());
    let evidence = required_evidence(f, m.evidence.as_ref());
    Ok(c::ConfirmReadiness {
        cooperative: cooperative?,
        item: item?,
        number: number?,
        evidence: evidence?,
    })
}

pub(super) fn open_account(f: &mut Fields, m: &pb::OpenAccount) -> Read<c::OpenAccount> {
    let fund = f.parse("fund", &m.fund);
    let account = f.parse("account", &m.account);
    let cooperative = f.parse("cooperative", &m.cooperative);
    let bank_account = bank_account(f, m.bank_account.as_ref());
    let holder = f.parse("holder", &m.holder);
    Ok(c::OpenAccount {
        fund: fund?,
        account: account?,
        cooperative: cooperative?,
        bank_account: bank_account?,
        holder: holder?,
    })
}

pub(super) fn propose_bank_account_change(
    f: &mut Fields,
    m: &pb::ProposeBankAccountChange,
) -> Read<c::ProposeBankAccountChange> {
    let (fund, account) = (f.parse("fund", &m.fund), f.parse("account", &m.account));
    let bank_account = bank_account(f, m.bank_account.as_ref());
    let (holder, reason) = (f.parse("holder", &m.holder), f.parse("reason", &m.reason));
    let evidence = required_evidence(f, m.evidence.as_ref());
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeBankAccountChange {
        fund: fund?,
        account: account?,
        bank_account: bank_account?,
        holder: holder?,
        reason: reason?,
        evidence: evidence?,
        expires_at: expires_at?,
    })
}
