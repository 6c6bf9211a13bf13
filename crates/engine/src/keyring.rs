//! The private keys of a node: files in a folder, by which its ledgers sign their checkpoints.
//!
//! A key is read from its file each time that it signs: taking the file away takes the key away, and
//! none stays in memory.

use crate::submission::Refusal;
use bergulir_chain::note::{self, KEY_BYTES, KeyName, SignerKey, VerifierKey};
use bergulir_domain::LedgerId;
use bergulir_domain::ledger::Origin;
use bergulir_domain::text;
use bergulir_store::create_folder_durably;
use bergulir_store::key_file::{KeyFileError, create_signer, read_signer};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use thiserror::Error;
use zeroize::Zeroizing;

/// The folder of the keys in a data directory, unless another is given.
pub const KEYS_FOLDER: &str = "keys";

/// How the names of key files end.
pub const KEY_SUFFIX: &str = "key";

/// Why a key cannot be had.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A key file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The folder of the keys cannot be made or read.
    #[error("could not use the key folder {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// There are several keys of the name.
    #[error(
        "{} has {keys} keys of the name {origin}: name the one that the new ledger is to have",
        folder.display()
    )]
    Several {
        /// The name.
        origin: String,
        /// How many there are.
        keys: usize,
        /// The folder.
        folder: PathBuf,
    },
    /// No key can be made of that name.
    #[error("no key can be made for {origin}: {source}")]
    Name {
        /// The name.
        origin: String,
        /// Why.
        source: note::KeyError,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key: {0}")]
    Random(getrandom::Error),
}

impl KeyError {
    /// The same for callers, whom the folders of the server are no concern of.
    pub fn without_paths(&self) -> String {
        match self {
            KeyError::File(_) => {
                "a key file of the server cannot be used: its log says which one".to_owned()
            }
            KeyError::Folder { source, .. } => {
                format!("the key folder of the server cannot be used: {source}")
            }
            KeyError::Several { origin, keys, .. } => format!(
                "the key folder has {keys} keys of the name {origin}: name the one that the new \
                 ledger is to have"
            ),
            KeyError::Name { .. } | KeyError::Random(_) => self.to_string(),
        }
    }
}

/// Checks that every key of a folder can be used; a folder that is missing has none.
///
/// # Errors
/// If one cannot be used: it cannot be read, others can read it, or it is no key.
pub fn check(folder: &Path) -> Result<(), KeyError> {
    for path in key_files(folder)? {
        read_signer(&path)?;
    }
    Ok(())
}

/// The private keys that lie in one folder, in files that end with `.key`.
#[derive(Debug)]
pub(crate) struct Keyring {
    folder: PathBuf,
    /// Where each key was found last.
    files: RwLock<Vec<(VerifierKey, PathBuf)>>,
    /// Held while a key is looked for and made: two ledgers of one origin get one.
    making: Mutex<()>,
}

