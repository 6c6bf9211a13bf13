//! Short texts that people wrote: names, references, reasons.

use alloc::boxed::Box;
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MAX: usize>(Box<str>);

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
        if let Some(found) = text.chars().find(|c| c.is_control()) {
            return Err(TextError::Control { found });
        }
        if text.trim() != text {
            return Err(TextError::SurroundingSpace);
        }
        Ok(Text(text.into()))
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
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

    #[test]
    fn a_text_is_short_printable_and_trimmed() {
        assert_eq!(Text::<5>::new("a b c").unwrap().as_str(), "a b c");
        assert_eq!(Text::<5>::new(""), Err(TextError::Empty));
        assert_eq!(Text::<5>::new("a b cd"), Err(TextError::TooLong { length: 6, max: 5 }));
        assert_eq!(Text::<5>::new("a\nb"), Err(TextError::Control { found: '\n' }));
        assert_eq!(Text::<5>::new(" a"), Err(TextError::SurroundingSpace));
        assert_eq!(Text::<5>::new("a\u{a0}"), Err(TextError::SurroundingSpace));
    }
}
