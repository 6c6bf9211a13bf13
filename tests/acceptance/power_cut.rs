//! The power is cut under load, many times in a row, on a disk with a volatile cache: every receipt that
//! was given stands, with its hash; no request takes effect twice; what was answered as of an instant
//! stays; the index heals by itself; the verification passes.
//!
//! `BERGULIR_POWER_CUTS` says how many cuts there are, `BERGULIR_SEED` replays one life of a ledger: the
//! seed decides when the power is cut and what survives. What the server's threads do until then is not
//! the same each time.

use crate::disk::dice::Dice;
use crate::disk::{Disk, Mounted, Operation, Rule, Then};
use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Client, LEDGER, Server, last_json, number, run, segments_below};
use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_proto::wire;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;
use tonic::Status;
use tonic_types::StatusExt as _;
use uuid::Uuid;

const DEFAULT_CUTS: u64 = 8;
/// A ledger lives through so many cuts.
const CUTS_OF_A_LIFE: u64 = 8;
const WRITERS: u64 = 6;
const RUPIAH: i64 = 3;
const FUND: &str = "ledgers/pilot/funds/f";
/// A group of the load has some 2 kB.
const SEGMENT_BYTES: &str = "8192";
/// How long a start or a load may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was sent together: one command, or a batch.
#[derive(Debug, Clone)]
struct Sent {
    mode: Option<pb::BatchMode>,
    items: Vec<(Uuid, String)>,
}

/// A request that was answered.
#[derive(Debug, Clone)]
struct Acknowledged {
    reference: String,
    position: u64,
    hash: Vec<u8>,
    /// It came in an atomic batch.
    atomic: bool,
}

/// What the callers know.
#[derive(Default)]
struct Known {
    /// Every request that was answered.
    acknowledged: BTreeMap<Uuid, Acknowledged>,
    /// What was sent and not answered.
    open: BTreeMap<Uuid, Sent>,
    /// The last answer as of an instant since the last cut: which record was the last one then.
    as_of: Option<(SystemTime, u64)>,
    answered_as_of: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    let (cuts, seed) = (number("BERGULIR_POWER_CUTS", DEFAULT_CUTS), number("BERGULIR_SEED", 1));
    let mut left = cuts;
    for seed in seed.. {
        let of_this = left.min(CUTS_OF_A_LIFE);
        match life(seed, of_this, &[]).await {
            Ok(Some((receipts, segments))) => {
                eprintln!(
                    "seed {seed}: {of_this} cuts, {receipts} receipts stand, in {segments} segments"
                );
            }
            Ok(None) => return,
            Err(lost) => panic!(
                "{lost}\nreplay it: BERGULIR_POWER_CUTS={of_this} BERGULIR_SEED={seed} cargo test \
                 --test acceptance nothing_acknowledged_is_lost_when_the_power_is_cut"
            ),
        }
        left -= of_this;
        if left == 0 {
            return;
        }
    }
}

/// The disk itself would find a server out that does not sync its log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_sync_of_the_log_a_loss_is_found_within_a_few_cuts() {
    let pretend = [Rule { operation: Operation::Sync, path: "/log/", then: Then::Pretend }];
    let mut found = Vec::new();
    for seed in 1..=5 {
        match life(seed, CUTS_OF_A_LIFE, &pretend).await {
            Ok(None) => return,
            Ok(Some(_)) => {}
            Err(lost) => found.push(lost),
        }
    }
    assert!(!found.is_empty(), "a lying disk is not found out: the tests above mean nothing");
    eprintln!("{} of 5: {}", found.len(), found[0]);
}

/// The files of the log are small, so that the power is cut while one ends and the next begins.
fn start(data: &Path) -> Result<Server, String> {
    let data = data.to_str().unwrap();
    Server::try_run(["serve", "--data", data, "--ledger-segment-bytes", SEGMENT_BYTES])
}

