//! A call that is under way: what it holds of memory, and for whom it waits and how long.
//!
//! Time is told by its connection, once a second, to all of its calls: no call needs a timer of its own,
//! and none is cut off before its time, but up to a second after it.

use crate::limits::Limits;
use crate::quotas::{Exceeded, Memory};
use futures::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::Waker;

/// How long calls may wait, in seconds; `None`: for ever.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For their answer.
    call: Option<u32>,
    /// For the rest of a message.
    message: Option<u32>,
    /// For their caller to read.
    answer: Option<u32>,
}

/// A call that is under way.
#[derive(Debug)]
pub(crate) struct Underway {
    memory: Arc<Memory>,
    held: AtomicUsize,
    patience: Patience,
    /// Seconds until it was answered.
    age: AtomicU32,
    answered: AtomicBool,
    /// Whether it waits for its caller to send, and seconds that it did for one message.
    receives: AtomicBool,
    unreceived: AtomicU32,
    /// Whether it waits for its caller to read, and seconds that it does for one piece.
    sends: AtomicBool,
    unread: AtomicU32,
    task: AtomicWaker,
}

impl Underway {
    pub(crate) fn new(memory: &Arc<Memory>, limits: &Limits) -> Underway {
        Underway {
            memory: Arc::clone(memory),
            held: AtomicUsize::new(0),
            patience: Patience {
                call: limits.call_seconds,
                message: limits.message_seconds,
                answer: limits.answer_seconds,
            },
            age: AtomicU32::new(0),
            answered: AtomicBool::new(false),
            receives: AtomicBool::new(false),
            unreceived: AtomicU32::new(0),
            sends: AtomicBool::new(false),
            unread: AtomicU32::new(0),
            task: AtomicWaker::new(),
        }
    }

    /// Takes so many bytes of memory.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Exceeded> {
        self.memory.take(bytes)?;
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Holds so many, whether they are there or not.
    pub(crate) fn hold(&self, bytes: usize) {
        self.memory.hold(bytes);
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives back some of what it holds.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.memory.give_back(bytes);
    }

    /// Whether it holds any.
    pub(crate) fn holds(&self) -> bool {
        self.held.load(Ordering::Relaxed) > 0
    }

    /// A second has passed. Says whether it is to look up.
    pub(crate) fn tick(&self) -> bool {
        let count = |waits: bool, seconds: &AtomicU32| {
            if waits {
                seconds.fetch_add(1, Ordering::Relaxed);
            }
        };
        count(!self.answered.load(Ordering::Relaxed), &self.age);
        count(self.receives.load(Ordering::Relaxed), &self.unreceived);
        count(self.sends.load(Ordering::Relaxed), &self.unread);
        self.is_overdue() || self.is_slow() || self.is_unread()
    }

    /// Has its task look up.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    /// The task that has it.
    pub(crate) fn is_of(&self, task: &Waker) {
        self.task.register(task);
    }

    /// Whether its answer has taken too long.
    pub(crate) fn is_overdue(&self) -> bool {
        !self.answered.load(Ordering::Relaxed) && passed(self.patience.call, &self.age)
    }

    /// Its answer begins.
    pub(crate) fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether it waits for its caller to send.
    pub(crate) fn receives(&self, waits: bool) {
        self.receives.store(waits, Ordering::Relaxed);
        // What was here all along was not sent slowly.
        if !waits && self.is_slow() {
            self.received();
        }
    }

    /// A message has come.
    pub(crate) fn received(&self) {
        self.unreceived.store(0, Ordering::Relaxed);
    }

    /// Whether a message takes too long to come.
    pub(crate) fn is_slow(&self) -> bool {
        passed(self.patience.message, &self.unreceived)
    }

    /// Whether it waits for its caller to read. Whenever this is said its caller has read.
    pub(crate) fn sends(&self, waits: bool) {
        self.sends.store(waits, Ordering::Relaxed);
        self.unread.store(0, Ordering::Relaxed);
    }

    /// Whether its caller has not read for too long.
    pub(crate) fn is_unread(&self) -> bool {
        passed(self.patience.answer, &self.unread)
    }

    /// How long a message may take.
    pub(crate) fn message_seconds(&self) -> u32 {
        self.patience.message.unwrap_or_default()
    }
}

fn passed(most: Option<u32>, seconds: &AtomicU32) -> bool {
    most.is_some_and(|most| seconds.load(Ordering::Relaxed) > most)
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.memory.give_back(self.held.load(Ordering::Relaxed));
    }
}

/// The memory of one message or several, which a call has taken; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    of: Arc<Underway>,
    bytes: usize,
}

impl Held {
    /// What was taken when a message of so many bytes began to come.
    pub(crate) fn message(of: &Arc<Underway>, bytes: usize) -> Held {
        Held { of: Arc::clone(of), bytes }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Also holds what was taken when one more message began to come.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Takes over what another one of the same call holds.
    pub(crate) fn join(&mut self, mut other: Held) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.of.give_back(self.bytes);
            // The next message may wait for that.
            self.of.wake();
        }
    }
}
