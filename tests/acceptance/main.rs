//! What the whole must show: the real binary, the real protocol, real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod demo;
mod kill;
mod layering;
mod pilot;
mod support;
