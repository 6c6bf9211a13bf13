//! History made anew, with the signing key and without it; checkpoints and cosignatures of others.

use bergulir_audit::{Checked, Finding, LedgerReport, NotChecked, Trust, Unproven, Verdict};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{KeyName, Note, SignerKey};
use bergulir_chain::policy::Policy;
use bergulir_chain::{LogSize, Position};
use bergulir_domain::Event;
use bergulir_domain::command::Command;

use crate::commands::{allocate, key, open_fund, open_ledger, origin, rp};
use crate::ledger::{Draft, Ledger};
use crate::programme::small;
use crate::scene::{
    Scene, chain_report, checkpoint, cosigned, found, other_key, rotate, statement, two_of_three,
};

/// History with something else at a position, and all that follows chained anew.
fn rewritten(drafts: &[Draft], position: usize) -> Vec<Draft> {
    let mut drafts = drafts.to_vec();
    drafts[position].request_id = [0xee; 16];
    drafts
}

/// History with more money put into the fund than was.
fn richer(drafts: &[Draft]) -> Vec<Draft> {
    let mut drafts = drafts.to_vec();
    let Command::AllocateFund(more) = allocate("pilot", rp(2_000_000_000), "alloc") else {
        unreachable!("it allocates");
    };
    drafts[2].set_event(&Event::FundAllocated(more));
    drafts
}

/// Records of `small` without its second seal, so that what is rewritten keeps every rule.
fn unsealed() -> Vec<Draft> {
    let drafts = small().drafts;
    let first_seal = drafts.iter().position(|draft| draft.principal == "system").unwrap();
    drafts[..first_seal].to_vec()
}

fn trusting() -> Trust {
    Trust { keys: vec![key("tangerang").verifier().clone()], ..Trust::default() }
}

#[test]
fn the_whole_chain_rebuilt_after_an_edit_without_the_key() {
    let drafts = unsealed();
    let scene = Scene::signed(&drafts);
    scene.assert_valid(trusting());
    let last = drafts.len() as u64 - 1;
    let forged = richer(&drafts);
    scene.replace(&forged);
    let (position, code, message) = scene.found(Trust::default());
    assert_eq!((position, code), (last, "CHECKPOINT_CONTRADICTED"));
    assert!(message.contains("from position 0 on"), "{message}");

    // The checkpoint's text made right too, under the old signature or that of another key.
    let right = statement(&forged);
    let old = checkpoint(&drafts);
    scene.sign(&Note::new(right.text(), old.signatures()[0].clone()).unwrap());
    assert_eq!(scene.found_by_anyone(), (last, "CHECKPOINT_NOT_SIGNED"));
    scene.sign(&right.sign(&other_key()).unwrap());
    assert_eq!(scene.found_by_anyone(), (last, "CHECKPOINT_NOT_SIGNED"));
}

#[test]
fn a_smaller_checkpoint_that_still_holds_narrows_the_place() {
    let drafts = unsealed();
    let scene = Scene::signed(&drafts);
    scene.replace(&rewritten(&drafts, 12));
    let since = Some(checkpoint(&drafts[..10]));
    let (position, code, message) = scene.found(Trust { since, ..Trust::default() });
    assert_eq!((position, code), (drafts.len() as u64 - 1, "CHECKPOINT_CONTRADICTED"));
    assert!(message.contains("from position 10 on"), "{message}");
}

#[test]
fn history_rewritten_with_the_key_against_last_months_checkpoint() {
    let drafts = unsealed();
    let since = checkpoint(&drafts[..10]);
    let trust = || Trust { since: Some(since.clone()), ..trusting() };
    Scene::signed(&drafts).assert_valid(trust());
    let forged = richer(&drafts);
    let scene = Scene::signed(&forged);
    // Signed anew, it looks right to whoever comes for the first time, and the report says so.
    scene.assert_valid(trusting());
    assert!(scene.report(trusting()).not_checked.contains(&NotChecked::Extension));
    let (position, code, message) = scene.found(trust());
    assert_eq!((position, code), (9, "CHECKPOINT_CONTRADICTED"));
    assert!(message.contains("seen earlier"), "{message}");

    // Cut to what it was before last month.
    let scene = Scene::signed(&drafts[..8]);
    let (position, code, _) = scene.found(trust());
    assert_eq!((position, code), (8, "RECORDS_MISSING"));
}

#[test]
fn a_log_made_anew_under_another_key_of_its_name() {
    let drafts = unsealed();
    let scene = Scene::signed(&drafts);
    let trust = Trust { keys: vec![other_key().verifier().clone()], ..Trust::default() };
    let (position, code, _) = scene.found(trust);
    assert_eq!((position, code), (0, "KEY_NOT_TRUSTED"));
}

