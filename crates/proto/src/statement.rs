//! Statements: which records concern a fund or an account, as a number and a running hash, so that
//! one that was left out, added or changed shows.

use bergulir_chain::Hash;

/// Before the bytes of a running hash.
const PREFIX: u8 = 0x04;

/// The bytes of an encoded statement.
pub(crate) const STATEMENT_BYTES: usize = 8 + 32;

/// How many records concern an account or a fund, and a running hash over them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statement {
    /// How many.
    pub records: u64,
    /// `SHA-256(0x04 ‖ running hash before ‖ record hash)`, from 32 zero bytes on.
    pub running_hash: Hash,
}

impl Statement {
    /// The statement over the records with these hashes, in the order of the log: what a fund's or
    /// an account's leaf must say if these are all that concern it.
    pub fn over(records: impl IntoIterator<Item = Hash>) -> Statement {
        let mut statement = Statement::default();
        records.into_iter().for_each(|record| statement.add(record));
        statement
    }

    /// One record more, given by its hash.
    pub fn add(&mut self, record: Hash) {
        self.records += 1;
        self.running_hash = Hash::of_pair(PREFIX, self.running_hash, record);
    }

    /// Appends its bytes, as snapshots and balance leaves have them.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(self.running_hash.as_bytes());
    }

    /// Takes one off the front; `None` if the bytes are too few.
    pub(crate) fn take(from: &mut &[u8]) -> Option<Statement> {
        let (bytes, rest) = from.split_first_chunk::<STATEMENT_BYTES>()?;
        let (records, running_hash) = bytes.split_first_chunk()?;
        let running_hash = Hash::from_bytes(running_hash.try_into().ok()?);
        *from = rest;
        Some(Statement { records: u64::from_le_bytes(*records), running_hash })
    }
}
