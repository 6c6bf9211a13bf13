//! Witnesses: asked at start what they know, and sent every checkpoint.

use crate::support::*;
use crate::witness_server::{Signs, WitnessServer, policy};
use bergulir_chain::LogSize;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::Note;
use bergulir_chain::policy::Policy;
use bergulir_engine::{Ledger, Node, NodeError, NodeOptions, ROLLED_BACK, Status};
use bergulir_proto::balances::BalanceKey;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn witnessed_by(policy: &Policy) -> NodeOptions {
    NodeOptions { policy: Some(policy.clone()), ..NodeOptions::from(never()) }
}

/// A ledger whose keys the witnesses know.
async fn introduced(folder: &Path, witnesses: &[&WitnessServer], policy: &Policy) -> Desk {
    let desk = Desk::pilot(folder, never()).await;
    let keys = named_keys(&desk.ledger()).await;
    desk.stop().await;
    for witness in witnesses {
        witness.change(|it| it.trusted.clone_from(&keys));
    }
    let desk = Desk::at(folder, witnessed_by(policy));
    desk.skip_ids(1_000);
    desk
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn is_witnessed(ledger: &Ledger, size: LogSize) -> bool {
    ledger.witnessed_checkpoint().is_some_and(|signed| signed.checkpoint.size >= size)
}

#[tokio::test]
async fn each_checkpoint_is_cosigned_and_a_quorum_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (WitnessServer::start(1), WitnessServer::start(2));
    let policy = policy(&[&one, &two], 2);
    let desk = introduced(folder.path(), &[&one, &two], &policy).await;
    let ledger = desk.ledger();
    for n in 0..3 {
        desk.post("maker", allocate(1, &format!("A{n}"))).await.unwrap();
        let size = ledger.head().size;
        ledger.checkpoint(Some(size)).await.unwrap();
        until("a quorum", || is_witnessed(&ledger, size)).await;
    }
    let size = ledger.head().size;
    let signed = ledger.witnessed_checkpoint().unwrap();
    assert_eq!(policy.witnessed(&signed.note).unwrap().len(), 2);
    assert_eq!(ledger.checkpoint(None).await.unwrap(), signed, "the newest has them too");
    let file = folder.path().join("ledgers/pilot/checkpoint.witnessed");
    assert_eq!(Note::parse(&std::fs::read(file).unwrap()).unwrap(), signed.note);
    let known =
        |size| bergulir_engine::WitnessStatus { name: String::new(), known: size, failure: None };
    for status in ledger.witnesses() {
        assert_eq!(bergulir_engine::WitnessStatus { name: String::new(), ..status }, known(size));
    }
    drop(ledger);
    desk.stop().await;

    // It is there after a start.
    let desk = Desk::at(folder.path(), witnessed_by(&policy));
    let again = desk.ledger().witnessed_checkpoint().unwrap();
    assert_eq!(again.checkpoint, signed.checkpoint);
    assert_eq!(*desk.ledger().status().borrow(), Status::Serving);
    desk.stop().await;

    // Under another policy it is not a quorum.
    let other = WitnessServer::start(3);
    let desk = Desk::at(folder.path(), witnessed_by(&crate::witness_server::policy(&[&other], 1)));
    assert_eq!(desk.ledger().witnessed_checkpoint(), None);
}

#[tokio::test]
async fn one_witness_that_does_not_answer_keeps_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (WitnessServer::start(1), WitnessServer::start(2));
    let policy = policy(&[&good, &bad], 1);
    bad.change(|it| it.only = Some(503));
    let desk = introduced(folder.path(), &[&good, &bad], &policy).await;
    let ledger = desk.ledger();
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    let size = ledger.head().size;
    ledger.checkpoint(Some(size)).await.unwrap();
    until("a quorum of one", || is_witnessed(&ledger, size)).await;
    let failed = || ledger.witnesses().into_iter().find(|witness| witness.failure.is_some());
    until("a failure", || failed().is_some()).await;
    assert!(failed().unwrap().failure.unwrap().contains("503"));
    assert_eq!(*ledger.status().borrow(), Status::Serving);
    // Once it answers again, it is tried again by itself.
    bad.change(|it| it.only = None);
    until("it cosigns again", || failed().is_none()).await;
    assert_eq!(bad.known_size(), size.get());
}

#[tokio::test]
async fn one_of_two_is_no_quorum_and_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let (good, bad) = (WitnessServer::start(1), WitnessServer::start(2));
    let policy = policy(&[&good, &bad], 2);
    bad.change(|it| it.only = Some(503));
    let desk = introduced(folder.path(), &[&good, &bad], &policy).await;
    let ledger = desk.ledger();
    let newest = || ledger.watch_checkpoint().borrow().clone().unwrap();
    until("one cosigns", || newest().note.signatures().len() == 2).await;
    let (asked, refused) = (good.requests(), bad.requests());
    until("the other is tried again", || bad.requests() > refused).await;
    assert_eq!(ledger.witnessed_checkpoint(), None);
    // It was left alone for a second.
    assert!(bad.requests() < refused + 3, "{} and {refused}", bad.requests());
    assert_eq!(good.requests(), asked);
}

