//! The same for files outside of a data directory: what commands read of them is what it was, or is
//! refused by name.

use super::damage::{self, Damage, Struck};
use super::kinds::has_extension;
use super::site::{Copy, LEDGERS, Site};
use crate::disk::dice::Dice;
use crate::second_verifier::copy;
use crate::support::{Server, bergulir, ended, files_below, http, last_json, number, run};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DEFAULT_ROUNDS: u64 = 1;

/// A kind of file.
struct Kind {
    name: &'static str,
    is: fn(&str) -> bool,
    /// Who reads it.
    by: &'static [Reader],
    holds: Holds,
    /// What else than its name says that it is meant.
    called: &'static [&'static str],
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// What can be checked: a change is found.
    Checked,
    /// The same; but an older one is as good, as long as nobody says what is newer.
    CheckedOrOlder,
    /// What somebody wrote: another text may be a right one, too.
    Text,
    /// Nothing that is read.
    Nothing,
}

/// A command, in a folder with these files; what it found, or how it ended and what it said.
type Reader = fn(&Path) -> Result<String, (Option<i32>, String)>;

const KINDS: [Kind; 18] = [
    Kind {
        name: "mark of a backup",
        is: |path| path == "/backup/bergulir-backup",
        by: &[verify_backup, restore],
        holds: Holds::Nothing,
        called: &["no backup"],
    },
    Kind {
        name: "lock of a backup",
        is: |path| path == "/backup/LOCK",
        by: &[verify_backup, restore],
        holds: Holds::Nothing,
        called: &[],
    },
    Kind {
        name: "manifest of a backup",
        is: |path| path.starts_with("/backup/ledgers/") && path.ends_with("/backup"),
        by: &[verify_backup, restore],
        holds: Holds::CheckedOrOlder,
        called: &["without a manifest", "unfinished"],
    },
    Kind {
        name: "segment of a backup",
        is: |path| path.starts_with("/backup/") && has_extension(path, "seg"),
        by: &[verify_backup, restore],
        holds: Holds::Checked,
        called: &[],
    },
    Kind {
        name: "small file of a backup",
        is: |path| {
            let ends = ["/checkpoint", "/checkpoint.witnessed", "/continued"];
            path.starts_with("/backup/ledgers/") && ends.iter().any(|end| path.ends_with(end))
        },
        by: &[verify_backup, restore],
        holds: Holds::Checked,
        called: &[],
    },
    Kind {
        name: "bundle",
        is: |path| path.starts_with("/bundle/"),
        by: &[verify_bundle],
        holds: Holds::Checked,
        called: &["position", "the bundle"],
    },
    Kind {
        name: "bundle of a range",
        is: |path| path.starts_with("/range/"),
        by: &[verify_range],
        holds: Holds::Checked,
        called: &["position", "the bundle"],
    },
    Kind {
        name: "checkpoint that somebody kept",
        is: |path| {
            let of_others = path.starts_with("/seen/") || path.starts_with("/anchor/");
            has_extension(path, "checkpoint") && !of_others
        },
        by: &[verify_since],
        holds: Holds::CheckedOrOlder,
        called: &["checkpoint"],
    },
    Kind {
        name: "policy",
        is: |path| has_extension(path, "policy"),
        by: &[verify_policy],
        holds: Holds::Text,
        called: &["witness"],
    },
    Kind {
        name: "proof of a record",
        is: |path| has_extension(path, "tlog-proof"),
        by: &[verify_record],
        holds: Holds::CheckedOrOlder,
        called: &[],
    },
    Kind {
        name: "proof of a balance",
        is: |path| has_extension(path, "balance-proof"),
        by: &[verify_balance],
        holds: Holds::CheckedOrOlder,
        called: &[],
    },
    Kind {
        name: "private key",
        is: |path| path.ends_with("pilot.key") || path.ends_with("other.key"),
        by: &[show_key],
        holds: Holds::Text,
        called: &[],
    },
    Kind {
        name: "key of a witness",
        is: |path| path == "/w.key",
        by: &[witness],
        holds: Holds::Text,
        called: &[],
    },
    Kind {
        name: "memory of a witness",
        is: |path| path.starts_with("/seen/") && !path.ends_with("LOCK"),
        by: &[witness],
        holds: Holds::CheckedOrOlder,
        called: &[],
    },
    Kind {
        name: "lock of a witness",
        is: |path| path == "/seen/LOCK",
        by: &[witness],
        holds: Holds::Nothing,
        called: &[],
    },
    Kind {
        name: "commands",
        is: |path| has_extension(path, "jsonl"),
        by: &[batch],
        holds: Holds::Text,
        called: &[],
    },
    Kind {
        name: "villages",
        is: |path| has_extension(path, "csv"),
        by: &[demo],
        holds: Holds::Text,
        called: &[],
    },
    Kind {
        name: "anchor",
        is: |path| path.starts_with("/anchor/"),
        by: &[restore],
        holds: Holds::CheckedOrOlder,
        called: &["another history than anchor anchor knows"],
    },
];

