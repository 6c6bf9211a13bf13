//! A disk whose syncs take long makes what the server can do small, so that ten times of it can be
//! offered.

use super::load::{Call, Load, Office, Told, accepted, message, places, pushed_back, quantile};
use super::{alone, seconds};
use crate::disk::{Disk, Mounted, Operation, Rule, Then};
use crate::support::{last_json, run};
use bergulir_proto::pb;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

/// Pieces of work that may wait.
const QUEUE: usize = 16;
/// The same, as metrics say it.
const FULL: f64 = 16.0;
/// What each sync of the log takes then.
const SYNC: Duration = Duration::from_millis(100);
/// How much more memory a server may have under load than before. It is a debug build.
const MEMORY: u64 = 48 << 20;

fn slow(mounted: &Mounted) {
    let rule = Rule { operation: Operation::Sync, path: "/log/", then: Then::Late(SYNC) };
    mounted.disk().rules = vec![rule];
}

fn quick(mounted: &Mounted) {
    mounted.disk().rules.clear();
}

async fn office() -> Option<(Mounted, Office)> {
    let mounted = Mounted::new(Disk::default())?;
    let queue = QUEUE.to_string();
    let office = Office::open(&mounted.data(), &["--ledger-queue", &queue]).await;
    Some((mounted, office))
}

/// Stops, and has it verified that so many commands took effect.
fn verify(mounted: &Mounted, office: Office, told: &[Told]) {
    let effects: usize =
        told.iter().filter(|told| told.outcome.is_ok()).map(|told| told.ids.len()).sum();
    assert!(office.server.stop().success());
    let verified = run(["audit", "verify", "--json", mounted.data().to_str().unwrap()]);
    let report = last_json(&verified);
    assert_eq!(verified.status.code(), Some(0), "{report}");
    assert_eq!(report["allocated"], format!("{}.00", effects * 3), "{report}");
}

