//! Which commands a call may ask for, each by its own rule, alone or in a batch.
//!
//! Somebody whose role is limited to some funds may name a loan or a record. Its fund is looked up in
//! what is published; it never becomes another one, and an id is never used again, so what is found
//! still holds when the command is decided. What is not found is denied, and not said to be missing:
//! that would tell of other funds. Whoever has a receipt finds what it is of, since everything durable
//! is waited for.

use crate::access::methods::Place;
use crate::access::{Open, Scope};
use crate::batch::Permitted;
use crate::records::Reader;
use crate::resources::View;
use crate::services::Services;
use bergulir_chain::Position;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Command, Event, FundId, command, touched};
use bergulir_engine::Ledger;
use bergulir_proto::Described;
use bergulir_proto::wire::Batch;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::Status;

impl Services {
    /// # Errors
    /// If a single command may not be asked for.
    pub(crate) async fn may_ask(
        &self,
        scope: &Scope,
        ledger: &Arc<Ledger>,
        command: &Command,
    ) -> Result<(), Status> {
        match scope.command(command) {
            Open::Decided(decided) => decided.map_err(|denied| denied.status()),
            Open::Fund(place) => {
                let fund = self.funds(ledger, vec![place]).await?.pop().flatten();
                scope.decided(command, fund).map_err(|denied| denied.status())
            }
        }
    }

    /// What may be asked for of a batch.
    ///
    /// # Errors
    /// If the ledger cannot be asked; within, if an atomic batch is denied.
    pub(crate) async fn permitted(
        &self,
        scope: &Scope,
        ledger: &Arc<Ledger>,
        batch: Batch,
    ) -> Result<Result<Permitted, Described>, Status> {
        let mut denied = Vec::new();
        let mut open = Vec::new();
        if !scope.is_open() {
            for (at, request) in batch.requests.iter().enumerate() {
                match scope.command(&request.command) {
                    Open::Decided(Ok(())) => {}
                    Open::Decided(Err(why)) => denied.push((at, why)),
                    Open::Fund(place) => open.push((at, place)),
                }
            }
        }
        if !open.is_empty() {
            let places = open.iter().map(|(_, place)| *place).collect();
            let funds = self.funds(ledger, places).await?;
            for ((at, _), fund) in open.into_iter().zip(funds) {
                if let Err(why) = scope.decided(&batch.requests[at].command, fund) {
                    denied.push((at, why));
                }
            }
            denied.sort_by_key(|(at, _)| *at);
        }
        Ok(Permitted::of(batch, denied))
    }

    /// The fund of each place, as far as it is known.
    async fn funds(
        &self,
        ledger: &Arc<Ledger>,
        places: Vec<Place>,
    ) -> Result<Vec<Option<FundId>>, Status> {
        let records = places.iter().filter_map(|place| match place {
            Place::Record(position) => Some(position.get()),
            Place::Ledger | Place::Fund(_) | Place::Loan(_) => None,
        });
        let records: Vec<u64> = records.collect();
        let events = if records.is_empty() {
            Events::default()
        } else {
            let ledger = Arc::clone(ledger);
            let read = tokio::task::spawn_blocking(move || Events::read(&ledger, &records)).await;
            read.map_err(|error| Status::internal(error.to_string()))??
        };
        let durable = ledger.head().size.last().map(Position::get);
        let look = |view: &View<'_>| {
            let fund = |place: &Place| match place {
                Place::Ledger => None,
                Place::Fund(fund) => Some(*fund),
                Place::Loan(loan) => {
                    view.state.loans().find(loan).map(|loan| view.fund_of_loan(loan))
                }
                Place::Record(position) => {
                    let event = events.0.get(&position.get())?;
                    let fund = touched(view.state, event, &events).ok()?.fund?;
                    Some(view.state.funds().get(fund).id)
                }
            };
            Ok(places.iter().map(fund).collect())
        };
        Ok(self.look(ledger, durable, look).await?.0)
    }
}

/// The events of records that commands name, and those that these refer to.
#[derive(Default)]
struct Events(BTreeMap<u64, Event>);

impl Events {
    /// Leaves out what the log does not reach. Blocks on the disk.
    fn read(ledger: &Ledger, positions: &[u64]) -> Result<Events, Status> {
        let size = ledger.head().size;
        let mut reader = Reader::new(ledger);
        let mut events = BTreeMap::new();
        for &position in positions {
            let position = Position::new(position);
            if !size.holds(position) || events.contains_key(&position.get()) {
                continue;
            }
            let event = reader.event(position)?;
            let proposal = match &event {
                Event::AllocationWithdrawn(e) => Some(e.proposal),
                Event::Reversed(e) => Some(e.proposal),
                Event::ProposalRefused(e) => Some(e.proposal),
                Event::ProposalWithdrawn(e) => Some(e.proposal),
                _ => None,
            };
            if let Some(proposal) = proposal {
                let proposed = reader.event(Position::new(proposal.get()))?;
                events.insert(proposal.get(), proposed);
            }
            events.insert(position.get(), event);
        }
        Ok(Events(events))
    }
}

impl Lookups for Events {
    fn bank_reference(
        &self,
        _: &command::BankReference,
    ) -> Result<Vec<bergulir_domain::Position>, LookupFailed> {
        Err(LookupFailed)
    }

    fn record(&self, position: bergulir_domain::Position) -> Result<Option<Event>, LookupFailed> {
        Ok(self.0.get(&position.get()).cloned())
    }
}