#[test]
fn the_checkpoint_of_another_ledger() {
    let drafts = unsealed();
    let scene = Scene::signed(&drafts);
    let name = KeyName::new(&origin("other")).unwrap();
    let other = Checkpoint { origin: name, ..statement(&drafts) };
    scene.sign(&other.sign(&key("other")).unwrap());
    let (position, code, message) = scene.found(Trust::default());
    assert_eq!((position, code), (0, "CHECKPOINT_OF_OTHER_LOG"));
    assert!(message.contains("ledger.example.go.id/other"), "{message}");
}

#[test]
fn a_checkpoint_that_is_none() {
    let drafts = unsealed();
    let scene = Scene::signed(&drafts);
    std::fs::write(scene.within("checkpoint"), "no note\n").unwrap();
    assert_eq!(scene.found_by_anyone(), (drafts.len() as u64, "CHECKPOINT_DAMAGED"));
}

#[test]
fn a_witness_cosignature_reused() {
    let drafts = unsealed();
    let scene = Scene::of(&drafts);
    scene.sign(&cosigned(cosigned(checkpoint(&drafts), 1), 3));
    scene.assert_valid(two_of_three());
    let report = scene.report(two_of_three());
    let names = ["w1", "w3"].map(str::to_owned).to_vec();
    assert_eq!(report.witnesses, names);
    let size = LogSize::new(drafts.len() as u64);
    assert!(report.checked.contains(&Checked::Witnesses { size, witnesses: names }));

    // The second witness's cosignature is of an older checkpoint.
    let mut note = cosigned(checkpoint(&drafts), 1);
    let older = cosigned(checkpoint(&drafts[..15]), 2);
    note.add(older.signatures()[1].clone()).unwrap();
    scene.sign(&note);
    let (position, code, message) = scene.found(two_of_three());
    assert_eq!((position, code), (drafts.len() as u64 - 1, "COSIGNATURE_FORGED"));
    assert!(message.contains("witness-2.example.id"), "{message}");
}

#[test]
fn too_few_witnesses_are_no_proof_either_way() {
    let drafts = unsealed();
    let scene = Scene::of(&drafts);
    scene.sign(&cosigned(checkpoint(&drafts), 1));
    let report = scene.report(two_of_three());
    assert_eq!(report.finding.verdict(), Verdict::CannotTell);
    assert!(matches!(report.finding, Finding::Unproven(Unproven::NoQuorum { .. })));

    // An older one with a quorum lies beside it.
    let older = cosigned(cosigned(checkpoint(&drafts[..15]), 2), 3);
    std::fs::write(scene.within("checkpoint.witnessed"), older.to_string()).unwrap();
    let report = scene.report(two_of_three());
    assert_eq!(report.finding, Finding::Valid);
    let from = Position::new(15);
    assert!(report.not_checked.contains(&NotChecked::Unwitnessed { from }));
}

#[test]
fn the_checkpoint_taken_away() {
    let drafts = unsealed();
    let scene = Scene::of(&drafts);
    let report = scene.report(Trust::default());
    assert_eq!(report.finding, Finding::Valid);
    assert!(report.not_checked.contains(&NotChecked::NoCheckpoint));
    let report = scene.report(trusting());
    assert_eq!(report.finding, Finding::Unproven(Unproven::NoCheckpoint));
    // That of the auditor's own does not take its place.
    let since = Some(checkpoint(&drafts));
    let report = scene.report(Trust { since, ..Trust::default() });
    assert_eq!((report.finding, report.checkpoint), (Finding::Valid, None));
    // The keys can still be those of another log.
    let (position, code, message) = scene.found(trusting_other());
    assert_eq!((position, code), (0, "KEY_NOT_TRUSTED"));
    assert!(message.contains(&key("tangerang").verifier().to_string()), "{message}");
}

#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_read_is_not_taken_for_none() {
    let scene = Scene::of(&unsealed());
    let path = scene.within("checkpoint");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let report = scene.report(Trust::default());
    assert!(matches!(report.finding, Finding::Unreadable { .. }), "{:?}", report.finding);
}

