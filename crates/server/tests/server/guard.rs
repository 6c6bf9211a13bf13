//! What it takes to call a server that wants to know who calls: authorities, certificates, tokens.

use crate::support::*;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use bergulir_proto::pb::backup_service_client::BackupServiceClient;
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use bergulir_proto::pb::log_service_client::LogServiceClient;
use bergulir_proto::pb::query_service_client::QueryServiceClient;
use bergulir_server::{
    AuthOptions, ClientCertificates, Grant, Grants, ServerOptions, TlsOptions, TokenOptions,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

pub(crate) const ISSUER: &str = "https://login.example.go.id";
pub(crate) const AUDIENCE: &str = "ledger.example.go.id";
/// The key of nobody, for tests.
const RSA_PEM: &str = include_str!("guard/rsa.pem");

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
pub(crate) struct Papers {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn issue(&self, names: Vec<SanType>) -> Papers {
        self.issue_until(names, SystemTime::now() + std::time::Duration::from_secs(86_400))
    }

    pub(crate) fn issue_until(&self, names: Vec<SanType>, until: SystemTime) -> Papers {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = until.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Papers { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn officer(&self, name: &str) -> Papers {
        self.issue(vec![uri(name)])
    }
}

pub(crate) fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// The files of a server.
pub(crate) struct Files {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) authority: Authority,
}

impl Files {
    pub(crate) fn new() -> Files {
        let files = Files { folder: tempfile::tempdir().unwrap(), authority: Authority::new() };
        files.put_server(&files.authority);
        files.put_authorities(&files.authority);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A new certificate of the server.
    pub(crate) fn put_server(&self, authority: &Authority) {
        let localhost = SanType::DnsName("localhost".try_into().unwrap());
        let papers = authority.issue(vec![localhost]);
        self.put("server.key", &papers.key);
        self.put("server.pem", &papers.certificate);
    }

    pub(crate) fn put_authorities(&self, authority: &Authority) {
        self.put("clients.pem", &authority.pem);
    }

    pub(crate) fn tls(&self, clients: Option<bool>) -> TlsOptions {
        TlsOptions {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            clients: clients.map(|required| ClientCertificates {
                authorities: self.path("clients.pem"),
                required,
            }),
        }
    }
}

/// "maker checker @ kab : dana" or "auditor @ *".
pub(crate) fn grants(all: &[(&str, &str)]) -> Grants {
    Grants::new(all.iter().map(|(who, text)| {
        let (roles, place) = text.split_once(" @ ").unwrap();
        let (ledger, funds) = match place.split_once(" : ") {
            Some((ledger, funds)) => (ledger, Some(funds)),
            None => (place, None),
        };
        Grant {
            principal: who.parse().unwrap(),
            ledger: (ledger != "*").then(|| ledger.parse().unwrap()),
            roles: roles.split(' ').map(|role| role.parse().unwrap()).collect(),
            funds: funds.map(|funds| funds.split(' ').map(|fund| fund.parse().unwrap()).collect()),
        }
    }))
    .unwrap()
}

pub(crate) fn options(data: &Path) -> ServerOptions {
    let mut options = ServerOptions::new(data, "127.0.0.1:0".parse().unwrap());
    options.limits.files_every = std::time::Duration::from_millis(50);
    options
}

/// A channel under TLS, with a certificate or without.
pub(crate) async fn dial(
    address: SocketAddr,
    server: &Authority,
    papers: Option<&Papers>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&server.pem))
        .domain_name("localhost");
    if let Some(Papers { certificate, key }) = papers {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    let port = address.port();
    let endpoint = Endpoint::from_shared(format!("https://127.0.0.1:{port}")).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await
}

/// Signs tokens.
pub(crate) enum Signer {
    Ed(Ed25519KeyPair),
    Es(EcdsaKeyPair),
    Rs(Box<RsaKeyPair>),
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

impl Signer {
    pub(crate) fn ed() -> Signer {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Signer::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub(crate) fn es() -> Signer {
        let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Signer::Es(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap())
    }

    pub(crate) fn rs() -> Signer {
        let base64: String = RSA_PEM.lines().filter(|line| !line.starts_with('-')).collect();
        let pkcs8 = base64ct::Base64::decode_vec(&base64).unwrap();
        Signer::Rs(Box::new(RsaKeyPair::from_pkcs8(&pkcs8).unwrap()))
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Signer::Ed(_) => "EdDSA",
            Signer::Es(_) => "ES256",
            Signer::Rs(_) => "RS256",
        }
    }

    /// The public key, as a JWKS has it.
    pub(crate) fn jwk(&self, kid: &str) -> String {
        match self {
            Signer::Ed(key) => format!(
                r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{}"}}"#,
                b64(key.public_key())
            ),
            Signer::Es(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                let (x, y) = (b64(x), b64(y));
                format!(r#"{{"kty":"EC","crv":"P-256","kid":"{kid}","x":"{x}","y":"{y}"}}"#)
            }
            Signer::Rs(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                let (n, e) = (b64(public.n), b64(public.e));
                format!(r#"{{"kty":"RSA","kid":"{kid}","n":"{n}","e":"{e}"}}"#)
            }
        }
    }

    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let bytes = message.as_bytes();
        let signature = match self {
            Signer::Ed(key) => key.sign(bytes).as_ref().to_vec(),
            Signer::Es(key) => key.sign(&SystemRandom::new(), bytes).unwrap().as_ref().to_vec(),
            Signer::Rs(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", b64(signature))
    }

    /// A good token of the key `k`.
    pub(crate) fn token(&self, who: &str) -> String {
        let header = format!(r#"{{"alg":"{}","kid":"k","typ":"JWT"}}"#, self.algorithm());
        self.sign(&header, &claims(who))
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn claims(who: &str) -> String {
    let exp = now() + 3_600;
    format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"{who}","exp":{exp}}}"#)
}

impl Files {
    pub(crate) fn put_keys(&self, keys: &[String]) {
        self.put("jwks.json", &format!("{{\"keys\":[{}]}}", keys.join(",")));
    }

    pub(crate) fn tokens(&self) -> TokenOptions {
        TokenOptions {
            keys: self.path("jwks.json"),
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
        }
    }
}

/// Sends headers with every call.
#[derive(Clone)]
pub(crate) struct Sends(pub(crate) Vec<(&'static str, String)>);

impl Interceptor for Sends {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            let value: MetadataValue<_> = value.parse().unwrap();
            request.metadata_mut().append(*name, value);
        }
        Ok(request)
    }
}

/// Somebody who calls.
#[derive(Clone)]
pub(crate) struct Who {
    channel: Channel,
    sends: Sends,
}

type With = InterceptedService<Channel, Sends>;

impl Who {
    pub(crate) fn sending(channel: &Channel, sends: Vec<(&'static str, String)>) -> Who {
        Who { channel: channel.clone(), sends: Sends(sends) }
    }

    pub(crate) fn bearing(channel: &Channel, token: &str) -> Who {
        Who::sending(channel, vec![("authorization", format!("Bearer {token}"))])
    }

    pub(crate) fn commands(&self) -> LedgerServiceClient<With> {
        LedgerServiceClient::with_interceptor(self.channel.clone(), self.sends.clone())
    }

    pub(crate) fn queries(&self) -> QueryServiceClient<With> {
        QueryServiceClient::with_interceptor(self.channel.clone(), self.sends.clone())
    }

    pub(crate) fn backups(&self) -> BackupServiceClient<With> {
        BackupServiceClient::with_interceptor(self.channel.clone(), self.sends.clone())
    }

    pub(crate) fn logs(&self) -> LogServiceClient<With> {
        LogServiceClient::with_interceptor(self.channel.clone(), self.sends.clone())
    }

    /// What it takes for a client of another service.
    pub(crate) fn parts(&self) -> (Channel, Sends) {
        (self.channel.clone(), self.sends.clone())
    }

    pub(crate) async fn post(
        &self,
        kind: bergulir_proto::pb::command::Kind,
    ) -> Result<bergulir_proto::wire::Reply, Status> {
        bergulir_proto::wire::send(&mut self.commands(), request(kind)).await
    }

    /// The reason why a harmless question is refused; empty if it is answered.
    pub(crate) async fn refusal(&self) -> (String, String) {
        let request = bergulir_proto::pb::ListLedgersRequest::default();
        match self.queries().list_ledgers(request).await {
            Ok(_) => (String::new(), String::new()),
            Err(status) => {
                let message = status.message().to_owned();
                (reason::<()>(Err(status)).1, message)
            }
        }
    }
}

impl Who {
    /// The same; `None` if the connection breaks.
    pub(crate) async fn refusal_or_break(&self) -> Option<String> {
        let request = bergulir_proto::pb::ListLedgersRequest::default();
        match self.queries().list_ledgers(request).await {
            Ok(_) => Some(String::new()),
            Err(status) if status.details().is_empty() => None,
            Err(status) => Some(reason::<()>(Err(status)).1),
        }
    }
}

/// A server on loopback in the clear that takes tokens.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    pub(crate) files: Files,
    pub(crate) signer: Signer,
    _data: tempfile::TempDir,
}

impl Guarded {
    pub(crate) async fn start(all: &[(&str, &str)]) -> Guarded {
        Guarded::with(all, |_| {}).await
    }

    pub(crate) async fn with(
        all: &[(&str, &str)],
        change: impl FnOnce(&mut ServerOptions),
    ) -> Guarded {
        let (files, signer) = (Files::new(), Signer::ed());
        files.put_keys(&[signer.jwk("k")]);
        let data = tempfile::tempdir().unwrap();
        let mut options = options(data.path());
        options.auth = AuthOptions { tokens: Some(files.tokens()), grants: Some(grants(all)) };
        change(&mut options);
        let server = Server::run(options).await;
        Guarded { server, files, signer, _data: data }
    }

    pub(crate) fn who(&self, who: &str) -> Who {
        Who::bearing(&self.server.channel, &self.signer.token(who))
    }

    pub(crate) fn bearing(&self, token: &str) -> Who {
        Who::bearing(&self.server.channel, token)
    }
}
