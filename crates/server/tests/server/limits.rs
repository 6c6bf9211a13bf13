//! What callers may ask for: how fast, and how much at a time, each principal and all together.

use crate::support::*;
use bergulir_proto::pb;
use bergulir_server::{Limits, PRINCIPAL_KEY, ServerOptions};
use futures::StreamExt as _;
use futures::stream;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use hyper::body::Bytes;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::codegen::http;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn serve(folder: &Path, limits: Limits) -> Server {
    let listen = "127.0.0.1:0".parse().unwrap();
    let metrics = Some(listen);
    Server::run(ServerOptions { limits, metrics, ..ServerOptions::new(folder, listen) }).await
}

/// What a refusal says: the reason, the setting behind it, whose limit it is, and when to come again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) reason: String,
    pub(crate) limit: String,
    principal: Option<String>,
    pub(crate) retry: Duration,
}

pub(crate) fn refused(status: &Status) -> Refused {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "bergulir");
    let retry = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(!retry.is_zero());
    let principal = info.metadata.get("principal").cloned();
    Refused { reason: info.reason, limit: info.metadata["limit"].clone(), principal, retry }
}

/// The reason, the setting and the principal alone.
pub(crate) fn limit(status: &Status) -> (String, String, String) {
    let refused = refused(status);
    (refused.reason, refused.limit, refused.principal.unwrap_or_default())
}

pub(crate) fn said(reason: &str, limit: &str, principal: &str) -> (String, String, String) {
    (reason.to_owned(), limit.to_owned(), principal.to_owned())
}

pub(crate) async fn ask(server: &Server, who: &'static str) -> Result<u64, Status> {
    let request = pb::GetHeadRequest { ledger: KAB.to_owned() };
    let head = server.logs_as(who).get_head(request).await;
    head.map(|head| head.into_inner().log_size)
}

pub(crate) async fn subscribe(
    server: &Server,
    who: &'static str,
) -> Result<tonic::Streaming<pb::SubscribeResponse>, Status> {
    let request =
        pb::SubscribeRequest { ledger: KAB.to_owned(), ..pb::SubscribeRequest::default() };
    server.logs_as(who).subscribe(request).await.map(tonic::Response::into_inner)
}

/// How often something was refused for that reason, as the metrics say.
pub(crate) async fn counted(server: &Server, reason: &str) -> u64 {
    metric(server, &format!("bergulir_refused_total{{reason=\"{reason}\"}} ")).await
}

/// The number behind that beginning of a line of the metrics.
pub(crate) async fn metric(server: &Server, begin: &str) -> u64 {
    let mut stream = TcpStream::connect(server.metrics.unwrap()).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix(begin));
    count.map_or(0, |count| count.parse().unwrap())
}