/// Lets a ledger live through some cuts; gives the number of receipts that stand at the end and of
/// segments that they are in, and what was lost otherwise. `None`: no such disk can be had here.
async fn life(seed: u64, cuts: u64, rules: &[Rule]) -> Result<Option<(usize, usize)>, String> {
    let mut dice = Dice::new(seed);
    let Some(mut mounted) = Mounted::new(Disk::default()) else { return Ok(None) };
    let known = Arc::new(Mutex::new(Known::default()));
    let mut server = start(&mounted.data())?;
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;

    for cut in 0..cuts {
        {
            let mut disk = mounted.disk();
            disk.rules = rules.to_vec();
            disk.until_cut = Some(1 + dice.below(400));
        }
        load_until_cut(&mounted, &server, cut, &known).await?;
        server.kill();
        mounted = survivor(mounted, &mut dice)?;
        // Now and then it is cut again while the server starts.
        while dice.one_in(4) {
            mounted.disk().until_cut = Some(1 + dice.below(60));
            if let Ok(server) = start(&mounted.data()) {
                server.kill();
            }
            mounted = survivor(mounted, &mut dice)?;
        }
        server = start(&mounted.data())?;
        let what = format!("after cut {} of seed {seed}", cut + 1);
        everything_stands(&server, &known, &mut dice)
            .await
            .map_err(|lost| format!("{what}: {lost}"))?;
    }
    server.stop();
    let known = known.lock().unwrap();
    if known.answered_as_of == 0 {
        return Err("nobody was answered as of an instant".to_owned());
    }
    verify(&mounted, &known)?;
    let receipts = known.acknowledged.len();
    Ok(Some((receipts, segments_below(&mounted.data()))))
}

/// The disk when the power is back.
fn survivor(mounted: Mounted, dice: &mut Dice) -> Result<Mounted, String> {
    let survivor = mounted.disk().survivor(dice);
    drop(mounted);
    Mounted::new(survivor).ok_or_else(|| "the disk cannot be mounted again".to_owned())
}

