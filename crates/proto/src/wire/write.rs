//! From a command of the domain to a command on the wire.

use bergulir_domain::command::{self as c, Command};
use bergulir_domain::money::Currency;
use bergulir_domain::terms::{LoanTerms, Purpose, Terms};
use bergulir_domain::{Amount, Date, Money, Timestamp};

use crate::enums::{WireEnum, fund_kind};
use crate::moment::{date_to_wire, timestamp_to_wire};
use crate::money::money_to_wire;
use crate::pb::command::Kind;
use crate::pb::{self, propose_disbursement};
use crate::shared::{bank_account, bank_reference, evidence};

/// The only currency that there is; a second one will have to come in as an argument.
const CURRENCY: Currency = Currency::Idr;

pub(super) fn kind(command: &Command) -> Option<Kind> {
    Some(match command {
        // Nobody asks a server for these.
        Command::Seal(_) | Command::ContinueLedger(_) => return None,
        Command::OpenLedger(c) => Kind::OpenLedger(pb::OpenLedger {
            origin: c.origin.as_str().to_owned(),
            verifier_key: c.verifier_key.as_ref().map(ToString::to_string),
            region: c.region.to_string(),
            currency_code: c.currency.code().to_owned(),
            utc_offset_minutes: Some(i32::from(c.utc_offset.minutes())),
            rules_version: c.rules_version,
        }),
        Command::AdoptRules(c) => Kind::AdoptRules(pb::AdoptRules { version: c.version }),
        Command::RotateKey(c) => {
            Kind::RotateKey(pb::RotateKey { verifier_key: c.verifier_key.to_string() })
        }
        Command::OpenFund(c) => Kind::OpenFund(pb::OpenFund {
            fund: c.fund.to_string(),
            display_name: c.name.to_string(),
            opening_date: date(c.opening_date),
            terms: Some(terms_to_wire(&c.terms, CURRENCY)),
        }),
        Command::ChangeTerms(c) => Kind::ChangeTerms(pb::ChangeTerms {
            fund: c.fund.to_string(),
            effective_from: date(c.effective_from),
            terms: Some(terms_to_wire(&c.terms, CURRENCY)),
            reference: c.reference.to_string(),
        }),
        Command::AllocateFund(c) => Kind::AllocateFund(pb::AllocateFund {
            fund: c.fund.to_string(),
            amount: amount(c.amount),
            source: c.source.to_wire(),
            reference: c.reference.to_string(),
            bank_reference: Some(bank_reference(&c.bank_reference)),
            value_date: date(c.value_date),
        }),
        Command::ProposeAllocationWithdrawal(c) => {
            Kind::ProposeAllocationWithdrawal(pb::ProposeAllocationWithdrawal {
                fund: c.fund.to_string(),
                allocation: c.allocation.get(),
                amount: amount(c.amount),
                reason: c.reason.to_string(),
                expires_at: timestamp(c.expires_at),
            })
        }
        Command::ApproveAllocationWithdrawal(c) => {
            Kind::ApproveAllocationWithdrawal(pb::ApproveAllocationWithdrawal {
                proposal: c.proposal.get(),
                bank_reference: Some(bank_reference(&c.bank_reference)),
                value_date: date(c.value_date),
            })
        }
        Command::ProposePeriodClose(c) => Kind::ProposePeriodClose(pb::ProposePeriodClose {
            fund: c.fund.to_string(),
            through: date(c.through),
            reference: c.reference.to_string(),
            expires_at: timestamp(c.expires_at),
        }),
        Command::ApprovePeriodClose(c) => {
            Kind::ApprovePeriodClose(pb::ApprovePeriodClose { proposal: c.proposal.get() })
        }
        Command::RegisterCooperative(c) => Kind::RegisterCooperative(pb::RegisterCooperative {
            cooperative: c.cooperative.to_string(),
            village_code: c.village.to_string(),
            kind: c.kind.to_wire(),
            registered_name: c.name.to_string(),
            cooperative_number: c.cooperative_number.as_ref().map(ToString::to_string),
        }),
        Command::AppointOfficer(c) => Kind::AppointOfficer(pb::AppointOfficer {
            cooperative: c.cooperative.to_string(),
            office: c.office.to_wire(),
            officer: c.officer.to_string(),
            evidence: c.evidence.as_ref().map(evidence),
        }),
        Command::ConfirmReadiness(c) => Kind::ConfirmReadiness(pb::ConfirmReadiness {
            cooperative: c.cooperative.to_string(),
            item: c.item.to_wire(),
            number: c.number.as_ref().map(ToString::to_string),
            evidence: Some(evidence(&c.evidence)),
        }),
        Command::OpenAccount(c) => Kind::OpenAccount(pb::OpenAccount {
            fund: c.fund.to_string(),
            account: c.account.to_string(),
            cooperative: c.cooperative.to_string(),
            bank_account: Some(bank_account(&c.bank_account)),
            holder: c.holder.to_string(),
        }),
        Command::SuspendAccount(c) => Kind::SuspendAccount(pb::SuspendAccount {
            fund: c.fund.to_string(),
            account: c.account.to_string(),
            reason: c.reason.to_string(),
        }),
        Command::ResumeAccount(c) => Kind::ResumeAccount(pb::ResumeAccount {
            fund: c.fund.to_string(),
            account: c.account.to_string(),
            reason: c.reason.to_string(),
        }),
        Command::CloseAccount(c) => Kind::CloseAccount(pb::CloseAccount {
            fund: c.fund.to_string(),
            account: c.account.to_string(),
            reason: c.reason.to_string(),
        }),
        Command::ProposeBankAccountChange(c) => {
            Kind::ProposeBankAccountChange(pb::ProposeBankAccountChange {
                fund: c.fund.to_string(),
                account: c.account.to_string(),
                bank_account: Some(bank_account(&c.bank_account)),
                holder: c.holder.to_string(),
                reason: c.reason.to_string(),
                evidence: Some(evidence(&c.evidence)),
                expires_at: timestamp(c.expires_at),
            })
        }
        Command::ApproveBankAccountChange(c) => {
            Kind::ApproveBankAccountChange(pb::ApproveBankAccountChange {
                proposal: c.proposal.get(),
            })
        }
        Command::ProposeLoan(c) => Kind::ProposeLoan(propose_loan(c)),
        Command::ApproveLoan(c) => Kind::ApproveLoan(pb::ApproveLoan { loan: c.loan.to_string() }),
        Command::RefuseLoan(c) => Kind::RefuseLoan(pb::RefuseLoan {
            loan: c.loan.to_string(),
            reason: c.reason.to_string(),
        }),
        Command::WithdrawLoan(c) => Kind::WithdrawLoan(pb::WithdrawLoan {
            loan: c.loan.to_string(),
            reason: c.reason.to_string(),
        }),
        Command::Disburse(c) => Kind::Disburse(pb::Disburse {
            loan: c.loan.to_string(),
            amount: amount(c.amount),
            bank_reference: Some(bank_reference(&c.bank_reference)),
            value_date: date(c.value_date),
        }),
        Command::DisburseGrant(c) => Kind::DisburseGrant(pb::DisburseGrant {
            fund: c.fund.to_string(),
            account: c.account.to_string(),
            amount: amount(c.amount),
            reference: c.reference.to_string(),
            bank_reference: Some(bank_reference(&c.bank_reference)),
            value_date: date(c.value_date),
        }),
        Command::ProposeDisbursement(c) => Kind::ProposeDisbursement(pb::ProposeDisbursement {
            payee: Some(payee(&c.payee)),
            amount: amount(c.amount),
            expires_at: timestamp(c.expires_at),
        }),
        Command::ApproveDisbursement(c) => Kind::ApproveDisbursement(pb::ApproveDisbursement {
            proposal: c.proposal.get(),
            bank_reference: Some(bank_reference(&c.bank_reference)),
            value_date: date(c.value_date),
        }),
        Command::ReturnDisbursement(c) => Kind::ReturnDisbursement(pb::ReturnDisbursement {
            disbursement: c.disbursement.get(),
            bank_reference: Some(bank_reference(&c.bank_reference)),
            value_date: date(c.value_date),
        }),
        Command::Repay(c) => Kind::Repay(pb::Repay {
            loan: c.loan.to_string(),
            amount: amount(c.amount),
            principal: part(c.principal),
            interest: part(c.interest),
            late_fee: part(c.late_fee),
            bank_reference: Some(bank_reference(&c.bank_reference)),
            value_date: date(c.value_date),
        }),
        Command::ProposeWriteOff(c) => Kind::ProposeWriteOff(pb::ProposeWriteOff {
            loan: c.loan.to_string(),
            amount: amount(c.amount),
            kind: c.kind.to_wire(),
            reason: c.reason.to_string(),
            evidence: Some(evidence(&c.evidence)),
            expires_at: timestamp(c.expires_at),
        }),
        Command::ApproveWriteOff(c) => Kind::ApproveWriteOff(pb::ApproveWriteOff {
            proposal: c.proposal.get(),
            value_date: date(c.value_date),
        }),
        Command::RecordRecovery(c) => Kind::RecordRecovery(pb::RecordRecovery {
            loan: c.loan.to_string(),
            amount: amount(c.amount),
            bank_reference: Some(bank_reference(&c.bank_reference)),
            value_date: date(c.value_date),
        }),
        Command::ProposeRestructuring(c) => Kind::ProposeRestructuring(pb::ProposeRestructuring {
            loan: c.loan.to_string(),
            effective_from: date(c.effective_from),
            terms: Some(loan_terms_to_wire(&c.terms)),
            addendum_reference: c.addendum_reference.to_string(),
            reason: c.reason.to_string(),
            evidence: Some(evidence(&c.evidence)),
            expires_at: timestamp(c.expires_at),
        }),
        Command::ApproveRestructuring(c) => {
            Kind::ApproveRestructuring(pb::ApproveRestructuring { proposal: c.proposal.get() })
        }
        Command::ProposeReversal(c) => Kind::ProposeReversal(pb::ProposeReversal {
            reverses: c.reverses.get(),
            reason: c.reason.to_string(),
            evidence: c.evidence.as_ref().map(evidence),
            expires_at: timestamp(c.expires_at),
        }),
        Command::ApproveReversal(c) => {
            Kind::ApproveReversal(pb::ApproveReversal { proposal: c.proposal.get() })
        }
        Command::RefuseProposal(c) => Kind::RefuseProposal(pb::RefuseProposal {
            proposal: c.proposal.get(),
            reason: c.reason.to_string(),
        }),
        Command::WithdrawProposal(c) => Kind::WithdrawProposal(pb::WithdrawProposal {
            proposal: c.proposal.get(),
            reason: c.reason.to_string(),
        }),
    })
}

