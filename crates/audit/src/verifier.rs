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
use bergulir_domain::{Event, Rejection};
use bergulir_proto::replay::{ReplayError, Replica};

use crate::balances::Balances;
use crate::counts::Counts;
use crate::diagnosis::{broken_link, broken_segment, link};
use crate::fetch::Fetch;
use crate::find::LogFolder;
use crate::past::Past;
use crate::reader::{Piece, Read, Reader, RequestIds, Span, Stretch};
use crate::reason::Reason;
use crate::report::{Finding, FundReport, LedgerReport, Place, Totals};
use crate::survey::{Survey, Torn, survey};
use crate::{CannotTell, Options, Progress, Stage};

/// How many pieces the reader may be ahead.
const AHEAD: usize = 4;

/// Verifies the log in a folder.
pub(crate) fn verify(
    folder: &LogFolder,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> LedgerReport {
    let began = Instant::now();
    let path = folder.path.as_path();
    let mut told = |done, total| {
        progress(Progress { folder: path, stage: Stage::Survey, done, total });
    };
    let (survey, unlisted) = match survey(path, options.patience, &mut told) {
        Ok(survey) => (survey, None),
        Err(error) => (Survey::default(), Some(error)),
    };
    let mut verifier = Verifier::new(folder, &survey);
    let mut told = |done| {
        progress(Progress { folder: path, stage: Stage::Verify, done, total: survey.records });
    };
    let stop = match unlisted {
        Some(error) => Err(unreadable(Position::ZERO, &error)),
        None => verifier.run(&mut told),
    };
    let finding = verifier.finding(stop.err());
    let mut report = verifier.report(folder, finding);
    report.elapsed = began.elapsed();
    report
}

/// Why a verification stops.
#[derive(Debug)]
enum Stop {
    Bad { position: Position, reason: Reason },
    Unreadable { position: Position, why: String },
}

fn unreadable(position: Position, error: &CannotTell) -> Stop {
    let why = error.to_string();
    Stop::Unreadable { position, why }
}

struct Verifier<'a> {
    folder: &'a LogFolder,
    survey: &'a Survey,
    replica: Replica,
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

impl<'a> Verifier<'a> {
    fn new(folder: &'a LogFolder, survey: &'a Survey) -> Verifier<'a> {
        Verifier {
            folder,
            survey,
            replica: Replica::default(),
            past: Past::new(survey),
            balances: Balances::default(),
            counts: Counts::default(),
            seals: BTreeMap::new(),
            seals_checked: 0,
            first_recorded_at: None,
            before: Hash::ZERO,
            place: None,
        }
    }

    fn next(&self) -> Position {
        self.replica.size().next_position()
    }

    fn bad(&self, reason: Reason) -> Stop {
        let position = self.next();
        Stop::Bad { position, reason }
    }

    /// Verifies all that is there.
    fn run(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), Stop> {
        thread::scope(|scope| {
            let (pieces, from_reader) = sync_channel(AHEAD);
            let (back, spare) = sync_channel(AHEAD + 2);
            let reader = Reader::new(self.survey, pieces, spare);
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
        for bytes in stretch.records(span) {
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
            }
            Event::Sealed(seal) => self.compare(position, seal)?,
            _ => {}
        }
        if self.survey.sealed.contains(&position.get()) {
            self.balances
                .whole(self.replica.state())
                .map_err(|imbalance| bad(Reason::NotConserved(imbalance)))?;
            let given = (self.replica.seal(), self.replica.ends_batch());
            self.seals.insert(position.get(), given);
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
        if self.replica.size().get() != self.survey.records {
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
            (None, None) => Finding::Valid,
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

    fn report(&self, folder: &LogFolder, finding: Finding) -> LedgerReport {
        let state = self.replica.state();
        let opened = state.opened();
        let (records, head_hash) = self.right(&finding);
        let funds = state
            .funds()
            .iter()
            .map(|(_, fund)| FundReport { fund: fund.id, balances: fund.balances });
        LedgerReport {
            folder: folder.path.clone(),
            ledger: opened.map(|opened| opened.ledger),
            origin: opened.map(|opened| opened.origin.as_str().to_owned()),
            finding,
            records,
            head_hash,
            first_recorded_at: self.first_recorded_at,
            last_recorded_at: self.first_recorded_at.map(|_| self.replica.recorded_at()),
            events: self.counts.by_name(),
            seals: self.seals_checked,
            totals: Totals::of(state),
            funds: funds.collect(),
            not_read: self.survey.not_read.clone(),
            elapsed: std::time::Duration::ZERO,
        }
    }
}
