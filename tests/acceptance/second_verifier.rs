//! `examples/verify.py`, written from docs/format.md alone, agrees with the program: on bundles that
//! the program wrote, and on what was tampered with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bergulir_chain::frame::FrameHeader;
use bergulir_chain::merkle::{Levels, Prefixes, prove_consistency};
use bergulir_chain::note::Note;
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{Frame, Hash, LogSize, record, segment};

use crate::bundle::{foreign_key, keys};
use crate::support::{last_json, run};

/// Bundles of one ledger under rules version 1, of each kind.
pub(crate) fn golden(kind: &str) -> PathBuf {
    golden_of("rules-1", kind)
}

fn golden_of(rules: &str, kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/audit/tests/golden").join(rules).join(kind)
}

/// Whether Python is here; says so if it is not.
pub(crate) fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        eprintln!("python3 is not here: the second verifier is not tested");
    }
    there
}

/// What the second verifier says of a path: its exit code and what it prints.
pub(crate) fn second(path: &Path, more: &[&str]) -> (Option<i32>, serde_json::Value) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/verify.py");
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.arg(program).arg(path).args(more).arg("--json").output().unwrap();
    let said = serde_json::from_slice(&output.stdout);
    let said = said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

/// What the program says of it.
fn first(path: &Path) -> Option<i32> {
    first_with(path, &[])
}

fn first_with(path: &Path, more: &[&str]) -> Option<i32> {
    let words = ["audit", "verify", path.to_str().unwrap()];
    run(words.into_iter().chain(more.iter().copied())).status.code()
}

/// The exit codes of both.
pub(crate) fn both(path: &Path, more: &[&str]) -> [Option<i32>; 2] {
    [second(path, more).0, first_with(path, more)]
}

/// Every file of a bundle, from its folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for found in fs::read_dir(folder).unwrap() {
        let path = found.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}

#[test]
fn both_find_a_bundle_of_each_kind_valid() {
    if !python() {
        return;
    }
    for kind in ["log", "range", "cooperative"] {
        for rules in ["rules-2", "rules-3"] {
            let newer = golden_of(rules, kind);
            let (code, said) = second(&newer, &[]);
            assert_eq!((code, first(&newer)), (Some(0), Some(0)), "{rules}, {kind}: {said}");
        }
        let (code, said) = second(&golden(kind), &[]);
        assert_eq!((code, first(&golden(kind))), (Some(0), Some(0)), "{kind}: {said}");
        assert_eq!((&said["size"], &said["kind"]), (&66.into(), &kind.into()));
        // An older checkpoint that is the same one, and a key that is another's.
        let checkpoint = golden(kind).join("checkpoint");
        let since = ["--since", checkpoint.to_str().unwrap()];
        assert_eq!(second(&golden(kind), &since).0, Some(0));
        assert_ne!(second(&golden(kind), &["--key", "nobody"]).0, Some(0));
    }
}

#[test]
fn both_find_a_byte_that_was_changed_in_any_file_of_a_bundle() {
    if !python() {
        return;
    }
    for kind in ["log", "range", "cooperative"] {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden(kind), folder.path());
        let files = files(folder.path());
        // Of some twenty files of a view each third is enough for a test.
        for file in files.iter().step_by(files.len().div_ceil(8)) {
            let whole = fs::read(file).unwrap();
            for at in [0, whole.len() / 2, whole.len() - 1] {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                fs::write(file, changed).unwrap();
                let (code, said) = second(folder.path(), &[]);
                let both = [code, first(folder.path())];
                assert!(!both.contains(&Some(0)), "{kind}, {} {at}: {said}", file.display());
            }
            fs::write(file, whole).unwrap();
        }
        assert_eq!(second(folder.path(), &[]).0, Some(0));
    }
}

