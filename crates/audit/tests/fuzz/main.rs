//! Bundles and ledgers in which a file is nearly right, verified and exported: see docs/adr/0036-fuzzing.md.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bergulir_audit::{Finding, Options, Part, export, verify};
use bergulir_fuzz::{Target, fuzz, outcome, repair_frames};

/// Of each version of the rules there are golden bundles.
const VERSIONS: [&str; 3] = ["rules-1", "rules-2", "rules-3"];

/// Whoever writes a file of a bundle anew can make the sums of its frames right again.
fn repair(bytes: &mut [u8]) {
    if let Some(start) = bytes.iter().position(|byte| *byte == b'\n') {
        repair_frames(&mut bytes[start + 1..]);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    // Of many files of a kind a few.
    for entry in entries.into_iter().take(6) {
        if entry.is_dir() {
            files(&entry, found);
        } else {
            found.push(entry);
        }
    }
}

/// An input is the path of a file in `root`, a newline, and what the file holds.
fn split(input: &[u8]) -> Option<(&str, &[u8])> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((str::from_utf8(&input[..end]).ok()?, &input[end + 1..]))
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
}

#[test]
fn a_file_that_is_not_as_it_was_is_found_and_nothing_breaks() {
    let scene = tempfile::tempdir().unwrap();
    let root = scene.path().join("golden");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for version in VERSIONS {
        for kind in ["log", "range", "cooperative"] {
            copy(&golden.join(version).join(kind), &root.join(version).join(kind));
        }
        // Without its manifest a bundle of everything is the folder of a ledger.
        copy(&golden.join(version).join("log"), &root.join(version).join("ledger"));
        fs::remove_file(root.join(version).join("ledger/bundle")).unwrap();
    }
    let mut paths = Vec::new();
    for version in VERSIONS {
        for kind in ["log", "range", "cooperative", "ledger"] {
            files(&root.join(version).join(kind), &mut paths);
        }
    }
    let samples = paths.iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        [name.as_bytes(), b"\n", &fs::read(path).unwrap()].concat()
    });
    let target = Target::new("bundle", env!("CARGO_MANIFEST_DIR"))
        .samples(samples.collect::<Vec<_>>())
        .repair(|bytes| repair(bytes))
        .memory(16 << 20, 2_000)
        .time(Duration::from_secs(1));
    let options = Options { patience: Duration::ZERO, ..Options::default() };
    fuzz!(target, |input| {
        let Some((name, content)) = split(input) else { return "no file".to_owned() };
        let path = root.join(name);
        if !paths.contains(&path) {
            return "another file".to_owned();
        }
        let original = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let folder: PathBuf = path.strip_prefix(&root).unwrap().iter().take(2).collect();
        let folder = root.join(folder);
        let verified = verify(&folder, &options, &mut |_| ());
        let exported = folder.ends_with("ledger").then(|| {
            let out = scene.path().join("out");
            let stop = AtomicBool::new(false);
            let cooperative = "coop-1".parse().unwrap();
            let parts = [
                Part::Log,
                Part::Range { through: None },
                Part::Cooperative { cooperative },
                Part::Tiles,
            ];
            let part = parts[content.len() % parts.len()];
            let exported = export(&folder, None, part, None, &out, &mut |_| (), &stop);
            let is_there = out.exists();
            let _ = fs::remove_dir_all(&out);
            assert_eq!(exported.is_ok(), is_there, "an export is there whole or not at all");
            exported.is_ok()
        });
        fs::write(&path, &original).unwrap();
        let finding = match verified {
            Ok(verified) => {
                verified.ledgers.into_iter().map(|ledger| ledger.finding).next().unwrap()
            }
            Err(error) => return outcome(&error),
        };
        // A checkpoint is text that more can be signed under; what it says of the log is checked.
        let is_of_the_log = !name.ends_with("checkpoint")
            && !name.ends_with(".tlog-proof")
            && !name.ends_with(".balance-proof");
        if finding == Finding::Valid && is_of_the_log && !folder.ends_with("ledger") {
            assert!(
                without_zeros(content) == without_zeros(&original),
                "{name} was changed and is valid"
            );
        }
        let kind = folder.file_name().unwrap().to_str().unwrap().to_owned();
        format!("{kind} {} {exported:?}", outcome(&finding))
    });
}
