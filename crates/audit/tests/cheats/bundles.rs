//! Bundles: right ones, and ones that lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bergulir_audit::{
    Checked, ExportError, Finding, Kind, LedgerReport, NotChecked, Part, Place, Progress, Reason,
    Stage, Trust, Unproven, Verdict,
};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{HashSource, Levels, Prefixes, Subtree};
use bergulir_chain::note::{KeyName, Note};
use bergulir_chain::tiles::{Bundle, Resource, tiles_added};
use bergulir_chain::{Hash, LogSize, Position, record};

use crate::commands::{
    allocate, approve_withdrawal, bring_back, disburse, key, origin, propose_reversal,
    propose_withdrawal, repay, rp,
};
use crate::files::{Log, SMALL};
use crate::ledger::{Draft, chained};
use crate::programme::{cooperative, lent, programme, small};
use crate::scene::{Scene, chain_report, checkpoint, export, found, other_key, report, statement};
use crate::second::assert_second_finds;

/// A bundle of a scene, and what is said about it to those who know the key.
fn bundle(scene: &Scene, name: &str, part: Part, since: Option<&Note>) -> PathBuf {
    let out = scene.beside(name);
    let exported = export(scene.path(), part, since, &out).unwrap();
    assert_eq!(exported.path, out);
    assert_eq!(scene.count_beside(), 1, "nothing is left over");
    out
}

fn trusting(since: Option<Note>) -> Trust {
    Trust { keys: vec![key("tangerang").verifier().clone()], since, ..Trust::default() }
}

#[track_caller]
fn valid(path: &Path, trust: Trust) -> LedgerReport {
    let report = report(path, trust);
    assert_eq!(report.finding, Finding::Valid);
    report
}

#[test]
fn every_record_in_a_bundle() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    // The log goes on after its checkpoint.
    scene.sign(&checkpoint(&drafts[..30]));
    let path = bundle(&scene, "all", Part::Log, None);
    let report = valid(&path, trusting(None));
    let size = LogSize::new(30);
    assert_eq!(report.bundle, Some(Kind::Log));
    assert_eq!((report.records, report.tree_size, report.checkpoint), (size, size, Some(size)));
    assert!(report.checked.contains(&Checked::Root { size }));
    assert!(report.checked.contains(&Checked::TrustedKey));

    let again = export(scene.path(), Part::Log, None, &path);
    assert!(matches!(again, Err(ExportError::Exists { .. })), "{again:?}");
}

#[test]
fn what_has_no_place_in_a_bundle_is_found() {
    let scene = Scene::signed(&small().drafts);
    let path = bundle(&scene, "all", Part::Log, None);
    for empty in ["records", "balances", "log/records"] {
        fs::create_dir(path.join(empty)).unwrap();
        assert_eq!(found(&report(&path, trusting(None))).1, "BUNDLE_DAMAGED", "{empty}");
        fs::remove_dir(path.join(empty)).unwrap();
    }
    for stray in ["state", "checkpoint.witnessed", "log/letter.txt", "records/x.tlog-proof"] {
        let stray = path.join(stray);
        let folder = stray.parent().unwrap();
        let made = !folder.exists();
        fs::create_dir_all(folder).unwrap();
        fs::write(&stray, "by the way").unwrap();
        let finding = report(&path, trusting(None)).finding;
        let damaged =
            matches!(&finding, Finding::Invalid { reason: Reason::BundleDamaged { .. }, .. });
        assert!(damaged, "{}: {finding:?}", stray.display());
        fs::remove_file(&stray).unwrap();
        if made {
            fs::remove_dir(folder).unwrap();
        }
    }
    valid(&path, trusting(None));
}

