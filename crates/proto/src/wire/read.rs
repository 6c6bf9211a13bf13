//! From a command on the wire to a command of the domain. Every field is read before the first
//! missing one ends the reading, so that all violations are found.

mod cooperatives;
mod funds;
mod loans;
mod values;

use bergulir_chain::note::{self, Algorithm, KeyError};
use bergulir_domain::LedgerId;
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::ledger::Origin;
use bergulir_domain::moment::UtcOffset;
use bergulir_domain::money::Currency;
use bergulir_domain::text::VerifierKey;

use super::fields::{Fields, Read};
use crate::pb;
use crate::pb::command::Kind;
use cooperatives::{appoint, confirm, open_account, propose_bank_account_change, register};
use funds::{
    allocate_fund, approve_withdrawal, change_terms, open_fund, propose_period_close,
    propose_withdrawal,
};
use loans::{
    approve_disbursement, disburse, disburse_grant, propose_disbursement, propose_loan,
    propose_restructuring, propose_reversal, propose_write_off, record_recovery, repay,
    return_disbursement,
};

pub(super) fn command(f: &mut Fields, ledger: LedgerId, kind: Option<Kind>) -> Read<Command> {
    let Some(kind) = kind else {
        return Err(f.refuse("", "must be one of the commands of this version"));
    };
    Ok(match kind {
        Kind::OpenLedger(m) => {
            Command::OpenLedger(f.within("open_ledger", |f| open_ledger(f, ledger, &m))?)
        }
        Kind::AdoptRules(m) => Command::AdoptRules(c::AdoptRules {
            version: f.within("adopt_rules", |f| f.version("version", m.version))?,
        }),
        Kind::RotateKey(m) => Command::RotateKey(c::RotateKey {
            verifier_key: f.within("rotate_key", |f| verifier_key(f, &m.verifier_key, None))?,
        }),
        Kind::OpenFund(m) => Command::OpenFund(f.within("open_fund", |f| open_fund(f, &m))?),
        Kind::ChangeTerms(m) => {
            Command::ChangeTerms(f.within("change_terms", |f| change_terms(f, &m))?)
        }
        Kind::AllocateFund(m) => {
            Command::AllocateFund(f.within("allocate_fund", |f| allocate_fund(f, &m))?)
        }
        Kind::ProposeAllocationWithdrawal(m) => Command::ProposeAllocationWithdrawal(
            f.within("propose_allocation_withdrawal", |f| propose_withdrawal(f, &m))?,
        ),
        Kind::ApproveAllocationWithdrawal(m) => Command::ApproveAllocationWithdrawal(
            f.within("approve_allocation_withdrawal", |f| approve_withdrawal(f, &m))?,
        ),
        Kind::ProposePeriodClose(m) => Command::ProposePeriodClose(
            f.within("propose_period_close", |f| propose_period_close(f, &m))?,
        ),
        Kind::ApprovePeriodClose(m) => Command::ApprovePeriodClose(c::ApprovePeriodClose {
            proposal: f.within("approve_period_close", |f| f.position("proposal", m.proposal))?,
        }),
        Kind::RegisterCooperative(m) => {
            Command::RegisterCooperative(f.within("register_cooperative", |f| register(f, &m))?)
        }
        Kind::AppointOfficer(m) => {
            Command::AppointOfficer(f.within("appoint_officer", |f| appoint(f, &m))?)
        }
        Kind::ConfirmReadiness(m) => {
            Command::ConfirmReadiness(f.within("confirm_readiness", |f| confirm(f, &m))?)
        }
        Kind::OpenAccount(m) => {
            Command::OpenAccount(f.within("open_account", |f| open_account(f, &m))?)
        }
        Kind::SuspendAccount(m) => Command::SuspendAccount(f.within("suspend_account", |f| {
            let (fund, account) = (f.parse("fund", &m.fund), f.parse("account", &m.account));
            let reason = f.parse("reason", &m.reason);
            Ok(c::SuspendAccount { fund: fund?, account: account?, reason: reason? })
        })?),
        Kind::ResumeAccount(m) => Command::ResumeAccount(f.within("resume_account", |f| {
            let (fund, account) = (f.parse("fund", &m.fund), f.parse("account", &m.account));
            let reason = f.parse("reason", &m.reason);
            Ok(c::ResumeAccount { fund: fund?, account: account?, reason: reason? })
        })?),
        Kind::CloseAccount(m) => Command::CloseAccount(f.within("close_account", |f| {
            let (fund, account) = (f.parse("fund", &m.fund), f.parse("account", &m.account));
            let reason = f.parse("reason", &m.reason);
            Ok(c::CloseAccount { fund: fund?, account: account?, reason: reason? })
        })?),
        Kind::ProposeBankAccountChange(m) => Command::ProposeBankAccountChange(
            f.within("propose_bank_account_change", |f| propose_bank_account_change(f, &m))?,
        ),
        Kind::ApproveBankAccountChange(m) => {
            Command::ApproveBankAccountChange(c::ApproveBankAccountChange {
                proposal: f.within("approve_bank_account_change", |f| {
                    f.position("proposal", m.proposal)
                })?,
            })
        }
        Kind::ProposeLoan(m) => {
            Command::ProposeLoan(f.within("propose_loan", |f| propose_loan(f, &m))?)
        }
        Kind::ApproveLoan(m) => Command::ApproveLoan(c::ApproveLoan {
            loan: f.within("approve_loan", |f| f.parse("loan", &m.loan))?,
        }),
        Kind::RefuseLoan(m) => Command::RefuseLoan(f.within("refuse_loan", |f| {
            let (loan, reason) = (f.parse("loan", &m.loan), f.parse("reason", &m.reason));
            Ok(c::RefuseLoan { loan: loan?, reason: reason? })
        })?),
        Kind::WithdrawLoan(m) => Command::WithdrawLoan(f.within("withdraw_loan", |f| {
            let (loan, reason) = (f.parse("loan", &m.loan), f.parse("reason", &m.reason));
            Ok(c::WithdrawLoan { loan: loan?, reason: reason? })
        })?),
        Kind::Disburse(m) => Command::Disburse(f.within("disburse", |f| disburse(f, &m))?),
        Kind::DisburseGrant(m) => {
            Command::DisburseGrant(f.within("disburse_grant", |f| disburse_grant(f, &m))?)
        }
        Kind::ProposeDisbursement(m) => Command::ProposeDisbursement(
            f.within("propose_disbursement", |f| propose_disbursement(f, &m))?,
        ),
        Kind::ApproveDisbursement(m) => Command::ApproveDisbursement(
            f.within("approve_disbursement", |f| approve_disbursement(f, &m))?,
        ),
        Kind::ReturnDisbursement(m) => Command::ReturnDisbursement(
            f.within("return_disbursement", |f| return_disbursement(f, &m))?,
        ),
        Kind::Repay(m) => Command::Repay(f.within("repay", |f| repay(f, &m))?),
        Kind::ProposeWriteOff(m) => {
            Command::ProposeWriteOff(f.within("propose_write_off", |f| propose_write_off(f, &m))?)
        }
        Kind::ApproveWriteOff(m) => {
            Command::ApproveWriteOff(f.within("approve_write_off", |f| {
                let proposal = f.position("proposal", m.proposal);
                let value_date = f.date("value_date", m.value_date.as_ref());
                Ok(c::ApproveWriteOff { proposal: proposal?, value_date: value_date? })
            })?)
        }
        Kind::RecordRecovery(m) => {
            Command::RecordRecovery(f.within("record_recovery", |f| record_recovery(f, &m))?)
        }
        Kind::ProposeRestructuring(m) => Command::ProposeRestructuring(
            f.within("propose_restructuring", |f| propose_restructuring(f, &m))?,
        ),
        Kind::ApproveRestructuring(m) => Command::ApproveRestructuring(c::ApproveRestructuring {
            proposal: f.within("approve_restructuring", |f| f.position("proposal", m.proposal))?,
        }),
        Kind::ProposeReversal(m) => {
            Command::ProposeReversal(f.within("propose_reversal", |f| propose_reversal(f, &m))?)
        }
        Kind::ApproveReversal(m) => Command::ApproveReversal(c::ApproveReversal {
            proposal: f.within("approve_reversal", |f| f.position("proposal", m.proposal))?,
        }),
        Kind::RefuseProposal(m) => Command::RefuseProposal(f.within("refuse_proposal", |f| {
            let proposal = f.position("proposal", m.proposal);
            let reason = f.parse("reason", &m.reason);
            Ok(c::RefuseProposal { proposal: proposal?, reason: reason? })
        })?),
        Kind::WithdrawProposal(m) => {
            Command::WithdrawProposal(f.within("withdraw_proposal", |f| {
                let proposal = f.position("proposal", m.proposal);
                let reason = f.parse("reason", &m.reason);
                Ok(c::WithdrawProposal { proposal: proposal?, reason: reason? })
            })?)
        }
    })
}

