//! Bundles: right ones, and ones that lie.

mod extensions;
mod ranges;
mod tiles;

use std::fs;
use std::path::{Path, PathBuf};

use bergulir_audit::{
    Checked, ExportError, Finding, Kind, LedgerReport, NotChecked, Part, Place, Reason, Trust,
};
use bergulir_chain::note::Note;
use bergulir_chain::{LogSize, Position};

use crate::commands::key;
use crate::files::{Log, SMALL};
use crate::programme::{cooperative, programme, small};
use crate::scene::{Scene, chain_report, checkpoint, export, found, report};

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
