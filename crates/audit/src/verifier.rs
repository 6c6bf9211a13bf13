//! Verifying one log: every record is checked, decided again and applied, and the first that is
//! not what the ledger would have written is named. Or only their links are checked, and the first
//! that does not continue the chain is named.

mod frames;
mod outcome;

pub(crate) use outcome::last_known;

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::Instant;
use std::{mem, thread};

use bergulir_chain::{ChainError, Hash, LogSize, Position, Timestamp, merkle::Tree};
use bergulir_domain::command::Seal;
use bergulir_domain::{Event, LedgerId, Rejection, State};
use bergulir_proto::replay::{ReplayError, Replica};

use crate::balances::Balances;
use crate::bundle::record_file;
use crate::claims::{Claims, Contradiction};
use crate::counts::Counts;
use crate::diagnosis::{broken_link, link};
use crate::fetch::{Fetch, FetchError};
use crate::find::LogFolder;
use crate::links::{Linked, Links};
use crate::past::Past;
use crate::reader::{Piece, Read, Reader};
use crate::reason::Reason;
use crate::report::{Continued, LedgerReport};
use crate::survey::{Survey, seal_of, survey};
use crate::{CannotTell, Depth, Kind, Options, Progress, Stage};

/// How many pieces the reader may be ahead.
const AHEAD: usize = 4;

/// Where a verification begins, and what it knows beforehand.
pub(crate) struct Start<'a> {
    pub(crate) folder: &'a LogFolder,
    /// What checkpoints say about the log; read before anything else.
    pub(crate) claims: Result<Claims<'a>, CannotTell>,
    /// The state after the records that are not there.
    pub(crate) replica: Replica,
    /// Those of them that later ones look up.
    pub(crate) earlier: BTreeMap<u64, Event>,
    /// What bundle the log is of, and the size that it must have.
    pub(crate) bundle: Option<(Kind, LogSize)>,
    /// What the seal must say that is of the state.
    pub(crate) state: Option<Seal>,
}

impl<'a> Start<'a> {
    /// At position 0 of a log as it lies there.
    pub(crate) fn of(folder: &'a LogFolder, options: &'a Options) -> Start<'a> {
        Start {
            folder,
            claims: Claims::read(folder.beside.as_deref(), &options.trust),
            replica: Replica::default(),
            earlier: BTreeMap::new(),
            bundle: None,
            state: None,
        }
    }
}

/// Verifies the log in a folder.
pub(crate) fn verify(
    start: Start<'_>,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> LedgerReport {
    let began = Instant::now();
    let path = start.folder.path.as_path();
    let first = start.replica.size().get();
    let mut told = |done, total| {
        progress(Progress { folder: path, stage: Stage::Survey, done, total });
    };
    let surveyed = survey(path, first, options.patience, &mut told);
    let nothing = || Survey::nothing(first);
    let (claims, survey, unread) = match (start.claims, surveyed) {
        (Ok(claims), Ok(survey)) => (claims, survey, None),
        (Ok(claims), Err(error)) => (claims, nothing(), Some(error)),
        (Err(error), _) => (Claims::none(&options.trust), nothing(), Some(error)),
    };
    let mut claims = claims;
    claims.expect(&survey.continued, first);
    let total = survey.records();
    let proven = start.earlier.len() as u64;
    let links = match options.depth {
        Depth::Rules => None,
        Depth::ChainOnly => Some(Links::after(&start.replica)),
    };
    let mut verifier = Verifier {
        folder: start.folder,
        depth: options.depth,
        links,
        named: named(start.replica.state()),
        continued: Vec::new(),
        state_is_sealed: false,
        survey: &survey,
        past: Past::new(&survey, start.earlier),
        balances: Balances::of(start.replica.state()),
        counts: Counts::default(),
        seals: BTreeMap::new(),
        seals_checked: 0,
        first_recorded_at: None,
        before: Hash::ZERO,
        place: None,
        bundle: start.bundle,
        state: start.state,
        proven,
        claims,
        replica: start.replica,
    };
    let mut told = |done| {
        progress(Progress { folder: path, stage: Stage::Verify, done: done - first, total });
    };
    let stop = match unread {
        Some(error) => Err(unreadable(Position::new(first), &error)),
        None => verifier.run(&mut told),
    };
    let finding = verifier.finding(stop.err());
    let mut report = verifier.report(finding);
    report.elapsed = began.elapsed();
    report
}

