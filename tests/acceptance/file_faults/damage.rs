//! What can happen to a file.

use crate::disk::dice::Dice;
use crate::disk::{Disk, Fault, Mounted, Operation, Rule, Then};
use crate::second_verifier::copy;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// Some bits are others.
    Flipped,
    /// A range is all zero.
    Zeroed,
    /// A range is something else.
    Overwritten,
    /// The end is missing.
    Truncated,
    /// There is more of it.
    Extended,
    /// It is empty.
    Emptied,
    /// It is the same kind of file of another ledger.
    Another,
    /// It is as it was some time ago.
    Older,
    /// It is gone.
    Removed,
    /// There is a folder in its place.
    Folder,
    /// The disk does not give it.
    Unreadable,
}

const ALL: [Damage; 11] = [
    Damage::Flipped,
    Damage::Zeroed,
    Damage::Overwritten,
    Damage::Truncated,
    Damage::Extended,
    Damage::Emptied,
    Damage::Another,
    Damage::Older,
    Damage::Removed,
    Damage::Folder,
    Damage::Unreadable,
];

/// All of them, from one on.
pub fn from(first: u64) -> impl Iterator<Item = Damage> {
    let first = usize::try_from(first % ALL.len() as u64).unwrap();
    ALL.into_iter().cycle().skip(first).take(ALL.len())
}

/// What may come in the place of a file.
pub struct Others {
    /// The same kind of file, of another ledger.
    pub another: Option<PathBuf>,
    /// The same one, of an earlier moment.
    pub older: PathBuf,
}

impl Damage {
    /// Damages a file and says what was done. `None`: the file is what it was, or only a
    /// [disk](crate::disk) of ours can do that.
    pub fn strike(self, path: &Path, others: &Others, dice: &mut Dice) -> Option<String> {
        let whole = fs::read(path).unwrap();
        let mut bytes = whole.clone();
        let what = match self {
            Damage::Flipped if !bytes.is_empty() => {
                let mut places = Vec::new();
                for _ in 0..=dice.below(3) {
                    let (at, bit) = (index(dice, bytes.len()), dice.below(8));
                    bytes[at] ^= 1 << bit;
                    places.push(format!("bit {bit} of byte {at}"));
                }
                format!("flipped {}", places.join(", "))
            }
            Damage::Zeroed | Damage::Overwritten if !bytes.is_empty() => {
                // Some bytes, or what a disk damages at once.
                let from = index(dice, bytes.len());
                let (from, length) = match dice.below(3) {
                    0 => (from, index(dice, 64) + 1),
                    1 => (from / 512 * 512, 512),
                    _ => (from / 4096 * 4096, 4096),
                };
                let to = bytes.len().min(from + length);
                if self == Damage::Zeroed {
                    bytes[from..to].fill(0);
                } else {
                    bytes[from..to].copy_from_slice(&garbage(dice, to - from));
                }
                format!("{self:?} from {from} to {to} of {}", whole.len())
            }
            Damage::Truncated if !bytes.is_empty() => {
                bytes.truncate(index(dice, whole.len()));
                format!("cut at {} of {}", bytes.len(), whole.len())
            }
            Damage::Extended => {
                let more = index(dice, 5_000) + 1;
                let zero = dice.one_in(2);
                bytes.extend(if zero { vec![0; more] } else { garbage(dice, more) });
                format!("{more} bytes more, zero: {zero}")
            }
            Damage::Emptied => {
                bytes.clear();
                "emptied".to_owned()
            }
            Damage::Another => {
                let another = others.another.as_deref()?;
                bytes = fs::read(another).unwrap();
                format!("{} in its place", another.display())
            }
            Damage::Older => {
                bytes = fs::read(&others.older).ok()?;
                "an older version".to_owned()
            }
            Damage::Removed => {
                fs::remove_file(path).unwrap();
                return Some("removed".to_owned());
            }
            Damage::Folder => {
                fs::remove_file(path).unwrap();
                fs::create_dir(path).unwrap();
                return Some("a folder".to_owned());
            }
            Damage::Flipped
            | Damage::Zeroed
            | Damage::Overwritten
            | Damage::Truncated
            | Damage::Unreadable => return None,
        };
        if bytes == whole {
            return None;
        }
        // In place, so that it stays the file of its owner alone if it is one.
        fs::write(path, bytes).unwrap();
        Some(what)
    }
}

/// Puts a file back as it was.
pub fn restore(path: &Path, whole: &[u8]) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    }
    let gone = !path.exists();
    fs::write(path, whole).unwrap();
    if gone {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A number below that one, which is not zero.
pub fn index(dice: &mut Dice, limit: usize) -> usize {
    usize::try_from(dice.below(limit as u64)).unwrap()
}

fn garbage(dice: &mut Dice, length: usize) -> Vec<u8> {
    (0..length).map(|_| u8::try_from(dice.below(256)).unwrap()).collect()
}

/// A copy of a folder in which one file is damaged.
pub struct Struck {
    /// Where it is.
    pub place: PathBuf,
    /// What was done.
    pub what: String,
    /// The file as it was.
    pub whole: Vec<u8>,
    /// The disk that does not give it.
    pub mounted: Option<Mounted>,
    /// Beside the copy.
    pub folder: tempfile::TempDir,
}

impl Struck {
    /// Copies a folder and damages the file of that path in it; `None` if it stays what it was.
    pub fn new(
        from: &Path,
        path: &str,
        damage: Damage,
        others: &Others,
        dice: &mut Dice,
    ) -> Option<Struck> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = match damage {
            Damage::Unreadable => Some(Mounted::new(Disk::default())?),
            _ => None,
        };
        let place = mounted.as_ref().map_or(folder.path(), Mounted::path).join("site");
        copy(from, &place);
        let file = place.join(&path[1..]);
        let whole = fs::read(&file).unwrap();
        let what = if let Some(mounted) = &mounted {
            let path: &'static str = format!("/site{path}").leak();
            let then = Then::Fail(Fault::Broken);
            mounted.disk().rules = vec![Rule { operation: Operation::Read, path, then }];
            "unreadable".to_owned()
        } else {
            damage.strike(&file, others, dice)?
        };
        Some(Struck { place, what, whole, mounted, folder })
    }
}

/// One of some files of a kind, and what may come in its place.
pub fn pick<'a>(
    (now, older): (&Path, &Path),
    some: &[&'a String],
    of_kind: &[&String],
    ledgers: &[&str],
    dice: &mut Dice,
) -> (&'a String, Others) {
    let path = some[index(dice, some.len())];
    let of = |path: &str| ledgers.iter().position(|ledger| path.contains(ledger));
    let foreign: Vec<_> = of_kind.iter().filter(|other| of(other) != of(path)).collect();
    let another = (!foreign.is_empty()).then(|| foreign[index(dice, foreign.len())]);
    let at = |folder: &Path, path: &str| folder.join(&path[1..]);
    (path, Others { another: another.map(|it| at(now, it)), older: at(older, path) })
}
