//! One ledger, as the services use it: work goes in, records and balances come out.

use crate::clock::{Clock, Stamper};
use crate::facts::Recent;
use crate::health::{Health, Status};
use crate::open::Opened;
use crate::persister::Persister;
use crate::projector::{self, Projector, describe};
use crate::scrub;
use crate::submission::{Answer, Caller, Refusal, Request, Submission, Terms, Work};
use crate::trail::{Owner, Running};
use crate::writer::{Bundle, Message, Writer};
use bergulir_chain::{Authentication, LogSize, Position, Record};
use bergulir_domain::command::Seal;
use bergulir_domain::{Command, LedgerId, PrincipalId, State, Timestamp};
use bergulir_proto::replay::Replica;
use bergulir_store::index::{Direction, Index, IndexStats};
use bergulir_store::{EventLog, Head, ReadError, ReadLimit, Records};
use crossbeam_channel::{Sender, TrySendError, bounded};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

/// How a ledger runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerOptions {
    /// So many pieces of work may wait; more are pushed back.
    pub queue: usize,
    /// A seal is recorded after so many records.
    pub seal_every: u64,
    /// A clean stop records a seal if so many records came since the last one.
    pub seal_at_stop: u64,
}

impl Default for LedgerOptions {
    fn default() -> LedgerOptions {
        LedgerOptions {
            queue: 4_096,
            seal_every: 500_000,
            seal_at_stop: 10_000,
        }
    }
}

/// When a caller that was pushed back should try again.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// So many groups may be on their way to the projections.
const UNPROJECTED_GROUPS: usize = 64;

/// How often the index is asked whether it has runs to merge.
const MERGE_PAUSE: Duration = Duration::from_millis(200);

/// The way to the writer; taken away when the ledger stops.
type Inbox = Mutex<Option<Sender<Message>>>;

/// One open ledger.
pub struct Ledger {
    id: LedgerId,
    log: Arc<dyn EventLog>,
    index: Arc<Index>,
    published: Arc<RwLock<Replica>>,
    head: watch::Receiver<Head>,
    projected: watch::Receiver<LogSize>,
    health: Arc<Health>,
    clock: Arc<dyn Clock>,
    inbox: Arc<Inbox>,
    projector: Mutex<Option<Sender<projector::Message>>>,
    stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    options: LedgerOptions,
    replayed: u64,
}

/// Why a read was not answered.
#[derive(Debug, Error)]
pub enum ReadRefusal {
    /// The ledger has not so many records.
    #[error("the ledger has {size} records: position {position} is not reached yet")]
    NotReached {
        /// The position that was asked for.
        position: Position,
        /// How many records there are.
        size: LogSize,
    },
    /// The position lies inside an atomic batch.
    #[error(
        "position {position} lies inside an atomic batch, which is all or nothing: \
         ask as of {before} or {after}"
    )]
    InsideBatch {
        /// The position that was asked for.
        position: Position,
        /// The last position before the batch, or the same position if it begins the log.
        before: Position,
        /// The last position of the batch.
        after: Position,
    },
    /// The instant lies in the future.
    #[error("the instant lies in the future: ask for one before now")]
    InTheFuture,
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The projections cannot be read.
    #[error("the projections cannot be read ({why}): restart the server")]
    Projections {
        /// What failed.
        why: String,
    },
}

/// What a read was answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// How many records the answer covers.
    pub size: LogSize,
}

