//! A digest of all that the index answers from, however it is cut into runs.

use bergulir_chain::Hash;
use sha2::{Digest, Sha256};

use super::sorted::Sorted;
use super::table::TableId;
use super::{Index, IndexError, held};

/// Keeps this digest apart from every other hash.
const DOMAIN: &[u8] = b"bergulir index content 4\n";

impl Index {
    /// A SHA-256 over every line of the trails and every hash of the tiles, in order, over the hash of
    /// the last record, which stands for all of them, and over where request ids and bank references
    /// are (not which: their keys come from the seed). Two indexes
    /// of the same records have the same digest, however and whenever their runs were written and
    /// merged; so has one that was rebuilt. Reads all blocks; look-ups, applying and merging go on meanwhile.
    pub fn content_digest(&self) -> Result<Hash, IndexError> {
        // All tables at one log size: nothing is applied while they are captured.
        let (contents, head) = {
            let _applier = held(&self.applier);
            (self.tables.each_ref().map(super::table::Table::contents), self.applied_to())
        };
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        for (table, contents) in TableId::ALL.into_iter().zip(&contents) {
            let in_runs: u64 = contents.runs.iter().map(|run| run.row().records).sum();
            let in_memory: u64 = contents.memtables.iter().map(|table| table.len() as u64).sum();
            hasher.update([table as u8]);
            hasher.update((in_runs + in_memory).to_be_bytes());
            let mut records = Sorted::of_contents(contents)?;
            // Keys of ids come from a seed that every index has for itself, and are in its order.
            let mut places = 0_u128;
            while records.next(|key, position, row| {
                if table.is_filtered() {
                    places = places.wrapping_add(place(position));
                    return Ok(());
                }
                hasher.update(key.to_be_bytes());
                hasher.update(position.to_be_bytes());
                hasher.update([row.tag]);
                hasher.update(u64::from(row.count).to_be_bytes());
                for number in row.all() {
                    hasher.update(number.to_be_bytes());
                }
                Ok(())
            })? {}
            hasher.update(places.to_be_bytes());
        }
        self.tile_rows.digest(head, &mut hasher)?;
        Ok(Hash::from_bytes(hasher.finalize().into()))
    }
}

/// What a position adds to the sum over all places of ids: bits that no other sum has but by rare
/// chance.
fn place(position: u64) -> u128 {
    let hash = Sha256::digest(position.to_be_bytes());
    u128::from_be_bytes(*hash.first_chunk().expect("a SHA-256 has 32 bytes"))
}
