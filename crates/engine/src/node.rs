//! All ledgers of one data directory, which belongs to one process at a time.

use crate::anchor::{self, AnchorError};
use crate::clock::{Clock, LONGEST_REST};
use crate::clock_keeper::ClockKeeper;
use crate::continuation::CONTINUING_FOLDER;
use crate::keyring::{KEYS_FOLDER, KeyError, Keyring};
use crate::ledger::{Ledger, LedgerOptions};
use crate::ledgers::{Basis, Ledgers};
use crate::open::{self, OpenError};
use crate::reopening::{self, Pauses, Reopener};
use crate::submission::{
    Accepted, Answer, Balances, Caller, Named, Receipt, Refusal, Request, Terms, Work,
};
use crate::witness::UnusableWitness;
use crate::witnesses;
use bergulir_chain::note::VerifierKey;
use bergulir_chain::policy::Policy;
use bergulir_chain::{Hash, Position, Record};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::ledger::Origin;
use bergulir_domain::{Command, Context, Event, LedgerId, State, Touched, decide};
use bergulir_proto::event::encode_event;
use bergulir_store::backup::BACKUP_FILE;
use bergulir_store::file_log::Disk;
use bergulir_store::layout::{LEDGERS_FOLDER, RESTORING_FOLDER};
use bergulir_store::{DataLock, EventLog, Group, LockError, create_folder_durably};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Another process uses it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An anchor cannot be used.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// The policy gives a witness an address that cannot be used.
    #[error(transparent)]
    Witness(#[from] UnusableWitness),
    /// It is a backup.
    #[error(
        "{} is a backup, and nothing but `bergulir backup` writes to it: make a data directory of it \
         with `bergulir restore {} --data DIR`", path.display(), path.display()
    )]
    Backup {
        /// The folder.
        path: PathBuf,
    },
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
    /// It could not be opened. If the disk failed, that is tried again.
    Broken(Arc<OpenError>),
}

/// How a node runs its ledgers.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// How each of them runs.
    pub ledger: LedgerOptions,
    /// The folder of the private keys; `None`: [`KEYS_FOLDER`] in the data directory.
    pub keys: Option<PathBuf>,
    /// Folders outside the data directory, best on other disks, that keep the newest checkpoint of
    /// each ledger.
    pub anchors: Vec<PathBuf>,
    /// The witnesses to which checkpoints are submitted, and how many of them are a quorum.
    pub policy: Option<Policy>,
    /// The runtime of those who wait for answers: a group of them is told by one of its tasks, which
    /// costs less than to wake each from outside. `None`: from outside.
    pub runtime: Option<Handle>,
    /// If a node starts with a clock that is further than this beyond the newest record of all its
    /// ledgers, they take no writes until an operator says that the clock is right.
    pub longest_rest: Duration,
}

impl Default for NodeOptions {
    fn default() -> NodeOptions {
        NodeOptions {
            ledger: LedgerOptions::default(),
            keys: None,
            anchors: Vec::new(),
            policy: None,
            runtime: None,
            longest_rest: LONGEST_REST,
        }
    }
}

impl From<LedgerOptions> for NodeOptions {
    fn from(ledger: LedgerOptions) -> NodeOptions {
        NodeOptions { ledger, ..NodeOptions::default() }
    }
}

/// All ledgers of one data directory.
pub struct Node {
    /// Stopped before the ledgers are.
    reopener: Reopener,
    clock: ClockKeeper,
    ledgers: Arc<Ledgers>,
    creating: Mutex<()>,
    _lock: DataLock,
}

impl Node {
    /// Opens every ledger of a data directory, which is made if it is missing. A ledger that cannot
    /// be opened does not keep the others from being served. `progress` is told the ledger, and how
    /// many of how many records are replayed. When all are replayed, witnesses are asked what they
    /// know, all about all ledgers at once, for a few seconds at most.
    ///
    /// From then on a ledger whose disk failed is opened again as soon as it works.
    ///
    /// # Errors
    /// If the directory is in use or cannot be read, or a key, an anchor or the address of a witness
    /// cannot be used.
    pub fn open(
        folder: &Path,
        clock: Arc<dyn Clock>,
        options: impl Into<NodeOptions>,
        progress: &dyn Fn(LedgerId, u64, u64),
    ) -> Result<Node, NodeError> {
        let basis = Basis { medium: Arc::new(Disk), clock, pauses: Pauses::USUAL };
        Node::open_on(basis, folder, options.into(), progress)
    }

