//! Bundles that an auditor takes along: exported and verified by the program, and what it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bergulir_chain::note::{KeyName, SignerKey};
use rustix::process::Signal;

use crate::second_verifier::copy;
use crate::support::{Server, bergulir, last_json, run};

/// A ledger of 66 records, kept as a bundle with every one of them.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/audit/tests/golden/rules-1/log")
}

/// Runs `audit` with these words and gives its exit code and what it says.
fn audit(words: &[&str]) -> (Option<i32>, serde_json::Value) {
    let output = run(["--json", "audit"].into_iter().chain(words.iter().copied()));
    (output.status.code(), last_json(&output))
}

/// The key that position 0 of the golden ledger names, and the one that it took later.
pub(crate) fn keys() -> [String; 2] {
    let segment = fs::read(golden().join("log/00000000000000000000.seg")).unwrap();
    let text = String::from_utf8_lossy(&segment);
    let name = "ledger.example.go.id/tangerang+";
    // Name and id, then 33 bytes in Base64.
    let length = name.len() + "00000000+".len() + 44;
    [text.find(name), text.rfind(name)].map(|start| {
        let start = start.unwrap();
        text[start..start + length].to_owned()
    })
}

/// The key of another log.
pub(crate) fn foreign_key() -> String {
    let name = KeyName::new("example.com/foo").unwrap();
    SignerKey::from_seed(name, &[5; 32]).unwrap().verifier().to_string()
}

/// The key that signs for the golden ledger.
fn key() -> String {
    let [_, key] = keys();
    key
}

#[test]
fn each_part_of_a_ledger_is_exported_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let data = golden();
    let data = data.to_str().unwrap();
    let key = key();
    for (part, kind, records) in [
        (&[][..], "log", 66),
        (&["--from-seal"][..], "range", 66),
        (&["--from-seal", "18"][..], "range", 66),
        (&["--cooperative", "c2"][..], "cooperative", 31),
    ] {
        let out = folder.path().join(part.join(""));
        let out = out.join("bundle");
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        let out = out.to_str().unwrap();
        let words = [&["export", "--data", data, "--out", out][..], part].concat();
        let (code, exported) = audit(&words);
        assert_eq!((code, exported["kind"].as_str()), (Some(0), Some(kind)), "{exported}");
        let (code, report) = audit(&["verify", out, "--key", &key]);
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(report["valid"], true);
        assert_eq!(report["kind"], kind);
        assert_eq!(report["records"], records);
        assert_eq!(report["tree_size"], 66);
        assert_eq!(report["checkpoint"], 66);
        assert_eq!(report["root_hash"].as_str().map(str::len), Some(64));
        assert!(!report["checked"].as_array().unwrap().is_empty());
        assert!(!report["not_checked"].as_array().unwrap().is_empty());
        let (code, report) = audit(&["verify", out, "--key", &key, "--chain-only"]);
        assert_eq!((code, report["records"].as_u64()), (Some(0), Some(records)), "{report}");
        // A cooperative's view is none of a chain.
        let is_chain = kind != "cooperative";
        let left_out = report["not_checked"].as_array().unwrap();
        let says = left_out.iter().any(|what| what.as_str().unwrap().contains("no decision"));
        assert_eq!((says, report["disbursed"].is_null()), (is_chain, is_chain), "{report}");
        // Nothing is overwritten.
        assert_eq!(run(["audit", "export", "--data", data, "--out", out]).status.code(), Some(1));
    }
    let out = folder.path().join("tiles");
    let out = out.to_str().unwrap();
    let (code, exported) = audit(&["export", "--data", data, "--out", out, "--tiles"]);
    assert_eq!((code, exported["size"].as_u64()), (Some(0), Some(66)));
    assert!(Path::new(out).join("tile/entries/000.p/66").is_file());
}

