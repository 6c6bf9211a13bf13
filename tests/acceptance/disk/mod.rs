//! A disk that can be cut off, fill up, break and lie, for a real server: a model of one with a
//! volatile cache, mounted over FUSE. Linux alone has that, and root alone may mount it; tests say when
//! they are skipped.

pub mod dice;
mod fuse;
mod model;
#[cfg(test)]
mod tests;

pub use fuse::Mounted;
pub use model::{Disk, Fault, Operation, Rule, Then};
