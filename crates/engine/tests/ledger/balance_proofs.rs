//! Balances that prove themselves: from the newest seal, or as of now.

use crate::support::*;
use bergulir_domain::{AccountId, FundId};
use bergulir_engine::{Ledger, LedgerOptions, ProofRefusal};
use bergulir_proto::balance_proof::{BalanceProof, Proved};
use bergulir_proto::balances::{BalanceKey, Leaf};

fn fund() -> FundId {
    "f".parse().unwrap()
}

fn account(name: &str) -> BalanceKey {
    BalanceKey::Account(fund(), name.parse::<AccountId>().unwrap())
}

/// What a proof proves to somebody who has the log's keys and the proof's text.
async fn proved(ledger: &Ledger, proof: BalanceProof) -> Proved {
    let keys = named_keys(ledger).await;
    let read = BalanceProof::parse(proof.to_string().as_bytes()).unwrap();
    assert_eq!(read, proof);
    read.verify(keys[0].name(), &keys).unwrap()
}

/// How much an account was paid out, by a proof.
fn disbursed(proved: &Proved) -> i64 {
    match proved.leaf {
        Some(Leaf::Account { balances, .. }) => balances.disbursed,
        Some(Leaf::Fund { .. }) | None => panic!("{proved:?}"),
    }
}

async fn borrowed(folder: &std::path::Path, options: LedgerOptions) -> Desk {
    let desk = Desk::pilot(folder, options).await;
    desk.lend("l", 100_000_000).await;
    desk.post("maker", disburse("l", 1_000, "T1")).await.unwrap();
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_is_proved_as_of_the_newest_seal_or_as_of_now() {
    let folder = tempfile::tempdir().unwrap();
    let desk = borrowed(folder.path(), never()).await;
    let ledger = desk.ledger();
    // There is no seal yet: one is recorded.
    let first = proved(&ledger, ledger.balance_proof(account("a1"), false).await.unwrap()).await;
    assert_eq!(disbursed(&first), 100_000);
    assert_eq!(first.sealed_at.size_through(), ledger.head().size);

    desk.post("maker", disburse("l", 500, "T2")).await.unwrap();
    let size = ledger.head().size;
    let sealed = proved(&ledger, ledger.balance_proof(account("a1"), false).await.unwrap()).await;
    assert_eq!(disbursed(&sealed), 100_000);
    assert_eq!((sealed.seal, sealed.sealed_at), (first.seal, first.sealed_at));
    assert_eq!(ledger.head().size, size);
    let fresh = proved(&ledger, ledger.balance_proof(account("a1"), true).await.unwrap()).await;
    assert_eq!(disbursed(&fresh), 150_000);
    assert_eq!(fresh.seal.through.get() + 1, size.get());

    // The log ends with a seal: another would say the same.
    let size = ledger.head().size;
    let again = proved(&ledger, ledger.balance_proof(account("a1"), true).await.unwrap()).await;
    assert_eq!(again.sealed_at, fresh.sealed_at);
    assert_eq!(ledger.head().size, size);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_leaf_and_every_absence_is_proved() {
    let folder = tempfile::tempdir().unwrap();
    let desk = borrowed(folder.path(), never()).await;
    for n in 2..20 {
        for command in cooperative(n) {
            desk.post("maker", command).await.unwrap();
        }
    }
    let ledger = desk.ledger();
    for n in 1..20 {
        let proof = ledger.balance_proof(account(&format!("a{n}")), false).await.unwrap();
        assert!(proved(&ledger, proof).await.leaf.is_some());
    }
    let of_fund = ledger.balance_proof(BalanceKey::Fund(fund()), false).await.unwrap();
    assert!(matches!(proved(&ledger, of_fund).await.leaf, Some(Leaf::Fund { .. })));
    for absent in ["a0", "a5-1", "a99", "b", "0"] {
        let proof = ledger.balance_proof(account(absent), false).await.unwrap();
        assert_eq!(proved(&ledger, proof).await.leaf, None, "{absent}");
    }
    for absent in ["a", "g"] {
        let key = BalanceKey::Fund(absent.parse().unwrap());
        let proof = ledger.balance_proof(key, false).await.unwrap();
        assert_eq!(proved(&ledger, proof).await.leaf, None, "{absent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_start_the_newest_seal_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let desk = borrowed(folder.path(), never()).await;
    let ledger = desk.ledger();
    let before = proved(&ledger, ledger.balance_proof(account("a1"), true).await.unwrap()).await;
    desk.post("maker", disburse("l", 500, "T2")).await.unwrap();
    drop(ledger);
    desk.stop().await;

    let desk = Desk::at(folder.path(), never());
    let (ledger, size) = (desk.ledger(), desk.size());
    let after = proved(&ledger, ledger.balance_proof(account("a1"), false).await.unwrap()).await;
    assert_eq!((after.seal, after.leaf), (before.seal, before.leaf));
    assert_eq!(desk.size(), size, "no seal was needed");
    drop(ledger);
    desk.stop().await;

    // With the index its snapshot is gone: a seal of now serves as well.
    std::fs::remove_dir_all(folder.path().join("ledgers/pilot/index")).unwrap();
    let desk = Desk::at(folder.path(), never());
    let ledger = desk.ledger();
    let anew = proved(&ledger, ledger.balance_proof(account("a1"), false).await.unwrap()).await;
    assert_eq!(disbursed(&anew), 150_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_a_fresh_proof_at_once_all_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let desk = borrowed(folder.path(), never()).await;
    let ledger = desk.ledger();
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let ledger = desk.ledger();
        crowd.spawn(async move { ledger.balance_proof(account("a1"), true).await });
    }
    for proof in crowd.join_all().await {
        assert_eq!(disbursed(&proved(&ledger, proof.unwrap()).await), 100_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_there_is_no_proof_and_the_refusal_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::at(folder.path(), never());
    desk.create_as(open_ledger("pilot")).await;
    let refused = desk.ledger().balance_proof(account("a1"), false).await;
    assert!(matches!(refused, Err(ProofRefusal::NoKey { .. })), "{refused:?}");
}
