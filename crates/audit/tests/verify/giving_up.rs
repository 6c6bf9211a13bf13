//! Commands of version 3 of the rules: write-offs, what comes back of them, and new terms.

use bergulir_domain::command::{self as c, Command, WriteOffKind};
use bergulir_domain::money::Rate;
use bergulir_domain::terms::{InterestMethod, LoanTerms};
use bergulir_domain::{Amount, Position};

use crate::commands::{bank, day, id, text};

pub(crate) fn propose(loan: &str, amount: Amount, kind: WriteOffKind) -> Command {
    Command::ProposeWriteOff(c::ProposeWriteOff {
        loan: id(loan),
        amount,
        kind,
        reason: text("dissolved"),
        evidence: c::Evidence { reference: text("SK 20"), salted_digest: [5; 32] },
        expires_at: None,
    })
}

pub(crate) fn approve(proposal: Position) -> Command {
    Command::ApproveWriteOff(c::ApproveWriteOff { proposal, value_date: day(0) })
}

pub(crate) fn recover(loan: &str, amount: Amount, reference: &str) -> Command {
    Command::RecordRecovery(c::RecordRecovery {
        loan: id(loan),
        amount,
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

pub(crate) fn new_terms(loan: &str, tenor_months: u16) -> Command {
    Command::ProposeRestructuring(c::ProposeRestructuring {
        loan: id(loan),
        effective_from: day(0),
        terms: LoanTerms {
            rate: Rate::from_units(40_000).unwrap(),
            method: InterestMethod::Declining,
            tenor_months,
            grace_months: 6,
            grace_bears_interest: true,
            repayment_order: None,
            relend_income: false,
        },
        addendum_reference: text("ADD 1"),
        reason: text("harvest failed"),
        evidence: c::Evidence { reference: text("SK 21"), salted_digest: [6; 32] },
        expires_at: None,
    })
}

pub(crate) fn approve_terms(proposal: Position) -> Command {
    Command::ApproveRestructuring(c::ApproveRestructuring { proposal })
}
