//! The ledger proves itself with the real binary: a server with its key, its witness and its static
//! log, and somebody who checks offline what they were given.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{Note, VerifierKey};
use serde_json::Value;

use crate::bundle::foreign_key;
use crate::support::{Server, bergulir, http, last_json, run};

const ORIGIN: &str = "ledger.example.go.id/pilot";

/// A ledger with a fund, a server and a witness for it, and the keys that an auditor has.
struct Programme {
    folder: tempfile::TempDir,
    key: VerifierKey,
    server: Server,
    /// Absent once it is gone.
    witness: Option<Server>,
}

impl Programme {
    fn new() -> Programme {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(path("keys")).unwrap();
        let [log_file, witness_file] = [path("keys/pilot.key"), path("witness.key")];
        let key = new_key(&["--origin", ORIGIN, "--out", &log_file]);
        let cosigner =
            new_key(&["--witness", "--name", "auditor.example/w1", "--out", &witness_file]);
        let (log, state) = (key.to_string(), path("seen"));
        let args = ["audit", "witness", "--key", &witness_file, "--state", &state, "--log", &log];
        let witness = Server::run(args);
        let policy =
            format!("log {key}\nwitness w1 {cosigner} http://{}/\nquorum w1\n", witness.address);
        std::fs::write(path("policy"), policy).unwrap();
        let server = serve(folder.path());
        let programme = Programme { folder, key, server, witness: Some(witness) };
        for line in [
            "ledger open --origin ledger.example.go.id/pilot",
            "fund open f --name Dana --opening-date 2020-01-02 --ceiling 3000000000 --rate 5 \
             --method flat --tenor-months 36 --grace-months 3",
            "fund allocate f --amount 5800000000 --source apbd --reference SK-1 --bank BJB \
             --bank-reference A1 --value-date 2020-01-05",
        ] {
            programme.client(line);
        }
        programme
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client's command, which must be done; its answer.
    fn client(&self, line: &str) -> Value {
        let output = self.try_client(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {error}");
        last_json(&output)
    }

    fn try_client(&self, line: &str) -> std::process::Output {
        bergulir(line.split_whitespace().chain(["--json"]))
            .current_dir(self.folder.path())
            .env("BERGULIR_ADDRESS", &self.server.address)
            .env("BERGULIR_LEDGER", "pilot")
            .env("BERGULIR_PRINCIPAL", "officer-1")
            .output()
            .unwrap()
    }

    /// `proof verify`, its exit code and what it said.
    fn verify(&self, file: &str, trust: &[&str]) -> (Option<i32>, Value) {
        let args = ["proof", "verify", file, "--json"].into_iter().chain(trust.iter().copied());
        let output = bergulir(args).current_dir(self.folder.path()).output().unwrap();
        let said = if output.stdout.is_empty() { Value::Null } else { last_json(&output) };
        (output.status.code(), said)
    }

    /// Waits until the witness stands for a checkpoint of so many records.
    fn witnessed(&self, size: u64) -> Value {
        let begin = Instant::now();
        loop {
            let answer = self.client(&format!("log checkpoint --min-size {size}"));
            let witnessed = &answer["witnessed"];
            let reached = witnessed["logSize"].as_str().and_then(|size| size.parse().ok());
            if reached.is_some_and(|reached: u64| reached >= size) {
                return witnessed.clone();
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn new_key(args: &[&str]) -> VerifierKey {
    let made = run(["key", "new", "--json"].into_iter().chain(args.iter().copied()));
    last_json(&made)["verifier_key"].as_str().unwrap().parse().unwrap()
}

fn serve(folder: &Path) -> Server {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [data, keys, anchor, policy] = ["data", "keys", "anchor", "policy"].map(path);
    std::fs::create_dir_all(&anchor).unwrap();
    let args = ["serve", "--data", &data, "--keys", &keys, "--anchor", &anchor];
    Server::run(args.into_iter().chain(["--policy", &policy, "--http", "127.0.0.1:0"]))
}

#[test]
fn a_record_is_proved_offline_and_nothing_else_is() {
    let programme = Programme::new();
    programme.witnessed(3);
    let answer = programme.client("log inclusion 2 --out two.tlog-proof");
    assert_eq!(answer["checkpoint"]["logSize"], "3");
    let key = programme.key.to_string();
    let other = new_key(&["--origin", ORIGIN, "--out", programme.path("o").to_str().unwrap()]);
    let (code, said) = programme.verify("two.tlog-proof", &["--policy", "policy"]);
    assert_eq!((code, &said["valid"]), (Some(0), &Value::Bool(true)), "{said}");
    assert_eq!(said["origin"], ORIGIN);
    assert_eq!(said["position"], 2);
    assert_eq!(said["principal"], "officer-1");
    assert_eq!(said["cosigned_by"][0], "auditor.example/w1");
    assert_eq!(programme.verify("two.tlog-proof", &["--key", &key]).0, Some(0));

    // Without a key of the log nothing can be told, nor with one that did not sign: the log may have
    // taken another. One of another name is never the log's.
    assert_eq!(programme.verify("two.tlog-proof", &[]).0, Some(2));
    assert_eq!(programme.verify("two.tlog-proof", &["--key", &other.to_string()]).0, Some(2));
    let (code, said) = programme.verify("two.tlog-proof", &["--key", &foreign_key()]);
    assert_eq!((code, &said["valid"]), (Some(1), &Value::Bool(false)), "{said}");
    // Another record, and one that is not there.
    std::fs::write(programme.path("record"), b"another").unwrap();
    let record = ["--key", &key, "--record", "record"];
    assert_eq!(programme.verify("two.tlog-proof", &record).0, Some(1));
    let whole = std::fs::read_to_string(programme.path("two.tlog-proof")).unwrap();
    let bare: String = whole.split_inclusive('\n').filter(|l| !l.starts_with("extra ")).collect();
    std::fs::write(programme.path("bare"), bare).unwrap();
    assert_eq!(programme.verify("bare", &["--key", &key]).0, Some(2));
    // Touched, or no proof at all.
    for (touched, code) in [
        (whole.replace("index 2", "index 1"), 1),
        (whole.replace("\n3\n", "\n4\n"), 1),
        (whole.replace("tlog-proof", "x"), 2),
        (whole.replace("index 2", "index two"), 2),
        (String::new(), 2),
    ] {
        std::fs::write(programme.path("touched.tlog-proof"), touched).unwrap();
        assert_eq!(programme.verify("touched.tlog-proof", &["--key", &key]).0, Some(code));
    }
    assert_eq!(programme.verify("missing", &["--key", &key]).0, Some(2));
    // What no witness stands for does not pass where one is asked for.
    let unwitnessed: String = whole
        .split_inclusive('\n')
        .filter(|line| !line.contains("\u{2014} auditor.example/w1"))
        .collect();
    std::fs::write(programme.path("unwitnessed"), unwitnessed).unwrap();
    assert_eq!(programme.verify("unwitnessed", &["--key", &key]).0, Some(0));
    assert_eq!(programme.verify("unwitnessed", &["--policy", "policy"]).0, Some(2));
    // A policy that is none is nobody's fault but its owner's.
    std::fs::write(programme.path("garbage"), "quorum\n").unwrap();
    assert_eq!(programme.verify("two.tlog-proof", &["--policy", "garbage"]).0, Some(2));
}

#[test]
fn balances_are_proved_offline_and_so_is_their_absence() {
    let programme = Programme::new();
    let key = programme.key.to_string();
    programme.client("balance proof funds/f --fresh --out f.balance-proof");
    let (code, said) = programme.verify("f.balance-proof", &["--key", &key]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((&said["present"], &said["name"]), (&Value::Bool(true), &"funds/f".into()));
    assert_eq!(said["balances"]["available"], "5800000000.00");
    assert_eq!(said["statement"]["records"], 2);
    programme.client("balance proof funds/f/accounts/none --out none.balance-proof");
    let (code, said) = programme.verify("none.balance-proof", &["--key", &key]);
    assert_eq!((code, &said["present"]), (Some(0), &Value::Bool(false)), "{said}");
    // A proof says what follows from it, whatever it claims: the leaf of one fund does not pass for
    // that of another, and a touched number or balance for nothing.
    let fund = std::fs::read_to_string(programme.path("f.balance-proof")).unwrap();
    std::fs::write(programme.path("of-g"), fund.replace("fund f", "fund g")).unwrap();
    let (code, said) = programme.verify("of-g", &["--key", &key]);
    assert_eq!((code, &said["present"]), (Some(0), &Value::Bool(false)), "{said}");
    for (old, new) in [("leaves 1", "leaves 2"), ("leaf 0", "leaf 1"), ("leaf 0 AQ", "leaf 0 Ag")] {
        std::fs::write(programme.path("forged"), fund.replace(old, new)).unwrap();
        assert_eq!(programme.verify("forged", &["--key", &key]).0, Some(1), "{new}");
    }
    assert_eq!(programme.verify("f.balance-proof", &[]).0, Some(2));
    // Nor does one pass without the witness where it is asked for.
    let witness = |line: &&str| line.contains("\u{2014} auditor.example/w1");
    let bare: String = fund.split_inclusive('\n').filter(|line| !witness(line)).collect();
    std::fs::write(programme.path("unwitnessed"), bare).unwrap();
    assert_eq!(programme.verify("unwitnessed", &["--key", &key]).0, Some(0));
    assert_eq!(programme.verify("unwitnessed", &["--policy", "policy"]).0, Some(2));
    // The plain question is answered as before.
    let balance = programme.client("balance funds/f");
    assert_eq!(balance["balance"]["fund"]["available"]["units"], "5800000000", "{balance}");
    let refused = programme.try_client("balance proof loans/l");
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn checkpoints_are_witnessed_published_and_outlive_a_kill() {
    let programme = Programme::new();
    let witnessed = programme.witnessed(3);
    let address = |programme: &Programme| {
        let line = programme.server.printed.iter().find_map(|line| {
            let url = line.strip_prefix("serving logs on http://")?;
            Some(url.trim_end_matches('/').to_owned())
        });
        line.unwrap()
    };
    let published = http(&address(&programme), "GET", &format!("/{ORIGIN}/checkpoint"), b"");
    assert_eq!(published.text(), witnessed["note"].as_str().unwrap());
    let note = Note::parse(&published.body).unwrap();
    let name = programme.key.name();
    assert_eq!(Checkpoint::open(&note, name, [&programme.key]).unwrap().size.get(), 3);
    programme.client("log checkpoint --witnessed --out checkpoint");
    assert_eq!(std::fs::read(programme.path("checkpoint")).unwrap(), published.body);

    let Programme { folder, key, server, witness } = programme;
    server.kill();
    let server = serve(folder.path());
    let programme = Programme { folder, key, server, witness };
    programme.client(
        "fund allocate f --amount 1 --source apbd --reference SK-2 --bank BJB --bank-reference A2 \
         --value-date 2020-01-05",
    );
    programme.witnessed(4);
    // From what was kept, the log was only extended; and the witness sees that it has it already.
    programme.client("log consistency 3 --out extension");
    let body = std::fs::read(programme.path("extension")).unwrap();
    let witness = programme.witness.unwrap();
    let answer = witness.http("POST", "/add-checkpoint", &body);
    assert_eq!((answer.status, answer.text()), (409, "4\n"));
}

#[test]
fn what_the_witness_stands_for_is_had_though_the_log_went_on_without_it() {
    let mut programme = Programme::new();
    programme.witnessed(3);
    programme.witness.take().unwrap().kill();
    programme.client(
        "fund allocate f --amount 1 --source apbd --reference SK-2 --bank BJB --bank-reference A2 \
         --value-date 2020-01-05",
    );
    programme.client("log checkpoint --min-size 4 --out newest");
    programme.client("log checkpoint --witnessed --out witnessed");
    let size = |file: &str| {
        let note = Note::parse(&std::fs::read(programme.path(file)).unwrap()).unwrap();
        Checkpoint::open(&note, programme.key.name(), [&programme.key]).unwrap().size.get()
    };
    assert_eq!((size("newest"), size("witnessed")), (4, 3));
    // A record is proved under it as long as it covers it, and to who asks for witnesses.
    for (position, code) in [(2, 0), (3, 2)] {
        programme.client(&format!("log inclusion {position} --out record.tlog-proof"));
        let (found, said) = programme.verify("record.tlog-proof", &["--policy", "policy"]);
        assert_eq!(found, Some(code), "{position}: {said}");
    }
    // So is a bundle of all records, from the server and from its files, to either verifier.
    programme.client("audit export --out from-server");
    programme.client("audit export --data data --out from-files");
    for bundle in ["from-server", "from-files"] {
        let args = ["audit", "verify", bundle, "--policy", "policy", "--json"];
        let output = bergulir(args).current_dir(programme.folder.path()).output().unwrap();
        let report = last_json(&output);
        assert_eq!(output.status.code(), Some(0), "{bundle}: {report}");
        assert_eq!((&report["tree_size"], &report["checkpoint"]), (&4.into(), &4.into()));
        let not_checked = report["not_checked"].to_string();
        assert!(
            not_checked.contains("from position 3 on: only the log's own key"),
            "{not_checked}"
        );

        let second = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/verify.py");
        let output = std::process::Command::new("python3")
            .args([second, bundle, "--policy", "policy", "--json"])
            .current_dir(programme.folder.path())
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{bundle}: {report}");
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((&report["size"], &report["witnessed_size"]), (&4.into(), &3.into()));
        let not_checked = report["not_checked"].to_string();
        assert!(
            not_checked.contains("from position 3 on: only the log's own key"),
            "{not_checked}"
        );
    }
}

#[test]
fn a_rotated_key_signs_from_its_record_on() {
    let programme = Programme::new();
    let file = programme.path("next.key");
    let next = new_key(&["--origin", ORIGIN, "--out", file.to_str().unwrap()]);
    let refused = programme.try_client("key rotate pilot --key next.key");
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("KEY_NOT_HELD"), "{error}");
    std::fs::copy(&file, programme.path("keys/next.key")).unwrap();
    let answer = programme.client(&format!("key rotate pilot --verifier-key {next}"));
    assert_eq!(answer["receipt"]["position"], "3");
    assert_eq!(answer["ledger"]["verifierKey"], next.to_string());
    let answer = programme.client("log checkpoint --min-size 4");
    let note = Note::parse(answer["checkpoint"]["note"].as_str().unwrap().as_bytes()).unwrap();
    assert!(Checkpoint::open(&note, next.name(), [&next]).is_ok());
}
