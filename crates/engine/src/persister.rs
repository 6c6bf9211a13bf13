//! The persister: the one thread of a ledger that writes. It appends a group, publishes the new
//! head, and only then answers those who waited for it.

use crate::health::Health;
use crate::projector;
use crate::recent::SealedGroup;
use crate::submission::{Answer, Refusal};
use crate::writer::{Bundle, Waiter};
use bergulir_store::{EventLog, Head};
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use tokio::sync::watch;

pub(crate) struct Persister {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) head: watch::Sender<Head>,
    pub(crate) projector: Sender<projector::Message>,
    pub(crate) health: Arc<Health>,
}

impl Persister {
    /// Runs until the writer is gone.
    pub(crate) fn run(self, full: &Receiver<Bundle>, idle: &Sender<Bundle>) {
        // After one failure nothing that was decided on top of it can be answered.
        let mut lost: Option<String> = None;
        for mut bundle in full {
            if lost.is_none()
                && !bundle.group.is_empty()
                && let Err(error) = self.log.append(bundle.group.base(), &bundle.group)
            {
                let mut why = error.to_string();
                if let Some(source) = std::error::Error::source(&error) {
                    why = format!("{why}: {source}");
                }
                self.health.fail(format!("{why}; restart the server to open the ledger again"));
                lost = Some(why);
            }
            match &lost {
                None => {
                    if !bundle.group.is_empty() {
                        self.head.send_replace(bundle.group.head());
                    }
                    // First to the projections, which then are mostly there when callers, on their
                    // answer, look at the state.
                    if let Some(sealed) = bundle.sealed.take() {
                        self.project(sealed);
                    }
                    bundle.waiters.drain(..).for_each(tell);
                }
                Some(why) => bundle.waiters.drain(..).for_each(|waiter| tell_lost(waiter, why)),
            }
            bundle.sealed = None;
            bundle.decided = 0;
            if idle.send(bundle).is_err() {
                return;
            }
        }
    }

    fn project(&self, sealed: SealedGroup) {
        if self.projector.send(projector::Message::Published(sealed)).is_err() {
            self.health.fail("the projections stopped: restart the server".to_owned());
        }
    }
}

// A caller that went away needs no answer: that is what the ignored results below mean.

fn tell(waiter: Waiter) {
    match waiter {
        Waiter::Answer(reply, answer) => {
            let _ = reply.send(answer);
        }
        Waiter::Fence(reply) => {
            let _ = reply.send(());
        }
    }
}

fn tell_lost(waiter: Waiter, why: &str) {
    if let Waiter::Answer(reply, answer) = waiter {
        let why = why.to_owned();
        let refusal = match answer {
            // Decided on a state that is not durable: neither yes nor no can be said.
            Answer::Items(_) => Refusal::OutcomeUnknown { why },
            Answer::Refused { .. } => Refusal::ReadOnly { why },
        };
        let _ = reply.send(Answer::Refused { item: None, refusal });
    }
}
