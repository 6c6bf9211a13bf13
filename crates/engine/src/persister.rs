//! The persister: the one thread of a ledger that writes. It appends a group, publishes the new
//! head, and only then answers those who waited for it.

use crate::answers::{Answers, tell_lost};
use crate::health::Health;
use crate::inbox::Unanswered;
use crate::meter::Meter;
use crate::projector;
use crate::recent::SealedGroup;
use crate::writer::Bundle;
use bergulir_store::{AppendError, EventLog, Group, Head};
use crossbeam_channel::{Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Instant;
use tokio::sync::watch;

pub(crate) struct Persister {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) head: watch::Sender<Head>,
    pub(crate) projector: Sender<projector::Message>,
    pub(crate) health: Arc<Health>,
    pub(crate) answers: Answers,
    pub(crate) meter: Arc<Meter>,
    pub(crate) unanswered: Arc<Unanswered>,
    /// The writer, which may wait for the persister to be free.
    pub(crate) writer: Arc<OnceLock<Thread>>,
    /// Why a group could not be appended: nothing that was decided on top of it can be answered.
    pub(crate) lost: Option<String>,
}

impl Persister {
    /// Runs until the writer is gone.
    pub(crate) fn run(mut self, full: &Receiver<Bundle>, idle: &Sender<Bundle>) {
        for mut bundle in full {
            self.append(&bundle);
            self.answer(&mut bundle);
            if idle.send(bundle).is_err() {
                return;
            }
            if let Some(writer) = self.writer.get() {
                writer.unpark();
            }
        }
    }

    /// Makes a group durable, unless one before it was not.
    pub(crate) fn append(&mut self, bundle: &Bundle) {
        if self.lost.is_none()
            && !bundle.group.is_empty()
            && let Err(error) = self.append_group(&bundle.group)
        {
            let mut why = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                why = format!("{why}: {source}");
            }
            self.health.fail_for_now(&why);
            self.lost = Some(why);
        }
    }

    /// Publishes a group that was appended, tells all who wait for it, and empties the bundle.
    pub(crate) fn answer(&self, bundle: &mut Bundle) {
        match &self.lost {
            None => {
                if !bundle.group.is_empty() {
                    self.head.send_replace(bundle.group.head());
                }
                // First to the projections, which then are mostly there when callers, on their
                // answer, look at the state.
                if let Some(sealed) = bundle.sealed.take() {
                    self.project(sealed);
                }
                self.answers.tell(&mut bundle.waiters);
            }
            Some(why) => bundle.waiters.drain(..).for_each(|waiter| tell_lost(waiter, why)),
        }
        self.unanswered.answered_until(bundle.newest);
        bundle.sealed = None;
        bundle.decided = 0;
    }

    fn append_group(&self, group: &Group) -> Result<Head, AppendError> {
        let began = Instant::now();
        let appended = self.log.append(group.base(), group);
        self.meter.append_micros.record_micros(began.elapsed());
        let records = group.head().size.get() - group.base().size.get();
        self.meter.group_records.record(records);
        appended
    }

    fn project(&self, sealed: SealedGroup) {
        if self.projector.send(projector::Message::Published(sealed)).is_err() {
            self.health.fail_for_now("the projections stopped");
        }
    }
}