    /// [`open`](Self::open), on whatever that rests on.
    pub(crate) fn open_on(
        basis: Basis,
        folder: &Path,
        options: NodeOptions,
        progress: &dyn Fn(LedgerId, u64, u64),
    ) -> Result<Node, NodeError> {
        if folder.join(BACKUP_FILE).exists() {
            return Err(NodeError::Backup { path: folder.to_owned() });
        }
        let lock = DataLock::acquire(folder)?;
        for anchor in &options.anchors {
            anchor::check(anchor, folder)?;
        }
        let keys = options.keys.clone().unwrap_or_else(|| folder.join(KEYS_FOLDER));
        let keyring = Arc::new(Keyring::open(keys)?);
        let clients = options.policy.as_ref().map(witnesses::clients).transpose()?;
        let clients = clients.unwrap_or_default();
        let ledgers_folder = folder.join(LEDGERS_FOLDER);
        let io = |source| NodeError::Io { path: ledgers_folder.clone(), source };
        create_folder_durably(&ledgers_folder).map_err(io)?;
        if folder.join(CONTINUING_FOLDER).exists() {
            tracing::warn!(
                "`bergulir ledger continue` was cut short: run it again, with no server running"
            );
        }
        if folder.join(RESTORING_FOLDER).exists() {
            tracing::warn!(
                "`bergulir restore` was cut short: run it again, with no server running"
            );
        }
        let mut ids = Vec::new();
        for dir in std::fs::read_dir(&ledgers_folder).map_err(io)? {
            let name = dir.map_err(io)?.file_name();
            if let Some(id) = name.to_str().and_then(|name| LedgerId::new(name).ok()) {
                ids.push(id);
            } else {
                tracing::warn!(?name, "not the folder of a ledger: left alone");
            }
        }
        let (alarms, calls) = reopening::alarms();
        let ledgers =
            Ledgers::new(ledgers_folder.clone(), basis, options, keyring, clients, alarms);
        let read = |id| {
            let told = |done, all| {
                progress(id, done, all);
                ControlFlow::Continue(())
            };
            (id, ledgers.read(id, None, &told))
        };
        let mut found: Vec<_> = ids.into_iter().map(read).collect();
        ledgers.retire(&mut found);
        ledgers.ask_witnesses(&mut found);
        let last = found
            .iter()
            .filter_map(|(_, read)| Some(read.as_ref().ok()?.as_ref()?.opened.last_stamp()));
        ledgers.watch_of_clock().begin(last.collect());
        for (id, read) in found {
            ledgers.put(id, read);
        }
        let ledgers = Arc::new(ledgers);
        let clock = ClockKeeper::start(Arc::clone(&ledgers), folder);
        let reopener = Reopener::start(Arc::clone(&ledgers), calls);
        Ok(Node { reopener, clock, ledgers, creating: Mutex::default(), _lock: lock })
    }

    /// The folder of its ledgers.
    pub fn folder(&self) -> &Path {
        &self.ledgers.folder
    }

    /// How its ledgers run.
    pub fn ledger_options(&self) -> LedgerOptions {
        self.ledgers.options.ledger
    }

    /// A ledger by its name.
    pub fn ledger(&self, id: LedgerId) -> Option<Slot> {
        self.ledgers.get(id)
    }

    /// Every ledger, by name.
    pub fn ledgers(&self) -> Vec<(LedgerId, Slot)> {
        self.ledgers.all()
    }

