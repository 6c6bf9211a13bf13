//! Whether a ledger takes writes, and if not, why.

use crate::clock::ClockSuspect;
use crate::open::{CONDEMNED_INDEX, index_without_paths, log_without_paths};
use crate::projector::describe;
use crate::reopening::Alarm;
use crate::tree::TreeError;
use bergulir_chain::Position;
use bergulir_store::ReadError;
use bergulir_store::index::IndexError;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Whether a ledger takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Serving,
    /// It takes none as long as the clock is not believed: until that is right again, or an operator
    /// says that it is.
    ClockSuspect {
        /// Why, and what to do.
        why: String,
    },
    /// It takes none until it is opened again, which the node does by itself where that can help;
    /// reads go on.
    ReadOnly {
        /// Why, and what to do.
        why: String,
    },
}

impl Status {
    /// Why the ledger takes no writes, and what to do; `None` if it does.
    pub fn why(&self) -> Option<&str> {
        match self {
            Status::Serving => None,
            Status::ClockSuspect { why } | Status::ReadOnly { why } => Some(why),
        }
    }
}

/// How bad it is. It only ever gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    /// To open the ledger again cures it, once what it rests on works.
    Passes,
    /// An operator has to see to it.
    Stays,
    /// The ledger was opened again, and this is what it was before.
    Replaced,
}

/// The status of one opening of a ledger, shared by its threads.
#[derive(Debug)]
pub(crate) struct Health {
    trouble: Mutex<Trouble>,
    status: watch::Sender<Status>,
    folder: PathBuf,
    /// Who opens the ledger again.
    alarm: Option<Alarm>,
    /// What the disk does not give.
    unread: Mutex<Option<Position>>,
}

impl Health {
    /// Of the ledger in this folder.
    pub(crate) fn new(folder: PathBuf, alarm: Option<Alarm>) -> Health {
        let status = watch::Sender::new(Status::Serving);
        Health {
            trouble: Mutex::new(Trouble::None),
            status,
            folder,
            alarm,
            unread: Mutex::default(),
        }
    }

    /// The index failed. If it is damaged, the next opening makes it anew from the log.
    pub(crate) fn index_failed(&self, error: &IndexError) {
        if error.calls_for_rebuild() {
            let marker = self.folder.join(CONDEMNED_INDEX);
            if let Err(error) = std::fs::write(&marker, b"") {
                tracing::error!(%error, marker = %marker.display(), "could not be written");
            }
        }
        tracing::error!(error = %describe(error), "the index failed");
        self.fail_for_now(&index_without_paths(error));
    }

    /// The log cannot be read. If it is damaged, nothing may be acknowledged on top of it.
    pub(crate) fn log_failed(&self, error: &ReadError) {
        if let ReadError::Corrupt { position, place, why } = error {
            tracing::error!(%error, "the log is damaged");
            let (position, place, why) = (*position, place.clone(), why.clone());
            let error = log_without_paths(ReadError::Corrupt { position, place, why });
            self.fail(format!("CHAIN_BROKEN {error}; restore the log from a backup"));
        }
    }

    /// Nothing can be said of the tree: whatever it is made from failed.
    pub(crate) fn tree_failed(&self, error: &TreeError) {
        match error {
            TreeError::Log(error) => self.log_failed(error),
            TreeError::Index(error) => self.index_failed(error),
        }
    }

    /// Makes the ledger read-only, and says so in the log, once.
    pub(crate) fn fail(&self, why: String) {
        self.worsen(Trouble::Stays, why);
    }

    /// The same, for what is cured by opening the ledger again: whoever does that is told.
    pub(crate) fn fail_for_now(&self, what: &str) {
        let why = format!(
            "{what}; the server opens the ledger again by itself as soon as that can be done: see \
             to the disk and its space"
        );
        if self.worsen(Trouble::Passes, why)
            && let Some(alarm) = &self.alarm
        {
            alarm.sound();
        }
    }

    /// The disk does not give the records from a position on, however often it is asked.
    pub(crate) fn unread(&self, position: Position, what: &str) {
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
        self.fail_for_now(what);
    }

    /// The position that must be readable before it helps to open the ledger again.
    pub(crate) fn unread_position(&self) -> Option<Position> {
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger was opened again: nobody gets anything of this opening any more.
    pub(crate) fn replace(&self) {
        self.worsen(Trouble::Replaced, "the ledger was opened again: call again".to_owned());
    }

    /// Whether it got worse.
    fn worsen(&self, trouble: Trouble, why: String) -> bool {
        let mut now = self.trouble();
        if *now >= trouble {
            return false;
        }
        *now = trouble;
        if trouble != Trouble::Replaced {
            tracing::error!(folder = %self.folder.display(), why, "the ledger is read-only now");
        }
        self.status.send_replace(Status::ReadOnly { why });
        true
    }

    /// The clock is believed, or not, for that reason.
    pub(crate) fn clock(&self, suspect: Option<ClockSuspect>) {
        self.status.send_if_modified(|status| match (&mut *status, suspect) {
            (Status::ReadOnly { .. }, _) | (Status::Serving, None) => false,
            (Status::ClockSuspect { why }, Some(suspect)) => {
                // The same, some seconds later.
                *why = suspect.to_string();
                false
            }
            (Status::Serving, Some(suspect)) => {
                let why = suspect.to_string();
                tracing::error!(folder = %self.folder.display(), why, "the ledger takes no writes now");
                *status = Status::ClockSuspect { why };
                true
            }
            (Status::ClockSuspect { .. }, None) => {
                tracing::info!(folder = %self.folder.display(), "the clock is believed again");
                *status = Status::Serving;
                true
            }
        });
    }

    /// Why the ledger takes no writes until it is opened again; `None` if it is sound.
    pub(crate) fn failure(&self) -> Option<String> {
        match &*self.status.borrow() {
            Status::Serving | Status::ClockSuspect { .. } => None,
            Status::ReadOnly { why } => Some(why.clone()),
        }
    }

    /// Whether the ledger takes no writes for a reason that to open it again cures.
    pub(crate) fn can_be_cured(&self) -> bool {
        *self.trouble() == Trouble::Passes
    }

    /// Whether the ledger was opened again.
    pub(crate) fn is_replaced(&self) -> bool {
        *self.trouble() == Trouble::Replaced
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
