//! Puts a load on a server: workers that send prepared bytes, keep so many requests under way, and
//! check every answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use prost::bytes::Bytes;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::connection::{Answers, Call, Connection, broken};
use super::encode;
use super::measured::float;
use super::mix::{Expected, Mix, Money, Move};
use super::skim::{self, Outcome};
use super::tally::{Answered, Sent, Tally};
use crate::desk::refused;
use crate::failure::{Failure, Refusal};

/// So many bytes a command of a batch takes, or less.
const COMMAND_BYTES: usize = 224;
/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(100);

/// How a load is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// One command a call.
    Unary,
    /// So many commands a call.
    Batches(usize),
    /// So many commands a message, and so many messages of a stream under way.
    Streams { commands: usize, under_way: usize },
}

impl Sending {
    fn commands(self) -> usize {
        match self {
            Sending::Unary => 1,
            Sending::Batches(commands) | Sending::Streams { commands, .. } => commands,
        }
    }
}

/// When a load ends, and how fast it goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// After so many commands.
    pub(crate) events: u64,
    /// After so long.
    pub(crate) after: Option<Duration>,
    /// At most so many commands a second.
    pub(crate) pace: Option<f64>,
}

/// The part of a load that goes to one ledger from one worker.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) mix: Mix,
    /// Which of the ledgers.
    pub(crate) ledger: usize,
    /// Its name.
    pub(crate) name: Arc<str>,
}

/// One who sends. A worker has one request under way, or one stream.
#[derive(Debug)]
pub(crate) struct Worker {
    connection: Connection,
    lanes: Vec<Lane>,
    turn: usize,
    answer: Answers,
}

impl Worker {
    pub(crate) fn new(connection: Connection, lanes: Vec<Lane>) -> Worker {
        Worker { connection, lanes, turn: 0, answer: Answers::default() }
    }

    /// What this worker's commands moved, by ledger.
    pub(crate) fn money(&self) -> impl Iterator<Item = (usize, Money)> + '_ {
        self.lanes.iter().map(|lane| (lane.ledger, lane.mix.money))
    }
}

/// Runs the workers to the end, and gives what they counted, with how long it took.
pub(crate) async fn run(
    workers: &mut Vec<Worker>,
    sending: Sending,
    until: Until,
    bar: &ProgressBar,
) -> Result<(Tally, Duration), Failure> {
    let began = Instant::now();
    let ends = until.after.map(|after| began + after);
    let pace = until.pace.map(|pace| (began, pace));
    let goal = Arc::new(Goal {
        left: AtomicU64::new(until.events),
        sent: AtomicU64::new(0),
        answered: AtomicU64::new(0),
        ends,
        pace,
    });
    let mut all = JoinSet::new();
    for worker in workers.drain(..) {
        let shift = Shift { worker, goal: Arc::clone(&goal), tally: Tally::default() };
        all.spawn(shift.work(sending));
    }
    let mut tick = tokio::time::interval(TICK);
    let mut tally = Tally::default();
    loop {
        tokio::select! {
            ended = all.join_next() => match ended {
                Some(ended) => {
                    let lost = |error| Failure::CouldNotTell(format!("a worker was lost: {error}"));
                    let (worker, counted) = ended.map_err(lost)??;
                    tally.add(counted);
                    workers.push(worker);
                }
                None => break,
            },
            _ = tick.tick() => bar.set_position(goal.answered.load(Ordering::Relaxed)),
        }
    }
    let took = began.elapsed();
    tally.latencies.sort_unstable();
    Ok((tally, took))
}

/// What all workers of a load share.
struct Goal {
    /// What is left to be sent, in commands, so that no worker ends long before the others.
    left: AtomicU64,
    sent: AtomicU64,
    answered: AtomicU64,
    ends: Option<Instant>,
    /// Since when, and how many commands a second.
    pace: Option<(Instant, f64)>,
}

