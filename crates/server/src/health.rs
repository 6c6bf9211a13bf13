//! gRPC health: of each ledger under its name, and of the server under the empty name.
//!
//! A ledger is `SERVING` while it takes commands. The server is `SERVING` unless it stops, or has
//! ledgers of which none takes commands: one ledger in trouble must not take the others away.

use crate::access::{Access, Pass};
use bergulir_domain::LedgerId;
use bergulir_engine::{Node, Slot, Status};
use bergulir_proto::name::{ledger, ledger_name};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tonic::{Request, Response, async_trait};
use tonic_health::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};
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
    pub(crate) fn service(&self, access: Arc<Access>) -> Told {
        Told { said: HealthService::from_health_reporter(self.reporter.clone()), access }
    }

    /// Whether the server as a whole says that it serves.
    pub(crate) fn is_ready(&self) -> bool {
        let ledgers = self.held();
        let any = ledgers.is_empty() || ledgers.values().any(|serving| *serving);
        any && !*self.stopping.borrow()
    }

    /// Says that a service of that name is there.
    pub(crate) async fn add_service(&self, name: &str) {
        let reporter = &self.reporter;
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }

    /// Follows a ledger from now on, whichever opening of it is in place; a second time does nothing.
    pub(crate) async fn follow(&self, node: &Arc<Node>, id: LedgerId) {
        match self.held().entry(id) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => place.insert(false),
        };
        let (health, mut placed) = (self.clone(), node.watch());
        // Only as long as the node is there.
        let node = Arc::downgrade(node);
        let current = move || {
            let slot = node.upgrade()?.ledger(id)?;
            Some(match slot {
                Slot::Open(ledger) => Some(ledger.status()),
                Slot::Broken(_) => None,
            })
        };
        let mut status = current().flatten();
        self.tell(id, serving(status.as_mut())).await;
        tokio::spawn(async move {
            loop {
                let changed = async {
                    match &mut status {
                        Some(status) => status.changed().await.is_ok(),
                        None => false,
                    }
                };
                tokio::select! {
                    true = changed => {}
                    placed = placed.changed() => match (placed, current()) {
                        (Ok(()), Some(now)) => status = now,
                        // The node or the ledger is gone.
                        (Err(_), _) | (_, None) => {
                            health.tell(id, false).await;
                            health.held().remove(&id);
                            return;
                        }
                    },
                }
                health.tell(id, serving(status.as_mut())).await;
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

/// The gRPC service. Of a ledger it tells those who may do something there; to others it is as if it were
/// not there.
pub(crate) struct Told {
    said: HealthService,
    access: Arc<Access>,
}

impl Told {
    fn may_hear(&self, request: &Request<HealthCheckRequest>) -> Result<(), tonic::Status> {
        let Ok(ledger) = ledger(&request.get_ref().service) else { return Ok(()) };
        let sees = match request.extensions().get::<Pass>() {
            Some(pass) => pass.sees(ledger),
            None => self.access.is_open(),
        };
        // In the words in which the library says it.
        if sees { Ok(()) } else { Err(tonic::Status::not_found("service not registered")) }
    }
}

#[async_trait]
impl health_server::Health for Told {
    type WatchStream = <HealthService as health_server::Health>::WatchStream;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, tonic::Status> {
        self.may_hear(&request)?;
        self.said.check(request).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, tonic::Status> {
        self.may_hear(&request)?;
        self.said.watch(request).await
    }
}

/// Whether a ledger takes commands; one without a status is not open.
fn serving(status: Option<&mut watch::Receiver<Status>>) -> bool {
    status.is_some_and(|status| *status.borrow_and_update() == Status::Serving)
}