#[test]
fn a_server_gives_what_its_directory_gives() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    assert!(run(["demo", "--data", data.to_str().unwrap()]).status.success());
    let server = Server::start(&data);
    let from_disk = ["--data", data.to_str().unwrap()];
    let from_server = ["--address", &server.address, "--ledger", "demo"];
    for part in [&[][..], &["--from-seal"], &["--cooperative", "kop-99.01.01.1001"], &["--tiles"]] {
        let mut made = Vec::new();
        for (source, name) in [(&from_disk[..], "disk"), (&from_server[..], "server")] {
            let out = folder.path().join(format!("{name}{}", part.join("")));
            let words = [&["export", "--out", out.to_str().unwrap()][..], source, part].concat();
            let (code, exported) = audit(&words);
            assert_eq!(code, Some(0), "{exported}");
            if part != ["--tiles"] {
                let (code, report) = audit(&["verify", out.to_str().unwrap()]);
                assert_eq!((code, &report["valid"]), (Some(0), &true.into()), "{report}");
            }
            made.push(files(&out));
        }
        assert!(made[0] == made[1], "{part:?}");
    }
}

#[test]
fn an_export_that_is_stopped_says_so_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // A server that never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for signal in [Signal::INT, Signal::TERM] {
        let out = folder.path().join("out");
        let words = ["audit", "export", "--out", out.to_str().unwrap(), "--address", &address];
        let mut command = bergulir(words.into_iter().chain(["--ledger", "pilot"]));
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        // It has taken the signals over by the time it has called.
        let _called = silent.accept().unwrap();
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, signal).unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains("stopped"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// The files of a folder and their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for found in fs::read_dir(folder).unwrap() {
        let path = found.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(inner, bytes)| (name.join(inner), bytes)));
        } else {
            all.insert(name, fs::read(&path).unwrap());
        }
    }
    all
}

#[test]
fn what_is_asked_of_a_verification_decides_how_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let data = golden();
    let data = data.to_str().unwrap();
    let ends = |more: &[&str]| {
        let words = [&["verify", data][..], more].concat();
        let (code, report) = audit(&words);
        (code, report["verdict"].as_str().unwrap().to_owned())
    };
    assert_eq!(ends(&[]), (Some(0), "valid".to_owned()));
    // The log's own checkpoint, kept from last time.
    let checkpoint = golden().join("checkpoint");
    let checkpoint = checkpoint.to_str().unwrap();
    assert_eq!(ends(&["--since", checkpoint]), (Some(0), "valid".to_owned()));
    // A witness that never cosigned.
    let policy = folder.path().join("policy");
    let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    fs::write(&policy, format!("witness w {witness}\nquorum w\n")).unwrap();
    let policy = policy.to_str().unwrap();
    assert_eq!(ends(&["--policy", policy]), (Some(2), "cannot_tell".to_owned()));
    // A file that is not there, one that is no checkpoint, and a key that is none.
    let code = |more: &[&str]| {
        run(["audit", "verify", data].into_iter().chain(more.iter().copied())).status.code()
    };
    assert_eq!(code(&["--since", "nowhere"]), Some(2));
    assert_eq!(code(&["--since", policy]), Some(2));
    assert_eq!(code(&["--policy", checkpoint]), Some(2));
    // A key that the log gave up did not sign: whether it was handed over, the log does not prove.
    let [given_up, _] = keys();
    assert_eq!(ends(&["--key", &given_up]), (Some(2), "cannot_tell".to_owned()));
    assert_eq!(ends(&["--key", &foreign_key()]), (Some(1), "invalid".to_owned()));
    assert_eq!(ends(&["--key", &given_up, "--key", &key()]), (Some(0), "valid".to_owned()));
    assert_eq!(code(&["--key", "nobody"]), Some(2));
    assert_eq!(code(&["--key", witness]), Some(2), "it is no log's");
    // Another key of that name is not the log's.
    let other = key().replace("+A", "+B");
    assert_eq!(code(&["--key", &other]), Some(2), "the id does not fit");
}

#[test]
fn the_worst_of_several_ledgers_decides_and_what_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let ledgers = folder.path().join("ledgers");
    // The first is a copy under a name that is not its own.
    for name in ["copy", "tangerang"] {
        copy(&golden().join("log"), &ledgers.join(name).join("log"));
    }
    fs::write(ledgers.join("letter"), "by the way").unwrap();
    let output = run(["audit", "verify", data, "--json"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let found: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> = found.iter().map(|found| found["verdict"].as_str().unwrap()).collect();
    assert_eq!((verdicts, output.status.code()), (vec!["invalid", "valid"], Some(1)));
    let beside = String::from_utf8(output.stderr).unwrap();
    assert!(beside.contains("passed_over") && beside.contains("letter"), "{beside}");
    let one = run(["audit", "verify", data, "--ledger", "tangerang"]);
    assert_eq!(one.status.code(), Some(0));
}
