//! The engine as its services use it: over real files, with a clock that the tests set.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod balance_proofs;
mod batches;
mod behind;
mod checkpoints;
mod clock;
mod continuation;
mod crowd;
mod horizon;
mod keys;
mod proofs;
mod reads;
mod reopen;
mod requests;
mod rollback;
mod support;
mod threads;
mod witness_server;
mod witnesses;
