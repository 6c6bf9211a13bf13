//! Following a log by how its records hang together, without a look at what they decide.

use bergulir_chain::merkle::Tree;
use bergulir_chain::{
    ChainCursor, ChainError, ChainFault, Hash, LogSize, Record, Timestamp, record,
};
use bergulir_domain::{Event, Position};
use bergulir_proto::replay::{ReplayError, Replica};
use bergulir_proto::{decode_event, names_the_log};

/// Where a walk along the chain stands, and the tree over it.
#[derive(Debug)]
pub(crate) struct Links {
    cursor: ChainCursor,
    recorded_at: Timestamp,
    tree: Tree,
}

/// A record that continues the chain.
#[derive(Debug)]
pub(crate) struct Linked {
    pub(crate) recorded_at: Timestamp,
    /// Its event, if that says whose log it is.
    pub(crate) event: Option<Event>,
}

impl Links {
    /// Goes on where a replica stands.
    pub(crate) fn after(replica: &Replica) -> Links {
        let next = replica.size().next_position();
        Links {
            cursor: ChainCursor::resume(next, replica.head_hash()),
            recorded_at: replica.recorded_at(),
            tree: replica.tree().clone(),
        }
    }

    pub(crate) fn size(&self) -> LogSize {
        LogSize::new(self.tree.size())
    }

    pub(crate) fn head_hash(&self) -> Hash {
        self.cursor.previous()
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    pub(crate) fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    pub(crate) fn ends_batch(&self) -> bool {
        self.cursor.following() == 0
    }

    /// Steps over the next record. `hash` is that of its bytes, if it is known already.
    ///
    /// Stays where it was if the bytes do not continue the chain, or what they say about whose log
    /// it is cannot be read: signatures could not be told then.
    pub(crate) fn step(&mut self, bytes: &[u8], hash: Option<Hash>) -> Result<Linked, ReplayError> {
        let at = self.cursor.next();
        let record = Record::parse(bytes)
            .map_err(|error| ChainError { position: at, fault: error.into() })?;
        self.cursor.agrees(&record)?;
        if record.recorded_at < self.recorded_at {
            // A cursor that resumed does not know the time before.
            let (last, stated) = (self.recorded_at, record.recorded_at);
            let fault = ChainFault::Time { last, stated };
            return Err(ChainError { position: at, fault }.into());
        }
        let event = if names_the_log(record.event) {
            let position = Position::new(at.get());
            let event = decode_event(record.event);
            Some(event.map_err(|source| ReplayError::Event { position, source })?)
        } else {
            None
        };
        let hash = hash.unwrap_or_else(|| record::hash(bytes));
        self.cursor.step(&record, hash);
        self.recorded_at = record.recorded_at;
        self.tree.push_hash(hash);
        Ok(Linked { recorded_at: record.recorded_at, event })
    }
}
