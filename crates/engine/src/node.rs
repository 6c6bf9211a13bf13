//! All ledgers of one data directory, which belongs to one process at a time.

use crate::anchor::{self, AnchorError};
use crate::checkpoints::SignedCheckpoint;
use crate::clock::Clock;
use crate::continuation::CONTINUING_FOLDER;
use crate::continued;
use crate::keyring::{KEYS_FOLDER, KeyError, Keyring};
use crate::ledger::{Ledger, LedgerOptions, Shared};
use crate::open::{self, OpenError, Opened};
use crate::submission::{
    Accepted, Answer, Balances, Caller, Named, Receipt, Refusal, Request, Terms, Work,
};
use crate::witness::{Client, UnusableWitness};
use crate::witnesses::{self, START_LIMIT, Witnesses};
use bergulir_chain::note::VerifierKey;
use bergulir_chain::policy::Policy;
use bergulir_chain::{Hash, Position, Record};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::ledger::Origin;
use bergulir_domain::{Command, Context, Event, LedgerId, State, Touched, decide};
use bergulir_proto::event::encode_event;
use bergulir_store::{DataLock, EventLog, Group, LockError, create_folder_durably};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use thiserror::Error;
use tokio::runtime::Handle;

/// The folder of the ledgers in a data directory.
pub const LEDGERS_FOLDER: &str = "ledgers";

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

/// How a node runs its ledgers.
#[derive(Debug, Clone, Default)]
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
}

impl From<LedgerOptions> for NodeOptions {
    fn from(ledger: LedgerOptions) -> NodeOptions {
        NodeOptions { ledger, ..NodeOptions::default() }
    }
}

/// All ledgers of one data directory.
pub struct Node {
    folder: PathBuf,
    ledgers: Mutex<BTreeMap<LedgerId, Slot>>,
    clock: Arc<dyn Clock>,
    options: NodeOptions,
    keyring: Arc<Keyring>,
    witnesses: Vec<Arc<Client>>,
    _lock: DataLock,
}

