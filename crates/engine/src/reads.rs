//! What a ledger answers: the published state, the records, and the balances as of any past moment.

use crate::health::Status;
use crate::ledger::Ledger;
use crate::open::{index_without_paths, log_without_paths};
use crate::trail::{Owner, Running};
use bergulir_chain::{LogSize, Position, Record};
use bergulir_domain::{State, Timestamp};
use bergulir_store::index::{Direction, Index, IndexError, IndexStats, Line};
use bergulir_store::{ReadError, ReadLimit, Records, Scattered};
use std::sync::{Arc, PoisonError};
use thiserror::Error;
use tokio::sync::oneshot;

/// The most commands of a batch that a server takes, and so the most records of one.
const MAX_BATCH: u64 = 10_000;

/// Why a read was not answered.
#[derive(Debug, Error)]
pub enum ReadRefusal {
    /// The ledger has not so many records.
    #[error("the ledger has {size} records: position {position} is not reached yet")]
    NotReached {
        /// The position that was asked for.
        position: Position,
        /// How many records there are.
        size: LogSize,
    },
    /// The position lies inside an atomic batch.
    #[error(
        "position {position} lies inside an atomic batch, which is all or nothing: \
         ask as of {before} or {after}"
    )]
    InsideBatch {
        /// The position that was asked for.
        position: Position,
        /// The last position before the batch, or the same position if it begins the log.
        before: Position,
        /// The last position of the batch.
        after: Position,
    },
    /// Whether more records will carry the instant cannot be told now.
    #[error(
        "the ledger is read-only or stopping, so it cannot be told whether more records will carry \
         that instant: ask as of a position"
    )]
    NotFinal,
    /// It cannot be noted down on the disk that no more records may carry the instant.
    #[error(
        "it cannot be noted down that no later record may carry that instant ({why}): see to the disk and \
         its space, or ask as of a position"
    )]
    NotNoted {
        /// What the operating system said.
        why: String,
    },
    /// The instant lies in the future.
    #[error("the instant lies in the future: ask for one before now")]
    InTheFuture,
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The projections cannot be read.
    #[error(
        "the projections cannot be read ({why}): the server opens the ledger again by itself, ask \
         again later"
    )]
    Projections {
        /// What failed.
        why: String,
    },
    /// The ledger is being opened again, or was since the caller got hold of it.
    #[error("the ledger is being opened again: ask again in a moment")]
    Reopening,
}

/// What a read was answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsOf {
    /// How many records the answer covers.
    pub size: LogSize,
}

impl Ledger {
    /// What the index holds and takes.
    pub fn index_stats(&self) -> Result<IndexStats, ReadRefusal> {
        self.indexed()?.stats().map_err(|error| self.projections(&error))
    }

    /// Reads the published state once it reflects the record at `min_position`, or, without one,
    /// everything that was durable when the read came in. What has lapsed by now is released.
    ///
    /// # Errors
    /// If the log is not that long.
    pub async fn read<R>(
        &self,
        min_position: Option<Position>,
        look: impl FnOnce(&State, AsOf) -> R,
    ) -> Result<R, ReadRefusal> {
        let size = self.head().size;
        if let Some(position) = min_position.filter(|p| p.get() >= size.get()) {
            return Err(ReadRefusal::NotReached { position, size });
        }
        let needed = min_position.map_or(size, Position::size_through);
        self.state_through(needed).await?;
        let now = self.clock.now();
        let replica = self.published.read().unwrap_or_else(PoisonError::into_inner);
        self.check_not_replaced()?;
        if !replica.state().has_lapsed(now) {
            return Ok(look(replica.state(), AsOf { size: replica.size() }));
        }
        drop(replica);
        let mut replica = self.published.write().unwrap_or_else(PoisonError::into_inner);
        self.check_not_replaced()?;
        let as_of = AsOf { size: replica.size() };
        Ok(replica.look_at(now, |state| look(state, as_of)))
    }