impl Keyring {
    /// Reads all keys of a folder; none if it is missing. A file that cannot be used is told, and keeps
    /// only those ledgers from being written to that [miss](Self::missed) a key.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(crate) fn open(folder: PathBuf) -> Result<Keyring, KeyError> {
        let mut files = Vec::new();
        for path in key_files(&folder)? {
            match read_signer(&path) {
                Ok(key) => files.push((key.verifier().clone(), path)),
                Err(error) => tracing::error!(%error, "a key file cannot be used"),
            }
        }
        Ok(Keyring { folder, files: RwLock::new(files), making: Mutex::new(()) })
    }

    /// Why this key is not here, in words for callers, if it may be in a file that cannot be used: the
    /// disk does not give it, it is damaged, or others can read it. A key whose file was taken away is
    /// not missed.
    pub(crate) fn missed(&self, key: &VerifierKey) -> Option<String> {
        if self.signer(key, true).is_some() {
            return None;
        }
        let told = |path: PathBuf| {
            let error = read_signer(&path).err()?.to_string();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Some(error.replace(&path.display().to_string(), &name))
        };
        let files = key_files(&self.folder).unwrap_or_default();
        let unusable: Vec<String> = files.into_iter().filter_map(told).collect();
        (!unusable.is_empty()).then(|| {
            format!(
                "KEY_UNUSABLE: the key of this ledger, {} ({}), is in no file of the key folder that can \
                 be used, and may be in one that cannot: {}. Put that file in order, or restore it",
                key.name(),
                key.id(),
                unusable.join("; ")
            )
        })
    }

    /// The private key of a verifier key, if its file is here now. Files that came or were renamed in
    /// the meantime are found, if `look` says to look.
    pub(crate) fn signer(&self, key: &VerifierKey, look: bool) -> Option<SignerKey> {
        self.read(key).or_else(|| {
            if look {
                self.look_again();
                return self.read(key);
            }
            None
        })
    }

    /// Reads a key where it was found last.
    fn read(&self, key: &VerifierKey) -> Option<SignerKey> {
        let files: Vec<PathBuf> = {
            let known = self.files();
            known.iter().filter(|(of, _)| of == key).map(|(_, path)| path.clone()).collect()
        };
        files.into_iter().find_map(|path| match read_signer(&path) {
            Ok(signer) => (signer.verifier() == key).then_some(signer),
            Err(error) => {
                tracing::debug!(%error, "a key is not where it was");
                None
            }
        })
    }

    /// A log does not go on with a key that the node cannot sign with.
    pub(crate) fn require(&self, key: &text::VerifierKey) -> Result<(), Refusal> {
        let found: Option<VerifierKey> = key.as_str().parse().ok();
        match found {
            Some(key) if self.signer(&key, true).is_some() => Ok(()),
            Some(key) => Err(Refusal::KeyNotHeld { key: format!("{} ({})", key.name(), key.id()) }),
            None => Err(Refusal::KeyNotHeld { key: key.to_string() }),
        }
    }

    /// Where the keys lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key for a new ledger: the one of its origin, or a new one.
    pub(crate) fn verifier_key(
        &self,
        origin: &Origin,
        ledger: LedgerId,
    ) -> Result<VerifierKey, KeyError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        self.look_again();
        let named = || KeyError::Several {
            origin: origin.as_str().to_owned(),
            keys: self.named(origin).len(),
            folder: self.folder.clone(),
        };
        match self.named(origin).as_slice() {
            [key] => return Ok(key.clone()),
            [] => {}
            _ => return Err(named()),
        }
        let of_origin = |source| KeyError::Name { origin: origin.as_str().to_owned(), source };
        let mut seed = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *seed).map_err(KeyError::Random)?;
        let name = KeyName::new(origin.as_str()).map_err(of_origin)?;
        let key = SignerKey::from_seed(name, &seed).map_err(of_origin)?;
        let io = |source| KeyError::Folder { path: self.folder.clone(), source };
        create_folder_durably(&self.folder).map_err(io)?;
        let mut path = self.folder.join(format!("{ledger}.{KEY_SUFFIX}"));
        if path.exists() {
            // A key of another origin.
            path = self.folder.join(format!("{ledger}-{}.{KEY_SUFFIX}", key.verifier().id()));
        }
        create_signer(&path, &key)?;
        tracing::info!(ledger = %ledger, file = %path.display(), "a key was made: keep a copy of it");
        let verifier = key.verifier().clone();
        self.found(verifier.clone(), path);
        Ok(verifier)
    }

    /// The keys of that name whose files are here now.
    fn named(&self, origin: &Origin) -> Vec<VerifierKey> {
        let mut named: Vec<VerifierKey> = Vec::new();
        for (key, _) in self.files().iter() {
            if key.name().as_str() == origin.as_str() && !named.contains(key) {
                named.push(key.clone());
            }
        }
        named.retain(|key| self.read(key).is_some());
        named
    }

    /// Reads the keys that came since. What cannot be read now is told, and passed over.
    fn look_again(&self) {
        let files = key_files(&self.folder).unwrap_or_else(|error| {
            tracing::warn!(%error, "no new keys can be found");
            Vec::new()
        });
        for path in files {
            match read_signer(&path) {
                Ok(key) => self.found(key.verifier().clone(), path),
                Err(error) => tracing::warn!(%error, "a key is passed over"),
            }
        }
    }

    fn found(&self, key: VerifierKey, path: PathBuf) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        if files.iter().all(|known| *known != (key.clone(), path.clone())) {
            tracing::info!(file = %path.display(), "a key was found");
            files.push((key, path));
        }
    }

    fn files(&self) -> std::sync::RwLockReadGuard<'_, Vec<(VerifierKey, PathBuf)>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key files of a folder, by name.
