//! What version 3 of the rules added, in bundles that both verifiers read. The golden ones have not all
//! of it in each of them.

use std::path::PathBuf;

use bergulir_audit::{ExportError, Finding, Part, Trust};
use bergulir_chain::Position;
use bergulir_domain::Amount;
use bergulir_domain::command::{AdoptRules, Command, WriteOffKind};

use crate::commands::{approve_reversal, disburse, event, id, key, propose_reversal, repay, rp};
use crate::giving_up::{approve, approve_terms, new_terms, propose, recover};
use crate::ledger::Ledger;
use crate::programme::{LOAN, lent, loan};
use crate::scene::{Scene, export, report};

/// Two loans of one account, of both something written off; one with new terms. Reversals of a write-off
/// and of a recovery were approved, and one of each waits at the seal, which is at the position given.
fn given_up() -> (Ledger, u64) {
    let mut ledger = lent();
    ledger.submit("maker", &Command::AdoptRules(AdoptRules { version: 3 }));
    loan(&mut ledger, "l2", 1);
    for name in ["l1", "l2"] {
        ledger.submit("maker", &disburse(name, rp(LOAN), name));
        written_off(&mut ledger, name, rp(40_000_000));
        ledger.submit("maker", &recover(name, rp(15_000_000), &format!("back-{name}")));
    }
    let proposal = ledger.submit("maker", &new_terms("l1", 48));
    ledger.submit("checker", &approve_terms(proposal));
    let wrong = written_off(&mut ledger, "l1", rp(5_000_000));
    let recovered = ledger.submit("maker", &recover("l1", rp(2_000_000), "wrong"));
    for undone in [recovered, wrong] {
        let proposal = ledger.submit("maker", &propose_reversal(undone));
        ledger.submit("checker", &approve_reversal(proposal));
    }
    let wrong = written_off(&mut ledger, "l2", rp(7_000_000));
    let recovered = ledger.submit("maker", &recover("l2", rp(3_000_000), "waits"));
    for undone in [wrong, recovered] {
        ledger.submit("maker", &propose_reversal(undone));
    }
    ledger.submit("maker", &propose("l1", rp(1_000_000), WriteOffKind::Absolute));
    ledger.submit("maker", &new_terms("l2", 60));
    let through = ledger.size() - 1;
    ledger.append_seal(ledger.seal());
    ledger.submit("maker", &repay("l1", [1_000_000, 0, 0], "later"));
    ledger.append_seal(ledger.seal());
    (ledger, through)
}

fn written_off(ledger: &mut Ledger, loan: &str, amount: Amount) -> bergulir_domain::Position {
    let proposal = ledger.submit("maker", &propose(loan, amount, WriteOffKind::Conditional));
    ledger.submit("checker", &approve(proposal))
}

fn trusting() -> Trust {
    Trust { keys: vec![key("tangerang").verifier().clone()], ..Trust::default() }
}

/// A bundle of each kind.
fn bundles(scene: &Scene, through: u64) -> [PathBuf; 3] {
    let parts = [
        ("log", Part::Log),
        ("range", Part::Range { through: Some(Position::new(through)) }),
        ("view", Part::Cooperative { cooperative: id("c1") }),
    ];
    parts.map(|(name, part)| {
        let out = scene.beside(name);
        export(scene.path(), part, None, &out).unwrap().path
    })
}

#[test]
fn both_verifiers_read_what_was_given_up() {
    let (ledger, through) = given_up();
    let scene = Scene::signed(&ledger.drafts);
    for path in bundles(&scene, through) {
        let report = report(&path, trusting());
        assert_eq!(report.finding, Finding::Valid, "{}", path.display());
    }
}

#[test]
fn a_recovery_that_nobody_paid_in_is_found() {
    let (mut ledger, through) = given_up();
    // There are 25,000,000 of the first loan, and 29,000,000 of the second.
    let at = ledger.forge("maker", &event(recover("l1", rp(25_000_001), "forged")));
    let scene = Scene::signed(&ledger.drafts);
    let (position, code, message) = scene.found(trusting());
    assert_eq!((position, code), (at, "RULE_BROKEN"));
    assert!(message.contains("RECOVERY_EXCEEDED"), "{message}");
    // Nor does anybody take it along.
    let range = Part::Range { through: Some(Position::new(through)) };
    let refused = export(scene.path(), range, None, &scene.beside("range"));
    assert!(matches!(refused, Err(ExportError::Log { .. })), "{refused:?}");
}
