//! What the settings name on the disk, looked at as a start would, and nothing changed.

use std::path::{Path, PathBuf};

use bergulir_engine::{KEYS_FOLDER, check_anchor, check_keys};
use bergulir_server::config::{Loaded, Names, SETTINGS};
use rustix::fs::{Access, access};

use crate::failure::with_sources;
use crate::witness;

/// Adds what is wrong with files and folders.
pub(crate) fn disk(loaded: &mut Loaded) {
    let mut blamed = Vec::new();
    for setting in SETTINGS {
        for value in setting.shown(&loaded.config) {
            let path = PathBuf::from(value);
            let wrong = match setting.names {
                Names::Nothing => None,
                Names::File => file(&path).err(),
                Names::Folder => folder(&path).err(),
                Names::NewFolder => new_folder(&path).err(),
            };
            if let Some(why) = wrong {
                blamed.push(setting.name);
                loaded.blame(setting.name, why);
            }
        }
    }
    // What is in those of certificates and keys, if all are there.
    let missing = |name: &str| name.starts_with("tls.") || name.starts_with("auth.");
    if !blamed.iter().any(|name| missing(name)) {
        for (name, why) in loaded.config.file_problems() {
            loaded.blame(name, why);
        }
    }
    let config = loaded.config.clone();
    // What is in them, as far as they are there: that they are not was said before.
    if let Some(Err(failure)) =
        config.policy.filter(|path| file(path).is_ok()).map(|path| witness::policy(&path))
    {
        loaded.blame("policy", failure.to_string());
    }
    let own = config.data.as_ref().map(|data| data.join(KEYS_FOLDER));
    if let Some(Err(error)) =
        config.keys.or(own).filter(|path| path.is_dir()).map(|keys| check_keys(&keys))
    {
        loaded.blame("keys", with_sources(&error));
    }
    for anchor in config.anchors.iter().filter(|path| path.is_dir()) {
        let data = config.data.as_deref().unwrap_or(Path::new(""));
        if let Err(error) = check_anchor(anchor, data) {
            loaded.blame("anchors", with_sources(&error));
        }
    }
}

fn file(path: &Path) -> Result<(), String> {
    let name = path.display();
    let kind = std::fs::metadata(path).map_err(|error| format!("{name}: {error}"))?;
    if !kind.is_file() {
        return Err(format!("{name} is no file"));
    }
    std::fs::File::open(path).map(|_| ()).map_err(|error| format!("{name}: {error}"))
}

fn folder(path: &Path) -> Result<(), String> {
    let name = path.display();
    let kind = std::fs::metadata(path).map_err(|error| format!("{name}: {error}"))?;
    if kind.is_dir() { Ok(()) } else { Err(format!("{name} is no folder")) }
}

/// A folder that is there and may be written to, or that can be made.
fn new_folder(path: &Path) -> Result<(), String> {
    let mut there = path;
    while !there.as_os_str().is_empty() && !there.exists() {
        // A path without a parent is the root or a working directory that is gone.
        there = there.parent().unwrap_or(Path::new(""));
    }
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    folder(there)?;
    let may = access(there, Access::WRITE_OK | Access::EXEC_OK);
    may.map_err(|error| format!("{} may not be written to: {error}", there.display()))
}
