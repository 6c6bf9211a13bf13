//! Which keys sign for a ledger, and how one takes over from another.

use crate::support::*;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{KeyName, SignerKey, VerifierKey};
use bergulir_domain::Command;
use bergulir_domain::command::RotateKey;
use bergulir_engine::{Answer, Ledger, ProofRefusal, Refusal, Request, Terms};
use bergulir_store::key_file::create_signer;
use std::path::Path;

fn new_key(seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new("ledger.example.go.id/pilot").unwrap(), &[seed; 32]).unwrap()
}

fn rotate(key: &SignerKey) -> Command {
    Command::RotateKey(RotateKey { verifier_key: text(&key.verifier().to_string()) })
}

/// Which of these keys signed the newest checkpoint.
async fn signed_by(ledger: &Ledger, keys: &[VerifierKey]) -> Vec<bool> {
    let signed = ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
    let signed_by = |key: &VerifierKey| Checkpoint::open(&signed.note, key.name(), [key]).is_ok();
    keys.iter().map(signed_by).collect()
}

fn key_file(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join("keys").join(name)
}

#[tokio::test]
async fn after_a_rotation_both_keys_sign_until_the_old_one_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let next = new_key(7);
    create_signer(&key_file(folder.path(), "next.key"), &next).unwrap();
    let ledger = desk.ledger();
    let first = named_keys(&ledger).await.remove(0);
    let keys = [first, next.verifier().clone()];
    assert_eq!(signed_by(&ledger, &keys).await, [true, false]);
    desk.post("operator", rotate(&next)).await.unwrap();
    assert_eq!(signed_by(&ledger, &keys).await, [true, true]);
    assert_eq!(named_keys(&ledger).await, keys);

    // A key that leaked is taken away while the server runs.
    std::fs::remove_file(key_file(folder.path(), "pilot.key")).unwrap();
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    assert_eq!(signed_by(&ledger, &keys).await, [false, true]);
    drop(ledger);
    desk.stop().await;
    // What both signed before is known to the log still.
    let desk = Desk::at(folder.path(), never());
    assert_eq!(*desk.ledger().status().borrow(), bergulir_engine::Status::Serving);
}

#[tokio::test]
async fn a_rotation_to_a_key_that_the_node_does_not_hold_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let size = desk.size();
    let refused = desk.post("operator", rotate(&new_key(7))).await.unwrap_err();
    assert!(matches!(refused, Refusal::KeyNotHeld { .. }), "{refused}");
    assert_eq!(desk.size(), size);

    // A retry of one that was recorded is answered whatever the folder holds by now.
    create_signer(&key_file(folder.path(), "next.key"), &new_key(7)).unwrap();
    desk.send("operator", id(5_000), rotate(&new_key(7)), Terms::PLAIN).await.unwrap();
    desk.stop().await;
    std::fs::remove_file(key_file(folder.path(), "next.key")).unwrap();
    let desk = Desk::at(folder.path(), never());
    let again = desk.send("operator", id(5_000), rotate(&new_key(7)), Terms::PLAIN).await;
    assert!(again.unwrap().receipt.unwrap().duplicate);
}

#[tokio::test]
async fn without_the_key_in_force_nothing_is_signed_until_its_file_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    desk.stop().await;
    let (file, aside) = (key_file(folder.path(), "pilot.key"), folder.path().join("aside"));
    std::fs::rename(&file, &aside).unwrap();

    let desk = Desk::at(folder.path(), never());
    desk.skip_ids(1_000);
    desk.post("maker", allocate(1, "A1")).await.unwrap();
    let ledger = desk.ledger();
    let refused = ledger.checkpoint(Some(ledger.head().size)).await;
    let Err(ProofRefusal::NoKey { why }) = refused else { panic!("{refused:?}") };
    assert!(why.contains("put its file there"), "{why}");
    assert!(!why.contains(folder.path().to_str().unwrap()), "{why}");
    // The one from before is given out as ever.
    assert!(ledger.checkpoint(None).await.is_ok());

    std::fs::rename(&aside, &file).unwrap();
    ledger.checkpoint(Some(ledger.head().size)).await.unwrap();
}

#[tokio::test]
async fn private_keys_are_in_no_text_of_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let secret = std::fs::read_to_string(key_file(folder.path(), "pilot.key")).unwrap();
    let secret = secret.trim_end().splitn(5, '+').last().unwrap();
    let signed = desk.ledger().checkpoint(None).await.unwrap();
    assert!(!format!("{signed:?}{}", signed.note).contains(&secret[..12]));
}

#[tokio::test]
async fn two_ledgers_of_a_node_do_not_sign_as_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::pilot(folder.path(), never()).await;
    let Command::OpenLedger(mut second) = open_ledger("second") else { unreachable!() };
    second.origin = desk.ledger().origin().unwrap();
    let request = Request { request_id: desk.fresh(), command: Command::OpenLedger(second) };
    let id = "second".parse().unwrap();
    let answer = desk.node.create(id, caller("operator"), request, Terms::PLAIN).await;
    let Answer::Refused { refusal: Refusal::OriginTaken { ledger }, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(ledger.as_str(), "pilot");
    assert!(!folder.path().join("ledgers/second").exists());
}
