//! The private keys that sign notes, and their texts.

use alloc::format;
use alloc::string::String;
use core::fmt;

use ed25519_dalek::{Signer, SigningKey};
use zeroize::Zeroizing;

use super::cosignature::{self, PosixSeconds};
use super::key::{parts, same_id, with_algorithm};
use super::{Algorithm, KEY_BYTES, KeyError, KeyName, Signature, VerifierKey};
use crate::base64;
use crate::checkpoint::Checkpoint;

/// What the text of a signing key begins with, so that nobody takes it for a public one.
const PRIVATE: &str = "PRIVATE+KEY+";

/// A private key that signs notes: that of a log. Wiped from memory when dropped, and not printed.
#[derive(Clone)]
pub struct SignerKey(Private);

/// A private key that cosigns checkpoints: that of a witness. Wiped from memory when dropped, and
/// not printed.
#[derive(Clone)]
pub struct CosignerKey(Private);

#[derive(Clone)]
struct Private {
    key: SigningKey,
    verifier: VerifierKey,
}

impl Private {
    fn from_seed(
        name: KeyName,
        algorithm: Algorithm,
        seed: &[u8; KEY_BYTES],
    ) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name, algorithm, key.verifying_key().as_bytes())?;
        Ok(Self { key, verifier })
    }

    fn parse(text: &str, expected: Algorithm) -> Result<Self, KeyError> {
        let public = text.strip_prefix(PRIVATE).ok_or(KeyError::PrivateForm)?;
        let (name, id, coded) = parts(public).ok_or(KeyError::PrivateForm)?;
        let mut bytes = Zeroizing::new([0; 1 + KEY_BYTES]);
        base64::decode_into(coded, &mut *bytes).ok_or(KeyError::PrivateForm)?;
        let (byte, seed) = split_algorithm(&bytes);
        let given = Algorithm::from_byte(byte).ok_or(KeyError::UnknownAlgorithm(byte))?;
        if given != expected {
            return Err(KeyError::Algorithm { expected, given });
        }
        let key = Self::from_seed(KeyName::new(name)?, given, seed)?;
        same_id(id, key.verifier.id())?;
        Ok(key)
    }

    fn to_text(&self) -> Zeroizing<String> {
        let verifier = &self.verifier;
        let bytes = with_algorithm(verifier.algorithm(), self.key.as_bytes());
        let bytes = Zeroizing::new(bytes);
        let coded = Zeroizing::new(base64::encode(&*bytes));
        Zeroizing::new(format!("{PRIVATE}{}+{}+{}", verifier.name(), verifier.id(), *coded))
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    fn signature(&self, bytes: &[u8]) -> Signature {
        let (name, key_id) = (self.verifier.name().clone(), self.verifier.id());
        Signature { name, key_id, bytes: bytes.to_vec() }
    }
}

impl SignerKey {
    /// The key of a seed: 32 random bytes, which are the private key.
    ///
    /// # Errors
    /// If the key cannot be used; no random seed leads to that.
    pub fn from_seed(name: KeyName, seed: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        Private::from_seed(name, Algorithm::Ed25519, seed).map(Self)
    }

    /// Reads the text of a signing key, `PRIVATE+KEY+NAME+ID+BASE64`.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Private::parse(text, Algorithm::Ed25519).map(Self)
    }

    /// The text that [`parse`](Self::parse) reads: a secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// The public key.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// Signs the text of a note.
    pub fn sign(&self, text: &str) -> Signature {
        self.0.signature(&self.0.sign(text.as_bytes()))
    }
}

impl CosignerKey {
    /// The key of a seed: 32 random bytes, which are the private key. One seed serves one witness
    /// only, since its name is not signed.
    ///
    /// # Errors
    /// If the key cannot be used; no random seed leads to that.
    pub fn from_seed(name: KeyName, seed: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        Private::from_seed(name, Algorithm::CosignatureV1, seed).map(Self)
    }

    /// Reads the text of a cosigning key, `PRIVATE+KEY+NAME+ID+BASE64`.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Private::parse(text, Algorithm::CosignatureV1).map(Self)
    }

    /// The text that [`parse`](Self::parse) reads: a secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// The public key.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// States that at this time, among all trees of this log that were seen, this is the largest
    /// and continues all others. Whoever calls this has seen to that.
    pub fn cosign(&self, checkpoint: &Checkpoint, time: PosixSeconds) -> Signature {
        let message = cosignature::message(time, &checkpoint.text());
        self.0.signature(&cosignature::join(time, &self.0.sign(message.as_bytes())))
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({}+{}+...)", self.verifier().name(), self.verifier().id())
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey({}+{}+...)", self.verifier().name(), self.verifier().id())
    }
}

fn split_algorithm(bytes: &[u8; 1 + KEY_BYTES]) -> (u8, &[u8; KEY_BYTES]) {
    let key = bytes.last_chunk().expect("32 of 33 bytes");
    (bytes[0], key)
}
