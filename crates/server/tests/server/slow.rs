//! Callers that send slowly or do not read, and what messages may take of memory.

use crate::limits::{PATIENCE, Raw, ask, counted, metric, refused, serve, status, subscribe};
use crate::support::*;
use bergulir_proto::pb;
use bergulir_server::Limits;
use futures::StreamExt as _;
use futures::stream;
use h2::SendStream;
use hyper::body::Bytes;
use prost::Message as _;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};

const BATCH: &str = "LedgerService/SubmitBatch";
const HEAD: &str = "LogService/GetHead";
const LONG: usize = 4 << 20;

/// The head of a message of so many bytes.
fn head(bytes: usize) -> Bytes {
    let length = u32::try_from(bytes).unwrap().to_be_bytes();
    [&[0], &length[..]].concat().into()
}

fn get_head() -> Bytes {
    let request = pb::GetHeadRequest { ledger: KAB.to_owned() }.encode_to_vec();
    [&head(request.len())[..], &request].concat().into()
}

/// Begins a call whose message of so many bytes never comes; `None` if it is not refused at once.
async fn announce(
    raw: &mut Raw,
    bytes: usize,
) -> (Option<Status>, SendStream<Bytes>, Option<h2::client::ResponseFuture>) {
    let (mut answer, mut request) = raw.begin(BATCH, "maker").await;
    request.send_data(head(bytes), false).unwrap();
    match timeout(Duration::from_millis(300), &mut answer).await {
        Ok(answer) => (Some(status(&answer.unwrap())), request, None),
        Err(_) => (None, request, Some(answer)),
    }
}

