//! Callers who send anything to a real server: see docs/adr/0036-fuzzing.md. A binary of its own, since the
//! memory of the whole process is counted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod call;
#[path = "../server/guard.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod guard;
mod requests;
mod script;
mod service;
#[path = "../server/support.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod support;
