//! The file `bundle`: what a bundle is.

use std::fmt;

use bergulir_chain::note::KeyName;
use bergulir_chain::{LogSize, Position, decimal};
use bergulir_domain::CooperativeId;
use thiserror::Error;

/// The first line.
const VERSION: &str = "bergulir-bundle 1";

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
}

/// Why a file says nothing of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// It is of another version.
    #[error("it does not begin with the line `{VERSION}`: read it with other software")]
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
        line().filter(|line| *line == VERSION).ok_or(ManifestError::Version)?;
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
        if lines.next().is_some() {
            return Err(ManifestError::Rest);
        }
        Ok(Manifest { kind, origin, size })
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Log => "log",
            Kind::Range { .. } => "range",
            Kind::Cooperative { .. } => "cooperative",
        };
        let Manifest { origin, size, .. } = self;
        write!(f, "{VERSION}\nkind {kind}\norigin {origin}\nsize {size}\n")?;
        match self.kind {
            Kind::Log => Ok(()),
            Kind::Range { from } => writeln!(f, "from {from}"),
            Kind::Cooperative { cooperative } => writeln!(f, "cooperative {cooperative}"),
        }
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
        for kind in [Kind::Log, Kind::Range { from }, Kind::Cooperative { cooperative }] {
            let manifest = Manifest { kind, origin: origin.clone(), size: LogSize::new(41) };
            let text = manifest.to_string();
            assert_eq!(Manifest::parse(text.as_bytes()), Ok(manifest));
            for end in 0..text.len() {
                assert!(Manifest::parse(&text.as_bytes()[..end]).is_err(), "{end}");
            }
            assert!(Manifest::parse(format!("{text}\n").as_bytes()).is_err());
            for (from, to) in [("size 41", "size 041"), (" 1\n", " 2\n"), ("kind ", "kind  ")] {
                assert!(Manifest::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
            }
        }
        let past = format!("{VERSION}\nkind range\norigin {origin}\nsize 7\nfrom 7\n");
        assert_eq!(Manifest::parse(past.as_bytes()), Err(ManifestError::Line(5)));
    }
}