#[test]
fn what_no_checkpoint_and_no_witness_vouches_for_is_said() {
    let drafts = unsealed();
    let scene = Scene::of(&drafts);
    let newest = cosigned(cosigned(checkpoint(&drafts), 1), 2);
    let beyond = NotChecked::BeyondCheckpoint { from: Position::new(15) };
    let unwitnessed = |report: &LedgerReport| {
        report.not_checked.iter().any(|not| matches!(not, NotChecked::Unwitnessed { .. }))
    };
    scene.sign(&newest);
    let report = scene.report(two_of_three());
    assert!(!unwitnessed(&report) && !report.not_checked.contains(&NotChecked::Witnesses));
    let size = LogSize::new(drafts.len() as u64);
    assert_eq!((report.checkpoint, report.tree_size), (Some(size), size));
    let is_beyond = |not: &NotChecked| matches!(not, NotChecked::BeyondCheckpoint { .. });
    assert!(!report.not_checked.iter().any(is_beyond));
    scene.sign(&checkpoint(&drafts[..15]));
    let report = scene.report(Trust::default());
    assert!(report.not_checked.contains(&beyond), "{:?}", report.not_checked);
    // Who asks for no witnesses is not told that some cosigned.
    scene.sign(&newest);
    let policy = Some(Policy::parse(b"quorum none\n").unwrap());
    let report = scene.report(Trust { policy, ..Trust::default() });
    assert!(report.not_checked.contains(&NotChecked::Witnesses));
}

/// Trusts the other key.
fn trusting_other() -> Trust {
    Trust { keys: vec![other_key().verifier().clone()], ..Trust::default() }
}

/// With a signature of another key beside its own.
fn signed_too(mut note: Note, key: &SignerKey) -> Note {
    note.add(key.sign(note.text())).unwrap();
    note
}

#[test]
fn a_key_that_was_given_up_does_not_speak_for_the_log() {
    let mut ledger = small();
    let rotated = other_key();
    ledger.submit("maker", &rotate(&rotated));
    let drafts = ledger.drafts;
    let last = drafts.len() as u64 - 1;
    let scene = Scene::signed(&drafts);
    assert_eq!(scene.found_by_anyone(), (last, "CHECKPOINT_NOT_SIGNED"));
    scene.sign(&statement(&drafts).sign(&rotated).unwrap());
    scene.assert_valid(trusting_other());
    // A checkpoint from before the rotation stands by the key of its time.
    let since = Some(checkpoint(&drafts[..10]));
    scene.assert_valid(Trust { since, ..trusting_other() });
    let since = Some(statement(&drafts[..10]).sign(&rotated).unwrap());
    let report = scene.report(Trust { since, ..trusting_other() });
    assert!(matches!(report.finding, Finding::Unproven(Unproven::SinceNotSigned { .. })));
}

#[test]
fn a_log_forged_that_begins_with_the_auditors_key_and_goes_over_to_the_forgers() {
    let mut ledger = Ledger::empty();
    ledger.submit("maker", &open_ledger("tangerang"));
    let forger = other_key();
    ledger.submit("maker", &rotate(&forger));
    ledger.submit("maker", &open_fund("pilot"));
    ledger.submit("maker", &allocate("pilot", rp(2_000_000_000), "alloc"));
    let drafts = ledger.drafts;
    let scene = Scene::of(&drafts);
    scene.sign(&statement(&drafts).sign(&forger).unwrap());
    for report in [scene.report(trusting()), chain_report(scene.path(), trusting())] {
        assert_eq!(report.finding.verdict(), Verdict::CannotTell);
        let Finding::Unproven(unproven) = &report.finding else {
            panic!("{:?}", report.finding);
        };
        let Unproven::KeySilent { given, given_at, signer, signer_at, .. } = unproven else {
            panic!("{unproven:?}");
        };
        assert_eq!((&**given, given_at.get()), (key("tangerang").verifier(), 0));
        assert_eq!((&**signer, signer_at.get()), (forger.verifier(), 1));
        assert!(!report.checked.contains(&Checked::TrustedKey));
    }
    // The true key never signs what the forger made.
    let mut forged = checkpoint(&drafts[..1]).signatures()[0].clone();
    let mut note = statement(&drafts).sign(&forger).unwrap();
    note.add(forged.clone()).unwrap();
    scene.sign(&note);
    assert_eq!(scene.found(trusting()).1, "CHECKPOINT_NOT_SIGNED");
    // A name alone is no key.
    forged.name = KeyName::new(&origin("other")).unwrap();
    let mut note = statement(&drafts).sign(&forger).unwrap();
    note.add(forged).unwrap();
    scene.sign(&note);
    assert_eq!(scene.report(trusting()).finding.verdict(), Verdict::CannotTell);
}

#[test]
fn a_key_that_signs_along_after_it_was_given_up_still_vouches() {
    let mut ledger = small();
    ledger.submit("maker", &rotate(&other_key()));
    let drafts = ledger.drafts;
    let scene = Scene::of(&drafts);
    let note = statement(&drafts).sign(&other_key()).unwrap();
    scene.sign(&signed_too(note, &key("tangerang")));
    for trust in [trusting(), trusting_other()] {
        scene.assert_valid(trust.clone());
        assert!(scene.report(trust).checked.contains(&Checked::TrustedKey));
    }
    // A policy names logs, too.
    let policy = format!("log {}\nquorum none\n", key("other").verifier());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let (position, code, _) = scene.found(Trust { policy: Some(policy), ..Trust::default() });
    assert_eq!((position, code), (0, "KEY_NOT_TRUSTED"));
}

