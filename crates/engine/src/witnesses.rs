//! The witnesses of a ledger: at start they are asked what they know of its log, and each new
//! checkpoint goes to them. A thread of its own does that, so that nobody waits for them.

use crate::checkpointer::sign_with;
use crate::checkpoints::{Checkpoints, SignedCheckpoint};
use crate::health::Health;
use crate::keyring::Keyring;
use crate::known::{self, Known, ROLLED_BACK};
use crate::projector::describe;
use crate::stop::Stop;
use crate::tree::{Tree, TreeError};
use crate::witness::{Client, Patience, TIMEOUT, UnusableWitness, Verdict};
use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{TreeHead, empty_root};
use bergulir_chain::note::Signature;
use bergulir_chain::policy::Policy;
use bergulir_chain::witness::AddCheckpoint;
use bergulir_store::EventLog;
use bergulir_store::index::Index;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a start waits for all witnesses of all ledgers together. One that takes longer is passed
/// over, with a warning, and asked again while the ledgers run.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(4);

/// After a failure a witness is left alone for so long, twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest that a witness is left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// So often a witness is told another old size than before: once is enough, unless others submit
/// checkpoints of this log as well.
const ATTEMPTS: usize = 3;

/// What a witness last had to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessStatus {
    /// What the policy calls it.
    pub name: String,
    /// The size of the log that it saw last, as far as is known.
    pub known: LogSize,
    /// Why it did not cosign the last checkpoint that it was sent; `None` if it did.
    pub failure: Option<String>,
}

#[derive(Debug, Default)]
struct Standing {
    known: LogSize,
    failure: Option<String>,
    pause: Duration,
    /// Not before then.
    again: Option<Instant>,
}

/// The witnesses of the policy that can be reached, as one ledger stands with them.
#[derive(Debug)]
pub(crate) struct Witnesses {
    policy: Policy,
    members: Vec<Member>,
    /// Ends the waiting when the ledger stops.
    pub(crate) stop: Stop,
}

type Member = (Arc<Client>, Mutex<Standing>);

/// What came of a submission.
enum Outcome {
    Cosigned(Signature),
    /// The witness knows of more records than the checkpoint has.
    Ahead(LogSize),
    /// The witness saw another history, of so many records.
    Forked(LogSize),
    Failed(String),
    /// Nothing can be proved.
    NoProof(TreeError),
}

/// The witnesses of a policy that says where they are.
///
/// # Errors
/// If it gives one an address that cannot be used.
pub(crate) fn clients(policy: &Policy) -> Result<Vec<Arc<Client>>, UnusableWitness> {
    let clients = policy.witnesses().iter().filter_map(|it| Client::of(it).transpose());
    clients.map(|client| client.map(Arc::new)).collect()
}

impl Witnesses {
    /// Those of a policy, as one ledger asks them; `None` if none can be reached.
    pub(crate) fn of(policy: &Policy, clients: &[Arc<Client>]) -> Option<Arc<Witnesses>> {
        let members: Vec<_> =
            clients.iter().map(|client| (Arc::clone(client), Mutex::default())).collect();
        let (policy, stop) = (policy.clone(), Stop::default());
        (!members.is_empty()).then(|| Arc::new(Witnesses { policy, members, stop }))
    }

    pub(crate) fn status(&self) -> Vec<WitnessStatus> {
        let of = |(client, standing): &Member| {
            let standing = held(standing);
            let (known, failure) = (standing.known, standing.failure.clone());
            WitnessStatus { name: client.name().to_owned(), known, failure }
        };
        self.members.iter().map(of).collect()
    }

    /// Asks all witnesses at once what they know of a log that is being opened; says in words if one
    /// contradicts it. One that does not answer until `until` is passed over.
    ///
    /// # Errors
    /// If the tiles of the index are damaged, or the log is.
    pub(crate) fn check(
        &self,
        log: &known::Log<'_>,
        known: &Known,
        keyring: &Keyring,
        until: Instant,
    ) -> Result<Option<String>, TreeError> {
        // Something that is signed already, or that every history begins with.
        let first = match &known.newest {
            Some(newest) => Some(newest.clone()),
            None => sign(log, TreeHead { size: 0, root: empty_root() }, keyring),
        };
        let Some(first) = first else {
            tracing::warn!(origin = %log.origin, "no witness is asked: there is no key to ask with");
            return Ok(None);
        };
        let mut answers = Vec::new();
        std::thread::scope(|scope| {
            let asked: Vec<_> = self
                .members
                .iter()
                .map(|member| scope.spawn(|| check_one(member, log, &first, keyring, until)))
                .collect();
            answers.extend(asked.into_iter().filter_map(|asked| asked.join().ok()));
        });
        let (mut trouble, mut silent) = (None, true);
        for answer in answers {
            let answer = answer?;
            silent &= matches!(answer, Answered::Nothing);
            if let Answered::Contradicts(why) = answer {
                trouble.get_or_insert(why);
            }
        }
        if silent {
            tracing::warn!(
                origin = %log.origin,
                "no witness says what it knows: the log goes on, and if it is an old copy, that is \
                 found only when a witness answers"
            );
        }
        Ok(trouble)
    }
}

