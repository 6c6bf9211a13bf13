//! The witness: it cosigns what continues all that it saw, and nothing else, whatever happens to
//! it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Levels, Prefixes, prove_consistency};
use bergulir_chain::note::{KeyName, Note, SignerKey, VerifierKey};
use bergulir_chain::policy::Policy;
use bergulir_chain::witness::{AddCheckpoint, MAX_REQUEST_BYTES, parse_cosignatures};

use crate::support::{HttpAnswer, Server, last_json, run};

const ORIGIN: &str = "ledger.example.go.id/pilot";
const WITNESS: &str = "auditor.example/w1";

/// A witness with its files.
struct Auditor {
    folder: tempfile::TempDir,
    key: VerifierKey,
}

fn log_key(seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(ORIGIN).unwrap(), &[seed; 32]).unwrap()
}

/// A log's tree of this size; from `fork` on its records are others.
fn tree(size: u64, fork: u64) -> Levels {
    let mut tree = Levels::new(Prefixes::RFC_6962);
    for index in 0..size {
        tree.push(format!("{} {index}", if index < fork { "record" } else { "other" }).as_bytes());
    }
    tree
}

/// The log asks for this size, proved from the older one.
fn request(key: &SignerKey, old: u64, mut tree: Levels) -> AddCheckpoint {
    let head = tree.head();
    let proof = prove_consistency(Prefixes::RFC_6962, old, head.size, &mut tree).unwrap();
    let (origin, size) = (key.verifier().name().clone(), LogSize::new(head.size));
    let checkpoint = Checkpoint { origin, size, root: head.root }.sign(key).unwrap();
    AddCheckpoint { old: LogSize::new(old), proof, checkpoint }
}

fn grown(old: u64, size: u64) -> AddCheckpoint {
    request(&log_key(1), old, tree(size, u64::MAX))
}

fn ask(witness: &Server, request: &AddCheckpoint) -> HttpAnswer {
    witness.http("POST", "/add-checkpoint", request.to_string().as_bytes())
}

impl Auditor {
    fn new() -> Auditor {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("witness.key");
        let file = file.to_str().unwrap();
        let made = run(["key", "new", "--witness", "--name", WITNESS, "--out", file, "--json"]);
        let key = last_json(&made)["verifier_key"].as_str().unwrap().parse().unwrap();
        Auditor { folder, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Server {
        self.witness("witness.key", &log_key(1))
    }

    /// One with that key, of that log.
    fn witness(&self, key: &str, log: &SignerKey) -> Server {
        let (key, state) = (self.path(key), self.path("seen"));
        let log = log.verifier().to_string();
        let [key, state] = [&key, &state].map(|path| path.to_str().unwrap());
        Server::run(["audit", "witness", "--key", key, "--state", state, "--log", &log])
    }

    /// The cosigned checkpoint is one to a policy that asks for this witness.
    fn assert_cosigned(&self, answer: &HttpAnswer, request: &AddCheckpoint) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut note = request.checkpoint.clone();
        for cosignature in parse_cosignatures(&answer.body).unwrap() {
            note.add(cosignature).unwrap();
        }
        let log = log_key(1);
        let policy = format!("log {}\nwitness w {}\nquorum w\n", log.verifier(), self.key);
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let accepted = policy.accept(&note).unwrap();
        assert_eq!(accepted.cosigned.len(), 1);
        assert_eq!(accepted.checkpoint.head(), head_of(&request.checkpoint));
        // What was read by ours is read by others.
        let theirs = signed_note::Note::from_bytes(note.to_string().as_bytes()).unwrap();
        assert_eq!(theirs.text(), note.text().as_bytes());
    }
}

fn head_of(note: &Note) -> bergulir_chain::merkle::TreeHead {
    Checkpoint::parse_unverified(note.text()).unwrap().head()
}

fn assert_size(answer: &HttpAnswer, size: u64) {
    assert_eq!((answer.status, answer.text()), (409, format!("{size}\n").as_str()));
    assert!(answer.head.contains("\r\ncontent-type: text/x.tlog.size"), "{}", answer.head);
}

#[test]
fn a_log_is_cosigned_as_it_grows_and_never_otherwise() {
    let auditor = Auditor::new();
    let witness = auditor.start();
    let about = witness.http("GET", "/", b"");
    assert_eq!(about.text(), format!("witness {}\nlog {ORIGIN} -\n", auditor.key));

    // The first, the same again, an extension.
    for (old, size) in [(0, 5), (5, 5), (5, 70)] {
        let request = grown(old, size);
        auditor.assert_cosigned(&ask(&witness, &request), &request);
    }
    // Back, ahead, and from nothing.
    for (old, size) in [(5, 5), (5, 70), (71, 80), (0, 80)] {
        assert_size(&ask(&witness, &grown(old, size)), 70);
    }
    // A fork that grew.
    let forked = request(&log_key(1), 70, tree(80, 33));
    let refused = ask(&witness, &forked);
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("history was altered"), "{}", refused.text());
    // Nothing of that moved it.
    let about = witness.http("GET", "/", b"");
    assert!(about.text().ends_with(&format!("log {ORIGIN} 70\n")), "{}", about.text());
    let request = grown(70, 80);
    auditor.assert_cosigned(&ask(&witness, &request), &request);
}