impl Ledger {
    /// Starts the threads of a ledger.
    pub(crate) fn start(
        id: LedgerId,
        folder: &Path,
        opened: Opened,
        clock: Arc<dyn Clock>,
        options: LedgerOptions,
    ) -> Ledger {
        let Opened {
            log,
            index,
            replica,
            trusted,
        } = opened;
        let health = Arc::new(Health::new(folder.to_owned()));
        let last = Timestamp::from_micros(replica.recorded_at().as_micros());
        let durable = log.head();
        let replayed = durable.size.get() - trusted.get();
        // What was replayed counts too: after a rebuild of the index a snapshot is wanted soon.
        let since_seal = replayed;
        let writer = Writer {
            state: replica.state().clone(),
            recent: Recent::new(durable.size.get()),
            stamper: Stamper::new(last, clock.as_ref()),
            clock: Arc::clone(&clock),
            index: Arc::clone(&index),
            log: Arc::clone(&log),
            health: Arc::clone(&health),
            bundle: Bundle::new(durable),
        };
        let trusted_hash = hash_below(log.as_ref(), trusted);
        let published = Arc::new(RwLock::new(replica));
        let (inbox, messages) = bounded(options.queue);
        let inbox = Arc::new(Mutex::new(Some(inbox)));
        let (full_sender, full) = bounded::<Bundle>(1);
        let (idle_sender, idle) = bounded::<Bundle>(1);
        let (projector, projector_messages) = bounded(UNPROJECTED_GROUPS);
        let head = watch::Sender::new(durable);
        let projected = watch::Sender::new(durable.size);
        let (head_watch, projected_watch) = (head.subscribe(), projected.subscribe());
        let persister = Persister {
            log: Arc::clone(&log),
            head,
            projector: projector.clone(),
            health: Arc::clone(&health),
        };
        let seal_inbox = Arc::clone(&inbox);
        let follower = Projector {
            published: Arc::clone(&published),
            index: Arc::clone(&index),
            projected,
            health: Arc::clone(&health),
            seal_every: options.seal_every,
            record_seal: Box::new(move |seal| enqueue(&seal_inbox, seal_work(seal).0).is_ok()),
            since_seal,
            pending: Vec::new(),
        };
        let stopping = Arc::new(AtomicBool::new(false));
        let merger = (
            Arc::clone(&index),
            Arc::clone(&health),
            Arc::clone(&stopping),
        );
        let scrub = (Arc::clone(&log), Arc::clone(&health), Arc::clone(&stopping));
        let threads = vec![
            spawn("writer", move || writer.run(&messages, &full_sender, &idle)),
            spawn("persister", move || persister.run(&full, &idle_sender)),
            spawn("projector", move || follower.run(&projector_messages)),
            spawn("merger", move || {
                let (index, health, stopping) = merger;
                merge(&index, &health, &stopping);
            }),
            spawn("scrub", move || {
                let (log, health, stop) = scrub;
                match trusted_hash {
                    Ok(hash) => scrub::run(log.as_ref(), trusted, hash, &health, &stop),
                    Err(error) => health.fail(format!("CHAIN_BROKEN {error}")),
                }
            }),
        ];
        Ledger {
            id,
            log,
            index,
            published,
            head: head_watch,
            projected: projected_watch,
            health,
            clock,
            inbox,
            projector: Mutex::new(Some(projector)),
            stopping,
            threads: Mutex::new(threads),
            options,
            replayed,
        }
    }

