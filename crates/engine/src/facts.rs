//! What a decision looks up: the records that are not indexed yet, the index, and the log.

use crate::asked;
use crate::health::Health;
use crate::projector::describe;
use crate::recent::{Recent, Reference};
use crate::submission::RequestId;
use bergulir_chain::{Hash, Record};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Event, Position};
use bergulir_proto::event::decode_event;
use bergulir_store::index::{Index, IndexError};
use bergulir_store::{EventLog, ReadError, ReadLimit};

/// The short form of a bank reference: what the index keeps it under.
pub(crate) type Fingerprint = [u8; 16];

/// The forms under which a bank reference is looked for; a hit is confirmed against the record.
pub(crate) fn reference(index: &Index, named: &BankReference) -> Reference {
    let texts = [named.bank.as_bytes(), named.reference.as_bytes()];
    let fingerprint = index.fingerprint(texts, named.line.unwrap_or(0).into());
    Reference { fingerprint, key: index.key(&fingerprint) }
}

/// Everything that can be looked up.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) recent: &'a Recent,
    /// What is known already of the request that is being decided.
    pub(crate) known: &'a asked::Known,
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
        tracing::error!(error = %describe(error), "a look-up in the log failed");
        if let Some(health) = self.health {
            health.log_failed(error);
        }
        LookupFailed
    }

    pub(crate) fn index_failed(&self, error: &IndexError) -> LookupFailed {
        if let Some(health) = self.health {
            health.index_failed(error);
        }
        LookupFailed
    }

    /// Where the request id was accepted of the request that is being decided.
    pub(crate) fn request_id(&self, id: &RequestId) -> Result<Option<u64>, LookupFailed> {
        if self.known.id_is_new && !self.recent.may_have_request_id(self.known.id_key) {
            return Ok(None);
        }
        let newest = self.recent.request_id(self.known.id_key);
        if let Some(position) = self.of_request_id(newest, id)? {
            return Ok(Some(position));
        }
        if self.known.id_is_new {
            return Ok(None);
        }
        let found = self.index.request_id(id).map_err(|error| self.index_failed(&error))?;
        let older = found.into_iter().map(bergulir_chain::Position::get);
        self.of_request_id(older.filter(|position| *position < self.recent.first_key()), id)
    }

    fn of_request_id(
        &self,
        candidates: impl Iterator<Item = u64>,
        id: &RequestId,
    ) -> Result<Option<u64>, LookupFailed> {
        for position in candidates {
            if self.look_up(position)?.is_some_and(|known| known.request_id == *id) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// A record, from memory or from the log.
    pub(crate) fn look_up(&self, position: u64) -> Result<Option<Known>, LookupFailed> {
        if position >= self.recent.first() {
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
        read_record(self.log, position, |error| self.log_failed(&error))
    }
}

/// A record from the log; `None` at its end.
pub(crate) fn read_record(
    log: &dyn EventLog,
    position: u64,
    unreadable: impl FnOnce(ReadError) -> LookupFailed,
) -> Result<Option<Known>, LookupFailed> {
    let position = bergulir_chain::Position::new(position);
    let records = log.read(position, ReadLimit::ONE).map_err(unreadable)?;
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

impl Lookups for Facts<'_> {
    fn bank_reference(&self, named: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        let forms = self.known.reference.unwrap_or_else(|| reference(self.index, named));
        if self.known.reference_is_new && !self.recent.may_have_bank_reference(forms.key) {
            return Ok(Vec::new());
        }
        let indexed = if self.known.reference_is_new {
            Vec::new()
        } else {
            let found = self.index.bank_reference(&forms.fingerprint);
            found.map_err(|error| self.index_failed(&error))?
        };
        let mut positions: Vec<u64> = self.recent.bank_reference(forms.key).collect();
        if positions.is_empty() && indexed.is_empty() {
            return Ok(Vec::new());
        }
        // One that was rolled back is in neither.
        let older = indexed.into_iter().map(bergulir_chain::Position::get);
        positions.extend(older.filter(|position| *position < self.recent.first_key()));
        positions.sort_unstable();
        let mut confirmed = Vec::new();
        for position in positions {
            let known = self.look_up(position)?;
            if known.is_some_and(|known| uses(&known.event, named)) {
                confirmed.push(Position::new(position));
            }
        }
        Ok(confirmed)
    }

    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed> {
        if position.get() >= self.recent.next() {
            return Ok(None);
        }
        Ok(self.look_up(position.get())?.map(|known| known.event))
    }
}

/// Whether an event uses this bank reference; an absent line is line 0.
pub(crate) fn uses(event: &Event, reference: &BankReference) -> bool {
    event.bank_reference().is_some_and(|used| {
        used.bank == reference.bank
            && used.reference == reference.reference
            && used.line.unwrap_or(0) == reference.line.unwrap_or(0)
    })
}

/// Logged here, where it is turned into an answer that says no more than "try again".
pub(crate) fn failed(error: impl std::error::Error) -> LookupFailed {
    tracing::error!(%error, "a look-up failed");
    LookupFailed
}
