//! The names of tiles and bundles.

use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use super::{Bundle, FULL_WIDTH, LEVELS, Tile};
use crate::decimal;

/// Where the newest checkpoint lies.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// What a static log serves, by its path under the log's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `checkpoint`: the newest one.
    Checkpoint,
    /// `tile/1/x001/067`, or with the width of a partial one `tile/0/000.p/5`.
    Tile(Tile),
    /// `tile/entries/x001/067`, or `tile/entries/000.p/5`.
    Bundle(Bundle),
}

/// The text is not a path of a static log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a path of a tiled log: those are checkpoint, tile/L/N[.p/W] and tile/entries/N[.p/W]")]
pub struct PathError;

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/", self.level)?;
        write_place(f, self.index, self.width)
    }
}

impl fmt::Display for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tile/entries/")?;
        write_place(f, self.index, self.width)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str(CHECKPOINT_PATH),
            Self::Tile(tile) => tile.fmt(f),
            Self::Bundle(bundle) => bundle.fmt(f),
        }
    }
}

/// Groups of three digits, all but the last behind an `x`, so that no file has the name of a
/// folder.
fn write_place(f: &mut fmt::Formatter<'_>, index: u64, width: u16) -> fmt::Result {
    let mut unit = 1;
    while index / unit >= 1_000 {
        unit *= 1_000;
    }
    while unit > 1 {
        write!(f, "x{:03}/", index / unit % 1_000)?;
        unit /= 1_000;
    }
    write!(f, "{:03}", index % 1_000)?;
    if width == FULL_WIDTH { Ok(()) } else { write!(f, ".p/{width}") }
}

impl FromStr for Resource {
    type Err = PathError;

    /// Reads exactly what `Display` writes, so that a resource has one path only.
    fn from_str(path: &str) -> Result<Self, PathError> {
        if path == CHECKPOINT_PATH {
            return Ok(Self::Checkpoint);
        }
        let (kind, place) =
            path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(PathError)?;
        let (index, width) = parse_place(place).ok_or(PathError)?;
        if kind == "entries" {
            return Ok(Self::Bundle(Bundle { index, width }));
        }
        let level = decimal::parse(kind).and_then(|level| u8::try_from(level).ok());
        let level = level.filter(|&level| level < LEVELS).ok_or(PathError)?;
        Ok(Self::Tile(Tile { level, index, width }))
    }
}

fn parse_place(place: &str) -> Option<(u64, u16)> {
    let (groups, width) = match place.split_once(".p/") {
        None => (place, FULL_WIDTH),
        Some((groups, width)) => {
            let width = u16::try_from(decimal::parse(width)?).ok()?;
            (groups, Some(width).filter(|width| (1..FULL_WIDTH).contains(width))?)
        }
    };
    let (folders, last) = match groups.rsplit_once('/') {
        None => (None, groups),
        Some((folders, last)) => (Some(folders), last),
    };
    let mut index = 0;
    for (depth, folder) in folders.into_iter().flat_map(|folders| folders.split('/')).enumerate() {
        let group = three_digits(folder.strip_prefix('x')?)?;
        if depth == 0 && group == 0 {
            return None;
        }
        index = u64::checked_mul(index, 1_000)?.checked_add(group)?;
    }
    index = index.checked_mul(1_000)?.checked_add(three_digits(last)?)?;
    // Every place of a tree of u64 leaves can be counted in leaves.
    index.checked_mul(FULL_WIDTH.into())?.checked_add(FULL_WIDTH.into())?;
    Some((index, width))
}

fn three_digits(group: &str) -> Option<u64> {
    let three = group.len() == 3 && group.bytes().all(|digit| digit.is_ascii_digit());
    three.then(|| group.parse().ok())?
}

impl From<Tile> for Resource {
    fn from(tile: Tile) -> Self {
        Self::Tile(tile)
    }
}

impl From<Bundle> for Resource {
    fn from(bundle: Bundle) -> Self {
        Self::Bundle(bundle)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |level, index, width| Resource::Tile(Tile { level, index, width });
        let bundle = |index, width| Resource::Bundle(Bundle { index, width });
        for (resource, path) in [
            (Resource::Checkpoint, "checkpoint"),
            (tile(0, 0, 256), "tile/0/000"),
            (tile(1, 0, 17), "tile/1/000.p/17"),
            (tile(0, 999, 256), "tile/0/999"),
            (tile(0, 1_000, 256), "tile/0/x001/000"),
            (tile(0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (tile(7, 1_067, 255), "tile/7/x001/067.p/255"),
            (bundle(1_000_000, 1), "tile/entries/x001/x000/000.p/1"),
            (bundle(273, 112), "tile/entries/273.p/112"),
        ] {
            assert_eq!(resource.to_string(), path);
            assert_eq!(path.parse(), Ok(resource));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "",
            "/checkpoint",
            "checkpoint/",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/1234",
            "tile/0/x1/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p",
            "tile/8/000",
            "tile/64/000",
            "tile/00/000",
            "tile/+1/000",
            "tile/0/000.p/5/",
            "tile/0/000/",
            "tile/0//000",
            "tile/data/000",
            "tile/8/0/000",
            "tile/0/+00",
            "tile/0/0٣0",
            "tile/0/x072/x057/x594/x037/x927/936",
            "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
            "../tile/0/000",
        ] {
            assert_eq!(path.parse::<Resource>(), Err(PathError), "{path}");
        }
    }
}
