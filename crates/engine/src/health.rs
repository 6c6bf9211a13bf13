//! Whether a ledger takes writes, and if not, why.

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
pub(crate) struct Health(watch::Sender<Status>);

impl Health {
    pub(crate) fn new() -> Health {
        Health(watch::Sender::new(Status::Serving))
    }

    /// Makes the ledger read-only, and says so in the log, once.
    pub(crate) fn fail(&self, why: String) {
        self.0.send_if_modified(|status| {
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
        match &*self.0.borrow() {
            Status::Serving => None,
            Status::ReadOnly { why } => Some(why.clone()),
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Status> {
        self.0.subscribe()
    }
}
