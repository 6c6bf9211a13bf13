//! One ledger, as the services use it: work goes in, records and balances come out.

use crate::anchor::{Anchor, AnchorStatus};
use crate::answers::Answers;
use crate::balance_proofs::NewestSeal;
use crate::checkpointer::{self, Checkpointer};
use crate::checkpoints::{Checkpoints, SignedCheckpoint};
use crate::clock::{Clock, ClockWatch, Stamper};
use crate::health::{Health, Status};
use crate::horizon::Horizon;
use crate::inbox::{Inbox, InboxParts, NotQueued, Patience, ROOM_PAUSE, RequestIds};
use crate::keyring::Keyring;
use crate::meter::{Meter, Waiting};
use crate::open::Opened;
use crate::persister::Persister;
use crate::projector::{self, Projector};
use crate::proofs::ProofRefusal;
use crate::recent::Recent;
use crate::reopening::Alarms;
use crate::shared_index::SharedIndex;
use crate::submission::{Answer, Caller, Refusal, Terms, Work};
use crate::threads::{ThreadStart, Threads, Workers};
use crate::witnesses::{Submitter, WitnessStatus, Witnesses};
use crate::writer::{Bundle, Writer};
use bergulir_chain::LogSize;
use bergulir_domain::command::Seal;
use bergulir_domain::ledger::Origin;
use bergulir_domain::{Decider, LedgerId, Timestamp};
use bergulir_proto::replay::Replica;
use bergulir_store::index::IndexBatch;
use bergulir_store::{EventLog, FileLogOptions, Head, ReadError, ReadLimit};
use crossbeam_channel::{Sender, bounded, unbounded};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

/// How a ledger runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerOptions {
    /// So many pieces of work may wait for their answer; more are pushed back.
    pub queue: usize,
    /// Work that a caller waits for is pushed back if its turn comes later than this. Not that of
    /// [`Ledger::queue`].
    pub longest_wait: Duration,
    /// A seal is recorded after so many records.
    pub seal_every: u64,
    /// A clean stop records a seal if so many records came since the last one.
    pub seal_at_stop: u64,
    /// A file of the log is closed before it grows past so many bytes.
    pub segment_bytes: u64,
}

impl Default for LedgerOptions {
    fn default() -> LedgerOptions {
        LedgerOptions {
            queue: 4_096,
            longest_wait: Duration::from_secs(2),
            seal_every: 1_000_000,
            seal_at_stop: 10_000,
            segment_bytes: FileLogOptions::default().segment_bytes,
        }
    }
}

/// How often a stop looks whether the projections have caught up.
const PROJECTION_PAUSE: Duration = Duration::from_millis(1);

/// Work that is in the queue of a ledger. If it is dropped before the work is decided, nothing of
/// it is recorded.
#[derive(Debug)]
pub struct Queued(oneshot::Receiver<Answer>);

/// One opening of a ledger. If it fails in a way that passes, the node ends it and opens the ledger
/// again: whoever still holds this one goes on reading until the new one is in its place, and is told
/// then to call again.
pub struct Ledger {
    id: LedgerId,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) index: SharedIndex,
    pub(crate) published: Arc<RwLock<Replica>>,
    head: watch::Receiver<Head>,
    /// Those who follow the head wait as long as it is there.
    head_sender: Mutex<Option<watch::Sender<Head>>>,
    pub(crate) projected: watch::Receiver<LogSize>,
    pub(crate) health: Arc<Health>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stamper: Arc<Stamper>,
    pub(crate) horizon: Arc<Horizon>,
    pub(crate) inbox: Arc<Inbox>,
    projector: Mutex<Option<Sender<projector::Message>>>,
    pub(crate) sealed: Arc<NewestSeal>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    anchors: Arc<[Anchor]>,
    witnesses: Option<Arc<Witnesses>>,
    /// The way to ask for a checkpoint.
    signing: Mutex<Option<Sender<checkpointer::Request>>>,
    stopping: Arc<AtomicBool>,
    threads: Mutex<Threads>,
    options: LedgerOptions,
    meter: Arc<Meter>,
    replayed: u64,
}