/// Signs a head, if the key in force is here.
fn sign(log: &known::Log<'_>, head: TreeHead, keyring: &Keyring) -> Option<SignedCheckpoint> {
    let size = LogSize::new(head.size);
    let checkpoint = Checkpoint { origin: log.origin.clone(), size, root: head.root };
    let note = sign_with(&checkpoint, log.keys, keyring, false).ok()?;
    Some(SignedCheckpoint { checkpoint, note })
}

/// What one witness says about a log at a start.
enum Answered {
    Nothing,
    Fits,
    Contradicts(String),
}

fn check_one(
    member: &Member,
    log: &known::Log<'_>,
    first: &SignedCheckpoint,
    keyring: &Keyring,
    until: Instant,
) -> Result<Answered, TreeError> {
    let (client, standing) = member;
    let mut outcome = submit(member, first, log.tree, &until);
    if let Outcome::Ahead(known) = outcome
        && known.get() <= log.head.size
        && let Some(newest) = sign(log, log.head, keyring)
    {
        // Only a checkpoint that is as large shows whether it is the same history.
        outcome = submit(member, &newest, log.tree, &until);
    }
    match outcome {
        Outcome::Cosigned(_) => Ok(Answered::Fits),
        Outcome::Ahead(known) => {
            let size = LogSize::new(log.head.size);
            let contradicts = (known > size).then(|| ahead(client, known, size));
            Ok(contradicts.map_or(Answered::Fits, Answered::Contradicts))
        }
        Outcome::Forked(at) => Ok(Answered::Contradicts(forked(client, at))),
        Outcome::Failed(why) => {
            tracing::warn!(
                witness = client.name(), origin = %log.origin, why,
                "the witness does not say what it knows"
            );
            held(standing).failure = Some(why);
            Ok(Answered::Nothing)
        }
        Outcome::NoProof(error) => Err(error),
    }
}

/// Submits a checkpoint with the proof that the witness asks for.
fn submit(
    (client, standing): &Member,
    signed: &SignedCheckpoint,
    tree: Tree<'_>,
    patience: &impl Patience,
) -> Outcome {
    let head = signed.checkpoint.head();
    for _ in 0..ATTEMPTS {
        let old = held(standing).known;
        if old.get() > head.size {
            return Outcome::Ahead(old);
        }
        // What does not follow from our own tiles must not look like another history.
        let proof = match tree.extension(old.get(), head) {
            Ok((_, proof)) => proof,
            Err(error) => return Outcome::NoProof(error),
        };
        let request = AddCheckpoint { old, proof, checkpoint: signed.note.clone() };
        match client.ask(request, patience) {
            Ok(Verdict::Cosigned(signature)) => {
                held(standing).known = signed.checkpoint.size;
                return Outcome::Cosigned(signature);
            }
            Ok(Verdict::Knows(known)) => held(standing).known = known,
            // Whatever it is, it is not the history of a log that the witness does not know.
            Ok(Verdict::Forked) if old.is_empty() => {
                return Outcome::Failed("it refuses a log that it does not know".to_owned());
            }
            Ok(Verdict::Forked) => return Outcome::Forked(old),
            Ok(Verdict::Refused(why)) | Err(why) => return Outcome::Failed(why),
        }
    }
    Outcome::Failed("it names another size each time".to_owned())
}

/// A witness says that it knows more than the log has. It is not proved, since that takes the
/// larger checkpoint; all the same nothing is signed, lest there be two histories.
fn ahead(client: &Client, known: LogSize, size: LogSize) -> String {
    format!(
        "{ROLLED_BACK}: the witness {} says that it saw {known} records of this ledger, and its log \
         has {size}. Either the newest ones are gone, as after the restore of an old copy, or the \
         witness is wrong. {DOUBTED}; if there is none, open a new ledger under another origin",
        client.name()
    )
}