fn open_ledger(f: &mut Fields, ledger: LedgerId, m: &pb::OpenLedger) -> Read<c::OpenLedger> {
    let origin = Origin::new(&m.origin).map_err(|error| f.refuse("origin", error));
    let verifier_key = match m.verifier_key.as_deref() {
        None => Ok(None),
        Some(key) => verifier_key(f, key, origin.as_ref().ok()).map(Some),
    };
    let region = f.parse("region", &m.region);
    let currency = Currency::from_code(&m.currency_code).ok_or_else(|| {
        f.refuse("currency_code", "must be IDR, the only currency that ledgers keep")
    });
    let utc_offset = f.present("utc_offset_minutes", m.utc_offset_minutes).and_then(|minutes| {
        UtcOffset::from_minutes(minutes)
            .ok_or_else(|| f.refuse("utc_offset_minutes", "must be from -840 to 840"))
    });
    let rules_version = f.version("rules_version", m.rules_version);
    Ok(c::OpenLedger {
        ledger,
        origin: origin?,
        verifier_key: verifier_key?,
        region: region?,
        currency: currency?,
        utc_offset: utc_offset?,
        rules_version: rules_version?,
    })
}

/// A key that can sign the checkpoints of a log. With `origin`, of that log.
fn verifier_key(f: &mut Fields, text: &str, origin: Option<&Origin>) -> Read<VerifierKey> {
    const FIELD: &str = "verifier_key";
    let key = text.parse::<note::VerifierKey>().map_err(|error| f.refuse(FIELD, error))?;
    if key.algorithm() != Algorithm::Ed25519 {
        let (expected, given) = (Algorithm::Ed25519, key.algorithm());
        return Err(f.refuse(FIELD, KeyError::Algorithm { expected, given }));
    }
    if origin.is_some_and(|origin| origin.as_str() != key.name().as_str()) {
        return Err(f.refuse(FIELD, "must have the origin as its name"));
    }
    f.parse(FIELD, text)
}