#[test]
fn a_crash_tears_the_end_of_a_data_directory_and_never_that_of_a_bundle() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let size = drafts.len() as u64;
    let newest = |folder: &Path| {
        let files = fs::read_dir(folder.join("log")).unwrap().map(|file| file.unwrap().path());
        files.max().unwrap()
    };
    let whole = fs::read(newest(scene.path())).unwrap();
    let begun = Log::of(&drafts, SMALL).files().last().unwrap().frames[0].clone();
    let begun = &whole[begun.start..begun.end - 1];
    let range = Part::Range { through: Some(Position::new(18)) };
    let bundles = [("all", Part::Log), ("since", range)].map(|(name, part)| {
        let out = scene.beside(name);
        export(scene.path(), part, None, &out).unwrap().path
    });
    for tail in [&b"\x01"[..], b"BGFR", begun, b"\0\0\0\x01", &[&[0; 5000][..], b"x"].concat()] {
        let longer = |folder: &Path| {
            let file = newest(folder);
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, [&bytes[..], tail].concat()).unwrap();
            let finding = report(folder, Trust::default()).finding;
            let chain = chain_report(folder, Trust::default()).finding;
            assert_eq!(finding, chain);
            fs::write(&file, &bytes).unwrap();
            (finding, file, bytes.len() as u64)
        };
        let (finding, ..) = longer(scene.path());
        let torn = matches!(finding, Finding::Torn { position, .. } if position.get() == size);
        assert!(torn, "{} bytes: {finding:?}", tail.len());
        for path in &bundles {
            let (finding, file, offset) = longer(path);
            let bytes = tail.len() as u64;
            let reason = Reason::BundleTail { bytes };
            let place = Some(Place { file, offset });
            let position = Position::new(size);
            assert_eq!(finding, Finding::Invalid { position, reason, place });
        }
    }
    // Zeros may have been written ahead where the segment was copied from.
    for path in &bundles {
        let file = newest(path);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, [&bytes[..], &[0; 5000]].concat()).unwrap();
        valid(path, trusting(None));
    }
}

#[test]
fn a_view_of_a_cooperative_without_accounts_has_no_folder_for_them() {
    let mut ledger = programme(1);
    cooperative(&mut ledger, 7);
    ledger.append_seal(ledger.seal());
    let scene = Scene::signed(&ledger.drafts);
    let part = Part::Cooperative { cooperative: crate::commands::id("c7") };
    let path = bundle(&scene, "view", part, None);
    assert!(!path.join("balances").exists());
    let report = valid(&path, trusting(None));
    assert!(report.not_checked.contains(&NotChecked::Money));
}

#[test]
fn a_bundle_of_a_bundle_is_the_same() {
    let scene = Scene::signed(&programme(3).drafts);
    let path = bundle(&scene, "all", Part::Log, None);
    let again = path.with_file_name("again");
    export(&path, Part::Log, None, &again).unwrap();
    for file in ["bundle", "checkpoint", "log/00000000000000000000.seg"] {
        assert_eq!(fs::read(path.join(file)).unwrap(), fs::read(again.join(file)).unwrap());
    }
}

#[test]
fn a_log_that_is_not_right_is_not_exported() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let mut log = Log::of(&drafts, SMALL);
    log.remove(20);
    scene.write(&log);
    let out = scene.beside("all");
    for part in [Part::Log, Part::Tiles, Part::Range { through: None }] {
        assert!(export(scene.path(), part, None, &out).is_err());
        assert_eq!(scene.count_beside(), 0, "nothing is left over");
    }
}

#[test]
fn the_records_since_a_seal() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "since", Part::Range { through: Some(Position::new(18)) }, None);
    let report = valid(&path, trusting(None));
    let from = Position::new(19);
    assert_eq!(report.bundle, Some(Kind::Range { from }));
    assert_eq!((report.first, report.records), (from, LogSize::new(drafts.len() as u64)));
    let all = valid(scene.path(), trusting(None));
    assert_eq!((report.totals, report.funds), (all.totals, all.funds));
    assert_eq!((report.head_hash, report.root_hash), (all.head_hash, all.root_hash));
    assert!(report.checked.contains(&Checked::State { through: Position::new(18) }));
    assert!(report.not_checked.contains(&NotChecked::EarlierDecisions { from }));

    let chain = chain_report(&path, trusting(None));
    assert_eq!(chain.finding, Finding::Valid);
    assert_eq!((chain.first, chain.records), (report.first, report.records));
    assert_eq!((chain.head_hash, chain.root_hash), (all.head_hash, all.root_hash));
    assert!(chain.checked.contains(&Checked::State { through: Position::new(18) }));
    assert!(chain.not_checked.contains(&NotChecked::Rules));

    // It looks no earlier record up, so it has no folder for them.
    fs::create_dir(path.join("records")).unwrap();
    let (_, code, message) = found(&crate::scene::report(&path, trusting(None)));
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains("records") && message.contains("empty"), "{message}");
}

#[test]
fn a_range_begins_where_it_says() {
    let scene = Scene::signed(&small().drafts);
    let path = bundle(&scene, "since", Part::Range { through: Some(Position::new(18)) }, None);
    let text = fs::read_to_string(path.join("bundle")).unwrap();
    for from in ["18", "20"] {
        fs::write(path.join("bundle"), text.replace("from 19", &format!("from {from}"))).unwrap();
        let (_, code, message) = found(&report(&path, Trust::default()));
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains("it is the state of 19 records"), "{message}");
    }
}

