//! The way to the writer: a queue that is bounded in pieces of work, in commands and in bytes, and that
//! closes when the ledger stops or one of its threads fails.
//!
//! Work takes its room until it is answered, not only until the writer takes it: on a slow disk the
//! writer decides far more than can be made durable soon, and all of that would wait.

use crate::clock::Clock;
use crate::health::Health;
use crate::ledger::LedgerOptions;
use crate::meter::{Meter, Waiting};
use crate::submission::{Answer, Caller, Refusal, Request, RequestId, Submission, Terms, Work};
use crate::writer::Message;
use bergulir_chain::Authentication;
use bergulir_domain::command::Seal;
use bergulir_domain::{Command, PrincipalId, Timestamp};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// So many commands may wait for their answer, in however many pieces of work.
pub(crate) const MAX_QUEUED_COMMANDS: usize = 100_000;
/// And so many bytes of them, as far as their callers know: what they take of memory.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 << 20;
/// How often work that waits for room in the queue looks for it.
pub(crate) const ROOM_PAUSE: Duration = Duration::from_millis(1);
/// When a caller that was pushed back should try again: as long as the oldest work has waited, for
/// that is about what the queue takes to empty, but within these.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub(crate) struct Inbox {
    sender: Mutex<Option<Sender<Message>>>,
    /// To let go of what waits if nobody will take it.
    receiver: Receiver<Message>,
    /// So many pieces of work may wait for their answer.
    capacity: usize,
    /// How long work may wait for its turn.
    longest_wait: Duration,
    unanswered: Arc<Unanswered>,
    clock: Arc<dyn Clock>,
    meter: Arc<Meter>,
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

/// Whether a caller would rather be refused than wait for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It waits for one answer: late work is refused when its turn comes.
    Limited,
    /// It sends one piece after the other, to be decided in that order, or it is the server.
    Endless,
}

/// What has no answer yet.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    work: AtomicUsize,
    commands: AtomicUsize,
    bytes: AtomicUsize,
    /// All of it was queued after this, in microseconds of the clock that nobody sets.
    after: AtomicU64,
}

impl Unanswered {
    /// Room for a piece of work of so many commands and bytes, if there is any, and no more than `most`
    /// pieces.
    fn room(
        self: &Arc<Self>,
        commands: usize,
        bytes: usize,
        most: usize,
        now: Duration,
    ) -> Option<Room> {
        // What is refused is never counted: it would take the place of somebody else for a moment.
        let one_more = |work: usize| (work < most).then_some(work + 1);
        let work = self.work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        let waiting = self.commands.fetch_add(commands, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let room = Room { commands, bytes, of: Arc::clone(self) };
        if work == 0 {
            self.answered_until(now);
        }
        // One piece of work is taken whatever its size: its own limit is the caller's.
        let fits = waiting + commands <= MAX_QUEUED_COMMANDS && held + bytes <= MAX_QUEUED_BYTES;
        (waiting == 0 || fits).then_some(room)
    }

    /// All that was queued until then is answered.
    pub(crate) fn answered_until(&self, queued: Duration) {
        self.after.fetch_max(micros(queued), Ordering::Relaxed);
    }
}

/// The room that a piece of work takes; given back when it is answered or dropped.
#[derive(Debug)]
pub(crate) struct Room {
    commands: usize,
    bytes: usize,
    of: Arc<Unanswered>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of.commands.fetch_sub(self.commands, Ordering::Relaxed);
        self.of.work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What an inbox is made of.
pub(crate) struct InboxParts {
    pub(crate) options: LedgerOptions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) health: Arc<Health>,
    pub(crate) request_ids: RequestIds,
}

impl Inbox {
    /// An inbox, and its other end.
    pub(crate) fn new(parts: InboxParts) -> (Arc<Inbox>, Receiver<Message>) {
        let InboxParts { options, clock, meter, health, request_ids } = parts;
        let (sender, receiver) = bounded(options.queue);
        let inbox = Inbox {
            sender: Mutex::new(Some(sender)),
            receiver: receiver.clone(),
            capacity: options.queue,
            longest_wait: options.longest_wait,
            unanswered: Arc::default(),
            clock,
            meter,
            health,
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
        patience: Patience,
    ) -> Result<oneshot::Receiver<Answer>, Refusal> {
        self.try_submit(caller, work, terms, patience).map_err(|not_queued| match not_queued {
            NotQueued::Full(_) => {
                self.meter.pushed_back.fetch_add(1, Ordering::Relaxed);
                Refusal::QueueFull { retry_after: retry_after(self.waiting().age) }
            }
            NotQueued::Closed(refusal) => refusal,
        })
    }

    /// The same; if the queue is full, the work is given back.
    pub(crate) fn try_submit(
        &self,
        caller: Caller,
        work: Work,
        terms: Terms,
        patience: Patience,
    ) -> Result<oneshot::Receiver<Answer>, NotQueued> {
        let queued = self.clock.monotonic();
        let bytes = work.commands() * size_of::<Request>() + terms.bytes;
        let room = self.unanswered.room(work.commands(), bytes, self.capacity, queued);
        let Some(room) = room else {
            return Err(NotQueued::Full(Box::new(work)));
        };
        let turn_by = match patience {
            Patience::Limited => queued.checked_add(self.longest_wait),
            Patience::Endless => None,
        };
        let (reply, answer) = oneshot::channel();
        let submission = Submission { caller, work, terms, reply, queued, turn_by, room };
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
        self.submit(caller, Work::Single(request), Terms::PLAIN, Patience::Endless)
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

    /// What waits for its answer.
    pub(crate) fn waiting(&self) -> Waiting {
        let Unanswered { work, commands, after, .. } = &*self.unanswered;
        let (work, commands) = (work.load(Ordering::Relaxed), commands.load(Ordering::Relaxed));
        let after = Duration::from_micros(after.load(Ordering::Relaxed));
        let age = if work == 0 { None } else { self.clock.monotonic().checked_sub(after) };
        Waiting { work, commands, age: age.unwrap_or_default() }
    }

    /// What has no answer yet, for those who give answers.
    pub(crate) fn unanswered(&self) -> Arc<Unanswered> {
        Arc::clone(&self.unanswered)
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

/// When a caller that is pushed back should try again, if the oldest work has waited that long.
pub(crate) fn retry_after(age: Duration) -> Duration {
    let (least, most) = RETRY_AFTER;
    age.clamp(least, most)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_full_by_pieces_by_commands_and_by_bytes() {
        let of = Arc::<Unanswered>::default();
        let room = |commands, bytes| of.room(commands, bytes, 2, Duration::ZERO);
        let rest = room(MAX_QUEUED_COMMANDS - 1, 0);
        assert!(rest.is_some());
        assert!(room(2, 0).is_none());
        let second = room(1, 0);
        assert!(second.is_some() && room(0, 0).is_none());
        drop((rest, second));
        let rest = room(1, MAX_QUEUED_BYTES - 1);
        assert!(rest.is_some());
        assert!(room(1, 2).is_none());
        assert!(room(1, 1).is_some());
        drop(rest);
        // One alone is taken whatever its size.
        assert!(room(1, MAX_QUEUED_BYTES + 1).is_some());
        assert_eq!(of.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(of.commands.load(Ordering::Relaxed), 0);
        // A full queue of commands without long texts is no more bytes than may be.
        assert!(MAX_QUEUED_COMMANDS * size_of::<Request>() <= MAX_QUEUED_BYTES);
    }
}
