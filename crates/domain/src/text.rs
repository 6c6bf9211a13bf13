//! Short texts that people wrote: names, references, reasons.

use alloc::boxed::Box;
use alloc::format;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than its field allows.
    #[error("must be at most {max} bytes, and has {length}")]
    TooLong {
        /// The length that was given, in bytes.
        length: usize,
        /// The most bytes that the field allows.
        max: usize,
    },
    /// A control character, such as a line break or NUL.
    #[error("must not hold control characters, such as {found:?}")]
    Control {
        /// The first one found.
        found: char,
    },
    /// White space before the first or after the last character.
    #[error("must not begin or end with white space")]
    SurroundingSpace,
}

/// A text of 1 to `MAX` bytes of UTF-8 without control characters or surrounding white space.
///
/// Control characters are kept out for good reason: a text in a record must not be able to break
/// a line in a report, and no run of zero bytes may look like a hole in the log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text<const MAX: usize>(Stored);

/// How many bytes of a text are kept in place: enough for most references of banks. Then a text
/// takes as much room as a pointer, a length and what else there is to an enum.
pub const IN_PLACE: usize = 22;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Stored {
    /// At most [`IN_PLACE`] bytes, always, and zeros after them.
    Short { length: u8, bytes: [u8; IN_PLACE] },
    /// More bytes than that.
    Long(Box<str>),
}

impl Stored {
    fn new(text: &str) -> Stored {
        let mut bytes = [0; IN_PLACE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(text.as_bytes());
                Stored::Short { length, bytes }
            }
            _ => Stored::Long(text.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Stored::Short { .. } => {
                core::str::from_utf8(self.as_bytes()).expect("it was made from a text")
            }
            Stored::Long(text) => text,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Stored::Short { length, bytes } => &bytes[..usize::from(*length)],
            Stored::Long(text) => text.as_bytes(),
        }
    }
}

/// Two texts in the room of one: a bank and a number there, with a NUL between them, which no text has.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TextPair<const A: usize, const B: usize>(Stored);

impl<const A: usize, const B: usize> TextPair<A, B> {
    /// Both in one.
    pub fn new(first: &Text<A>, second: &Text<B>) -> TextPair<A, B> {
        TextPair(Stored::new(&format!("{first}{BETWEEN}{second}")))
    }

    /// Each by itself.
    pub fn texts(&self) -> (Text<A>, Text<B>) {
        let both = self.0.as_str();
        let (first, second) = both.split_once(BETWEEN).expect("`new` put it between them");
        (Text(Stored::new(first)), Text(Stored::new(second)))
    }
}

const BETWEEN: char = '\0';

impl<const A: usize, const B: usize> fmt::Debug for TextPair<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.texts().fmt(f)
    }
}

/// The name of a fund, a cooperative or a holder of a bank account.
pub type Name = Text<128>;
/// A reference to a document, a contract or a decree.
pub type Reference = Text<64>;
/// Why something was done, for people.
pub type Reason = Text<256>;
/// A number that is written as text because of its leading zeros.
pub type Number = Text<40>;
/// A C2SP verifier key: a name of up to 255 bytes, a key id and a key in base64.
pub type VerifierKey = Text<320>;
/// A signed note as it is written, such as a checkpoint: lines, each with its line break. What it says
/// and who signed it is not looked at here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SignedNote(Box<str>);

/// The most bytes of a [`SignedNote`] in a record: the three lines of a checkpoint and the signatures
/// of 30 witnesses with long names.
pub const MAX_SIGNED_NOTE_BYTES: usize = 16 * 1024;

impl SignedNote {
    /// Checks the form of a note.
    pub fn new(note: &str) -> Result<SignedNote, TextError> {
        if note.is_empty() {
            return Err(TextError::Empty);
        }
        if note.len() > MAX_SIGNED_NOTE_BYTES {
            let (length, max) = (note.len(), MAX_SIGNED_NOTE_BYTES);
            return Err(TextError::TooLong { length, max });
        }
        match note.chars().find(|c| *c < ' ' && *c != '\n') {
            Some(found) => Err(TextError::Control { found }),
            None => Ok(SignedNote(note.into())),
        }
    }

    /// The note as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SignedNote {
    type Err = TextError;
    fn from_str(note: &str) -> Result<SignedNote, TextError> {
        SignedNote::new(note)
    }
}

impl fmt::Debug for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedNote").field(&self.as_str()).finish()
    }
}

/// A bank's code or short name.
pub type BankCode = Text<16>;