#[test]
fn the_newest_seal_is_where_a_range_begins_unless_it_is_said() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "newest", Part::Range { through: None }, None);
    let report = valid(&path, Trust::default());
    assert_eq!(report.first.get(), drafts.len() as u64 - 2);
    let missing = Part::Range { through: Some(Position::new(7)) };
    let out = scene.beside("none");
    let refused = export(scene.path(), missing, None, &out);
    assert!(matches!(refused, Err(ExportError::NoSeal { .. })), "{refused:?}");
}

#[test]
fn a_proof_from_a_checkpoint_that_is_not_the_logs_is_not_exported() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let mut other = drafts[..11].to_vec();
    other[5].request_id = [0xee; 16];
    let name = KeyName::new(&origin("other")).unwrap();
    let of_other = Checkpoint { origin: name, ..statement(&drafts[..11]) };
    let cooperative = Part::Cooperative { cooperative: crate::commands::id("c2") };
    for part in [Part::Log, Part::Range { through: None }, cooperative] {
        for (why, since) in [
            ("rewritten", checkpoint(&other)),
            ("not signed", statement(&drafts[..11]).sign(&other_key()).unwrap()),
            ("not signed", checkpoint(&[])),
            ("of the log", of_other.sign(&key("other")).unwrap()),
            ("records are missing", checkpoint(&programme(70).drafts)),
        ] {
            let out = scene.beside("none");
            let refused = export(scene.path(), part, Some(&since), &out);
            let message = refused.unwrap_err().to_string();
            assert!(message.contains(why), "{part:?}, {why}: {message}");
            assert_eq!(scene.count_beside(), 0, "nothing is left over");
        }
        let out = scene.beside("right");
        export(scene.path(), part, Some(&checkpoint(&drafts[..11])), &out).unwrap();
        fs::remove_dir_all(out).unwrap();
    }
}

#[test]
fn nothing_is_written_into_what_is_exported() {
    let scene = Scene::signed(&small().drafts);
    for inside in ["out", "log/out", "../ledger/log/out"] {
        let out = scene.within(inside);
        let refused = export(scene.path(), Part::Log, None, &out);
        assert!(matches!(refused, Err(ExportError::Inside { .. })), "{refused:?}");
    }
    // One ledger of a data directory is not the place for another's bundle either.
    let data = scene.beside("data");
    fs::create_dir_all(data.join("ledgers")).unwrap();
    fs::write(data.join("LOCK"), "").unwrap();
    let ledger = data.join("ledgers/tangerang");
    fs::rename(scene.path(), &ledger).unwrap();
    for path in [&data, &ledger, &ledger.join("log")] {
        for inside in ["out", "ledgers/out", "ledgers/tangerang/out"] {
            let out = data.join(inside);
            let refused = export(path, Part::Log, None, &out);
            assert!(matches!(refused, Err(ExportError::Inside { .. })), "{refused:?}");
        }
    }
    export(&data, Part::Log, None, &scene.beside("out")).unwrap();
}

#[test]
fn a_stopped_export_leaves_nothing() {
    let scene = Scene::signed(&small().drafts);
    let out = scene.beside("out");
    let cooperative = Part::Cooperative { cooperative: crate::commands::id("c2") };
    for part in [Part::Log, Part::Tiles, Part::Range { through: None }, cooperative] {
        let stop = AtomicBool::new(false);
        let mut tell = |told: Progress<'_>| {
            // Somebody stops it in its first pass over the records.
            stop.store(told.stage != Stage::Survey, Ordering::Relaxed);
        };
        let last = Part::Tiles == part || Part::Log == part;
        let stopped =
            bergulir_audit::export(scene.path(), None, part, None, &out, &mut tell, &stop);
        assert_eq!(stopped.is_ok(), last, "{stopped:?}");
        if last {
            fs::remove_dir_all(&out).unwrap();
            let stop = AtomicBool::new(true);
            let stopped =
                bergulir_audit::export(scene.path(), None, part, None, &out, &mut |_| {}, &stop);
            assert!(matches!(stopped, Err(ExportError::Stopped)), "{stopped:?}");
        }
        assert_eq!(scene.count_beside(), 0, "{part:?}");
    }
}

