//! A ledger that went over to version 3 of the rules, in which everything happened that this added.

use bergulir_domain::command::{self as c, Command, WriteOffKind};
use bergulir_domain::{Amount, Position};

use crate::commands::{approve_reversal, propose_reversal, repay, rp, text};
use crate::giving_up::{approve, approve_terms, new_terms, propose, recover};
use crate::ledger::Ledger;
use crate::rules_2;

/// The ledger, and through which record the seal is that a range of it begins at.
pub(crate) fn every_kind() -> (Ledger, u64) {
    let (mut ledger, _) = rules_2::every_kind();
    ledger.submit("maker", &Command::AdoptRules(c::AdoptRules { version: 3 }));
    write_offs(&mut ledger);
    restructurings(&mut ledger);
    // One of each waits, and so is in the state that the range begins with.
    ledger.submit("maker", &propose("l2", rp(100_000), WriteOffKind::Absolute));
    ledger.submit("maker", &new_terms("l1", 60));
    let recovered = ledger.submit("maker", &recover("l1", rp(2_000), "v3-r3"));
    ledger.submit("maker", &propose_reversal(recovered));
    let through = ledger.size() - 1;
    ledger.append_seal(ledger.seal());
    ledger.submit("maker", &repay("l1", [1_000_000, 0, 0], "v3-r1"));
    ledger.append_seal(ledger.seal());
    (ledger, through)
}

fn write_offs(ledger: &mut Ledger) {
    written_off(ledger, "l1", rp(400_000), WriteOffKind::Conditional);
    ledger.submit("maker", &recover("l1", rp(250_000), "v3-r4"));
    written_off(ledger, "l2", rp(300_000), WriteOffKind::Absolute);
    let wrong = written_off(ledger, "l1", rp(500), WriteOffKind::Conditional);
    let proposal = ledger.submit("maker", &propose_reversal(wrong));
    ledger.submit("checker", &approve_reversal(proposal));
    let wrong = ledger.submit("maker", &recover("l1", rp(1_000), "v3-r2"));
    let proposal = ledger.submit("maker", &propose_reversal(wrong));
    ledger.submit("checker", &approve_reversal(proposal));
    let proposal = ledger.submit("maker", &propose("l1", rp(1), WriteOffKind::Conditional));
    let refused = c::RefuseProposal { proposal, reason: text("no") };
    ledger.submit("checker", &Command::RefuseProposal(refused));
}

fn restructurings(ledger: &mut Ledger) {
    let proposal = ledger.submit("maker", &new_terms("l1", 48));
    ledger.submit("checker", &approve_terms(proposal));
    let proposal = ledger.submit("maker", &new_terms("l2", 24));
    let withdrawn = c::WithdrawProposal { proposal, reason: text("typo") };
    ledger.submit("maker", &Command::WithdrawProposal(withdrawn));
}

fn written_off(ledger: &mut Ledger, loan: &str, amount: Amount, kind: WriteOffKind) -> Position {
    let proposal = ledger.submit("maker", &propose(loan, amount, kind));
    ledger.submit("checker", &approve(proposal))
}