async fn load_until_cut(
    mounted: &Mounted,
    server: &Server,
    cut: u64,
    known: &Arc<Mutex<Known>>,
) -> Result<(), String> {
    let client = server.client("maker").await;
    let mut load = JoinSet::new();
    for writer in 0..WRITERS {
        let name = format!("C{cut}-{writer}");
        load.spawn(write(client.clone(), writer, name, Arc::clone(known)));
    }
    // Seals and snapshots too.
    let mut sealing = client.clone();
    load.spawn(async move {
        let seal = pb::CreateSealRequest { ledger: LEDGER.to_owned() };
        while sealing.ledger.create_seal(seal.clone()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    load.spawn(ask_as_of(client, Arc::clone(known)));
    let began = Instant::now();
    while !mounted.disk().dead {
        if began.elapsed() > PATIENCE {
            return Err("the load came to rest before the cut".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // What was durable before is still being answered.
    tokio::time::sleep(Duration::from_millis(20)).await;
    load.shutdown().await;
    Ok(())
}

/// Sends one request after another until one fails.
async fn write(mut client: Client, writer: u64, name: String, known: Arc<Mutex<Known>>) {
    let (mode, many) = match writer {
        0 => (Some(pb::BatchMode::Independent), 7),
        1 => (Some(pb::BatchMode::Atomic), 3),
        _ => (None, 1),
    };
    for n in 0.. {
        let items = (0..many).map(|item| (Uuid::new_v4(), format!("{name}-{n}-{item}"))).collect();
        let sent = Sent { mode, items };
        known.lock().unwrap().open.insert(sent.items[0].0, sent.clone());
        if settle(&mut client, &sent, &known).await.is_err() {
            return;
        }
    }
}

/// Asks as of one instant after the other until it is not answered.
async fn ask_as_of(mut client: Client, known: Arc<Mutex<Known>>) {
    loop {
        // Hardly any record is of a later time yet: the answer rests on what is promised of the next.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let micros = u64::try_from(now.as_micros()).unwrap();
        let instant = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        let Ok(position) = last_at(&mut client, instant).await else { return };
        {
            let mut known = known.lock().unwrap();
            known.as_of = Some((instant, position));
            known.answered_as_of += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Which record is the last one as of an instant.
async fn last_at(client: &mut Client, instant: SystemTime) -> Result<u64, Status> {
    let request = pb::GetBalanceRequest {
        name: FUND.to_owned(),
        as_of: Some(pb::get_balance_request::AsOf::AsOfRecorded(instant.into())),
        ..pb::GetBalanceRequest::default()
    };
    Ok(client.query.get_balance(request).await?.into_inner().as_of_position)
}

/// Sends it, and takes note of the answer.
async fn settle(client: &mut Client, sent: &Sent, known: &Mutex<Known>) -> Result<(), Status> {
    let receipts = send(client, sent).await?;
    let mut known = known.lock().unwrap();
    known.open.remove(&sent.items[0].0);
    for ((id, reference), (position, hash, _)) in sent.items.iter().zip(receipts) {
        let (reference, atomic) = (reference.clone(), sent.mode == Some(pb::BatchMode::Atomic));
        known.acknowledged.insert(*id, Acknowledged { reference, position, hash, atomic });
    }
    Ok(())
}

/// Position, hash, and whether it was recorded before, of each.
async fn send(client: &mut Client, sent: &Sent) -> Result<Vec<(u64, Vec<u8>, bool)>, Status> {
    let Some(mode) = sent.mode else {
        let (id, reference) = &sent.items[0];
        let receipt = client.send(*id, &allocate(RUPIAH, reference)).await?;
        return Ok(vec![(receipt.position, receipt.record_hash, receipt.duplicate)]);
    };
    let item = |(id, reference): &(Uuid, String)| pb::BatchItem {
        request_id: id.to_string(),
        command: wire::command_to_wire(&allocate(RUPIAH, reference)),
    };
    let request = pb::SubmitBatchRequest {
        ledger: LEDGER.to_owned(),
        mode: mode.into(),
        items: sent.items.iter().map(item).collect(),
        ..pb::SubmitBatchRequest::default()
    };
    let results = client.ledger.submit_batch(request).await?.into_inner().results;
    let receipt = |result: pb::BatchItemResult| match result.outcome {
        Some(Outcome::Receipt(receipt)) => {
            Ok((receipt.position, receipt.record_hash, receipt.duplicate))
        }
        // The ledger failed between two of them.
        other => Err(Status::unknown(format!("{other:?}"))),
    };
    results.into_iter().map(receipt).collect()
}

async fn everything_stands(
    server: &Server,
    known: &Mutex<Known>,
    dice: &mut Dice,
) -> Result<(), String> {
    let mut client = server.client("maker").await;
    let said = |status: Status| format!("{:?}: {}", status.code(), status.message());
    let open = known.lock().unwrap().open.clone();
    for sent in open.values() {
        // Whether it took effect the first time or not, it does now, once.
        settle(&mut client, sent, known).await.map_err(said)?;
    }
    let records = client.try_records().await.map_err(said)?;
    let acknowledged = known.lock().unwrap().acknowledged.clone();
    for (id, Acknowledged { position, hash, .. }) in &acknowledged {
        let Some(record) = records.get(usize::try_from(*position).unwrap()) else {
            return Err(format!("position {position} was acknowledged and is gone ({id})"));
        };
        if (&record.record_hash, record.position) != (hash, *position) {
            return Err(format!("position {position} is another record than was acknowledged"));
        }
    }
    let ids: BTreeSet<&str> = records.iter().map(|record| record.request_id.as_str()).collect();
    if ids.len() != records.len() {
        return Err("a request id stands twice".to_owned());
    }
    let as_of = known.lock().unwrap().as_of.take();
    if let Some((instant, position)) = as_of {
        let now = last_at(&mut client, instant).await.map_err(said)?;
        if now != position {
            return Err(format!(
                "as of {instant:?} position {position} was the last, now {now} is"
            ));
        }
    }
    // The index knows them: a few are sent again.
    let some = 1 + usize::try_from(dice.below(acknowledged.len().max(10) as u64 / 10)).unwrap();
    for (id, one) in acknowledged.iter().step_by(some).take(20) {
        let Acknowledged { reference, position, hash, atomic } = one;
        let again = client.send(*id, &allocate(RUPIAH, reference)).await;
        let stands = match &again {
            Ok(again) => {
                let place = (again.position, &again.record_hash);
                !*atomic && again.duplicate && place == (*position, hash)
            }
            // One of an atomic batch, sent alone, is another request.
            Err(status) => *atomic && reason(status).as_deref() == Some("REQUEST_ID_CONFLICT"),
        };
        if !stands {
            return Err(format!("a retry of {one:?} gives {again:?}"));
        }
    }
    Ok(())
}

fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// The auditor finds everything in order, and as much money as was acknowledged.
fn verify(mounted: &Mounted, known: &Known) -> Result<(), String> {
    let verified = run(["audit", "verify", "--json", mounted.data().to_str().unwrap()]);
    let report = last_json(&verified);
    let effects = i64::try_from(known.acknowledged.len()).unwrap() * RUPIAH;
    let allocated = format!("{effects}.00");
    if verified.status.code() != Some(0) || report["allocated"] != allocated.as_str() {
        return Err(format!("{allocated} were acknowledged, and the verification says {report}"));
    }
    Ok(())
}