/// A ledger that undoes, after its first seal, what happened before it.
fn undone() -> Vec<Draft> {
    let mut ledger = programme(2);
    let wrong = ledger.submit("maker", &repay("l1", [1_000_000, 0, 0], "r9"));
    ledger.append_seal(ledger.seal());
    let proposal = ledger.submit("maker", &crate::commands::propose_reversal(wrong));
    ledger.submit("checker", &crate::commands::approve_reversal(proposal));
    ledger.submit("maker", &repay("l1", [1_000_000, 0, 0], "r9"));
    ledger.drafts
}

#[test]
fn records_from_before_a_range_come_with_proofs() {
    let drafts = undone();
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "since", Part::Range { through: None }, None);
    let report = valid(&path, trusting(None));
    assert!(report.checked.contains(&Checked::Inclusion { records: 1 }), "{:?}", report.checked);
    let wrong = report.first.get() - 1;
    let file = path.join(format!("records/{wrong:020}.tlog-proof"));
    let text = fs::read_to_string(&file).unwrap();

    // Another record in its place.
    let bytes = &chained(&drafts)[1];
    let other = LogProofText::of(&text).with(bytes);
    fs::write(&file, other).unwrap();
    assert_eq!(found(&crate::scene::report(&path, Trust::default())).1, "BUNDLE_DAMAGED");
    fs::remove_dir_all(path.join("records")).unwrap();
    let (_, code, message) = found(&crate::scene::report(&path, Trust::default()));
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&format!("{wrong:020}")), "{message}");

    // One of the range itself, although it is proved.
    let last = drafts.len() as u64 - 1;
    let note = checkpoint(&drafts);
    for position in [wrong, last] {
        let file = path.join(format!("records/{position:020}.tlog-proof"));
        let proof = crate::scene::proof(&chained(&drafts), position, &note);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, proof.to_string()).unwrap();
    }
    let (_, code, message) = found(&crate::scene::report(&path, Trust::default()));
    assert_eq!(code, "BUNDLE_DAMAGED");
    assert!(message.contains(&format!("{last:020}")), "{message}");
}

/// The proof of a record in a bundle of kind `range`.
fn proved(path: &Path, position: Position) -> PathBuf {
    path.join(format!("records/{:020}.tlog-proof", position.get()))
}

#[test]
fn what_decisions_look_up_comes_along_and_nothing_else() {
    let mut ledger = lent();
    let [sent, kept] = ["d1", "d2"].map(|reference| {
        let disbursed = ledger.submit("maker", &disburse("l1", rp(10_000_000), reference));
        Position::new(disbursed.get())
    });
    let at = |position: Position| bergulir_domain::Position::new(position.get());
    let back = ledger.submit("maker", &bring_back(at(sent), "back-1"));
    let allocation = ledger.submit("maker", &allocate("pilot", rp(5_000_000), "alloc-2"));
    let [first, second] = [1_000_000, 2_000_000]
        .map(|rupiah| ledger.submit("maker", &propose_withdrawal(allocation, rp(rupiah))));
    let out = ledger.submit("checker", &approve_withdrawal(first, "out-1"));
    ledger.append_seal(ledger.seal());
    // A return names its disbursement. A reversal names what it undoes, and a return or a withdrawal
    // that is undone names in turn what it came from, wherever itself is.
    ledger.submit("maker", &bring_back(at(kept), "back-2"));
    let within = ledger.submit("checker", &approve_withdrawal(second, "out-2"));
    for undone in [back, out, within] {
        ledger.submit("maker", &propose_reversal(undone));
    }
    let drafts = ledger.drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "since", Part::Range { through: None }, None);
    let mut needed = vec![sent, kept];
    needed.extend([back, first, second, out].map(|position| Position::new(position.get())));
    assert_eq!(fs::read_dir(path.join("records")).unwrap().count(), needed.len());
    let report = valid(&path, trusting(None));
    assert!(report.checked.contains(&Checked::Inclusion { records: 6 }), "{:?}", report.checked);

    for missing in &needed {
        let file = proved(&path, *missing);
        let text = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let (_, code, message) = found(&crate::scene::report(&path, trusting(None)));
        assert_eq!(code, "BUNDLE_DAMAGED");
        assert!(message.contains(&format!("{:020}", missing.get())), "{message}");
        assert_second_finds(&path, Verdict::Invalid);
        fs::write(file, text).unwrap();
    }
    let note = checkpoint(&drafts);
    let records = chained(&drafts);
    let extra = (0..report.first.get()).map(Position::new).filter(|at| !needed.contains(at));
    for extra in extra {
        let file = proved(&path, extra);
        fs::write(&file, crate::scene::proof(&records, extra.get(), &note).to_string()).unwrap();
        let report = crate::scene::report(&path, trusting(None));
        let (position, code, message) = found(&report);
        assert_eq!((position, code), (extra.get(), "BUNDLE_DAMAGED"));
        assert!(message.contains(&format!("{:020}", extra.get())), "{message}");
        assert!(matches!(report.finding, Finding::Invalid { place: None, .. }));
        assert_eq!(report.head_hash, Hash::ZERO, "nothing was read of the records before it");
        // Which are needed, decisions tell.
        assert_eq!(chain_report(&path, trusting(None)).finding, Finding::Valid);
        assert_second_finds(&path, Verdict::Invalid);
        fs::remove_file(file).unwrap();
    }
    valid(&path, trusting(None));
}