/// What a ledger has from its node.
pub(crate) struct Shared {
    pub(crate) watch: Arc<ClockWatch>,
    pub(crate) options: LedgerOptions,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) witnesses: Option<Arc<Witnesses>>,
    pub(crate) runtime: Option<Handle>,
    /// Fresh request ids, for what the server asks of itself.
    pub(crate) request_ids: RequestIds,
    pub(crate) alarms: Option<Alarms>,
}

impl Ledger {
    /// A ledger whose threads run.
    pub(crate) fn start(id: LedgerId, folder: &Path, opened: Opened, shared: Shared) -> Ledger {
        let index = Arc::clone(&opened.index);
        let (ledger, workers) = Ledger::assemble(id, folder, opened, shared);
        let start = ThreadStart {
            log: &ledger.log,
            index: &index,
            health: &ledger.health,
            inbox: &ledger.inbox,
            stopping: &ledger.stopping,
        };
        *held(&ledger.threads) = workers.start(&start);
        ledger
    }

    /// A ledger, and the parts of it that do its work, for threads to run.
    pub(crate) fn assemble(
        id: LedgerId,
        folder: &Path,
        opened: Opened,
        shared: Shared,
    ) -> (Ledger, Workers) {
        let Shared { watch, options, keyring, witnesses, runtime, request_ids, alarms } = shared;
        let last = opened.last_stamp();
        let Opened { medium, log, index, replica, trusted, anchors, known, horizon } = opened;
        let health = Arc::new(Health::new(folder.to_owned(), alarms.map(|alarms| alarms.of(id))));
        if let Some(why) = known.trouble {
            health.fail(why);
        } else if let Some(what) = known.passing {
            health.fail_for_now(&what);
        }
        let checkpoints =
            Checkpoints::new(Arc::clone(&medium), folder, known.newest, known.witnessed);
        let checkpoints = Arc::new(checkpoints);
        let horizon = Arc::new(Horizon::new(medium, folder, horizon, runtime.clone()));
        let durable = log.head();
        let replayed = durable.size.get() - trusted.size();
        // What was replayed counts too: after a rebuild of the index a snapshot is wanted soon.
        let since_seal = replayed;
        let clock = Arc::clone(watch.clock());
        let stamper = Arc::new(Stamper::new(last, watch));
        let meter = Arc::<Meter>::default();
        let writer = Writer {
            state: Decider::new(replica.state()),
            recent: Recent::new(durable.size.get()),
            stamper: Arc::clone(&stamper),
            clock: Arc::clone(&clock),
            meter: Arc::clone(&meter),
            index: Arc::clone(&index),
            log: Arc::clone(&log),
            health: Arc::clone(&health),
            keyring: Arc::clone(&keyring),
            bundle: Bundle::new(durable),
            thread: Arc::default(),
        };
        let published = Arc::new(RwLock::new(replica));
        let (inbox, messages) = Inbox::new(InboxParts {
            options,
            clock: Arc::clone(&clock),
            meter: Arc::clone(&meter),
            health: Arc::clone(&health),
            request_ids,
        });
        // Bounded by the writer, which waits while too many records are not in the index.
        let (projector, projector_messages) = unbounded();
        let head = watch::Sender::new(durable);
        let projected = watch::Sender::new(durable.size);
        let (head_watch, projected_watch) = (head.subscribe(), projected.subscribe());
        let persister = Persister {
            meter: Arc::clone(&meter),
            unanswered: inbox.unanswered(),
            log: Arc::clone(&log),
            head: head.clone(),
            projector: projector.clone(),
            health: Arc::clone(&health),
            answers: Answers::new(runtime.as_ref()),
            writer: Arc::clone(&writer.thread),
            lost: None,
        };
        let seal_inbox = Arc::clone(&inbox);
        let sealed = Arc::new(NewestSeal::default());
        let follower = Projector {
            published: Arc::clone(&published),
            index: Arc::clone(&index),
            projected,
            health: Arc::clone(&health),
            seal_every: options.seal_every,
            record_seal: Box::new(move |seal| seal_inbox.record_seal(seal).ok()),
            since_seal,
            period_closed: false,
            sealing: None,
            askers: Vec::new(),
            pending: Vec::new(),
            index_lost: false,
            newest_seal: Arc::clone(&sealed),
            batch: IndexBatch::default(),
        };
        let (news, news_of_checkpoints) = bounded(1);
        let submitter = witnesses.as_ref().map(|witnesses| Submitter {
            witnesses: Arc::clone(witnesses),
            log: Arc::clone(&log),
            index: Arc::clone(&index),
            checkpoints: Arc::clone(&checkpoints),
            health: Arc::clone(&health),
            warned: AtomicBool::new(false),
        });
        let signer = Checkpointer {
            ledger: id,
            published: Arc::clone(&published),
            log: Arc::clone(&log),
            index: Arc::clone(&index),
            keyring,
            health: Arc::clone(&health),
            checkpoints: Arc::clone(&checkpoints),
            anchors: Arc::clone(&anchors),
            witnesses: submitter.as_ref().map(|_| news),
            warned: false,
            attempts: 0,
        };
        let (requests, asked) = unbounded();
        let workers = Workers {
            writer: (writer, messages),
            persister,
            projector: (follower, projector_messages),
            trusted,
            checkpointer: (signer, asked),
            submitter: submitter.map(|submitter| (submitter, news_of_checkpoints)),
        };
        let ledger = Ledger {
            id,
            log,
            index: SharedIndex::new(index),
            published,
            head: head_watch,
            head_sender: Mutex::new(Some(head)),
            projected: projected_watch,
            health,
            clock,
            stamper,
            horizon,
            inbox,
            projector: Mutex::new(Some(projector)),
            sealed,
            checkpoints,
            anchors,
            witnesses,
            signing: Mutex::new(Some(requests)),
            stopping: Arc::default(),
            threads: Mutex::default(),
            options,
            meter,
            replayed,
        };
        (ledger, workers)
    }

