//! A byte of the log that is not what was written: the audit names the position, and the server
//! does not serve it as truth.

use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Server, last_json, run, run_briefly};
use std::path::{Path, PathBuf};
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

/// A ledger of a few records, each in a frame of its own; its only segment.
async fn small_ledger(data: &Path) -> PathBuf {
    let server = Server::start(data);
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    for n in 0..10 {
        client.post(&allocate(1, &format!("A{n}"))).await;
    }
    server.kill();
    data.join("ledgers/pilot/log/00000000000000000000.seg")
}

/// What the audit says: its exit code, and its report.
fn audit(data: &Path) -> (Option<i32>, serde_json::Value) {
    let output = run(["audit", "verify", "--json", data.to_str().unwrap()]);
    (output.status.code(), last_json(&output))
}

/// Where frame `n` begins: each starts with the same four bytes.
fn frame(bytes: &[u8], n: usize) -> usize {
    let begins = |at: &usize| bytes[*at..].starts_with(b"BGFR");
    (0..bytes.len()).filter(begins).nth(n).unwrap()
}

#[tokio::test]
async fn a_flipped_byte_is_named_by_the_audit_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let segment = small_ledger(folder.path()).await;
    let whole = std::fs::read(&segment).unwrap();
    assert_eq!(audit(folder.path()).0, Some(0));
    let mut bytes = whole.clone();
    let place = frame(&whole, 7) + 100;
    bytes[place] ^= 0x04;
    std::fs::write(&segment, &bytes).unwrap();

    let (code, report) = audit(folder.path());
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(report["position"], 7, "{report}");
    assert!(report["reason"].is_string(), "{report}");

    let server = Server::start(folder.path());
    let mut client = server.client("maker").await;
    let refused = client.send(Uuid::new_v4(), &allocate(1, "late")).await.unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss, "{refused}");
    let why = refused.get_details_error_info().unwrap();
    assert_eq!(why.reason, "CHAIN_BROKEN");
    assert_eq!(why.metadata["position"], "7");
    server.kill();
    // Looking changed nothing: what can be restored is restored by people.
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);

    std::fs::write(&segment, whole).unwrap();
    assert_eq!(audit(folder.path()).0, Some(0));
}

#[tokio::test]
async fn two_frames_that_were_swapped_and_one_that_was_cut_out_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let segment = small_ledger(folder.path()).await;
    let whole = std::fs::read(&segment).unwrap();
    let [a, b, c] = [5, 6, 7].map(|n| frame(&whole, n));
    let swapped = [&whole[..a], &whole[b..c], &whole[a..b], &whole[c..]].concat();
    let cut_out = [&whole[..a], &whole[b..]].concat();
    for forged in [swapped, cut_out] {
        std::fs::write(&segment, forged).unwrap();
        let (code, report) = audit(folder.path());
        assert_eq!(code, Some(1), "{report}");
        assert_eq!(report["position"], 5, "{report}");
    }
}

#[tokio::test]
async fn a_last_frame_that_was_torn_was_never_acknowledged_and_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let segment = small_ledger(folder.path()).await;
    let whole = std::fs::read(&segment).unwrap();
    let last = frame(&whole, 11);
    std::fs::write(&segment, &whole[..usize::midpoint(last, whole.len())]).unwrap();

    let (code, report) = audit(folder.path());
    assert_eq!(code, Some(2), "{report}");
    assert_eq!(report["position"], 11, "{report}");

    let server = Server::start(folder.path());
    let mut client = server.client("maker").await;
    assert_eq!(client.records().await.len(), 11);
    // Its bank reference is free, as if it had never been sent.
    assert_eq!(client.post(&allocate(1, "A9")).await.position, 11);
    server.kill();
    assert_eq!(audit(folder.path()).0, Some(0));
}

#[test]
fn another_address_than_loopback_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let output = run_briefly(["serve", "--listen", "0.0.0.0:0", "--data", data]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0));
    assert!(error.contains("loopback"), "{error}");
}
