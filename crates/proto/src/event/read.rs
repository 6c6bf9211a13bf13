//! From a message to an event of the domain, trusting nothing.

mod terms;
mod values;

use bergulir_domain::Event;
use bergulir_domain::command as c;
use bergulir_domain::event::{
    BankAccountChanged, DisbursementApproved, DisbursementReturned, LoanApproved, PeriodClosed,
    Proposed, Repaid, Restructured, ReversalProposed, WrittenOff,
};
use bergulir_domain::ledger::Origin;
use bergulir_domain::moment::{Position, Timestamp, UtcOffset};
use bergulir_domain::money::Currency;
use std::sync::Arc;

use super::EventError;
use crate::pb;
use crate::pb::event::Kind;
use terms::{loan_terms, terms};
use values::{
    amount, bank_account, bank_reference, date, digest, enumeration, evidence, invalid, money,
    paid, parse, parse_optional, payee, present, undone,
};

type Read<T> = Result<T, EventError>;

pub(super) fn event(kind: Kind) -> Read<Event> {
    Ok(match kind {
        Kind::LedgerOpened(m) => Event::LedgerOpened(Box::new(c::OpenLedger {
            ledger: parse("ledger", &m.ledger)?,
            origin: Origin::new(&m.origin).map_err(|error| invalid("origin", &error))?,
            verifier_key: parse_optional("verifier_key", m.verifier_key.as_deref())?,
            region: parse("region", &m.region)?,
            currency: Currency::from_code(&m.currency_code)
                .ok_or_else(|| invalid("currency_code", &"is not known"))?,
            utc_offset: UtcOffset::from_minutes(m.utc_offset_minutes)
                .ok_or_else(|| invalid("utc_offset_minutes", &"is out of range"))?,
            rules_version: m.rules_version,
        })),
        Kind::RulesAdopted(m) => Event::RulesAdopted(c::AdoptRules { version: m.version }),
        Kind::KeyRotated(m) => Event::KeyRotated(c::RotateKey {
            verifier_key: parse("verifier_key", &m.verifier_key)?,
        }),
        Kind::LedgerContinued(m) => Event::LedgerContinued(Box::new(ledger_continued(&m)?)),
        Kind::FundOpened(m) => Event::FundOpened(Box::new(c::OpenFund {
            fund: parse("fund", &m.fund)?,
            name: parse("display_name", &m.display_name)?,
            opening_date: date("opening_date", m.opening_date)?,
            terms: terms(&present("terms", m.terms)?)?,
        })),
        Kind::TermsChanged(m) => Event::TermsChanged(Box::new(c::ChangeTerms {
            fund: parse("fund", &m.fund)?,
            effective_from: date("effective_from", m.effective_from)?,
            terms: terms(&present("terms", m.terms)?)?,
            reference: parse("reference", &m.reference)?,
        })),
        Kind::FundAllocated(m) => Event::FundAllocated(c::AllocateFund {
            fund: parse("fund", &m.fund)?,
            amount: amount("amount", m.amount)?,
            source: enumeration("source", m.source)?,
            reference: parse("reference", &m.reference)?,
            bank_reference: bank_reference(m.bank_reference)?,
            value_date: date("value_date", m.value_date)?,
        }),
        Kind::AllocationWithdrawalProposed(m) => {
            Event::AllocationWithdrawalProposed(Box::new(Proposed {
                command: c::ProposeAllocationWithdrawal {
                    fund: parse("fund", &m.fund)?,
                    allocation: Position::new(m.allocation),
                    amount: amount("amount", m.amount)?,
                    reason: parse("reason", &m.reason)?,
                    expires_at: m.asked_expires_at.map(Timestamp::from_micros),
                },
                expires_at: Timestamp::from_micros(m.expires_at),
            }))
        }
        Kind::AllocationWithdrawn(m) => {
            Event::AllocationWithdrawn(c::ApproveAllocationWithdrawal {
                proposal: Position::new(m.proposal),
                bank_reference: bank_reference(m.bank_reference)?,
                value_date: date("value_date", m.value_date)?,
            })
        }
        Kind::PeriodCloseProposed(m) => Event::PeriodCloseProposed(Box::new(Proposed {
            command: c::ProposePeriodClose {
                fund: parse("fund", &m.fund)?,
                through: date("through", m.through)?,
                reference: parse("reference", &m.reference)?,
                expires_at: m.asked_expires_at.map(Timestamp::from_micros),
            },
            expires_at: Timestamp::from_micros(m.expires_at),
        })),
        Kind::PeriodClosed(m) => Event::PeriodClosed(PeriodClosed {
            command: c::ApprovePeriodClose { proposal: Position::new(m.proposal) },
            fund: parse("fund", &m.fund)?,
            through: date("through", m.through)?,
        }),
        Kind::CooperativeRegistered(m) => {
            Event::CooperativeRegistered(Arc::new(c::RegisterCooperative {
                cooperative: parse("cooperative", &m.cooperative)?,
                village: parse("village_code", &m.village_code)?,
                kind: enumeration("kind", m.kind)?,
                name: parse("registered_name", &m.registered_name)?,
                cooperative_number: parse_optional(
                    "cooperative_number",
                    m.cooperative_number.as_deref(),
                )?,
            }))
        }
        Kind::OfficerAppointed(m) => Event::OfficerAppointed(c::AppointOfficer {
            cooperative: parse("cooperative", &m.cooperative)?,
            office: enumeration("office", m.office)?,
            officer: parse("officer", &m.officer)?,
            evidence: m.evidence.as_ref().map(evidence).transpose()?,
        }),
        Kind::ReadinessConfirmed(m) => Event::ReadinessConfirmed(c::ConfirmReadiness {
            cooperative: parse("cooperative", &m.cooperative)?,
            item: enumeration("item", m.item)?,
            number: parse_optional("number", m.number.as_deref())?,
            evidence: evidence(&present("evidence", m.evidence)?)?,
        }),
        Kind::AccountOpened(m) => Event::AccountOpened(c::OpenAccount {
            fund: parse("fund", &m.fund)?,
            account: parse("account", &m.account)?,
            cooperative: parse("cooperative", &m.cooperative)?,
            bank_account: bank_account(m.bank_account)?,
            holder: parse("holder", &m.holder)?,
        }),
        Kind::AccountSuspended(m) => Event::AccountSuspended(c::SuspendAccount {
            fund: parse("fund", &m.fund)?,
            account: parse("account", &m.account)?,
            reason: parse("reason", &m.reason)?,
        }),
        Kind::AccountResumed(m) => Event::AccountResumed(c::ResumeAccount {
            fund: parse("fund", &m.fund)?,
            account: parse("account", &m.account)?,
            reason: parse("reason", &m.reason)?,
        }),
        Kind::AccountClosed(m) => Event::AccountClosed(c::CloseAccount {
            fund: parse("fund", &m.fund)?,
            account: parse("account", &m.account)?,
            reason: parse("reason", &m.reason)?,
        }),
        Kind::BankAccountChangeProposed(m) => {
            Event::BankAccountChangeProposed(Box::new(Proposed {
                command: c::ProposeBankAccountChange {
                    fund: parse("fund", &m.fund)?,
                    account: parse("account", &m.account)?,
                    bank_account: bank_account(m.bank_account)?,
                    holder: parse("holder", &m.holder)?,
                    reason: parse("reason", &m.reason)?,
                    evidence: evidence(&present("evidence", m.evidence)?)?,
                    expires_at: m.asked_expires_at.map(Timestamp::from_micros),
                },
                expires_at: Timestamp::from_micros(m.expires_at),
            }))
        }
        Kind::BankAccountChanged(m) => Event::BankAccountChanged(Box::new(BankAccountChanged {
            command: c::ApproveBankAccountChange { proposal: Position::new(m.proposal) },
            fund: parse("fund", &m.fund)?,
            account: parse("account", &m.account)?,
            bank_account: bank_account(m.bank_account)?,
        })),
        Kind::LoanProposed(m) => Event::LoanProposed(Box::new(Proposed {
            command: c::ProposeLoan {
                fund: parse("fund", &m.fund)?,
                account: parse("account", &m.account)?,
                loan: parse("loan", &m.loan)?,
                principal: amount("principal", m.principal)?,
                contract_reference: parse("contract_reference", &m.contract_reference)?,
                chair: parse("chair", &m.chair)?,
                treasurer: parse("treasurer", &m.treasurer)?,
                expires_at: m.asked_expires_at.map(Timestamp::from_micros),
            },
            expires_at: Timestamp::from_micros(m.expires_at),
        })),
        Kind::LoanApproved(m) => Event::LoanApproved(LoanApproved {
            command: c::ApproveLoan { loan: parse("loan", &m.loan)? },
            terms: loan_terms(&present("terms", m.terms)?)?,
        }),
        Kind::LoanRefused(m) => Event::LoanRefused(c::RefuseLoan {
            loan: parse("loan", &m.loan)?,
            reason: parse("reason", &m.reason)?,
        }),
        Kind::LoanWithdrawn(m) => Event::LoanWithdrawn(c::WithdrawLoan {
            loan: parse("loan", &m.loan)?,
            reason: parse("reason", &m.reason)?,
        }),
        Kind::Disbursed(m) => Event::Disbursed(c::Disburse {
            loan: parse("loan", &m.loan)?,
            amount: amount("amount", m.amount)?,
            bank_reference: bank_reference(m.bank_reference)?,
            value_date: date("value_date", m.value_date)?,
        }),
        Kind::GrantDisbursed(m) => Event::GrantDisbursed(c::DisburseGrant {
            fund: parse("fund", &m.fund)?,
            account: parse("account", &m.account)?,
            amount: amount("amount", m.amount)?,
            reference: parse("reference", &m.reference)?,
            bank_reference: bank_reference(m.bank_reference)?,
            value_date: date("value_date", m.value_date)?,
        }),
        Kind::DisbursementProposed(m) => Event::DisbursementProposed(Box::new(Proposed {
            command: c::ProposeDisbursement {
                payee: payee(m.payee)?,
                amount: amount("amount", m.amount)?,
                expires_at: m.asked_expires_at.map(Timestamp::from_micros),
            },
            expires_at: Timestamp::from_micros(m.expires_at),
        })),
        Kind::DisbursementApproved(m) => Event::DisbursementApproved(DisbursementApproved {
            command: c::ApproveDisbursement {
                proposal: Position::new(m.proposal),
                bank_reference: bank_reference(m.bank_reference)?,
                value_date: date("value_date", m.value_date)?,
            },
            paid: paid(m.paid)?,
            amount: amount("amount", m.amount)?,
        }),
        Kind::DisbursementReturned(m) => Event::DisbursementReturned(DisbursementReturned {
            command: c::ReturnDisbursement {
                disbursement: Position::new(m.disbursement),
                bank_reference: bank_reference(m.bank_reference)?,
                value_date: date("value_date", m.value_date)?,
            },
            paid: paid(m.paid)?,
            amount: amount("amount", m.amount)?,
        }),
        Kind::Repaid(m) => Event::Repaid(Repaid {
            command: c::Repay {
                loan: parse("loan", &m.loan)?,
                amount: amount("amount", m.amount)?,
                principal: m.principal.map(|minor| money("principal", minor)).transpose()?,
                interest: m.interest.map(|minor| money("interest", minor)).transpose()?,
                late_fee: m.late_fee.map(|minor| money("late_fee", minor)).transpose()?,
                bank_reference: bank_reference(m.bank_reference)?,
                value_date: date("value_date", m.value_date)?,
            },
            relend_income: m.relend_income,
        }),
        Kind::WriteOffProposed(m) => Event::WriteOffProposed(Box::new(Proposed {
            command: c::ProposeWriteOff {
                loan: parse("loan", &m.loan)?,
                amount: amount("amount", m.amount)?,
                kind: enumeration("kind", m.kind)?,
                reason: parse("reason", &m.reason)?,
                evidence: evidence(&present("evidence", m.evidence)?)?,
                expires_at: m.asked_expires_at.map(Timestamp::from_micros),
            },
            expires_at: Timestamp::from_micros(m.expires_at),
        })),
        Kind::WrittenOff(m) => Event::WrittenOff(WrittenOff {
            command: c::ApproveWriteOff {
                proposal: Position::new(m.proposal),
                value_date: date("value_date", m.value_date)?,
            },
            loan: parse("loan", &m.loan)?,
            kind: enumeration("kind", m.kind)?,
            amount: amount("amount", m.amount)?,
            principal: money("principal", m.principal)?,
        }),
        Kind::Recovered(m) => Event::Recovered(c::RecordRecovery {
            loan: parse("loan", &m.loan)?,
            amount: amount("amount", m.amount)?,
            bank_reference: bank_reference(m.bank_reference)?,
            value_date: date("value_date", m.value_date)?,
        }),
        Kind::RestructuringProposed(m) => Event::RestructuringProposed(Box::new(Proposed {
            command: c::ProposeRestructuring {
                loan: parse("loan", &m.loan)?,
                effective_from: date("effective_from", m.effective_from)?,
                terms: loan_terms(&present("terms", m.terms)?)?,
                addendum_reference: parse("addendum_reference", &m.addendum_reference)?,
                reason: parse("reason", &m.reason)?,
                evidence: evidence(&present("evidence", m.evidence)?)?,
                expires_at: m.asked_expires_at.map(Timestamp::from_micros),
            },
            expires_at: Timestamp::from_micros(m.expires_at),
        })),
        Kind::Restructured(m) => Event::Restructured(Restructured {
            command: c::ApproveRestructuring { proposal: Position::new(m.proposal) },
            loan: parse("loan", &m.loan)?,
            effective_from: date("effective_from", m.effective_from)?,
            terms: loan_terms(&present("terms", m.terms)?)?,
        }),
        Kind::ReversalProposed(m) => Event::ReversalProposed(Box::new(ReversalProposed {
            command: c::ProposeReversal {
                reverses: Position::new(m.reverses),
                reason: parse("reason", &m.reason)?,
                evidence: m.evidence.as_ref().map(evidence).transpose()?,
                expires_at: m.asked_expires_at.map(Timestamp::from_micros),
            },
            expires_at: Timestamp::from_micros(m.expires_at),
            undoes: undone(m.undoes)?,
        })),
        Kind::Reversed(m) => {
            Event::Reversed(c::ApproveReversal { proposal: Position::new(m.proposal) })
        }
        Kind::ProposalRefused(m) => Event::ProposalRefused(c::RefuseProposal {
            proposal: Position::new(m.proposal),
            reason: parse("reason", &m.reason)?,
        }),
        Kind::ProposalWithdrawn(m) => Event::ProposalWithdrawn(c::WithdrawProposal {
            proposal: Position::new(m.proposal),
            reason: parse("reason", &m.reason)?,
        }),
        Kind::Sealed(m) => Event::Sealed(c::Seal {
            through: Position::new(m.through),
            balance_root: digest("balance_root", &m.balance_root)?,
            state_digest: digest("state_digest", &m.state_digest)?,
        }),
    })
}

fn ledger_continued(m: &pb::LedgerContinued) -> Read<c::ContinueLedger> {
    let checkpoint = parse_optional("checkpoint", m.checkpoint.as_deref())?;
    let last_known = checkpoint.map(|checkpoint| c::LastKnown { checkpoint, forked: m.forked });
    if m.forked && last_known.is_none() {
        return Err(EventError::Missing { field: "checkpoint" });
    }
    let origin = |field, text| Origin::new(text).map_err(|error| invalid(field, &error));
    Ok(c::ContinueLedger {
        ledger: parse("ledger", &m.ledger)?,
        origin: origin("origin", &m.origin)?,
        verifier_key: parse("verifier_key", &m.verifier_key)?,
        from_origin: origin("from_origin", &m.from_origin)?,
        last_known,
    })
}
