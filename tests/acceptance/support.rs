//! The real binary as a child process, and a client of it.

use bergulir_domain::Command;
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use bergulir_proto::pb::log_service_client::LogServiceClient;
use bergulir_proto::pb::query_service_client::QueryServiceClient;
use bergulir_proto::pb::{self, Receipt};
use bergulir_proto::wire::{self, RequestParts};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

pub const LEDGER: &str = "ledgers/pilot";

/// The binary under test, with these arguments.
pub fn bergulir<'a>(args: impl IntoIterator<Item = &'a str>) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bergulir"));
    command.args(args);
    command
}

/// Runs the binary to its end.
pub fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    ended(bergulir(args), Duration::from_secs(600))
}

/// Runs the binary with arguments that it must refuse: a server that starts instead would never end.
pub fn run_briefly<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    ended(bergulir(args), Duration::from_secs(60))
}

/// Runs a command to its end, which must come by then.
pub fn ended(mut command: std::process::Command, limit: Duration) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = rustix::process::Pid::from_child(&child);
    let (done, waiting) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
        // It is not waited for yet, so the number is still its own.
        late && rustix::process::kill_process(id, rustix::process::Signal::KILL).is_ok()
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    assert!(!watch.join().unwrap(), "it did not end within {limit:?}: {command:?}: {output:?}");
    output
}

/// The connection of a child that is expected to call, if it does before it ends.
pub fn accept(listener: &TcpListener, child: &mut Child) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    for _ in 0..1_200 {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            return stream;
        }
        if let Some(ended) = child.try_wait().unwrap() {
            panic!("it ended before it called: {ended}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    panic!("it did not call: {:?}", child.wait());
}

/// The last line of standard output, which is one JSON object.
pub fn last_json(output: &Output) -> serde_json::Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| {
        panic!("{error}: {stdout}\n{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// The number that an environment variable sets.
pub fn number(variable: &str, default: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(default, |set| set.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Every file in a folder and in those in it, by its path from there, which begins with `/`.
pub fn files_below(folder: &Path) -> Vec<String> {
    let (mut files, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = open.pop() {
        for found in std::fs::read_dir(next).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(format!("/{}", path.strip_prefix(folder).unwrap().display()));
            }
        }
    }
    files.sort();
    files
}

/// How many segments the logs in a data directory have.
pub fn segments_below(data: &Path) -> usize {
    let files = files_below(data);
    let is_segment = |path: &&String| Path::new(path).extension().is_some_and(|end| end == "seg");
    files.iter().filter(is_segment).count()
}

/// A running server or witness; killed when dropped.
pub struct Server {
    child: Child,
    pub address: String,
    /// What it printed before it was ready.
    pub printed: Vec<String>,
    // Kept open: a server whose output nobody can read may stumble over it.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts a server on a data directory and waits until it is ready.
    pub fn start(data: &Path) -> Server {
        Server::run(["serve", "--data", data.to_str().unwrap()])
    }

    /// Starts something that listens and waits until it is ready.
    pub fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> Server {
        Server::try_run(args).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`run`](Self::run), if it gets ready.
    pub fn try_run<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Server, String> {
        let mut command = bergulir(args);
        command.args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null());
        Server::try_command(command)
    }

    /// As [`run`](Self::run), with where it listens, its environment and where it logs as the command
    /// has them.
    pub fn command(command: std::process::Command) -> Server {
        Server::try_command(command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As [`command`](Self::command), if it gets ready.
    pub fn try_command(mut command: std::process::Command) -> Result<Server, String> {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (mut line, mut printed) = (String::new(), Vec::new());
        while stdout.read_line(&mut line).unwrap() > 0 {
            if let Some(address) = line.trim().strip_prefix("listening on ") {
                let address = address.to_owned();
                return Ok(Server { child, address, printed, _stdout: stdout });
            }
            printed.push(line.trim().to_owned());
            line.clear();
        }
        Err(format!("the server ended before it was ready: {:?}", child.wait()))
    }

    /// The memory that it has, in bytes; 0 where the system does not tell.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10)
    }

    /// Starts something and kills it at some moment after that, ready or not.
    pub fn kill_after<'a>(args: impl IntoIterator<Item = &'a str>, moment: Duration) {
        let mut child = bergulir(args)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().unwrap()
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, when it has.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// An address that it printed before it was ready.
    pub fn printed_address(&self, before: &str, after: &str) -> String {
        let found = self
            .printed
            .iter()
            .find_map(|line| line.strip_prefix(before)?.strip_suffix(after).map(str::to_owned));
        found.unwrap_or_else(|| panic!("{before}: {:?}", self.printed))
    }

    /// One request over HTTP/1.1, with its answer.
    pub fn http(&self, method: &str, path: &str, body: &[u8]) -> HttpAnswer {
        http(&self.address, method, path, body)
    }

    pub async fn client(&self, principal: &str) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let principal = As(principal.parse().unwrap());
        Client {
            ledger: LedgerServiceClient::with_interceptor(channel.clone(), principal.clone()),
            log: LogServiceClient::with_interceptor(channel.clone(), principal.clone()),
            query: QueryServiceClient::with_interceptor(channel, principal),
        }
    }
}

/// One request over HTTP/1.1, with its answer.
pub fn http(address: &str, method: &str, path: &str, body: &[u8]) -> HttpAnswer {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // What is too long may be refused before it is read.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    HttpAnswer { status, head, body: answer[end + 4..].to_vec() }
}

/// What came back over HTTP.
pub struct HttpAnswer {
    pub status: u16,
    /// The status line and the headers, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// States the principal of every call.
#[derive(Clone)]
pub struct As(MetadataValue<tonic::metadata::Ascii>);

impl Interceptor for As {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("bergulir-principal", self.0.clone());
        Ok(request)
    }
}

#[derive(Clone)]
pub struct Client {
    pub ledger: LedgerServiceClient<InterceptedService<Channel, As>>,
    pub query: QueryServiceClient<InterceptedService<Channel, As>>,
    pub log: LogServiceClient<InterceptedService<Channel, As>>,
}

impl Client {
    /// Sends one command by its own method.
    pub async fn send(&mut self, request_id: Uuid, command: &Command) -> Result<Receipt, Status> {
        self.send_to(LEDGER, request_id, command).await
    }

    /// The same to that ledger.
    pub async fn send_to(
        &mut self,
        ledger: &str,
        request_id: Uuid,
        command: &Command,
    ) -> Result<Receipt, Status> {
        let parts = RequestParts {
            ledger: ledger.to_owned(),
            request_id: request_id.to_string(),
            validate_only: false,
            expected_position: None,
            kind: wire::command_to_wire(command).unwrap().kind,
        };
        let reply = wire::send(&mut self.ledger, parts).await?;
        Ok(reply.receipt.unwrap())
    }

    /// Sends one command under a fresh id, which must be accepted.
    pub async fn post(&mut self, command: &Command) -> Receipt {
        self.send(Uuid::new_v4(), command).await.unwrap()
    }

    /// Every record of the ledger, by position.
    pub async fn records(&mut self) -> Vec<pb::Record> {
        self.try_records().await.unwrap()
    }

    /// Every record of the ledger, by position, if it can be read.
    pub async fn try_records(&mut self) -> Result<Vec<pb::Record>, Status> {
        let request = pb::ReadRecordsRequest {
            ledger: LEDGER.to_owned(),
            ..pb::ReadRecordsRequest::default()
        };
        let mut stream = self.log.read_records(request).await?.into_inner();
        let mut records = Vec::new();
        while let Some(message) = stream.message().await? {
            records.extend(message.records);
        }
        Ok(records)
    }
}
