//! SIGKILL under load and while it opens, many times in a row: every receipt that was given stands, with
//! its hash; no request takes effect twice; the verification passes.
//!
//! The files of the log are small here, and a seal with a snapshot comes often, so that it is killed in
//! the midst of those too. `BERGULIR_KILL_ROUNDS` says how many times, `BERGULIR_SEED` chooses other
//! moments; CONTRIBUTING.md says why CI runs fewer.

use crate::disk::dice::Dice;
use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Client, Server, files_below, last_json, number, run, segments_below};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

const DEFAULT_ROUNDS: u64 = 50;
const WRITERS: u32 = 16;
/// Every request moves so much; the sum tells how many took effect.
const RUPIAH: i64 = 3;
/// A load goes on for so long at most.
const LONGEST_LOAD_MS: u64 = 200;
/// So many of the receipts are asked for again in each round.
const ASKED_AGAIN: usize = 3;

/// A request that was answered.
#[derive(Clone)]
struct Acknowledged {
    id: Uuid,
    reference: String,
    position: u64,
    hash: Vec<u8>,
}

/// What the clients know.
#[derive(Default)]
struct Known {
    acknowledged: Vec<Acknowledged>,
    /// Requests that were sent and not answered, with their bank reference.
    open: BTreeMap<Uuid, String>,
}

fn serve(data: &Path) -> [&str; 7] {
    let data = data.to_str().unwrap();
    let often = ["--ledger-segment-bytes", "65536", "--ledger-seal-every", "1000"];
    ["serve", "--data", data, often[0], often[1], often[2], often[3]]
}

/// What a process was at when it was killed, as far as a file that is left shows it.
fn caught_at(data: &Path) -> Option<&'static str> {
    let left = files_below(data);
    let at = |of: &str, end: &str| left.iter().any(|path| path.contains(of) && path.ends_with(end));
    [
        ("/log/", ".seg.new", "a new segment"),
        ("/snapshots/", ".new", "a snapshot"),
        ("", "checkpoint.new", "the checkpoint"),
    ]
    .into_iter()
    .find_map(|(of, end, what)| at(of, end).then_some(what))
}

fn note(at: Option<&'static str>, caught: &mut BTreeMap<&'static str, u32>) {
    if let Some(at) = at {
        *caught.entry(at).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_takes_effect_twice() {
    let (rounds, seed) =
        (number("BERGULIR_KILL_ROUNDS", DEFAULT_ROUNDS), number("BERGULIR_SEED", 1));
    let mut dice = Dice::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let known = Arc::new(Mutex::new(Known::default()));
    let server = Server::run(serve(data));
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    server.kill();

    let (mut caught, mut starting) = (BTreeMap::new(), 0);
    let mut start = Duration::from_millis(100);
    for round in 0..rounds {
        // Some are killed before they are ready, at any moment of a start.
        while dice.one_in(4) {
            let moment = start.mul_f64(0.01) * u32::try_from(dice.below(100)).unwrap();
            Server::kill_after(serve(data), moment);
            note(caught_at(data), &mut caught);
            starting += 1;
        }
        let began = Instant::now();
        let server = Server::run(serve(data));
        start = began.elapsed();
        let mut client = server.client("maker").await;
        retry_what_is_open(&mut client, &known).await;
        receipts_are_given_again(&mut client, &known, &mut dice).await;
        let mut load = JoinSet::new();
        for writer in 0..WRITERS {
            let name = format!("K{round}-{writer}");
            load.spawn(write(client.clone(), name, Arc::clone(&known)));
        }
        tokio::time::sleep(Duration::from_millis(dice.below(LONGEST_LOAD_MS))).await;
        server.kill();
        note(caught_at(data), &mut caught);
        load.join_all().await;
    }

    let server = Server::run(serve(data));
    let mut client = server.client("maker").await;
    retry_what_is_open(&mut client, &known).await;
    let records = client.records().await;
    let known = known.lock().unwrap();
    assert!(known.open.is_empty());
    assert!(known.acknowledged.len() as u64 > rounds, "there was a load");
    for Acknowledged { position, hash, .. } in &known.acknowledged {
        let record = &records[usize::try_from(*position).unwrap()];
        assert_eq!(record.position, *position);
        assert_eq!(&record.record_hash, hash);
    }
    let ids: BTreeSet<&str> = records.iter().map(|record| record.request_id.as_str()).collect();
    assert_eq!(ids.len(), records.len(), "each request id stands once");
    server.kill();

    let verified = run(["audit", "verify", "--json", data.to_str().unwrap()]);
    let report = last_json(&verified);
    assert_eq!(verified.status.code(), Some(0), "{report}");
    assert_eq!(report["valid"], true, "{report}");
    let effects = i64::try_from(known.acknowledged.len()).unwrap() * RUPIAH;
    assert_eq!(report["allocated"], format!("{effects}.00"), "{report}");
    let segments = segments_below(data);
    eprintln!(
        "killed {rounds} times under load and {starting} times while it started, of these in the midst \
         of {caught:?}; {} receipts stand, in {segments} segments",
        known.acknowledged.len()
    );
}

/// Posts one request after another until the server is gone.
async fn write(mut client: Client, name: String, known: Arc<Mutex<Known>>) {
    for n in 0.. {
        let (id, reference) = (Uuid::new_v4(), format!("{name}-{n}"));
        known.lock().unwrap().open.insert(id, reference.clone());
        let Ok(receipt) = client.send(id, &allocate(RUPIAH, &reference)).await else {
            return;
        };
        assert!(!receipt.duplicate);
        let mut known = known.lock().unwrap();
        known.open.remove(&id);
        let (position, hash) = (receipt.position, receipt.record_hash);
        known.acknowledged.push(Acknowledged { id, reference, position, hash });
    }
}

/// Sends every unanswered request again, under its own id: whether it took effect the first time
/// or not, it does now, once.
async fn retry_what_is_open(client: &mut Client, known: &Mutex<Known>) {
    let open = std::mem::take(&mut known.lock().unwrap().open);
    for (id, reference) in open {
        let receipt = client.send(id, &allocate(RUPIAH, &reference)).await.unwrap();
        let (position, hash) = (receipt.position, receipt.record_hash);
        let mut known = known.lock().unwrap();
        known.acknowledged.push(Acknowledged { id, reference, position, hash });
    }
}

/// Sends some that were answered again: they are known, and the receipts are the same.
async fn receipts_are_given_again(client: &mut Client, known: &Mutex<Known>, dice: &mut Dice) {
    for _ in 0..ASKED_AGAIN {
        let one = {
            let known = known.lock().unwrap();
            let all = &known.acknowledged;
            let Some(last) = all.len().checked_sub(1) else { return };
            all[usize::try_from(dice.below(last as u64 + 1)).unwrap()].clone()
        };
        let again = client.send(one.id, &allocate(RUPIAH, &one.reference)).await.unwrap();
        assert!(again.duplicate, "{} was acknowledged at {}", one.id, one.position);
        assert_eq!((again.position, again.record_hash), (one.position, one.hash));
    }
}
