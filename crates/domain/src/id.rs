//! Names that callers choose. Each kind is a type of its own, so that a loan's id cannot be passed
//! where a fund's is meant.

use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

/// The most bytes of an id of a resource.
pub const MAX_ID_BYTES: usize = 32;
/// The most bytes of a principal or an officer.
pub const MAX_PRINCIPAL_BYTES: usize = 64;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than an id may be.
    #[error("must be at most {max} characters, and has {length}")]
    TooLong {
        /// The length that was given, in bytes.
        length: usize,
        /// The most bytes allowed.
        max: usize,
    },
    /// A character outside the alphabet of ids.
    #[error("may hold only {alphabet}, not {found:?}")]
    Character {
        /// The first character that is not allowed.
        found: char,
        /// What is allowed, for people.
        alphabet: &'static str,
    },
}

/// A text of at most `N` bytes kept in place, without an allocation. The bytes after it are zero,
/// which no alphabet has: so the arrays are equal, and sort, as the texts do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Inline<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

/// Which bytes a kind of name may hold, and how people are told.
struct Alphabet {
    has: [bool; 256],
    name: &'static str,
}

impl Alphabet {
    const fn of(bytes: &[u8], name: &'static str) -> Alphabet {
        let mut has = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            has[bytes[at] as usize] = true;
            at += 1;
        }
        Alphabet { has, name }
    }

    fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.has[usize::from(*byte)])
    }
}

static IDS: Alphabet =
    Alphabet::of(b"abcdefghijklmnopqrstuvwxyz0123456789.-", "a-z, 0-9, '.' and '-'");
static PRINCIPALS: Alphabet = Alphabet::of(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@/-",
    "letters, digits and '.', '_', ':', '@', '/', '-'",
);

impl<const N: usize> Inline<N> {
    fn new(text: &str, alphabet: &'static Alphabet) -> Result<Inline<N>, IdError> {
        if let Some(inline) = Inline::from_bytes(text.as_bytes(), alphabet) {
            return Ok(inline);
        }
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        match text.chars().find(|c| !u8::try_from(*c).is_ok_and(|b| alphabet.has_all(&[b]))) {
            Some(found) => Err(IdError::Character { found, alphabet: alphabet.name }),
            None => Err(IdError::TooLong { length: text.len(), max: N }),
        }
    }

    /// All bytes of an alphabet are ASCII, and so text.
    fn from_bytes(text: &[u8], alphabet: &Alphabet) -> Option<Inline<N>> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let length = u8::try_from(text.len()).ok().filter(|length| *length > 0)?;
        alphabet.has_all(text).then_some(Inline { bytes, length })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("only ASCII is let in by `new`")
    }
}

/// An id of a resource of the kind `K`: 1 to 32 characters of `[a-z0-9.-]`, chosen by the caller.
pub struct Id<K> {
    text: Inline<MAX_ID_BYTES>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Id<K> {
    /// Takes a text as an id.
    pub fn new(text: &str) -> Result<Id<K>, IdError> {
        Ok(Id { text: Inline::new(text, &IDS)?, kind: PhantomData })
    }

    /// The id of these bytes, if they are one: as [`Id::new`], where it does not matter why not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Id<K>> {
        Some(Id { text: Inline::from_bytes(bytes, &IDS)?, kind: PhantomData })
    }

    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The bytes of the id, at less cost than its text.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The bytes of the id with zeros after them, and how many are its own: a copy of a fixed length
    /// costs least.
    pub fn padded(&self) -> (&[u8; MAX_ID_BYTES], u8) {
        (&self.text.bytes, self.text.length)
    }
}

// By hand: a derive would ask the same of the marker type `K`.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl<K> core::hash::Hash for Id<K> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        // Zeros end the text, so no other id has these bytes; a length that is known hashes faster.
        state.write(&self.text.bytes);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl<K> FromStr for Id<K> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Id::new(text)
    }
}

/// Marks ids of ledgers.
pub enum LedgerKind {}
/// Marks ids of funds.
pub enum FundKind {}
/// Marks ids of cooperatives.
pub enum CooperativeKind {}
/// Marks ids of accounts.
pub enum AccountKind {}
/// Marks ids of loans.
pub enum LoanKind {}

/// Names a ledger on its node.
pub type LedgerId = Id<LedgerKind>;
/// Names a fund in its ledger.
pub type FundId = Id<FundKind>;
/// Names a cooperative in its ledger.
pub type CooperativeId = Id<CooperativeKind>;
/// Names a cooperative's account in its fund.
pub type AccountId = Id<AccountKind>;
/// Names a loan in its ledger.
pub type LoanId = Id<LoanKind>;

/// An opaque name of somebody who acts: 1 to 64 characters of `[A-Za-z0-9._:@/-]`. Never a
/// person's name or national number: events cannot be erased.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId(Inline<MAX_PRINCIPAL_BYTES>);

impl PrincipalId {
    /// The principal of records that the server makes by itself.
    pub const SYSTEM: &'static str = "system";

    /// Takes a text as the name of a principal.
    pub fn new(text: &str) -> Result<PrincipalId, IdError> {
        Inline::new(text, &PRINCIPALS).map(PrincipalId)
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes of the name, at less cost than its text.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether it is [`PrincipalId::SYSTEM`].
    pub fn is_system(&self) -> bool {
        self.as_bytes() == PrincipalId::SYSTEM.as_bytes()
    }
}

impl fmt::Debug for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl FromStr for PrincipalId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        PrincipalId::new(text)
    }
}

/// An opaque name of a chair or treasurer of a cooperative; the same alphabet as a principal.
pub type OfficerId = PrincipalId;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_id_is_1_to_32_characters_of_its_alphabet() {
        assert_eq!(LoanId::new("l-36.03.01.2003").unwrap().as_str(), "l-36.03.01.2003");
        assert_eq!(LoanId::new(""), Err(IdError::Empty));
        assert!(LoanId::new(&"a".repeat(32)).is_ok());
        assert_eq!(LoanId::new(&"a".repeat(33)), Err(IdError::TooLong { length: 33, max: 32 }));
        for bad in ["L1", "a/b", "a b", "é", "a\0", "a_b"] {
            assert!(matches!(LoanId::new(bad), Err(IdError::Character { .. })), "{bad:?}");
            assert_eq!(LoanId::from_bytes(bad.as_bytes()), None);
        }
    }

    #[test]
    fn ids_sort_as_their_text_does() {
        let mut ids = ["b", "a.1", "a", "a-1", "ab"].map(|t| FundId::new(t).unwrap());
        ids.sort_unstable();
        assert_eq!(ids.map(|id| id.to_string()), ["a", "a-1", "a.1", "ab", "b"]);
    }
}
