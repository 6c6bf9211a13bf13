//! Records that are well chained, and signed with the key, and break a rule; seals that lie.

use bergulir_audit::Trust;
use bergulir_chain::merkle;
use bergulir_proto::balances::BALANCE_TREE;

use crate::commands::{approve_loan, disburse, event, open_account, propose_loan, rp, suspend};
use crate::ledger::Ledger;
use crate::programme::{LOAN, cooperative, lent, opened, small};
use crate::scene::Scene;

/// What is found once an insider with the key has signed it all.
#[track_caller]
fn found(ledger: &Ledger) -> (u64, &'static str, String) {
    Scene::signed(&ledger.drafts).found(Trust::default())
}

#[test]
fn more_disbursed_than_was_approved() {
    let mut ledger = lent();
    let at = ledger.forge("maker", &event(disburse("l1", rp(LOAN + 1), "d1")));
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (at, "RULE_BROKEN"));
    assert!(message.contains("LOAN_LIMIT_EXCEEDED"), "{message}");
}

#[test]
fn the_same_maker_and_checker() {
    let mut ledger = lent();
    ledger.submit("maker", &propose_loan("l2", 1, rp(LOAN)));
    ledger.submit("checker", &approve_loan("l2"));
    ledger.drafts.last_mut().unwrap().principal = "maker".to_owned();
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (ledger.size() - 1, "RULE_BROKEN"));
    assert!(message.contains("SAME_PERSON"), "{message}");
}

#[test]
fn money_to_an_account_that_is_not_open() {
    let mut ledger = lent();
    ledger.submit("maker", &suspend(1));
    let at = ledger.forge("maker", &event(disburse("l1", rp(LOAN), "d1")));
    let (position, code, message) = found(&ledger);
    assert_eq!((position, code), (at, "RULE_BROKEN"));
    assert!(message.contains("ACCOUNT_NOT_OPEN"), "{message}");
}

#[test]
fn a_balance_root_forged() {
    let mut ledger = small();
    let mut seal = ledger.seal();
    seal.balance_root[0] ^= 1;
    let at = ledger.append_seal(seal);
    let (position, code, _) = found(&ledger);
    assert_eq!((position, code), (at.get(), "SEAL_ROOT_FORGED"));
}

#[test]
fn an_account_hidden_from_the_balance_root() {
    // An empty ledger's funds alone make the root that hides every account.
    let mut ledger = opened(1_000_000_000);
    let hiding = ledger.seal().balance_root;
    cooperative(&mut ledger, 1);
    ledger.submit("maker", &open_account("pilot", 1));
    let mut seal = ledger.seal();
    assert_ne!(seal.balance_root, *merkle::root(BALANCE_TREE, [[0; 0]; 0]).as_bytes());
    seal.balance_root = hiding;
    let at = ledger.append_seal(seal);
    let (position, code, _) = found(&ledger);
    assert_eq!((position, code), (at.get(), "SEAL_ROOT_FORGED"));
}