fn named(state: &State) -> Option<(LedgerId, String)> {
    let opened = state.opened()?;
    Some((opened.ledger, opened.origin.as_str().to_owned()))
}

/// Why a verification stops.
#[derive(Debug)]
enum Stop {
    Bad { position: Position, reason: Reason },
    Unreadable { position: Position, why: String },
}

impl From<Contradiction> for Stop {
    fn from((position, reason): Contradiction) -> Stop {
        Stop::Bad { position, reason }
    }
}

fn unreadable(position: Position, error: &CannotTell) -> Stop {
    let why = error.to_string();
    Stop::Unreadable { position, why }
}

struct Verifier<'a> {
    folder: &'a LogFolder,
    survey: &'a Survey,
    depth: Depth,
    /// Where it stands, if only the chain is verified: the replica stays at the start then.
    links: Option<Links>,
    replica: Replica,
    /// The names of the ledger and its origin, as the records say them last.
    named: Option<(LedgerId, String)>,
    /// Where it goes on under another origin.
    continued: Vec<Continued>,
    /// Whether the state at the start is that of a seal.
    state_is_sealed: bool,
    claims: Claims<'a>,
    bundle: Option<(Kind, LogSize)>,
    /// What the seal says that is of the state at the start, until it is found.
    state: Option<Seal>,
    /// How many records came with proofs of their own.
    proven: u64,
    past: Past<'a>,
    balances: Balances,
    counts: Counts,
    /// What the records give for each position that a seal covers and that was passed, and whether
    /// the position ends its batch.
    seals: BTreeMap<u64, (Option<Seal>, bool)>,
    seals_checked: u64,
    first_recorded_at: Option<Timestamp>,
    /// The hash before the last record that was applied.
    before: Hash,
    /// Where the frame begins that is being verified.
    place: Option<(usize, u64)>,
}

