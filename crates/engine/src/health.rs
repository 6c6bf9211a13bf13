//! Whether a ledger takes writes, and if not, why.

use crate::open::CONDEMNED_INDEX;
use crate::projector::describe;
use crate::tree::TreeError;
use bergulir_store::ReadError;
use bergulir_store::index::IndexError;
use std::path::PathBuf;
use tokio::sync::watch;

/// Whether a ledger takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Serving,
    /// It takes none until it is opened again; reads go on.
    ReadOnly {
        /// Why, and what to do.
        why: String,
    },
}

/// The status of one ledger, shared by its threads. It only ever gets worse.
#[derive(Debug)]
pub(crate) struct Health {
    status: watch::Sender<Status>,
    folder: PathBuf,
}

impl Health {
    /// Of the ledger in this folder.
    pub(crate) fn new(folder: PathBuf) -> Health {
        Health { status: watch::Sender::new(Status::Serving), folder }
    }

    /// The index failed. If it is damaged, the next start makes it anew from the log.
    pub(crate) fn index_failed(&self, error: &IndexError) {
        if error.calls_for_rebuild() {
            let marker = self.folder.join(CONDEMNED_INDEX);
            if let Err(error) = std::fs::write(&marker, b"") {
                tracing::error!(%error, marker = %marker.display(), "could not be written");
            }
        }
        let why = describe(error);
        self.fail(format!("{why}; restart the server: the index is made anew from the log"));
    }

    /// The log cannot be read. If it is damaged, nothing may be acknowledged on top of it.
    pub(crate) fn log_failed(&self, error: &ReadError) {
        if let ReadError::Corrupt { .. } = error {
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
        self.status.send_if_modified(|status| {
            if matches!(status, Status::ReadOnly { .. }) {
                return false;
            }
            tracing::error!(why, "the ledger is read-only now");
            *status = Status::ReadOnly { why };
            true
        });
    }

    /// Why the ledger takes no writes; `None` if it does.
    pub(crate) fn failure(&self) -> Option<String> {
        match &*self.status.borrow() {
            Status::Serving => None,
            Status::ReadOnly { why } => Some(why.clone()),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }
}
