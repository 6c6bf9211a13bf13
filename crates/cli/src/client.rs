//! The connection to a server, and what every command and every question has in common.

use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bergulir_domain::{LedgerId, PrincipalId, Timestamp};
use bergulir_proto::pb::backup_service_client::BackupServiceClient;
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use bergulir_proto::pb::log_service_client::LogServiceClient;
use bergulir_proto::pb::query_service_client::QueryServiceClient;
use bergulir_proto::{name, pb, timestamp_to_wire};
use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::failure::Failure;
use crate::output::{self, Answer};
use crate::parse;

/// The metadata key under which a caller on loopback states who it is.
pub(crate) const PRINCIPAL_KEY: &str = "bergulir-principal";
/// Where a server listens unless it is told otherwise.
pub(crate) const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7447";
/// The most bytes of one answer that a client takes: a full batch with all its balances.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Whom to talk to, as whom, and about which ledger.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientArgs {
    /// Where the server listens
    #[arg(
        long,
        global = true,
        help_heading = "Server",
        env = "BERGULIR_ADDRESS",
        default_value = DEFAULT_ADDRESS,
        value_name = "ADDRESS"
    )]
    address: String,
    /// The ledger
    #[arg(long, global = true, help_heading = "Server", env = "BERGULIR_LEDGER", value_parser = parse::ledger)]
    pub(crate) ledger: Option<String>,
    /// Who you are: an opaque id, never a person's name; needed for every command
    #[arg(
        long,
        global = true,
        help_heading = "Server",
        env = "BERGULIR_PRINCIPAL",
        value_parser = parse::checked::<PrincipalId>
    )]
    pub(crate) principal: Option<String>,
    /// How long to wait for an answer
    #[arg(
        long,
        global = true,
        help_heading = "Server",
        default_value_t = 30,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    timeout: u64,
    #[command(flatten)]
    proof: ProofArgs,
}

/// How the server and the caller prove who they are.
#[derive(Debug, Clone, Args)]
struct ProofArgs {
    /// The certificates of the authorities that may stand for the server [default: the system's]
    #[arg(
        long,
        global = true,
        help_heading = "Server",
        env = "BERGULIR_CLIENT_CA",
        value_name = "FILE"
    )]
    tls_ca: Option<PathBuf>,
    /// Your certificate (PEM), to prove who you are; with --tls-key
    #[arg(
        long,
        global = true,
        help_heading = "Server",
        env = "BERGULIR_CLIENT_CERT",
        value_name = "FILE"
    )]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(
        long,
        global = true,
        help_heading = "Server",
        env = "BERGULIR_CLIENT_KEY",
        value_name = "FILE"
    )]
    tls_key: Option<PathBuf>,
    /// A file with a bearer token, to prove who you are
    #[arg(
        long,
        global = true,
        help_heading = "Server",
        env = "BERGULIR_TOKEN_FILE",
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,
}

impl ProofArgs {
    /// How to speak to a server that speaks TLS.
    fn tls(&self) -> Result<ClientTlsConfig, Failure> {
        let tls = match &self.tls_ca {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        Ok(match (&self.tls_cert, &self.tls_key) {
            (None, None) => tls,
            (Some(certificate), Some(key)) => {
                tls.identity(Identity::from_pem(read(certificate)?, read(key)?))
            }
            _ => {
                let why = "--tls-cert and --tls-key go together: a certificate and its private key";
                return Err(Failure::Usage(why.to_owned()));
            }
        })
    }

    /// What is sent to prove who calls, and never shown.
    fn token(&self) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = read(path)?;
        let token = std::str::from_utf8(&text).unwrap_or_default().trim();
        let value: Option<MetadataValue<Ascii>> = format!("Bearer {token}").parse().ok();
        let Some(mut value) = value.filter(|_| !token.is_empty() && !token.contains(' ')) else {
            let path = path.display();
            return Err(Failure::Usage(format!("--token-file: {path} must hold one token alone")));
        };
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::CouldNotTell(format!("could not read {}: {error}", path.display()))
    })
}

