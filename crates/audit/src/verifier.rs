//! Verifying one log: every record is checked, decided again and applied, and the first that is
//! not what the ledger would have written is named.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::time::Instant;
use std::vec::Drain;
use std::{mem, thread};

use bergulir_chain::{
    ChainError, FrameError, Hash, LogSize, Position, RecordSlices, SegmentError, SegmentHeader,
    body::LENGTH_BYTES, frame,
};
use bergulir_domain::command::Seal;
use bergulir_domain::state::LOOK_AHEAD;
use bergulir_domain::{Event, Rejection};
use bergulir_proto::replay::{ReplayError, Replica};

use crate::balances::Balances;
use crate::claims::{Claims, Contradiction};
use crate::counts::Counts;
use crate::diagnosis::{broken_link, broken_segment, link};
use crate::fetch::Fetch;
use crate::find::LogFolder;
use crate::past::Past;
use crate::reader::{Piece, Read, Reader, RequestIds, Span, Stretch};
use crate::reason::Reason;
use crate::report::{Finding, FundReport, LedgerReport, Place, Totals};
use crate::survey::{Survey, Torn, seal_of, survey};
use crate::{CannotTell, Checked, Kind, NotChecked, Options, Progress, Stage};

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
    let total = survey.records();
    let proven = start.earlier.len() as u64;
    let mut verifier = Verifier {
        folder: start.folder,
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
    replica: Replica,
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
    first_recorded_at: Option<bergulir_chain::Timestamp>,
    /// The hash before the last record that was applied.
    before: Hash,
    /// Where the frame begins that is being verified.
    place: Option<(usize, u64)>,
}