#[test]
fn both_find_a_file_that_is_missing_or_too_many() {
    if !python() {
        return;
    }
    for (kind, missing) in [
        ("log", "checkpoint"),
        ("range", "state"),
        ("cooperative", "records/00000000000000000000.tlog-proof"),
        ("cooperative", "balances/0001.statement"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden(kind), folder.path());
        fs::remove_file(folder.path().join(missing)).unwrap();
        let both = [second(folder.path(), &[]).0, first(folder.path())];
        assert!(!both.contains(&Some(0)), "{kind} without {missing}: {both:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&golden("log"), folder.path());
    fs::write(folder.path().join("note"), "by the way").unwrap();
    assert_eq!([second(folder.path(), &[]).0, first(folder.path())], [Some(1); 2]);
}

#[test]
fn both_find_a_view_that_leaves_an_account_out_or_shows_more_than_its_own() {
    if !python() {
        return;
    }
    let view = || {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden("cooperative"), folder.path());
        folder
    };
    let both = |folder: &Path| both(folder, &[]);
    let left_out = view();
    for file in ["0001.balance-proof", "0001.statement"] {
        fs::remove_file(left_out.path().join("balances").join(file)).unwrap();
    }
    assert_eq!(both(left_out.path()), [Some(1); 2], "an account left out");
    fs::remove_dir_all(left_out.path().join("balances")).unwrap();
    assert_eq!(both(left_out.path()), [Some(1); 2], "all accounts left out");

    let orphan = view();
    let balances = orphan.path().join("balances");
    fs::copy(balances.join("0001.statement"), balances.join("0002.statement")).unwrap();
    assert_eq!(both(orphan.path()), [Some(1); 2], "a statement without a proof");

    let unregistered = view();
    fs::remove_file(unregistered.path().join("records/00000000000000000008.tlog-proof")).unwrap();
    assert_eq!(both(unregistered.path()), [Some(1); 2], "the registration left out");

    // With every record of its accounts gone, too, nothing says that it had any: both say so.
    let bare = view();
    fs::remove_dir_all(bare.path().join("balances")).unwrap();
    for file in files(&bare.path().join("records")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let position: u64 = name.split('.').next().unwrap().parse().unwrap();
        // Of the later ones, the rotation of the key and the seal stay.
        if position >= 12 && ![41, 64].contains(&position) {
            fs::remove_file(&file).unwrap();
        }
    }
    let (code, said) = second(bare.path(), &[]);
    assert_eq!((code, first(bare.path())), (Some(0), Some(0)), "{said}");
    assert!(said["not_checked"].to_string().contains("shows no account"), "{said}");
    let told = last_json(&run(["audit", "verify", "--json", bare.path().to_str().unwrap()]));
    assert!(told["disbursed"].is_null(), "{told}");
    assert!(told["not_checked"].to_string().contains("shows no account"), "{told}");
}

#[test]
fn both_want_the_key_in_force_and_a_key_given_to_have_signed() {
    if !python() {
        return;
    }
    let [given_up, in_force] = keys();
    let foreign = foreign_key();
    for kind in ["log", "range", "cooperative"] {
        let path = golden(kind);
        assert_eq!(both(&path, &["--key", &in_force]), [Some(0); 2], "{kind}");
        assert_eq!(both(&path, &["--key", &given_up, "--key", &in_force]), [Some(0); 2], "{kind}");
        // It is named at position 0, and another one signs.
        assert_eq!(both(&path, &["--key", &given_up]), [Some(2); 2], "{kind}");
        assert_eq!(both(&path, &["--key", &foreign]), [Some(1); 2], "{kind}");
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy");
        for (log, code) in [(&*in_force, 0), (&*given_up, 2), (&*foreign, 1)] {
            fs::write(&policy, format!("log {log}\nquorum none\n")).unwrap();
            let trust = ["--policy", policy.to_str().unwrap()];
            assert_eq!(both(&path, &trust), [Some(code); 2], "{kind}: {log}");
        }
    }
    // A proof does not know which keys the log names.
    let proof = golden("cooperative").join("balances/0000.balance-proof");
    for (key, code) in [(&*in_force, 0), (&*given_up, 2), (&*foreign, 1)] {
        let file = proof.to_str().unwrap();
        let first = run(["proof", "verify", file, "--key", key]).status.code();
        assert_eq!([second(&proof, &["--key", key]).0, first], [Some(code); 2], "{key}");
    }
}

#[test]
fn both_blame_nobody_for_a_file_that_the_auditor_took_by_mistake() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let own = fs::read_to_string(golden("log").join("checkpoint")).unwrap();
    let other = own.replacen("tangerang", "other", 1);
    let unknown = own.replacen("\u{2014} ledger", "\u{2014} edger", 1);
    let since = [
        file("empty", ""),
        file("garbage", "no checkpoint\n"),
        file("other", &other),
        file("unknown", &unknown),
        folder.path().join("missing").to_str().unwrap().to_owned(),
    ];
    let policy = file("policy", "quorum\n");
    let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    let quorum = file("quorum", &format!("witness w {witness}\nquorum w\n"));
    for kind in ["log", "range", "cooperative"] {
        let path = golden(kind);
        for since in &since {
            assert_eq!(both(&path, &["--since", since]), [Some(2); 2], "{kind}: {since}");
        }
        assert_eq!(both(&path, &["--policy", &policy]), [Some(2); 2], "{kind}");
        assert_eq!(both(&path, &["--policy", &quorum]), [Some(2); 2], "{kind}");
    }
    let [_, key] = keys();
    for name in ["empty.tlog-proof", "garbage.tlog-proof", "empty.balance-proof"] {
        let proof = file(name, if name.starts_with("empty") { "" } else { "no proof\n\n" });
        let first = run(["proof", "verify", &proof, "--key", &key]).status.code();
        assert_eq!([second(Path::new(&proof), &["--key", &key]).0, first], [Some(2); 2], "{name}");
    }
}

