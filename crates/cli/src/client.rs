//! The connection to a server, and what every command and every question has in common.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bergulir_domain::{LedgerId, PrincipalId, Timestamp};
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use bergulir_proto::pb::log_service_client::LogServiceClient;
use bergulir_proto::pb::query_service_client::QueryServiceClient;
use bergulir_proto::{name, pb, timestamp_to_wire};
use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
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
        request
    }

    /// A command as it is sent.
    pub(crate) fn command<T>(&self, message: T) -> Result<Request<T>, Failure> {
        if self.principal.is_none() {
            return Err(Failure::Usage(
                "who are you? Say --principal ID or set BERGULIR_PRINCIPAL".to_owned(),
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
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => Ok(address.to_owned()),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
            Err(Failure::Usage(format!(
                "--address {address}: there is no TLS yet, and nothing is sent in the clear to an \
                 address that asks for it; a server on this machine is at http://{rest}"
            )))
        }
        Some((scheme, _)) => Err(Failure::Usage(format!(
            "--address {address}: {scheme}:// is not spoken; it must be an address such as \
             127.0.0.1:7447 or {DEFAULT_ADDRESS}"
        ))),
    }
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
    fn an_address_that_asks_for_tls_is_refused() {
        assert_eq!(url("127.0.0.1:7447").unwrap(), "http://127.0.0.1:7447");
        assert_eq!(url("http://[::1]:7447").unwrap(), "http://[::1]:7447");
        for address in ["https://127.0.0.1:7447", "HTTPS://ledger.example.go.id"] {
            let refused = url(address).unwrap_err();
            assert!(refused.to_string().contains("there is no TLS yet"), "{refused}");
            assert_eq!(refused.exit_code(), crate::exit::COULD_NOT_TELL);
        }
        assert!(url("ftp://x").is_err());
    }
}
