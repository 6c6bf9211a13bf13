//! What goes over the wire and into a record, and its translation to and from the domain.
//!
//! The outer crates speak [`pb`]; the domain knows none of it.

pub mod balance_proof;
pub mod balances;
pub mod continuation;
mod enums;
pub mod event;
mod in_order;
mod moment;
mod money;
pub mod name;
pub mod pb;
pub mod record;
pub mod replay;
mod shared;
pub mod statement;
pub mod status;
pub mod wire;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod sample_ledger;
#[cfg(test)]
mod samples;

pub use enums::{WireEnum, fund_kind};
pub use event::{
    EventError, decode_event, encode_event, event_from_wire, event_to_wire, names_the_log,
};
pub use moment::{
    MomentError, date_from_wire, date_to_wire, timestamp_from_wire, timestamp_to_wire,
};
pub use money::{
    MoneyError, amount_from_wire, decimal_from_wire, minor_from_wire, money_to_wire, part_from_wire,
};
pub use record::record_to_wire;
pub use shared::bank_account;
pub use status::{Described, describe};
pub use wire::{Envelope, InvalidFields, command_from_wire, command_to_wire};
