//! A ledger that went over to version 2 of the rules, in which everything happened that this added.

use bergulir_domain::command::{self as c, BankAccount, Command};
use bergulir_domain::terms::{Purpose, Terms};
use bergulir_domain::{Amount, Money, Position, Timestamp};

use crate::commands::{bank, bring_back, day, id, propose_reversal, register, repay, rp, text};
use crate::golden;
use crate::ledger::Ledger;

/// The ledger, and through which record the seal is that a range of it begins at.
pub(crate) fn every_kind() -> (Ledger, u64) {
    let mut ledger = golden::every_kind();
    let adopted = Command::AdoptRules(c::AdoptRules { version: 2 });
    ledger.submit("maker", &adopted);
    ledger.submit("maker", &careful_terms());
    ledger.clock = Timestamp::from_micros(ledger.clock.as_micros() + 5 * 86_400_000_000);

    disbursements(&mut ledger);
    bank_accounts(&mut ledger);
    let proposal = ledger.submit("maker", &close(10));
    let approve = c::ApprovePeriodClose { proposal };
    ledger.submit("checker", &Command::ApprovePeriodClose(approve));
    // One of each waits, and so is in the state that the range begins with.
    ledger.submit("maker", &pay_loan(3_000_000));
    ledger.submit("maker", &change(1, "00991"));
    ledger.submit("maker", &close(20));
    let through = ledger.size() - 1;
    ledger.append_seal(ledger.seal());
    ledger.submit("maker", &repay("l1", [1_000_000, 0, 0], "v2-r1"));
    ledger.append_seal(ledger.seal());
    (ledger, through)
}

fn disbursements(ledger: &mut Ledger) {
    let proposal = ledger.submit("maker", &pay_loan(5_000_000));
    let paid = ledger.submit("checker", &approve_payment(proposal, "v2-d1"));
    ledger.submit("maker", &bring_back(paid, "v2-back"));
    let proposal = ledger.submit("maker", &pay_loan(6_000_000));
    let wrong = ledger.submit("checker", &approve_payment(proposal, "v2-d2"));
    let proposal = ledger.submit("maker", &propose_reversal(wrong));
    ledger.submit("checker", &refuse(proposal));
    let proposal = ledger.submit("maker", &pay_grant());
    ledger.submit("checker", &approve_payment(proposal, "v2-g1"));
    let proposal = ledger.submit("maker", &pay_grant());
    ledger.submit("checker", &refuse(proposal));
}

fn bank_accounts(ledger: &mut Ledger) {
    let proposal = ledger.submit("maker", &change(2, "00992"));
    let approve = c::ApproveBankAccountChange { proposal };
    ledger.submit("checker", &Command::ApproveBankAccountChange(approve));
    let proposal = ledger.submit("maker", &change(2, "00993"));
    let withdrawn = c::WithdrawProposal { proposal, reason: text("typo") };
    ledger.submit("maker", &Command::WithdrawProposal(withdrawn));
}

/// More than Rp1,000,000 takes two people.
fn careful_terms() -> Command {
    Command::ChangeTerms(c::ChangeTerms {
        fund: id("hibah"),
        effective_from: day(45),
        terms: Terms {
            purpose: Purpose::Grant,
            ceiling: rp(100_000_000),
            required_readiness: [].into_iter().collect(),
            proposal_validity_days: None,
            disbursement_approval_above: Some(Money::from_minor(100_000_000).unwrap()),
        },
        reference: text("SK 14/2026"),
    })
}

fn close(through: i32) -> Command {
    Command::ProposePeriodClose(c::ProposePeriodClose {
        fund: id("hibah"),
        through: day(through),
        reference: text("LAP"),
        expires_at: None,
    })
}

fn refuse(proposal: Position) -> Command {
    Command::RefuseProposal(c::RefuseProposal { proposal, reason: text("no") })
}

fn pay_loan(rupiah: i64) -> Command {
    let payee = c::Payee::Loan(id("l2"));
    Command::ProposeDisbursement(c::ProposeDisbursement {
        payee,
        amount: rp(rupiah),
        expires_at: None,
    })
}

fn pay_grant() -> Command {
    let (fund, account, reference) = (id("hibah"), id("a2"), text("SK 15"));
    let payee = c::Payee::Grant { fund, account, reference };
    let amount: Amount = rp(2_000_000);
    Command::ProposeDisbursement(c::ProposeDisbursement { payee, amount, expires_at: None })
}

fn approve_payment(proposal: Position, reference: &str) -> Command {
    Command::ApproveDisbursement(c::ApproveDisbursement {
        proposal,
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

fn change(number: u32, to: &str) -> Command {
    let Command::RegisterCooperative(registered) = register(number) else {
        unreachable!("a registration");
    };
    Command::ProposeBankAccountChange(c::ProposeBankAccountChange {
        fund: id("pilot"),
        account: id(&format!("a{number}")),
        bank_account: BankAccount { bank: text("BPD"), number: text(to) },
        holder: registered.name,
        reason: text("moved"),
        evidence: c::Evidence { reference: text("letter"), salted_digest: [9; 32] },
        expires_at: None,
    })
}