#[tokio::test]
async fn what_is_not_its_signature_of_the_checkpoint_is_not_taken() {
    for signs in [Signs::WithAnotherKey, Signs::SomethingElse] {
        let folder = tempfile::tempdir().unwrap();
        let forger = WitnessServer::start(1);
        let policy = policy(&[&forger], 1);
        forger.change(|it| it.signs = signs);
        let desk = introduced(folder.path(), &[&forger], &policy).await;
        let ledger = desk.ledger();
        let failed = || ledger.witnesses().into_iter().any(|witness| witness.failure.is_some());
        until("a failure", failed).await;
        assert_eq!(ledger.witnessed_checkpoint(), None);
        assert_eq!(ledger.checkpoint(None).await.unwrap().note.signatures().len(), 1);
    }
}

#[tokio::test]
async fn a_quorum_is_known_after_a_start_and_had_again_if_it_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let witness = WitnessServer::start(1);
    let policy = policy(&[&witness], 1);
    let desk = introduced(folder.path(), &[&witness], &policy).await;
    let ledger = desk.ledger();
    let size = ledger.head().size;
    ledger.checkpoint(Some(size)).await.unwrap();
    until("a quorum", || is_witnessed(&ledger, size)).await;
    let signed = ledger.witnessed_checkpoint().unwrap();
    drop(ledger);
    desk.stop().await;

    witness.change(|it| it.only = Some(503));
    let desk = Desk::at(folder.path(), witnessed_by(&policy));
    assert_eq!(desk.ledger().checkpoint(None).await.unwrap(), signed);
    desk.stop().await;

    std::fs::remove_file(folder.path().join("ledgers/pilot/checkpoint.witnessed")).unwrap();
    witness.change(|it| it.only = None);
    let desk = Desk::at(folder.path(), witnessed_by(&policy));
    let ledger = desk.ledger();
    until("a quorum, of the same size", || is_witnessed(&ledger, size)).await;
    assert_eq!(ledger.head().size, size);
}

#[tokio::test]
async fn a_witness_that_refuses_a_log_that_it_never_saw_contradicts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let witness = WitnessServer::start(1);
    let policy = policy(&[&witness], 1);
    witness.change(|it| it.only = Some(422));
    let desk = introduced(folder.path(), &[&witness], &policy).await;
    assert_eq!(*desk.ledger().status().borrow(), Status::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_are_proved_under_a_witnessed_checkpoint_if_one_covers_the_seal() {
    let folder = tempfile::tempdir().unwrap();
    let witness = WitnessServer::start(1);
    let policy = policy(&[&witness], 1);
    let desk = introduced(folder.path(), &[&witness], &policy).await;
    let ledger = desk.ledger();
    let fund = BalanceKey::Fund("f".parse().unwrap());
    ledger.balance_proof(fund, true).await.unwrap();
    let sealed = ledger.head().size;
    ledger.checkpoint(Some(sealed)).await.unwrap();
    until("a quorum", || is_witnessed(&ledger, sealed)).await;
    witness.change(|it| it.only = Some(503));
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    let newest = ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
    assert!(policy.witnessed(&newest.note).is_err());
    let proof = ledger.balance_proof(fund, false).await.unwrap();
    policy.witnessed(&proof.seal.checkpoint).unwrap();
    // No witness saw the next seal.
    let proof = ledger.balance_proof(fund, true).await.unwrap();
    assert!(policy.witnessed(&proof.seal.checkpoint).is_err());
    assert!(proof.seal.position.size_through() > newest.checkpoint.size);
}

/// Takes away what a directory knows of its own log.
fn forget_checkpoints(folder: &Path) {
    for file in ["checkpoint", "checkpoint.witnessed"] {
        let file = folder.join("ledgers/pilot").join(file);
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
}

/// Why a ledger takes no writes.
fn trouble(ledger: &Ledger) -> String {
    match ledger.status().borrow().clone() {
        Status::ReadOnly { why } => why,
        Status::Serving | bergulir_engine::Status::ClockSuspect { .. } => panic!("it takes writes"),
    }
}

#[tokio::test]
async fn an_older_copy_of_the_whole_directory_is_found_by_a_witness() {
    let above = tempfile::tempdir().unwrap();
    let (data, older) = (above.path().join("data"), above.path().join("older"));
    let (dead, witness) = (WitnessServer::start(1), WitnessServer::start(2));
    let policy = policy(&[&dead, &witness], 1);
    dead.change(|it| it.only = Some(500));
    let desk = introduced(&data, &[&witness], &policy).await;
    desk.stop().await;
    copy(&data, &older);
    let desk = Desk::at(&data, witnessed_by(&policy));
    desk.skip_ids(2_000);
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    let newest = desk.size();
    desk.ledger().checkpoint(Some(LogSize::new(newest))).await.unwrap();
    until("the witness saw it", || witness.known_size() == newest).await;
    desk.stop().await;

    let desk = Desk::at(&older, witnessed_by(&policy));
    let why = trouble(&desk.ledger());
    assert!(why.starts_with(ROLLED_BACK) && why.contains("the witness w1"), "{why}");
    assert!(why.contains(&newest.to_string()), "{why}");
    desk.stop().await;
    // So it is without any checkpoint of its own.
    forget_checkpoints(&older);
    let desk = Desk::at(&older, witnessed_by(&policy));
    assert!(trouble(&desk.ledger()).starts_with(ROLLED_BACK));
    desk.stop().await;
    // The newest copy goes on.
    let desk = Desk::at(&data, witnessed_by(&policy));
    assert_eq!(*desk.ledger().status().borrow(), Status::Serving);
}

#[tokio::test]
async fn another_history_is_found_by_a_witness_at_any_size() {
    for own_checkpoint in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let witness = WitnessServer::start(1);
        let policy = policy(&[&witness], 1);
        let desk = introduced(folder.path(), &[&witness], &policy).await;
        desk.stop().await;
        for size in [2, 3, 5] {
            witness.change(|it| {
                it.known = Some(TreeHead { size, root: bergulir_chain::Hash::ZERO });
            });
            if !own_checkpoint {
                forget_checkpoints(folder.path());
            }
            let desk = Desk::at(folder.path(), witnessed_by(&policy));
            let why = trouble(&desk.ledger());
            assert!(why.starts_with(ROLLED_BACK) && why.contains("does not lead on"), "{why}");
            desk.stop().await;
        }
    }
}

#[tokio::test]
async fn a_second_server_on_a_copy_is_found_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let witness = WitnessServer::start(1);
    let policy = policy(&[&witness], 1);
    let desk = introduced(folder.path(), &[&witness], &policy).await;
    let ledger = desk.ledger();
    let size = ledger.head().size;
    until("the witness saw it", || witness.known_size() == size.get()).await;
    // Somebody else, with the same key, has gone on from here.
    let other = TreeHead { size: size.get() + 100, root: bergulir_chain::Hash::ZERO };
    witness.change(|it| it.known = Some(other));
    // With the next checkpoint at the latest.
    let _ = desk.post("maker", allocate(1, "A1")).await;
    until("it is found", || *ledger.status().borrow() != Status::Serving).await;
    assert!(trouble(&ledger).starts_with(ROLLED_BACK));
}