impl ClientArgs {
    /// The same, about this ledger.
    pub(crate) fn about(mut self, ledger: String) -> ClientArgs {
        self.ledger = Some(ledger);
        self
    }

    /// The ledger, if one was named.
    pub(crate) fn ledger_id(&self) -> Result<Option<LedgerId>, Failure> {
        let id = self.ledger.as_deref().map(name::ledger_id).transpose();
        id.map_err(|error| Failure::Usage(format!("--ledger: {error}")))
    }
}

/// What may be said with every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct WriteArgs {
    /// The id that makes sending again safe: a UUID [default: a new one]
    #[arg(long, help_heading = "Sending", value_name = "UUID")]
    request_id: Option<Uuid>,
    /// Let the server decide, and record nothing
    #[arg(long, help_heading = "Sending")]
    validate_only: bool,
    /// Refuse unless the log has exactly this many records
    #[arg(long, help_heading = "Sending", value_name = "RECORDS", value_parser = parse::whole)]
    expected_position: Option<u64>,
}

impl WriteArgs {
    /// The envelope of a command.
    pub(crate) fn envelope(&self) -> Envelope {
        Envelope {
            request_id: self.request_id.unwrap_or_else(Uuid::now_v7).to_string(),
            validate_only: self.validate_only,
            expected_position: self.expected_position,
        }
    }
}

/// What every command is sent in.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) request_id: String,
    pub(crate) validate_only: bool,
    pub(crate) expected_position: Option<u64>,
}

/// What may be said with every question.
#[derive(Debug, Clone, Args)]
pub(crate) struct FreshArgs {
    /// Answer only from a state that reflects the record at this position
    #[arg(long, value_name = "POSITION", value_parser = parse::whole)]
    pub(crate) min_position: Option<u64>,
}

/// What may be said with every list.
#[derive(Debug, Clone, Args)]
pub(crate) struct PageArgs {
    /// How many at most, 1 to 1000 [default: all, page after page]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) page_size: Option<i32>,
    /// Where to go on: the `nextPageToken` of the page before
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    pub(crate) page_token: String,
    #[command(flatten)]
    pub(crate) fresh: FreshArgs,
}

impl PageArgs {
    /// The size of a page to ask for.
    pub(crate) fn size(&self) -> i32 {
        self.page_size.unwrap_or(1_000)
    }

    /// Whether to go on with the page after.
    pub(crate) fn all(&self) -> bool {
        self.page_size.is_none()
    }
}

/// The moment that a question is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct MomentArgs {
    /// As after the record at this position
    #[arg(long, value_name = "POSITION", conflicts_with = "as_of_recorded", value_parser = parse::whole)]
    pub(crate) as_of_position: Option<u64>,
    /// As after the last record at or before this instant, such as 2026-03-16T09:30:00+07:00
    #[arg(long, value_name = "INSTANT", value_parser = parse::instant)]
    as_of_recorded: Option<Timestamp>,
}

impl MomentArgs {
    /// The instant, if one was given.
    pub(crate) fn recorded(&self) -> Option<pb::Timestamp> {
        self.as_of_recorded.map(timestamp_to_wire)
    }
}

/// A connection, and what the command line said about it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    channel: Channel,
    principal: Option<MetadataValue<Ascii>>,
    token: Option<MetadataValue<Ascii>>,
    /// Whether the connection proves who calls.
    certified: bool,
    ledger: Option<String>,
    timeout: Duration,
    pub(crate) json: bool,
}

