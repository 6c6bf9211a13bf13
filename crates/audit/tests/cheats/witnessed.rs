//! Bundles with a newer checkpoint than the one that witnesses stand for: right, and made to lie.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use bergulir_audit::{Checked, ExportError, Finding, Kind, NotChecked, Part, Trust};
use bergulir_chain::LogSize;
use bergulir_chain::note::Note;
use bergulir_chain::witness::AddCheckpoint;

use crate::commands::id;
use crate::ledger::Draft;
use crate::programme::small;
use crate::scene::{
    Scene, chain_report, checkpoint, cosigned, export, found, other_key, report, statement,
    two_of_three,
};

const PARTS: [fn() -> Part; 3] = [
    || Part::Log,
    || Part::Range { through: None },
    || Part::Cooperative { cooperative: id("c2") },
];

/// Of the first so many records, with two of three cosignatures.
fn witnessed(drafts: &[Draft], size: usize) -> Note {
    cosigned(cosigned(checkpoint(&drafts[..size]), 1), 3)
}

fn put(scene: &Scene, note: &Note) {
    fs::write(scene.within("checkpoint.witnessed"), note.to_string()).unwrap();
}

/// Sizes before what a range begins with, at it, and after it; the last record is not witnessed.
fn sizes(scene: &Scene) -> [usize; 4] {
    let path = scene.beside("range");
    let range = export(scene.path(), Part::Range { through: None }, None, &path).unwrap();
    fs::remove_dir_all(&path).unwrap();
    let Some(Kind::Range { from }) = range.kind else { panic!("{range:?}") };
    let from = usize::try_from(from.get()).unwrap();
    [5, from, from + 1, usize::try_from(range.size.get()).unwrap() - 1]
}

/// Both verifiers find the bundle valid, as far as witnesses stand for it.
#[track_caller]
fn assert_witnessed(path: &Path, size: usize) {
    let found = report(path, two_of_three());
    assert_eq!(found.finding, Finding::Valid);
    let size = LogSize::new(size as u64);
    let witnesses = ["w1", "w3"].map(str::to_owned).to_vec();
    assert!(found.checked.contains(&Checked::Witnesses { size, witnesses }), "{:?}", found.checked);
    let from = size.next_position();
    let unwitnessed = NotChecked::Unwitnessed { from };
    assert!(found.not_checked.contains(&unwitnessed), "{:?}", found.not_checked);
    assert!(unwitnessed.to_string().contains("only the log's own key"));
}

