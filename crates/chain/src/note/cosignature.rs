//! What a witness signs: a checkpoint, and when (C2SP `tlog-cosignature`, the Ed25519 form).

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::Timestamp;

/// A time in whole seconds since 1970-01-01T00:00:00 UTC, without leap seconds; below 2^63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PosixSeconds(u64);

impl PosixSeconds {
    /// The time with this number, or `None` from 2^63 on.
    pub const fn new(seconds: u64) -> Option<Self> {
        if seconds >> 63 == 0 { Some(Self(seconds)) } else { None }
    }

    /// The second that a time is in, or `None` before 1970.
    pub fn of(time: Timestamp) -> Option<Self> {
        u64::try_from(time.as_micros().div_euclid(1_000_000)).ok().map(Self)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PosixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is signed: the text of a checkpoint behind a line that says what it is and one with the
/// time.
pub(super) fn message(time: PosixSeconds, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// The bytes of a cosignature: the time, big-endian, and the Ed25519 signature.
pub(super) fn join(time: PosixSeconds, signature: &[u8; 64]) -> [u8; 72] {
    let mut bytes = [0; 72];
    bytes[..8].copy_from_slice(&time.get().to_be_bytes());
    bytes[8..].copy_from_slice(signature);
    bytes
}

/// Takes a cosignature apart again; `None` if it has another length or such a time cannot be.
pub(super) fn split(bytes: &[u8]) -> Option<(PosixSeconds, &[u8; 64])> {
    let (time, signature) = bytes.split_first_chunk()?;
    let time = PosixSeconds::new(u64::from_be_bytes(*time))?;
    Some((time, signature.try_into().ok()?))
}