    /// The ledger's name on its node.
    pub fn id(&self) -> LedgerId {
        self.id
    }
    /// How many records were checked and decided again when the ledger was opened: those since the
    /// last snapshot that a seal vouches for.
    pub fn replayed_at_open(&self) -> u64 {
        self.replayed
    }
    /// The end of the durable log.
    pub fn head(&self) -> Head {
        *self.head.borrow()
    }
    /// Follows the end of the durable log.
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.head.clone()
    }
    /// Whether the ledger takes writes; follows changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.health.watch()
    }
    /// What the index holds and takes.
    pub fn index_stats(&self) -> Result<IndexStats, ReadRefusal> {
        self.index.stats().map_err(|error| projections(&error))
    }

    /// Has work decided and made durable.
    pub async fn submit(&self, caller: Caller, work: Work, terms: Terms) -> Answer {
        let (reply, answer) = oneshot::channel();
        let submission = Submission {
            caller,
            work,
            terms,
            reply,
        };
        if let Err(refusal) = enqueue(&self.inbox, submission) {
            return Answer::Refused {
                item: None,
                refusal,
            };
        }
        answer.await.unwrap_or_else(|_| Answer::Refused {
            item: None,
            refusal: self.gone(),
        })
    }

    /// Records a seal through the published head; `None` if the ledger stops.
    pub async fn seal(&self) -> Option<Answer> {
        let (reply, seal) = oneshot::channel();
        let sender = held(&self.projector).clone()?;
        // The projector's queue may be full, which must not hold up the other calls of this thread.
        let ask = move || sender.send(projector::Message::Seal(reply)).is_ok();
        tokio::task::spawn_blocking(ask).await.ok()?;
        let seal = seal.await.ok()??;
        let (submission, answer) = seal_work(seal);
        if let Err(refusal) = enqueue(&self.inbox, submission) {
            return Some(Answer::Refused {
                item: None,
                refusal,
            });
        }
        answer.await.ok()
    }

    /// Why a piece of work got no answer: only a stop or a failure drops one.
    fn gone(&self) -> Refusal {
        match self.health.failure() {
            Some(why) => Refusal::OutcomeUnknown { why },
            None => Refusal::OutcomeUnknown {
                why: "the ledger stopped".to_owned(),
            },
        }
    }

    /// Reads the published state once it reflects the record at `min_position`, or, without one,
    /// everything that was durable when the read came in. What has lapsed by now is released.
    ///
    /// # Errors
    /// If the log is not that long.
    pub async fn read<R>(
        &self,
        min_position: Option<Position>,
        look: impl FnOnce(&State, AsOf) -> R,
    ) -> Result<R, ReadRefusal> {
        let size = self.head().size;
        if let Some(position) = min_position.filter(|p| p.get() >= size.get()) {
            return Err(ReadRefusal::NotReached { position, size });
        }
        let needed = min_position.map_or(size, Position::size_through);
        self.projected_through(needed).await?;
        let now = self.clock.now();
        let replica = self
            .published
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if !replica.state().has_lapsed(now) {
            return Ok(look(
                replica.state(),
                AsOf {
                    size: replica.size(),
                },
            ));
        }
        drop(replica);
        let mut replica = self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let as_of = AsOf {
            size: replica.size(),
        };
        Ok(replica.look_at(now, |state| look(state, as_of)))
    }

    async fn projected_through(&self, size: LogSize) -> Result<(), ReadRefusal> {
        let mut projected = self.projected.clone();
        let reached = projected.wait_for(|projected| *projected >= size).await;
        reached.map(|_| ()).map_err(|_| ReadRefusal::Projections {
            why: "they stopped".to_owned(),
        })
    }

    /// Records from a position on, as many as the limit allows; empty at the end of the log.
    ///
    /// # Errors
    /// If the position is past the end, or the log is damaged.
    pub fn records(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadRefusal> {
        Ok(self.log.read(from, limit)?)
    }

    /// The last record at or before an instant, `None` if all are after it. The answer is final:
    /// no later record will carry that instant or an earlier one.
    ///
    /// # Errors
    /// If the instant is not in the past.
    pub async fn position_at(&self, instant: Timestamp) -> Result<Option<Position>, ReadRefusal> {
        if instant >= self.clock.now() {
            return Err(ReadRefusal::InTheFuture);
        }
        let newest = self.head().size.last();
        let settled = match newest {
            Some(newest) => self.recorded_at(newest)? > instant,
            None => false,
        };
        if !settled {
            self.fence(instant).await;
        }
        let (mut below, mut above) = (0, self.head().size.get());
        while below < above {
            let middle = below.midpoint(above);
            if self.recorded_at(Position::new(middle))? <= instant {
                below = middle + 1;
            } else {
                above = middle;
            }
        }
        Ok(below.checked_sub(1).map(Position::new))
    }

    async fn fence(&self, instant: Timestamp) {
        let (reply, done) = oneshot::channel();
        let message = Message::Fence { instant, reply };
        let sender = held(&self.inbox).clone();
        // A ledger that stops takes no further record, so nothing needs to be held back.
        if let Some(sender) = sender
            && tokio::task::spawn_blocking(move || sender.send(message).is_ok())
                .await
                .is_ok_and(|sent| sent)
        {
            let _ = done.await;
        }
    }

    fn recorded_at(&self, position: Position) -> Result<Timestamp, ReadRefusal> {
        let records = self.log.read(position, ReadLimit::ONE)?;
        let record = records
            .iter()
            .next()
            .and_then(|(_, bytes)| Record::parse(bytes).ok());
        record
            .map(|record| Timestamp::from_micros(record.recorded_at.as_micros()))
            .ok_or(ReadRefusal::NotReached {
                position,
                size: self.head().size,
            })
    }

    /// Checks that balances may be asked for as of a position: it is there, and ends its batch.
    ///
    /// # Errors
    /// If not.
    pub fn check_as_of(&self, position: Position) -> Result<(), ReadRefusal> {
        let size = self.head().size;
        if position.get() >= size.get() {
            return Err(ReadRefusal::NotReached { position, size });
        }
        let records = self.log.read(position, ReadLimit::ONE)?;
        let record = records
            .iter()
            .next()
            .and_then(|(_, bytes)| Record::parse(bytes).ok());
        let following = record.map_or(0, |record| record.following);
        if following == 0 {
            return Ok(());
        }
        let mut first = position.get();
        while first > 0 {
            let records = self.log.read(Position::new(first - 1), ReadLimit::ONE)?;
            let before = records
                .iter()
                .next()
                .and_then(|(_, bytes)| Record::parse(bytes).ok());
            if before.is_none_or(|before| before.following == 0) {
                break;
            }
            first -= 1;
        }
        Err(ReadRefusal::InsideBatch {
            position,
            before: Position::new(first.saturating_sub(1)),
            after: Position::new(position.get() + u64::from(following)),
        })
    }

    /// The balances of an owner right after the last record at or before a position that concerns
    /// it; `None` if there is none.
    ///
    /// # Errors
    /// If the projections cannot be read.
    pub async fn balances_at(
        &self,
        owner: Owner,
        at: Position,
    ) -> Result<Option<(Position, Running)>, ReadRefusal> {
        let size = self.head().size;
        if at.get() >= size.get() {
            return Err(ReadRefusal::NotReached { position: at, size });
        }
        self.projected_through(at.size_through()).await?;
        let found = self
            .index
            .trail_at(owner.key(), at)
            .map_err(|error| projections(&error))?;
        found
            .map(|(position, bytes)| running(position, &bytes))
            .transpose()
    }

    /// The records of some trails at positions within a range, merged by position.
    ///
    /// # Errors
    /// If the projections cannot be read.
    pub async fn trail(
        &self,
        owners: &[Owner],
        positions: std::ops::Range<Position>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Position, Running)>, ReadRefusal> {
        self.projected_through(self.head().size).await?;
        let mut found = Vec::new();
        for owner in owners {
            let range = positions.clone();
            let lines = self.index.trail(owner.key(), range, limit, direction);
            for (position, bytes) in lines.map_err(|error| projections(&error))? {
                found.push(running(position, &bytes)?);
            }
        }
        found.sort_by_key(|(position, _)| *position);
        if direction == Direction::NewestFirst {
            found.reverse();
        }
        found.dedup_by_key(|(position, _)| *position);
        found.truncate(limit);
        Ok(found)
    }

    /// Stops: a seal is recorded if much came since the last one, what waits is finished, the index
    /// written out. Nothing is taken after. Blocks: not for an async task.
    pub(crate) fn stop(&self) {
        if self.unsealed() >= self.options.seal_at_stop
            && self.health.failure().is_none()
            && let Some(seal) = self.compute_seal()
        {
            let (submission, answer) = seal_work(seal);
            if enqueue(&self.inbox, submission).is_ok() {
                // Sealed or not: the stop goes on.
                let _ = answer.blocking_recv();
            }
        }
        self.join();
    }

    fn compute_seal(&self) -> Option<Seal> {
        let (reply, seal) = oneshot::channel();
        let sender = held(&self.projector).clone()?;
        sender.send(projector::Message::Seal(reply)).ok()?;
        seal.blocking_recv().ok()?
    }

    /// How many records the next start would have to replay.
    fn unsealed(&self) -> u64 {
        let newest = self.index.snapshots().last().map_or(0, |size| size.get());
        self.head().size.get() - newest
    }

    fn join(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        held(&self.inbox).take();
        held(&self.projector).take();
        for thread in held(&self.threads).drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!(ledger = %self.id, "a thread of the ledger panicked");
            }
        }
    }
}

