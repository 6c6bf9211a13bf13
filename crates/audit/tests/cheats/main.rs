//! Ways to cheat, each made as an insider would who has the data directory, and where it says so
//! the signing key too: sums, hashes and the chain are made right again as far as he can. Each is
//! found, with the position and the reason.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, also where it calls a function beside it"
)]

#[path = "../verify/commands.rs"]
mod commands;
#[path = "../verify/files.rs"]
mod files;
#[path = "../verify/giving_up.rs"]
mod giving_up;
#[path = "../verify/ledger.rs"]
mod ledger;
#[path = "../verify/programme.rs"]
mod programme;

mod bundles;
mod checkpoints;
mod continuations;
mod cooperatives;
mod exports;
mod insider;
mod records;
mod rules_3;
mod scene;
mod second;
mod trade;
mod witnessed;
