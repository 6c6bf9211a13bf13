//! From the bytes of records to the state of the ledger: the one path on which the server follows
//! its log and an auditor checks it.

mod held;
mod snapshot;
#[cfg(test)]
mod tests;

use core::hint::black_box;

use bergulir_chain::merkle::{Prefixes, Subtree, Tree};
use bergulir_chain::tiles::TILE_HEIGHT;
use bergulir_chain::{Authentication, ChainCursor, ChainError, Hash, LogSize, Record};
use bergulir_domain::command::Seal;
use bergulir_domain::decide::Lookups;
use bergulir_domain::state::{AccountIndex, FundIndex, LOOK_AHEAD, State, advance};
use bergulir_domain::{
    Context, Event, Header, Position, PrincipalId, Rejection, Timestamp, Touched, decide, evolve,
    evolve_again,
};
use thiserror::Error;

pub use held::Held;
pub use snapshot::{SnapshotError, digest};

use crate::balances;
use crate::continuation::{self, ContinuationError};
use crate::event::{EventError, decode_event};
use crate::statement::Statement;

/// A ledger's state as its records make it, and where in the chain it stands.
#[derive(Debug, Clone)]
pub struct Replica {
    state: State,
    cursor: ChainCursor,
    recorded_at: bergulir_chain::Timestamp,
    tree: Tree,
    funds: Vec<Statement>,
    accounts: Vec<Statement>,
}

impl Default for Replica {
    fn default() -> Self {
        Replica {
            state: State::default(),
            cursor: ChainCursor::resume(bergulir_chain::Position::new(0), Hash::ZERO),
            recorded_at: bergulir_chain::Timestamp::MIN,
            tree: Tree::new(Prefixes::RFC_6962),
            funds: Vec::new(),
            accounts: Vec::new(),
        }
    }
}

/// A record that continues the chain and can be read; what remains is to decide it again. Whoever
/// makes one other than by [`check`] vouches that the hash, header and event are the record's.
#[derive(Debug, Clone)]
pub struct Checked<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Its hash.
    pub hash: Hash,
    /// Its header as the domain sees it.
    pub header: Header,
    /// Its event.
    pub event: Event,
}

/// Checks that the bytes are the next record after where the cursor stands, steps over it, and
/// reads its event: the part of [`Replica::replay`] that needs no state, so that it can be done
/// ahead, elsewhere.
///
/// # Errors
/// If it is not the next record or cannot be read; the cursor may have stepped over it.
pub fn check<'a>(cursor: &mut ChainCursor, bytes: &'a [u8]) -> Result<Checked<'a>, ReplayError> {
    link(cursor, bytes)?.decode()
}

/// A record that continues the chain.
struct Linked<'a> {
    record: Record<'a>,
    hash: Hash,
    header: Header,
}

fn link<'a>(cursor: &mut ChainCursor, bytes: &'a [u8]) -> Result<Linked<'a>, ReplayError> {
    let (record, hash) = cursor.check(bytes)?;
    let header = header(&record)?;
    Ok(Linked { record, hash, header })
}

impl<'a> Linked<'a> {
    fn decode(self) -> Result<Checked<'a>, ReplayError> {
        let Linked { record, hash, header } = self;
        let position = header.position;
        let event =
            decode_event(record.event).map_err(|source| ReplayError::Event { position, source })?;
        Ok(Checked { record, hash, header, event })
    }
}

/// A record that was checked, decided again and applied.
#[derive(Debug)]
pub struct Replayed<'a> {
    /// The record.
    pub record: Record<'a>,
    /// Its hash.
    pub hash: Hash,
    /// Its event.
    pub event: Event,
    /// Whom it concerned.
    pub touched: Touched,
    /// Whom the proposals concerned that had lapsed by then.
    pub lapsed: Vec<Touched>,
    /// What it added to the tiles of the log.
    pub grown: Grown,
}

/// What applying a record changed beside what its event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Whom the proposals concerned that had lapsed by then.
    pub lapsed: Vec<Touched>,
    /// What the record added to the tiles of the log.
    pub grown: Grown,
}

/// What a record added to the [tiles](bergulir_chain::tiles) of its log: its own hash, and the
/// roots over the rows that it filled. Takes no memory but with every 256th record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    position: u64,
    record: Hash,
    /// The root that it completed at each level of tiles from 1 on.
    above: Vec<Hash>,
}

