//! What comes from a disk, a witness or an auditor, nearly right and wrong: see docs/adr/0036-fuzzing.md.
//!
//! Each layout has one byte string for a value, so what is read is written again as it was.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod log;
mod text;
mod tiles;
