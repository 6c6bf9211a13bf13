//! The public keys of those who sign tokens, as a JWKS file (RFC 7517) holds them.

use crate::files::FileError;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// An RSA key has so many bytes: 2,048 to 8,192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;
/// The most keys of a file.
const MAX_KEYS: usize = 256;

/// A key, and the only algorithm that it is for.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// Keys by the ids under which tokens name them.
pub(crate) struct Keys(BTreeMap<String, Key>);

#[derive(Deserialize)]
struct File {
    keys: Vec<Stored>,
}

/// A key as the file has it. Members without a meaning here are passed over.
#[derive(Deserialize)]
struct Stored {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// Only private keys and secrets have these.
    d: Option<serde::de::IgnoredAny>,
    k: Option<serde::de::IgnoredAny>,
}

impl Keys {
    /// Reads a file. Keys for other ends than signatures, and of kinds that are not taken, are passed
    /// over.
    pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Keys, FileError> {
        let wrong = |why: String| FileError::wrong(path, &why);
        let no_keys = |error| wrong(format!("is no JWKS ({{\"keys\": [...]}}): {error}"));
        // Of fields that are passed over nobody else looks whether they are text.
        serde_json::from_slice::<serde_json::Value>(bytes).map_err(no_keys)?;
        let file: File = serde_json::from_slice(bytes).map_err(no_keys)?;
        if file.keys.len() > MAX_KEYS {
            return Err(wrong(format!("holds more than {MAX_KEYS} keys")));
        }
        let mut keys = BTreeMap::new();
        for (i, stored) in file.keys.iter().enumerate() {
            let named =
                format!("key {} ({})", i + 1, stored.kid.as_deref().unwrap_or("without kid"));
            let key = stored.key().map_err(|why| wrong(format!("{named} {why}")))?;
            let Some(key) = key else {
                tracing::info!(
                    "{}: {named} is passed over: it is for something else than tokens signed with \
                     EdDSA, ES256 or RS256",
                    path.display()
                );
                continue;
            };
            let kid = stored.kid.clone().filter(|kid| !kid.is_empty());
            let kid = kid.ok_or_else(|| wrong(format!("{named} needs a kid")))?;
            if keys.insert(kid, key).is_some() {
                return Err(wrong(format!("{named} has the kid of another key")));
            }
        }
        if keys.is_empty() {
            return Err(wrong("holds no key for EdDSA, ES256 or RS256".to_owned()));
        }
        Ok(Keys(keys))
    }

    /// The key of an id.
    pub(crate) fn get(&self, kid: &str) -> Option<&Key> {
        self.0.get(kid)
    }
}

impl Stored {
    /// The key; `None` if it is for something else.
    fn key(&self) -> Result<Option<Key>, &'static str> {
        if self.d.is_some() {
            return Err(
                "is a private key: only public keys belong here, and this one is no secret \
                        any more",
            );
        }
        if self.kty == "oct" || self.k.is_some() {
            return Err("is a shared secret: whoever can check tokens with it can make them");
        }
        let verifies = self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if self.usage.as_ref().is_some_and(|usage| usage != "sig") || !verifies {
            return Ok(None);
        }
        let (name, algorithm) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => ("EdDSA", Algorithm::EdDSA),
            ("EC", Some("P-256")) => ("ES256", Algorithm::ES256),
            ("RSA", _) => ("RS256", Algorithm::RS256),
            _ => return Ok(None),
        };
        // RFC 9864 names the curve.
        let of_curve = algorithm == Algorithm::EdDSA && self.alg.as_deref() == Some("Ed25519");
        if self.alg.as_deref().is_some_and(|alg| alg != name) && !of_curve {
            return Ok(None);
        }
        let key = match algorithm {
            Algorithm::EdDSA => {
                let x = bytes(self.x.as_deref()).filter(|x| x.len() == 32);
                DecodingKey::from_ed_der(&x.ok_or("needs an x of 32 bytes in base64url")?)
            }
            Algorithm::ES256 => {
                let part = |part: &Option<String>| bytes(part.as_deref()).filter(|b| b.len() == 32);
                let (x, y) = part(&self.x)
                    .zip(part(&self.y))
                    .ok_or("needs an x and a y of 32 bytes each in base64url")?;
                DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat())
            }
            _ => {
                let n = bytes(self.n.as_deref()).filter(|n| RSA_BYTES.contains(&n.len()));
                let n = n.ok_or("needs an n of 2048 to 8192 bits in base64url")?;
                let e = bytes(self.e.as_deref()).filter(|e| (1..=8).contains(&e.len()));
                DecodingKey::from_rsa_raw_components(&n, &e.ok_or("needs an e in base64url")?)
            }
        };
        Ok(Some(Key { algorithm, key }))
    }
}

fn bytes(text: Option<&str>) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &str) -> Result<Keys, String> {
        let file = format!("{{\"keys\": [{keys}]}}");
        Keys::read(Path::new("jwks"), file.as_bytes()).map_err(|error| error.to_string())
    }

    fn ed(more: &str) -> String {
        let x = Base64UrlUnpadded::encode_string(&[7; 32]);
        format!("{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{x}\"{more}}}")
    }

    #[test]
    fn a_key_is_for_one_algorithm() {
        let keys = read(&ed(",\"kid\":\"a\",\"alg\":\"EdDSA\",\"use\":\"sig\"")).unwrap();
        assert_eq!(keys.get("a").unwrap().algorithm, Algorithm::EdDSA);
        assert!(keys.get("b").is_none());
        let part = Base64UrlUnpadded::encode_string(&[7; 32]);
        let n = Base64UrlUnpadded::encode_string(&[0xff; 256]);
        let keys = read(&format!(
            "{{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\",\"x\":\"{part}\",\"y\":\"{part}\"}},
             {{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"{n}\",\"e\":\"AQAB\"}}"
        ))
        .unwrap();
        assert_eq!(keys.get("e").unwrap().algorithm, Algorithm::ES256);
        assert_eq!(keys.get("r").unwrap().algorithm, Algorithm::RS256);
    }

    #[test]
    fn a_file_that_cannot_be_trusted_is_refused_whole() {
        let good = ed(",\"kid\":\"a\"");
        let short = Base64UrlUnpadded::encode_string(&[0xff; 128]);
        for (keys, expected) in [
            (String::new(), "no key"),
            (ed(""), "needs a kid"),
            (ed(",\"kid\":\"\""), "needs a kid"),
            (format!("{good},{good}"), "the kid of another"),
            (ed(",\"kid\":\"a\",\"d\":\"AAAA\""), "private key"),
            (format!("{good},{{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"AAAA\"}}"), "shared secret"),
            (ed(",\"kid\":\"a\",\"kid\":\"b\""), "duplicate"),
            ("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":\"AA\"}".to_owned(), "32"),
            (format!("{{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"{short}\",\"e\":\"AQAB\"}}"), "2048"),
            (ed(",\"kid\":\"a\",\"use\":\"enc\""), "no key"),
            (ed(",\"kid\":\"a\",\"alg\":\"HS256\""), "no key"),
            (ed(",\"kid\":\"a\",\"key_ops\":[\"sign\"]"), "no key"),
        ] {
            let refused = read(&keys).err().unwrap_or_default();
            assert!(refused.contains(expected), "{keys}: {refused}");
        }
        // One that is for something else does not spoil the others.
        let other = ed(",\"kid\":\"b\",\"use\":\"enc\"");
        assert!(read(&format!("{other},{good}")).is_ok());
    }
}