    /// Tells whenever a ledger is put in its place: a new one, or one that was opened again.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.ledgers.watch()
    }

    /// The key for a new ledger with this origin: the one of that name in the key folder, or a new
    /// one that is made there.
    ///
    /// # Errors
    /// If there are several of that name, or the folder cannot be read or written.
    pub fn verifier_key(&self, origin: &Origin, id: LedgerId) -> Result<VerifierKey, KeyError> {
        self.ledgers.keyring.verifier_key(origin, id)
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
        // Held to the end: two callers who create ledgers come one after the other.
        let _creating = self.creating();
        match self.ledgers.get(id) {
            Some(Slot::Open(ledger)) => return Created::There(ledger),
            Some(Slot::Broken(error)) => {
                return Created::Answer(refused(Refusal::ReadOnly { why: error.without_paths() }));
            }
            None => {}
        }
        if let Command::OpenLedger(open) = &request.command
            && let Some(ledger) = self.ledgers.with_origin(&open.origin)
        {
            return Created::Answer(refused(Refusal::OriginTaken { ledger }));
        }
        let accepted = match self.first_record(id, caller, request, terms) {
            Ok(accepted) => accepted,
            Err(refusal) => return Created::Answer(refused(refusal)),
        };
        let Some(accepted) = accepted else {
            // Its first record is there: a creation whose outcome was unknown. It answers itself.
            return match self.open_created(id) {
                Ok(Some(ledger)) => Created::There(ledger),
                Ok(None) => Created::Answer(refused(Refusal::ShuttingDown)),
                Err(why) => Created::Answer(refused(Refusal::OutcomeUnknown { why })),
            };
        };
        if accepted.receipt.is_some()
            && let Err(why) = self.open_created(id)
        {
            return Created::Answer(refused(Refusal::OutcomeUnknown { why }));
        }
        Created::Answer(Answer::Items(vec![Ok(accepted)]))
    }

    /// Opens a ledger that is on the disk; gives why not, in words, if it is broken.
    fn open_created(&self, id: LedgerId) -> Result<Option<Arc<Ledger>>, String> {
        // Witnesses are not asked before it starts: all others would wait for them, and they are
        // soon asked anyway.
        let read = self.ledgers.read(id, None, &|_, _| ControlFlow::Continue(()));
        self.ledgers.put(id, read);
        match self.ledgers.get(id) {
            Some(Slot::Open(ledger)) => Ok(Some(ledger)),
            Some(Slot::Broken(error)) => Err(error.without_paths()),
            None => Ok(None),
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
        let time = self.ledgers.watch_of_clock().now();
        let time = time.map_err(|suspect| Refusal::ReadOnly { why: suspect.to_string() })?;
        let context = Context { time, principal: caller.principal, lookups: &Nothing, near: None };
        let event = decide(&State::default(), &request.command, &context)?;
        if let Command::OpenLedger(open) = &request.command
            && let Some(key) = &open.verifier_key
        {
            self.ledgers.keyring.require(key)?;
        }
        let accepted = |receipt| Accepted {
            receipt,
            named: Named::default(),
            touched: Touched::default(),
            balances: Balances::default(),
        };
        if terms.validate_only {
            return Ok(Some(accepted(None)));
        }
        let failed = |error: &dyn std::error::Error| Refusal::OutcomeUnknown {
            why: crate::projector::describe(error),
        };
        let folder = self.ledgers.folder.join(id.as_str());
        // The ledger's own folder must survive a power cut as surely as what is in it.
        create_folder_durably(&folder).map_err(|error| failed(&error))?;
        let (log, _) = self.ledgers.open_log(&folder).map_err(|error| {
            tracing::error!(ledger = %id, error = open::with_sources(&error), "it cannot be made");
            Refusal::OutcomeUnknown { why: error.without_paths() }
        })?;
        // Folders that were there before may stem from a creation that was cut short in between.
        for folder in [&folder, &self.ledgers.folder] {
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

    /// Stops every ledger: what waits is finished, nothing is taken after. None is opened again.
    pub fn stop(&self) {
        self.reopener.stop();
        self.clock.stop();
        let _creating = self.creating();
        std::thread::scope(|scope| {
            for (_, slot) in self.ledgers() {
                if let Slot::Open(ledger) = slot {
                    scope.spawn(move || ledger.stop());
                }
            }
        });
    }

    fn creating(&self) -> MutexGuard<'_, ()> {
        self.creating.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Created {
    Answer(Answer),
    There(Arc<Ledger>),
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused { item: None, refusal }
}

/// Position 0 has nothing to look up, nor has the record that continues a ledger.
pub(crate) struct Nothing;

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