#[test]
fn two_trees_of_one_size_are_kept_as_evidence() {
    let auditor = Auditor::new();
    let witness = auditor.start();
    let first = grown(0, 9);
    auditor.assert_cosigned(&ask(&witness, &first), &first);
    let forked = request(&log_key(1), 9, tree(9, 3));
    let refused = ask(&witness, &forked);
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("the log was forked"), "{}", refused.text());
    assert!(!refused.head.contains("tlog.size"), "there is no size to prove from");
    let kept = |suffix: &str| {
        let file = auditor.path("seen").join(format!("ledger.example.go.id%2Fpilot.{suffix}"));
        Note::parse(&std::fs::read(file).unwrap()).unwrap()
    };
    let log = log_key(1);
    let notes = [kept("seen"), kept("forked")];
    for note in &notes {
        assert_eq!(note.verify([log.verifier()]).unwrap().len(), 1);
    }
    assert_eq!(head_of(&notes[0]), head_of(&first.checkpoint));
    assert_eq!(head_of(&notes[1]), head_of(&forked.checkpoint));
    // The first is proof enough; others do not take its place.
    assert_eq!(ask(&witness, &request(&log_key(1), 9, tree(9, 4))).status, 409);
    assert_eq!(kept("forked"), notes[1]);
}

#[test]
fn only_known_logs_and_right_signatures_are_taken() {
    let auditor = Auditor::new();
    let witness = auditor.start();
    let other = SignerKey::from_seed(KeyName::new("other.example/log").unwrap(), &[1; 32]).unwrap();
    let refused = ask(&witness, &request(&other, 0, tree(5, 9)));
    assert_eq!(refused.status, 404, "{}", refused.text());
    let refused = ask(&witness, &request(&log_key(2), 0, tree(5, 9)));
    assert_eq!(refused.status, 403, "{}", refused.text());
    let mut smaller = grown(0, 5);
    smaller.old = LogSize::new(6);
    assert_eq!(ask(&witness, &smaller).status, 400);
    for body in ["", "old 0\n\nno checkpoint\n", "old 00\n\n"] {
        assert_eq!(witness.http("POST", "/add-checkpoint", body.as_bytes()).status, 400, "{body}");
    }
    let altered = grown(0, 5).to_string().replace("\n5\n", "\n6\n");
    assert_eq!(witness.http("POST", "/add-checkpoint", altered.as_bytes()).status, 403);
    let long = vec![b'x'; MAX_REQUEST_BYTES + 1];
    let refused = witness.http("POST", "/add-checkpoint", &long);
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("at most"), "{}", refused.text());
    let refused = witness.http("GET", "/add-checkpoint", b"");
    assert_eq!(refused.status, 405);
    assert!(refused.text().contains("by that method"), "{}", refused.text());
    assert_eq!(witness.http("GET", "/other", b"").status, 404);
}

