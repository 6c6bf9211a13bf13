//! What every service works with, and the few steps that all their methods share.

use crate::access::{Access, Pass, Reason, Scope, denied};
use crate::health::Health;
use crate::quotas::Quotas;
use crate::refusal;
use crate::resources::View;
use crate::telemetry::Measured;
use bergulir_chain::Position;
use bergulir_domain::money::Currency;
use bergulir_domain::{LedgerId, State};
use bergulir_engine::clock::Clock;
use bergulir_engine::{AsOf, Ledger, Node, Slot};
use bergulir_proto::name::NameError;
use bergulir_proto::wire::InvalidFields;
use std::panic::resume_unwind;
use std::str::FromStr;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::{Extensions, Status};
use tracing::Instrument as _;

/// The only currency that there is; a second one will have to be asked of the ledger.
pub(crate) const CURRENCY: Currency = Currency::Idr;

/// What every service works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) node: Arc<Node>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) measured: Arc<Measured>,
    /// Says whether calls come without a pass, because everybody may do everything.
    pub(crate) access: Arc<Access>,
    pub(crate) quotas: Arc<Quotas>,
    /// The threads of questions that read much, from the disk if need be.
    pub(crate) pages: Handle,
}

impl Services {
    /// Does what takes long, or waits for the disk, where no short call waits for it. It ends with its
    /// caller.
    pub(crate) async fn elsewhere<R: Send + 'static>(
        &self,
        what: impl Future<Output = R> + Send + 'static,
    ) -> Result<R, Status> {
        let mut task = JoinSet::new();
        task.spawn_on(what.in_current_span(), &self.pages);
        match task.join_next().await {
            Some(Ok(done)) => Ok(done),
            // It is logged where it happens, and ends the call as if it had happened here.
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            Some(Err(_)) | None => Err(refusal::stopping()),
        }
    }

    /// What a call may do.
    pub(crate) fn pass(&self, extensions: &Extensions) -> Result<Pass, Status> {
        match extensions.get::<Pass>() {
            Some(pass) => Ok(pass.clone()),
            None if self.access.is_open() => Ok(Pass::OPEN),
            None => {
                let message = "nobody is known to call";
                Err(denied(Reason::CredentialsMissing, message).status())
            }
        }
    }

    /// A ledger that is open, for a call that may do something in it, and what that is.
    pub(crate) fn ledger(&self, pass: &Pass, id: LedgerId) -> Result<(Arc<Ledger>, Scope), Status> {
        tracing::Span::current().record("ledger", id.as_str());
        let scope = pass.enter(id)?;
        self.open_ledger_of(id).map(|ledger| (ledger, scope))
    }

    fn open_ledger_of(&self, id: LedgerId) -> Result<Arc<Ledger>, Status> {
        match self.node.ledger(id) {
            Some(Slot::Open(ledger)) => Ok(ledger),
            Some(Slot::Broken(error)) => Err(refusal::not_open(id, &error)),
            None => Err(refusal::no_ledger(id)),
        }
    }

    /// Looks at the published state, and says the last position that it reflects.
    pub(crate) async fn look<R>(
        &self,
        ledger: &Ledger,
        min_position: Option<u64>,
        look: impl FnOnce(&View<'_>) -> Result<R, Status>,
    ) -> Result<(R, u64), Status> {
        let now = self.clock.now();
        let seen = ledger
            .read(min_position.map(Position::new), |state, as_of| {
                let view = View::new(ledger.id(), state, now);
                look(&view).map(|seen| (seen, last(as_of)))
            })
            .await;
        seen.map_err(|refused| refusal::read_status(&refused))?
    }

    /// Finds what a question about a position in the past names: see [`Ledger::find_as_of`].
    pub(crate) async fn find_as_of<R>(
        &self,
        ledger: &Ledger,
        at: Position,
        look: impl Fn(&View<'_>) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let now = self.clock.now();
        let look = |state: &State, _| look(&View::new(ledger.id(), state, now));
        let found = ledger.find_as_of(at, look).await;
        found.map_err(|refused| refusal::read_status(&refused))?
    }

    /// How many pieces of work may wait for the writer of a ledger.
    pub(crate) fn queue_limit(&self) -> usize {
        self.node.ledger_options().queue
    }
}

/// The last position of a state. An open ledger has at least the record that opened it.
pub(crate) fn last(as_of: AsOf) -> u64 {
    as_of.size.last().map_or(0, Position::get)
}

/// The name in a field of a request.
pub(crate) fn parse<N: FromStr<Err = NameError>>(field: &str, text: &str) -> Result<N, Status> {
    text.parse().map_err(|error| InvalidFields::name(field, &error).status())
}

/// The ledger that a field of a request names.
pub(crate) fn parse_ledger(field: &str, text: &str) -> Result<LedgerId, Status> {
    bergulir_proto::name::ledger(text).map_err(|error| InvalidFields::name(field, &error).status())
}