#[test]
fn witnesses_stand_for_an_older_checkpoint_and_it_is_said_up_to_where() {
    let drafts = small().drafts;
    for part in PARTS {
        let scene = Scene::signed(&drafts);
        for size in sizes(&scene) {
            put(&scene, &witnessed(&drafts, size));
            let path = scene.beside("out");
            let exported = export(scene.path(), part(), None, &path).unwrap();
            assert_eq!(exported.size, LogSize::new(drafts.len() as u64));
            // In a thread of its own: the second verifier is asked a few times in each only.
            thread::scope(|scope| {
                let asked = scope.spawn(|| {
                    assert_witnessed(&path, size);
                    assert_eq!(report(&path, Trust::default()).finding, Finding::Valid);
                });
                asked.join().unwrap();
            });
            assert_eq!(chain_report(&path, two_of_three()).finding, Finding::Valid);
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn it_is_still_there_in_a_bundle_made_from_a_bundle_and_beside_an_older_one_that_was_kept() {
    let drafts = small().drafts;
    let scene = Scene::signed(&drafts);
    put(&scene, &witnessed(&drafts, 9));
    let whole = scene.beside("whole");
    export(scene.path(), Part::Log, None, &whole).unwrap();
    for part in PARTS {
        let path = scene.beside("out");
        let since = checkpoint(&drafts[..7]);
        export(&whole, part(), Some(&since), &path).unwrap();
        assert_witnessed(&path, 9);
        let found = report(&path, Trust { since: Some(since), ..two_of_three() });
        assert_eq!(found.finding, Finding::Valid);
        assert!(found.checked.contains(&Checked::Extension { from: LogSize::new(7) }));
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn one_checkpoint_is_enough_where_witnesses_stand_for_all_records() {
    let drafts = small().drafts;
    let all = drafts.len();
    // The one of the server that has just signed; and one that was read before the other.
    for newest in [all, all - 1] {
        let scene = Scene::of(&drafts);
        scene.sign(&checkpoint(&drafts[..newest]));
        put(&scene, &witnessed(&drafts, all));
        for part in PARTS {
            let path = scene.beside("out");
            export(scene.path(), part(), None, &path).unwrap();
            let text = fs::read_to_string(path.join("bundle")).unwrap();
            assert!(text.starts_with("bergulir-bundle 1\n"), "{text}");
            assert!(!path.join("checkpoint.witnessed").exists());
            let found = report(&path, two_of_three());
            assert_eq!((found.finding, found.tree_size.get()), (Finding::Valid, all as u64));
            assert_eq!(found.witnesses, ["w1", "w3"]);
            let unwitnessed = |not: &NotChecked| matches!(not, NotChecked::Unwitnessed { .. });
            assert!(!found.not_checked.iter().any(unwitnessed));
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn one_that_is_not_of_this_log_is_not_taken_along() {
    let drafts = small().drafts;
    let mut other = drafts.clone();
    other[4].request_id = [0xee; 16];
    let scene = Scene::signed(&drafts);
    let unsigned = statement(&drafts[..9]).sign(&other_key()).unwrap();
    for note in [witnessed(&other, 9), witnessed(&other, drafts.len()), unsigned] {
        put(&scene, &note);
        for part in PARTS {
            let refused = export(scene.path(), part(), None, &scene.beside("out"));
            assert!(matches!(refused, Err(ExportError::Witnessed(_))), "{refused:?}");
            assert_eq!(scene.count_beside(), 0, "nothing is left over");
        }
    }
}

/// What is done to a bundle.
type Lie<'a> = &'a dyn Fn(&Path);

/// A bundle that is right, of a log of which witnesses stand for so many records.
fn right(scene: &Scene, part: Part, drafts: &[Draft], size: usize) -> PathBuf {
    put(scene, &witnessed(drafts, size));
    let path = scene.beside("lies");
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    export(scene.path(), part, None, &path).unwrap();
    path
}

fn lies(part: fn() -> Part) {
    const NOTE: &str = "checkpoint.witnessed";
    const PROOF: &str = "extension.witnessed";
    let drafts = small().drafts;
    let mut other = drafts.clone();
    other[4].request_id = [0xee; 16];
    let scene = Scene::signed(&drafts);
    let size = 9;
    let edit = |path: &Path, file: &str, change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(path.join(file)).unwrap();
        fs::write(path.join(file), change(text)).unwrap();
    };
    let unsigned = statement(&drafts[..size]).sign(&other_key()).unwrap();
    let mut forged = checkpoint(&drafts[..size]);
    let reused = cosigned(checkpoint(&drafts[..size - 1]), 1).to_string();
    let reused = reused.lines().find(|line| line.contains("witness-1")).unwrap().to_owned();
    forged = Note::parse(format!("{forged}{reused}\n").as_bytes()).unwrap();
    let longer = |text: String| {
        let mut request = AddCheckpoint::parse(text.as_bytes()).unwrap();
        request.proof.push(request.proof[0]);
        request.to_string()
    };
    let replaced = |text: String| {
        let mut request = AddCheckpoint::parse(text.as_bytes()).unwrap();
        request.proof[0] = bergulir_chain::Hash::ZERO;
        request.to_string()
    };
    let other_old = |text: String| text.replace("old 9\n", "old 8\n");
    let to_older = |text: String| {
        let mut request = AddCheckpoint::parse(text.as_bytes()).unwrap();
        request.checkpoint = checkpoint(&drafts[..drafts.len() - 1]);
        request.to_string()
    };
    let stated = |text: String| text.replace("witnessed 9\n", "witnessed 8\n");
    let first_version =
        |text: String| text.replace("bundle 2\n", "bundle 1\n").replace("witnessed 9\n", "");
    let lies: [(&str, Lie<'_>); 12] = [
        ("BUNDLE_DAMAGED", &|path| fs::remove_file(path.join(NOTE)).unwrap()),
        ("BUNDLE_DAMAGED", &|path| fs::remove_file(path.join(PROOF)).unwrap()),
        // Another history that the log signed, and the same witnesses.
        ("BUNDLE_DAMAGED", &|path| {
            fs::write(path.join(NOTE), witnessed(&other, size).to_string()).unwrap();
        }),
        ("BUNDLE_DAMAGED", &|path| {
            fs::write(path.join(NOTE), witnessed(&drafts, size - 1).to_string()).unwrap();
        }),
        ("CHECKPOINT_NOT_SIGNED", &|path| {
            fs::write(path.join(NOTE), unsigned.to_string()).unwrap();
        }),
        ("COSIGNATURE_FORGED", &|path| fs::write(path.join(NOTE), forged.to_string()).unwrap()),
        ("BUNDLE_DAMAGED", &|path| edit(path, PROOF, &longer)),
        ("BUNDLE_DAMAGED", &|path| edit(path, PROOF, &replaced)),
        ("BUNDLE_DAMAGED", &|path| edit(path, PROOF, &other_old)),
        ("BUNDLE_DAMAGED", &|path| edit(path, PROOF, &to_older)),
        ("BUNDLE_DAMAGED", &|path| edit(path, "bundle", &stated)),
        ("BUNDLE_DAMAGED", &|path| edit(path, "bundle", &first_version)),
    ];
    for (number, (code, lie)) in lies.iter().enumerate() {
        // In a thread of its own: the second verifier is asked a few times in each only.
        let path = right(&scene, part(), &drafts, size);
        lie(&path);
        let asked = thread::scope(|scope| {
            scope.spawn(|| found(&report(&path, two_of_three()))).join().unwrap()
        });
        assert_eq!(asked.1, *code, "lie {number}: {asked:?}");
    }
    // With too few witnesses it cannot be told.
    let few = cosigned(checkpoint(&drafts[..size]), 2);
    let path = right(&scene, part(), &drafts, size);
    fs::write(path.join(NOTE), few.to_string()).unwrap();
    let finding = report(&path, two_of_three()).finding;
    assert!(matches!(finding, Finding::Unproven(_)), "{finding:?}");
}

#[test]
fn a_bundle_of_all_records_that_lies_about_witnesses() {
    lies(PARTS[0]);
}

#[test]
fn a_bundle_of_a_range_that_lies_about_witnesses() {
    lies(PARTS[1]);
}

#[test]
fn a_view_of_a_cooperative_that_lies_about_witnesses() {
    lies(PARTS[2]);
}
