//! Where the data of all of them go: one folder on one disk, removed at the end.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use crate::failure::Failure;

/// `f_type` of statfs(2).
const MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// A new folder, in the one named or in that for temporary files. One in memory is refused.
    pub fn new(within: Option<&Path>) -> Result<Folder, Failure> {
        let within = within.map_or_else(std::env::temp_dir, Path::to_owned);
        let within = within.canonicalize()?;
        let kind = rustix::fs::statfs(&within).map_err(std::io::Error::from)?.f_type;
        if MEMORY.contains(&kind) {
            return Err(Failure::NoDisk(within.display().to_string()));
        }
        let folder = tempfile::Builder::new().prefix("bergulir-peers-").tempdir_in(within)?;
        // PostgreSQL's user must get to what lies in it.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        Ok(Folder(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn remove(self) -> Result<(), Failure> {
        Ok(self.0.close()?)
    }
}
