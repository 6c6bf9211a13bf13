//! What may lie in a bundle: whoever hands one on knows all that goes along.

use std::path::Path;

use bergulir_chain::{proof, segment};
use bergulir_proto::balance_proof;

use super::open::Fault;
use super::{
    BALANCES, CHECKPOINT, EXTENSION, Kind, LOG, MANIFEST, Manifest, RECORDS, STATE, WITNESSED,
    WITNESSED_EXTENSION,
};
use crate::find;

/// Refuses a bundle with anything in it that has no place in one of its kind.
pub(super) fn check(folder: &Path, manifest: &Manifest) -> Result<(), Fault> {
    let (files, folders): (&[&str], &[&str]) = match manifest.kind {
        Kind::Log => (&[], &[LOG]),
        Kind::Range { .. } => (&[STATE], &[LOG, RECORDS]),
        Kind::Cooperative { .. } => (&[], &[RECORDS, BALANCES]),
    };
    for name in find::names(folder)? {
        let is_folder = folder.join(&name).is_dir();
        let has_place = if is_folder {
            folders.contains(&name.as_str())
        } else {
            [MANIFEST, CHECKPOINT, EXTENSION].contains(&name.as_str())
                || files.contains(&name.as_str())
                || manifest.witnessed.is_some()
                    && [WITNESSED, WITNESSED_EXTENSION].contains(&name.as_str())
        };
        if !has_place {
            return Err(no_place(&name));
        }
        if is_folder {
            let inner = folder.join(&name);
            let files = find::names(&inner)?;
            if files.is_empty() {
                return Err(Fault::damaged(&name, &"a folder of a bundle is not empty"));
            }
            for file in files {
                if inner.join(&file).is_dir() || !belongs(&name, &file) {
                    return Err(no_place(&format!("{name}/{file}")));
                }
            }
        }
    }
    Ok(())
}

/// Whether a file of that name can be one of a folder of a bundle. Whether it is, is found when it
/// is read.
fn belongs(folder: &str, file: &str) -> bool {
    match folder {
        LOG => segment::parse_file_name(file).is_some(),
        RECORDS => file.ends_with(proof::SUFFIX),
        BALANCES => file.ends_with(balance_proof::SUFFIX) || file.ends_with(".statement"),
        _ => false,
    }
}

fn no_place(name: &str) -> Fault {
    Fault::damaged(name, &"a bundle of this kind has no place for it")
}
