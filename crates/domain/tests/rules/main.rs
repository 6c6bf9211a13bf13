//! The rules of the trade. A test whose name carries a number shows the rule of that number.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, also where it calls a function beside it"
)]

mod commands;
mod given;
mod invariants;
mod programme;

mod bank_accounts;
mod batches;
mod ceilings;
mod cooperatives;
mod corrections;
mod deciders;
mod disbursements;
mod funds;
mod grants;
mod keys;
mod lending;
mod limits;
mod model;
mod payments;
mod periods;
mod restructurings;
mod returns;
mod sequences;
mod states;
mod two_people;
mod write_offs;
