//! Whom a client's certificate names.
//!
//! The principal is the only name among the certificate's alternative names of the forms URI, DNS and
//! email, letter by letter. More than one would leave it open which is meant. DNS names and addresses
//! that differ only in capitals are the same to everybody else, and would be two principals here: so
//! capitals are refused in them. The subject is not looked at.

use bergulir_domain::PrincipalId;
use bergulir_domain::id::IdError;
use std::time::{Duration, SystemTime};
use thiserror::Error;
use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why a certificate names no principal.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NoPrincipal {
    #[error("it cannot be read")]
    Unreadable,
    #[error("it has no alternative name of the form URI, DNS or email")]
    NoName,
    #[error("it has {0} alternative names of the forms URI, DNS and email, and must have one")]
    ManyNames(usize),
    #[error("its name {0:?} has capitals, which do not count in a name of that form")]
    Capitals(String),
    #[error("its name {name:?} cannot be a principal: it {error}")]
    Alphabet { name: String, error: IdError },
}

/// What a client showed, and TLS found signed by an authority of ours.
pub(crate) struct Certificate {
    /// With those between it and the authority.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Whom it names.
    pub(crate) principal: Result<PrincipalId, NoPrincipal>,
    /// From when on it counts no more, in seconds since 1970.
    not_after: i64,
}

impl Certificate {
    pub(crate) fn read(chain: &[CertificateDer<'_>]) -> Certificate {
        let chain: Vec<_> = chain.iter().map(|der| der.clone().into_owned()).collect();
        let parsed = chain.first().and_then(|own| X509Certificate::from_der(own).ok());
        let (principal, not_after) = match &parsed {
            Some((_, certificate)) => {
                (principal(certificate), certificate.validity().not_after.timestamp())
            }
            None => (Err(NoPrincipal::Unreadable), 0),
        };
        Certificate { chain, principal, not_after }
    }

    /// Whether its time is over.
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX) > self.not_after
    }

    /// The first moment at which it is over; `None` if that is too far away to matter.
    pub(crate) fn until(&self) -> Option<SystemTime> {
        let last = u64::try_from(self.not_after).unwrap_or(0);
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(last.checked_add(1)?))
    }
}

fn principal(certificate: &X509Certificate<'_>) -> Result<PrincipalId, NoPrincipal> {
    let names = certificate.subject_alternative_name().map_err(|_| NoPrincipal::Unreadable)?;
    let names = names.as_ref().map(|names| names.value.general_names.as_slice());
    let mut found = Vec::new();
    for name in names.unwrap_or_default() {
        match name {
            GeneralName::URI(name) => found.push((*name, true)),
            GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => {
                found.push((*name, false));
            }
            // It may be one of the three, and would be one name more.
            GeneralName::Invalid(..) => return Err(NoPrincipal::Unreadable),
            _ => {}
        }
    }
    let (name, capitals_count) = match found[..] {
        [one] => one,
        [] => return Err(NoPrincipal::NoName),
        _ => return Err(NoPrincipal::ManyNames(found.len())),
    };
    if !capitals_count && name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(NoPrincipal::Capitals(name.to_owned()));
    }
    PrincipalId::new(name).map_err(|error| NoPrincipal::Alphabet { name: name.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(names: Vec<SanType>) -> Certificate {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::read(&[made.der().clone()])
    }

    fn uri(name: &str) -> SanType {
        SanType::URI(name.try_into().unwrap())
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn email(name: &str) -> SanType {
        SanType::Rfc822Name(name.try_into().unwrap())
    }

    #[test]
    fn the_only_name_of_a_certificate_is_the_principal() {
        for name in [
            uri("spiffe://example.go.id/Officer-1"),
            dns("teller-7.example.go.id"),
            email("officer-1@example.go.id"),
        ] {
            let text = match &name {
                SanType::URI(text) | SanType::DnsName(text) | SanType::Rfc822Name(text) => {
                    text.to_string()
                }
                _ => unreachable!(),
            };
            let ip = SanType::IpAddress("192.0.2.1".parse().unwrap());
            let read = certificate(vec![name, ip]).principal.unwrap();
            assert_eq!(read.as_str(), text);
        }
    }

    #[test]
    fn a_certificate_with_no_name_or_many_or_another_alphabet_names_nobody() {
        let ip = SanType::IpAddress("192.0.2.1".parse().unwrap());
        let named = |names| certificate(names).principal.unwrap_err();
        assert_eq!(named(vec![]), NoPrincipal::NoName);
        assert_eq!(named(vec![ip]), NoPrincipal::NoName);
        assert_eq!(named(vec![dns("a"), uri("urn:a")]), NoPrincipal::ManyNames(2));
        assert_eq!(named(vec![dns("a"), dns("a")]), NoPrincipal::ManyNames(2));
        for name in [dns("*.example.go.id"), uri("urn:a?b"), uri("urn:a%2Fb"), email("a+b@c")] {
            assert!(matches!(named(vec![name]), NoPrincipal::Alphabet { .. }));
        }
        let long = uri(&format!("urn:{}", "a".repeat(61)));
        assert!(matches!(named(vec![long]), NoPrincipal::Alphabet { .. }));
        for name in [dns("Officer-1"), email("officer-1@Example.go.id")] {
            assert!(matches!(named(vec![name]), NoPrincipal::Capitals(_)));
        }
        assert!(matches!(
            Certificate::read(&[vec![1, 2, 3].into()]).principal,
            Err(NoPrincipal::Unreadable)
        ));
    }

    #[test]
    fn a_certificate_ends_with_its_last_second() {
        let read = certificate(vec![dns("a")]);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(3_786_912_000);
        assert_eq!(read.until(), Some(end + Duration::from_secs(1)));
        assert!(!read.has_expired(end));
        assert!(read.has_expired(end + Duration::from_secs(1)));
    }
}
