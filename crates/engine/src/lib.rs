//! The engine: one writer a ledger, group commit, projections, and what the services read.
//!
//! Work goes into a ledger's bounded queue. The writer decides and seals it, the persister makes
//! it durable and answers, the projector follows with the state and the index that reads see.

pub mod clock;
mod facts;
#[cfg(test)]
mod fault_tests;
mod health;
mod inbox;
mod ledger;
mod node;
mod open;
mod persister;
mod projector;
mod reads;
mod scrub;
mod submission;
mod trail;
mod writer;

pub use bergulir_store::index::Direction;
pub use bergulir_store::{Head, ReadError, ReadLimit, Records};
pub use health::Status;
pub use ledger::{Ledger, LedgerOptions};
pub use node::{LEDGERS_FOLDER, Node, NodeError, Slot};
pub use open::OpenError;
pub use reads::{AsOf, ReadRefusal};
pub use submission::{
    Accepted, Answer, Balances, Caller, Receipt, Refusal, Request, RequestId, Terms, Work,
};
pub use trail::{Owner, Running};