#[tokio::test]
async fn a_witness_that_is_away_at_start_does_not_keep_the_ledger_from_being_served() {
    let folder = tempfile::tempdir().unwrap();
    let witness = WitnessServer::start(1);
    let policy = policy(&[&witness], 1);
    let desk = introduced(folder.path(), &[&witness], &policy).await;
    desk.stop().await;
    witness.change(|it| it.only = Some(502));
    let desk = Desk::at(folder.path(), witnessed_by(&policy));
    assert_eq!(*desk.ledger().status().borrow(), Status::Serving);
    let ledger = Arc::clone(&desk.ledger());
    assert!(ledger.checkpoint(None).await.is_ok());
}

#[tokio::test]
async fn a_silent_witness_delays_a_start_once_and_a_stop_briefly() {
    let folder = tempfile::tempdir().unwrap();
    let (silent, good) = (WitnessServer::start(1), WitnessServer::start(2));
    let policy = policy(&[&silent, &good], 1);
    silent.change(|it| it.silent = true);
    let desk = Desk::pilot(folder.path(), never()).await;
    for ledger in ["second", "third", "fourth"] {
        desk.create(ledger).await;
    }
    let keys = named_keys(&desk.ledger()).await;
    good.change(|it| it.trusted.clone_from(&keys));
    desk.stop().await;

    let began = Instant::now();
    let desk = Desk::at(folder.path(), witnessed_by(&policy));
    let took = began.elapsed();
    // It would be eight seconds for each of them.
    assert!((3..16).contains(&took.as_secs()), "{took:?}");
    for ledger in ["pilot", "second", "third", "fourth"] {
        let ledger = desk.named(ledger);
        assert_eq!(*ledger.status().borrow(), Status::Serving);
        let of_silent = ledger.witnesses().into_iter().find(|witness| witness.name == "w0");
        let failure = of_silent.unwrap().failure.unwrap();
        assert!(failure.contains("did not answer"), "{failure}");
    }
    desk.skip_ids(1_000);
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    let newest = desk.size();
    let began = Instant::now();
    desk.stop().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(good.known_size(), newest, "who answers sees the last checkpoint");
}

#[tokio::test]
async fn a_policy_whose_witness_has_no_usable_address_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let witness = WitnessServer::start(1);
    for address in ["ftp://w.example/", "w.example/a", "http://", "http://w.example/?log=1"] {
        let text = format!("witness w {} {address}\nquorum w\n", witness.key.verifier());
        let policy = Policy::parse(text.as_bytes()).unwrap();
        let clock = Arc::new(bergulir_engine::clock::SystemClock::new());
        let opened = Node::open(folder.path(), clock, witnessed_by(&policy), &|_, _, _| {});
        let Err(NodeError::Witness(refused)) = opened else { panic!("{address} is taken") };
        let said = refused.to_string();
        assert!(said.contains("witness w ") && said.contains(address), "{said}");
    }
}