/// A client that does what it likes with HTTP/2.
pub(crate) struct Raw(SendRequest<Bytes>);

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Raw {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Raw(client)
    }

    /// Begins a call, and sends nothing of its request yet.
    pub(crate) async fn begin(
        &mut self,
        path: &str,
        who: &str,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let request = http::Request::post(format!("http://server/bergulir.v1.{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(PRINCIPAL_KEY, who)
            .body(())
            .unwrap();
        let mut ready = self.0.clone().ready().await.unwrap();
        ready.send_request(request, false).unwrap()
    }
}

/// What a call that is over before its answer begins says.
pub(crate) fn status(answer: &http::Response<RecvStream>) -> Status {
    Status::from_header_map(answer.headers()).unwrap()
}

#[tokio::test]
async fn a_principal_asks_for_so_many_commands_a_second_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { principal_rate: Some(2), principal_burst: Some(20), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let begun = Instant::now();
    let answers: Vec<_> =
        stream::iter((0..100).map(|_| ask(&server, "hasty"))).buffer_unordered(100).collect().await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    let most = 20 + 2 * (begun.elapsed().as_secs() + 1);
    assert!(taken >= 20 && taken as u64 <= most, "{taken} were taken");
    let first = answers.into_iter().find_map(Result::err).unwrap();
    let said_so = refused(&first);
    assert_eq!(limit(&first), said("RATE_LIMITED", "limits.principal_rate", "hasty"));
    assert!(said_so.retry <= Duration::from_millis(500), "{said_so:?}");
    assert!(first.message().contains("2 commands a second"), "{}", first.message());
    assert!(ask(&server, "other").await.is_ok());
    assert!(counted(&server, "RATE_LIMITED").await >= 1);
    // Whoever waits as long as it is told is taken.
    let patient = async {
        while let Err(status) = ask(&server, "hasty").await {
            tokio::time::sleep(refused(&status).retry).await;
        }
    };
    timeout(PATIENCE, patient).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn each_command_of_a_batch_counts() {
    let folder = tempfile::tempdir().unwrap();
    let limits =
        Limits { principal_rate: Some(10), principal_burst: Some(50), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let size = server.size().await;
    let work = |first: u32, count: u32| {
        batch(
            pb::BatchMode::Independent,
            (first..first + count).map(|n| item(register(n))).collect(),
        )
    };
    // More than a bucket holds is taken from a full one, and missing afterwards.
    server.batch("bulk", work(1, 500)).await.unwrap();
    let again = server.batch("bulk", work(501, 1)).await.unwrap_err();
    let refused = refused(&again);
    assert_eq!(refused.reason, "RATE_LIMITED");
    assert!(refused.retry > Duration::from_secs(20), "{refused:?}");
    assert_eq!(server.size().await, size + 500);
    server.stop().await;
}

#[tokio::test]
async fn all_together_ask_for_so_many_commands_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { rate: Some(2), burst: Some(40), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let calls = (0..100).map(|n| ask(&server, names[n % names.len()]));
    let answers: Vec<_> = stream::iter(calls).buffer_unordered(100).collect().await;
    let first = answers.into_iter().find_map(Result::err).expect("made-up names are no way out");
    assert_eq!(limit(&first), said("RATE_LIMITED", "limits.rate", ""));
    server.stop().await;
}

#[tokio::test]
async fn a_stream_of_commands_is_slowed_and_not_refused() {
    let folder = tempfile::tempdir().unwrap();
    let limits =
        Limits { principal_rate: Some(100), principal_burst: Some(20), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let messages = (0..12).map(|m| pb::SubmitStreamRequest {
        ledger: KAB.to_owned(),
        mode: pb::BatchMode::Independent as i32,
        items: (m * 10 + 1..=m * 10 + 10).map(|n| item(register(n))).collect(),
        ..pb::SubmitStreamRequest::default()
    });
    let begun = Instant::now();
    let answers = server.as_caller("steady").submit_stream(stream::iter(messages)).await.unwrap();
    let answers: Vec<_> = timeout(PATIENCE, answers.into_inner().collect()).await.unwrap();
    assert_eq!(answers.len(), 12);
    for answer in answers {
        assert_eq!(answer.unwrap().results.len(), 10);
    }
    // 120 commands, of which 20 are there at once.
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_principal_has_so_many_calls_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { principal_calls: Some(3), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let mut raw = Raw::connect(&server).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(raw.begin("LogService/GetHead", "busy").await);
    }
    // They are on another connection: until they have come, there is room.
    eventually(async || ask(&server, "busy").await.is_err()).await;
    let more = ask(&server, "busy").await.unwrap_err();
    assert_eq!(limit(&more), said("TOO_MANY_CALLS", "limits.principal_calls", "busy"));
    assert!(ask(&server, "other").await.is_ok());
    drop(held);
    eventually(async || ask(&server, "busy").await.is_ok()).await;
    server.stop().await;
}

#[tokio::test]
async fn all_together_have_so_many_calls_under_way_and_health_is_told_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { calls: Some(3), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let mut raw = Raw::connect(&server).await;
    let mut held = Vec::new();
    for who in ["one", "two", "three"] {
        held.push(raw.begin("LogService/GetHead", who).await);
    }
    eventually(async || ask(&server, "four").await.is_err()).await;
    let more = ask(&server, "four").await.unwrap_err();
    assert_eq!(limit(&more), said("TOO_MANY_CALLS", "limits.calls", ""));
    let mut health = HealthClient::new(server.channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap();
    // What is refused is refused before anything of it is read.
    let (answer, _request) = raw.begin("LedgerService/SubmitBatch", "five").await;
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(refused(&status(&answer)).reason, "TOO_MANY_CALLS");
    assert!(counted(&server, "TOO_MANY_CALLS").await >= 2);
    drop(held);
    eventually(async || ask(&server, "four").await.is_ok()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_principal_has_so_many_streams_of_any_kind() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { principal_streams: Some(2), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let records = subscribe(&server, "reader").await.unwrap();
    let commands = server.as_caller("reader").submit_stream(stream::pending()).await.unwrap();
    let more = subscribe(&server, "reader").await.unwrap_err();
    let expected = said("TOO_MANY_STREAMS", "limits.principal_streams", "reader");
    assert_eq!(limit(&more), expected);
    let more = server.as_caller("reader").submit_stream(stream::pending()).await.unwrap_err();
    assert_eq!(limit(&more), expected);
    // Calls are no streams.
    assert!(ask(&server, "reader").await.is_ok());
    assert!(subscribe(&server, "other").await.is_ok());
    drop((records, commands));
    eventually(async || subscribe(&server, "reader").await.is_ok()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_has_so_many_streams_of_each_kind() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        streams: Some(3),
        command_streams: Some(2),
        principal_streams: None,
        ..Limits::default()
    };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let mut records = Vec::new();
    for who in ["a", "b", "b"] {
        records.push(subscribe(&server, who).await.unwrap());
    }
    let more = subscribe(&server, "c").await.unwrap_err();
    assert_eq!(limit(&more), said("TOO_MANY_STREAMS", "limits.streams", ""));
    let mut commands = Vec::new();
    for who in ["a", "b"] {
        // Ends when its sender is dropped.
        let (sender, messages) = futures::channel::mpsc::unbounded();
        let stream = server.as_caller(who).submit_stream(messages).await;
        commands.push((sender, stream.unwrap()));
    }
    let more = server.as_caller("c").submit_stream(stream::pending()).await.unwrap_err();
    assert_eq!(limit(&more), said("TOO_MANY_STREAMS", "limits.command_streams", ""));
    drop((records, commands));
    eventually(async || subscribe(&server, "c").await.is_ok()).await;
    let again = async || server.as_caller("c").submit_stream(stream::empty()).await.is_ok();
    eventually(again).await;
    server.stop().await;
}

#[tokio::test]
async fn messages_and_batches_are_as_long_as_they_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { message_bytes: 65_536, batch_commands: 20, ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let size = server.size().await;
    let work =
        |count: u32| batch(pb::BatchMode::Atomic, (1..=count).map(|n| item(register(n))).collect());
    let (code, info) = why(server.batch("maker", work(21)).await);
    assert_eq!((code, info.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
    let long = server.batch("maker", work(2_000)).await;
    assert_eq!(reason(long), (Code::InvalidArgument, "MESSAGE_TOO_LARGE".to_owned()));
    assert_eq!(server.size().await, size);
    server.batch("maker", work(20)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_connection_too_many_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let second = TcpStream::connect(server.address).await.unwrap();
    // The first has been taken up when the third comes; the second may not have been.
    eventually(async || {
        let mut third = TcpStream::connect(server.address).await.unwrap();
        let read = timeout(Duration::from_millis(200), third.read(&mut [0; 1])).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    })
    .await;
    drop(second);
    assert!(ask(&server, "maker").await.is_ok());
    server.stop().await;
}
