//! What a ledger is: its origin, its region, and the rules in force.

use crate::text::{Text, TextError};
use core::fmt;
use core::str::FromStr;

/// The rules that this build knows; a ledger says in its records which ones are in force.
pub const RULES_VERSIONS: core::ops::RangeInclusive<u32> = 1..=3;

/// A ledger's name for ever and everywhere: a schema-less URL such as
/// `ledger.example.go.id/dana-bergulir`, as C2SP `tlog-checkpoint` asks of an origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Text<255>);

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It is not even a text of this ledger.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It is not a URL without a scheme.
    #[error(
        "must be a URL without a scheme, such as ledger.example.go.id/dana-bergulir: lower-case \
         letters, digits, '.', '-' and '/', not beginning or ending with '/'"
    )]
    NotAUrl,
}

impl Origin {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Origin, OriginError> {
        let origin = Text::new(text)?;
        let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'/');
        let whole = text.bytes().all(allowed) && !text.contains("//");
        if whole && !text.starts_with('/') && !text.ends_with('/') {
            Ok(Origin(origin))
        } else {
            Err(OriginError::NotAUrl)
        }
    }
    /// The origin as it was given.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The region whose villages a ledger serves: nothing (the nation), a province `36`, a regency
/// `36.03` or a district `36.03.01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    digits: [u8; 6],
    length: u8,
}

/// Why a text is not a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be empty (the nation) or a region's code: 36, 36.03 or 36.03.01")]
pub struct RegionError;

impl Region {
    /// The whole nation.
    pub const NATION: Region = Region { digits: [0; 6], length: 0 };

    /// Whether that village lies in the region.
    pub fn contains(self, village: crate::cooperative::VillageCode) -> bool {
        let length = usize::from(self.length);
        village.digits()[..length] == self.digits[..length]
    }
}

impl FromStr for Region {
    type Err = RegionError;
    fn from_str(text: &str) -> Result<Region, RegionError> {
        let mut region = Region::NATION;
        if text.is_empty() {
            return Ok(region);
        }
        for group in text.split('.') {
            let &[tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = group.as_bytes() else {
                return Err(RegionError);
            };
            let at = usize::from(region.length);
            let Some(place) = region.digits.get_mut(at..at + 2) else {
                return Err(RegionError);
            };
            place.copy_from_slice(&[tens, ones]);
            region.length += 2;
        }
        Ok(region)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pair) in self.digits[..usize::from(self.length)].chunks(2).enumerate() {
            let dot = if i == 0 { "" } else { "." };
            write!(f, "{dot}{}{}", char::from(pair[0]), char::from(pair[1]))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_region_is_a_prefix_by_whole_groups() {
        let village = "36.03.01.2003".parse().unwrap();
        for (text, inside) in
            [("", true), ("36", true), ("36.03", true), ("36.03.01", true), ("36.04", false)]
        {
            let region: Region = text.parse().unwrap();
            assert_eq!(region.contains(village), inside, "{text}");
            assert_eq!(region.to_string(), text);
        }
        for bad in ["3", "36.", "36.3", ".36", "36.03.01.2003", "ab", "36,03"] {
            assert_eq!(bad.parse::<Region>(), Err(RegionError), "{bad}");
        }
    }

    #[test]
    fn an_origin_is_a_url_without_a_scheme() {
        assert!(Origin::new("ledger.example.go.id/dana-bergulir").is_ok());
        for bad in ["https://a.id", "/a", "a/", "A.id", "a b"] {
            assert_eq!(Origin::new(bad), Err(OriginError::NotAUrl), "{bad}");
        }
    }
}