    /// Finds in the published state what a question about a position in the past names, which does not
    /// change once it is there: who finds it in a state that has that position does not wait for records
    /// that came since. Who does not, looks through everything that is durable.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn find_as_of<R, E>(
        &self,
        at: Position,
        look: impl Fn(&State, AsOf) -> Result<R, E>,
    ) -> Result<Result<R, E>, ReadRefusal> {
        match self.read(Some(at), &look).await? {
            Ok(found) => Ok(Ok(found)),
            Err(_) => self.read(None, look).await,
        }
    }

    /// Looks at the published state as far as it has come: for what does not change any more once it
    /// is there.
    pub fn glance<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        let replica = self.published.read().unwrap_or_else(PoisonError::into_inner);
        look(replica.state())
    }

    pub(crate) async fn projected_through(&self, size: LogSize) -> Result<(), ReadRefusal> {
        let mut projected = self.projected.clone();
        let reached = projected.wait_for(|projected| *projected >= size).await;
        reached.map(|_| ()).map_err(|_| {
            let stopped = ReadRefusal::Projections { why: "they stopped".to_owned() };
            self.check_not_replaced().err().unwrap_or(stopped)
        })
    }

    /// Waits until the published state has so many records. It has all that are durable also if the
    /// index failed.
    async fn state_through(&self, size: LogSize) -> Result<(), ReadRefusal> {
        let projected = self.projected_through(size).await;
        projected.or_else(|refused| {
            let replica = self.published.read().unwrap_or_else(PoisonError::into_inner);
            if replica.size() >= size { Ok(()) } else { Err(refused) }
        })
    }

    /// Who holds an opening of a ledger that another one has taken the place of gets nothing of it.
    fn check_not_replaced(&self) -> Result<(), ReadRefusal> {
        if self.health.is_replaced() { Err(ReadRefusal::Reopening) } else { Ok(()) }
    }

    /// The index, for one read.
    pub(crate) fn indexed(&self) -> Result<Arc<Index>, ReadRefusal> {
        self.index.get().ok_or(ReadRefusal::Reopening)
    }

    /// Records from a position on, as many as the limit allows; empty at the end of the log.
    ///
    /// # Errors
    /// If the position is past the end, or the log is damaged.
    pub fn records(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadRefusal> {
        self.check_not_replaced()?;
        self.log.read(from, limit).map_err(|error| self.log_failed(error))
    }

    /// Single records, whose positions ascend, with their hashes.
    ///
    /// # Errors
    /// If one is not in the log, or the log is damaged.
    pub fn records_each(&self, positions: &[Position]) -> Result<Scattered, ReadRefusal> {
        self.check_not_replaced()?;
        self.log.read_each(positions).map_err(|error| self.log_failed(error))
    }

    fn log_failed(&self, error: ReadError) -> ReadRefusal {
        self.health.log_failed(&error);
        ReadRefusal::Log(log_without_paths(error))
    }

    /// The last record at or before an instant, `None` if all are after it. The answer is final:
    /// no later record will carry that instant or an earlier one.
    ///
    /// # Errors
    /// If the instant is not in the past.
    pub async fn position_at(&self, instant: Timestamp) -> Result<Option<Position>, ReadRefusal> {
        if instant >= self.clock.now() {
            return Err(ReadRefusal::InTheFuture);
        }
        let newest = self.head().size.last();
        let settled = match newest {
            Some(newest) => self.recorded_at(newest)? > instant,
            None => false,
        };
        if !settled {
            self.fence(instant).await?;
        }
        let (mut below, mut above) = (0, self.head().size.get());
        while below < above {
            let middle = below.midpoint(above);
            if self.recorded_at(Position::new(middle))? <= instant {
                below = middle + 1;
            } else {
                above = middle;
            }
        }
        Ok(below.checked_sub(1).map(Position::new))
    }

    /// Sees to it that no later record carries the instant or an earlier one, and that all that
    /// were decided before are durable: also none after a restart.
    async fn fence(&self, instant: Timestamp) -> Result<(), ReadRefusal> {
        let now = self.stamper.check().map_err(|_| ReadRefusal::NotFinal)?;
        self.horizon.pass(instant, now).await?;
        let (reply, done) = oneshot::channel();
        if !self.inbox.fence(instant, reply).await {
            return Err(ReadRefusal::NotFinal);
        }
        let mut status = self.health.watch();
        let failed = status.wait_for(|status| matches!(status, Status::ReadOnly { .. }));
        tokio::select! {
            biased;
            done = done => done.map_err(|_| ReadRefusal::NotFinal),
            _ = failed => Err(ReadRefusal::NotFinal),
        }
    }

    fn recorded_at(&self, position: Position) -> Result<Timestamp, ReadRefusal> {
        let records = self.records(position, ReadLimit::ONE)?;
        let record = records.iter().next().and_then(|(_, bytes)| Record::parse(bytes).ok());
        record
            .map(|record| Timestamp::from_micros(record.recorded_at.as_micros()))
            .ok_or(ReadRefusal::NotReached { position, size: self.head().size })
    }

    /// Checks that balances may be asked for as of a position: it is there, and ends its batch.
    ///
    /// # Errors
    /// If not.
    pub fn check_as_of(&self, position: Position) -> Result<(), ReadRefusal> {
        let size = self.head().size;
        if position.get() >= size.get() {
            return Err(ReadRefusal::NotReached { position, size });
        }
        let following_at = |bytes: &[u8]| Record::parse(bytes).map_or(0, |record| record.following);
        let asked = self.records(position, ReadLimit::ONE)?;
        if asked.iter().all(|(_, bytes)| following_at(bytes) == 0) {
            return Ok(());
        }
        // Far enough back to find where the longest batch begins.
        let from = Position::new(position.get().saturating_sub(MAX_BATCH));
        let (mut before, mut following, mut at) = (Position::new(0), 0, from);
        while at <= position {
            let records = self.records(at, ReadLimit::STEP)?;
            for (at, bytes) in records.iter().take_while(|(at, _)| *at <= position) {
                following = following_at(bytes);
                if following == 0 {
                    before = at;
                }
            }
            at = records.next();
        }
        Err(ReadRefusal::InsideBatch {
            position,
            before,
            after: Position::new(position.get() + u64::from(following)),
        })
    }

    /// The balances of an owner right after the last record at or before a position that concerns
    /// it; `None` if there is none.
    ///
    /// # Errors
    /// If the projections cannot be read.
    pub async fn balances_at(
        &self,
        owner: Owner,
        at: Position,
    ) -> Result<Option<(Position, Running)>, ReadRefusal> {
        let size = self.head().size;
        if at.get() >= size.get() {
            return Err(ReadRefusal::NotReached { position: at, size });
        }
        self.projected_through(at.size_through()).await?;
        let found =
            self.indexed()?.trail_at(owner.key(), at).map_err(|error| self.projections(&error))?;
        let found = found.map(|(position, line)| running(position, &line)).transpose();
        found.map_err(|error| self.projections(&error))
    }

    /// The records of some trails at positions within a range, merged by position: all that were
    /// durable when the read came in. It does not wait for records beyond the range.
    ///
    /// # Errors
    /// If the projections cannot be read.
    pub async fn trail(
        &self,
        owners: &[Owner],
        positions: std::ops::Range<Position>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Position, Running)>, ReadRefusal> {
        let wanted = LogSize::new(positions.end.get());
        self.projected_through(wanted.min(self.head().size)).await?;
        let mut found = Vec::new();
        for owner in owners {
            self.trail_of(*owner, positions.clone(), limit, direction, &mut found)?;
        }
        found.sort_by_key(|(position, _)| *position);
        if direction == Direction::NewestFirst {
            found.reverse();
        }
        found.dedup_by_key(|(position, _)| *position);
        found.truncate(limit);
        Ok(found)
    }

    /// At most `limit` lines of one trail. What a lapse left behind is none: it is skipped.
    fn trail_of(
        &self,
        owner: Owner,
        mut positions: std::ops::Range<Position>,
        limit: usize,
        direction: Direction,
        found: &mut Vec<(Position, Running)>,
    ) -> Result<(), ReadRefusal> {
        let (mut left, index) = (limit, self.indexed()?);
        while left > 0 {
            let lines = index
                .trail(owner.key(), positions.clone(), left, direction)
                .map_err(|error| self.projections(&error))?;
            let Some((last, _)) = lines.last() else { break };
            match direction {
                Direction::OldestFirst => positions.start = last.next(),
                Direction::NewestFirst => positions.end = *last,
            }
            for (position, line) in &lines {
                let line = running(*position, line).map_err(|error| self.projections(&error))?;
                if !line.1.lapsed {
                    found.push(line);
                    left -= 1;
                }
            }
        }
        Ok(())
    }

    /// The index failed, so it is opened again.
    fn projections(&self, error: &IndexError) -> ReadRefusal {
        if self.health.failure().is_none() {
            self.health.index_failed(error);
        }
        ReadRefusal::Projections { why: index_without_paths(error) }
    }
}

/// What a line of a trail says; an error if it cannot be one.
pub(crate) fn running(position: Position, line: &Line) -> Result<(Position, Running), IndexError> {
    let damaged = || IndexError::Damaged { what: format!("the trail at position {position}") };
    Running::read(line).map(|running| (position, running)).ok_or_else(damaged)
}
