//! Puts a load on a server: workers that send one request after another, and count every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_proto::pb::command::Kind;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::plan::{Expected, Mix, Money};
use crate::desk::{Desk, Person, refused};
use crate::failure::Failure;

/// How a load is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// One command a call.
    Unary,
    /// So many commands a call.
    Batches(usize),
}

/// When a load ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// After so many commands.
    pub(crate) events: u64,
    /// At this instant.
    pub(crate) at: Option<Instant>,
}

/// What the workers counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// New records.
    pub(crate) events: u64,
    /// Refusals, as expected.
    pub(crate) refused: u64,
    /// Duplicates, as expected.
    pub(crate) duplicates: u64,
    /// What the new records moved.
    pub(crate) money: Money,
    /// How long each request took, in microseconds.
    pub(crate) latencies: Vec<u32>,
    /// The highest position that was answered.
    pub(crate) last_position: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.events += other.events;
        self.refused += other.refused;
        self.duplicates += other.duplicates;
        self.money.add(other.money);
        self.latencies.extend(other.latencies);
        self.last_position = self.last_position.max(other.last_position);
    }

    fn timed(&mut self, took: Duration) {
        self.latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Counts an answer, which must be what was expected.
    fn count(
        &mut self,
        expected: Expected,
        got: Result<(u64, bool), String>,
    ) -> Result<(), Failure> {
        match (expected, got) {
            (Expected::New(money), Ok((position, false))) => {
                self.events += 1;
                self.money.add(money);
                self.last_position = self.last_position.max(position);
            }
            (Expected::Duplicate, Ok((_, true))) => self.duplicates += 1,
            (Expected::Refused, Err(reason)) if reason == "LOAN_LIMIT_EXCEEDED" => {
                self.refused += 1;
            }
            (expected, got) => {
                return Err(Failure::CouldNotTell(format!(
                    "a command was answered wrongly: {expected:?} was expected, and {got:?} came"
                )));
            }
        }
        Ok(())
    }

    /// The latency that this many of a thousand requests did not exceed.
    pub(crate) fn per_mille(&self, per_mille: usize) -> u32 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (self.latencies.len() * per_mille).div_ceil(1_000).max(1) - 1;
        self.latencies.get(place.min(last)).copied().unwrap_or(0)
    }
}

/// Runs the workers to the end; the latencies come sorted.
pub(crate) async fn run(
    desks: &[Desk],
    mixes: Vec<Mix>,
    sending: Sending,
    until: Until,
    bar: &ProgressBar,
) -> Result<Tally, Failure> {
    // What is left to be sent, in commands; shared, so that no worker ends long before the others.
    let left = Arc::new(AtomicU64::new(until.events));
    let mut workers = JoinSet::new();
    for (desk, mix) in desks.iter().cycle().zip(mixes) {
        let worker = Worker {
            desk: desk.clone(),
            mix,
            left: Arc::clone(&left),
            until,
            bar: bar.clone(),
            tally: Tally::default(),
        };
        workers.spawn(worker.work(sending));
    }
    let mut tally = Tally::default();
    while let Some(worker) = workers.join_next().await {
        let counted =
            worker.map_err(|error| Failure::CouldNotTell(format!("a worker was lost: {error}")))?;
        tally.add(counted?);
    }
    tally.latencies.sort_unstable();
    Ok(tally)
}

struct Worker {
    desk: Desk,
    mix: Mix,
    left: Arc<AtomicU64>,
    until: Until,
    bar: ProgressBar,
    tally: Tally,
}

impl Worker {
    async fn work(mut self, sending: Sending) -> Result<Tally, Failure> {
        let size = match sending {
            Sending::Unary => 1,
            Sending::Batches(size) => size,
        };
        while let Some(commands) = self.take(size) {
            match sending {
                Sending::Unary => self.call().await?,
                Sending::Batches(_) => self.batch(commands).await?,
            }
            self.bar.inc(commands as u64);
        }
        Ok(self.tally)
    }

