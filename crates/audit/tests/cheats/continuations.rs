//! Logs that go on after a loss, under another origin: right ones, and ones that lie about it.

use std::fs;
use std::path::PathBuf;

use bergulir_audit::{
    Checked, Continued, ExportError, Finding, LedgerReport, NotChecked, Part, Trust, Unproven,
    Verdict,
};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{KeyName, Note, SignerKey};
use bergulir_chain::{LogSize, Position};
use bergulir_domain::Event;
use bergulir_domain::command::{Command, ContinueLedger, LastKnown};
use bergulir_domain::ledger::Origin;
use bergulir_domain::text::SignedNote;

use crate::commands::{allocate, id, key, origin, rp, text};
use crate::files::{Log, SMALL};
use crate::ledger::{Draft, Ledger};
use crate::programme::small;
use crate::scene::{
    Scene, chain_report, checkpoint, cosigned, export, found, other_key, report, rotate, statement,
    two_of_three,
};

/// Goes on from one origin under another.
fn continued(from: &str, to: &str, known: Option<(&Note, bool)>) -> ContinueLedger {
    ContinueLedger {
        ledger: id(to),
        origin: Origin::new(&origin(to)).unwrap(),
        verifier_key: text(&key(to).verifier().to_string()),
        from_origin: Origin::new(&origin(from)).unwrap(),
        last_known: known.map(|(note, forked)| LastKnown {
            checkpoint: SignedNote::new(&note.to_string()).unwrap(),
            forked,
        }),
    }
}

/// With as much money put into the fund as often, under other references each time.
fn more(mut ledger: Ledger, times: usize, reference: &str) -> Ledger {
    for n in 0..times {
        let command = allocate("pilot", rp(1_000), &format!("{reference}-{n}"));
        ledger.submit("maker", &command);
    }
    ledger
}

/// What a checkpoint of these records says under the origin of that ledger.
fn checkpoint_of(drafts: &[Draft], ledger: &str) -> Checkpoint {
    let origin = KeyName::new(&origin(ledger)).unwrap();
    Checkpoint { origin, ..statement(drafts) }
}

fn signed_as(drafts: &[Draft], ledger: &str) -> Note {
    checkpoint_of(drafts, ledger).sign(&key(ledger)).unwrap()
}

fn trusting(ledger: &str, since: Option<Note>) -> Trust {
    Trust { keys: vec![key(ledger).verifier().clone()], since, ..Trust::default() }
}

/// A ledger that lost its last three records, and how it goes on.
struct Loss {
    /// How many records survive.
    kept: u64,
    /// All that there were.
    whole: Vec<Draft>,
    /// All that there are.
    ledger: Ledger,
}

impl Loss {
    fn new() -> Loss {
        let survives = small();
        let whole = more(survives.clone(), 3, "lost").drafts;
        Loss::with(survives, whole.clone(), Some((&checkpoint(&whole), false)))
    }

    fn with(survives: Ledger, whole: Vec<Draft>, known: Option<(&Note, bool)>) -> Loss {
        let kept = survives.size();
        let mut ledger = survives;
        let command = continued("tangerang", "tangerang-2", known);
        ledger.submit("operator-1", &Command::ContinueLedger(command));
        Loss { kept, whole, ledger: more(ledger, 2, "new") }
    }

    /// In which a record says that, whether or not it may.
    fn forged(command: ContinueLedger) -> Loss {
        let mut ledger = small();
        let kept = ledger.size();
        let whole = more(ledger.clone(), 3, "lost").drafts;
        ledger.forge("operator-1", &Event::LedgerContinued(Box::new(command)));
        Loss { kept, whole, ledger }
    }

    fn scene(&self) -> Scene {
        let scene = Scene::of(&self.ledger.drafts);
        scene.sign(&signed_as(&self.ledger.drafts, "tangerang-2"));
        scene
    }
}

