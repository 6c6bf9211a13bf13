//! The services as callers meet them: a real client over loopback, a real data directory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod commands;
mod guard;
mod lifecycle;
mod limits;
mod log;
mod payments;
mod pilot;
mod proofs;
mod queries;
mod refusals;
mod reload;
mod roles;
#[path = "../../../chain/tests/trees/served.rs"]
mod served;
mod slow;
mod static_log;
mod strangers;
mod streams;
mod support;
mod tls;
mod tokens;
