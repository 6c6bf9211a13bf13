//! Bearer tokens: JSON Web Tokens (RFC 7519) signed with `EdDSA`, ES256 or RS256.
//!
//! The library parses, verifies and compares claims; what it leaves open is decided here: the key is
//! found by the `kid` alone, and says which algorithm it is for, whatever the token says.

use super::keys::Keys;
use crate::files::{FileError, Followed, Source};
use crate::limits::{MAX_TOKEN_BYTES, TOKEN_LEEWAY};
use bergulir_domain::PrincipalId;
use bergulir_domain::id::IdError;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use thiserror::Error;

/// The longest `kid`.
const MAX_KID_BYTES: usize = 256;

/// Which tokens are taken.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// The public keys that may have signed them: a JWKS file.
    pub keys: PathBuf,
    /// Who issues them: the claim `iss`.
    pub issuer: String,
    /// For whom they are: one of the claim `aud`.
    pub audience: String,
}

/// Why a token is not taken. None of these repeats what the token holds but its `sub`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum TokenError {
    #[error("it is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    #[error("it is no JSON Web Token in compact form")]
    Malformed,
    #[error("its algorithm is none of EdDSA, ES256 and RS256")]
    Algorithm,
    #[error("its typ is neither JWT nor at+jwt")]
    Type,
    #[error("its header has {0}, which is not understood")]
    Header(&'static str),
    #[error("its header has no kid")]
    NoKeyId,
    #[error("no key of its kid is known: if the issuer has new keys, put them into the JWKS file")]
    UnknownKey,
    #[error("its algorithm is not the one of its key")]
    OtherAlgorithm,
    #[error("its signature is wrong")]
    Signature,
    #[error("its time is over: get a new one")]
    Expired,
    #[error("its time has not come yet: compare the clocks")]
    TooEarly,
    #[error("it is by another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("its claims exp, iss, aud and sub must be there, once, and of the right form")]
    Claims,
    #[error("its sub cannot be a principal: it {0}")]
    Subject(IdError),
}

/// What a good token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) principal: PrincipalId,
    /// From when on it counts no more.
    pub(crate) until: SystemTime,
}

/// Checks tokens.
pub(crate) struct Tokens {
    keys: Arc<Followed<Keys>>,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    // Here so that one that stands there twice, or is a list, is refused.
    #[serde(rename = "iss")]
    _iss: String,
}

impl Tokens {
    pub(crate) fn new(options: TokenOptions) -> Result<Tokens, FileError> {
        // That it is installed already does no harm: nothing else installs one in this program.
        let _ = RING.install_default();
        let TokenOptions { keys: path, issuer, audience } = options;
        let source = Source::public(&path);
        let keys =
            Followed::new("tokens", vec![source], move |contents| Keys::read(&path, &contents[0]))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = TOKEN_LEEWAY.as_secs();
        validation.validate_nbf = true;
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Ok(Tokens { keys: Arc::new(keys), validation })
    }

    /// The keys, to be followed.
    pub(crate) fn keys(&self) -> &Arc<Followed<Keys>> {
        &self.keys
    }

    /// Checks a token.
    pub(crate) fn verify(&self, token: &str) -> Result<Verified, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|error| match error.kind() {
            // `none`, and every name that the library does not know, is a variant that does not exist.
            ErrorKind::Json(_) => TokenError::Algorithm,
            _ => TokenError::Malformed,
        })?;
        if !matches!(header.alg, Algorithm::EdDSA | Algorithm::ES256 | Algorithm::RS256) {
            return Err(TokenError::Algorithm);
        }
        if header.typ.is_some_and(|typ| !is_taken(&typ)) {
            return Err(TokenError::Type);
        }
        for (member, there) in [
            ("crit", header.crit.is_some()),
            ("b64", header.extras.inner().contains_key("b64")),
            ("enc", header.enc.is_some()),
            ("zip", header.zip.is_some()),
            ("cty", header.cty.is_some()),
        ] {
            if there {
                return Err(TokenError::Header(member));
            }
        }
        let kid = header.kid.filter(|kid| (1..=MAX_KID_BYTES).contains(&kid.len()));
        let keys = self.keys.get();
        let key = keys.get(&kid.ok_or(TokenError::NoKeyId)?).ok_or(TokenError::UnknownKey)?;
        if key.algorithm != header.alg {
            return Err(TokenError::OtherAlgorithm);
        }
        let mut validation = self.validation.clone();
        validation.algorithms = vec![key.algorithm];
        let decoded = decode::<Claims>(token, &key.key, &validation);
        let claims = decoded.map_err(|error| of_library(error.kind()))?.claims;
        let principal = PrincipalId::new(&claims.sub).map_err(TokenError::Subject)?;
        let end = Duration::from_secs(claims.exp).checked_add(TOKEN_LEEWAY);
        let until = end.and_then(|end| SystemTime::UNIX_EPOCH.checked_add(end));
        let until = until.ok_or(TokenError::Claims)?;
        // The library counts in whole seconds, and would take it a moment longer.
        if until <= SystemTime::now() {
            return Err(TokenError::Expired);
        }
        Ok(Verified { principal, until })
    }
}

fn is_taken(typ: &str) -> bool {
    let kind = typ.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

fn of_library(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::TooEarly,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::Json(_) => TokenError::Claims,
        _ => TokenError::Malformed,
    }
}

/// Signatures are checked by `ring`, as TLS has it too; nothing is signed.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA | Algorithm::ES256 | Algorithm::RS256 => {
            Ok(Box::new(Ring { algorithm: *algorithm, key: key.clone() }))
        }
        _ => Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct Ring {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Ring {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Ring {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let verified = match (self.algorithm, self.key.kind()) {
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(
                    &RSA_PKCS1_2048_8192_SHA256,
                    message,
                    signature,
                )
            }
            _ => return Err(SignatureError::new()),
        };
        verified.map_err(|_| SignatureError::new())
    }
}
