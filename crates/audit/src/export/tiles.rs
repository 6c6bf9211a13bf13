//! A log as static files, after C2SP `tlog-tiles`.

use std::fs;
use std::path::Path;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::note::Note;
use bergulir_chain::tiles::{
    Bundle, CHECKPOINT_PATH, FULL_WIDTH, HASH_BYTES, LEVELS, TILE_HEIGHT, Tile,
};
use bergulir_chain::{ChainCursor, Position, body};

use super::folder::NewFolder;
use super::log::agree;
use super::{ExportError, Exported};

/// Writes a log as a folder of tiles and entry bundles from records that come in one by one. Any
/// client of tiled logs reads it, and any web server serves it.
#[derive(Debug)]
pub struct TilesWriter {
    folder: NewFolder,
    cursor: ChainCursor,
    tree: Tree,
    /// The last row of each level, which is not full yet, and how many full ones are before it.
    rows: [Vec<u8>; LEVELS as usize],
    full: [u64; LEVELS as usize],
    /// The records of the last row of level 0.
    records: Vec<u8>,
    note: Note,
    checkpoint: Checkpoint,
}

impl TilesWriter {
    /// Begins a folder at a path where nothing is yet, for the records that the checkpoint covers.
    ///
    /// # Errors
    /// If something is there, or the note is no checkpoint.
    pub fn create(out: &Path, checkpoint: &Note) -> Result<TilesWriter, ExportError> {
        let note = checkpoint.clone();
        let checkpoint = Checkpoint::parse_unverified(note.text())?;
        Ok(TilesWriter {
            folder: NewFolder::create(out)?,
            cursor: ChainCursor::origin(),
            tree: Tree::new(Prefixes::RFC_6962),
            rows: Default::default(),
            full: Default::default(),
            records: Vec::new(),
            note,
            checkpoint,
        })
    }

    /// The position of the next record.
    pub fn next(&self) -> Position {
        self.cursor.next()
    }

    /// How many records the log will have.
    pub fn size(&self) -> u64 {
        self.checkpoint.size.get()
    }

    /// Whether all the records are there that the checkpoint covers.
    pub fn is_whole(&self) -> bool {
        self.tree.size() >= self.size()
    }

    /// Takes in the next record.
    ///
    /// # Errors
    /// If it is not the next one of the chain, or cannot be written.
    pub fn push(&mut self, record: &[u8]) -> Result<(), ExportError> {
        let (_, hash) = self.cursor.check(record)?;
        let rows = &mut self.rows;
        self.tree.push_hash_with(hash, |subtree, hash| {
            if subtree.level.is_multiple_of(TILE_HEIGHT)
                && let Some(row) = rows.get_mut(usize::from(subtree.level / TILE_HEIGHT))
            {
                row.extend_from_slice(hash.as_bytes());
            }
        });
        body::push_encoded(&mut self.records, record);
        for level in 0..LEVELS {
            if self.rows[usize::from(level)].len() < usize::from(FULL_WIDTH) * HASH_BYTES {
                break;
            }
            self.end_row(level, FULL_WIDTH)?;
        }
        Ok(())
    }

    /// Writes the last row of a level.
    fn end_row(&mut self, level: u8, width: u16) -> Result<(), ExportError> {
        let row = &mut self.rows[usize::from(level)];
        let index = self.full[usize::from(level)];
        write(&self.folder, &Tile { level, index, width }.to_string(), row)?;
        row.clear();
        self.full[usize::from(level)] += 1;
        if level == 0 {
            let bundle = Bundle { index, width };
            write(&self.folder, &bundle.to_string(), &self.records)?;
            self.records.clear();
        }
        Ok(())
    }

    /// Ends the folder and gives it its name.
    ///
    /// # Errors
    /// If the records are not those of the checkpoint, or cannot be written.
    pub fn finish(mut self) -> Result<Exported, ExportError> {
        agree(&self.tree, &self.checkpoint)?;
        for level in 0..LEVELS {
            let hashes = self.rows[usize::from(level)].len() / HASH_BYTES;
            let width = u16::try_from(hashes).expect("a full row was written, so fewer than 256");
            if width > 0 {
                self.end_row(level, width)?;
            }
        }
        self.folder.write(CHECKPOINT_PATH, self.note.to_string().as_bytes())?;
        let path = self.folder.finish()?;
        let Checkpoint { origin, size, .. } = self.checkpoint;
        Ok(Exported { path, kind: None, origin: origin.to_string(), size })
    }
}

/// Writes a file in folders of its own.
fn write(folder: &NewFolder, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
    let path = folder.path().join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| ExportError::io(parent, error))?;
    }
    fs::write(&path, bytes).map_err(|error| ExportError::io(&path, error))
}
