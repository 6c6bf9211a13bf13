//! gRPC health: of each ledger under its name, and of the server under the empty name.
//!
//! A ledger is `SERVING` while it takes commands. The server is `SERVING` unless it stops, or has
//! ledgers of which none takes commands: one ledger in trouble must not take the others away.

use bergulir_domain::LedgerId;
use bergulir_engine::{Slot, Status};
use bergulir_proto::name::ledger_name;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};

/// What the health service says.
#[derive(Clone)]
pub(crate) struct Health {
    reporter: HealthReporter,
    /// Whether each ledger takes commands.
    ledgers: Arc<Mutex<BTreeMap<LedgerId, bool>>>,
    stopping: watch::Receiver<bool>,
}

impl Health {
    pub(crate) fn new(stopping: watch::Receiver<bool>) -> Health {
        Health { reporter: HealthReporter::new(), ledgers: Arc::default(), stopping }
    }

    /// The gRPC service.
    pub(crate) fn service(&self) -> HealthService {
        HealthService::from_health_reporter(self.reporter.clone())
    }

    /// Says that a service of that name is there.
    pub(crate) async fn add_service(&self, name: &str) {
        let reporter = &self.reporter;
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }

    /// Follows a ledger from now on; a second time does nothing.
    pub(crate) async fn follow(&self, id: LedgerId, slot: &Slot) {
        let ledger = match slot {
            Slot::Open(ledger) => ledger,
            Slot::Broken(_) => return self.tell(id, false).await,
        };
        {
            let mut ledgers = self.held();
            if ledgers.contains_key(&id) {
                return;
            }
            ledgers.insert(id, true);
        }
        // Only the status is held, so that the ledger can go away.
        let mut status = ledger.status();
        let health = self.clone();
        let serving = *status.borrow_and_update() == Status::Serving;
        self.tell(id, serving).await;
        tokio::spawn(async move {
            while status.changed().await.is_ok() {
                let serving = *status.borrow_and_update() == Status::Serving;
                health.tell(id, serving).await;
            }
        });
    }

    /// The server stops: nothing is served from here on.
    pub(crate) async fn stop(&self) {
        let ids: Vec<LedgerId> = self.held().keys().copied().collect();
        for id in ids {
            self.tell(id, false).await;
        }
        self.say("", false).await;
    }

    async fn tell(&self, id: LedgerId, serving: bool) {
        let any = {
            let mut ledgers = self.held();
            ledgers.insert(id, serving);
            ledgers.values().any(|serving| *serving)
        };
        let stopping = *self.stopping.borrow();
        self.say(&ledger_name(id), serving && !stopping).await;
        self.say("", any && !stopping).await;
    }

    async fn say(&self, name: &str, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(name, status).await;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<LedgerId, bool>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