impl Client {
    /// Connects to the server that the command line names.
    pub(crate) async fn connect(args: &ClientArgs, json: bool) -> Result<Client, Failure> {
        let url = url(&args.address)?;
        let endpoint = Endpoint::from_shared(url)
            .map_err(|_| {
                Failure::Usage(format!(
                    "--address {}: must be an address such as 127.0.0.1:7447 or {DEFAULT_ADDRESS}",
                    args.address
                ))
            })?
            .connect_timeout(Duration::from_secs(args.timeout));
        let token = args.proof.token()?;
        let encrypted = endpoint.uri().scheme_str() == Some("https");
        let certified = args.proof.tls_cert.is_some();
        let endpoint = if encrypted {
            let refused = |error| Failure::Usage(format!("--tls-ca, --tls-cert: {error}"));
            endpoint.tls_config(args.proof.tls()?).map_err(refused)?
        } else if certified || args.proof.tls_ca.is_some() {
            return Err(Failure::Usage(format!(
                "--address {}: certificates are for https:// addresses",
                args.address
            )));
        } else if token.is_some() && !is_loopback(endpoint.uri().host()) {
            return Err(Failure::Usage(format!(
                "--address {}: a token is not sent in the clear to another machine; say https://",
                args.address
            )));
        } else {
            endpoint
        };
        let channel = endpoint.connect().await.map_err(|error| {
            Failure::CouldNotTell(format!(
                "no server answers at {} ({}); start one with `bergulir serve --data DIR`, or say \
                 where it is with --address",
                args.address,
                innermost(&error)
            ))
        })?;
        let principal = args
            .principal
            .as_deref()
            .map(str::parse::<MetadataValue<Ascii>>)
            .transpose()
            .map_err(|_| Failure::Usage("--principal: must be visible ASCII".to_owned()))?;
        Ok(Client {
            channel,
            principal,
            token,
            certified,
            ledger: args.ledger.clone(),
            timeout: Duration::from_secs(args.timeout),
            json,
        })
    }

    /// `ledgers/{ledger}`.
    pub(crate) fn ledger(&self) -> Result<String, Failure> {
        let ledger = self.ledger.as_ref().ok_or_else(|| {
            Failure::Usage("which ledger? Say --ledger ID or set BERGULIR_LEDGER".to_owned())
        })?;
        Ok(format!("ledgers/{ledger}"))
    }

    /// The full name of something in the ledger: `funds/dana` becomes `ledgers/l/funds/dana`, and
    /// a name that is full already stays.
    pub(crate) fn name(&self, name: &str) -> Result<String, Failure> {
        if name::ledger_of(name).is_ok() {
            return Ok(name.to_owned());
        }
        Ok(format!("{}/{name}", self.ledger()?))
    }

