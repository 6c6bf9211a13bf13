//! The public keys of those who sign notes, and their texts.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::cosignature;
use super::{Signature, Signed};
use crate::base64;

/// The most bytes of a key's name; an origin, which is one, has no more either.
pub const MAX_NAME_BYTES: usize = 255;

/// Bytes of an Ed25519 public key, and of the seed of a private one.
pub const KEY_BYTES: usize = 32;

/// The name of a key: not empty, no white space, no `+`, no control characters. The origin of a log
/// is the name of its key; a schema-less URL is best.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// Takes a name.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let bad = |letter: char| letter == '+' || letter.is_whitespace() || letter.is_control();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(bad) {
            return Err(KeyError::Name);
        }
        Ok(Self(name.to_string()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        Self::new(name)
    }
}

/// What tells keys of one name apart: the first four bytes of a hash over name, algorithm and key.
/// Its text is eight lowercase hexadecimal digits. It finds a key and proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u32);

impl KeyId {
    /// The id of a key.
    pub fn of(name: &KeyName, algorithm: Algorithm, key: &[u8; KEY_BYTES]) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(name.as_str())
            .chain_update([b'\n', algorithm.byte()])
            .chain_update(key)
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// Takes the four bytes before a signature.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }

    /// The four bytes.
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What a key signs, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// 0x01: Ed25519 over the text of the note. Logs sign so.
    Ed25519,
    /// 0x04: Ed25519 over a time and the text of a checkpoint. Witnesses sign so.
    CosignatureV1,
}

impl Algorithm {
    /// The byte before the key in its text.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }

    pub(super) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::Ed25519),
            0x04 => Some(Self::CosignatureV1),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519 (0x01)",
            Self::CosignatureV1 => "cosignature/v1 (0x04)",
        })
    }
}

/// Why a text or bytes are not a key. Says nothing of a private key's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The name cannot be one.
    #[error("a key name has 1 to 255 bytes, and no white space, control characters or '+'")]
    Name,
    /// The text has another form.
    #[error("a verifier key is written NAME+ID+BASE64")]
    Form,
    /// The text is not that of a signing key.
    #[error("a signing key is written PRIVATE+KEY+NAME+ID+BASE64")]
    PrivateForm,
    /// The id is not that of the key.
    #[error("the key id {stated} does not belong to this name and key, whose id is {computed}")]
    Id {
        /// The id in the text.
        stated: KeyId,
        /// The id of name, algorithm and key.
        computed: KeyId,
    },
    /// An algorithm that this software does not know.
    #[error("keys of the signature type {0:#04x} are not known here")]
    UnknownAlgorithm(u8),
    /// An algorithm that is not for this use.
    #[error("a key of the type {expected} is needed here, and this one is {given}")]
    Algorithm {
        /// That needed.
        expected: Algorithm,
        /// That of the key.
        given: Algorithm,
    },
    /// The bytes are not a public key, or one for which forging is easy.
    #[error("these 32 bytes are not a usable Ed25519 public key")]
    Unusable,
}

/// A public key with its name. Its text is `NAME+ID+BASE64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    algorithm: Algorithm,
    key: VerifyingKey,
}

impl VerifierKey {
    /// Takes the 32 bytes of a public key.
    ///
    /// # Errors
    /// If they are none, or one of the few for which anyone can sign.
    pub fn new(
        name: KeyName,
        algorithm: Algorithm,
        bytes: &[u8; KEY_BYTES],
    ) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Unusable)?;
        if key.is_weak() {
            return Err(KeyError::Unusable);
        }
        Ok(Self { id: KeyId::of(&name, algorithm, bytes), name, algorithm, key })
    }

    /// The name.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What stands before its signatures.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What it signs, and how.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The 32 bytes of the public key.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        self.key.as_bytes()
    }

    /// True if the signature claims to be of this key.
    pub fn is_of(&self, signature: &Signature) -> bool {
        signature.key_id == self.id && signature.name == self.name
    }

    /// Checks the bytes of a signature over the text of a note; `None` if it is not right.
    pub(super) fn check(&self, text: &str, signature: &[u8]) -> Option<Signed<'_>> {
        let (message, bytes, time) = match self.algorithm {
            Algorithm::Ed25519 => (Cow::Borrowed(text), signature.try_into().ok()?, None),
            Algorithm::CosignatureV1 => {
                let (time, bytes) = cosignature::split(signature)?;
                (Cow::Owned(cosignature::message(time, text)), bytes, Some(time))
            }
        };
        self.holds(message.as_bytes(), bytes).then_some(Signed { key: self, time })
    }

    fn holds(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        // Strict: a signature holds for one message and one key only.
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = with_algorithm(self.algorithm, self.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id, base64::encode(&bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    /// Reads exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, coded) = parts(text).ok_or(KeyError::Form)?;
        let bytes = base64::decode(coded).ok_or(KeyError::Form)?;
        let (byte, key) = bytes.split_first().ok_or(KeyError::Form)?;
        let algorithm = Algorithm::from_byte(*byte).ok_or(KeyError::UnknownAlgorithm(*byte))?;
        let key = key.try_into().map_err(|_| KeyError::Form)?;
        let key = Self::new(KeyName::new(name)?, algorithm, key)?;
        same_id(id, key.id)?;
        Ok(key)
    }
}

/// Name, id and coded key. The code may have a `+` too, the others have none.
pub(super) fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('+')?;
    let (id, coded) = rest.split_once('+')?;
    Some((name, id, coded))
}

pub(super) fn same_id(stated: &str, computed: KeyId) -> Result<(), KeyError> {
    if stated == computed.to_string() {
        return Ok(());
    }
    let lowercase = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if stated.len() != 8 || !stated.bytes().all(lowercase) {
        return Err(KeyError::Form);
    }
    let stated = u32::from_str_radix(stated, 16).map_err(|_| KeyError::Form)?;
    Err(KeyError::Id { stated: KeyId(stated), computed })
}

pub(super) fn with_algorithm(algorithm: Algorithm, key: &[u8; KEY_BYTES]) -> [u8; 1 + KEY_BYTES] {
    let mut bytes = [algorithm.byte(); 1 + KEY_BYTES];
    bytes[1..].copy_from_slice(key);
    bytes
}