impl Verifier<'_> {
    fn size(&self) -> LogSize {
        self.links.as_ref().map_or_else(|| self.replica.size(), Links::size)
    }

    fn head_hash(&self) -> Hash {
        self.links.as_ref().map_or_else(|| self.replica.head_hash(), Links::head_hash)
    }

    fn tree(&self) -> &Tree {
        self.links.as_ref().map_or_else(|| self.replica.tree(), Links::tree)
    }

    fn recorded_at(&self) -> Timestamp {
        self.links.as_ref().map_or_else(|| self.replica.recorded_at(), Links::recorded_at)
    }

    fn ends_batch(&self) -> bool {
        self.links.as_ref().map_or_else(|| self.replica.ends_batch(), Links::ends_batch)
    }

    fn next(&self) -> Position {
        self.size().next_position()
    }

    fn bad(&self, reason: Reason) -> Stop {
        let position = self.next();
        Stop::Bad { position, reason }
    }

    /// Verifies all that is there.
    fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Stop> {
        if !self.size().is_empty() {
            self.begin()?;
        }
        self.agree()?;
        let previous = self.head_hash();
        thread::scope(|scope| {
            let (pieces, from_reader) = sync_channel(AHEAD);
            let (back, spare) = sync_channel(AHEAD + 2);
            let reader = Reader::new(self.survey, self.depth, previous, pieces, spare);
            scope.spawn(move || reader.run());
            for piece in from_reader {
                match piece {
                    Piece::Segment { index, header } => self.segment(index, header)?,
                    Piece::Frames(mut stretch) => {
                        let mut read = mem::take(&mut stretch.read);
                        let mut ahead = read.drain(..);
                        for span in &stretch.frames {
                            self.frame(&stretch, span, &mut ahead)?;
                        }
                        drop(ahead);
                        stretch.read = read;
                        progress(self.size().get());
                        // If the reader is done, nobody needs the memory.
                        let _ = back.try_send(stretch);
                    }
                    Piece::NoFrame { segment, offset, error } => {
                        self.place = Some((segment, offset));
                        return Err(self.bad(Reason::Frame(error)));
                    }
                    Piece::Failed { why } => {
                        let position = self.next();
                        return Err(Stop::Unreadable { position, why });
                    }
                }
            }
            Ok(())
        })?;
        self.end()
    }

    /// Verifies the next record. `read` is what the reader read of it, if it found it right;
    /// `damaged` is its frame if that does not match its sum, and where the record begins in it.
    fn record(
        &mut self,
        bytes: &[u8],
        read: Option<Read>,
        damaged: Option<(&[u8], usize)>,
    ) -> Result<(), Stop> {
        let before = self.head_hash();
        if let Some(links) = &mut self.links {
            let linked = links.step(bytes, read.map(|read| read.hash));
            let linked = linked.map_err(|error| self.refused(error, bytes, damaged))?;
            self.before = before;
            return self.linked(&linked);
        }
        let position = self.next();
        let replayed = match read.and_then(|read| read.of(bytes)) {
            Some(checked) => self.replica.decide(checked, &self.past),
            None => self.replica.replay(bytes, &self.past),
        };
        let replayed = match replayed {
            Ok(replayed) => replayed,
            Err(error) => return Err(self.refused(error, bytes, damaged)),
        };
        self.before = before;
        let bad = |reason| Stop::Bad { position, reason };
        self.counts.count(&replayed.event);
        if self.past.push(&replayed.event).is_err() {
            let why = "the log grew while it was read: verify it again".to_owned();
            return Err(Stop::Unreadable { position, why });
        }
        self.balances
            .step(self.replica.state(), &replayed.touched)
            .map_err(|imbalance| bad(Reason::NotConserved(imbalance)))?;
        if position == Position::ZERO {
            self.first_recorded_at = Some(replayed.record.recorded_at);
        }
        match &replayed.event {
            Event::Sealed(seal) => self.compare(position, seal)?,
            event => self.names(position, event)?,
        }
        if self.survey.sealed.contains_key(&position.get()) {
            self.balances
                .whole(self.replica.state())
                .map_err(|imbalance| bad(Reason::NotConserved(imbalance)))?;
            let given = (self.replica.seal(), self.ends_batch());
            self.seals.insert(position.get(), given);
        }
        self.agree()
    }

    /// Takes in what a record says about whose log it is.
    fn names(&mut self, position: Position, event: &Event) -> Result<(), Stop> {
        match event {
            // A ledger is opened once; a later record that says so breaks a rule, and that is all.
            Event::LedgerOpened(opened) if position == Position::ZERO => {
                self.named = Some((opened.ledger, opened.origin.as_str().to_owned()));
                // Position 0 says the first name, and the folder has the last one.
                let last = self.survey.continued.last();
                let found = last.map_or(opened.ledger, |(_, last)| last.ledger);
                let found = found.as_str();
                let other = |expected: &&str| !self.survey.stopped && *expected != found;
                if let Some(expected) = self.folder.ledger.as_deref().filter(other) {
                    let (expected, found) = (expected.to_owned(), found.to_owned());
                    let reason = Reason::OtherLedger { expected, found };
                    return Err(Stop::Bad { position, reason });
                }
                self.claims.opened(opened.origin.as_str());
                if let Some(key) = &opened.verifier_key {
                    self.claims.key_named(position, key.as_str());
                }
            }
            Event::LedgerContinued(continued) => {
                let told = self.claims.continued(position, continued)?;
                self.named = Some((continued.ledger, continued.origin.as_str().to_owned()));
                self.continued.push(told);
            }
            Event::KeyRotated(rotated) => {
                self.claims.key_named(position, rotated.verifier_key.as_str());
            }
            _ => {}
        }
        Ok(())
    }

    /// Goes on after a record of which only its link was checked.
    fn linked(&mut self, linked: &Linked) -> Result<(), Stop> {
        let Some(position) = self.size().last() else {
            return Ok(());
        };
        if position == Position::ZERO {
            self.first_recorded_at = Some(linked.recorded_at);
        }
        if let Some(event) = &linked.event {
            self.names(position, event)?;
        }
        self.agree()
    }

    /// Takes the state that the records go on from as it is, if a seal among them is of it.
    fn begin(&mut self) -> Result<(), Stop> {
        let state = self.replica.state();
        let last = Position::new(self.survey.first.saturating_sub(1));
        let bad = |reason| Stop::Bad { position: last, reason };
        let Some(given) = &self.state else {
            return Ok(());
        };
        let at = self.survey.sealed.get(&last.get());
        let at = Position::new(*at.ok_or_else(|| bad(Reason::StateNotSealed))?);
        let mut fetch = Fetch::new(self.survey);
        let seal = fetch.record(at).ok().flatten().and_then(seal_of);
        let stated =
            Hash::from_bytes(seal.ok_or_else(|| bad(Reason::StateNotSealed))?.state_digest);
        let found = Hash::from_bytes(given.state_digest);
        if stated != found {
            return Err(bad(Reason::StateForged { stated, found }));
        }
        self.state_is_sealed = true;
        self.claims.begin(state)?;
        if self.links.is_some() {
            return Ok(());
        }
        self.balances.whole(state).map_err(|imbalance| bad(Reason::NotConserved(imbalance)))?;
        self.seals.insert(last.get(), (self.state.take(), true));
        Ok(())
    }

    /// Holds the checkpoints of just this size against the records.
    fn agree(&mut self) -> Result<(), Stop> {
        if self.claims.is_due(self.size()) {
            self.claims.check(self.tree().head())?;
        }
        Ok(())
    }

    fn refused(
        &mut self,
        error: ReplayError,
        bytes: &[u8],
        damaged: Option<(&[u8], usize)>,
    ) -> Stop {
        let position = self.next();
        match error {
            ReplayError::Chain(ChainError { fault, .. }) => match link(&fault) {
                Some(expected) => {
                    let mut fetch = Fetch::new(self.survey);
                    let (position, reason) =
                        broken_link(position, bytes, expected, damaged, &mut fetch);
                    Stop::Bad { position, reason }
                }
                None => self.bad(fault.into()),
            },
            ReplayError::RuleBroken { rejection: Rejection::LookupFailed, .. } => {
                match self.past.failure() {
                    Some(FetchError::NotInBundle(missing)) => {
                        let file = record_file(missing);
                        let why = "it is missing, and the record here looks it up".to_owned();
                        Stop::Bad { position, reason: Reason::BundleDamaged { file, why } }
                    }
                    failure => {
                        let why = failure.map(|failure| failure.to_string());
                        Stop::Unreadable { position, why: why.unwrap_or_default() }
                    }
                }
            }
            error => self.bad(error.into()),
        }
    }

    /// Compares a seal with what the records gave at the position that it covers.
    fn compare(&mut self, position: Position, seal: &Seal) -> Result<(), Stop> {
        let bad = |reason| Err(Stop::Bad { position, reason });
        let given = self.seals.remove(&seal.through.get());
        let Some((Some(given), ends_batch)) = given else {
            let why = "the log changed while it was read: verify it again".to_owned();
            return Err(Stop::Unreadable { position, why });
        };
        if !ends_batch {
            let through = Position::new(seal.through.get());
            return bad(Reason::SealInsideBatch { through });
        }
        if given.balance_root != seal.balance_root {
            let stated = Hash::from_bytes(seal.balance_root);
            let found = Hash::from_bytes(given.balance_root);
            return bad(Reason::SealRoot { stated, found });
        }
        if given.state_digest != seal.state_digest {
            let stated = Hash::from_bytes(seal.state_digest);
            let found = Hash::from_bytes(given.state_digest);
            return bad(Reason::SealDigest { stated, found });
        }
        self.seals_checked += 1;
        Ok(())
    }

    /// After the last record.
    fn end(&mut self) -> Result<(), Stop> {
        let position = self.next();
        if let Some(last) = self.size().last().filter(|_| self.links.is_none()) {
            self.balances.whole(self.replica.state()).map_err(|imbalance| Stop::Bad {
                position: last,
                reason: Reason::NotConserved(imbalance),
            })?;
        }
        if let Some(why) = self.survey.failure.clone() {
            return Err(Stop::Unreadable { position, why });
        }
        if let Some(name) = self.survey.misnamed.first() {
            let name = name.clone();
            return Err(self.bad(Reason::SegmentName { name }));
        }
        if self.size().get() != self.survey.end {
            let why = "the log changed while it was read: verify it again".to_owned();
            return Err(Stop::Unreadable { position, why });
        }
        self.all_were_asked_for()
    }

    /// Whether each record that came with a proof was looked up by a decision: what nobody needs,
    /// an exporter does not hand on. Without decisions it cannot be told.
    fn all_were_asked_for(&mut self) -> Result<(), Stop> {
        let Some(position) = self.past.unasked().filter(|_| self.links.is_none()) else {
            return Ok(());
        };
        // It is not in the log that was read, and the file's name says where it is.
        self.place = None;
        let file = record_file(position);
        let why = "nothing in the range looks it up, so it has no place here".to_owned();
        Err(Stop::Bad { position, reason: Reason::BundleDamaged { file, why } })
    }
}