#[test]
fn both_check_an_extension_wherever_it_is() {
    if !python() {
        return;
    }
    let mut levels = Levels::new(Prefixes::RFC_6962);
    let segment = fs::read(golden("log").join("log/00000000000000000000.seg")).unwrap();
    let mut offset = segment::HEADER_BYTES;
    while offset < segment.len() {
        let frame = Frame::parse(&segment[offset..], offset as u64).unwrap();
        frame.records().for_each(|bytes| levels.push_hash(record::hash(bytes)));
        offset += FrameHeader::parse(&segment[offset..]).unwrap().frame_length();
    }
    let checkpoint = Note::parse(&fs::read(golden("log").join("checkpoint")).unwrap()).unwrap();
    for kind in ["log", "range", "cooperative"] {
        for old in [7, 16, 19, 43, 66] {
            let proof = prove_consistency(Prefixes::RFC_6962, old, 66, &mut levels).unwrap();
            let old = LogSize::new(old);
            let extension = AddCheckpoint { old, proof, checkpoint: checkpoint.clone() };
            let folder = tempfile::tempdir().unwrap();
            copy(&golden(kind), folder.path());
            let file = folder.path().join("extension");
            fs::write(&file, extension.to_string()).unwrap();
            assert_eq!(both(folder.path(), &[]), [Some(0); 2], "{kind} from {old}");
            let mut forged = vec![AddCheckpoint { old: LogSize::new(67), ..extension.clone() }];
            if let [first, ..] = &extension.proof[..] {
                let mut bytes = *first.as_bytes();
                bytes[31] ^= 1;
                let mut touched = extension.clone();
                touched.proof[0] = Hash::from_bytes(bytes);
                // Before the records that are there, and with nothing in it of the older root.
                let is_unknown = old.get().is_power_of_two() && kind != "log";
                forged.extend(Some(touched).filter(|_| !is_unknown));
                let mut longer = extension.clone();
                longer.proof.push(*first);
                forged.push(longer);
            }
            for forged in forged {
                fs::write(&file, forged.to_string()).unwrap();
                assert_eq!(both(folder.path(), &[]), [Some(1); 2], "{kind} from {old}");
            }
        }
    }
}

#[test]
fn single_proofs_are_checked_with_a_key_and_nothing_else() {
    if !python() {
        return;
    }
    let view = golden("cooperative");
    let key = second(&view, &[]).1["key"].as_str().unwrap().to_owned();
    for proof in ["records/00000000000000000008.tlog-proof", "balances/0000.balance-proof"] {
        let proof = view.join(proof);
        assert_eq!(second(&proof, &["--key", &key]).0, Some(0));
        assert_eq!(second(&proof, &[]).0, Some(2), "without a key nothing can be told");
    }
}
