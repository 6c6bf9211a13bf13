//! What a ledger proves: that a record is in it, that it was only extended, what its tiles are.

use crate::checkpoints::SignedCheckpoint;
use crate::ledger::Ledger;
use crate::open::{index_without_paths, log_without_paths};
use crate::reads::ReadRefusal;
use crate::submission::Refusal;
use crate::tree::{Tree, TreeError};
use bergulir_chain::merkle::{Prefixes, inclusion_root};
use bergulir_chain::tiles::{Bundle, Tile};
use bergulir_chain::{Hash, LogSize, Position, body};
use bergulir_store::ReadError;
use bergulir_store::index::{Index, IndexError};
use std::sync::Arc;
use thiserror::Error;

/// Why something was not proved.
#[derive(Debug, Error)]
pub enum ProofRefusal {
    /// The ledger has not so many records.
    #[error("the ledger has {size} records: there is nothing to prove of {asked} yet")]
    NotReached {
        /// How many records were asked about.
        asked: LogSize,
        /// How many there are.
        size: LogSize,
    },
    /// The record is not in a tree of that size.
    #[error("a tree of {size} records has no record at {position}: ask for a larger one")]
    NotInTree {
        /// The position that was asked for.
        position: Position,
        /// The size of the tree.
        size: LogSize,
    },
    /// The older size is the larger one.
    #[error("a log of {to} records does not go on from one of {from}: swap the sizes")]
    Shrinks {
        /// The size to begin from.
        from: LogSize,
        /// The size to go on to.
        to: LogSize,
    },
    /// Checkpoints cannot be signed.
    #[error("no checkpoint can be signed: {why}")]
    NoKey {
        /// Which key is missing, and what to do.
        why: String,
    },
    /// The ledger takes no writes, and so signs nothing new.
    #[error("the ledger is read-only and signs nothing new: {why}")]
    ReadOnly {
        /// Why, and what to do.
        why: String,
    },
    /// A new checkpoint could not be stored, and so is not given out.
    #[error("a new checkpoint could not be stored ({why}): see to the disk")]
    NotStored {
        /// What failed.
        why: String,
    },
    /// No seal could be recorded.
    #[error("no seal could be recorded: {0}")]
    NotSealed(Refusal),
    /// The ledger stops.
    #[error("the ledger is stopping: ask again later")]
    Stopping,
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

impl From<ReadRefusal> for ProofRefusal {
    fn from(refusal: ReadRefusal) -> ProofRefusal {
        match refusal {
            ReadRefusal::Log(error) => ProofRefusal::Log(error),
            ReadRefusal::Reopening => ProofRefusal::Reopening,
            other => ProofRefusal::Projections { why: other.to_string() },
        }
    }
}

/// That a record is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The bytes of the record.
    pub record: Vec<u8>,
    /// The hash of the record: its leaf in the tree.
    pub record_hash: Hash,
    /// The path from its sibling up to the root.
    pub path: Vec<Hash>,
    /// The root at the size that was asked for.
    pub root: Hash,
}

/// That a log goes on from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    /// The root at the earlier size.
    pub from_root: Hash,
    /// The root at the later size.
    pub to_root: Hash,
    /// The proof.
    pub path: Vec<Hash>,
}

impl Ledger {
    /// The newest checkpoint. If one that covers so many records is asked for, it is made now where
    /// there is none.
    ///
    /// # Errors
    /// If there are not so many records, or no checkpoint can be signed.
    pub async fn checkpoint(
        &self,
        covering: Option<LogSize>,
    ) -> Result<Arc<SignedCheckpoint>, ProofRefusal> {
        let newest = self.checkpoints.newest();
        let needed = covering.unwrap_or(LogSize::new(1));
        if let Some(newest) = newest.filter(|newest| newest.checkpoint.size >= needed) {
            return Ok(newest);
        }
        self.reached(needed)?;
        self.projected_through(needed).await?;
        self.sign(needed).await
    }