impl<const MAX: usize> Text<MAX> {
    /// Checks a text.
    pub fn new(text: &str) -> Result<Text<MAX>, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.len() > MAX {
            return Err(TextError::TooLong { length: text.len(), max: MAX });
        }
        if !is_plain(text.as_bytes()) {
            if let Some(found) = text.chars().find(|c| c.is_control()) {
                return Err(TextError::Control { found });
            }
            if text.trim() != text {
                return Err(TextError::SurroundingSpace);
            }
        }
        Ok(Text(Stored::new(text)))
    }

    /// The text of these bytes, if they are printable ASCII and a text of at most 22 bytes, as
    /// nearly all are. Of others `None` says nothing.
    pub fn from_ascii(text: &[u8]) -> Option<Text<MAX>> {
        let is_one = !text.is_empty() && text.len() <= MAX && is_plain(text);
        let mut bytes = [0; IN_PLACE];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let length = u8::try_from(text.len()).ok()?;
        is_one.then_some(Text(Stored::Short { length, bytes }))
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The bytes of a text that is kept in place with zeros after them, and how many are its own: a
    /// copy of a fixed length costs least.
    pub fn padded(&self) -> Option<(&[u8; IN_PLACE], u8)> {
        match &self.0 {
            Stored::Short { length, bytes } => Some((bytes, *length)),
            Stored::Long(_) => None,
        }
    }

    /// The bytes of the text, at less cost than the text.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Whether all of it is printable ASCII, without a space at an end. Nearly every text is.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
        && bytes.first() != Some(&b' ')
        && bytes.last() != Some(&b' ')
}

impl<const MAX: usize> Ord for Text<MAX> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl<const MAX: usize> PartialOrd for Text<MAX> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Text").field(&self.as_str()).finish()
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        Text::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ascii_is_taken_only_where_the_text_would_be() {
        for bad in ["", "abcdef", "a\n", " a", "a ", "\u{7f}", "é"] {
            assert_eq!(Text::<5>::from_ascii(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Text::<5>::from_ascii(b"a b c"), Text::new("a b c").ok());
    }

    #[test]
    fn a_text_is_short_printable_and_trimmed() {
        assert_eq!(Text::<5>::new("a b c").unwrap().as_str(), "a b c");
        assert_eq!(Text::<5>::new(""), Err(TextError::Empty));
        assert_eq!(Text::<5>::new("a b cd"), Err(TextError::TooLong { length: 6, max: 5 }));
        assert_eq!(Text::<5>::new("a\nb"), Err(TextError::Control { found: '\n' }));
        assert_eq!(Text::<5>::new(" a"), Err(TextError::SurroundingSpace));
        assert_eq!(Text::<5>::new("a\u{a0}"), Err(TextError::SurroundingSpace));
        assert_eq!(Text::<5>::new("a\u{9f}"), Err(TextError::Control { found: '\u{9f}' }));
        assert_eq!(Text::<5>::new("a\u{7f}"), Err(TextError::Control { found: '\u{7f}' }));
    }

    #[test]
    fn a_note_has_lines_and_no_other_control_characters() {
        assert_eq!(SignedNote::new("a\n1\n\n— a b=\n").unwrap().as_str(), "a\n1\n\n— a b=\n");
        assert_eq!(SignedNote::new(""), Err(TextError::Empty));
        assert_eq!(SignedNote::new("a\0"), Err(TextError::Control { found: '\0' }));
        let long = "a".repeat(MAX_SIGNED_NOTE_BYTES);
        assert!(SignedNote::new(&long).is_ok());
        assert!(matches!(SignedNote::new(&format!("{long}a")), Err(TextError::TooLong { .. })));
    }

    #[test]
    fn texts_of_every_length_are_kept_and_sort_as_they_are() {
        for length in 1..=2 * IN_PLACE {
            let ascii = "z".repeat(length);
            let short = Some(Text::<128>::new(&ascii).unwrap()).filter(|_| length <= IN_PLACE);
            assert_eq!(Text::<128>::from_ascii(ascii.as_bytes()), short);
            let (a, b) = ("é".repeat(length), "z".repeat(length));
            let [text_a, text_b] = [&a, &b].map(|text| Text::<128>::new(text).unwrap());
            assert_eq!((text_a.as_str(), text_b.as_str()), (a.as_str(), b.as_str()));
            assert_eq!(text_a.cmp(&text_b), a.cmp(&b));
            assert_eq!(text_a, text_a.clone());
            let longer = Text::<128>::new(&format!("{b}z")).unwrap();
            assert_eq!((text_b.cmp(&longer), text_b == longer), (Ordering::Less, false));
        }
    }

    proptest! {
        #[test]
        fn two_texts_in_one_come_out_as_they_were(
            texts in prop::array::uniform4("[é~!]{1,8}([ a]{0,9}[z\u{2003}]{0,8}[é~!])?"),
        ) {
            let [a, b, c, d] = texts.map(|text| Text::<80>::new(&text).unwrap());
            let [one, other] = [(&a, &b), (&c, &d)].map(|(a, b)| TextPair::new(a, b));
            prop_assert_eq!(one.texts(), (a.clone(), b.clone()));
            prop_assert_eq!(one == other, (a, b) == (c, d));
        }
    }

    #[test]
    fn two_texts_are_another_two_wherever_they_are_cut() {
        let pair = |a: &str, b: &str| {
            TextPair::<16, 40>::new(&Text::new(a).unwrap(), &Text::new(b).unwrap())
        };
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
        assert_eq!(size_of::<TextPair<16, 40>>(), size_of::<Name>());
    }
}