fn key_files(folder: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let io = |source| KeyError::Folder { path: folder.to_owned(), source };
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut files = Vec::new();
    for found in listed {
        let path = found.map_err(io)?.path();
        if path.extension().is_some_and(|suffix| suffix == KEY_SUFFIX) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn origin(text: &str) -> Origin {
        Origin::new(text).unwrap()
    }

    fn key(name: &str, seed: u8) -> SignerKey {
        SignerKey::from_seed(KeyName::new(name).unwrap(), &[seed; 32]).unwrap()
    }

    #[test]
    fn a_key_is_made_once_and_found_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let ring = Keyring::open(keys.clone()).unwrap();
        let pilot = "pilot".parse().unwrap();
        let made = ring.verifier_key(&origin("example.org/a"), pilot).unwrap();
        assert_eq!(made.name().as_str(), "example.org/a");
        assert!(ring.signer(&made, false).is_some());
        assert_eq!(ring.verifier_key(&origin("example.org/a"), pilot).unwrap(), made);
        // Another origin under the same name of a ledger, as on another node: a key of its own.
        let other = ring.verifier_key(&origin("example.org/b"), pilot).unwrap();
        assert_ne!(other.as_bytes(), made.as_bytes());
        assert_eq!(std::fs::read_dir(&keys).unwrap().count(), 2);
        let again = Keyring::open(keys).unwrap();
        assert_eq!(again.verifier_key(&origin("example.org/a"), pilot).unwrap(), made);
    }

    #[test]
    fn keys_that_come_later_are_found_and_several_of_one_name_are_ambiguous() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Keyring::open(folder.path().to_owned()).unwrap();
        let [first, second] = [1, 2].map(|seed| key("example.org/a", seed));
        assert!(ring.signer(first.verifier(), true).is_none());
        create_signer(&folder.path().join("first.key"), &first).unwrap();
        std::fs::write(folder.path().join("README"), "not a key").unwrap();
        assert!(ring.signer(first.verifier(), false).is_none());
        assert!(ring.signer(first.verifier(), true).is_some());
        create_signer(&folder.path().join("second.key"), &second).unwrap();
        let asked = ring.verifier_key(&origin("example.org/a"), "pilot".parse().unwrap());
        assert!(matches!(asked, Err(KeyError::Several { keys: 2, .. })), "{asked:?}");
    }

    #[test]
    fn a_key_signs_as_long_as_its_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let [path, renamed, other] =
            ["a.key", "b.key", "c.key"].map(|file| folder.path().join(file));
        let first = key("example.org/a", 1);
        create_signer(&path, &first).unwrap();
        let ring = Keyring::open(folder.path().to_owned()).unwrap();
        let held = |look| ring.signer(first.verifier(), look).is_some();
        assert!(held(false));
        std::fs::rename(&path, &renamed).unwrap();
        assert!(!held(false) && held(true) && held(false));
        // A file that others can read is one that may have leaked.
        std::fs::set_permissions(&renamed, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!held(true));
        std::fs::remove_file(&renamed).unwrap();
        assert!(!held(true));
        // Another key in its place is another key; and a new ledger gets one that is there.
        create_signer(&other, &first).unwrap();
        create_signer(&path, &key("example.org/a", 2)).unwrap();
        assert!(held(true));
        std::fs::remove_file(&other).unwrap();
        assert!(!held(true));
        let named = ring.verifier_key(&origin("example.org/a"), "pilot".parse().unwrap());
        assert_eq!(&named.unwrap(), key("example.org/a", 2).verifier());
    }

    #[test]
    fn a_key_in_a_file_that_cannot_be_used_is_missed_and_no_other_is() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["a.key", "b.key"].map(|file| folder.path().join(file));
        let keys = [("example.org/a", 1), ("example.org/b", 2)].map(|(name, seed)| key(name, seed));
        create_signer(&path, &keys[0]).unwrap();
        create_signer(&other, &keys[1]).unwrap();
        check(folder.path()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let refused = check(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
        let ring = Keyring::open(folder.path().to_owned()).unwrap();
        let missed = |key: &SignerKey| ring.missed(key.verifier());
        let why = missed(&keys[0]).unwrap();
        assert!(why.contains("chmod 600 a.key"), "{why}");
        assert!(!why.contains(folder.path().to_str().unwrap()), "{why}");
        assert_eq!(missed(&keys[1]), None);
        std::fs::write(&path, "garbage").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(missed(&keys[0]).unwrap().contains("a.key"));
        // Taking the file away takes the key away, and means it.
        std::fs::remove_file(&path).unwrap();
        assert_eq!(missed(&keys[0]), None);
    }

    #[test]
    fn a_key_folder_that_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // Other files are none of its business; a folder that cannot be read is.
        std::fs::write(folder.path().join("README"), "not a key").unwrap();
        Keyring::open(folder.path().to_owned()).unwrap();
        let no_folder = Keyring::open(folder.path().join("README"));
        assert!(matches!(no_folder, Err(KeyError::Folder { .. })), "{no_folder:?}");
    }
}