#[test]
fn what_it_saw_outlives_it() {
    let auditor = Auditor::new();
    let witness = auditor.start();
    let first = grown(0, 5);
    auditor.assert_cosigned(&ask(&witness, &first), &first);
    witness.kill();

    let witness = auditor.start();
    assert_size(&ask(&witness, &grown(0, 3)), 5);
    let next = grown(5, 6);
    auditor.assert_cosigned(&ask(&witness, &next), &next);
    assert!(witness.stop().success());

    let witness = auditor.start();
    assert_size(&ask(&witness, &grown(5, 6)), 6);
    // Its folder is its alone.
    assert_refuses_to_start(&auditor, "in use by another process");
    witness.kill();

    // What it saw is not taken from a file that was touched.
    let file = auditor.path("seen").join("ledger.example.go.id%2Fpilot.checkpoint");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, whole.replace("\n6\n", "\n4\n")).unwrap();
    assert_refuses_to_start(&auditor, "restore the file");
    // Nor from one of another log that it cosigned.
    let other = SignerKey::from_seed(KeyName::new("other.example/log").unwrap(), &[1; 32]).unwrap();
    let state = auditor.path("seen");
    let witness = auditor.witness("witness.key", &other);
    let request = request(&other, 0, tree(6, 9));
    assert_eq!(ask(&witness, &request).status, 200);
    witness.kill();
    std::fs::copy(state.join("other.example%2Flog.checkpoint"), &file).unwrap();
    assert_refuses_to_start(&auditor, "restore the file");
    std::fs::write(&file, whole).unwrap();
    assert_size(&ask(&auditor.start(), &grown(5, 6)), 6);

    // Its own key or the log's may be another since, but not both.
    let next = auditor.path("next.key");
    run(["key", "new", "--witness", "--name", WITNESS, "--out", next.to_str().unwrap()]);
    let size = format!("log {ORIGIN} 6\n");
    for (key, log) in [("witness.key", 2), ("next.key", 1)] {
        let witness = auditor.witness(key, &log_key(log));
        let about = witness.http("GET", "/", b"");
        assert!(about.text().ends_with(&size), "{key}, {log}: {}", about.text());
    }
    let [key, state] = [&next, &state].map(|path| path.to_str().unwrap());
    let log = log_key(2).verifier().to_string();
    let ended = run(["audit", "witness", "--key", key, "--state", state, "--log", &log]);
    assert_eq!(ended.status.code(), Some(2));
}

fn assert_refuses_to_start(auditor: &Auditor, why: &str) {
    let (key, state) = (auditor.path("witness.key"), auditor.path("seen"));
    let [key, state] = [&key, &state].map(|path| path.to_str().unwrap());
    let log = log_key(1).verifier().to_string();
    let listen = "127.0.0.1:0";
    let args = ["audit", "witness", "--key", key, "--state", state, "--log", &log];
    let ended = run(args.into_iter().chain(["--listen", listen]));
    let error = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2));
    assert!(error.contains(why), "{error}");
}

