//! `UmaDB`: an event store behind gRPC, written in Rust; its own program, loaded by a client made of
//! the parts of its schema that are needed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tonic::Request;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::events::Event;
use crate::failure::Failure;
use crate::load::{Client, drive};
use crate::process::{Process, free_port, program, version};
use crate::system::{Load, Missing, Running, System};

const BATCHES: usize = 8;
/// More calls share a connection than not: separate ones take twice the work.
const CONNECTIONS: usize = 4;

pub struct Umadb {
    program: Option<PathBuf>,
}

impl Umadb {
    pub fn new(named: Option<PathBuf>) -> Umadb {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")));
        let installed = home.map(|home| home.join("bin").join("umadb"));
        let usual = || [PathBuf::from("umadb")].into_iter().chain(installed).collect();
        Umadb { program: program(&named.map_or_else(usual, |at| vec![at])) }
    }

    fn program(&self) -> Result<&Path, Missing> {
        self.program.as_deref().ok_or_else(|| Missing {
            what: "UmaDB (umadb) is not on this machine".to_owned(),
            install: "apt-get install protobuf-compiler cmake && cargo install umadb --locked, or \
                      name it with --umadb"
                .to_owned(),
        })
    }
}

impl System for Umadb {
    fn name(&self) -> &'static str {
        "umadb"
    }

    fn title(&self) -> &'static str {
        "UmaDB"
    }

    fn checks(&self) -> &'static str {
        "nothing without a condition: no rules, no duplicates, no chain, no balances"
    }

    fn setting(&self, load: Load) -> String {
        let clients = load.clients(BATCHES);
        format!("gRPC, {clients} writers on {CONNECTIONS} connections, no tags, no condition")
    }

    fn find(&self) -> Result<String, Missing> {
        let said = version(self.program()?).unwrap_or_default();
        Ok(said.trim_start_matches("umadb ").to_owned())
    }

    fn run<'a>(&'a self, load: Load, folder: &'a Path, time: Duration) -> Running<'a> {
        Box::pin(async move {
            let program =
                self.program().map_err(|missing| Failure::Refused(missing.to_string()))?;
            let port = free_port()?;
            let address = format!("127.0.0.1:{port}");
            let mut command = Command::new(program);
            command.args(["--listen", &address, "--db-path"]).arg(folder.join("uma.db"));
            let mut process =
                Process::start("umadb", &mut command, folder, None)?.killed_at_the_end();
            process.listening(port).await?;
            let mut connections = Vec::new();
            for _ in 0..CONNECTIONS {
                let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
                connections.push(endpoint.tcp_nodelay(true).connect().await?);
            }
            let before = head(&connections[0]).await?;
            let clients = load.clients(BATCHES);
            let clients = connections.iter().cycle().take(clients).cloned().map(Writer).collect();
            let measured = drive(clients, load.events(), time).await?;
            measured.stored(head(&connections[0]).await? - before)
        })
    }
}

async fn head(connection: &Channel) -> Result<u64, Failure> {
    let answer: Position = call(connection, "/umadb.v1.DCB/Head", Nothing {}).await?;
    Ok(answer.position.unwrap_or(0))
}

async fn call<Q, A>(connection: &Channel, method: &'static str, message: Q) -> Result<A, Failure>
where
    Q: prost::Message + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let mut grpc = Grpc::new(connection.clone());
    grpc.ready().await?;
    let codec: ProstCodec<Q, A> = ProstCodec::default();
    let method = PathAndQuery::from_static(method);
    Ok(grpc.unary(Request::new(message), method, codec).await?.into_inner())
}

struct Writer(Channel);

impl Client for Writer {
    async fn send(&mut self, events: &[Event]) -> Result<(), Failure> {
        let events = events.iter().map(|event| Written {
            event_type: "posted".to_owned(),
            // The id is the event's own; the rest is its content.
            data: event.bytes()[16..].to_vec(),
            uuid: Uuid::from_bytes(event.id).to_string(),
        });
        let append = Append { events: events.collect() };
        let _: Position = call(&self.0, "/umadb.v1.DCB/Append", append).await?;
        Ok(())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Written {
    #[prost(string, tag = "1")]
    event_type: String,
    #[prost(bytes = "vec", tag = "3")]
    data: Vec<u8>,
    #[prost(string, tag = "4")]
    uuid: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Append {
    #[prost(message, repeated, tag = "1")]
    events: Vec<Written>,
}

/// The answer to both calls: there is always one after an append.
#[derive(Clone, PartialEq, prost::Message)]
struct Position {
    #[prost(uint64, optional, tag = "1")]
    position: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}