    /// How many of at most that many commands are to be sent next; `None`: the load has ended.
    fn take(&self, size: usize) -> Option<usize> {
        if self.until.at.is_some_and(|at| Instant::now() >= at) {
            return None;
        }
        let size = size as u64;
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left > 0).then(|| left.saturating_sub(size))
            })
            .ok()?;
        usize::try_from(before.min(size)).ok()
    }

    async fn batch(&mut self, commands: usize) -> Result<(), Failure> {
        let mut items = Vec::with_capacity(commands);
        let mut expected = Vec::with_capacity(commands);
        for _ in 0..commands {
            let (item, leads_to) = self.mix.command();
            items.push(item);
            expected.push(leads_to);
        }
        let request = pb::SubmitBatchRequest {
            ledger: self.desk.ledger(),
            mode: pb::BatchMode::Independent.into(),
            expected_position: None,
            validate_only: false,
            items,
        };
        let began = Instant::now();
        let answer = self
            .desk
            .commands()
            .submit_batch(Desk::from(Person::Maker, request))
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        self.tally.timed(began.elapsed());
        if answer.results.len() != expected.len() {
            return Err(Failure::CouldNotTell(format!(
                "{} commands were sent, and {} answers came",
                expected.len(),
                answer.results.len()
            )));
        }
        for (result, expected) in answer.results.into_iter().zip(expected) {
            let got = match result.outcome {
                Some(Outcome::Receipt(receipt)) => Ok((receipt.position, receipt.duplicate)),
                Some(Outcome::Error(error)) => Err(error.reason),
                None => Err("no outcome".to_owned()),
            };
            self.tally.count(expected, got)?;
        }
        Ok(())
    }

    async fn call(&mut self) -> Result<(), Failure> {
        let (item, expected) = self.mix.command();
        let mut commands = self.desk.commands();
        let ledger = self.desk.ledger();
        let request_id = item.request_id;
        let began = Instant::now();
        let answer = match item.command.and_then(|command| command.kind) {
            Some(Kind::Disburse(disburse)) => {
                let request = pb::DisburseRequest {
                    ledger,
                    request_id,
                    disburse: Some(disburse),
                    ..pb::DisburseRequest::default()
                };
                let answer = commands.disburse(Desk::from(Person::Maker, request)).await;
                answer.map(|answer| answer.into_inner().receipt)
            }
            Some(Kind::Repay(repay)) => {
                let request = pb::RepayRequest {
                    ledger,
                    request_id,
                    repay: Some(repay),
                    ..pb::RepayRequest::default()
                };
                let answer = commands.repay(Desk::from(Person::Maker, request)).await;
                answer.map(|answer| answer.into_inner().receipt)
            }
            _ => return Ok(()),
        };
        self.tally.timed(began.elapsed());
        let got = match answer {
            Ok(Some(receipt)) => Ok((receipt.position, receipt.duplicate)),
            Ok(None) => Err("no receipt".to_owned()),
            Err(status) => match refused(&status) {
                Failure::Refused(refusal) => Err(refusal.reason.unwrap_or_default()),
                failure => return Err(failure),
            },
        };
        self.tally.count(expected, got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_real_requests() {
        let mut tally = Tally { latencies: (1..=1_000).collect(), ..Tally::default() };
        assert_eq!(tally.per_mille(500), 500);
        assert_eq!(tally.per_mille(990), 990);
        assert_eq!(tally.per_mille(999), 999);
        tally.latencies = vec![7];
        assert_eq!((tally.per_mille(500), tally.per_mille(999)), (7, 7));
        tally.latencies.clear();
        assert_eq!(tally.per_mille(500), 0);
    }

    #[test]
    fn an_answer_that_was_not_expected_ends_the_load() {
        let mut tally = Tally::default();
        let money = Money { disbursed: 5, ..Money::default() };
        assert!(tally.count(Expected::New(money), Ok((3, false))).is_ok());
        assert!(tally.count(Expected::Duplicate, Ok((3, true))).is_ok());
        let refused = || Err("LOAN_LIMIT_EXCEEDED".to_owned());
        assert!(tally.count(Expected::Refused, refused()).is_ok());
        assert!(tally.count(Expected::New(money), Ok((3, true))).is_err());
        assert!(tally.count(Expected::New(money), refused()).is_err());
        assert!(tally.count(Expected::Refused, Err("OTHER".to_owned())).is_err());
        assert!(tally.count(Expected::Refused, Ok((4, false))).is_err());
        assert_eq!((tally.events, tally.duplicates, tally.refused), (1, 1, 1));
        assert_eq!((tally.money, tally.last_position), (money, 3));
    }
}
