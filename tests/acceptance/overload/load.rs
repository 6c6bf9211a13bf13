//! A load on a real server, and what it does to it.

use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{Client, LEDGER, Server};
use crate::telemetry::{get, value};
use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_proto::wire;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// Every command moves so much; the sum tells how many took effect.
pub const RUPIAH: i64 = 3;
/// Connections that a load comes over.
const CONNECTIONS: usize = 4;
/// How often calls are sent.
const TICK: Duration = Duration::from_millis(5);
/// How often it is looked how the server is.
const LOOK: Duration = Duration::from_millis(200);
/// When a call has no answer by then, something is wrong, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a fund, and its metrics.
pub struct Office {
    pub server: Server,
    metrics: String,
    pub clients: Vec<Client>,
}

/// Where a command is: position and hash.
pub type Place = (u64, Vec<u8>);

/// One call and its outcome: the places of its commands, in their order.
pub struct Told {
    pub ids: Vec<Uuid>,
    pub took: Duration,
    pub outcome: Result<Vec<Place>, Status>,
}

/// What a load came to.
pub struct Load {
    pub told: Vec<Told>,
    /// The most memory that the server had.
    pub memory: u64,
    /// The most work that waited, and the longest that it waited, in seconds.
    pub queued: f64,
    pub age: f64,
}

/// What a call holds.
#[derive(Clone, Copy)]
pub enum Call {
    Single,
    /// A batch of so many commands.
    Batch(pb::BatchMode, usize),
}

impl Call {
    pub fn commands(self) -> usize {
        match self {
            Call::Single => 1,
            Call::Batch(_, commands) => commands,
        }
    }

    pub async fn send(self, mut client: Client) -> Told {
        let ids: Vec<Uuid> = (0..self.commands()).map(|_| Uuid::new_v4()).collect();
        let sent = Instant::now();
        let outcome = match self {
            Call::Single => {
                let command = allocate(RUPIAH, &ids[0].to_string());
                let receipt = client.send(ids[0], &command).await;
                receipt.map(|receipt| vec![(receipt.position, receipt.record_hash)])
            }
            Call::Batch(mode, _) => {
                let answer = client.ledger.submit_batch(batch(mode, &ids)).await;
                answer.and_then(|answer| places(answer.into_inner().results))
            }
        };
        Told { ids, took: sent.elapsed(), outcome }
    }
}

/// A batch of allocations with these request ids.
fn batch(mode: pb::BatchMode, ids: &[Uuid]) -> pb::SubmitBatchRequest {
    let item = |id: &Uuid| pb::BatchItem {
        request_id: id.to_string(),
        command: wire::command_to_wire(&allocate(RUPIAH, &id.to_string())),
    };
    pb::SubmitBatchRequest {
        ledger: LEDGER.to_owned(),
        mode: mode.into(),
        items: ids.iter().map(item).collect(),
        ..pb::SubmitBatchRequest::default()
    }
}

/// The message of a stream that is the same as a batch.
pub fn message(mode: pb::BatchMode, ids: &[Uuid]) -> pb::SubmitStreamRequest {
    let pb::SubmitBatchRequest { ledger, mode, items, .. } = batch(mode, ids);
    pb::SubmitStreamRequest { ledger, mode, items, ..pb::SubmitStreamRequest::default() }
}

pub fn places(results: Vec<pb::BatchItemResult>) -> Result<Vec<Place>, Status> {
    let place = |result: pb::BatchItemResult| match result.outcome {
        Some(Outcome::Receipt(receipt)) => Ok((receipt.position, receipt.record_hash)),
        other => Err(Status::unknown(format!("{other:?}"))),
    };
    results.into_iter().map(place).collect()
}

