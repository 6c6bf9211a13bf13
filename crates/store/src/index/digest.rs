//! A digest of all that the index answers from, however it is cut into runs.

use bergulir_chain::Hash;
use sha2::{Digest, Sha256};

use super::sorted::Sorted;
use super::{Index, IndexError, held};

/// Keeps this digest apart from every other hash.
const DOMAIN: &[u8] = b"bergulir index content 2\n";

impl Index {
    /// A SHA-256 over every table, key, position and value, and every hash of the tiles, in order.
    /// Two indexes of the same
    /// records have the same digest, however and whenever their runs were written and merged; so
    /// has one that was rebuilt. Reads all blocks; look-ups, applying and merging go on meanwhile.
    pub fn content_digest(&self) -> Result<Hash, IndexError> {
        // All tables at one log size: nothing is applied while they are captured.
        let (contents, size) = {
            let _applier = held(&self.applier);
            (self.tables.each_ref().map(super::table::Table::contents), self.applied())
        };
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        for (number, contents) in (0_u8..).zip(&contents) {
            let in_runs: u64 = contents.runs.iter().map(|run| run.row().records).sum();
            let in_memory: u64 = contents.memtables.iter().map(|table| table.len() as u64).sum();
            hasher.update([number]);
            hasher.update((in_runs + in_memory).to_be_bytes());
            let mut records = Sorted::of_contents(contents)?;
            while records.next(|key, position, value| {
                hasher.update(key.to_be_bytes());
                hasher.update(position.to_be_bytes());
                hasher.update((value.len() as u64).to_be_bytes());
                hasher.update(value);
                Ok(())
            })? {}
        }
        self.tile_rows.digest(size, &mut hasher)?;
        Ok(Hash::from_bytes(hasher.finalize().into()))
    }
}
