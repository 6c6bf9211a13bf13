//! The second verifier, `examples/verify.py`, asked about what these tests make. It shares no code
//! with the first: what only one of them lets pass is a hole in one of them.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bergulir_audit::{Depth, Options, Trust, Verdict, verify};

use crate::scene::two_of_three_text;

/// How often it is asked in one test: those that try every byte would take long.
const TIMES: u32 = 8;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(TIMES) };
}

/// Asserts that both find the same of a bundle, or of a ledger's folder that is made one.
#[track_caller]
pub(crate) fn assert_agrees(path: &Path, trust: &Trust) {
    let scratch = tempfile::tempdir().unwrap();
    let Some(bundle) = bundle(path, scratch.path()).filter(|_| LEFT.get() > 0) else { return };
    LEFT.set(LEFT.get() - 1);
    let Some((second, said)) = second(&bundle, trust, scratch.path()) else { return };
    // It does not know the rules of the trade, and some of what it checks follows from them.
    let first = [Depth::Rules, Depth::ChainOnly].map(|depth| first(&bundle, depth, trust));
    assert!(first.contains(&second), "the first finds {first:?}, the second {second:?}: {said}");
}

/// Asserts what the second finds of a bundle, where the first is of two minds.
#[track_caller]
pub(crate) fn assert_second_finds(bundle: &Path, expected: Verdict) {
    let scratch = tempfile::tempdir().unwrap();
    if let Some((found, said)) = second(bundle, &Trust::default(), scratch.path()) {
        assert_eq!(found, expected, "{said}");
    }
}

/// The bundle at a path, or one of the log and the checkpoint there.
fn bundle(path: &Path, scratch: &Path) -> Option<PathBuf> {
    if path.join("bundle").exists() {
        return Some(path.to_owned());
    }
    let note = fs::read_to_string(path.join("checkpoint")).ok()?;
    let mut lines = note.lines();
    let (origin, size) = (lines.next()?, lines.next()?);
    let bundle = scratch.join("bundle");
    fs::create_dir_all(bundle.join("log")).unwrap();
    for file in fs::read_dir(path.join("log")).ok()? {
        let file = file.unwrap();
        fs::copy(file.path(), bundle.join("log").join(file.file_name())).unwrap();
    }
    let text = format!("bergulir-bundle 1\nkind log\norigin {origin}\nsize {size}\n");
    fs::write(bundle.join("bundle"), text).unwrap();
    fs::write(bundle.join("checkpoint"), note).unwrap();
    Some(bundle)
}

fn first(bundle: &Path, depth: Depth, trust: &Trust) -> Verdict {
    let trust = trust.clone();
    let options = Options { patience: Duration::ZERO, depth, trust, ..Options::default() };
    verify(bundle, &options, &mut |_| {}).unwrap().ledgers[0].finding.verdict()
}

/// What it says; `None` if Python is not here.
fn second(bundle: &Path, trust: &Trust, scratch: &Path) -> Option<(Verdict, String)> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/verify.py");
    let mut command = Command::new("python3");
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(program).arg(bundle);
    for key in &trust.keys {
        command.arg("--key").arg(key.to_string());
    }
    if let Some(policy) = &trust.policy {
        // A policy is read and never written: these tests have one with witnesses.
        let mut text = "quorum none\n".to_owned();
        if !policy.witnesses().is_empty() {
            text = two_of_three_text();
        }
        for log in policy.logs() {
            writeln!(text, "log {}", log.key).unwrap();
        }
        let file = scratch.join("policy");
        fs::write(&file, text).unwrap();
        command.arg("--policy").arg(file);
    }
    if let Some(since) = &trust.since {
        let file = scratch.join("since");
        fs::write(&file, since.to_string()).unwrap();
        command.arg("--since").arg(file);
    }
    let output = command.output().ok()?;
    let verdict = match output.status.code() {
        Some(0) => Verdict::Valid,
        Some(1) => Verdict::Invalid,
        _ => Verdict::CannotTell,
    };
    Some((verdict, String::from_utf8_lossy(&output.stdout).into_owned()))
}