    /// The newest checkpoint that a quorum of the policy's witnesses cosigned.
    pub fn witnessed_checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.checkpoints.witnessed()
    }

    /// Proves that the record at a position is among the first `size`.
    ///
    /// # Errors
    /// If it is not, there are not so many yet, or the log or the index fails.
    pub fn inclusion_proof(
        &self,
        position: Position,
        size: LogSize,
    ) -> Result<Inclusion, ProofRefusal> {
        if !size.holds(position) {
            return Err(ProofRefusal::NotInTree { position, size });
        }
        let index = self.indexed_to(size)?;
        let found = self.tree(&index).inclusion(size.get(), position);
        let (record, path) = found.map_err(|error| self.failed(error))?;
        let record_hash = bergulir_chain::record::hash(&record);
        let root = self.root_by(record_hash, &path, position, size)?;
        Ok(Inclusion { record, record_hash, path, root })
    }

    /// The root that a path leads to: where it is known, it must be that one.
    fn root_by(
        &self,
        record: Hash,
        path: &[Hash],
        position: Position,
        size: LogSize,
    ) -> Result<Hash, ProofRefusal> {
        let root = inclusion_root(Prefixes::RFC_6962, size.get(), position.get(), record, path);
        let newest = self.checkpoints.newest().filter(|newest| newest.checkpoint.size == size);
        match root {
            Ok(root) if newest.is_none_or(|newest| newest.checkpoint.root == root) => Ok(root),
            Ok(_) | Err(_) => {
                let what =
                    format!("its tiles do not lead from record {position} to {size} records");
                Err(self.failed(IndexError::Damaged { what }.into()))
            }
        }
    }

    /// Proves that the log of `to` records goes on from that of `from`.
    ///
    /// # Errors
    /// If it is the smaller one, there are not so many yet, or the log or the index fails.
    pub fn consistency_proof(
        &self,
        from: LogSize,
        to: LogSize,
    ) -> Result<Consistency, ProofRefusal> {
        if from > to {
            return Err(ProofRefusal::Shrinks { from, to });
        }
        let index = self.indexed_to(to)?;
        self.tree(&index).consistency(from.get(), to.get()).map_err(|error| self.failed(error))
    }

    /// A tile of the log; `None` if the log is too small to have it.
    ///
    /// # Errors
    /// If the log or the index fails.
    pub fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, ProofRefusal> {
        let index = self.indexed()?;
        match self.tree(&index).tile(tile) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(TreeError::Index(IndexError::NoTile { .. })) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// A bundle of records, each as its length (2 bytes, big-endian) and its bytes; `None` if the
    /// log is too small to have it.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn bundle(&self, bundle: Bundle) -> Result<Option<Vec<u8>>, ProofRefusal> {
        // Records that are not indexed yet are in no tile either.
        let index = self.indexed()?;
        if !bundle.tile().is_in(index.applied().get()) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let first = Position::new(bundle.first());
        let read = self.tree(&index).each_record(first, bundle.width.into(), |_, record| {
            body::push_encoded(&mut bytes, record);
        });
        read.map_err(|error| self.failed(error.into()))?;
        Ok(Some(bytes))
    }

    fn reached(&self, asked: LogSize) -> Result<(), ProofRefusal> {
        let size = self.head().size;
        if asked > size { Err(ProofRefusal::NotReached { asked, size }) } else { Ok(()) }
    }

    fn indexed_to(&self, asked: LogSize) -> Result<Arc<Index>, ProofRefusal> {
        let index = self.indexed()?;
        let size = index.applied();
        if asked > size { Err(ProofRefusal::NotReached { asked, size }) } else { Ok(index) }
    }

    fn tree<'a>(&'a self, index: &'a Index) -> Tree<'a> {
        Tree { log: self.log.as_ref(), index }
    }

    /// The log or the index failed. If nothing can be made good of that while the server runs, the
    /// ledger's status tells from then on.
    fn failed(&self, error: TreeError) -> ProofRefusal {
        self.health.tree_failed(&error);
        match error {
            TreeError::Log(error) => ProofRefusal::Log(log_without_paths(error)),
            TreeError::Index(error) => {
                ProofRefusal::Projections { why: index_without_paths(&error) }
            }
        }
    }
}