/// A proof as text, of which the record can be changed.
struct LogProofText<'a>(&'a str);

impl<'a> LogProofText<'a> {
    fn of(text: &'a str) -> Self {
        LogProofText(text)
    }

    fn with(&self, record: &[u8]) -> String {
        let mut proof = bergulir_chain::proof::LogProof::parse(self.0.as_bytes()).unwrap();
        proof.extra = Some(record.to_vec());
        proof.to_string()
    }
}

#[test]
fn a_snapshot_forged() {
    let scene = Scene::signed(&small().drafts);
    let path = bundle(&scene, "since", Part::Range { through: Some(Position::new(18)) }, None);
    let file = path.join("state");
    let bytes = fs::read(&file).unwrap();
    let mut found_at = std::collections::BTreeMap::new();
    for place in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[place] ^= 1;
        fs::write(&file, forged).unwrap();
        let report = report(&path, Trust::default());
        if place == 0 {
            // Newer software may know that version.
            assert_eq!(report.finding.verdict(), Verdict::CannotTell);
            continue;
        }
        let (position, code, _) = found(&report);
        assert!(position <= 18, "{code} at {position}");
        *found_at.entry(code).or_insert(0) += 1;
    }
    assert!(found_at["STATE_FORGED"] > found_at["BUNDLE_DAMAGED"], "{found_at:?}");
    assert_eq!(found_at.len(), 2, "{found_at:?}");
}

#[test]
fn a_bundle_shows_that_the_log_goes_on_from_last_months_checkpoint() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let part = Part::Range { through: Some(Position::new(18)) };
    let old = checkpoint(&drafts[..11]);
    let path = bundle(&scene, "since", part, Some(&old));
    let report = valid(&path, trusting(Some(old.clone())));
    assert!(report.checked.contains(&Checked::Extension { from: LogSize::new(11) }));
    // A checkpoint that lies in the range needs no proof.
    let later = checkpoint(&drafts[..25]);
    let report = valid(&path, trusting(Some(later)));
    assert!(report.checked.contains(&Checked::Extension { from: LogSize::new(25) }));
    // Nor does one of just what comes before the range: the state has its root.
    let report = valid(&path, trusting(Some(checkpoint(&drafts[..19]))));
    assert!(report.checked.contains(&Checked::Extension { from: LogSize::new(19) }));
    // From elsewhere there is none.
    let report = crate::scene::report(&path, trusting(Some(checkpoint(&drafts[..12]))));
    let old_size = LogSize::new(12);
    assert_eq!(report.finding, Finding::Unproven(Unproven::NoExtension { old: old_size }));
    // History that was rewritten since.
    let mut other = drafts.clone();
    other[5].request_id = [0xee; 16];
    let report = crate::scene::report(&path, trusting(Some(checkpoint(&other[..11]))));
    let (position, code, _) = found(&report);
    assert_eq!((position, code), (10, "NOT_EXTENDED"));
    let refused =
        export(scene.path(), part, Some(&checkpoint(&programme(10).drafts)), &scene.beside("none"));
    assert!(matches!(refused, Err(ExportError::Shrank { .. })), "{refused:?}");
}

