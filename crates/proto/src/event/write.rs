//! From an event of the domain to its message.

use bergulir_domain::command as c;
use bergulir_domain::event::{DisbursementReturned, Paid, Undoes};
use bergulir_domain::moment::Timestamp;
use bergulir_domain::terms::{LoanTerms, Purpose, Terms};
use bergulir_domain::{Event, Money};

use crate::enums::{WireEnum, fund_kind};
use crate::moment::date_to_days;
use crate::pb::event::Kind;
use crate::pb::{self, disbursement_proposed, paid, undoes};
use crate::shared::{bank_account, bank_reference, evidence};

pub(super) fn kind(event: &Event) -> Kind {
    match event {
        Event::LedgerOpened(e) => Kind::LedgerOpened(ledger_opened(e)),
        Event::RulesAdopted(e) => Kind::RulesAdopted(pb::RulesAdopted { version: e.version }),
        Event::LedgerContinued(e) => Kind::LedgerContinued(pb::LedgerContinued {
            ledger: e.ledger.to_string(),
            origin: e.origin.as_str().to_owned(),
            verifier_key: e.verifier_key.to_string(),
            from_origin: e.from_origin.as_str().to_owned(),
            checkpoint: e.last_known.as_ref().map(|known| known.checkpoint.as_str().to_owned()),
            forked: e.last_known.as_ref().is_some_and(|known| known.forked),
        }),
        Event::KeyRotated(e) => {
            Kind::KeyRotated(pb::KeyRotated { verifier_key: e.verifier_key.to_string() })
        }
        Event::FundOpened(e) => Kind::FundOpened(pb::FundOpened {
            fund: e.fund.to_string(),
            display_name: e.name.to_string(),
            opening_date: date_to_days(e.opening_date),
            terms: Some(terms(&e.terms)),
        }),
        Event::TermsChanged(e) => Kind::TermsChanged(pb::TermsChanged {
            fund: e.fund.to_string(),
            effective_from: date_to_days(e.effective_from),
            terms: Some(terms(&e.terms)),
            reference: e.reference.to_string(),
        }),
        Event::FundAllocated(e) => Kind::FundAllocated(pb::FundAllocated {
            fund: e.fund.to_string(),
            amount: e.amount.minor(),
            source: e.source.to_wire(),
            reference: e.reference.to_string(),
            bank_reference: Some(bank_reference(&e.bank_reference)),
            value_date: date_to_days(e.value_date),
        }),
        Event::AllocationWithdrawalProposed(e) => {
            let command = &e.command;
            Kind::AllocationWithdrawalProposed(pb::AllocationWithdrawalProposed {
                fund: command.fund.to_string(),
                allocation: command.allocation.get(),
                amount: command.amount.minor(),
                reason: command.reason.to_string(),
                asked_expires_at: command.expires_at.map(Timestamp::as_micros),
                expires_at: e.expires_at.as_micros(),
            })
        }
        Event::AllocationWithdrawn(e) => Kind::AllocationWithdrawn(pb::AllocationWithdrawn {
            proposal: e.proposal.get(),
            bank_reference: Some(bank_reference(&e.bank_reference)),
            value_date: date_to_days(e.value_date),
        }),
        Event::PeriodCloseProposed(e) => Kind::PeriodCloseProposed(pb::PeriodCloseProposed {
            fund: e.command.fund.to_string(),
            through: date_to_days(e.command.through),
            reference: e.command.reference.to_string(),
            asked_expires_at: e.command.expires_at.map(Timestamp::as_micros),
            expires_at: e.expires_at.as_micros(),
        }),
        Event::PeriodClosed(e) => Kind::PeriodClosed(pb::PeriodClosed {
            proposal: e.command.proposal.get(),
            fund: e.fund.to_string(),
            through: date_to_days(e.through),
        }),
        Event::CooperativeRegistered(e) => Kind::CooperativeRegistered(pb::CooperativeRegistered {
            cooperative: e.cooperative.to_string(),
            village_code: e.village.to_string(),
            kind: e.kind.to_wire(),
            registered_name: e.name.to_string(),
            cooperative_number: e.cooperative_number.as_ref().map(ToString::to_string),
        }),
        Event::OfficerAppointed(e) => Kind::OfficerAppointed(pb::OfficerAppointed {
            cooperative: e.cooperative.to_string(),
            office: e.office.to_wire(),
            officer: e.officer.to_string(),
            evidence: e.evidence.as_ref().map(evidence),
        }),
        Event::ReadinessConfirmed(e) => Kind::ReadinessConfirmed(pb::ReadinessConfirmed {
            cooperative: e.cooperative.to_string(),
            item: e.item.to_wire(),
            number: e.number.as_ref().map(ToString::to_string),
            evidence: Some(evidence(&e.evidence)),
        }),
        Event::AccountOpened(e) => Kind::AccountOpened(pb::AccountOpened {
            fund: e.fund.to_string(),
            account: e.account.to_string(),
            cooperative: e.cooperative.to_string(),
            bank_account: Some(bank_account(&e.bank_account)),
            holder: e.holder.to_string(),
        }),
        Event::AccountSuspended(e) => Kind::AccountSuspended(pb::AccountSuspended {
            fund: e.fund.to_string(),
            account: e.account.to_string(),
            reason: e.reason.to_string(),
        }),
        Event::AccountResumed(e) => Kind::AccountResumed(pb::AccountResumed {
            fund: e.fund.to_string(),
            account: e.account.to_string(),
            reason: e.reason.to_string(),
        }),
        Event::AccountClosed(e) => Kind::AccountClosed(pb::AccountClosed {
            fund: e.fund.to_string(),
            account: e.account.to_string(),
            reason: e.reason.to_string(),
        }),
        Event::BankAccountChangeProposed(e) => {
            let command = &e.command;
            Kind::BankAccountChangeProposed(pb::BankAccountChangeProposed {
                fund: command.fund.to_string(),
                account: command.account.to_string(),
                bank_account: Some(bank_account(&command.bank_account)),
                holder: command.holder.to_string(),
                reason: command.reason.to_string(),
                evidence: Some(evidence(&command.evidence)),
                asked_expires_at: command.expires_at.map(Timestamp::as_micros),
                expires_at: e.expires_at.as_micros(),
            })
        }
        Event::BankAccountChanged(e) => Kind::BankAccountChanged(pb::BankAccountChanged {
            proposal: e.command.proposal.get(),
            fund: e.fund.to_string(),
            account: e.account.to_string(),
            bank_account: Some(bank_account(&e.bank_account)),
        }),
        Event::LoanProposed(e) => {
            let command = &e.command;
            Kind::LoanProposed(pb::LoanProposed {
                fund: command.fund.to_string(),
                account: command.account.to_string(),
                loan: command.loan.to_string(),
                principal: command.principal.minor(),
                contract_reference: command.contract_reference.to_string(),
                chair: command.chair.to_string(),
                treasurer: command.treasurer.to_string(),
                asked_expires_at: command.expires_at.map(Timestamp::as_micros),
                expires_at: e.expires_at.as_micros(),
            })
        }
        Event::LoanApproved(e) => Kind::LoanApproved(pb::LoanApproved {
            loan: e.command.loan.to_string(),
            terms: Some(loan_terms(&e.terms)),
        }),
        Event::LoanRefused(e) => Kind::LoanRefused(pb::LoanRefused {
            loan: e.loan.to_string(),
            reason: e.reason.to_string(),
        }),
        Event::LoanWithdrawn(e) => Kind::LoanWithdrawn(pb::LoanWithdrawn {
            loan: e.loan.to_string(),
            reason: e.reason.to_string(),
        }),
        Event::Disbursed(e) => Kind::Disbursed(pb::Disbursed {
            loan: e.loan.to_string(),
            amount: e.amount.minor(),
            bank_reference: Some(bank_reference(&e.bank_reference)),
            value_date: date_to_days(e.value_date),
        }),
        Event::GrantDisbursed(e) => Kind::GrantDisbursed(pb::GrantDisbursed {
            fund: e.fund.to_string(),
            account: e.account.to_string(),
            amount: e.amount.minor(),
            reference: e.reference.to_string(),
            bank_reference: Some(bank_reference(&e.bank_reference)),
            value_date: date_to_days(e.value_date),
        }),
        Event::DisbursementProposed(e) => Kind::DisbursementProposed(pb::DisbursementProposed {
            payee: Some(payee(&e.command.payee)),
            amount: e.command.amount.minor(),
            asked_expires_at: e.command.expires_at.map(Timestamp::as_micros),
            expires_at: e.expires_at.as_micros(),
        }),
        Event::DisbursementApproved(e) => Kind::DisbursementApproved(pb::DisbursementApproved {
            proposal: e.command.proposal.get(),
            bank_reference: Some(bank_reference(&e.command.bank_reference)),
            value_date: date_to_days(e.command.value_date),
            paid: Some(paid(&e.paid)),
            amount: e.amount.minor(),
        }),
        Event::DisbursementReturned(e) => Kind::DisbursementReturned(disbursement_returned(e)),
        Event::Repaid(e) => Kind::Repaid(pb::Repaid {
            loan: e.command.loan.to_string(),
            amount: e.command.amount.minor(),
            principal: e.command.principal.map(bergulir_domain::Money::minor),
            interest: e.command.interest.map(bergulir_domain::Money::minor),
            late_fee: e.command.late_fee.map(bergulir_domain::Money::minor),
            bank_reference: Some(bank_reference(&e.command.bank_reference)),
            value_date: date_to_days(e.command.value_date),
            relend_income: e.relend_income,
        }),
        Event::WriteOffProposed(e) => Kind::WriteOffProposed(pb::WriteOffProposed {
            loan: e.command.loan.to_string(),
            amount: e.command.amount.minor(),
            kind: e.command.kind.to_wire(),
            reason: e.command.reason.to_string(),
            evidence: Some(evidence(&e.command.evidence)),
            asked_expires_at: e.command.expires_at.map(Timestamp::as_micros),
            expires_at: e.expires_at.as_micros(),
        }),
        Event::WrittenOff(e) => Kind::WrittenOff(pb::WrittenOff {
            proposal: e.command.proposal.get(),
            value_date: date_to_days(e.command.value_date),
            loan: e.loan.to_string(),
            amount: e.amount.minor(),
            kind: e.kind.to_wire(),
            principal: e.principal.minor(),
        }),
        Event::Recovered(e) => Kind::Recovered(pb::Recovered {
            loan: e.loan.to_string(),
            amount: e.amount.minor(),
            bank_reference: Some(bank_reference(&e.bank_reference)),
            value_date: date_to_days(e.value_date),
        }),
        Event::RestructuringProposed(e) => {
            let command = &e.command;
            Kind::RestructuringProposed(pb::RestructuringProposed {
                loan: command.loan.to_string(),
                effective_from: date_to_days(command.effective_from),
                terms: Some(loan_terms(&command.terms)),
                addendum_reference: command.addendum_reference.to_string(),
                reason: command.reason.to_string(),
                evidence: Some(evidence(&command.evidence)),
                asked_expires_at: command.expires_at.map(Timestamp::as_micros),
                expires_at: e.expires_at.as_micros(),
            })
        }
        Event::Restructured(e) => Kind::Restructured(pb::Restructured {
            proposal: e.command.proposal.get(),
            loan: e.loan.to_string(),
            effective_from: date_to_days(e.effective_from),
            terms: Some(loan_terms(&e.terms)),
        }),
        Event::ReversalProposed(e) => {
            let command = &e.command;
            Kind::ReversalProposed(pb::ReversalProposed {
                reverses: command.reverses.get(),
                reason: command.reason.to_string(),
                evidence: command.evidence.as_ref().map(evidence),
                asked_expires_at: command.expires_at.map(Timestamp::as_micros),
                expires_at: e.expires_at.as_micros(),
                undoes: Some(pb::Undoes { kind: Some(undone(&e.undoes)) }),
            })
        }
        Event::Reversed(e) => Kind::Reversed(pb::Reversed { proposal: e.proposal.get() }),
        Event::ProposalRefused(e) => Kind::ProposalRefused(pb::ProposalRefused {
            proposal: e.proposal.get(),
            reason: e.reason.to_string(),
        }),
        Event::ProposalWithdrawn(e) => Kind::ProposalWithdrawn(pb::ProposalWithdrawn {
            proposal: e.proposal.get(),
            reason: e.reason.to_string(),
        }),
        Event::Sealed(e) => Kind::Sealed(pb::Sealed {
            through: e.through.get(),
            balance_root: e.balance_root.to_vec(),
            state_digest: e.state_digest.to_vec(),
        }),
    }
}

