//! What the whole must show: the real binary, the real protocol, real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod bench;
mod bundle;
mod config;
mod continuation;
mod continuation_forged;
mod damage;
mod demo;
mod disk;
mod disk_faults;
mod file_faults;
mod forged;
mod guarded;
mod index;
mod kill;
mod layering;
mod one_owner;
mod overload;
mod packaging;
mod pilot;
mod power_cut;
mod proofs;
mod readme;
mod reload;
mod second_verifier;
mod secrets;
mod sled_alone;
mod starting;
mod support;
mod telemetry;
mod two_people;
mod witness;