/// Runs a command in a folder.
fn in_folder(folder: &Path, words: &[&str]) -> Result<String, (Option<i32>, String)> {
    let mut command = bergulir(words.iter().copied());
    command.current_dir(folder);
    let output = ended(command, Duration::from_secs(120));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (found, said) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() && !said.contains("panicked") {
        Ok(found)
    } else {
        Err((output.status.code(), found + &said))
    }
}

/// What does not depend on the time and the place, of lines of JSON.
fn lasting(found: &str) -> String {
    let passes =
        |name: &str| ["age", "second", "elapsed", "path"].iter().any(|it| name.contains(it));
    let lines = found.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(facts) = line.as_object_mut() {
            facts.retain(|name, _| !passes(name));
        }
        line.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn verify_backup(folder: &Path) -> Result<String, (Option<i32>, String)> {
    Ok(lasting(&in_folder(folder, &["--json", "backup", "backup", "--verify"])?))
}

/// Restores, holding against the newest checkpoints, and verifies what is there.
fn restore(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let data = tempfile::tempdir().unwrap();
    let restored = data.path().join("data");
    let to = restored.to_str().unwrap();
    let done = in_folder(folder, &["restore", "backup", "--data", to, "--anchor", "anchor"]);
    let ledgers = fs::read_dir(restored.join("ledgers")).map_or(0, Iterator::count);
    if let Err(refused) = done {
        assert_eq!(ledgers, 0, "nothing is there if it is refused: {refused:?}");
        return Err(refused);
    }
    Ok(lasting(&in_folder(folder, &["--json", "audit", "verify", to])?))
}

fn key(folder: &Path) -> String {
    fs::read_to_string(folder.join("pilot.vkey")).unwrap()
}

fn verify_bundle(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let words = ["--json", "audit", "verify", "bundle/pilot", "--key", &key(folder)];
    Ok(lasting(&in_folder(folder, &words)?))
}

fn verify_range(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let words = ["--json", "audit", "verify", "range/pilot", "--key", &key(folder)];
    Ok(lasting(&in_folder(folder, &words)?))
}

fn verify_since(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let words = ["--json", "audit", "verify", "bundle/pilot", "--since", "pilot.checkpoint"];
    Ok(lasting(&in_folder(folder, &words)?))
}

fn verify_policy(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let words = ["--json", "audit", "verify", "bundle/pilot", "--policy", "pilot.policy"];
    Ok(lasting(&in_folder(folder, &words)?))
}

fn verify_record(folder: &Path) -> Result<String, (Option<i32>, String)> {
    in_folder(folder, &["--json", "proof", "verify", "pilot.tlog-proof", "--key", &key(folder)])
}

fn verify_balance(folder: &Path) -> Result<String, (Option<i32>, String)> {
    in_folder(folder, &["--json", "proof", "verify", "pilot.balance-proof", "--key", &key(folder)])
}

fn show_key(folder: &Path) -> Result<String, (Option<i32>, String)> {
    in_folder(folder, &["--json", "key", "show", "pilot.key"])
}

/// What it says that it saw.
fn witness(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let log = key(folder);
    let told = tempfile::NamedTempFile::new().unwrap();
    let words = ["audit", "witness", "--key", "w.key", "--state", "seen", "--log", &log];
    let mut command = bergulir(words.into_iter().chain(["--listen", "127.0.0.1:0"]));
    command.current_dir(folder).stderr(told.reopen().unwrap());
    match Server::try_command(command) {
        Ok(server) => Ok(http(&server.address, "GET", "/", b"").text().to_owned()),
        Err(why) => {
            let code = if why.contains("(512)") { Some(2) } else { None };
            Err((code, fs::read_to_string(told.path()).unwrap()))
        }
    }
}

/// No server is there: what is read is what could not be sent.
fn batch(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let words = ["batch", "commands.jsonl", "--mode", "atomic", "--ledger", "pilot"];
    let words = [&words[..], &["--principal", "maker", "--address", "127.0.0.1:1"]].concat();
    match in_folder(folder, &words) {
        Err((Some(2), said)) if said.contains("127.0.0.1:1") => Ok(String::new()),
        other => other,
    }
}

fn demo(folder: &Path) -> Result<String, (Option<i32>, String)> {
    let done = in_folder(folder, &["--json", "demo", "--cooperatives", "villages.csv"]);
    // How long it took, and hashes, are others each time.
    done.map(|_| String::new())
}

/// Everything that people have of a node: a backup, bundles, proofs, keys, a policy.
fn outside(site: &Site, node: &Path, out: &Path) {
    let served = Copy(out.join("site"));
    copy(node, &served.0);
    let anchor = served.0.join("anchor");
    let told = out.join("told");
    let server = served.serve(&told).unwrap();
    let done = |words: &[&str]| {
        let address = ["--address", &server.address];
        let mut command = bergulir(words.iter().copied().chain(address));
        command.current_dir(out);
        let output = ended(command, Duration::from_secs(120));
        assert!(output.status.success(), "{words:?}: {output:?}");
    };
    for folder in ["bundle", "range"] {
        fs::create_dir(out.join(folder)).unwrap();
    }
    done(&["backup", "backup"]);
    for ledger in ["pilot", "other"] {
        let name = |what: &str| what.replace('*', ledger);
        let of = ["--ledger", ledger];
        done(&[&["audit", "export", "--out", &name("bundle/*")][..], &of].concat());
        done(&[&["log", "inclusion", "5", "--out", &name("*.tlog-proof")][..], &of].concat());
        done(&[&["log", "checkpoint", "--out", &name("*.checkpoint")][..], &of].concat());
        let key = served.data().join(name("keys/*.key"));
        fs::copy(&key, out.join(name("*.key"))).unwrap();
        let shown = last_json(&run(["--json", "key", "show", key.to_str().unwrap()]));
        fs::write(out.join(name("*.vkey")), shown["verifier_key"].as_str().unwrap()).unwrap();
    }
    let of = ["--ledger", "pilot"];
    done(&[&["audit", "export", "--from-seal", "--out", "range/pilot"][..], &of].concat());
    done(&[&["balance", "proof", "funds/f", "--out", "pilot.balance-proof"][..], &of].concat());
    assert!(server.stop().success());
    for (name, text) in [
        ("commands.jsonl", "{\"command\":{\"approveLoan\":{\"loan\":\"loan-1\"}}}\n"),
        ("villages.csv", "village_code,village_name\n36.03.01.2003,Cangkudu\n"),
    ] {
        fs::write(out.join(name), text).unwrap();
    }
    copy(&anchor, &out.join("anchor"));
    site.hand_out_witness(out, node);
    fs::remove_dir_all(&served.0).unwrap();
    fs::remove_file(told).unwrap();
}

/// Says what is wrong with what was read of a damaged file.
fn judge(
    kind: &Kind,
    path: &str,
    damage: Damage,
    truth: &str,
    read: Result<String, (Option<i32>, String)>,
) -> Result<bool, String> {
    match read {
        Ok(found) => {
            let is_memory = path.starts_with("/seen/");
            let may_differ = match kind.holds {
                Holds::Checked | Holds::Nothing => false,
                Holds::CheckedOrOlder => {
                    damage == Damage::Older || (damage == Damage::Removed && is_memory)
                }
                Holds::Text => true,
            };
            // Without its mark a bundle with all records is the folder of a ledger: all else is found of it
            // that was, and it is not said to be a bundle.
            let is_mark = path.ends_with("/bundle");
            let has_no_mark = is_mark && matches!(damage, Damage::Folder | Damage::Removed);
            let as_ledger = truth.replace("\"kind\":\"log\"", "\"kind\":\"ledger\"");
            if found == truth || may_differ || (has_no_mark && found == as_ledger) {
                return Ok(true);
            }
            Err(format!("{found} instead of {truth}"))
        }
        Err((code, said)) => {
            let name = Path::new(path).file_name().unwrap().to_str().unwrap();
            // A later run goes on from what is whole, and says which ledger that is.
            let is_rest = damage == Damage::Extended
                && has_extension(path, "seg")
                && said.contains("the last run was cut short");
            let is_called = kind.called.iter().any(|it| said.contains(it));
            let is_named = said.contains(name) || is_called || is_rest;
            let is_no_file = matches!(damage, Damage::Folder | Damage::Unreadable);
            let is_lock = path.ends_with("/LOCK");
            if !matches!(code, Some(1 | 2)) || said.contains("panicked") {
                return Err(format!("it ended with {code:?}: {said}"));
            }
            if !is_named {
                return Err(format!("it is not named: {said}"));
            }
            if is_lock && !is_no_file {
                return Err(format!("it is not needed: {said}"));
            }
            Ok(false)
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_outside_is_read_as_it_was_or_refused_by_name() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let [now, older]: [PathBuf; 2] = ["now", "older"].map(|name| folder.path().join(name));
    for (node, out) in [(site.now(), &now), (site.older(), &older)] {
        fs::create_dir(out).unwrap();
        outside(&site, &node, out);
    }
    let files = files_below(&now);
    // What is only given to a command along with others, and is damaged where it lies.
    let known = |file: &String| has_extension(file, "vkey");
    for file in files.iter().filter(|file| !known(file)) {
        let of: Vec<&str> = KINDS.iter().filter(|kind| (kind.is)(file)).map(|it| it.name).collect();
        assert_eq!(of.len(), 1, "{file} is of these kinds: {of:?}; say what its damage may do");
    }
    let (rounds, first) =
        (number("BERGULIR_DAMAGE_ROUNDS", DEFAULT_ROUNDS), number("BERGULIR_SEED", 1));
    let mut truth = BTreeMap::new();
    for kind in &KINDS {
        let whole = folder.path().join("whole");
        copy(&now, &whole);
        let read: Vec<String> = kind.by.iter().map(|reader| reader(&whole).unwrap()).collect();
        truth.insert(kind.name, read);
        fs::remove_dir_all(&whole).unwrap();
    }
    let (mut cases, mut wrong) = (BTreeMap::<_, u32>::new(), Vec::new());
    for seed in first..first + rounds {
        for (number, kind) in (0..).zip(&KINDS) {
            let of_kind: Vec<&String> = files.iter().filter(|file| (kind.is)(file)).collect();
            assert!(!of_kind.is_empty(), "there is no {}", kind.name);
            let mut dice = Dice::new(seed << 8 | number);
            // Of two bundles one is read, and of a ledger that goes on as another no anchor.
            let is_read = |path: &str| {
                path.starts_with("/backup/") || !(path.contains("other") || path.contains("past"))
            };
            let read = of_kind.iter().copied().filter(|path| is_read(path));
            let read: Vec<&String> = read.collect();
            let folders = (&*now, &*older);
            let (path, others) = damage::pick(folders, &read, &of_kind, &LEDGERS, &mut dice);
            for (reader, truth) in kind.by.iter().zip(&truth[kind.name]) {
                // What cannot be done to this file gives way to the next.
                let struck = damage::from(seed + number).find_map(|damage| {
                    Some((damage, Struck::new(&now, path, damage, &others, &mut dice)?))
                });
                let (damage, struck) = struck.unwrap();
                match judge(kind, path, damage, truth, reader(&struck.place)) {
                    Ok(is_read) => *cases.entry((kind.name, damage, is_read)).or_default() += 1,
                    Err(why) => wrong.push(format!(
                        "BERGULIR_SEED={seed}, {damage:?}, {}, {path}, {}: {why}",
                        kind.name, struck.what
                    )),
                }
            }
        }
    }
    eprintln!("{} cases outside", cases.values().sum::<u32>());
    for ((kind, damage, is_read), cases) in cases {
        let outcome = if is_read { "read" } else { "refused" };
        eprintln!("{kind}, {damage:?}: {outcome}, {cases}");
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n\n"));
}
