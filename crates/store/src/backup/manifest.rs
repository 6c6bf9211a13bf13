//! The manifest of a ledger in a backup: how far it is whole, and the small files of the ledger.

use std::fmt;
use std::io;
use std::path::Path;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::note::Note;
use bergulir_chain::{Hash, LogSize, Position, Timestamp, base64};

use super::BackupError;
use crate::log::Head;
use crate::small_file::{read_own_file, replace_file_durably};

/// The name of a manifest in the folder of its ledger.
pub(super) const MANIFEST_FILE: &str = "backup";

const VERSION: &str = "bergulir-backup-of-ledger 1";

/// How far a ledger of a backup is whole. Its small files are in here too, so that they are replaced
/// together with it; those beside it are for who reads the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The ledger's name.
    pub ledger: String,
    /// The end of what is whole.
    pub head: Head,
    /// When the last record was recorded, by the ledger.
    pub recorded_at: Timestamp,
    /// When the run ended that wrote this, by the clock of the machine that made the backup.
    pub taken_at: Timestamp,
    /// The segments, the oldest first, and how far each is whole.
    pub segments: Vec<SegmentFile>,
    /// The roots of the complete subtrees of the tree over all the records.
    pub subtrees: Vec<Hash>,
    /// The newest checkpoint. Absent only of a ledger that goes on as another one.
    pub checkpoint: Option<Note>,
    /// The newest checkpoint that enough witnesses cosigned, if there was one.
    pub witnessed: Option<Note>,
    /// The mark of a ledger that goes on as another one.
    pub continued: Option<Vec<u8>>,
}

/// A segment of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// The position of its first record.
    pub first: Position,
    /// How many of its bytes are whole.
    pub bytes: u64,
}

impl Manifest {
    /// The tree over the records.
    pub(super) fn tree(&self) -> Option<Tree> {
        Tree::resume(Prefixes::RFC_6962, self.head.size.get(), self.subtrees.clone()).ok()
    }

    /// What the newest checkpoint states.
    pub fn stated(&self) -> Option<Checkpoint> {
        let note = self.checkpoint.as_ref()?;
        Checkpoint::parse_unverified(note.text()).ok()
    }

    /// How many of the records the newest checkpoint covers.
    pub fn covered(&self) -> LogSize {
        self.stated().map_or(LogSize::EMPTY, |stated| stated.size)
    }

    /// The bytes of the segments. A manifest that somebody made up may say anything.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.bytes))
    }

    /// The manifest in the folder of a ledger; `None` if there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Manifest>, BackupError> {
        let path = folder.join(MANIFEST_FILE);
        let damaged = |why: String| BackupError::Manifest { path: path.clone(), why };
        let text = match read_own_file(&path) {
            Ok(bytes) => String::from_utf8(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("read", &path, error)),
        };
        let read = text.ok().and_then(|text| Manifest::parse(&text));
        let read = read.ok_or_else(|| {
            damaged(
                "it is damaged, or was written by newer software: without it nobody knows how far \
                 the backup is whole"
                    .to_owned(),
            )
        })?;
        let name = folder.file_name().unwrap_or_default();
        if name.to_str() != Some(&read.ledger) {
            return Err(damaged(format!(
                "it is of the ledger {}, and lies in the folder {}: folders were swapped",
                read.ledger,
                name.to_string_lossy()
            )));
        }
        Ok(Some(read))
    }

    /// Puts it in the place of the one before, whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), BackupError> {
        let path = folder.join(MANIFEST_FILE);
        replace_file_durably(&path, self.to_string().as_bytes())
            .map_err(|error| BackupError::io("write", &path, error))
    }

    fn parse(text: &str) -> Option<Manifest> {
        let mut lines = text.lines().peekable();
        lines.next().filter(|line| *line == VERSION)?;
        let mut word = |name: &str| {
            let line = lines.next_if(|line| line.split(' ').next() == Some(name))?;
            line.split_once(' ').map(|(_, value)| value)
        };
        let note = |text: &str| Note::parse(&base64::decode(text)?).ok();
        let mut manifest = Manifest {
            ledger: word("ledger")?.to_owned(),
            head: Head {
                size: LogSize::new(word("records")?.parse().ok()?),
                hash: word("head")?.parse().ok()?,
            },
            recorded_at: Timestamp::from_micros(word("recorded")?.parse().ok()?),
            taken_at: Timestamp::from_micros(word("taken")?.parse().ok()?),
            segments: Vec::new(),
            subtrees: Vec::new(),
            checkpoint: None,
            witnessed: None,
            continued: None,
        };
        while let Some(segment) = word("segment") {
            let (first, bytes) = segment.split_once(' ')?;
            let first = Position::new(first.parse().ok()?);
            manifest.segments.push(SegmentFile { first, bytes: bytes.parse().ok()? });
        }
        while let Some(subtree) = word("subtree") {
            manifest.subtrees.push(subtree.parse().ok()?);
        }
        manifest.checkpoint = word("checkpoint").and_then(note);
        manifest.witnessed = word("witnessed").and_then(note);
        manifest.continued = word("continued").and_then(base64::decode);
        // The sum among the rest: what is not written so was not written by us.
        (manifest.to_string() == text && manifest.tree().is_some()).then_some(manifest)
    }

    fn lines(&self) -> String {
        use fmt::Write as _;
        let Manifest { ledger, head, recorded_at, taken_at, .. } = self;
        let mut lines = format!(
            "{VERSION}\nledger {ledger}\nrecords {}\nhead {}\nrecorded {}\ntaken {}\n",
            head.size,
            head.hash,
            recorded_at.as_micros(),
            taken_at.as_micros()
        );
        for SegmentFile { first, bytes } in &self.segments {
            let _ = writeln!(lines, "segment {first} {bytes}");
        }
        for subtree in &self.subtrees {
            let _ = writeln!(lines, "subtree {subtree}");
        }
        let note = |note: &Note| base64::encode(note.to_string().as_bytes());
        for (name, file) in [
            ("checkpoint", self.checkpoint.as_ref().map(note)),
            ("witnessed", self.witnessed.as_ref().map(note)),
            ("continued", self.continued.as_deref().map(base64::encode)),
        ] {
            if let Some(file) = file {
                let _ = writeln!(lines, "{name} {file}");
            }
        }
        lines
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        writeln!(f, "{lines}sum {:08x}", crc32fast::hash(lines.as_bytes()))
    }
}