#[tokio::test]
async fn messages_on_their_way_take_so_much_memory_of_a_connection_and_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let limits =
        Limits { connection_memory_bytes: 5 << 20, memory_bytes: 8 << 20, ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(Raw::connect(&server).await);
    }
    let first = announce(&mut connections[0], LONG).await;
    assert!(first.0.is_none(), "{:?}", first.0);
    let again = announce(&mut connections[0], LONG).await.0.expect("one connection has 8 MiB");
    let said = refused(&again);
    assert_eq!(said.reason, "MEMORY_LIMITED");
    assert_eq!(said.limit, "limits.connection_memory_bytes");
    let second = announce(&mut connections[1], LONG).await;
    assert!(second.0.is_none(), "{:?}", second.0);
    let third = announce(&mut connections[2], LONG).await.0.expect("the server has 12 MiB");
    assert_eq!(refused(&third).limit, "limits.memory_bytes");
    assert_eq!(counted(&server, "MEMORY_LIMITED").await, 2);
    assert_eq!(metric(&server, "bergulir_message_bytes ").await, 2 * LONG as u64);
    // Most commands are short, and go on.
    assert!(ask(&server, "maker").await.is_ok());
    server.post("maker", register(1)).await.unwrap();
    // Who goes leaves its room.
    drop(first);
    eventually(async || announce(&mut connections[2], LONG).await.0.is_none()).await;
    drop(second);
    eventually(async || metric(&server, "bergulir_message_bytes ").await == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_long_messages_on_one_connection_are_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), Limits::default()).await;
    server.prepare(0).await;
    let mut raw = Raw::connect(&server).await;
    let mut calls = Vec::new();
    for _ in 0..1_000 {
        let (answer, mut request) = raw.begin(BATCH, "maker").await;
        request.send_data(head(LONG), false).unwrap();
        calls.push((answer, request));
    }
    let (mut answers, requests): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    let mut refusals = 0;
    for answer in &mut answers[8..] {
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!(refused(&status(&answer)).reason, "MEMORY_LIMITED");
        refusals += 1;
    }
    assert_eq!(refusals, 992);
    assert_eq!(metric(&server, "bergulir_message_bytes ").await, 32 << 20);
    drop(requests);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_of_commands_waits_for_its_own_memory() {
    let folder = tempfile::tempdir().unwrap();
    let limits =
        Limits { message_bytes: 65_536, connection_memory_bytes: 100_000, ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let messages: Vec<_> = (0..30)
        .map(|m| pb::SubmitStreamRequest {
            ledger: KAB.to_owned(),
            mode: pb::BatchMode::Atomic as i32,
            items: (m * 500 + 1..=m * 500 + 500).map(|n| item(register(n))).collect(),
            ..pb::SubmitStreamRequest::default()
        })
        .collect();
    let bytes = messages[0].encoded_len();
    assert!((33_334..65_536).contains(&bytes), "{bytes}: three of them must not fit");
    let answers = server.as_caller("maker").submit_stream(stream::iter(messages)).await.unwrap();
    let answers: Vec<_> = timeout(PATIENCE, answers.into_inner().collect()).await.unwrap();
    assert_eq!(answers.len(), 30);
    for answer in answers {
        assert_eq!(answer.unwrap().results.len(), 500);
    }
    eventually(async || metric(&server, "bergulir_message_bytes ").await == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn who_sends_slowly_is_not_waited_for_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { message_seconds: Some(1), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let mut raw = Raw::connect(&server).await;
    // Byte by byte.
    let (answer, mut request) = raw.begin(BATCH, "maker").await;
    request.send_data(head(1_000), false).unwrap();
    let trickle = async {
        loop {
            sleep(Duration::from_millis(100)).await;
            if request.send_data(Bytes::from_static(b"x"), false).is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let answer = async { timeout(PATIENCE, answer).await.unwrap().unwrap() };
    let answer = tokio::select! {
        () = trickle => unreachable!("it goes on for ever"),
        answer = answer => answer,
    };
    let said = refused(&status(&answer));
    assert_eq!(
        (said.reason.as_str(), said.limit.as_str()),
        ("MESSAGE_TOO_SLOW", "limits.message_seconds")
    );
    // A request that is whole, and is not ended; and one of which nothing comes.
    for data in [get_head(), Bytes::new()] {
        let (answer, mut request) = raw.begin(HEAD, "maker").await;
        request.send_data(data, false).unwrap();
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!(refused(&status(&answer)).reason, "MESSAGE_TOO_SLOW");
    }
    assert_eq!(counted(&server, "MESSAGE_TOO_SLOW").await, 3);
    server.stop().await;
}

#[tokio::test]
async fn streams_may_rest_for_as_long_as_they_like() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        call_seconds: Some(1),
        message_seconds: Some(1),
        answer_seconds: Some(1),
        ..Limits::default()
    };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let mut records = subscribe(&server, "reader").await.unwrap();
    let (messages, incoming) = futures::channel::mpsc::unbounded();
    let answers = server.as_caller("maker").submit_stream(incoming).await.unwrap();
    let mut answers = answers.into_inner();
    for n in [1, 2] {
        let message = pb::SubmitStreamRequest {
            ledger: KAB.to_owned(),
            mode: pb::BatchMode::Independent as i32,
            items: vec![item(register(n))],
            ..pb::SubmitStreamRequest::default()
        };
        messages.unbounded_send(message).unwrap();
        let answer = timeout(PATIENCE, answers.message()).await.unwrap().unwrap().unwrap();
        assert_eq!(answer.results.len(), 1);
        sleep(Duration::from_millis(3_500)).await;
    }
    let mut seen = 0;
    while seen < 2 {
        let message = timeout(PATIENCE, records.message()).await.unwrap().unwrap().unwrap();
        seen += message.records.len();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_call_takes_no_longer_than_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { call_seconds: Some(1), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(0).await;
    let mut raw = Raw::connect(&server).await;
    let begun = Instant::now();
    let (answer, _request) = raw.begin(HEAD, "maker").await;
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(status(&answer).code(), Code::DeadlineExceeded);
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_call_of_one_message_takes_no_second_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), Limits::default()).await;
    server.prepare(0).await;
    let mut raw = Raw::connect(&server).await;
    let (answer, mut request) = raw.begin(HEAD, "maker").await;
    request.send_data([get_head(), get_head()].concat().into(), false).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    let (code, info) = why::<()>(Err(status(&answer)));
    assert_eq!((code, info.reason.as_str()), (Code::InvalidArgument, "MALFORMED_MESSAGE"));
    server.stop().await;
}

/// A server with some megabytes of records.
async fn with_records(folder: &std::path::Path, limits: Limits) -> Server {
    let server = serve(folder, limits).await;
    server.prepare(0).await;
    for begin in [0, 10_000] {
        let items = (begin + 1..=begin + 10_000).map(|n| item(register(n))).collect();
        server.batch("maker", batch(pb::BatchMode::Independent, items)).await.unwrap();
    }
    server
}

/// Begins to read all records, and takes nothing.
async fn read_records(raw: &mut Raw, who: &str) -> h2::RecvStream {
    let (answer, mut request) = raw.begin("LogService/ReadRecords", who).await;
    let message =
        pb::ReadRecordsRequest { ledger: KAB.to_owned(), ..pb::ReadRecordsRequest::default() };
    let message = message.encode_to_vec();
    request.send_data([&head(message.len())[..], &message].concat().into(), true).unwrap();
    timeout(PATIENCE, answer).await.unwrap().unwrap().into_body()
}

#[tokio::test]
async fn who_does_not_read_its_answer_holds_nothing_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let limits =
        Limits { answer_seconds: Some(1), principal_streams: Some(1), ..Limits::default() };
    let server = with_records(folder.path(), limits).await;
    let mut raw = Raw::connect(&server).await;
    let mut unread = read_records(&mut raw, "reader").await;
    eventually(async || metric(&server, "bergulir_message_bytes ").await > 0).await;
    assert_eq!(
        refused(&subscribe(&server, "reader").await.unwrap_err()).reason,
        "TOO_MANY_STREAMS"
    );
    eventually(async || subscribe(&server, "reader").await.is_ok()).await;
    assert_eq!(counted(&server, "ANSWER_NOT_READ").await, 1);
    eventually(async || metric(&server, "bergulir_message_bytes ").await == 0).await;
    // The caller finds that it was cut off.
    let end = async {
        while let Some(data) = unread.data().await {
            let data = data?;
            unread.flow_control().release_capacity(data.len())?;
        }
        Ok::<(), h2::Error>(())
    };
    let end = timeout(PATIENCE, end).await.unwrap();
    assert!(end.is_err_and(|error| error.is_reset()));
    // Others of the same connection are as before.
    let (answer, mut request) = raw.begin(HEAD, "reader").await;
    request.send_data(get_head(), true).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert!(Status::from_header_map(answer.headers()).is_none());
    server.stop().await;
}

#[tokio::test]
async fn who_reads_slowly_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { answer_seconds: Some(3), ..Limits::default() };
    let server = with_records(folder.path(), limits).await;
    let mut raw = Raw::connect(&server).await;
    let mut slow = read_records(&mut raw, "reader").await;
    let begun = Instant::now();
    let mut bytes = 0;
    let all = async {
        while let Some(data) = slow.data().await {
            let data = data.unwrap();
            bytes += data.len();
            slow.flow_control().release_capacity(data.len()).unwrap();
            if begun.elapsed() < Duration::from_secs(6) {
                sleep(Duration::from_millis(200)).await;
            }
        }
        slow.trailers().await.unwrap()
    };
    let trailers = timeout(PATIENCE, all).await.unwrap().unwrap();
    assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::Ok);
    assert!(bytes > 2 << 20, "{bytes}");
    server.stop().await;
}
