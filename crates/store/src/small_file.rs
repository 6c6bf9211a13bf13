//! Small files that are there whole or not at all, also after a power cut.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::file_log::{Disk, Medium, write_whole};

/// Puts these bytes in the place of a file, or makes it: whoever reads it, also after a power cut,
/// finds the old content or the new one, and after the return the new one.
///
/// One at a time for each file.
///
/// # Errors
/// What the operating system says. The file then has its old content or the new one.
pub fn replace_file_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_file_durably_on(&Disk, path, bytes)
}

/// The same on a medium that a test may put underneath.
///
/// # Errors
/// What the operating system says. The file then has its old content or the new one.
pub fn replace_file_durably_on(medium: &dyn Medium, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = unfinished(path);
    // A link that somebody put there would lead to another file, which is not written over.
    let _ = medium.remove(&beside);
    let file = medium.create_new(&beside)?;
    let written = write_whole(&*file, bytes, 0).and_then(|()| file.sync());
    let replaced = written.and_then(|()| medium.rename(&beside, path));
    if replaced.is_err() {
        // What is left over does no harm: the next attempt begins with it.
        let _ = medium.remove(&beside);
    }
    replaced?;
    medium.sync_folder(folder_of(path))
}

/// The bytes of a file, if it is one, and not a link, a folder, a pipe or a device: where others may
/// write, that could lead anywhere, and have no end.
///
/// # Errors
/// What the operating system says, or that it is no file.
pub(crate) fn read_own_file(path: &Path) -> io::Result<Vec<u8>> {
    if fs::symlink_metadata(path)?.is_file() {
        fs::read(path)
    } else {
        Err(io::Error::other(NO_FILE))
    }
}

/// What is said of a thing that lies where a file should.
pub(crate) const NO_FILE: &str = "it is a link, a folder, a pipe or a device, and must be a file";

/// What a file is called while it is written: a crash may leave it.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    beside(path, ".new")
}

/// The path of a file of the same folder: this one's name with something behind it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        for content in ["first", "", "a longer one"] {
            replace_file_durably(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_an_earlier_attempt_left_over_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        fs::write(beside(&path, ".new"), "half of something much longer").unwrap();
        replace_file_durably(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn if_it_cannot_be_replaced_the_old_content_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in the way");
        fs::create_dir_all(path.join("a folder")).unwrap();
        replace_file_durably(&path, b"new").unwrap_err();
        assert!(path.join("a folder").is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        replace_file_durably(&folder.path().join("missing/checkpoint"), b"new").unwrap_err();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_beside_a_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["checkpoint", "other"].map(|name| folder.path().join(name));
        fs::write(&other, "of somebody else").unwrap();
        std::os::unix::fs::symlink(&other, unfinished(&path)).unwrap();
        replace_file_durably(&path, b"first").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody else");
        assert_eq!(read_own_file(&path).unwrap(), b"first");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read_own_file(&link).unwrap_err().to_string(), NO_FILE);
    }
}