impl Goal {
    /// How many of at most that many commands are to be sent next; `None`: the load has ended.
    fn take(&self, most: usize) -> Option<usize> {
        if self.ends.is_some_and(|ends| Instant::now() >= ends) {
            return None;
        }
        let most = most as u64;
        let left = &self.left;
        let before = left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left > 0).then(|| left.saturating_sub(most))
            })
            .ok()?;
        usize::try_from(before.min(most)).ok()
    }

    /// Waits until that many commands may be sent.
    async fn wait(&self, commands: usize) {
        if let Some((since, pace)) = self.pace {
            let sent = self.sent.fetch_add(commands as u64, Ordering::Relaxed);
            let due = since + Duration::from_secs_f64(float(sent) / pace);
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

/// A worker at work.
struct Shift {
    worker: Worker,
    goal: Arc<Goal>,
    tally: Tally,
}

impl Shift {
    async fn work(mut self, sending: Sending) -> Result<(Worker, Tally), Failure> {
        match sending {
            Sending::Unary => self.calls().await?,
            Sending::Batches(_) => self.batches(sending).await?,
            Sending::Streams { under_way, .. } => self.stream(sending, under_way).await?,
        }
        Ok((self.worker, self.tally))
    }

    fn lane(&mut self) -> &mut Lane {
        self.worker.turn = (self.worker.turn + 1) % self.worker.lanes.len();
        &mut self.worker.lanes[self.worker.turn]
    }

    /// Appends a batch to what will be sent.
    fn prepare(&mut self, commands: usize, out: &mut Vec<u8>) -> Sent {
        let lane = self.lane();
        let mut sent = Sent { commands, others: Vec::new() };
        out.reserve(commands * COMMAND_BYTES + 64);
        encode::grpc(out, |out| {
            encode::batch(out, &lane.name);
            for place in 0..commands {
                let (payment, expected) = lane.mix.next();
                encode::item(out, &payment);
                if expected != Expected::New {
                    sent.others.push((place, expected));
                }
            }
        });
        sent
    }

    fn done(&self, commands: usize) {
        self.goal.answered.fetch_add(commands as u64, Ordering::Relaxed);
    }

    async fn batches(&mut self, sending: Sending) -> Result<(), Failure> {
        let method = self.worker.connection.method("LedgerService/SubmitBatch")?;
        while let Some(commands) = self.goal.take(sending.commands()) {
            self.goal.wait(commands).await;
            let mut message = Vec::new();
            let sent = self.prepare(commands, &mut message);
            let began = Instant::now();
            let Worker { connection, answer, .. } = &mut self.worker;
            let (mut answered, mut counted) = (Answered::to(&sent), Ok(()));
            let each = |piece: &[u8]| {
                if counted.is_ok() {
                    counted = answered.read(piece, &mut self.tally);
                }
            };
            let called = connection.call_in_pieces(&method, message, answer, each).await;
            called.map_err(|status| refused(&status))?;
            self.tally.timed(began.elapsed());
            counted?;
            answered.end()?;
            self.done(commands);
        }
        Ok(())
    }

    async fn stream(&mut self, sending: Sending, most: usize) -> Result<(), Failure> {
        let method = self.worker.connection.method("LedgerService/SubmitStream")?;
        let stream = self.worker.connection.stream(&method).await;
        let (mut sender, mut answers) = stream.map_err(|status| refused(&status))?;
        let mut under_way: VecDeque<(Instant, Sent)> = VecDeque::new();
        loop {
            let mut out = Vec::new();
            while under_way.len() < most
                && let Some(commands) = self.goal.take(sending.commands())
            {
                self.goal.wait(commands).await;
                let sent = self.prepare(commands, &mut out);
                under_way.push_back((Instant::now(), sent));
            }
            if under_way.is_empty() {
                break;
            }
            if !out.is_empty() {
                let sent = sender.send_data(Bytes::from(out), false);
                sent.map_err(|error| refused(&broken(error)))?;
            }
            answers.wait().await.map_err(|status| refused(&status))?;
            while let Some(answer) = answers.here() {
                let (began, sent) = under_way.pop_front().ok_or_else(no_answer)?;
                self.tally.timed(began.elapsed());
                self.tally.batch(answer, &sent)?;
                self.done(sent.commands);
            }
        }
        sender.send_data(Bytes::new(), true).map_err(|error| refused(&broken(error)))
    }

    async fn calls(&mut self) -> Result<(), Failure> {
        let disburse = self.worker.connection.method("LedgerService/Disburse")?;
        let repay = self.worker.connection.method("LedgerService/Repay")?;
        while self.goal.take(1).is_some() {
            self.goal.wait(1).await;
            let lane = self.lane();
            let (payment, expected) = lane.mix.next();
            let mut message = Vec::with_capacity(COMMAND_BYTES);
            encode::grpc(&mut message, |out| encode::request(out, &lane.name, &payment));
            let method: &Call = match payment.moves {
                Move::Disburse { .. } => &disburse,
                Move::Repay { .. } => &repay,
            };
            let began = Instant::now();
            let Worker { connection, answer, .. } = &mut self.worker;
            let called = connection.call(method, message, answer).await;
            self.tally.timed(began.elapsed());
            match called {
                Ok(()) => {
                    let outcome = skim::single(answer.here().ok_or_else(no_answer)?);
                    let outcome = outcome.map_err(|_| no_answer())?;
                    self.tally.count(expected, outcome, None)?;
                }
                Err(status) => {
                    let reason = refusal_reason(&status)?;
                    self.tally.count(expected, Outcome::Refused(reason.as_bytes()), None)?;
                }
            }
            self.done(1);
        }
        Ok(())
    }
}

/// Why a rule refused a single call; any other end of it ends the load.
fn refusal_reason(status: &Status) -> Result<String, Failure> {
    match refused(status) {
        Failure::Refused(refusal) if status.code() == Code::FailedPrecondition => {
            let Refusal { reason, .. } = *refusal;
            Ok(reason.unwrap_or_default())
        }
        failure => Err(failure),
    }
}

fn no_answer() -> Failure {
    Failure::CouldNotTell("an answer cannot be read, or is missing".to_owned())
}