/// Offers ten times of what is possible.
async fn overload(call: Call) {
    let _alone = alone().await;
    let Some((mounted, mut office)) = office().await else { return };
    let mut told = office.one_by_one(100).await;
    let normal = accepted(&told);

    slow(&mounted);
    let (capacity, more) = office.capacity(call, 2 * QUEUE, Duration::from_millis(1_500)).await;
    told.extend(more);
    let (before, appends) = (office.server.resident(), office.appends());
    let load = office.offer(call, 10.0 * capacity, seconds()).await;
    let sync = office.append_since(appends);
    quick(&mounted);
    // In a second at the most it is as before.
    let over = Instant::now();
    let mut wait = Vec::new();
    while over.elapsed() < Duration::from_secs(1) {
        wait.push(Call::Single.send(office.clients[0].clone()).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    told.extend(wait);
    let again = office.one_by_one(100).await;
    let (normal, later) = (quantile(normal, 500), quantile(accepted(&again), 500));
    told.extend(again);
    assert!(later < 3 * normal + Duration::from_millis(50), "{later:?} instead of {normal:?}");

    let Load { told: load, memory, queued, age } = load;
    let refused: Vec<&Told> = load.iter().filter(|told| told.outcome.is_err()).collect();
    for told in &refused {
        pushed_back(told.outcome.as_ref().unwrap_err());
    }
    let late = quantile(accepted(&load), 990);
    // Who is refused waits for no disk: that is what the machine and this client take.
    let at_once: Vec<Duration> = refused.iter().map(|told| told.took).collect();
    let busy = quantile(at_once.clone(), 990);
    eprintln!(
        "capacity {capacity:.0}/s, offered {}, accepted {}, refused {}; sync {sync:?}; p99 of accepted \
         {late:?}, of refused {busy:?}; {queued} waited at most, for {age} s at most; memory {before} \
         before, {memory} at most; one by one {normal:?} before, {later:?} after",
        load.len(),
        load.len() - refused.len(),
        refused.len(),
    );
    // The client and a busy machine may offer less than they should.
    assert!(refused.len() > load.len() / 2, "{} of {}", refused.len(), load.len());
    // The group that is being written, and its own; as much again, and more if the machine is busy.
    let bound = 4 * sync + Duration::from_millis(400) + 2 * busy;
    assert!(late < bound, "{late:?} and not {bound:?}: a sync takes {sync:?}, a refusal {busy:?}");
    let (refusal, answer) = (quantile(at_once, 500), quantile(accepted(&load), 500));
    assert!(refusal < answer, "{refusal:?} for a refusal, {answer:?} if accepted");
    assert!(memory < before + MEMORY, "{before} before, {memory} then");
    assert!(queued > 0.0 && queued <= FULL && age > 0.0, "{queued} for {age} s");
    told.extend(load);
    let all = told.iter().filter(|told| told.outcome.is_err()).count();
    #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
    let all = all as f64;
    for counted in [
        "bergulir_refused_total{reason=\"PUSHBACK\"}",
        "bergulir_pushed_back_total{ledger=\"pilot\",why=\"FULL\"}",
    ] {
        assert!((office.metric(counted) - all).abs() < 0.5, "{counted}: {all}");
    }
    office.only_what_was_accepted_is_there(&told).await;
    verify(&mounted, office, &told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_as_many_commands_as_are_possible() {
    overload(Call::Single).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_as_many_atomic_batches() {
    overload(Call::Batch(pb::BatchMode::Atomic, 4)).await;
}

/// Messages of each of these streams are sent as fast as they are taken,
const STREAMS: usize = 6;
/// until so many of them have no answer: far more than the server reads ahead.
const AHEAD: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_read_as_fast_as_the_disk_goes_and_answered_in_order() {
    let _alone = alone().await;
    let Some((mounted, mut office)) = office().await else { return };
    let mut told = office.one_by_one(20).await;
    slow(&mounted);
    let before = office.server.resident();
    let until = Instant::now() + seconds();
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        let mut client = office.clients[stream % office.clients.len()].clone();
        streams.spawn(async move {
            let (sender, messages) = tokio::sync::mpsc::channel(16);
            let (sent, order) = std::sync::mpsc::channel();
            let room = Arc::new(Semaphore::new(AHEAD));
            let answered = Arc::clone(&room);
            tokio::spawn(async move {
                while Instant::now() < until {
                    room.acquire().await.unwrap().forget();
                    let ids: Vec<Uuid> = (0..4).map(|_| Uuid::new_v4()).collect();
                    // Atomic, so that each message is work of its own.
                    let message = message(pb::BatchMode::Atomic, &ids);
                    // A message that nobody takes any more was not sent.
                    if sender.send(message).await.is_ok() {
                        sent.send(ids).unwrap();
                    }
                }
            });
            let mut answers =
                client.ledger.submit_stream(ReceiverStream::new(messages)).await.unwrap();
            let mut told = Vec::new();
            while let Some(answer) = answers.get_mut().message().await.unwrap() {
                let ids = order.recv().unwrap();
                assert_eq!(answer.error, None);
                answered.add_permits(1);
                let outcome = places(answer.results);
                told.push(Told { ids, took: Duration::ZERO, outcome });
            }
            assert!(order.try_recv().is_err(), "all are answered");
            let place = |told: &Told| told.outcome.as_ref().unwrap()[0].0;
            assert!(told.is_sorted_by_key(place), "in their order");
            told
        });
    }
    let (mut most, mut queued) = (0, 0.0_f64);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
        most = most.max(office.server.resident());
        queued = queued.max(office.metric("bergulir_queue_work{ledger=\"pilot\"}"));
    }
    let durable = office.metric("bergulir_head_records{ledger=\"pilot\"}");
    // What was sent and not read yet.
    quick(&mounted);
    for stream in streams.join_all().await {
        told.extend(stream);
    }
    let sent: usize = told.iter().map(|told| told.ids.len()).sum();
    eprintln!(
        "{durable} of {sent} durable at the end of the load; memory {before} before, {most} at most; \
         {queued} waited at most"
    );
    assert!(most < before + MEMORY, "{before} before, {most} then");
    assert!(queued > 0.0 && queued <= FULL, "{queued} waited");
    office.only_what_was_accepted_is_there(&told).await;
    verify(&mounted, office, &told);
}
