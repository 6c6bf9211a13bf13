//! The way to the writer: a queue that is bounded in pieces of work and in commands, and that
//! closes when the ledger stops or one of its threads fails.

use crate::health::Health;
use crate::meter::Waiting;
use crate::submission::{Answer, Caller, Refusal, Request, RequestId, Submission, Terms, Work};
use crate::writer::Message;
use bergulir_chain::Authentication;
use bergulir_domain::command::Seal;
use bergulir_domain::{Command, PrincipalId, Timestamp};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// So many commands may wait, in however many pieces of work: what the queue takes of memory.
pub(crate) const MAX_QUEUED_COMMANDS: usize = 100_000;
/// How often work that waits for room in the queue looks for it. A full queue is 100 ms of work or
/// more.
pub(crate) const ROOM_PAUSE: Duration = Duration::from_millis(1);
/// When a caller that was pushed back should try again.
const RETRY_AFTER: Duration = Duration::from_millis(50);

pub(crate) struct Inbox {
    sender: Mutex<Option<Sender<Message>>>,
    /// To let go of what waits if nobody will take it.
    receiver: Receiver<Message>,
    commands: Arc<AtomicUsize>,
    health: Arc<Health>,
    request_ids: RequestIds,
}

/// Gives request ids that nobody has used and nobody can guess.
pub(crate) type RequestIds = Arc<dyn Fn() -> RequestId + Send + Sync>;

/// Why a piece of work is not in the queue.
#[derive(Debug)]
pub(crate) enum NotQueued {
    /// There is no room now.
    Full(Box<Work>),
    /// The ledger takes no work.
    Closed(Refusal),
}

/// The room that a piece of work takes in the queue; given back when it is taken or dropped.
#[derive(Debug)]
pub(crate) struct Room {
    commands: usize,
    taken: Arc<AtomicUsize>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.commands, Ordering::Relaxed);
    }
}

impl Inbox {
    /// An inbox for so many pieces of work, and its other end.
    pub(crate) fn new(
        capacity: usize,
        health: &Arc<Health>,
        request_ids: RequestIds,
    ) -> (Arc<Inbox>, Receiver<Message>) {
        let (sender, receiver) = bounded(capacity);
        let inbox = Inbox {
            sender: Mutex::new(Some(sender)),
            receiver: receiver.clone(),
            commands: Arc::default(),
            health: Arc::clone(health),
            request_ids,
        };
        (Arc::new(inbox), receiver)
    }

    /// Queues a piece of work; its answer comes once it is durable.
    pub(crate) fn submit(
        &self,
        caller: Caller,
        work: Work,
        terms: Terms,
    ) -> Result<oneshot::Receiver<Answer>, Refusal> {
        self.try_submit(caller, work, terms).map_err(|not_queued| match not_queued {
            NotQueued::Full(_) => Refusal::QueueFull { retry_after: RETRY_AFTER },
            NotQueued::Closed(refusal) => refusal,
        })
    }

    /// The same; if the queue is full, the work is given back.
    pub(crate) fn try_submit(
        &self,
        caller: Caller,
        work: Work,
        terms: Terms,
    ) -> Result<oneshot::Receiver<Answer>, NotQueued> {
        let commands = work.commands();
        let taken = Arc::clone(&self.commands);
        let waiting = taken.fetch_add(commands, Ordering::Relaxed);
        let room = Room { commands, taken };
        // One piece of work is taken whatever its size: its own limit is the caller's.
        if waiting > 0 && waiting + commands > MAX_QUEUED_COMMANDS {
            return Err(NotQueued::Full(Box::new(work)));
        }
        let (reply, answer) = oneshot::channel();
        let submission = Submission { caller, work, terms, reply, room };
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else { return Err(NotQueued::Closed(self.closed())) };
        match sender.try_send(Message::Work(submission)) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(Message::Work(back))) => {
                Err(NotQueued::Full(Box::new(back.work)))
            }
            Err(TrySendError::Full(Message::Fence { .. }) | TrySendError::Disconnected(_)) => {
                Err(NotQueued::Closed(self.closed()))
            }
        }
    }

    /// Asks the writer to record a seal, in the server's own name.
    pub(crate) fn record_seal(&self, seal: Seal) -> Result<oneshot::Receiver<Answer>, Refusal> {
        let principal = PrincipalId::new(PrincipalId::SYSTEM).expect("it is within the alphabet");
        let caller = Caller { principal, authentication: Authentication::System };
        let request = Request { request_id: (self.request_ids)(), command: Command::Seal(seal) };
        self.submit(caller, Work::Single(request), Terms::PLAIN)
    }

    /// Queues a fence, once there is room; false if the ledger takes no work.
    pub(crate) async fn fence(&self, instant: Timestamp, reply: oneshot::Sender<()>) -> bool {
        let Some(sender) = self.sender() else { return false };
        let mut message = Message::Fence { instant, reply };
        loop {
            match sender.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Disconnected(_)) => return false,
            }
            tokio::time::sleep(ROOM_PAUSE).await;
        }
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting { work: self.receiver.len(), commands: self.commands.load(Ordering::Relaxed) }
    }

    /// The way to the writer; `None` once it is closed.
    pub(crate) fn sender(&self) -> Option<Sender<Message>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why it takes nothing, once it is closed.
    pub(crate) fn closed(&self) -> Refusal {
        if self.health.is_replaced() {
            return Refusal::Reopening;
        }
        self.health.failure().map_or(Refusal::ShuttingDown, |why| Refusal::ReadOnly { why })
    }

    /// Takes nothing more; what waits is still done.
    pub(crate) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Takes nothing more and lets go of what waits, whose callers are told by that.
    pub(crate) fn abandon(&self) {
        self.close();
        self.receiver.try_iter().for_each(drop);
    }
}
