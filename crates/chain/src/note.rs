//! Signed notes, after C2SP `signed-note`: a text and who signed it.
//!
//! Nothing of a note can be believed before [`Note::verify`] was given the keys that are trusted.

mod cosignature;
mod key;
mod private;

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

pub use cosignature::PosixSeconds;
pub use key::{Algorithm, KEY_BYTES, KeyError, KeyId, KeyName, MAX_NAME_BYTES, VerifierKey};
pub use private::{CosignerKey, SignerKey};

use crate::base64;

/// The most bytes of a note. The largest signatures known, of nearly 5 kB, fit in
/// [`MAX_SIGNATURES`] times.
pub const MAX_NOTE_BYTES: usize = 512 * 1024;

/// The most signatures of a note. The specification asks for 16 at least.
pub const MAX_SIGNATURES: usize = 64;

/// What each signature line begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// Who signed and what came of it, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The name of the key.
    pub name: KeyName,
    /// Which of the keys of that name.
    pub key_id: KeyId,
    /// What the algorithm of the key made.
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    /// The line, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_bytes().to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "{DASH}{} {}", self.name, base64::encode(&bytes))
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    /// Reads a line, without its newline.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let signature = || {
            let (name, coded) = line.strip_prefix(DASH)?.split_once(' ')?;
            let bytes = base64::decode(coded)?;
            let (id, bytes) = bytes.split_first_chunk()?;
            let name = KeyName::new(name).ok()?;
            Some(Self { name, key_id: KeyId::from_bytes(*id), bytes: bytes.to_vec() })
        };
        signature().filter(|signature| !signature.bytes.is_empty()).ok_or(NoteError::Signature)
    }
}

/// Why bytes are not a note.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// It is too large.
    #[error("the note has {0} bytes, more than {MAX_NOTE_BYTES}")]
    TooLarge(usize),
    /// It is not UTF-8, or has control characters other than newlines.
    #[error("the note is not clean UTF-8 text")]
    NotText,
    /// The text does not end with a newline.
    #[error("the text of a note ends with a newline")]
    Unterminated,
    /// No blank line and signatures follow the text.
    #[error("the note has no signatures: a blank line and signature lines must follow its text")]
    Unsigned,
    /// A line is not a signature.
    #[error("a line of the note is not a signature: those are an em dash, a name and Base 64")]
    Signature,
    /// There are too many signatures.
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
}

/// Why a note is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// A signature claims to be of a known key, and is not right.
    #[error("the signature of {name} ({key_id}) is forged, or the note was altered")]
    Forged {
        /// The name of the key.
        name: KeyName,
        /// Its id.
        key_id: KeyId,
    },
    /// None of the known keys signed.
    #[error("no key that is known here signed the note")]
    NoKnownKey,
}

/// A text with one signature or more, not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A key that signed a note, as checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'k> {
    /// The key.
    pub key: &'k VerifierKey,
    /// When, if it is a cosignature; of several, the first.
    pub time: Option<PosixSeconds>,
}

impl Note {
    /// A text with its first signature.
    ///
    /// # Errors
    /// If the text cannot be that of a note.
    pub fn new(text: String, signature: Signature) -> Result<Self, NoteError> {
        check_text(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::Unterminated);
        }
        let mut note = Self { text, signatures: Vec::new() };
        note.add(signature)?;
        Ok(note)
    }

    /// Adds a signature at the end, unless it is there already.
    ///
    /// # Errors
    /// If the note would be too large, or have too many.
    pub fn add(&mut self, signature: Signature) -> Result<(), NoteError> {
        if self.signatures.contains(&signature) {
            return Ok(());
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        self.signatures.push(signature);
        let length = alloc::string::ToString::to_string(self).len();
        if length > MAX_NOTE_BYTES {
            self.signatures.pop();
            return Err(NoteError::TooLarge(length));
        }
        Ok(())
    }

    /// Reads a note.
    ///
    /// # Errors
    /// If it is none. For each note there is one byte string only.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteError::TooLarge(bytes.len()));
        }
        let note = core::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        check_text(note)?;
        // The text may have blank lines itself; the last one separates.
        let end = note.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        if lines.is_empty() {
            return Err(NoteError::Unsigned);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Signature)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(line.parse()?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, its last newline included: not to be believed before [`verify`](Self::verify).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, in order, known or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Which of these keys signed, each once, in the order of their signatures. Signatures of other
    /// keys are ignored.
    ///
    /// # Errors
    /// If a signature of one of these keys is not right, or there is none.
    pub fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<Signed<'k>>, VerifyError> {
        let keys: Vec<&VerifierKey> = keys.into_iter().collect();
        let mut signed: Vec<Signed<'k>> = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.is_of(signature)) else { continue };
            let Some(right) = key.check(&self.text, &signature.bytes) else {
                let Signature { name, key_id, .. } = signature.clone();
                return Err(VerifyError::Forged { name, key_id });
            };
            if signed.iter().all(|before| before.key != right.key) {
                signed.push(right);
            }
        }
        if signed.is_empty() { Err(VerifyError::NoKnownKey) } else { Ok(signed) }
    }
}

impl fmt::Display for Note {
    /// The whole note: its bytes are the UTF-8 of this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    let clean = text.bytes().all(|byte| byte >= b' ' || byte == b'\n');
    if clean { Ok(()) } else { Err(NoteError::NotText) }
}
