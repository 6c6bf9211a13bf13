//! The engine: one writer a ledger, group commit, projections, and what the services read.
//!
//! Work goes into a ledger's bounded queue. The writer decides and seals it, the persister makes
//! it durable and answers, the projector follows with the state and the index that reads see, the
//! checkpointer signs what was published.

mod anchor;
mod answers;
mod asked;
pub mod backup;
mod balance_proofs;
mod checkpointer;
mod checkpoints;
pub mod clock;
mod clock_keeper;
pub mod continuation;
mod continued;
mod facts;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod fuzz_tests;
mod health;
mod horizon;
mod inbox;
mod keyring;
mod keys;
mod known;
mod ledger;
mod ledgers;
pub mod meter;
mod node;
mod open;
#[cfg(test)]
mod overload_tests;
mod persister;
mod projector;
mod proofs;
mod reads;
mod recent;
mod reopening;
#[cfg(test)]
mod reopening_tests;
mod replay;
pub mod restore;
mod retry;
mod scrub;
mod sealing;
mod shared_index;
#[cfg(test)]
mod simulation;
mod stop;
mod submission;
mod threads;
mod trail;
mod tree;
mod witness;
mod witnesses;
mod writer;

pub use anchor::{AnchorError, AnchorStatus, check as check_anchor};
pub use bergulir_store::index::Direction;
pub use bergulir_store::layout::{CHECKPOINT_FILE, CONTINUED_FILE, LEDGERS_FOLDER, WITNESSED_FILE};
pub use bergulir_store::{Head, ReadError, ReadLimit, Records, Scattered};
pub use checkpoints::SignedCheckpoint;
pub use clock_keeper::{accept_clock, clock_was_taken};
pub use continued::CONTINUED;
pub use health::Status;
pub use keyring::{KEY_SUFFIX, KEYS_FOLDER, KeyError, check as check_keys};
pub use known::ROLLED_BACK;
pub use ledger::{Ledger, LedgerOptions, Queued};
pub use node::{Node, NodeError, NodeOptions, Slot};
pub use open::OpenError;
pub use proofs::{Consistency, Inclusion, ProofRefusal};
pub use reads::{AsOf, ReadRefusal};
pub use submission::{
    Accepted, Answer, Balances, Caller, Named, Receipt, Refusal, Request, RequestId, Terms, Work,
};
pub use threads::yield_to_others;
pub use trail::{Owner, Running};
pub use witness::UnusableWitness;
pub use witnesses::WitnessStatus;