fn ledger_opened(e: &c::OpenLedger) -> pb::LedgerOpened {
    pb::LedgerOpened {
        ledger: e.ledger.to_string(),
        origin: e.origin.as_str().to_owned(),
        verifier_key: e.verifier_key.as_ref().map(ToString::to_string),
        region: e.region.to_string(),
        currency_code: e.currency.code().to_owned(),
        utc_offset_minutes: i32::from(e.utc_offset.minutes()),
        rules_version: e.rules_version,
    }
}

fn disbursement_returned(e: &DisbursementReturned) -> pb::DisbursementReturned {
    pb::DisbursementReturned {
        disbursement: e.command.disbursement.get(),
        bank_reference: Some(bank_reference(&e.command.bank_reference)),
        value_date: date_to_days(e.command.value_date),
        paid: Some(paid(&e.paid)),
        amount: e.amount.minor(),
    }
}

fn payee(payee: &c::Payee) -> disbursement_proposed::Payee {
    match payee {
        c::Payee::Loan(loan) => disbursement_proposed::Payee::Loan(loan.to_string()),
        c::Payee::Grant { fund, account, reference } => {
            disbursement_proposed::Payee::Grant(pb::EventProposedGrant {
                fund: fund.to_string(),
                account: account.to_string(),
                reference: reference.to_string(),
            })
        }
    }
}

