//! Callers that do what no library would: that do not read, send byte by byte, or break the rules of
//! HTTP/2.

use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use prost::Message;
use prost::bytes::Bytes;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::codegen::http::{Method, Request, Version};

/// What the server may send of a call, and of all of a connection, before it is read: the least that
/// HTTP/2 begins with.
const WINDOW: u32 = 65_535;

/// A connection by hand; closed when dropped.
pub struct Raw {
    requests: SendRequest<Bytes>,
    address: String,
    silence: Arc<Notify>,
    connection: JoinHandle<()>,
}

impl Raw {
    pub async fn connect(address: &str) -> Raw {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        let silence = Arc::new(Notify::new());
        let silent = Arc::clone(&silence);
        let connection = tokio::spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                () = silent.notified() => pending().await,
            }
        });
        Raw { requests, address: address.to_owned(), silence, connection }
    }

    /// From here on nothing is read or said; the connection stays open, as if the power of a machine
    /// were gone.
    pub fn fall_silent(&self) {
        self.silence.notify_one();
    }

    /// Begins a call.
    pub async fn call(&self, method: &str, as_: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("http://{}/bergulir.v1.{method}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("bergulir-principal", as_);
        let mut requests = self.requests.clone().ready().await.unwrap();
        requests.send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// Calls with one message; gives what is streamed back, unread.
    pub async fn answers(&self, method: &str, as_: &str, message: &impl Message) -> RecvStream {
        let (answer, mut sending) = self.call(method, as_).await;
        sending.send_data(framed(message), true).unwrap();
        answer.await.unwrap().into_body()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A message as gRPC sends it.
pub fn framed(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    framed.extend(bytes);
    framed.into()
}

/// Sends bytes, as many at once as the server takes; false if it takes no more.
pub async fn send(sending: &mut SendStream<Bytes>, mut bytes: Bytes) -> bool {
    while !bytes.is_empty() {
        sending.reserve_capacity(bytes.len());
        let room = match poll_fn(|context| sending.poll_capacity(context)).await {
            Some(Ok(room)) => room.min(bytes.len()),
            Some(Err(_)) | None => return false,
        };
        if sending.send_data(bytes.split_to(room), false).is_err() {
            return false;
        }
    }
    true
}

/// What a call ended with: its code, from the headers or the trailers.
pub async fn code(answer: ResponseFuture) -> Option<String> {
    let status = |headers: &tonic::codegen::http::HeaderMap| {
        headers.get("grpc-status").map(|code| code.to_str().unwrap().to_owned())
    };
    let answer = answer.await.ok()?;
    if let Some(code) = status(answer.headers()) {
        return Some(code);
    }
    let mut body = answer.into_body();
    while let Some(Ok(bytes)) = body.data().await {
        let _ = body.flow_control().release_capacity(bytes.len());
    }
    status(&body.trailers().await.ok()??)
}

/// What a client says first: the preface, and empty settings.
pub fn greeting() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, &[])[..]].concat()
}

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call, encoded for HPACK without its tables.
pub fn headers() -> Vec<u8> {
    // POST and http, by their places in the static table.
    let mut block = vec![0x83, 0x86];
    let mut literal = |name: &str, value: &str| {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    };
    literal(":path", "/bergulir.v1.QueryService/GetBalance");
    literal(":authority", "test");
    literal("content-type", "application/grpc");
    literal("te", "trailers");
    literal("bergulir-principal", "maker");
    block
}
