//! TLS, with certificates of clients if they are asked for. The files are followed: what changes in
//! them holds for the connections that come after, and clients' authorities for all.

use crate::files::{FileError, Followed, Source};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The only protocol that is spoken.
const ALPN: &[u8] = b"h2";

/// Where the keys of a server are.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The server's certificate and those between it and its authority, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Who signs the certificates of clients. `None`: clients are not asked for any.
    pub clients: Option<ClientCertificates>,
}

/// How clients show certificates.
#[derive(Debug, Clone)]
pub struct ClientCertificates {
    /// The certificates of the authorities that sign those of clients, in PEM.
    pub authorities: PathBuf,
    /// Whether a connection without one is refused.
    pub required: bool,
}

/// What is in force.
pub(crate) struct Keys {
    pub(crate) server: Arc<ServerConfig>,
    /// Checks the certificates of clients, if there may be any.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Keys {
    /// Whether the authorities that are in force now stand for a client, who had its certificate
    /// checked when it connected.
    pub(crate) fn stand_for(&self, chain: &[CertificateDer<'_>]) -> bool {
        let (Some(clients), [own, between @ ..]) = (&self.clients, chain) else { return false };
        clients.verify_client_cert(own, between, UnixTime::now()).is_ok()
    }
}

/// Reads the files.
pub(crate) fn follow(options: &TlsOptions) -> Result<Followed<Keys>, FileError> {
    let TlsOptions { certificate, key, clients } = options.clone();
    let mut sources = vec![Source::public(&certificate), Source::private(&key)];
    sources.extend(clients.iter().map(|clients| Source::public(&clients.authorities)));
    Followed::new("tls", sources, move |contents| {
        let authorities = clients.as_ref().zip(contents.get(2));
        let clients = authorities.map(|(clients, pem)| verifier(clients, pem)).transpose()?;
        let server = server(&certificate, &contents[0], &key, &contents[1], clients.clone())?;
        Ok(Keys { server: Arc::new(server), clients })
    })
}

fn server(
    certificate: &Path,
    chain: &[u8],
    key_file: &Path,
    key: &[u8],
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, FileError> {
    let chain = certificates(certificate, chain)?;
    warn_of_expiry(certificate, &chain);
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| FileError::wrong(key_file, "holds no private key in PEM"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|error| FileError::wrong(certificate, &error))?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let key = key_file.display();
        FileError::wrong(certificate, &format!("cannot be used with the key in {key}: {error}"))
    })?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A connection lasts for many calls, so little is gained by taking one up again; and one that is
    // taken up again would not have its certificate checked again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn verifier(
    clients: &ClientCertificates,
    pem: &[u8],
) -> Result<Arc<dyn ClientCertVerifier>, FileError> {
    let wrong = |why: &dyn ToString| FileError::wrong(&clients.authorities, &why.to_string());
    let mut roots = RootCertStore::empty();
    for authority in certificates(&clients.authorities, pem)? {
        roots.add(authority).map_err(|error| wrong(&error))?;
    }
    let provider = Arc::new(default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| wrong(&error))
}

pub(crate) fn certificates(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(FileError::wrong(path, "holds no certificate in PEM"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(FileError::wrong(path, &format!("is no PEM: {error}"))),
    }
}

/// A server with an old certificate runs, and its clients refuse it: that must be easy to find.
fn warn_of_expiry(path: &Path, chain: &[CertificateDer<'_>]) {
    let Some(Ok((_, certificate))) = chain.first().map(|own| X509Certificate::from_der(own)) else {
        return;
    };
    let until = certificate.validity().not_after;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if i64::try_from(now.as_secs()).is_ok_and(|now| until.timestamp() <= now) {
        tracing::error!(
            "the certificate in {} ran out at {until}: clients refuse it. Put a new one there",
            path.display()
        );
    }
}

/// Whether TLS agreed on the protocol that is spoken.
pub(crate) fn speaks_http2(protocol: Option<&[u8]>) -> bool {
    protocol == Some(ALPN)
}
