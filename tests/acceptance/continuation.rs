//! A loss, from end to end: an older copy is served again, is found out, and goes on as a new ledger,
//! which anybody can verify.

use std::fs;
use std::path::{Path, PathBuf};

use bergulir_domain::Command;
use bergulir_proto::wire::{self, RequestParts};
use serde_json::Value;
use tonic::Code;
use uuid::Uuid;

use crate::continuation_forged;
use crate::pilot::{allocate, open_fund, open_ledger};
use crate::second_verifier::{both, copy, python, second};
use crate::support::{Client, Server, last_json, run};

/// A data directory that is an older copy, and what the true one was.
struct Loss {
    folder: tempfile::TempDir,
    /// How many records the copy has, and how many there were.
    kept: u64,
    whole: u64,
    /// Request ids of a record that survives and of one that is lost.
    survives: Uuid,
    lost: Uuid,
}

impl Loss {
    async fn new() -> Loss {
        let folder = tempfile::tempdir().unwrap();
        let [data, true_one, anchor] = ["data", "true", "anchor"].map(|f| folder.path().join(f));
        fs::create_dir(&anchor).unwrap();
        let [survives, lost] = [Uuid::new_v4(), Uuid::new_v4()];
        let server = serve(&true_one, &anchor);
        let mut client = server.client("maker").await;
        client.post(&open_ledger()).await;
        client.post(&open_fund()).await;
        client.send(survives, &allocate(100, "A")).await.unwrap();
        for n in 0..5 {
            client.post(&allocate(1, &format!("A{n}"))).await;
        }
        assert!(server.stop().success());
        copy(&true_one, &data);
        let server = serve(&true_one, &anchor);
        let mut client = server.client("maker").await;
        client.send(lost, &allocate(7, "L")).await.unwrap();
        client.post(&allocate(8, "L1")).await;
        assert!(server.stop().success());
        Loss { folder, kept: 8, whole: 10, survives, lost }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn serve(&self) -> Server {
        serve(&self.data(), &self.path("anchor"))
    }

    /// Runs `ledger continue` with these words more.
    fn go_on(&self, more: &[&str]) -> std::process::Output {
        let data = self.data();
        let words = ["--json", "ledger", "continue", "--ledger", "pilot", "--as", "pilot-2"];
        let words = words.into_iter().chain(["--data", data.to_str().unwrap()]);
        run(words.chain(["--principal", "operator-1"]).chain(more.iter().copied()))
    }

    fn go_on_by_the_anchor(&self) -> Value {
        let anchor = self.path("anchor");
        let output = self.go_on(&["--anchor", anchor.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        last_json(&output)
    }
}

fn serve(data: &Path, anchor: &Path) -> Server {
    let [data, anchor] = [data, anchor].map(|path| path.to_str().unwrap());
    Server::run(["serve", "--data", data, "--anchor", anchor])
}

/// Sends a command to the ledger that goes on; its position, and whether it was there already.
async fn send(
    client: &mut Client,
    id: Uuid,
    command: &Command,
) -> Result<(u64, bool), tonic::Status> {
    let parts = RequestParts {
        ledger: "ledgers/pilot-2".to_owned(),
        request_id: id.to_string(),
        validate_only: false,
        expected_position: None,
        kind: wire::command_to_wire(command).unwrap().kind,
    };
    let receipt = wire::send(&mut client.ledger, parts).await?.receipt.unwrap();
    Ok((receipt.position, receipt.duplicate))
}

fn audit(path: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let words = ["--json", "audit", "verify", path.to_str().unwrap()];
    let output = run(words.into_iter().chain(more.iter().copied()));
    (output.status.code(), last_json(&output))
}

/// Writes a bundle of the ledger that goes on.
fn export(loss: &Loss, name: &str, more: &[&str]) -> PathBuf {
    let out = loss.path(name);
    let data = loss.data();
    let words = ["audit", "export", "--data", data.to_str().unwrap(), "--ledger", "pilot-2"];
    let words = words.into_iter().chain(["--out", out.to_str().unwrap()]);
    let output = run(words.chain(more.iter().copied()));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

#[tokio::test]
async fn an_older_copy_is_found_out_and_goes_on_as_a_new_ledger() {
    let loss = Loss::new().await;
    let server = loss.serve();
    let mut client = server.client("maker").await;
    let refused = client.send(Uuid::new_v4(), &allocate(1, "X")).await.unwrap_err();
    assert!(refused.message().contains("ROLLED_BACK"), "{refused}");
    assert!(refused.message().contains("bergulir ledger continue"), "{refused}");
    // Not while a server has the directory.
    let in_use = loss.go_on(&[]);
    assert_eq!(in_use.status.code(), Some(2));
    assert!(server.stop().success());

    let refused = loss.go_on(&[]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--without-evidence"), "{said}");
    let told = loss.go_on_by_the_anchor();
    assert_eq!(told["position"], loss.kept);
    assert_eq!((&told["lost_from"], &told["lost"]), (&loss.kept.into(), &2.into()), "{told}");
    assert_eq!(told["origin"], "ledger.example.go.id/pilot-2");
    let key = told["verifier_key"].as_str().unwrap().to_owned();
    assert_eq!(loss.go_on_by_the_anchor()["finished"], true, "again does no harm");

    let server = loss.serve();
    let mut client = server.client("maker").await;
    let refused = client.send(Uuid::new_v4(), &allocate(1, "X")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let message = refused.message();
    assert!(message.contains("CONTINUED") && message.contains("ledgers/pilot-2"), "{message}");
    assert_eq!(client.records().await.len() as u64, loss.kept, "the old one can be read");
    let again = send(&mut client, loss.survives, &allocate(100, "A")).await.unwrap();
    assert_eq!(again, (2, true));
    let afresh = send(&mut client, loss.lost, &allocate(7, "L")).await.unwrap();
    assert_eq!(afresh, (loss.kept + 1, false));
    let used = send(&mut client, Uuid::new_v4(), &allocate(1, "A0")).await.unwrap_err();
    assert_eq!(used.code(), Code::AlreadyExists, "{used}");
    assert!(server.stop().success());

    let (code, found) = audit(&loss.data(), &["--ledger", "pilot-2", "--key", &key]);
    assert_eq!((code, &found["valid"]), (Some(0), &true.into()), "{found}");
    let expected = serde_json::json!([{
        "position": loss.kept,
        "from_origin": "ledger.example.go.id/pilot",
        "origin": "ledger.example.go.id/pilot-2",
        "checkpoint": loss.whole,
        "lost": 2,
        "forked": false,
    }]);
    assert_eq!(found["continued"], expected, "{found}");
    let table = run(["audit", "verify", loss.data().to_str().unwrap(), "--ledger", "pilot-2"]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("Dilanjutkan / Continued"), "{table}");
}

#[tokio::test]
async fn what_shows_the_loss_and_what_the_new_log_is_called_can_be_said() {
    let loss = Loss::new().await;
    let [lost, keys] = ["true/ledgers/pilot/checkpoint", "keys"].map(|name| loss.path(name));
    let origin = "elsewhere.example/pilot-2";
    let words = ["--checkpoint", lost.to_str().unwrap(), "--origin", origin, "--keys"];
    let output = loss.go_on(&[&words[..], &[keys.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told = last_json(&output);
    assert_eq!((&told["lost"], &told["origin"]), (&2.into(), &origin.into()), "{told}");
    assert_eq!(told["named_checkpoint"], lost.to_str().unwrap(), "{told}");
    assert!(keys.join("pilot-2.key").exists());
}

#[tokio::test]
async fn without_evidence_nothing_is_said_to_be_lost() {
    let loss = Loss::new().await;
    let output = loss.go_on(&["--without-evidence"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told = last_json(&output);
    assert_eq!((&told["position"], &told["lost"]), (&loss.kept.into(), &Value::Null), "{told}");
}

#[tokio::test]
async fn both_verifiers_follow_a_log_across_the_seam() {
    if !python() {
        return;
    }
    let loss = Loss::new().await;
    let old = loss.path("true/ledgers/pilot");
    let past = loss.data().join("ledgers/pilot/checkpoint");
    let past = past.to_str().unwrap();
    let lost = old.join("checkpoint");
    let lost = lost.to_str().unwrap();
    let key = loss.go_on_by_the_anchor()["verifier_key"].as_str().unwrap().to_owned();
    let server = loss.serve();
    let mut client = server.client("maker").await;
    send(&mut client, loss.lost, &allocate(7, "L")).await.unwrap();
    let address = ["--address", server.address.as_str(), "--ledger", "pilot-2"];
    let seal = ["ledger", "seal", "--principal", "operator-1"];
    assert!(run(seal.into_iter().chain(address)).status.success());
    send(&mut client, Uuid::new_v4(), &allocate(2, "N")).await.unwrap();
    assert!(server.stop().success());

    for (name, part) in [("log", &[][..]), ("range", &["--from-seal"][..])] {
        let bundle = export(&loss, name, part);
        let (code, said) = second(&bundle, &["--key", &key]);
        assert_eq!((code, audit(&bundle, &["--key", &key]).0), (Some(0), Some(0)), "{said}");
        if name == "log" {
            assert_eq!(said["continued"], audit(&bundle, &[]).1["continued"], "{said}");
            assert_eq!(both(&bundle, &["--since", past]), [Some(0); 2]);
        }
        let since = ["--since", lost];
        for (code, told) in [second(&bundle, &since), audit(&bundle, &since)] {
            assert_eq!((code, &told["position"]), (Some(1), &loss.kept.into()), "{name}: {told}");
        }
        // The old key is told of, and does not speak for the new log.
        let opened = fs::read(old.join("log/00000000000000000000.seg")).unwrap();
        let opened = String::from_utf8_lossy(&opened).into_owned();
        let start = opened.find("ledger.example.go.id/pilot+").unwrap();
        let old_key = &opened[start..start + "ledger.example.go.id/pilot+00000000+".len() + 44];
        assert_eq!(both(&bundle, &["--key", old_key]), [Some(2); 2], "{name}");
    }
    tampered(&loss);
}

/// Each change of the record that continues the log, with everything chained and signed anew.
fn tampered(loss: &Loss) {
    let bundle = export(loss, "whole", &[]);
    let forged = continuation_forged::all(&bundle, &loss.data().join("keys"), loss.kept);
    for (what, forged) in forged {
        let expected = if what == "nothing" { Some(0) } else { Some(1) };
        let (code, told) = second(&forged, &[]);
        let (first, found) = audit(&forged, &[]);
        assert_eq!([code, first], [expected; 2], "{what}: {told}\n{found}");
        if expected == Some(1) {
            for told in [told, found] {
                assert_eq!(told["position"], loss.kept, "{what}: {told}");
            }
        }
    }
}
