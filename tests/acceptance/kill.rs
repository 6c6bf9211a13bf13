//! SIGKILL under load, many times in a row: every receipt that was given stands, with its hash; no
//! request takes effect twice; the verification passes.
//!
//! `BERGULIR_KILL_ROUNDS` says how many times; CONTRIBUTING.md says why CI runs fewer.

use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Client, Server, last_json, run};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

const DEFAULT_ROUNDS: u32 = 50;
const WRITERS: u32 = 16;
/// Every request moves so much; the sum tells how many took effect.
const RUPIAH: i64 = 3;

/// What the clients know.
#[derive(Default)]
struct Known {
    /// Position and hash of every request that was answered.
    acknowledged: BTreeMap<Uuid, (u64, Vec<u8>)>,
    /// Requests that were sent and not answered, with their bank reference.
    open: BTreeMap<Uuid, String>,
}

fn rounds() -> u32 {
    let set = std::env::var("BERGULIR_KILL_ROUNDS").ok();
    set.map_or(DEFAULT_ROUNDS, |rounds| rounds.parse().expect("BERGULIR_KILL_ROUNDS is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_takes_effect_twice() {
    let folder = tempfile::tempdir().unwrap();
    let known = Arc::new(Mutex::new(Known::default()));
    let server = Server::start(folder.path());
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    server.kill();

    for round in 0..rounds() {
        let server = Server::start(folder.path());
        let mut client = server.client("maker").await;
        retry_what_is_open(&mut client, &known).await;
        let mut load = JoinSet::new();
        for writer in 0..WRITERS {
            let name = format!("K{round}-{writer}");
            load.spawn(write(client.clone(), name, Arc::clone(&known)));
        }
        // A different moment each time, so that all stages of a group are hit.
        tokio::time::sleep(Duration::from_millis(20 + u64::from(round * 37 % 180))).await;
        server.kill();
        load.join_all().await;
    }

    let server = Server::start(folder.path());
    let mut client = server.client("maker").await;
    retry_what_is_open(&mut client, &known).await;
    let records = client.records().await;
    let known = known.lock().unwrap();
    assert!(known.open.is_empty());
    assert!(known.acknowledged.len() > rounds() as usize, "there was a load");
    for (position, hash) in known.acknowledged.values() {
        let record = &records[usize::try_from(*position).unwrap()];
        assert_eq!(record.position, *position);
        assert_eq!(&record.record_hash, hash);
    }
    let ids: BTreeSet<&str> = records.iter().map(|record| record.request_id.as_str()).collect();
    assert_eq!(ids.len(), records.len(), "each request id stands once");
    server.kill();

    let verified = run(["audit", "verify", "--json", folder.path().to_str().unwrap()]);
    let report = last_json(&verified);
    assert_eq!(verified.status.code(), Some(0), "{report}");
    assert_eq!(report["valid"], true, "{report}");
    let effects = i64::try_from(known.acknowledged.len()).unwrap() * RUPIAH;
    assert_eq!(report["allocated"], format!("{effects}.00"), "{report}");
}

/// Posts one request after another until the server is gone.
async fn write(mut client: Client, name: String, known: Arc<Mutex<Known>>) {
    for n in 0.. {
        let (request_id, reference) = (Uuid::new_v4(), format!("{name}-{n}"));
        known.lock().unwrap().open.insert(request_id, reference.clone());
        let Ok(receipt) = client.send(request_id, &allocate(RUPIAH, &reference)).await else {
            return;
        };
        assert!(!receipt.duplicate);
        let mut known = known.lock().unwrap();
        known.open.remove(&request_id);
        known.acknowledged.insert(request_id, (receipt.position, receipt.record_hash));
    }
}

/// Sends every unanswered request again, under its own id: whether it took effect the first time
/// or not, it does now, once.
async fn retry_what_is_open(client: &mut Client, known: &Mutex<Known>) {
    let open = std::mem::take(&mut known.lock().unwrap().open);
    for (request_id, reference) in open {
        let receipt = client.send(request_id, &allocate(RUPIAH, &reference)).await.unwrap();
        let answer = (receipt.position, receipt.record_hash);
        known.lock().unwrap().acknowledged.insert(request_id, answer);
    }
}