impl Grown {
    /// The subtrees that it completed whose level is a multiple of [`TILE_HEIGHT`], from the
    /// record's own hash upwards, with their roots. Each is the next of its level.
    pub fn tile_hashes(&self) -> impl Iterator<Item = (Subtree, Hash)> {
        let roots = core::iter::once(self.record).chain(self.above.iter().copied());
        (0..)
            .step_by(usize::from(TILE_HEIGHT))
            .zip(roots)
            .map(|(level, root)| (Subtree { level, index: self.position >> level }, root))
    }
}

/// Why a record is not the next one of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// It does not continue the chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Its event cannot be read.
    #[error("at position {position}: the event cannot be read: {source}")]
    Event {
        /// Where.
        position: Position,
        /// Why.
        source: EventError,
    },
    /// Its principal is not one, or is the server's own without being so authenticated.
    #[error("at position {position}: the principal {principal:?} is not a valid one here")]
    Principal {
        /// Where.
        position: Position,
        /// As it stands in the record.
        principal: String,
    },
    /// A rule of the trade refuses the command that the event accepted.
    #[error("at position {position}: a rule was broken: {rejection}")]
    RuleBroken {
        /// Where.
        position: Position,
        /// What the decision is when it is made again.
        rejection: Rejection,
    },
    /// It continues the ledger under another origin, and lies about the one until then.
    #[error("at position {position}: {source}")]
    Continuation {
        /// Where.
        position: Position,
        /// What is not right.
        source: Box<ContinuationError>,
    },
    /// The decision, made again, gives another event.
    #[error("at position {position}: the event is not what the decision gives")]
    OtherEvent {
        /// Where.
        position: Position,
    },
}

