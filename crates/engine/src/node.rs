//! All ledgers of one data directory, which belongs to one process at a time.

use crate::clock::Clock;
use crate::ledger::{Ledger, LedgerOptions};
use crate::open::{self, OpenError};
use crate::submission::{
    Accepted, Answer, Balances, Caller, Receipt, Refusal, Request, Terms, Work,
};
use bergulir_chain::{Hash, Position, Record};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Context, Event, LedgerId, State, Touched, decide};
use bergulir_proto::event::encode_event;
use bergulir_store::{DataLock, EventLog, Group, LockError, create_folder_durably};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// The folder of the ledgers in a data directory.
pub const LEDGERS_FOLDER: &str = "ledgers";

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Another process uses it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be read.
    #[error("could not read {}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A ledger of the node.
#[derive(Clone)]
pub enum Slot {
    /// It is open.
    Open(Arc<Ledger>),
    /// It could not be opened.
    Broken(Arc<OpenError>),
}

/// All ledgers of one data directory.
pub struct Node {
    folder: PathBuf,
    ledgers: Mutex<BTreeMap<LedgerId, Slot>>,
    clock: Arc<dyn Clock>,
    options: LedgerOptions,
    _lock: DataLock,
}

impl Node {
    /// Opens every ledger of a data directory, which is made if it is missing. A ledger that cannot
    /// be opened does not keep the others from being served. `progress` is told the ledger, and how
    /// many of how many records are replayed.
    ///
    /// # Errors
    /// If the directory is in use or cannot be read.
    pub fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        options: LedgerOptions,
        progress: &dyn Fn(LedgerId, u64, u64),
    ) -> Result<Node, NodeError> {
        let lock = DataLock::acquire(folder)?;
        let ledgers_folder = folder.join(LEDGERS_FOLDER);
        let io = |source| NodeError::Io { path: ledgers_folder.clone(), source };
        create_folder_durably(&ledgers_folder).map_err(io)?;
        let mut ledgers = BTreeMap::new();
        for dir in std::fs::read_dir(&ledgers_folder).map_err(io)? {
            let name = dir.map_err(io)?.file_name();
            let Some(id) = name.to_str().and_then(|name| LedgerId::new(name).ok()) else {
                tracing::warn!(?name, "not the folder of a ledger: left alone");
                continue;
            };
            let folder = ledgers_folder.join(id.as_str());
            let told = |done, all| progress(id, done, all);
            match open_ledger(&folder, id, &clock, options, &told) {
                Ok(Some(ledger)) => {
                    ledgers.insert(id, Slot::Open(Arc::new(ledger)));
                }
                // Its creation was cut short before anything was acknowledged.
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(ledger = %id, %error, "the ledger cannot be opened");
                    ledgers.insert(id, Slot::Broken(Arc::new(error)));
                }
            }
        }
        Ok(Node {
            folder: folder.to_owned(),
            ledgers: Mutex::new(ledgers),
            clock,
            options,
            _lock: lock,
        })
    }

    /// A ledger by its name.
    pub fn ledger(&self, id: LedgerId) -> Option<Slot> {
        self.held().get(&id).cloned()
    }

    /// Every ledger, by name.
    pub fn ledgers(&self) -> Vec<(LedgerId, Slot)> {
        self.held().iter().map(|(id, slot)| (*id, slot.clone())).collect()
    }

    /// Opens a new ledger: its first record is `OpenLedger`. If the ledger is there already, the
    /// request goes to it, which answers a retry.
    pub async fn create(
        self: &Arc<Self>,
        id: LedgerId,
        caller: Caller,
        request: Request,
        terms: Terms,
    ) -> Answer {
        let node = Arc::clone(self);
        let again = request.clone();
        let created =
            tokio::task::spawn_blocking(move || node.create_blocking(id, caller, &request, terms));
        match created.await {
            Ok(Created::Answer(answer)) => answer,
            Ok(Created::There(ledger)) => ledger.submit(caller, Work::Single(again), terms).await,
            Err(error) => refused(Refusal::OutcomeUnknown { why: error.to_string() }),
        }
    }

    fn create_blocking(
        &self,
        id: LedgerId,
        caller: Caller,
        request: &Request,
        terms: Terms,
    ) -> Created {
        // Held to the end: two callers who create the same ledger come one after the other.
        let mut ledgers = self.held();
        match ledgers.get(&id) {
            Some(Slot::Open(ledger)) => return Created::There(Arc::clone(ledger)),
            Some(Slot::Broken(error)) => {
                return Created::Answer(refused(Refusal::ReadOnly { why: error.to_string() }));
            }
            None => {}
        }
        let accepted = match self.first_record(id, caller, request, terms) {
            Ok(accepted) => accepted,
            Err(refusal) => return Created::Answer(refused(refusal)),
        };
        let Some(accepted) = accepted else {
            // Its first record is there: a creation whose outcome was unknown. It answers itself.
            return match self.open_into(&mut ledgers, id) {
                Ok(Some(ledger)) => Created::There(ledger),
                Ok(None) => Created::Answer(refused(Refusal::ShuttingDown)),
                Err(why) => Created::Answer(refused(Refusal::OutcomeUnknown { why })),
            };
        };
        if accepted.receipt.is_some()
            && let Err(why) = self.open_into(&mut ledgers, id)
        {
            return Created::Answer(refused(Refusal::OutcomeUnknown { why }));
        }
        Created::Answer(Answer::Items(vec![Ok(accepted)]))
    }

    /// Opens a ledger that is on the disk; gives why not, in words, if it is broken.
    fn open_into(
        &self,
        ledgers: &mut BTreeMap<LedgerId, Slot>,
        id: LedgerId,
    ) -> Result<Option<Arc<Ledger>>, String> {
        let folder = self.folder.join(LEDGERS_FOLDER).join(id.as_str());
        match open_ledger(&folder, id, &self.clock, self.options, &|_, _| {}) {
            Ok(Some(ledger)) => {
                let ledger = Arc::new(ledger);
                ledgers.insert(id, Slot::Open(Arc::clone(&ledger)));
                Ok(Some(ledger))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                let why = error.to_string();
                ledgers.insert(id, Slot::Broken(Arc::new(error)));
                Err(why)
            }
        }
    }

    /// Makes the first record durable; `None` if there is one already.
    fn first_record(
        &self,
        id: LedgerId,
        caller: Caller,
        request: &Request,
        terms: Terms,
    ) -> Result<Option<Accepted>, Refusal> {
        let empty = bergulir_chain::LogSize::new(0);
        if let Some(expected) = terms.expected_position.filter(|expected| *expected != empty) {
            return Err(Refusal::HeadMoved { expected, size: empty });
        }
        let time = self.clock.now();
        let context = Context { time, principal: caller.principal, lookups: &Nothing };
        let event = decide(&State::default(), &request.command, &context)?;
        let accepted = |receipt| Accepted {
            receipt,
            touched: Touched::default(),
            balances: Balances::default(),
        };
        if terms.validate_only {
            return Ok(Some(accepted(None)));
        }
        let failed = |error: &dyn std::error::Error| Refusal::OutcomeUnknown {
            why: crate::projector::describe(error),
        };
        let folder = self.folder.join(LEDGERS_FOLDER).join(id.as_str());
        // The ledger's own folder must survive a power cut as surely as what is in it.
        create_folder_durably(&folder).map_err(|error| failed(&error))?;
        let (log, _) = open::open_log(&folder).map_err(|error| failed(&error))?;
        // Folders that were there before may stem from a creation that was cut short in between.
        for folder in [&folder, &self.folder.join(LEDGERS_FOLDER)] {
            let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| failed(&error))?;
        }
        let head = log.head();
        if head.size.get() > 0 {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        encode_event(&event, &mut bytes);
        let recorded_at = bergulir_chain::Timestamp::from_micros(time.as_micros());
        let record = Record {
            position: Position::new(0),
            previous: Hash::ZERO,
            recorded_at,
            principal: caller.principal.as_str(),
            authentication: caller.authentication,
            request_id: request.request_id,
            following: 0,
            event: &bytes,
            signature: None,
        };
        let mut group = Group::new(head);
        let record_hash = group.push(&record).map_err(|error| failed(&error))?;
        log.append(head, &group).map_err(|error| failed(&error))?;
        Ok(Some(accepted(Some(Receipt {
            position: record.position,
            record_hash,
            recorded_at,
            duplicate: false,
        }))))
    }

    /// Stops every ledger: what waits is finished, nothing is taken after.
    pub fn stop(&self) {
        std::thread::scope(|scope| {
            for (_, slot) in self.ledgers() {
                if let Slot::Open(ledger) = slot {
                    scope.spawn(move || ledger.stop());
                }
            }
        });
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<LedgerId, Slot>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Created {
    Answer(Answer),
    There(Arc<Ledger>),
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused { item: None, refusal }
}

/// Opens a ledger; `None` if its log has no record yet.
fn open_ledger(
    folder: &Path,
    id: LedgerId,
    clock: &Arc<dyn Clock>,
    options: LedgerOptions,
    progress: &dyn Fn(u64, u64),
) -> Result<Option<Ledger>, OpenError> {
    let (log, _) = open::open_log(folder)?;
    if log.head().size.get() == 0 {
        return open::check_never_opened(folder).map(|()| None);
    }
    let log: Arc<dyn EventLog> = Arc::new(log);
    let opened = open::open(folder, id, &log, progress)?;
    Ok(Some(Ledger::start(id, folder, opened, Arc::clone(clock), options)))
}

/// Position 0 has nothing to look up.
struct Nothing;

impl Lookups for Nothing {
    fn bank_reference(
        &self,
        _: &BankReference,
    ) -> Result<Vec<bergulir_domain::Position>, LookupFailed> {
        Ok(Vec::new())
    }
    fn record(&self, _: bergulir_domain::Position) -> Result<Option<Event>, LookupFailed> {
        Ok(None)
    }
}