impl Verifier<'_> {
    fn next(&self) -> Position {
        self.replica.size().next_position()
    }

    fn bad(&self, reason: Reason) -> Stop {
        let position = self.next();
        Stop::Bad { position, reason }
    }

    /// Verifies all that is there.
    fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Stop> {
        if !self.replica.size().is_empty() {
            self.begin()?;
        }
        self.agree()?;
        let previous = self.replica.head_hash();
        thread::scope(|scope| {
            let (pieces, from_reader) = sync_channel(AHEAD);
            let (back, spare) = sync_channel(AHEAD + 2);
            let reader = Reader::new(self.survey, previous, pieces, spare);
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
                        progress(self.replica.size().get());
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

    /// A segment goes on exactly where the one before it ended.
    fn segment(
        &mut self,
        index: usize,
        header: Result<SegmentHeader, SegmentError>,
    ) -> Result<(), Stop> {
        self.place = Some((index, 0));
        let named = self.survey.segments[index].first;
        let expected = self.next();
        if named != expected {
            let found = named;
            return Err(self.bad(Reason::SegmentGap { expected, found }));
        }
        let header = header.map_err(|error| self.bad(Reason::SegmentHeader(error)))?;
        let stated = header.first;
        if stated != named {
            return Err(self.bad(Reason::SegmentRenamed { named, stated }));
        }
        let head = self.replica.head_hash();
        if header.previous != head {
            let mut fetch = Fetch::new(self.survey);
            let (position, reason) = broken_segment(expected, header.previous, head, &mut fetch);
            return Err(Stop::Bad { position, reason });
        }
        Ok(())
    }

    /// Verifies a frame. `ahead` gives what the reader read of its records and those after it.
    fn frame(
        &mut self,
        stretch: &Stretch,
        span: &Span,
        ahead: &mut Drain<'_, Read>,
    ) -> Result<(), Stop> {
        self.place = Some((stretch.segment, span.offset));
        let stated = span.header.first;
        if stated != self.next() {
            return Err(self.bad(Reason::FramePosition { stated }));
        }
        if let Some(fault) = span.fault {
            return Err(self.damaged_frame(stretch, span, fault));
        }
        let repeated = match &span.request_ids {
            Err(RequestIds::Repeated { position, first }) => Some((*position, *first)),
            Err(RequestIds::Unknown { .. }) | Ok(()) => None,
        };
        for (number, bytes) in stretch.records(span).enumerate() {
            if number.is_multiple_of(LOOK_AHEAD) {
                self.look_ahead(ahead.as_slice());
            }
            self.record(bytes, ahead.next(), None)?;
            if let Some((position, first)) = repeated
                && position < self.next()
            {
                let reason = Reason::RequestIdUsed { first };
                return Err(Stop::Bad { position, reason });
            }
        }
        let position = self.next();
        if !self.replica.ends_batch() {
            return Err(self.bad(Reason::BatchCut));
        }
        match &span.request_ids {
            Err(RequestIds::Unknown { why }) => {
                let why = why.clone();
                Err(Stop::Unreadable { position, why })
            }
            Err(RequestIds::Repeated { .. }) | Ok(()) => Ok(()),
        }
    }

    /// Reads what verifying the next records is going to read.
    fn look_ahead(&self, next: &[Read]) {
        let events = next.iter().take(LOOK_AHEAD).map(Read::event);
        let accounts = self.replica.look_ahead(events.clone());
        self.balances.look_ahead(accounts.into_iter().flatten());
        self.past.look_ahead(events);
    }

    /// Finds the record for which a frame does not match its sum.
    fn damaged_frame(&mut self, stretch: &Stretch, span: &Span, fault: FrameError) -> Stop {
        let frame = stretch.frame(span);
        let mut start = frame::HEADER_BYTES + LENGTH_BYTES;
        let mut records: RecordSlices<'_> = stretch.records(span);
        for bytes in records.by_ref().take(span.header.records as usize) {
            if let Err(stop) = self.record(bytes, None, Some((frame, start))) {
                return match stop {
                    Stop::Bad { position, reason } => {
                        let record = Box::new(reason);
                        let reason = Reason::FrameRecord { fault, record };
                        Stop::Bad { position, reason }
                    }
                    Stop::Unreadable { .. } => stop,
                };
            }
            start += bytes.len() + LENGTH_BYTES;
        }
        // Each record was vouched for by the next one. So it is the last one, if it is there.
        let next = self.next();
        let is_whole = next == span.header.next();
        let last = next.get().saturating_sub(u64::from(is_whole));
        let reason = Reason::FrameLast { fault };
        let position = Position::new(last);
        Stop::Bad { position, reason }
    }

    /// Verifies the next record. `read` is what the reader read of it, if it found it right;
    /// `damaged` is its frame if that does not match its sum, and where the record begins in it.
    fn record(
        &mut self,
        bytes: &[u8],
        read: Option<Read>,
        damaged: Option<(&[u8], usize)>,
    ) -> Result<(), Stop> {
        let position = self.next();
        let before = self.replica.head_hash();
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
        match &replayed.event {
            Event::LedgerOpened(opened) => {
                self.first_recorded_at = Some(replayed.record.recorded_at);
                let found = opened.ledger.as_str();
                if let Some(expected) = self.folder.ledger.as_deref().filter(|e| *e != found) {
                    let (expected, found) = (expected.to_owned(), found.to_owned());
                    return Err(bad(Reason::OtherLedger { expected, found }));
                }
                self.claims.opened(opened.origin.as_str())?;
                if let Some(key) = &opened.verifier_key {
                    self.claims.key_named(position, key.as_str())?;
                }
            }
            Event::KeyRotated(rotated) => {
                self.claims.key_named(position, rotated.verifier_key.as_str())?;
            }
            Event::Sealed(seal) => self.compare(position, seal)?,
            _ => {}
        }
        if self.survey.sealed.contains_key(&position.get()) {
            self.balances
                .whole(self.replica.state())
                .map_err(|imbalance| bad(Reason::NotConserved(imbalance)))?;
            let given = (self.replica.seal(), self.replica.ends_batch());
            self.seals.insert(position.get(), given);
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
        self.balances.whole(state).map_err(|imbalance| bad(Reason::NotConserved(imbalance)))?;
        self.claims.begin(state)?;
        self.seals.insert(last.get(), (self.state.take(), true));
        Ok(())
    }

    /// Holds the checkpoints of just this size against the records.
    fn agree(&mut self) -> Result<(), Stop> {
        if self.claims.is_due(self.replica.size()) {
            self.claims.check(self.replica.tree().head())?;
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
                let why = self.past.failure().unwrap_or_default();
                Stop::Unreadable { position, why }
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
        if let Some(last) = self.replica.size().last() {
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
        if self.replica.size().get() != self.survey.end {
            let why = "the log changed while it was read: verify it again".to_owned();
            return Err(Stop::Unreadable { position, why });
        }
        Ok(())
    }

    fn finding(&self, stop: Option<Stop>) -> Finding {
        let frame = self.place.map(|(segment, offset)| Place {
            file: self.survey.segments[segment].path.clone(),
            offset,
        });
        match (stop, self.survey.torn) {
            (Some(Stop::Bad { position, reason }), _) if reason.is_unknown_version() => {
                let why = reason.to_string();
                Finding::Unreadable { position, why }
            }
            (Some(Stop::Bad { position, reason }), _) => {
                let place = Fetch::new(self.survey).place(position).or(frame);
                Finding::Invalid { position, reason, place }
            }
            (Some(Stop::Unreadable { position, why }), _) => Finding::Unreadable { position, why },
            (None, torn) if let Err((position, reason)) = self.ending() => {
                let place = torn.map(|torn| self.torn_at(torn));
                Finding::Invalid { position, reason, place }
            }
            (None, torn) if self.folder.has_index && self.replica.size().is_empty() => {
                Finding::Invalid {
                    position: self.next(),
                    reason: Reason::LogMissing,
                    place: torn.map(|torn| self.torn_at(torn)),
                }
            }
            (None, Some(torn)) => Finding::Torn {
                position: self.next(),
                bytes: torn.bytes,
                place: self.torn_at(torn),
            },
            (None, None) if self.replica.size().is_empty() => Finding::Empty,
            (None, None) => self.claims.unproven().map_or(Finding::Valid, Finding::Unproven),
        }
    }

    /// Whether the log ends where checkpoints say that it does, or later.
    fn ending(&self) -> Result<(), Contradiction> {
        let size = self.replica.size();
        self.claims.end(size)?;
        match self.bundle {
            Some((_, stated)) if stated < size => {
                Err((stated.next_position(), Reason::BeyondBundle { size: stated }))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn torn_at(&self, torn: Torn) -> Place {
        Place { file: self.survey.segments[torn.segment].path.clone(), offset: torn.offset }
    }

    /// The records before the first bad one, and the hash of the last of them.
    fn right(&self, finding: &Finding) -> (LogSize, Hash) {
        let size = self.replica.size();
        match finding {
            Finding::Invalid { position, .. } if position.get() < size.get() => {
                (LogSize::new(position.get()), self.before)
            }
            _ => (size, self.replica.head_hash()),
        }
    }

    fn report(&self, finding: Finding) -> LedgerReport {
        let state = self.replica.state();
        let opened = state.opened();
        let (records, head_hash) = self.right(&finding);
        let (checkpoint, witnesses) = self.claims.summary();
        let mut checked = self.checked(records);
        let mut not_checked = Vec::new();
        if self.survey.first > 0 {
            let from = Position::new(self.survey.first);
            not_checked.push(NotChecked::EarlierDecisions { from });
            not_checked.push(NotChecked::EarlierUses { from });
        }
        self.claims.scope(self.replica.size(), &mut checked, &mut not_checked);
        let funds = state
            .funds()
            .iter()
            .map(|(_, fund)| FundReport { fund: fund.id, balances: fund.balances });
        LedgerReport {
            folder: self.folder.path.clone(),
            bundle: self.bundle.map(|(kind, _)| kind),
            first: Position::new(self.survey.first),
            ledger: opened.map(|opened| opened.ledger),
            origin: opened.map(|opened| opened.origin.as_str().to_owned()),
            finding,
            records,
            head_hash,
            tree_size: LogSize::new(self.replica.tree().size()),
            root_hash: self.replica.tree().root(),
            checkpoint,
            witnesses,
            checked,
            not_checked,
            first_recorded_at: self.first_recorded_at,
            last_recorded_at: self.first_recorded_at.map(|_| self.replica.recorded_at()),
            events: self.counts.by_name(),
            seals: self.seals_checked,
            totals: Totals::of(state),
            funds: funds.collect(),
            accounts: Vec::new(),
            not_read: self.survey.not_read.clone(),
            elapsed: std::time::Duration::ZERO,
        }
    }

    fn checked(&self, records: LogSize) -> Vec<Checked> {
        let records = records.get().saturating_sub(self.survey.first);
        let mut checked = vec![Checked::Chain { records }, Checked::Decisions { records }];
        if let Some(through) = self.survey.first.checked_sub(1).map(Position::new)
            && self.seals_checked > 0
        {
            checked.push(Checked::State { through });
        }
        if self.proven > 0 {
            checked.push(Checked::Inclusion { records: self.proven });
        }
        if self.seals_checked > 0 {
            checked.push(Checked::Seals { seals: self.seals_checked });
        }
        checked
    }
}