impl Replica {
    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }
    /// Looks at the state as it is at an instant after the last record; see [`State::look_at`].
    pub fn look_at<R>(&mut self, now: Timestamp, look: impl FnOnce(&State) -> R) -> R {
        self.state.look_at(now, look)
    }
    /// How many records led here.
    pub fn size(&self) -> LogSize {
        LogSize::new(self.state.size())
    }
    /// The hash of the last record; [`Hash::ZERO`] before the first.
    pub fn head_hash(&self) -> Hash {
        self.cursor.previous()
    }
    /// The Merkle tree over the hashes of all records so far: its root is that of a checkpoint.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
    /// When the last record was recorded.
    pub fn recorded_at(&self) -> bergulir_chain::Timestamp {
        self.recorded_at
    }
    /// Whether the last record ends its batch, so that balances may be asked for here.
    pub fn ends_batch(&self) -> bool {
        self.cursor.following() == 0
    }
    /// The records that concern an account.
    pub fn account_statement(&self, account: AccountIndex) -> Statement {
        self.accounts.get(account.get() as usize).copied().unwrap_or_default()
    }
    /// The records that concern a fund.
    pub fn fund_statement(&self, fund: FundIndex) -> Statement {
        self.funds.get(fund.get() as usize).copied().unwrap_or_default()
    }

    /// Reads what replaying these events is going to read; see [`State::look_ahead`].
    pub fn look_ahead<'e>(
        &self,
        events: impl Iterator<Item = &'e Event>,
    ) -> [Option<AccountIndex>; LOOK_AHEAD] {
        let accounts = self.state.look_ahead(events.filter_map(Event::paid_loan));
        for account in accounts.iter().flatten() {
            black_box(self.account_statement(*account));
        }
        accounts
    }

    /// Reads what [following](Replica::follow) records that touched these is going to read.
    pub fn look_ahead_at(&self, touched: impl Iterator<Item = Touched> + Clone) {
        self.state.look_ahead_at(touched.clone().filter_map(|touched| touched.loan));
        for account in touched.filter_map(|touched| touched.account) {
            black_box(self.account_statement(account));
        }
    }

    /// Checks that the bytes are the next record, decides its command again, and applies it.
    ///
    /// # Errors
    /// If the record is not what the ledger would have written here; the replica is as it was,
    /// except that time may have released proposals that lapsed.
    pub fn replay<'a>(
        &mut self,
        bytes: &'a [u8],
        lookups: &dyn Lookups,
    ) -> Result<Replayed<'a>, ReplayError> {
        let mut cursor = self.cursor;
        let linked = link(&mut cursor, bytes)?;
        self.agrees(&linked.record)?;
        self.decide(linked.decode()?, lookups)
    }

    /// Decides the command of a record that was [checked](check) again, and applies it.
    ///
    /// # Errors
    /// As [`Replica::replay`]: also if the record was checked against another place of the chain
    /// than this replica stands at.
    pub fn decide<'a>(
        &mut self,
        checked: Checked<'a>,
        lookups: &dyn Lookups,
    ) -> Result<Replayed<'a>, ReplayError> {
        let Checked { record, hash, header, event } = checked;
        self.agrees(&record)?;
        let position = header.position;
        let lapsed = advance(&mut self.state, header.recorded_at);
        let context =
            Context { time: header.recorded_at, principal: header.principal, lookups, near: None };
        let decided = decide(&self.state, &event.command(), &context)
            .map_err(|rejection| ReplayError::RuleBroken { position, rejection })?;
        if decided != event {
            return Err(ReplayError::OtherEvent { position });
        }
        if let Event::LedgerContinued(continued) = &event {
            let keys = self.state.keys().map(|(at, key)| (at.get(), key.as_str()));
            let known = continuation::last_known(continued, keys, self.size());
            known
                .map_err(|source| ReplayError::Continuation { position, source: source.into() })?;
        }
        let touched = evolve(&mut self.state, &header, &event);
        let grown = self.step(&record, hash, touched);
        Ok(Replayed { record, hash, event, touched, lapsed, grown })
    }

    /// Whether a record goes on from here.
    fn agrees(&self, record: &Record<'_>) -> Result<(), ReplayError> {
        self.cursor.agrees(record)?;
        if record.recorded_at < self.recorded_at {
            // A cursor that resumed at a snapshot does not know the time before it.
            let fault = bergulir_chain::ChainFault::Time {
                last: self.recorded_at,
                stated: record.recorded_at,
            };
            return Err(ChainError { position: record.position, fault }.into());
        }
        Ok(())
    }

    /// Applies a record that the writer decided on a state as this one. `touched`: whom it
    /// concerned, if the writer told.
    pub fn follow(
        &mut self,
        record: &Record<'_>,
        hash: Hash,
        header: &Header,
        event: &Event,
        touched: Option<Touched>,
    ) -> Followed {
        let lapsed = advance(&mut self.state, header.recorded_at);
        let touched = match touched {
            Some(touched) => evolve_again(&mut self.state, header, event, touched),
            None => evolve(&mut self.state, header, event),
        };
        let grown = self.step(record, hash, touched);
        Followed { lapsed, grown }
    }

    fn step(&mut self, record: &Record<'_>, hash: Hash, touched: Touched) -> Grown {
        self.cursor.step(record, hash);
        let mut above = Vec::new();
        self.tree.push_hash_with(hash, |subtree, root| {
            if subtree.level > 0 && subtree.level.is_multiple_of(TILE_HEIGHT) {
                above.push(root);
            }
        });
        self.recorded_at = record.recorded_at;
        if let Some(fund) = touched.fund {
            statement(&mut self.funds, fund.get()).add(hash);
        }
        if let Some(account) = touched.account {
            statement(&mut self.accounts, account.get()).add(hash);
        }
        Grown { position: record.position.get(), record: hash, above }
    }

    /// What a seal through the last record says; `None` before the first.
    ///
    /// Its memory does not grow with the state.
    pub fn seal(&self) -> Option<Seal> {
        self.seal_of(self.snapshot_in_pieces(|_| ()))
    }

    /// As [`Replica::seal`], for whoever has the [snapshot](Replica::snapshot) already.
    pub fn seal_over(&self, snapshot: &[u8]) -> Option<Seal> {
        self.seal_of(digest(snapshot))
    }

    fn seal_of(&self, state_digest: Hash) -> Option<Seal> {
        let through = self.state.size().checked_sub(1).map(Position::new)?;
        Some(Seal {
            through,
            balance_root: *self.balance_root().as_bytes(),
            state_digest: *state_digest.as_bytes(),
        })
    }

    /// The Merkle root over every fund's books and every account, sorted by fund and account.
    pub fn balance_root(&self) -> Hash {
        balances::root(self)
    }
}

/// A record's header as the domain sees it.
///
/// # Errors
/// If the principal is not one, or `system` without being the server's own record or the reverse.
pub fn header(record: &Record<'_>) -> Result<Header, ReplayError> {
    let position = Position::new(record.position.get());
    let invalid = || ReplayError::Principal { position, principal: record.principal.to_owned() };
    let principal = PrincipalId::new(record.principal).map_err(|_| invalid())?;
    let system = record.authentication == Authentication::System;
    if system != principal.is_system() {
        return Err(invalid());
    }
    let recorded_at = Timestamp::from_micros(record.recorded_at.as_micros());
    Ok(Header { position, recorded_at, principal })
}

fn statement(statements: &mut Vec<Statement>, index: u32) -> &mut Statement {
    let index = index as usize;
    if statements.len() <= index {
        statements.resize(index + 1, Statement::default());
    }
    &mut statements[index]
}