    /// The service that takes commands.
    pub(crate) fn commands(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The service that answers questions.
    pub(crate) fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The service that reads the log.
    pub(crate) fn log(&self) -> LogServiceClient<Channel> {
        LogServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The service that reads what a backup holds.
    pub(crate) fn backups(&self) -> BackupServiceClient<Channel> {
        BackupServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// A question as it is sent.
    pub(crate) fn question<T>(&self, message: T) -> Request<T> {
        let mut request = self.stream(message);
        request.set_timeout(self.timeout);
        request
    }

    /// A question whose answer may take as long as it takes.
    pub(crate) fn stream<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(principal) = &self.principal {
            request.metadata_mut().insert(PRINCIPAL_KEY, principal.clone());
        }
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// A command as it is sent.
    pub(crate) fn command<T>(&self, message: T) -> Result<Request<T>, Failure> {
        if self.principal.is_none() && self.token.is_none() && !self.certified {
            return Err(Failure::Usage(
                "who are you? Say --principal ID or set BERGULIR_PRINCIPAL; where the server wants \
                 to know for sure, --tls-cert or --token-file"
                    .to_owned(),
            ));
        }
        Ok(self.question(message))
    }

    /// Waits for the answer to a command and shows it.
    pub(crate) async fn answer_command<A: Answer>(
        &self,
        request_id: &str,
        answer: impl Future<Output = Result<Response<A>, Status>>,
    ) -> Result<(), Failure> {
        let answer = answer.await.map_err(|status| Failure::of_command(&status, request_id))?;
        output::answer(answer.get_ref(), self.json)
    }

    /// Waits for the answer to a question, puts a part of it into a file, and shows the rest.
    pub(crate) async fn answer_into<A: Answer>(
        &self,
        out: Option<&Path>,
        answer: impl Future<Output = Result<Response<A>, Status>>,
        file: impl FnOnce(&A) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let answer = answer.await.map_err(|status| Failure::of_query(&status))?;
        if let Some(out) = out {
            std::fs::write(out, file(answer.get_ref())?).map_err(|error| {
                Failure::CouldNotTell(format!("could not write {}: {error}", out.display()))
            })?;
        }
        output::answer(answer.get_ref(), self.json)
    }

    /// Waits for the answer to a question and shows it.
    pub(crate) async fn answer_query<A: Answer>(
        &self,
        answer: impl Future<Output = Result<Response<A>, Status>>,
    ) -> Result<(), Failure> {
        let answer = answer.await.map_err(|status| Failure::of_query(&status))?;
        output::answer(answer.get_ref(), self.json)
    }
}

/// Where a server listens as a URL. `serve` prints an address, not a URL: what it prints can be
/// passed on as it is.
fn url(address: &str) -> Result<String, Failure> {
    match address.split_once("://") {
        None => Ok(format!("http://{address}")),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok(format!("http://{rest}")),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
            Ok(format!("https://{rest}"))
        }
        Some((scheme, _)) => Err(Failure::Usage(format!(
            "--address {address}: {scheme}:// is not spoken; it must be an address such as \
             127.0.0.1:7447 or {DEFAULT_ADDRESS}"
        ))),
    }
}

/// Whether a host is this machine.
fn is_loopback(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default().trim_matches(['[', ']']);
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical().is_loopback());
    address.unwrap_or(host.eq_ignore_ascii_case("localhost"))
}

/// What the operating system said at the bottom of an error.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Sends one command: the method, its request, the field of the command, and the command.
macro_rules! post {
    ($client:expr, $write:expr, $method:ident, $request:ident { $field:ident: $command:expr }) => {{
        let envelope = $write.envelope();
        let request = $client.command(::bergulir_proto::pb::$request {
            ledger: $client.ledger()?,
            request_id: envelope.request_id.clone(),
            validate_only: envelope.validate_only,
            expected_position: envelope.expected_position,
            $field: Some($command),
        })?;
        let mut commands = $client.commands();
        $client.answer_command(&envelope.request_id, commands.$method(request)).await
    }};
}

/// Asks one question: the service, the method and its request.
macro_rules! ask {
    ($client:expr, $service:ident, $method:ident, $request:expr) => {{
        let request = $client.question($request);
        let mut service = $client.$service();
        $client.answer_query(service.$method(request)).await
    }};
}

/// Asks for a list, page after page unless a page was asked for.
macro_rules! list {
    ($client:expr, $page:expr, $method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let mut token = $page.page_token.clone();
        loop {
            let request = $client.question(::bergulir_proto::pb::$request {
                page_size: $page.size(),
                page_token: token.clone(),
                min_position: $page.fresh.min_position,
                $($field: $value.clone(),)*
            });
            let mut service = $client.queries();
            let answer = service
                .$method(request)
                .await
                .map_err(|status| $crate::failure::Failure::of_query(&status))?
                .into_inner();
            token.clone_from(&answer.next_page_token);
            $crate::output::answer(&answer, $client.json)?;
            if token.is_empty() || !$page.all() {
                break Ok(());
            }
        }
    }};
}

pub(crate) use {ask, list, post};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_or_what_a_server_prints() {
        assert_eq!(url("127.0.0.1:7447").unwrap(), "http://127.0.0.1:7447");
        assert_eq!(url("http://[::1]:7447").unwrap(), "http://[::1]:7447");
        assert_eq!(url("HTTPS://ledger.example.go.id").unwrap(), "https://ledger.example.go.id");
        assert!(url("ftp://x").is_err());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"] {
            assert!(is_loopback(Some(host)), "{host}");
        }
        for host in ["192.0.2.1", "[::2]", "localhost.example", "127.0.0.1.example"] {
            assert!(!is_loopback(Some(host)), "{host}");
        }
        assert!(!is_loopback(None));
    }
}