#[test]
fn a_checkpoint_of_the_auditors_own_that_is_not_the_logs_tells_nothing() {
    let drafts = unsealed();
    let scene = Scene::signed(&drafts);
    let name = KeyName::new(&origin("other")).unwrap();
    let other = Checkpoint { origin: name, ..statement(&drafts[..10]) };
    let unknown = statement(&drafts[..10]).sign(&other_key()).unwrap();
    let longer = small().drafts;
    let beyond = statement(&longer).sign(&other_key()).unwrap();
    for since in [other.sign(&key("other")).unwrap(), unknown, beyond] {
        let report = scene.report(Trust { since: Some(since), ..trusting() });
        assert_eq!(report.finding.verdict(), Verdict::CannotTell, "{:?}", report.finding);
        assert!(report.not_checked.contains(&NotChecked::Extension));
    }
    // A note that is no checkpoint.
    let text = "no checkpoint\n".to_owned();
    let note = Note::new(text.clone(), key("tangerang").sign(&text)).unwrap();
    let report = scene.report(Trust { since: Some(note), ..trusting() });
    assert!(matches!(report.finding, Finding::Unproven(Unproven::SinceDamaged { .. })));
    // A cosignature on it that is none takes nothing from those on the log's.
    scene.sign(&cosigned(cosigned(checkpoint(&drafts), 1), 3));
    let mut since = checkpoint(&drafts[..10]);
    since.add(cosigned(checkpoint(&drafts[..9]), 2).signatures()[1].clone()).unwrap();
    scene.assert_valid(Trust { since: Some(since), ..two_of_three() });
    // Well signed, and of more records than there are.
    let since = Some(checkpoint(&longer));
    let (_, code, _) = scene.found(Trust { since, ..trusting() });
    assert_eq!(code, "RECORDS_MISSING");
    // What is wrong with the log itself is said before.
    scene.replace(&richer(&drafts));
    let since = Some(statement(&drafts[..10]).sign(&other_key()).unwrap());
    let (_, code, _) = scene.found(Trust { since, ..trusting() });
    assert_eq!(code, "CHECKPOINT_CONTRADICTED");
}

#[test]
fn checkpoints_and_witnesses_stand_where_only_the_chain_is_verified() {
    let drafts = unsealed();
    let scene = Scene::of(&drafts);
    scene.sign(&cosigned(cosigned(checkpoint(&drafts), 1), 3));
    let since = Some(checkpoint(&drafts[..10]));
    let trust = || Trust { since: since.clone(), keys: trusting().keys, ..two_of_three() };
    let report = chain_report(scene.path(), trust());
    assert_eq!(report.finding, Finding::Valid);
    let size = LogSize::new(drafts.len() as u64);
    let witnesses = ["w1", "w3"].map(str::to_owned).to_vec();
    for checked in [
        Checked::Root { size },
        Checked::TrustedKey,
        Checked::Witnesses { size, witnesses },
        Checked::Extension { from: LogSize::new(10) },
    ] {
        assert!(report.checked.contains(&checked), "{checked:?}");
    }

    scene.replace(&richer(&drafts));
    let (position, code, _) = found(&chain_report(scene.path(), trust()));
    assert_eq!((position, code), (9, "CHECKPOINT_CONTRADICTED"));
    scene.replace(&drafts);
    scene.sign(&statement(&drafts).sign(&other_key()).unwrap());
    let (_, code, _) = found(&chain_report(scene.path(), trusting()));
    assert_eq!(code, "CHECKPOINT_NOT_SIGNED");

    // A key that a record names later is followed.
    let mut ledger = small();
    ledger.submit("maker", &rotate(&other_key()));
    let scene = Scene::of(&ledger.drafts);
    scene.sign(&statement(&ledger.drafts).sign(&other_key()).unwrap());
    assert_eq!(chain_report(scene.path(), trusting_other()).finding, Finding::Valid);
}

#[test]
fn a_log_is_opened_once_also_where_only_the_chain_is_verified() {
    let mut ledger = small();
    let forger = other_key();
    let Command::OpenLedger(mut again) = open_ledger("tangerang") else {
        unreachable!("it opens a ledger");
    };
    again.verifier_key = Some(crate::commands::text(&forger.verifier().to_string()));
    ledger.forge("maker", &Event::LedgerOpened(again.into()));
    let scene = Scene::of(&ledger.drafts);
    scene.sign(&statement(&ledger.drafts).sign(&forger).unwrap());
    let (_, code, _) = found(&chain_report(scene.path(), Trust::default()));
    assert_eq!(code, "CHECKPOINT_NOT_SIGNED");
}