impl Drop for Ledger {
    /// What was decided is written before the data directory can be given to another process.
    fn drop(&mut self) {
        self.join();
    }
}

fn seal_work(seal: Seal) -> (Submission, oneshot::Receiver<Answer>) {
    let (reply, answer) = oneshot::channel();
    let principal = PrincipalId::new(PrincipalId::SYSTEM).expect("it is within the alphabet");
    let request = Request {
        request_id: *uuid::Uuid::new_v4().as_bytes(),
        command: Command::Seal(seal),
    };
    let submission = Submission {
        caller: Caller {
            principal,
            authentication: Authentication::System,
        },
        work: Work::Single(request),
        terms: Terms::PLAIN,
        reply,
    };
    (submission, answer)
}

fn enqueue(inbox: &Inbox, submission: Submission) -> Result<(), Refusal> {
    let guard = held(inbox);
    let sender = guard.as_ref().ok_or(Refusal::ShuttingDown)?;
    sender
        .try_send(Message::Work(submission))
        .map_err(|error| match error {
            TrySendError::Full(_) => Refusal::QueueFull {
                retry_after: RETRY_AFTER,
            },
            TrySendError::Disconnected(_) => Refusal::ShuttingDown,
        })
}

/// Merges the runs of the index while it has too many.
fn merge(index: &Index, health: &Health, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Relaxed) {
        match index.merge_once() {
            Ok(true) => {}
            Ok(false) => std::thread::park_timeout(MERGE_PAUSE),
            Err(error) => {
                health.index_failed(&error);
                return;
            }
        }
    }
}

fn hash_below(log: &dyn EventLog, size: LogSize) -> Result<bergulir_chain::Hash, ReadError> {
    let Some(last) = size.last() else {
        return Ok(bergulir_chain::Hash::ZERO);
    };
    let records = log.read(last, ReadLimit::ONE)?;
    let last = records.iter().next();
    Ok(last.map_or(bergulir_chain::Hash::ZERO, |(_, bytes)| {
        bergulir_chain::record::hash(bytes)
    }))
}

fn running(position: Position, bytes: &[u8]) -> Result<(Position, Running), ReadRefusal> {
    match Running::decode(bytes) {
        Some(running) => Ok((position, running)),
        None => Err(ReadRefusal::Projections {
            why: format!("the trail at position {position} is damaged"),
        }),
    }
}

fn projections(error: &dyn std::error::Error) -> ReadRefusal {
    ReadRefusal::Projections {
        why: describe(error),
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .expect("the system can start a thread")
}
