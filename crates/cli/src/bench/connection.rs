//! gRPC by hand over one HTTP/2 connection: prepared bytes go out, bytes come back. A generated
//! client costs several times as much for each call.

use std::net::SocketAddr;

use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use prost::bytes::Bytes;
use tokio::net::TcpStream;
use tonic::codegen::http::{HeaderMap, Method, Request, Version};
use tonic::{Code, Status};

use super::encode::PREFIX_BYTES;
use crate::client::PRINCIPAL_KEY;
use crate::desk::Person;
use crate::failure::Failure;

/// What may be under way to the client, so that a server never waits for it: of one call, and of
/// all.
const CALL_WINDOW: u32 = 16 << 20;
const WINDOW: u32 = 64 << 20;
/// Large answers come in few pieces.
const FRAME_BYTES: u32 = 1 << 20;

/// A connection to the server.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
}

/// A method of the server, ready to be called.
#[derive(Debug, Clone)]
pub(crate) struct Call(Request<()>);

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Connection, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::CouldNotTell(format!("the server does not answer at {address}: {error}"))
        };
        let tcp = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
        tcp.set_nodelay(true).map_err(|error| failed(&error))?;
        let (requests, connection) = Builder::new()
            .initial_window_size(CALL_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_frame_size(FRAME_BYTES)
            .handshake(tcp)
            .await
            .map_err(|error| failed(&error))?;
        // It ends with the last handle; what goes wrong shows in the calls.
        tokio::spawn(connection);
        Ok(Connection { requests, address })
    }

    /// A method, such as `LedgerService/SubmitBatch`, called as the maker.
    pub(crate) fn method(&self, name: &str) -> Result<Call, Failure> {
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("http://{}/bergulir.v1.{name}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(PRINCIPAL_KEY, Person::Maker.principal())
            .body(());
        request.map(Call).map_err(Failure::could_not)
    }

    /// Calls a method with one message, prefix included. The answer replaces what is in `answer`.
    pub(crate) async fn call(
        &self,
        call: &Call,
        message: Vec<u8>,
        answer: &mut Answers,
    ) -> Result<(), Status> {
        self.begin(call, message, answer).await?;
        answer.read_to_end().await
    }

    /// Calls a method with one message, prefix included, that is answered by one. It is given to `each`
    /// piece by piece, as it comes.
    pub(crate) async fn call_in_pieces(
        &self,
        call: &Call,
        message: Vec<u8>,
        answer: &mut Answers,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Status> {
        self.begin(call, message, answer).await?;
        while answer.bytes.len() < PREFIX_BYTES {
            if !answer.more().await? {
                return Ok(());
            }
        }
        let (prefix, first) = answer.bytes.split_at(PREFIX_BYTES);
        let announced = prefix[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let mut length = first.len();
        each(first);
        while let Some(piece) = answer.piece().await? {
            length += piece.len();
            each(&piece);
        }
        if length != announced {
            let wrong = format!("the answer has {length} bytes, and announced {announced}");
            return Err(Status::new(Code::Unavailable, wrong));
        }
        Ok(())
    }

    /// Calls a method with one message, prefix included, that is answered by a stream of them.
    pub(crate) async fn ask(&self, call: &Call, message: Vec<u8>) -> Result<Answers, Status> {
        let mut answers = Answers::default();
        self.begin(call, message, &mut answers).await?;
        Ok(answers)
    }

    async fn begin(
        &self,
        call: &Call,
        message: Vec<u8>,
        answers: &mut Answers,
    ) -> Result<(), Status> {
        let mut requests = self.requests.clone().ready().await.map_err(broken)?;
        let (response, mut sender) =
            requests.send_request(call.0.clone(), false).map_err(broken)?;
        sender.send_data(Bytes::from(message), true).map_err(broken)?;
        let (head, body) = response.await.map_err(broken)?.into_parts();
        answers.begin(&head.headers, body)
    }

    /// Begins a stream of messages.
    pub(crate) async fn stream(
        &self,
        call: &Call,
    ) -> Result<(h2::SendStream<Bytes>, Answers), Status> {
        let mut requests = self.requests.clone().ready().await.map_err(broken)?;
        let (response, sender) = requests.send_request(call.0.clone(), false).map_err(broken)?;
        let (head, body) = response.await.map_err(broken)?.into_parts();
        let mut answers = Answers::default();
        answers.begin(&head.headers, body)?;
        Ok((sender, answers))
    }
}

/// The connection, or the protocol on it, failed.
#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
pub(crate) fn broken(error: h2::Error) -> Status {
    Status::new(Code::Unavailable, format!("the connection failed: {error}"))
}

/// What comes back of a call: bytes with messages in them. The buffer is kept for the next call.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    body: Option<RecvStream>,
    bytes: Vec<u8>,
    /// Up to where `bytes` has been read.
    read: usize,
}

impl Answers {
    fn begin(&mut self, headers: &HeaderMap, body: RecvStream) -> Result<(), Status> {
        self.bytes.clear();
        self.read = 0;
        ended(headers)?;
        self.body = Some(body);
        Ok(())
    }

    /// Waits for more bytes; `None` at the end.
    async fn piece(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let Some(data) = body.data().await else {
            if let Some(trailers) = body.trailers().await.map_err(broken)? {
                ended(&trailers)?;
            }
            self.body = None;
            return Ok(None);
        };
        let data = data.map_err(broken)?;
        body.flow_control().release_capacity(data.len()).map_err(broken)?;
        Ok(Some(data))
    }

    /// Waits for more bytes behind those that are here; false at the end.
    async fn more(&mut self) -> Result<bool, Status> {
        let Some(data) = self.piece().await? else { return Ok(false) };
        self.bytes.drain(..std::mem::take(&mut self.read));
        self.bytes.extend_from_slice(&data);
        Ok(true)
    }

    async fn read_to_end(&mut self) -> Result<(), Status> {
        while self.more().await? {}
        Ok(())
    }

    /// The next message, if it is here.
    pub(crate) fn here(&mut self) -> Option<&[u8]> {
        let rest = &self.bytes[self.read..];
        let length: [u8; 4] = rest.get(1..PREFIX_BYTES)?.try_into().ok()?;
        let length = PREFIX_BYTES + usize::try_from(u32::from_be_bytes(length)).ok()?;
        let message = rest.get(PREFIX_BYTES..length)?;
        self.read += length;
        Some(message)
    }

    /// Waits for the next message; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<&[u8]>, Status> {
        while !self.has_one() {
            if !self.more().await? {
                return Ok(None);
            }
        }
        Ok(self.here())
    }

    fn has_one(&self) -> bool {
        let rest = &self.bytes[self.read..];
        rest.get(1..).and_then(|rest| rest.first_chunk()).is_some_and(|length| {
            usize::try_from(u32::from_be_bytes(*length))
                .is_ok_and(|length| rest.len() >= PREFIX_BYTES + length)
        })
    }

    /// Waits until more has come; a stream that has ended is unexpected.
    pub(crate) async fn wait(&mut self) -> Result<(), Status> {
        if self.more().await? {
            Ok(())
        } else {
            Err(Status::new(Code::Unavailable, "the stream ended before it was answered"))
        }
    }
}

fn ended(headers: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status),
        Some(_) | None => Ok(()),
    }
}