    /// The ledger's name on its node.
    pub fn id(&self) -> LedgerId {
        self.id
    }
    /// The ledger's name everywhere; its checkpoints are signed under it.
    pub fn origin(&self) -> Option<Origin> {
        let replica = self.published.read().unwrap_or_else(PoisonError::into_inner);
        replica.state().opened().map(|opened| opened.origin.clone())
    }
    /// Whether it has this origin, or had it before it was continued.
    pub(crate) fn had_origin(&self, origin: &Origin) -> bool {
        let replica = self.published.read().unwrap_or_else(PoisonError::into_inner);
        let state = replica.state();
        let named =
            |key: &str| key.split_once('+').is_some_and(|(name, _)| name == origin.as_str());
        state.opened().is_some_and(|opened| opened.origin == *origin)
            || state.keys().any(|(_, key)| named(key.as_str()))
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
    /// How many records the published state and the index reflect.
    pub fn projected_size(&self) -> LogSize {
        *self.projected.borrow()
    }
    /// Whether the ledger takes writes; follows changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.health.watch()
    }
    /// Checks that the disk gives by now what it did not give before. What it gives is looked at by
    /// the next opening.
    ///
    /// # Errors
    /// If it still does not.
    pub(crate) fn check_unread(&self) -> Result<(), ReadError> {
        let Some(position) = self.health.unread_position() else { return Ok(()) };
        match self.log.read(position, ReadLimit::ONE) {
            Err(error @ ReadError::Io { .. }) => Err(error),
            Err(_) | Ok(_) => Ok(()),
        }
    }

