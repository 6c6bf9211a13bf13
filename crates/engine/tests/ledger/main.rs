//! The engine as its services use it: over real files, with a clock that the tests set.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod behind;
mod crowd;
mod reads;
mod reopen;
mod requests;
mod support;
