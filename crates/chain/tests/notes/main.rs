//! Notes, checkpoints, cosignatures, witnesses, policies and proofs as text, against what others made.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod golden;
mod others;
mod policy;
mod refusals;
mod tampering;
mod witness;

use bergulir_chain::note::{CosignerKey, KeyName, PosixSeconds, SignerKey};

fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

fn seed(first: u8) -> [u8; 32] {
    std::array::from_fn(|place| first + u8::try_from(place).unwrap())
}

fn log_key() -> SignerKey {
    SignerKey::from_seed(name(golden::ORIGIN), &seed(0)).unwrap()
}

fn witness_key() -> CosignerKey {
    CosignerKey::from_seed(name("auditor.example/w1"), &seed(32)).unwrap()
}

fn time(seconds: u64) -> PosixSeconds {
    PosixSeconds::new(seconds).unwrap()
}
