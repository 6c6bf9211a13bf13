//! From a command on the wire to a command of the domain. Every field is read before the first
//! missing one ends the reading, so that all violations are found.

use bergulir_chain::note::{self, Algorithm, KeyError};
use bergulir_domain::LedgerId;
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::ledger::Origin;
use bergulir_domain::moment::UtcOffset;
use bergulir_domain::money::Currency;
use bergulir_domain::text::VerifierKey;

use super::fields::{Fields, Read};
use super::terms::{terms, terms_of_loan};
use crate::pb::command::Kind;
use crate::pb::{self, propose_disbursement};

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

fn open_fund(f: &mut Fields, m: &pb::OpenFund) -> Read<c::OpenFund> {
    let fund = f.parse("fund", &m.fund);
    let name = f.parse("display_name", &m.display_name);
    let opening_date = f.date("opening_date", m.opening_date.as_ref());
    let terms = terms(f, m.terms.as_ref());
    Ok(c::OpenFund { fund: fund?, name: name?, opening_date: opening_date?, terms: terms? })
}

fn change_terms(f: &mut Fields, m: &pb::ChangeTerms) -> Read<c::ChangeTerms> {
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

fn allocate_fund(f: &mut Fields, m: &pb::AllocateFund) -> Read<c::AllocateFund> {
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

fn propose_withdrawal(
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

fn approve_withdrawal(
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

fn propose_period_close(f: &mut Fields, m: &pb::ProposePeriodClose) -> Read<c::ProposePeriodClose> {
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

fn register(f: &mut Fields, m: &pb::RegisterCooperative) -> Read<c::RegisterCooperative> {
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

fn appoint(f: &mut Fields, m: &pb::AppointOfficer) -> Read<c::AppointOfficer> {
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

fn confirm(f: &mut Fields, m: &pb::ConfirmReadiness) -> Read<c::ConfirmReadiness> {
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

fn open_account(f: &mut Fields, m: &pb::OpenAccount) -> Read<c::OpenAccount> {
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

fn propose_bank_account_change(
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

fn propose_loan(f: &mut Fields, m: &pb::ProposeLoan) -> Read<c::ProposeLoan> {
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

fn disburse(f: &mut Fields, m: &pb::Disburse) -> Read<c::Disburse> {
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

fn disburse_grant(f: &mut Fields, m: &pb::DisburseGrant) -> Read<c::DisburseGrant> {
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

fn propose_disbursement(
    f: &mut Fields,
    m: &pb::ProposeDisbursement,
) -> Read<c::ProposeDisbursement> {
    let payee = payee(f, m.payee.as_ref());
    let amount = f.amount("amount", m.amount.as_ref());
    let expires_at = f.timestamp("expires_at", m.expires_at.as_ref());
    Ok(c::ProposeDisbursement { payee: payee?, amount: amount?, expires_at: expires_at? })
}

fn payee(f: &mut Fields, payee: Option<&propose_disbursement::Payee>) -> Read<c::Payee> {
    match f.present("payee", payee)? {
        propose_disbursement::Payee::Loan(loan) => f.parse("loan", loan).map(c::Payee::Loan),
        propose_disbursement::Payee::Grant(m) => f.within("grant", |f| {
            let (fund, account) = (f.parse("fund", &m.fund), f.parse("account", &m.account));
            let reference = f.parse("reference", &m.reference);
            Ok(c::Payee::Grant { fund: fund?, account: account?, reference: reference? })
        }),
    }
}

fn approve_disbursement(
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

fn return_disbursement(f: &mut Fields, m: &pb::ReturnDisbursement) -> Read<c::ReturnDisbursement> {
    let disbursement = f.position("disbursement", m.disbursement);
    let bank_reference = bank_reference(f, m.bank_reference.as_ref());
    let value_date = f.date("value_date", m.value_date.as_ref());
    Ok(c::ReturnDisbursement {
        disbursement: disbursement?,
        bank_reference: bank_reference?,
        value_date: value_date?,
    })
}

fn repay(f: &mut Fields, m: &pb::Repay) -> Read<c::Repay> {
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

fn propose_write_off(f: &mut Fields, m: &pb::ProposeWriteOff) -> Read<c::ProposeWriteOff> {
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

fn record_recovery(f: &mut Fields, m: &pb::RecordRecovery) -> Read<c::RecordRecovery> {
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

fn propose_restructuring(
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

fn propose_reversal(f: &mut Fields, m: &pb::ProposeReversal) -> Read<c::ProposeReversal> {
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

fn bank_reference(f: &mut Fields, m: Option<&pb::BankReference>) -> Read<c::BankReference> {
    let m = f.present("bank_reference", m)?;
    f.within("bank_reference", |f| {
        let bank = f.parse("bank", &m.bank);
        let reference = f.parse("reference", &m.reference);
        Ok(c::BankReference { bank: bank?, reference: reference?, line: m.line })
    })
}

fn evidence(f: &mut Fields, m: &pb::Evidence) -> Read<c::Evidence> {
    let reference = f.parse("reference", &m.reference);
    let salted_digest = f.digest("salted_digest", &m.salted_digest);
    Ok(c::Evidence { reference: reference?, salted_digest: salted_digest? })
}

fn bank_account(f: &mut Fields, m: Option<&pb::BankAccount>) -> Read<c::BankAccount> {
    let m = f.present("bank_account", m)?;
    f.within("bank_account", |f| {
        let (bank, number) = (f.parse("bank", &m.bank), f.parse("number", &m.number));
        Ok(c::BankAccount { bank: bank?, number: number? })
    })
}

fn required_evidence(f: &mut Fields, m: Option<&pb::Evidence>) -> Read<c::Evidence> {
    let m = f.present("evidence", m)?;
    f.within("evidence", |f| evidence(f, m))
}

fn optional_evidence(f: &mut Fields, m: Option<&pb::Evidence>) -> Read<Option<c::Evidence>> {
    match m {
        None => Ok(None),
        Some(m) => f.within("evidence", |f| evidence(f, m)).map(Some),
    }
}
