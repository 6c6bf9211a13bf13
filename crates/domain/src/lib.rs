//! The trade, pure: money, names, terms, commands, events, and the two functions that everything
//! else serves: [`decide`](decide::decide) and [`evolve`](evolve::evolve).
//!
//! Nothing here reads a clock, a file or a random number: time, principal and look-ups come in as
//! arguments, so that an auditor gets the same answer from the same records on any machine.

#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

pub mod command;
pub mod cooperative;
pub mod decide;
pub mod decider;
pub mod event;
pub mod evolve;
pub mod id;
pub mod journal;
pub mod ledger;
pub mod moment;
pub mod money;
pub mod postings;
pub mod rejection;
pub mod state;
pub mod terms;
pub mod text;
pub mod touched;

pub use command::Command;
pub use decide::{Context, Lookups, decide};
pub use decider::{Decider, Decision};
pub use event::{Event, Header};
pub use evolve::{evolve, evolve_again};
pub use id::{AccountId, CooperativeId, FundId, LedgerId, LoanId, OfficerId, PrincipalId};
pub use moment::{Date, Position, Timestamp, UtcOffset};
pub use money::{Amount, Money};
pub use rejection::Rejection;
pub use state::State;
pub use touched::{Touched, touched};
