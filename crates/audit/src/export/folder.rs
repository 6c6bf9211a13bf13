//! A folder that appears under its name only when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::ExportError;

/// A folder in the making, beside the one that it will be. Dropped before it is whole, it goes.
#[derive(Debug)]
pub(super) struct NewFolder {
    making: PathBuf,
    target: PathBuf,
    whole: bool,
}

impl NewFolder {
    /// Begins one, unless something is there already.
    pub(super) fn create(target: &Path) -> Result<NewFolder, ExportError> {
        if fs::symlink_metadata(target).is_ok() {
            return Err(ExportError::Exists { path: target.to_owned() });
        }
        let unnamed = || ExportError::Unnamed { path: target.to_owned() };
        let name = target.file_name().ok_or_else(unnamed)?;
        let mut making = std::ffi::OsString::from(".");
        making.push(name);
        making.push(format!(".{}.new", std::process::id()));
        let making = target.with_file_name(making);
        fs::create_dir(&making).map_err(|error| ExportError::io(&making, error))?;
        Ok(NewFolder { making, target: target.to_owned(), whole: false })
    }

    /// Where it is made.
    pub(super) fn path(&self) -> &Path {
        &self.making
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, ExportError> {
        let path = self.making.join(name);
        fs::create_dir_all(&path).map_err(|error| ExportError::io(&path, error))?;
        Ok(path)
    }

    /// Writes a file of it.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ExportError> {
        let path = self.making.join(name);
        fs::write(&path, bytes).map_err(|error| ExportError::io(&path, error))
    }

    /// Gives it its name.
    pub(super) fn finish(mut self) -> Result<PathBuf, ExportError> {
        if fs::symlink_metadata(&self.target).is_ok() {
            return Err(ExportError::Exists { path: self.target.clone() });
        }
        fs::rename(&self.making, &self.target)
            .map_err(|error| ExportError::io(&self.target, error))?;
        self.whole = true;
        Ok(self.target.clone())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.whole {
            // What remains of it is named so that nobody takes it for a bundle.
            let _ = fs::remove_dir_all(&self.making);
        }
    }
}

/// A file that is written from its start to its end.
#[derive(Debug)]
pub(super) struct NewFile {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
}

impl NewFile {
    pub(super) fn create(path: PathBuf) -> Result<NewFile, ExportError> {
        match File::create_new(&path) {
            Ok(file) => Ok(NewFile { path, file: BufWriter::new(file), length: 0 }),
            Err(error) => Err(ExportError::io(&path, error)),
        }
    }

    /// How many bytes it has.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.length += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| ExportError::io(&self.path, error))
    }

    /// Ends it, on the disk.
    pub(super) fn finish(self) -> Result<(), ExportError> {
        let sync = |file: BufWriter<File>| -> io::Result<()> {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        };
        sync(self.file).map_err(|error| ExportError::io(&self.path, error))
    }
}