#[test]
fn an_extension_with_a_byte_flipped() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let range = Part::Range { through: Some(Position::new(18)) };
    let cooperative = Part::Cooperative { cooperative: crate::commands::id("c2") };
    let parts = [
        ("eleven", Part::Log, 11),
        ("eight", Part::Log, 8),
        ("all", Part::Log, drafts.len()),
        ("range", range, 25),
        ("begin", range, 19),
        ("before", range, 11),
        ("view", cooperative, 11),
    ];
    for (name, part, old) in parts {
        let path = bundle(&scene, name, part, Some(&checkpoint(&drafts[..old])));
        valid(&path, trusting(None));
        let file = path.join("extension");
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&file, flipped).unwrap();
            let verdict = chain_report(&path, Trust::default()).finding.verdict();
            assert_eq!(verdict, Verdict::Invalid, "{name}: byte {at}");
        }
        // From a size that the log never had.
        let text = String::from_utf8(whole).unwrap();
        let beyond = text.replacen(&format!("old {old}\n"), "old 1000000\n", 1);
        fs::write(&file, beyond).unwrap();
        assert_eq!(found(&report(&path, Trust::default())).1, "BUNDLE_DAMAGED");
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn a_bundle_that_is_not_whole_or_says_something_else_is_found() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "all", Part::Log, None);
    let rewrite = |file: &str, from: &str, to: &str| {
        let text = fs::read_to_string(path.join(file)).unwrap();
        fs::write(path.join(file), text.replacen(from, to, 1)).unwrap();
        let result = found(&report(&path, Trust::default()));
        fs::write(path.join(file), text).unwrap();
        result.1
    };
    let size = format!("size {}\n", drafts.len());
    assert_eq!(rewrite("bundle", &size, "size 30\n"), "BUNDLE_DAMAGED");
    assert_eq!(rewrite("bundle", "go.id/tangerang", "go.id/other"), "BUNDLE_DAMAGED");
    assert_eq!(rewrite("bundle", "kind log", "kind all"), "BUNDLE_DAMAGED");
    assert_eq!(rewrite("checkpoint", "tangerang\n", "other\n"), "BUNDLE_DAMAGED");
    assert_eq!(rewrite("bundle", "bergulir-bundle 1", "a bundle"), "BUNDLE_DAMAGED");
    fs::remove_file(path.join("checkpoint")).unwrap();
    assert_eq!(found(&report(&path, Trust::default())).1, "BUNDLE_DAMAGED");
    fs::write(path.join("checkpoint"), checkpoint(&drafts[..30]).to_string()).unwrap();
    fs::write(
        path.join("bundle"),
        fs::read_to_string(path.join("bundle")).unwrap().replace(&size, "size 30\n"),
    )
    .unwrap();
    let (position, code, _) = found(&report(&path, Trust::default()));
    assert_eq!((position, code), (30, "BUNDLE_TOO_LONG"));
    fs::write(
        path.join("bundle"),
        fs::read_to_string(path.join("bundle")).unwrap().replace("bundle 1", "bundle 3"),
    )
    .unwrap();
    let report = report(&path, Trust::default());
    assert!(matches!(report.finding, Finding::Unreadable { .. }), "{:?}", report.finding);
}

#[test]
fn static_files_have_the_hashes_and_records_of_the_log() {
    let drafts = programme(70).drafts;
    let scene = Scene::signed(&drafts);
    let path = bundle(&scene, "tiles", Part::Tiles, None);
    let records = chained(&drafts);
    let mut levels = Levels::new(Prefixes::RFC_6962);
    for bytes in &records {
        levels.push_hash(record::hash(bytes));
    }
    let size = records.len() as u64;
    assert!(size > 512, "more than one full tile");
    let mut files = 1;
    for tile in tiles_added(0, size) {
        let bytes = fs::read(path.join(Resource::Tile(tile).to_string())).unwrap();
        let hashes: Vec<u8> = tile
            .subtrees()
            .flat_map(|Subtree { level, index }| {
                *levels.hash(Subtree { level, index }).unwrap().as_bytes()
            })
            .collect();
        assert_eq!(bytes, hashes, "{tile}");
        files += 1;
        if tile.level == 0 {
            let bundle = Bundle { index: tile.index, width: tile.width };
            let bytes = fs::read(path.join(bundle.to_string())).unwrap();
            let first = usize::try_from(bundle.first()).unwrap();
            for (place, bytes) in bundle.parse(&bytes).unwrap().enumerate() {
                assert_eq!(bytes, records[first + place]);
            }
            files += 1;
        }
    }
    assert_eq!(count(&path), files);
    let note = fs::read(path.join("checkpoint")).unwrap();
    assert_eq!(Note::parse(&note).unwrap(), checkpoint(&drafts));
}

fn count(path: &Path) -> usize {
    let counted = fs::read_dir(path).unwrap().map(|found| {
        let path = found.unwrap().path();
        if path.is_dir() { count(&path) } else { 1 }
    });
    counted.sum()
}
