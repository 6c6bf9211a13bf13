//! What a decision looks up: the records that are not indexed yet, the index, and the log.

use crate::health::Health;
use crate::submission::{Balances, RequestId};
use bergulir_chain::{Authentication, Hash, Record};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Event, Header, Position, Touched};
use bergulir_proto::event::decode_event;
use bergulir_store::index::{Index, IndexError};
use bergulir_store::{EventLog, ReadError, ReadLimit};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A record on its way: decided, encoded and hashed, and what it left behind.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) header: Header,
    pub(crate) authentication: Authentication,
    pub(crate) request_id: RequestId,
    pub(crate) following: u32,
    pub(crate) previous: Hash,
    pub(crate) hash: Hash,
    pub(crate) event: Event,
    pub(crate) touched: Touched,
    pub(crate) balances: Balances,
}

/// The newest records: those that the index may not have yet.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    first: u64,
    records: VecDeque<Arc<Sealed>>,
    request_ids: HashMap<RequestId, u64>,
    bank_references: HashMap<[u8; 16], Vec<u64>>,
}

impl Recent {
    /// No records; the next one will be at `first`.
    pub(crate) fn new(first: u64) -> Recent {
        Recent { first, ..Recent::default() }
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn push(&mut self, sealed: Arc<Sealed>) {
        let position = self.first + self.records.len() as u64;
        debug_assert_eq!(position, sealed.header.position.get());
        self.request_ids.insert(sealed.request_id, position);
        if let Some(reference) = sealed.event.bank_reference() {
            self.bank_references.entry(fingerprint(reference)).or_default().push(position);
        }
        self.records.push_back(sealed);
    }

    pub(crate) fn get(&self, position: u64) -> Option<&Arc<Sealed>> {
        self.records.get(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    pub(crate) fn request_id(&self, id: &RequestId) -> Option<u64> {
        self.request_ids.get(id).copied()
    }

    /// Drops the records from `position` on: their batch was refused.
    pub(crate) fn truncate(&mut self, position: u64) {
        while self.first + self.records.len() as u64 > position {
            let Some(sealed) = self.records.pop_back() else {
                return;
            };
            self.forget(&sealed);
        }
    }

    /// Drops the records below `position`: the index has them.
    pub(crate) fn forget_below(&mut self, position: u64) {
        while self.first < position {
            let Some(sealed) = self.records.pop_front() else {
                return;
            };
            self.first += 1;
            self.forget(&sealed);
        }
        if self.records.is_empty() {
            self.first = self.first.max(position);
        }
    }

    fn forget(&mut self, sealed: &Sealed) {
        self.request_ids.remove(&sealed.request_id);
        if let Some(reference) = sealed.event.bank_reference() {
            let key = fingerprint(reference);
            if let Some(positions) = self.bank_references.get_mut(&key) {
                positions.retain(|p| *p != sealed.header.position.get());
                if positions.is_empty() {
                    self.bank_references.remove(&key);
                }
            }
        }
    }
}

/// The short form under which the index keeps a bank reference; a hit is confirmed against the
/// record.
pub(crate) fn fingerprint(reference: &BankReference) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for text in [reference.bank.as_str(), reference.reference.as_str()] {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    hasher.update(reference.line.unwrap_or(0).to_le_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

/// Everything that can be looked up.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) recent: &'a Recent,
    pub(crate) index: &'a Index,
    pub(crate) log: &'a dyn EventLog,
    /// Told when the index fails; `None` while the ledger is being opened.
    pub(crate) health: Option<&'a Health>,
}

/// A record as it is looked up.
pub(crate) struct Known {
    pub(crate) principal: String,
    pub(crate) request_id: RequestId,
    pub(crate) following: u32,
    pub(crate) hash: Hash,
    pub(crate) recorded_at: bergulir_chain::Timestamp,
    pub(crate) event: Event,
}

impl Facts<'_> {
    fn log_failed(&self, error: &ReadError) -> LookupFailed {
        if let Some(health) = self.health {
            health.fail(format!("CHAIN_BROKEN {error}; restore the log from a backup"));
        }
        LookupFailed
    }

    fn index_failed(&self, error: &IndexError) -> LookupFailed {
        if let Some(health) = self.health {
            health.index_failed(error);
        }
        LookupFailed
    }

    /// Where a request id was accepted.
    pub(crate) fn request_id(&self, id: &RequestId) -> Result<Option<u64>, LookupFailed> {
        if let Some(position) = self.recent.request_id(id) {
            return Ok(Some(position));
        }
        let found = self.index.request_id(id).map_err(|error| self.index_failed(&error))?;
        let Some(position) = found.map(bergulir_chain::Position::get) else {
            return Ok(None);
        };
        if position >= self.recent.first {
            return Ok(None);
        }
        let known = self.known(position)?;
        Ok(known.filter(|known| known.request_id == *id).map(|_| position))
    }

    /// A record, from memory or from the log.
    pub(crate) fn known(&self, position: u64) -> Result<Option<Known>, LookupFailed> {
        if position >= self.recent.first {
            return Ok(self.recent.get(position).map(|sealed| Known {
                principal: sealed.header.principal.to_string(),
                request_id: sealed.request_id,
                following: sealed.following,
                hash: sealed.hash,
                recorded_at: bergulir_chain::Timestamp::from_micros(
                    sealed.header.recorded_at.as_micros(),
                ),
                event: sealed.event.clone(),
            }));
        }
        let position = bergulir_chain::Position::new(position);
        let records = self.log.read(position, ReadLimit::ONE);
        let records = records.map_err(|error| self.log_failed(&error))?;
        let Some((_, bytes)) = records.iter().next() else {
            return Ok(None);
        };
        let record = Record::parse(bytes).map_err(failed)?;
        Ok(Some(Known {
            principal: record.principal.to_owned(),
            request_id: record.request_id,
            following: record.following,
            hash: bergulir_chain::record::hash(bytes),
            recorded_at: record.recorded_at,
            event: decode_event(record.event).map_err(failed)?,
        }))
    }
}

impl Lookups for Facts<'_> {
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        let key = fingerprint(reference);
        let recent = self.recent.bank_references.get(&key);
        let indexed = self.index.bank_reference(&key).map_err(|error| self.index_failed(&error))?;
        if recent.is_none() && indexed.is_empty() {
            return Ok(Vec::new());
        }
        let older = indexed.into_iter().map(bergulir_chain::Position::get);
        let older = older.filter(|position| *position < self.recent.first);
        let mut confirmed = Vec::new();
        for position in older.chain(recent.into_iter().flatten().copied()) {
            let known = self.known(position)?;
            if known.is_some_and(|known| {
                known.event.bank_reference().is_some_and(|r| same(r, reference))
            }) {
                confirmed.push(Position::new(position));
            }
        }
        Ok(confirmed)
    }

    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed> {
        let recent = self.recent;
        if position.get() >= recent.first + recent.records.len() as u64 {
            return Ok(None);
        }
        Ok(self.known(position.get())?.map(|known| known.event))
    }
}

fn same(a: &BankReference, b: &BankReference) -> bool {
    a.bank == b.bank && a.reference == b.reference && a.line.unwrap_or(0) == b.line.unwrap_or(0)
}

/// Logged here, where it is turned into an answer that says no more than "try again".
fn failed(error: impl std::error::Error) -> LookupFailed {
    tracing::error!(%error, "a look-up failed");
    LookupFailed
}