/// A request that does not end is not waited for.
#[test]
fn a_request_that_comes_slowly_is_cut_off() {
    let auditor = Auditor::new();
    let witness = auditor.start();
    let mut stream = TcpStream::connect(&witness.address).unwrap();
    let head = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\nold 0\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it is closed");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

/// Many at once: each size is cosigned in one order, and what is remembered is the largest.
#[test]
fn requests_that_come_together_are_taken_one_after_another() {
    let auditor = Auditor::new();
    let witness = auditor.start();
    let cosigned: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let each: Vec<_> = (1..=16)
            .map(|size| {
                let witness = &witness;
                scope.spawn(move || {
                    let mut old = 0;
                    loop {
                        let answer = ask(witness, &grown(old, size));
                        match answer.status {
                            200 => return Some((old, size)),
                            409 => old = answer.text().trim().parse().unwrap(),
                            other => panic!("{other}: {}", answer.text()),
                        }
                        if old > size {
                            return None;
                        }
                    }
                })
            })
            .collect();
        each.into_iter().filter_map(|one| one.join().unwrap()).collect()
    });
    // Sorted by size, each began where the one before ended: there is no gap and no overlap.
    let mut before = 0;
    for (old, size) in cosigned {
        assert_eq!(old, before);
        before = size;
    }
    assert_eq!(before, 16);
}

#[test]
fn keys_are_files_of_their_owner() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.key");
    let file = file.to_str().unwrap();
    let made = run(["key", "new", "--origin", ORIGIN, "--out", file]);
    assert_eq!(made.status.code(), Some(0));
    let line = String::from_utf8(made.stdout).unwrap();
    let key: VerifierKey = line.trim_end().parse().unwrap();
    assert_eq!(key.name().as_str(), ORIGIN);
    let shown = last_json(&run(["key", "show", file, "--json"]));
    assert_eq!(shown["verifier_key"], key.to_string());
    assert_eq!(shown["type"], "Ed25519 (0x01)");
    let secret = std::fs::read_to_string(file).unwrap();
    assert!(secret.starts_with("PRIVATE+KEY+"));
    assert_eq!(mode(Path::new(file)), 0o600);

    // Never overwritten, never read when others can, and not a witness's.
    let again = run(["key", "new", "--origin", ORIGIN, "--out", file]);
    assert_eq!(again.status.code(), Some(1));
    let (state, log) = (folder.path().join("seen"), key.to_string());
    let args = ["audit", "witness", "--key", file, "--log", &log, "--state"];
    let refused = run(args.into_iter().chain([state.to_str().unwrap()]));
    assert_eq!(refused.status.code(), Some(2));
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let refused = run(["key", "show", file]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"));
    let new = folder.path().join("new.key");
    let new = new.to_str().unwrap();
    // The name of a key, and of no log.
    for name in ["no origin", "https://ledger.example"] {
        let bad = run(["key", "new", "--origin", name, "--out", new]);
        assert_eq!(bad.status.code(), Some(2), "{name}");
    }
    // A witness's is shown too.
    let made = run(["key", "new", "--witness", "--name", WITNESS, "--out", new]);
    let shown = run(["key", "show", new]);
    assert_eq!((shown.status.code(), &shown.stdout), (Some(0), &made.stdout));
}

fn mode(file: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions()) & 0o777
}

#[test]
fn a_witness_listens_on_loopback_only_and_knows_some_log() {
    let auditor = Auditor::new();
    let (key, state) = (auditor.path("witness.key"), auditor.path("seen"));
    let [key, state] = [&key, &state].map(|path| path.to_str().unwrap());
    let log = log_key(1).verifier().to_string();
    let begin = ["audit", "witness", "--key", key, "--state", state];
    let open = run(begin.into_iter().chain(["--log", &log, "--listen", "0.0.0.0:0"]));
    assert_eq!(open.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&open.stderr).contains("loopback"));
    assert_eq!(run(begin).status.code(), Some(2));
    let cosigner = auditor.key.to_string();
    assert_eq!(run(begin.into_iter().chain(["--log", &cosigner])).status.code(), Some(2));
    // The logs of a policy are known too.
    let policy = auditor.path("policy");
    std::fs::write(&policy, format!("log {log}\nquorum none\n")).unwrap();
    let policy = policy.to_str().unwrap();
    let witness = Server::run(begin.into_iter().chain(["--policy", policy]));
    let request = grown(0, 2);
    auditor.assert_cosigned(&ask(&witness, &request), &request);
}
