//! One ledger, as the services use it: work goes in, records and balances come out.

use crate::clock::{Clock, Stamper};
use crate::facts::Recent;
use crate::health::{Health, Status};
use crate::open::Opened;
use crate::persister::Persister;
use crate::projector::{self, Projector};
use crate::scrub;
use crate::submission::{Answer, Caller, Refusal, Request, Submission, Terms, Work};
use crate::writer::{Bundle, Message, Writer};
use bergulir_chain::{Authentication, LogSize};
use bergulir_domain::command::Seal;
use bergulir_domain::{Command, LedgerId, PrincipalId, Timestamp};
use bergulir_proto::replay::Replica;
use bergulir_store::index::Index;
use bergulir_store::{EventLog, Head, ReadError, ReadLimit};
use crossbeam_channel::{Sender, TrySendError, bounded};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
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
        LedgerOptions { queue: 4_096, seal_every: 500_000, seal_at_stop: 10_000 }
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
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) published: Arc<RwLock<Replica>>,
    head: watch::Receiver<Head>,
    pub(crate) projected: watch::Receiver<LogSize>,
    health: Arc<Health>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) inbox: Arc<Inbox>,
    projector: Mutex<Option<Sender<projector::Message>>>,
    stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    options: LedgerOptions,
    replayed: u64,
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
        let Opened { log, index, replica, trusted } = opened;
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
        let merger = (Arc::clone(&index), Arc::clone(&health), Arc::clone(&stopping));
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
    /// Has work decided and made durable.
    pub async fn submit(&self, caller: Caller, work: Work, terms: Terms) -> Answer {
        let (reply, answer) = oneshot::channel();
        let submission = Submission { caller, work, terms, reply };
        if let Err(refusal) = enqueue(&self.inbox, submission) {
            return Answer::Refused { item: None, refusal };
        }
        answer.await.unwrap_or_else(|_| Answer::Refused { item: None, refusal: self.gone() })
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
            return Some(Answer::Refused { item: None, refusal });
        }
        answer.await.ok()
    }

    /// Why a piece of work got no answer: only a stop or a failure drops one.
    fn gone(&self) -> Refusal {
        match self.health.failure() {
            Some(why) => Refusal::OutcomeUnknown { why },
            None => Refusal::OutcomeUnknown { why: "the ledger stopped".to_owned() },
        }
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
    let request =
        Request { request_id: *uuid::Uuid::new_v4().as_bytes(), command: Command::Seal(seal) };
    let submission = Submission {
        caller: Caller { principal, authentication: Authentication::System },
        work: Work::Single(request),
        terms: Terms::PLAIN,
        reply,
    };
    (submission, answer)
}

fn enqueue(inbox: &Inbox, submission: Submission) -> Result<(), Refusal> {
    let guard = held(inbox);
    let sender = guard.as_ref().ok_or(Refusal::ShuttingDown)?;
    sender.try_send(Message::Work(submission)).map_err(|error| match error {
        TrySendError::Full(_) => Refusal::QueueFull { retry_after: RETRY_AFTER },
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
    Ok(last.map_or(bergulir_chain::Hash::ZERO, |(_, bytes)| bergulir_chain::record::hash(bytes)))
}

pub(crate) fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .expect("the system can start a thread")
}
