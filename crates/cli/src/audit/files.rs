//! Small files that people name on the command line.

use std::fs;
use std::path::Path;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::Note;

use crate::failure::Failure;

/// The bytes of one.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::CouldNotTell(format!("could not read {}: {error}", path.display()))
    })
}

/// A checkpoint.
pub(crate) fn checkpoint(path: &Path) -> Result<Note, Failure> {
    let no_checkpoint = |why: &dyn std::fmt::Display| {
        Failure::CouldNotTell(format!("{} is no checkpoint: {why}", path.display()))
    };
    let note = Note::parse(&read(path)?).map_err(|error| no_checkpoint(&error))?;
    Checkpoint::parse_unverified(note.text()).map_err(|error| no_checkpoint(&error))?;
    Ok(note)
}
