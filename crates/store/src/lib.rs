//! Durable logs behind one narrow trait, the sled index, and small files: keys and checkpoints.
//!
//! A log keeps the records of one ledger: [`FileLog`] in files, [`MemoryLog`] for tests. What it
//! holds is the truth; everything else can be rebuilt from it.

pub mod backup;
#[cfg(test)]
mod conformance;
pub mod file_log;
mod folder;
#[cfg(test)]
mod fuzz_tests;
mod group;
pub mod index;
pub mod key_file;
pub mod layout;
mod lock;
mod log;
mod memory;
mod records;
#[cfg(test)]
mod sample;
mod small_file;
mod varint;

pub use file_log::{FileLog, FileLogOptions, LogEnd, OpenError, Recovery, Salvage, salvage};
pub use folder::create_folder_durably;
pub use group::{Group, GroupError, GroupMark};
pub use lock::{DataLock, LockError};
pub use log::{AppendError, EventLog, Head, ReadError, ReadLimit, Refusal};
pub use memory::MemoryLog;
pub use records::{Iter, Records, Scattered};
pub use small_file::{replace_file_durably, replace_file_durably_on};