    /// Has work decided and made durable.
    pub async fn submit(&self, caller: Caller, work: Work, terms: Terms) -> Answer {
        match self.inbox.submit(caller, work, terms, Patience::Limited) {
            Ok(answer) => answer.await.unwrap_or_else(|_| self.gone()),
            Err(refusal) => Answer::Refused { item: None, refusal },
        }
    }

    /// Queues work, for callers who may wait: until there is room, if the queue is full. The work
    /// is in the queue when this returns, so that who queues one piece after the other has them
    /// decided in that order.
    ///
    /// # Errors
    /// If the ledger takes no work.
    pub async fn queue(&self, caller: Caller, work: Work, terms: Terms) -> Result<Queued, Refusal> {
        let mut work = work;
        loop {
            match self.inbox.try_submit(caller, work, terms, Patience::Endless) {
                Ok(answer) => return Ok(Queued(answer)),
                Err(NotQueued::Full(back)) => work = *back,
                Err(NotQueued::Closed(refusal)) => return Err(refusal),
            }
            tokio::time::sleep(ROOM_PAUSE).await;
        }
    }

    /// Waits for the answer to work that was queued.
    pub async fn answer(&self, queued: Queued) -> Answer {
        queued.0.await.unwrap_or_else(|_| self.gone())
    }

    /// Records a seal through the published head.
    pub async fn seal(&self) -> Answer {
        let refused = |refusal| Answer::Refused { item: None, refusal };
        match self.compute_seal().await {
            Some(seal) => match self.inbox.record_seal(seal) {
                Ok(answer) => answer.await.unwrap_or_else(|_| self.gone()),
                Err(refusal) => refused(refusal),
            },
            None => refused(self.inbox.closed()),
        }
    }

    async fn compute_seal(&self) -> Option<Seal> {
        self.projected_through(self.head().size).await.ok()?;
        self.ask_for_seal()?.await.ok()?
    }

    fn ask_for_seal(&self) -> Option<oneshot::Receiver<Option<Seal>>> {
        let (reply, seal) = oneshot::channel();
        let sender = held(&self.projector).clone()?;
        sender.send(projector::Message::Seal(reply)).ok()?;
        Some(seal)
    }

    /// Follows the newest checkpoint.
    pub fn watch_checkpoint(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.checkpoints.watch()
    }

    /// When the newest checkpoint was signed, by the clock of the machine; `None` if there is none.
    pub fn checkpointed_at(&self) -> Option<SystemTime> {
        self.checkpoints.signed_at()
    }

    /// What it counts of its own work.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// What waits for an answer of it.
    pub fn waiting(&self) -> Waiting {
        self.inbox.waiting()
    }

    /// What became of the newest checkpoint at each anchor.
    pub fn anchors(&self) -> Vec<AnchorStatus> {
        self.anchors.iter().map(Anchor::status).collect()
    }

    /// What each witness of the policy that can be reached last had to say.
    pub fn witnesses(&self) -> Vec<WitnessStatus> {
        self.witnesses.as_ref().map(|witnesses| witnesses.status()).unwrap_or_default()
    }

    /// Has a checkpoint signed that covers so many records, all of them published.
    pub(crate) async fn sign(&self, covering: LogSize) -> checkpointer::Signed {
        let (reply, signed) = oneshot::channel();
        let request = checkpointer::Request { covering, reply };
        let asked = held(&self.signing).as_ref().map(|signing| signing.send(request));
        match asked {
            Some(Ok(())) => signed.await.unwrap_or_else(|_| Err(self.nothing_is_signed())),
            Some(Err(_)) | None => Err(self.nothing_is_signed()),
        }
    }

    /// Why nobody signs.
    pub(crate) fn nothing_is_signed(&self) -> ProofRefusal {
        match self.health.failure() {
            _ if self.health.is_replaced() => ProofRefusal::Reopening,
            Some(why) => ProofRefusal::ReadOnly { why },
            None => ProofRefusal::Stopping,
        }
    }