fn paid(paid: &Paid) -> pb::Paid {
    let kind = match paid {
        Paid::Loan(loan) => paid::Kind::Loan(loan.to_string()),
        Paid::Grant(fund, account) => paid::Kind::Grant(pb::GrantPayee {
            fund: fund.to_string(),
            account: account.to_string(),
        }),
    };
    pb::Paid { kind: Some(kind) }
}

fn undone(did: &Undoes) -> undoes::Kind {
    match did {
        Undoes::Allocation { fund, amount } => undoes::Kind::Allocation(pb::UndoesAllocation {
            fund: fund.to_string(),
            amount: amount.minor(),
        }),
        Undoes::AllocationWithdrawal { fund, allocation, amount } => {
            undoes::Kind::AllocationWithdrawal(pb::UndoesAllocationWithdrawal {
                fund: fund.to_string(),
                allocation: allocation.get(),
                amount: amount.minor(),
            })
        }
        Undoes::Disbursement { paid: to, amount } => {
            undoes::Kind::Disbursement(pb::UndoesDisbursement {
                paid: Some(paid(to)),
                amount: amount.minor(),
            })
        }
        Undoes::Return { disbursement, paid: to, amount, disbursed_on } => {
            undoes::Kind::Return(pb::UndoesReturn {
                disbursement: disbursement.get(),
                paid: Some(paid(to)),
                amount: amount.minor(),
                disbursed_on: date_to_days(*disbursed_on),
            })
        }
        Undoes::Repayment { loan, principal, interest, late_fee, relend_income } => {
            undoes::Kind::Repayment(pb::UndoesRepayment {
                loan: loan.to_string(),
                principal: principal.minor(),
                interest: interest.minor(),
                late_fee: late_fee.minor(),
                relend_income: *relend_income,
            })
        }
        Undoes::WriteOff { loan, kind, amount, principal } => {
            undoes::Kind::WriteOff(pb::UndoesWriteOff {
                loan: loan.to_string(),
                kind: kind.to_wire(),
                amount: amount.minor(),
                principal: principal.minor(),
            })
        }
        Undoes::Recovery { loan, amount } => undoes::Kind::Recovery(pb::UndoesRecovery {
            loan: loan.to_string(),
            amount: amount.minor(),
        }),
    }
}

fn terms(terms: &Terms) -> pb::EventTerms {
    pb::EventTerms {
        kind: fund_kind(&terms.purpose) as i32,
        ceiling: terms.ceiling.minor(),
        required_readiness: terms.required_readiness.iter().map(WireEnum::to_wire).collect(),
        proposal_validity_days: terms.proposal_validity_days.map(u32::from),
        loan: match &terms.purpose {
            Purpose::Loan(loan) => Some(loan_terms(loan)),
            Purpose::Grant => None,
        },
        disbursement_approval_above: terms.disbursement_approval_above.map(Money::minor),
    }
}

fn loan_terms(terms: &LoanTerms) -> pb::EventLoanTerms {
    pb::EventLoanTerms {
        rate: terms.rate.to_units(),
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