impl Node {
    /// Opens every ledger of a data directory, which is made if it is missing. A ledger that cannot
    /// be opened does not keep the others from being served. `progress` is told the ledger, and how
    /// many of how many records are replayed. When all are replayed, witnesses are asked what they
    /// know, all about all ledgers at once, for a few seconds at most.
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
        let options = options.into();
        let lock = DataLock::acquire(folder)?;
        for anchor in &options.anchors {
            anchor::check(anchor, folder)?;
        }
        let keys = options.keys.clone().unwrap_or_else(|| folder.join(KEYS_FOLDER));
        let keyring = Arc::new(Keyring::open(keys)?);
        let clients = options.policy.as_ref().map(witnesses::clients).transpose()?;
        let clients = clients.unwrap_or_default();
        let opening =
            Opening { clock: &clock, options: &options, keyring: &keyring, witnesses: &clients };
        let ledgers_folder = folder.join(LEDGERS_FOLDER);
        let io = |source| NodeError::Io { path: ledgers_folder.clone(), source };
        create_folder_durably(&ledgers_folder).map_err(io)?;
        if folder.join(CONTINUING_FOLDER).exists() {
            tracing::warn!(
                "`bergulir ledger continue` was cut short: run it again, with no server running"
            );
        }
        let mut found = Vec::new();
        for dir in std::fs::read_dir(&ledgers_folder).map_err(io)? {
            let name = dir.map_err(io)?.file_name();
            let Some(id) = name.to_str().and_then(|name| LedgerId::new(name).ok()) else {
                tracing::warn!(?name, "not the folder of a ledger: left alone");
                continue;
            };
            let told = |done, all| progress(id, done, all);
            found.push((id, opening.read(&ledgers_folder.join(id.as_str()), id, &told)));
        }
        retire(&mut found);
        opening.ask_witnesses(&mut found);
        let mut ledgers = BTreeMap::new();
        for (id, read) in found {
            match read {
                Ok(Some(read)) => {
                    let ledger = opening.start(id, read);
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
            keyring,
            witnesses: clients,
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

    /// The key for a new ledger with this origin: the one of that name in the key folder, or a new
    /// one that is made there.
    ///
    /// # Errors
    /// If there are several of that name, or the folder cannot be read or written.
    pub fn verifier_key(&self, origin: &Origin, id: LedgerId) -> Result<VerifierKey, KeyError> {
        self.keyring.verifier_key(origin, id)
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
        if let Command::OpenLedger(open) = &request.command
            && let Some(ledger) = with_origin(&ledgers, &open.origin)
        {
            return Created::Answer(refused(Refusal::OriginTaken { ledger }));
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
        let opening = Opening {
            clock: &self.clock,
            options: &self.options,
            keyring: &self.keyring,
            witnesses: &self.witnesses,
        };
        // Witnesses are not asked before it starts: all others would wait for them, and they are
        // soon asked anyway.
        match opening.read(&folder, id, &|_, _| {}) {
            Ok(Some(read)) => {
                let ledger = Arc::new(opening.start(id, read));
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
        if let Command::OpenLedger(open) = &request.command
            && let Some(key) = &open.verifier_key
        {
            self.keyring.require(key)?;
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

/// Of two ledgers of which one goes on from the other, the other one takes no writes, also if its mark
/// was lost, as after a restore of its folder alone.
fn retire(found: &mut [(LedgerId, Result<Option<Read>, OpenError>)]) {
    let mut successors = BTreeMap::new();
    for (id, read) in found.iter() {
        let Ok(Some(Read { opened, .. })) = read else { continue };
        let state = opened.replica.state();
        let Some(origin) = state.opened().map(|opened| &opened.origin) else { continue };
        for past in past_origins(state) {
            successors.insert(past, (*id, origin.clone()));
        }
    }
    for (id, read) in found {
        let Ok(Some(Read { opened, .. })) = read else { continue };
        let origin = opened.replica.state().opened().map(|opened| opened.origin.as_str());
        if let Some((successor, origin)) = origin.and_then(|origin| successors.get(origin))
            && successor != id
        {
            opened.known.trouble.get_or_insert(continued::goes_on(*successor, origin, None));
        }
    }
}

/// The origins that a ledger had before, under which something can have been signed.
fn past_origins(state: &State) -> impl Iterator<Item = String> {
    let origin = state.opened().map(|opened| opened.origin.as_str());
    let names = state.keys().filter_map(|(_, key)| Some(key.as_str().split_once('+')?.0));
    names.filter(move |name| Some(*name) != origin).map(str::to_owned)
}

/// The ledger that has this origin, or had it.
fn with_origin(ledgers: &BTreeMap<LedgerId, Slot>, origin: &Origin) -> Option<LedgerId> {
    let has = |slot: &Slot| match slot {
        Slot::Open(ledger) => ledger.had_origin(origin),
        // Nobody can tell; its key is not used either.
        Slot::Broken(_) => false,
    };
    ledgers.iter().find(|(_, slot)| has(slot)).map(|(id, _)| *id)
}

enum Created {
    Answer(Answer),
    There(Arc<Ledger>),
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused { item: None, refusal }
}

/// What every ledger of a node is opened with.
struct Opening<'a> {
    clock: &'a Arc<dyn Clock>,
    options: &'a NodeOptions,
    keyring: &'a Arc<Keyring>,
    witnesses: &'a [Arc<Client>],
}

/// A ledger that was read and does not run yet.
struct Read {
    folder: PathBuf,
    opened: Opened,
    witnesses: Option<Arc<Witnesses>>,
}

impl Opening<'_> {
    /// Reads a ledger; `None` if its log has no record yet.
    fn read(
        &self,
        folder: &Path,
        id: LedgerId,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Option<Read>, OpenError> {
        // Whatever can be read of a ledger that goes on as another one, it takes no writes.
        let retired = continued::retired(folder);
        let read = self.read_log(folder, id, progress);
        let Some(why) = retired else { return read };
        match read {
            Ok(Some(mut read)) => {
                read.opened.known.trouble = Some(why);
                Ok(Some(read))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(OpenError::Continued { why, source: Box::new(error) }),
        }
    }

    fn read_log(
        &self,
        folder: &Path,
        id: LedgerId,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Option<Read>, OpenError> {
        let (log, _) = open::open_log(folder)?;
        if log.head().size.get() == 0 {
            return open::check_never_opened(folder).map(|()| None);
        }
        let log: Arc<dyn EventLog> = Arc::new(log);
        let policy = self.options.policy.as_ref();
        let witnesses = policy.and_then(|policy| Witnesses::of(policy, self.witnesses));
        let anchors = &self.options.anchors;
        let mut opened = open::open(folder, id, &log, anchors, open::options, progress)?;
        // Whom the policy trusts by now is asked, not whom it trusted then.
        let policy = policy.filter(|policy| policy.wants_witnesses());
        let stands =
            |signed: &SignedCheckpoint| policy.is_some_and(|it| it.witnessed(&signed.note).is_ok());
        opened.known.witnessed = opened.known.witnessed.filter(stands);
        Ok(Some(Read { folder: folder.to_owned(), opened, witnesses }))
    }

    /// Asks all witnesses what they know of all ledgers. One that is silent delays the start once.
    fn ask_witnesses(&self, found: &mut [(LedgerId, Result<Option<Read>, OpenError>)]) {
        let until = Instant::now() + START_LIMIT;
        std::thread::scope(|scope| {
            for (_, read) in found {
                scope.spawn(move || {
                    let Ok(Some(Read { folder, opened, witnesses: Some(witnesses) })) = read else {
                        return;
                    };
                    let asked = open::ask(witnesses, opened, self.keyring, folder, until);
                    if let Err(error) = asked {
                        *read = Err(error);
                    }
                });
            }
        });
    }

    fn start(&self, id: LedgerId, read: Read) -> Ledger {
        let Read { folder, opened, witnesses } = read;
        let shared = Shared {
            clock: Arc::clone(self.clock),
            options: self.options.ledger,
            keyring: Arc::clone(self.keyring),
            witnesses,
            runtime: self.options.runtime.clone(),
            request_ids: Arc::new(|| *uuid::Uuid::new_v4().as_bytes()),
        };
        Ledger::start(id, &folder, opened, shared)
    }
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