/// A witness does not take the proof from the log that it saw, by its own words, to this one.
fn forked(client: &Client, at: LogSize) -> String {
    format!(
        "{ROLLED_BACK}: the witness {} says that this log does not lead on from the {at} records \
         that it saw. Either this is another history than it saw, or the witness is wrong. \
         {DOUBTED}; if there is none, open a new ledger under another origin",
        client.name()
    )
}

/// What to do if a witness contradicts a log.
const DOUBTED: &str = "Nothing is signed until that is settled: verify the log. If it is the \
     newest one, take the witness out of the policy and restart the server; if not, restore the \
     newest copy";

/// The thread that submits the checkpoints of one ledger.
pub(crate) struct Submitter {
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) health: Arc<Health>,
    /// Whether it was told that a witnessed checkpoint cannot be written.
    pub(crate) warned: AtomicBool,
}

impl Submitter {
    /// Runs until whoever tells of new checkpoints is gone, and the last one was submitted.
    pub(crate) fn run(self, news: &Receiver<()>) {
        loop {
            let newest = self.checkpoints.newest().filter(|_| self.health.failure().is_none());
            if let Some(newest) = &newest {
                self.round(newest);
            }
            let waited = match newest.and_then(|newest| self.next_attempt(&newest)) {
                Some(at) => news.recv_deadline(at),
                None => news.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if waited == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Sends one checkpoint to all who have not cosigned it and are not left alone. One checkpoint
    /// at a time: cosignatures of several would add up to no quorum.
    fn round(&self, newest: &Arc<SignedCheckpoint>) {
        let so_far = Mutex::new(SignedCheckpoint::clone(newest));
        let now = Instant::now();
        std::thread::scope(|scope| {
            for member in &self.witnesses.members {
                let (client, standing) = member;
                let waits = held(standing).again.is_some_and(|again| again > now);
                if !waits && !client.cosigned(&newest.note) {
                    scope.spawn(|| self.submit(member, newest, &so_far));
                }
            }
        });
    }

    fn submit(&self, member: &Member, newest: &SignedCheckpoint, so_far: &Mutex<SignedCheckpoint>) {
        let (client, standing) = member;
        let patience = self.witnesses.stop.within(TIMEOUT);
        let tree = Tree { log: self.log.as_ref(), index: &self.index };
        let failure = match submit(member, newest, tree, &patience) {
            Outcome::Cosigned(signature) => self.cosigned(signature, so_far),
            Outcome::Ahead(known) => {
                let size = self.index.applied();
                if known > size {
                    self.health.fail(ahead(client, known, size));
                }
                Some(format!("it saw {known} records already"))
            }
            Outcome::Forked(at) => {
                self.health.fail(forked(client, at));
                Some("it says that the log does not lead on from what it saw".to_owned())
            }
            Outcome::Failed(why) => Some(why),
            Outcome::NoProof(error) => {
                self.health.tree_failed(&error);
                Some(describe(&error))
            }
        };
        let mut standing = held(standing);
        standing.pause = match &failure {
            None => Duration::ZERO,
            Some(_) => (standing.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
        };
        standing.again = failure.as_ref().map(|_| Instant::now() + standing.pause);
        match (&failure, &standing.failure) {
            (Some(why), None) => {
                tracing::warn!(witness = client.name(), why, "the witness does not cosign");
            }
            (None, Some(_)) => {
                tracing::info!(witness = client.name(), "the witness cosigns again");
            }
            _ => {}
        }
        standing.failure = failure;
    }

    /// Adds a cosignature to the note, and keeps it where it makes a quorum.
    fn cosigned(&self, signature: Signature, so_far: &Mutex<SignedCheckpoint>) -> Option<String> {
        let mut so_far = held(so_far);
        if let Err(error) = so_far.note.add(signature) {
            return Some(error.to_string());
        }
        let signed = Arc::new(so_far.clone());
        self.checkpoints.cosigned(&signed);
        let policy = &self.witnesses.policy;
        if policy.wants_witnesses() && policy.witnessed(&signed.note).is_ok() {
            match self.checkpoints.put_witnessed(signed) {
                Ok(()) => self.warned.store(false, Ordering::Relaxed),
                Err(error) if !self.warned.swap(true, Ordering::Relaxed) => {
                    tracing::error!(%error, "witnessed checkpoints cannot be written");
                }
                // The next one is tried.
                Err(_) => {}
            }
        }
        None
    }

    /// When the first witness that failed to cosign a checkpoint is to be tried again.
    fn next_attempt(&self, newest: &SignedCheckpoint) -> Option<Instant> {
        let missing =
            self.witnesses.members.iter().filter(|(client, _)| !client.cosigned(&newest.note));
        missing.filter_map(|(_, standing)| held(standing).again).min()
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
