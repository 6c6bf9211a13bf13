//! Private keys in files: one line, the text of a C2SP signing key, that nobody but the file's
//! owner may read.
//!
//! A link to a key file is followed, as mounted secrets are links; what counts is whether others
//! can read the file it leads to. Nothing of a file's content is ever in an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bergulir_chain::note::{CosignerKey, KeyError, SignerKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::folder::sync_folder;
use crate::small_file::{beside, folder_of};

/// What the owner may do with a new key file, and nobody else: read and write.
const MODE: u32 = 0o600;

/// Any right of the group or of others.
const OTHERS: u32 = 0o077;

/// The longest key file, in bytes: a key's name has at most 255.
const MAX_BYTES: usize = 1024;

/// Why a key file cannot be used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// There is a file of that name already.
    #[error("{} is there already: a key is never overwritten, choose another file", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner can read or change it.
    #[error(
        "{} is open to others than its owner (mode {mode:03o}): run chmod 600 {}, and take \
         a new key if they may have read it", path.display(), path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a file with one line.
    #[error("{} is not a key file: that is a file with one line, of a signing key", path.display())]
    NotOneLine {
        /// The path.
        path: PathBuf,
    },
    /// The line is not a key of the kind that is needed.
    #[error("{}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with the key.
        source: KeyError,
    },
    /// The file cannot be made or read.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Makes the file of a log's private key; durable on return.
///
/// # Errors
/// If a file of that name is there, or this one cannot be made.
pub fn create_signer(path: &Path, key: &SignerKey) -> Result<(), KeyFileError> {
    create(path, &key.to_text())
}

/// Makes the file of a witness's private key; durable on return.
///
/// # Errors
/// If a file of that name is there, or this one cannot be made.
pub fn create_cosigner(path: &Path, key: &CosignerKey) -> Result<(), KeyFileError> {
    create(path, &key.to_text())
}

/// Reads the private key of a log.
///
/// # Errors
/// If others than its owner have any right to the file, or it does not hold such a key.
pub fn read_signer(path: &Path) -> Result<SignerKey, KeyFileError> {
    let key = SignerKey::parse(line(&read(path)?, path)?);
    key.map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}

/// Reads the private key of a witness.
///
/// # Errors
/// If others than its owner have any right to the file, or it does not hold such a key.
pub fn read_cosigner(path: &Path) -> Result<CosignerKey, KeyFileError> {
    let key = CosignerKey::parse(line(&read(path)?, path)?);
    key.map_err(|source| KeyFileError::Key { path: path.to_owned(), source })
}

fn create(path: &Path, key: &str) -> Result<(), KeyFileError> {
    let io_error = |doing| move |source| KeyFileError::Io { doing, path: path.to_owned(), source };
    // Under a name of its own first: a key that is there is whole, and was when it was made.
    let beside = beside(path, &format!(".{}.new", std::process::id()));
    // Of a process of that number that was cut short.
    let _ = fs::remove_file(&beside);
    let made = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside).and_then(
        |mut file| {
            // The umask takes rights away only; one that takes the owner's is made up for.
            file.set_permissions(fs::Permissions::from_mode(MODE))?;
            file.write_all(key.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        },
    );
    let made = made.map_err(io_error("write")).and_then(|()| {
        // Unlike a rename, a link does not take the place of a file that is there.
        fs::hard_link(&beside, path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
            _ => io_error("make")(source),
        })
    });
    let removed = fs::remove_file(&beside);
    made?;
    removed.map_err(io_error("finish"))?;
    sync_folder(folder_of(path)).map_err(io_error("make durable"))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let io_error = |source| KeyFileError::Io { doing: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    // Of the file that was opened, whatever the path leads to by now.
    let metadata = file.metadata().map_err(io_error)?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES as u64 {
        return Err(KeyFileError::NotOneLine { path: path.to_owned() });
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    // With room for all of it: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * MAX_BYTES));
    file.take(MAX_BYTES as u64).read_to_end(&mut bytes).map_err(io_error)?;
    Ok(bytes)
}

fn line<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, KeyFileError> {
    let text = std::str::from_utf8(bytes).ok();
    text.map(|text| text.strip_suffix('\n').unwrap_or(text))
        .filter(|line| !line.is_empty() && !line.contains(char::is_whitespace))
        .ok_or_else(|| KeyFileError::NotOneLine { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use bergulir_chain::note::KeyName;

    use super::*;

    fn name() -> KeyName {
        KeyName::new("ledger.example.go.id/pilot").unwrap()
    }

    fn key(seed: u8) -> SignerKey {
        SignerKey::from_seed(name(), &[seed; 32]).unwrap()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_reads_back_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pilot.key");
        create_signer(&path, &key(1)).unwrap();
        assert_eq!(read_signer(&path).unwrap().verifier(), key(1).verifier());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);

        let witness = CosignerKey::from_seed(name(), &[2; 32]).unwrap();
        let other = folder.path().join("witness.key");
        create_cosigner(&other, &witness).unwrap();
        assert_eq!(read_cosigner(&other).unwrap().verifier(), witness.verifier());
        let wrong_kind = read_signer(&other);
        assert!(matches!(wrong_kind, Err(KeyFileError::Key { .. })));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pilot.key");
        create_signer(&path, &key(1)).unwrap();
        assert!(matches!(create_signer(&path, &key(2)), Err(KeyFileError::Exists { .. })));
        assert_eq!(read_signer(&path).unwrap().verifier(), key(1).verifier());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_others_can_read_or_change_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pilot.key");
        create_signer(&path, &key(1)).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601, 0o644, 0o777] {
            set_mode(&path, mode);
            let refused = read_signer(&path).unwrap_err();
            assert!(matches!(refused, KeyFileError::Permissions { .. }), "{mode:o}");
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
        for mode in [0o600, 0o400, 0o700] {
            set_mode(&path, mode);
            read_signer(&path).unwrap();
        }
    }

    #[test]
    fn a_link_is_followed_and_the_file_it_leads_to_is_judged() {
        let folder = tempfile::tempdir().unwrap();
        let [path, link] = ["pilot.key", "link.key"].map(|file| folder.path().join(file));
        create_signer(&path, &key(1)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        read_signer(&link).unwrap();
        set_mode(&path, 0o644);
        assert!(matches!(read_signer(&link), Err(KeyFileError::Permissions { .. })));
        assert!(matches!(create_signer(&link, &key(2)), Err(KeyFileError::Exists { .. })));
    }

    #[test]
    fn what_is_no_key_file_is_refused_and_nothing_of_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pilot.key");
        let text = key(1).to_text();
        let secret = text.splitn(5, '+').last().unwrap();
        for content in [
            String::new(),
            "\n".to_owned(),
            format!("{}\n\n", *text),
            format!("{}\n{}\n", *text, *text),
            format!(" {}", *text),
            format!("{}x", *text),
            format!("{}\n", &text[..text.len() - 3]),
            text.replace("PRIVATE", "PUBLIC"),
            "x".repeat(5_000),
        ] {
            fs::write(&path, &content).unwrap();
            set_mode(&path, 0o600);
            let refused = read_signer(&path).unwrap_err();
            for told in [format!("{refused}"), format!("{refused:?}")] {
                assert!(!told.contains(&secret[..8]), "{told}");
            }
        }
        assert!(matches!(read_signer(folder.path()), Err(KeyFileError::NotOneLine { .. })));
        let missing = read_signer(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(missing, KeyFileError::Io { .. }), "{missing}");
        assert!(!format!("{:?}", key(1)).contains(&secret[..8]));
    }
}