fn propose_loan(c: &c::ProposeLoan) -> pb::ProposeLoan {
    pb::ProposeLoan {
        fund: c.fund.to_string(),
        account: c.account.to_string(),
        loan: c.loan.to_string(),
        principal: amount(c.principal),
        contract_reference: c.contract_reference.to_string(),
        chair: c.chair.to_string(),
        treasurer: c.treasurer.to_string(),
        expires_at: timestamp(c.expires_at),
    }
}

fn payee(payee: &c::Payee) -> propose_disbursement::Payee {
    match payee {
        c::Payee::Loan(loan) => propose_disbursement::Payee::Loan(loan.to_string()),
        c::Payee::Grant { fund, account, reference } => {
            propose_disbursement::Payee::Grant(pb::ProposedGrant {
                fund: fund.to_string(),
                account: account.to_string(),
                reference: reference.to_string(),
            })
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
fn amount(amount: Amount) -> Option<pb::Money> {
    Some(money_to_wire(amount.minor(), CURRENCY))
}

fn part(money: Option<Money>) -> Option<pb::Money> {
    money.map(|money| money_to_wire(money.minor(), CURRENCY))
}

#[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
fn date(date: Date) -> Option<pb::Date> {
    Some(date_to_wire(date))
}

fn timestamp(at: Option<Timestamp>) -> Option<pb::Timestamp> {
    at.map(timestamp_to_wire)
}

/// Terms as the wire has them.
pub fn terms_to_wire(terms: &Terms, currency: Currency) -> pb::Terms {
    pb::Terms {
        kind: fund_kind(&terms.purpose) as i32,
        ceiling: Some(money_to_wire(terms.ceiling.minor(), currency)),
        required_readiness: terms.required_readiness.iter().map(WireEnum::to_wire).collect(),
        proposal_validity_days: terms.proposal_validity_days.map(u32::from),
        loan: match &terms.purpose {
            Purpose::Loan(loan) => Some(loan_terms_to_wire(loan)),
            Purpose::Grant => None,
        },
        disbursement_approval_above: terms
            .disbursement_approval_above
            .map(|above| money_to_wire(above.minor(), currency)),
    }
}

/// A loan's terms as the wire has them.
pub fn loan_terms_to_wire(terms: &LoanTerms) -> pb::LoanTerms {
    pb::LoanTerms {
        rate_percent: terms.rate.to_string(),
        method: terms.method.to_wire(),
        tenor_months: u32::from(terms.tenor_months),
        grace_months: u32::from(terms.grace_months),
        grace_bears_interest: terms.grace_bears_interest,
        repayment_order: terms
            .repayment_order
            .map(|order| order.parts().map(WireEnum::to_wire).to_vec())
            .unwrap_or_default(),
        relend_income: terms.relend_income,
    }
}