    /// What is said when a piece of work got no answer: only a stop or a failure drops one.
    fn gone(&self) -> Answer {
        let why = self.health.failure().unwrap_or_else(|| "the ledger stopped".to_owned());
        Answer::Refused { item: None, refusal: Refusal::OutcomeUnknown { why } }
    }

    /// Stops: a seal is recorded if much came since the last one, what waits is finished, the index
    /// written out. Nothing is taken after. Blocks: not for an async task.
    pub(crate) fn stop(&self) {
        if self.unsealed() >= self.options.seal_at_stop
            && self.wait_for_projections()
            && let Some(asked) = self.ask_for_seal()
            && let Ok(Some(seal)) = asked.blocking_recv()
            && let Ok(answer) = self.inbox.record_seal(seal)
        {
            // Sealed or not: the stop goes on.
            let _ = answer.blocking_recv();
        }
        self.halt();
        // Where it stays, the next opening holds its stamps for a moment.
        let _ = self.horizon.settle(self.stamper.last());
    }

    /// Closes the index, so that it can be opened again: after a [`halt`](Self::halt), when nobody
    /// reads in it any more, or `give_up` says so. Other reads go on.
    pub(crate) fn close_index(&self, give_up: &dyn Fn() -> bool) -> bool {
        self.index.close(give_up)
    }

    /// Another opening is in its place: whoever holds this one is told, and its memory is given back.
    pub(crate) fn replace(&self) {
        self.health.replace();
        held(&self.head_sender).take();
        self.sealed.clear();
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        let state = std::mem::take(&mut *published);
        drop(published);
        drop(state);
    }

    /// Waits until all that is durable is projected; false if that will not be.
    fn wait_for_projections(&self) -> bool {
        while *self.projected.borrow() < self.head().size {
            if self.health.failure().is_some() {
                return false;
            }
            std::thread::sleep(PROJECTION_PAUSE);
        }
        self.health.failure().is_none()
    }

    /// How many records the next start would have to replay.
    fn unsealed(&self) -> u64 {
        let Some(index) = self.index.get() else { return 0 };
        let newest = index.snapshots().last().map_or(0, |size| size.get());
        self.head().size.get() - newest
    }

    /// Looks whether the clock is believed, and lets the status tell.
    pub(crate) fn look_at_clock(&self) {
        self.health.clock(self.stamper.check().err());
    }

    /// The newest time that a record of it has or may have.
    pub(crate) fn last_stamp(&self) -> Timestamp {
        self.stamper.last()
    }

    /// Whether it takes no writes for a reason that to open it again cures.
    pub(crate) fn can_be_cured(&self) -> bool {
        self.health.can_be_cured()
    }

    /// Ends the threads: what waits is finished, or refused if the ledger failed. Nothing is taken
    /// after; reads go on. Blocks.
    pub(crate) fn halt(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.inbox.close();
        self.horizon.close();
        if let Some(index) = self.index.get() {
            index.wake();
        }
        held(&self.projector).take();
        let Threads { work, checkpointer, submitter } = std::mem::take(&mut *held(&self.threads));
        let mut panicked = false;
        for thread in work {
            panicked |= thread.join().is_err();
        }
        // Last, since it signs what the others left behind.
        held(&self.signing).take();
        panicked |= checkpointer.is_some_and(|thread| thread.join().is_err());
        if let Some(witnesses) = &self.witnesses {
            witnesses.stop.begin();
        }
        panicked |= submitter.is_some_and(|thread| thread.join().is_err());
        if panicked {
            tracing::error!(ledger = %self.id, "a thread of the ledger panicked");
        }
    }
}

impl Drop for Ledger {
    /// What was decided is written before the data directory can be given to another process.
    fn drop(&mut self) {
        self.halt();
    }
}

pub(crate) fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