/// What is found by those who bring nothing, where rules are decided and where they are not.
fn found_both(scene: &Scene) -> [(u64, &'static str); 2] {
    let trust = Trust::default;
    [report(scene.path(), trust()), chain_report(scene.path(), trust())].map(|report| {
        let (position, code, _) = found(&report);
        (position, code)
    })
}

#[track_caller]
fn valid_both(scene: &Scene, trust: &Trust) -> [LedgerReport; 2] {
    [report(scene.path(), trust.clone()), chain_report(scene.path(), trust.clone())].map(|report| {
        assert_eq!(report.finding, Finding::Valid);
        report
    })
}

#[test]
fn a_log_goes_on_under_another_origin_and_says_what_is_lost() {
    let loss = Loss::new();
    let size = LogSize::new(loss.ledger.size());
    for report in valid_both(&loss.scene(), &trusting("tangerang-2", None)) {
        assert_eq!(report.ledger, Some(id("tangerang-2")));
        assert_eq!(report.origin, Some(origin("tangerang-2")));
        assert_eq!((report.records, report.checkpoint), (size, Some(size)));
        let told = Continued {
            position: Position::new(loss.kept),
            from_origin: origin("tangerang"),
            origin: origin("tangerang-2"),
            checkpoint: Some(LogSize::new(loss.kept + 3)),
            forked: false,
            lost: Some(3),
            is_compared: true,
        };
        assert_eq!(report.continued, [told]);
        assert!(report.checked.contains(&Checked::TrustedKey));
    }
}

#[test]
fn what_the_record_names_is_compared_where_it_can_be() {
    let survives = small();
    let drafts = survives.drafts.clone();
    for size in [1, 10, drafts.len()] {
        let known = checkpoint(&drafts[..size]);
        let loss = Loss::with(survives.clone(), drafts.clone(), Some((&known, false)));
        for report in valid_both(&loss.scene(), &Trust::default()) {
            assert_eq!(
                (report.continued[0].lost, report.continued[0].is_compared),
                (Some(0), true)
            );
            // The log's own checkpoint is the new one.
            assert_eq!(report.checkpoint, Some(LogSize::new(loss.ledger.size())));
        }
        let lying = Loss::with(survives.clone(), drafts.clone(), Some((&known, true)));
        assert_eq!(found_both(&lying.scene()), [(lying.kept, "CONTINUATION_FORGED"); 2]);
    }
    let loss = Loss::with(survives, drafts, None);
    for report in valid_both(&loss.scene(), &Trust::default()) {
        assert_eq!((report.continued[0].checkpoint, report.continued[0].lost), (None, None));
    }
}

#[test]
fn a_checkpoint_of_another_history_is_named_as_that_or_found() {
    let survives = small();
    let mut other = survives.drafts.clone();
    other[12].request_id = [0xee; 16];
    let fork = checkpoint(&other[..20]);
    let hidden = Loss::with(survives.clone(), other.clone(), Some((&fork, false)));
    assert_eq!(found_both(&hidden.scene()), [(hidden.kept, "CONTINUATION_FORGED"); 2]);
    let said = Loss::with(survives, other.clone(), Some((&fork, true)));
    for report in valid_both(&said.scene(), &Trust::default()) {
        assert!(report.continued[0].forked);
        assert_eq!(report.continued[0].lost, None);
    }
    // Whoever was shown the other history finds that this is not it.
    let (position, code, _) = said.scene().found(trusting("tangerang-2", Some(fork)));
    assert_eq!((position, code), (19, "CHECKPOINT_CONTRADICTED"));
    // Too few records to tell.
    let beyond = checkpoint(&more(small(), 3, "lost").drafts);
    let forged = Loss::forged(continued("tangerang", "tangerang-2", Some((&beyond, true))));
    assert_eq!(found_both(&forged.scene()), [(forged.kept, "CONTINUATION_FORGED"); 2]);
}

#[test]
fn a_continuation_that_lies_about_the_origin_until_then() {
    let whole = more(small(), 3, "lost").drafts;
    let known = checkpoint(&whole);
    let other = Loss::forged(continued("other", "tangerang-2", Some((&known, false))));
    assert_eq!(
        found_both(&other.scene()),
        [(other.kept, "RULE_BROKEN"), (other.kept, "CONTINUATION_FORGED")]
    );
    // Also where no checkpoint's signature tells it.
    let other = Loss::forged(continued("other", "tangerang-2", None));
    assert_eq!(
        found_both(&other.scene()),
        [(other.kept, "RULE_BROKEN"), (other.kept, "CONTINUATION_FORGED")]
    );
    let unsigned = statement(&whole).sign(&other_key()).unwrap();
    let of_other = signed_as(&whole, "other");
    let none = format!("{}x", known.text());
    let none = Note::new(none + "\n", known.signatures()[0].clone()).unwrap();
    for note in [unsigned, of_other, none] {
        let forged = Loss::forged(continued("tangerang", "tangerang-2", Some((&note, false))));
        assert_eq!(found_both(&forged.scene()), [(forged.kept, "CONTINUATION_FORGED"); 2]);
    }
}

#[test]
fn a_key_that_the_records_name_at_the_checkpoints_size_signed_it() {
    let mut survives = small();
    let before = survives.drafts.clone();
    survives.submit("maker", &rotate(&other_key()));
    let whole = more(survives.clone(), 3, "lost").drafts;
    let right = [
        checkpoint(&before),
        statement(&whole).sign(&other_key()).unwrap(),
        statement(&survives.drafts).sign(&other_key()).unwrap(),
    ];
    for note in &right {
        let loss = Loss::with(survives.clone(), whole.clone(), Some((note, false)));
        valid_both(&loss.scene(), &Trust::default());
    }
    let wrong = [checkpoint(&whole), statement(&before).sign(&other_key()).unwrap()];
    for note in &wrong {
        let loss = Loss::with(survives.clone(), whole.clone(), Some((note, false)));
        assert_eq!(found_both(&loss.scene()), [(loss.kept, "CONTINUATION_FORGED"); 2]);
    }
}

#[test]
fn keys_and_names_of_the_old_origin_speak_no_more() {
    let loss = Loss::new();
    let drafts = &loss.ledger.drafts;
    let last = drafts.len() as u64 - 1;
    let scene = loss.scene();
    // Whoever knows only the old key is told.
    let report = scene.report(trusting("tangerang", None));
    assert!(matches!(report.finding, Finding::Unproven(Unproven::KeySilent { .. })));
    // Also if that key signed along under the new name.
    let note = checkpoint_of(drafts, "tangerang-2");
    let mut both = note.sign(&key("tangerang-2")).unwrap();
    both.add(key("tangerang").sign(&note.text())).unwrap();
    scene.sign(&both);
    let report = scene.report(trusting("tangerang", None));
    assert!(matches!(report.finding, Finding::Unproven(Unproven::KeySilent { .. })));
    scene.assert_valid(trusting("tangerang-2", None));
    // Neither the old key nor the old name makes a checkpoint of the log.
    scene.sign(&Note::new(note.text(), key("tangerang").sign(&note.text())).unwrap());
    assert_eq!(found_both(&scene), [(last, "CHECKPOINT_NOT_SIGNED"); 2]);
    scene.sign(&checkpoint(drafts));
    assert_eq!(found_both(&scene), [(0, "CHECKPOINT_OF_OTHER_LOG"); 2]);
    // Nor does one from before: it covers nothing of the new log.
    scene.sign(&checkpoint(&drafts[..10]));
    assert_eq!(found_both(&scene), [(0, "CHECKPOINT_OF_OTHER_LOG"); 2]);
}

#[test]
fn what_was_seen_of_the_old_origin_is_past_or_lost() {
    let loss = Loss::new();
    let scene = loss.scene();
    for size in [1, 10, loss.kept] {
        let since = checkpoint(&loss.whole[..usize::try_from(size).unwrap()]);
        for report in valid_both(&scene, &trusting("tangerang-2", Some(since))) {
            assert!(report.checked.contains(&Checked::Extension { from: LogSize::new(size) }));
        }
    }
    for beyond in 1..=3 {
        let drafts = &loss.whole[..usize::try_from(loss.kept + beyond).unwrap()];
        let trust = || trusting("tangerang-2", Some(checkpoint(drafts)));
        for report in [scene.report(trust()), chain_report(scene.path(), trust())] {
            let (position, code, message) = found(&report);
            assert_eq!((position, code), (loss.kept, "RECORDS_LOST"));
            assert!(message.contains("are lost"), "{message}");
        }
    }
    // One that the old log never signed tells nothing.
    let since = statement(&loss.whole).sign(&other_key()).unwrap();
    let report = scene.report(trusting("tangerang-2", Some(since)));
    assert_eq!(report.finding.verdict(), Verdict::CannotTell);
    // Of the new origin it is as always.
    let since = signed_as(&loss.ledger.drafts[..loss.ledger.drafts.len() - 1], "tangerang-2");
    scene.assert_valid(trusting("tangerang-2", Some(since)));
}

#[test]
fn a_second_history_under_the_new_origin() {
    let survives = small();
    let whole = more(survives.clone(), 3, "lost").drafts;
    let first = Loss::with(survives.clone(), whole.clone(), None);
    // Continued once more from the old log, with other records after it.
    let second = Loss::with(more(survives, 6, "another"), whole, None);
    let seen = signed_as(&first.ledger.drafts, "tangerang-2");
    assert!(first.ledger.size() <= second.kept);
    let trust = || trusting("tangerang-2", Some(seen.clone()));
    let scene = second.scene();
    for report in [scene.report(trust()), chain_report(scene.path(), trust())] {
        let (position, code, _) = found(&report);
        assert_eq!((position, code), (second.kept, "TWO_HISTORIES"));
    }
    // As long as the first, or longer: then the roots differ.
    let seen = more(first.ledger, 9, "and-on");
    let seen = signed_as(&seen.drafts[..usize::try_from(second.kept + 2).unwrap()], "tangerang-2");
    let (_, code, _) = scene.found(trusting("tangerang-2", Some(seen)));
    assert_eq!(code, "CHECKPOINT_CONTRADICTED");
}

#[test]
fn a_log_that_goes_on_twice() {
    let mut ledger = Loss::new().ledger;
    let kept = ledger.size();
    let lost = signed_as(&more(ledger.clone(), 4, "lost-too").drafts, "tangerang-2");
    let command = continued("tangerang-2", "tangerang-3", Some((&lost, false)));
    ledger.submit("operator-1", &Command::ContinueLedger(command));
    let scene = Scene::of(&ledger.drafts);
    scene.sign(&signed_as(&ledger.drafts, "tangerang-3"));
    for report in valid_both(&scene, &trusting("tangerang-3", None)) {
        let lost: Vec<_> = report.continued.iter().map(|told| told.lost).collect();
        assert_eq!(lost, [Some(3), Some(4)]);
        assert_eq!(report.origin, Some(origin("tangerang-3")));
    }
    let (position, code, _) = scene.found(trusting("tangerang-3", Some(lost)));
    assert_eq!((position, code), (kept, "RECORDS_LOST"));
    // Never again under a name that it had.
    let mut back = ledger.clone();
    let command = continued("tangerang-3", "tangerang-2", None);
    let at = back.forge("operator-1", &Event::LedgerContinued(Box::new(command)));
    let scene = Scene::of(&back.drafts);
    assert_eq!(found_both(&scene), [(at, "RULE_BROKEN"), (at, "CONTINUATION_FORGED")]);
}

#[test]
fn witnesses_begin_anew_with_the_new_origin() {
    let loss = Loss::new();
    let scene = loss.scene();
    let note = signed_as(&loss.ledger.drafts, "tangerang-2");
    scene.sign(&cosigned(cosigned(note, 1), 3));
    scene.assert_valid(two_of_three());
}

#[test]
fn the_folder_has_the_new_name() {
    let loss = Loss::new();
    let data = tempfile::tempdir().unwrap();
    for (name, expected) in [("tangerang-2", None), ("tangerang", Some((0, "OTHER_LEDGER")))] {
        let folder = data.path().join("ledgers").join(name);
        fs::create_dir_all(&folder).unwrap();
        Log::of(&loss.ledger.drafts, SMALL).write(&folder.join("log"));
        let report = report(data.path(), Trust::default());
        match expected {
            None => assert_eq!(report.finding, Finding::Valid),
            Some(expected) => {
                let (position, code, _) = found(&report);
                assert_eq!((position, code), expected);
            }
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}

fn bundle(scene: &Scene, part: Part, since: Option<&Note>) -> PathBuf {
    let out = scene.beside("bundle");
    export(scene.path(), part, since, &out).unwrap();
    out
}

/// With a seal before the loss and one after.
fn sealed() -> Loss {
    let mut survives = small();
    survives.append_seal(survives.seal());
    let whole = more(survives.clone(), 3, "lost").drafts;
    let mut loss = Loss::with(survives, whole.clone(), Some((&checkpoint(&whole), false)));
    loss.ledger.append_seal(loss.ledger.seal());
    loss.ledger = more(loss.ledger, 1, "last");
    loss
}

#[test]
fn bundles_of_every_kind_go_across_the_seam() {
    let loss = sealed();
    let past = checkpoint(&loss.whole[..10]);
    let across = Part::Range { through: Some(Position::new(loss.kept - 2)) };
    let cooperative = Part::Cooperative { cooperative: id("c2") };
    for (part, tells) in
        [(Part::Log, 1), (across, 1), (Part::Range { through: None }, 0), (cooperative, 1)]
    {
        let scene = loss.scene();
        let path = bundle(&scene, part, Some(&past));
        let seen = report(&path, trusting("tangerang-2", Some(past.clone())));
        assert_eq!(seen.finding, Finding::Valid, "{part:?}");
        assert_eq!(seen.origin, Some(origin("tangerang-2")), "{part:?}");
        assert_eq!(seen.continued.len(), tells, "{part:?}");
        assert!(seen.checked.contains(&Checked::Extension { from: LogSize::new(10) }), "{part:?}");
        let lost = checkpoint(&loss.whole);
        let told = report(&path, trusting("tangerang-2", Some(lost.clone())));
        let (position, code, _) = found(&told);
        assert_eq!((position, code), (loss.kept, "RECORDS_LOST"), "{part:?}");
        let out = scene.beside("other");
        let refused = export(scene.path(), part, Some(&lost), &out);
        assert!(matches!(refused, Err(ExportError::OtherLog { .. })), "{part:?}: {refused:?}");
    }
}

#[test]
fn a_view_without_the_record_that_continues_the_log() {
    let loss = sealed();
    let scene = loss.scene();
    let path = bundle(&scene, Part::Cooperative { cooperative: id("c2") }, None);
    let record = |at: u64| path.join(format!("records/{at:020}.tlog-proof"));
    fs::remove_file(record(loss.kept)).unwrap();
    let (position, code, _) = found(&report(&path, Trust::default()));
    assert_eq!((position, code), (0, "CHECKPOINT_OF_OTHER_LOG"));
}

#[test]
fn a_view_does_not_tell_whether_the_named_checkpoint_is_of_these_records() {
    let survives = small();
    let known = checkpoint(&survives.drafts[..10]);
    let whole = survives.drafts.clone();
    let mut loss = Loss::with(survives, whole, Some((&known, false)));
    loss.ledger.append_seal(loss.ledger.seal());
    let at = Position::new(loss.kept);
    let scene = loss.scene();
    let path = bundle(&scene, Part::Cooperative { cooperative: id("c2") }, None);
    let found = report(&path, trusting("tangerang-2", None));
    assert_eq!(found.finding, Finding::Valid);
    assert!(found.not_checked.contains(&NotChecked::LastKnown { at }));
    let whole = scene.report(trusting("tangerang-2", None));
    assert!(!whole.not_checked.contains(&NotChecked::LastKnown { at }));
}

/// Nothing but the seam is signed by a key that nobody was told of.
#[test]
fn a_stranger_goes_on_with_a_copy_under_a_name_of_its_own() {
    let loss = Loss::new();
    let scene = loss.scene();
    let stranger: &SignerKey = &key("tangerang-2");
    assert_ne!(stranger.verifier(), key("tangerang").verifier());
    // It looks right to those who bring nothing; whoever knows the operator's key is told.
    scene.assert_valid(Trust::default());
    assert!(scene.report(Trust::default()).not_checked.contains(&NotChecked::KeyAsNamed));
    let report = scene.report(trusting("tangerang", None));
    assert_eq!(report.finding.verdict(), Verdict::CannotTell);
}

#[test]
fn damage_before_the_seam_is_found_where_it_is() {
    let loss = Loss::new();
    let scene = loss.scene();
    let mut log = Log::of(&loss.ledger.drafts, SMALL);
    log.remove(20);
    scene.write(&log);
    let [(rules, _), (chain, _)] = found_both(&scene);
    assert_eq!((rules, chain), (20, 20));
}
