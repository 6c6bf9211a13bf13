//! Folders whose names outlive a power cut.
//!
//! A file may be synced as often as one likes: if the name of a folder above it was not, a power
//! cut takes all of it away.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Creates a folder and those above it that are missing. On return the names of those that it
/// created are durable. Does nothing if the folder is there.
///
/// # Errors
/// What the operating system says. The folder may be there all the same, and its name not durable.
pub fn create_folder_durably(folder: &Path) -> io::Result<()> {
    create_folder(folder, &sync_folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// [`create_folder_durably`], with something that makes the names in a folder durable.
pub(crate) fn create_folder(
    folder: &Path,
    sync: &dyn Fn(&Path) -> io::Result<()>,
) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    create_folder(above, sync)?;
    match fs::create_dir(folder) {
        // Another process was faster, or a file is in the way.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => {
            return Err(error);
        }
        _ => {}
    }
    sync(above)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_folder_above_each_new_one_is_synced_before_the_next_is_made() {
        let above = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "a/b", "a/b/c"].map(|path| above.path().join(path));
        let synced = RefCell::new(Vec::new());
        let sync = |folder: &Path| {
            let made = [&a, &b, &c].iter().filter(|made| made.is_dir()).count();
            synced.borrow_mut().push((folder.to_owned(), made));
            sync_folder(folder)
        };
        create_folder(&c, &sync).unwrap();
        create_folder(&c, &sync).unwrap();
        assert_eq!(
            *synced.borrow(),
            [(above.path().to_owned(), 1), (a.clone(), 2), (b.clone(), 3)]
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_durable_is_an_error() {
        let above = tempfile::tempdir().unwrap();
        let failing = |_: &Path| Err(io::Error::other("the disk failed"));
        create_folder(&above.path().join("a"), &failing).unwrap_err();
        let file = above.path().join("file");
        fs::write(&file, "").unwrap();
        create_folder_durably(&file).unwrap_err();
        create_folder_durably(&file.join("b")).unwrap_err();
        create_folder_durably(&above.path().join("c/d")).unwrap();
        assert!(above.path().join("c/d").is_dir());
    }
}