impl Office {
    /// Starts a server with more arguments than where its data are.
    pub async fn open(data: &Path, more: &[&str]) -> Office {
        let (server, metrics) = crate::telemetry::watched(data, more);
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(server.client("maker").await);
        }
        let mut office = Office { server, metrics, clients };
        office.clients[0].post(&open_ledger()).await;
        office.clients[0].post(&open_fund()).await;
        office
    }

    /// One call after the other; each must be accepted.
    pub async fn one_by_one(&self, calls: usize) -> Vec<Told> {
        let mut told = Vec::new();
        for _ in 0..calls {
            let call = Call::Single.send(self.clients[0].clone()).await;
            assert!(call.outcome.is_ok(), "{:?}", call.outcome);
            told.push(call);
        }
        told
    }

    /// What is accepted in a second if so many callers ask without end, and try again when they are
    /// pushed back.
    pub async fn capacity(&self, call: Call, callers: usize, time: Duration) -> (f64, Vec<Told>) {
        let until = Instant::now() + time;
        let mut all = JoinSet::new();
        for caller in 0..callers {
            let client = self.clients[caller % CONNECTIONS].clone();
            all.spawn(async move {
                let mut told = Vec::new();
                while Instant::now() < until {
                    let one = call.send(client.clone()).await;
                    if let Err(status) = &one.outcome {
                        pushed_back(status);
                        tokio::time::sleep(2 * TICK).await;
                    }
                    told.push(one);
                }
                told
            });
        }
        let told: Vec<Told> = all.join_all().await.into_iter().flatten().collect();
        let accepted = told.iter().filter(|told| told.outcome.is_ok()).count();
        #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
        let rate = accepted as f64 / time.as_secs_f64();
        (rate, told)
    }

    /// Sends so many calls a second, whatever becomes of them; each must be answered.
    pub async fn offer(&self, call: Call, per_second: f64, time: Duration) -> Load {
        let began = Instant::now();
        let mut load = Load { told: Vec::new(), memory: 0, queued: 0.0, age: 0.0 };
        let (mut calls, mut sent, mut looked) = (JoinSet::new(), 0.0, began);
        let mut tick = tokio::time::interval(TICK);
        while began.elapsed() < time {
            tick.tick().await;
            while sent < per_second * began.elapsed().as_secs_f64() {
                let client = self.clients[calls.len() % CONNECTIONS].clone();
                calls.spawn(call.send(client));
                sent += 1.0;
            }
            while let Some(done) = calls.try_join_next() {
                load.told.push(done.unwrap());
            }
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                load.memory = load.memory.max(self.server.resident());
                let of = |name| self.metric(&format!("bergulir_queue_{name}{{ledger=\"pilot\"}}"));
                load.queued = of("work").max(load.queued);
                load.age = of("age_seconds").max(load.age);
            }
        }
        let rest = tokio::time::timeout(PATIENCE, calls.join_all());
        load.told.extend(rest.await.expect("every call is answered"));
        load
    }

    /// The value of a metric.
    pub fn metric(&self, line: &str) -> f64 {
        let answer = get(&self.metrics, "/metrics");
        value(answer.text(), line).unwrap_or_else(|| panic!("{line}: {}", answer.text()))
    }

    /// How long it took in all to make groups durable, in seconds, and how many they were.
    pub fn appends(&self) -> (f64, f64) {
        let of = |what| self.metric(&format!("bergulir_append_seconds_{what}{{ledger=\"pilot\"}}"));
        (of("sum"), of("count"))
    }

    /// How long it took for each group since then.
    pub fn append_since(&self, (seconds, groups): (f64, f64)) -> Duration {
        let now = self.appends();
        Duration::from_secs_f64((now.0 - seconds) / (now.1 - groups))
    }

    /// Each that was accepted is there once, where it was said to be; of the others is nothing there.
    pub async fn only_what_was_accepted_is_there(&mut self, told: &[Told]) {
        let records = self.clients[0].records().await;
        let mut accepted = 0;
        for Told { ids, outcome, .. } in told {
            let Ok(places) = outcome else { continue };
            assert_eq!(ids.len(), places.len());
            for (id, (position, hash)) in ids.iter().zip(places) {
                let record = &records[usize::try_from(*position).unwrap()];
                assert_eq!((&record.request_id, &record.record_hash), (&id.to_string(), hash));
                accepted += 1;
            }
        }
        // The ledger and the fund were opened.
        assert_eq!(records.len(), 2 + accepted);
    }
}

/// Looks whether a call was refused as it should: now is too much, and come again then.
pub fn pushed_back(status: &Status) -> Duration {
    let info = status.get_details_error_info();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(info.map(|info| info.reason).as_deref(), Some("PUSHBACK"), "{status:?}");
    let retry = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    retry.expect("it says when to come again")
}

/// How long those took that were accepted.
pub fn accepted(told: &[Told]) -> Vec<Duration> {
    told.iter().filter(|told| told.outcome.is_ok()).map(|told| told.took).collect()
}

/// The longest of so many thousandths of all.
pub fn quantile(mut all: Vec<Duration>, thousandths: usize) -> Duration {
    all.sort_unstable();
    all[(all.len() * thousandths / 1_000).min(all.len() - 1)]
}
