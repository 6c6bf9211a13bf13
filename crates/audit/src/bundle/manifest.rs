//! The file `bundle`: what a bundle is.

use std::fmt;

use bergulir_chain::note::KeyName;
use bergulir_chain::{LogSize, Position, decimal};
use bergulir_domain::CooperativeId;
use thiserror::Error;

/// The first line.
const VERSION: &str = "bergulir-bundle 1";

/// The first line of one with a second checkpoint.
const VERSION_2: &str = "bergulir-bundle 2";

/// The name of the file.
pub(crate) const MANIFEST: &str = "bundle";

/// The most bytes of one: two names, and numbers.
pub(crate) const MAX_MANIFEST_BYTES: u64 = 1024;

/// What a bundle holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every record.
    Log,
    /// The records since a seal.
    Range {
        /// The first of them.
        from: Position,
    },
    /// One cooperative's view.
    Cooperative {
        /// Whose.
        cooperative: CooperativeId,
    },
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) kind: Kind,
    /// The log's origin.
    pub(crate) origin: KeyName,
    /// The size of the checkpoint.
    pub(crate) size: LogSize,
    /// The size of the checkpoint that witnesses stand for, if the bundle has one of fewer records.
    pub(crate) witnessed: Option<LogSize>,
}

/// Why a file says nothing of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// It is of another version.
    #[error(
        "it does not begin with the line `{VERSION}` or `{VERSION_2}`: read it with other software"
    )]
    Version,
    /// A line is not what it must be.
    #[error("line {0} is not right")]
    Line(u8),
    /// Something follows.
    #[error("it has lines too many, or the last one does not end")]
    Rest,
}

impl Manifest {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
        let mut line = || std::str::from_utf8(lines.next()?.strip_suffix(b"\n")?).ok();
        let is_second = match line() {
            Some(VERSION) => false,
            Some(VERSION_2) => true,
            Some(_) | None => return Err(ManifestError::Version),
        };
        let kind = line().and_then(|line| line.strip_prefix("kind "));
        let kind = kind.ok_or(ManifestError::Line(2))?;
        let origin = line().and_then(|line| KeyName::new(line.strip_prefix("origin ")?).ok());
        let origin = origin.ok_or(ManifestError::Line(3))?;
        let size = line().and_then(|line| decimal::parse(line.strip_prefix("size ")?));
        let size = LogSize::new(size.ok_or(ManifestError::Line(4))?);
        let kind = match kind {
            "log" => Kind::Log,
            "range" => {
                let from = line().and_then(|line| decimal::parse(line.strip_prefix("from ")?));
                let from = from.filter(|from| (1..size.get()).contains(from));
                Kind::Range { from: Position::new(from.ok_or(ManifestError::Line(5))?) }
            }
            "cooperative" => {
                let id = line().and_then(|line| line.strip_prefix("cooperative ")?.parse().ok());
                Kind::Cooperative { cooperative: id.ok_or(ManifestError::Line(5))? }
            }
            _ => return Err(ManifestError::Line(2)),
        };
        let mut witnessed = None;
        if is_second {
            let number = if matches!(kind, Kind::Log) { 5 } else { 6 };
            let stated = line().and_then(|line| decimal::parse(line.strip_prefix("witnessed ")?));
            let stated = stated.filter(|stated| (1..size.get()).contains(stated));
            witnessed = Some(LogSize::new(stated.ok_or(ManifestError::Line(number))?));
        }
        if lines.next().is_some() {
            return Err(ManifestError::Rest);
        }
        Ok(Manifest { kind, origin, size, witnessed })
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Log => "log",
            Kind::Range { .. } => "range",
            Kind::Cooperative { .. } => "cooperative",
        };
        let Manifest { origin, size, witnessed, .. } = self;
        let version = if witnessed.is_some() { VERSION_2 } else { VERSION };
        write!(f, "{version}\nkind {kind}\norigin {origin}\nsize {size}\n")?;
        match self.kind {
            Kind::Log => {}
            Kind::Range { from } => writeln!(f, "from {from}")?,
            Kind::Cooperative { cooperative } => writeln!(f, "cooperative {cooperative}")?,
        }
        witnessed.map_or(Ok(()), |witnessed| writeln!(f, "witnessed {witnessed}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_has_one_text() {
        let origin = KeyName::new("ledger.example.go.id/tangerang").unwrap();
        let cooperative = "c1".parse().unwrap();
        let from = Position::new(7);
        let kinds = [Kind::Log, Kind::Range { from }, Kind::Cooperative { cooperative }];
        let all = kinds.map(|kind| [(kind, None), (kind, Some(LogSize::new(40)))]);
        for (kind, witnessed) in all.into_iter().flatten() {
            let (origin, size) = (origin.clone(), LogSize::new(41));
            let manifest = Manifest { kind, origin, size, witnessed };
            let text = manifest.to_string();
            assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
            for end in 0..text.len() {
                assert!(Manifest::parse(&text.as_bytes()[..end]).is_err(), "{end}");
            }
            assert!(Manifest::parse(format!("{text}\n").as_bytes()).is_err());
            let other = if witnessed.is_some() { "bergulir-bundle 1" } else { "bergulir-bundle 2" };
            let version = text.lines().next().unwrap();
            for (from, to) in [("size 41", "size 041"), (version, other), ("kind ", "kind  ")] {
                assert!(Manifest::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
            }
        }
        let past = format!("{VERSION}\nkind range\norigin {origin}\nsize 7\nfrom 7\n");
        assert_eq!(Manifest::parse(past.as_bytes()), Err(ManifestError::Line(5)));
        for stated in ["0", "7", "8", "06", "x"] {
            let text =
                format!("{VERSION_2}\nkind log\norigin {origin}\nsize 7\nwitnessed {stated}\n");
            assert_eq!(Manifest::parse(text.as_bytes()), Err(ManifestError::Line(5)), "{stated}");
        }
        let newer = format!("bergulir-bundle 3\nkind log\norigin {origin}\nsize 7\n");
        assert_eq!(Manifest::parse(newer.as_bytes()), Err(ManifestError::Version));
    }
}
