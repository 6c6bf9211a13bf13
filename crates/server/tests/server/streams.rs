//! Streams of commands: many messages under way, answered in their order.

use crate::support::*;
use bergulir_engine::LedgerOptions;
use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use futures::stream::{self, StreamExt as _};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};

const PATIENCE: Duration = Duration::from_secs(60);

fn message(mode: pb::BatchMode, items: Vec<pb::BatchItem>) -> pb::SubmitStreamRequest {
    pb::SubmitStreamRequest {
        ledger: KAB.to_owned(),
        mode: mode as i32,
        items,
        ..pb::SubmitStreamRequest::default()
    }
}

fn independent(items: Vec<pb::BatchItem>) -> pb::SubmitStreamRequest {
    message(pb::BatchMode::Independent, items)
}

fn atomic(items: Vec<pb::BatchItem>) -> pb::SubmitStreamRequest {
    message(pb::BatchMode::Atomic, items)
}

/// Messages of so many registrations each, the first of cooperative 1.
fn registrations(mode: pb::BatchMode, messages: u32, each: u32) -> Vec<pb::SubmitStreamRequest> {
    let items = |first| (first..first + each).map(|n| item(register(n))).collect();
    (0..messages).map(|m| message(mode, items(m * each + 1))).collect()
}

/// Sends all messages without waiting, and gives what was answered until the end, and how it ended.
async fn send(
    server: &Server,
    messages: Vec<pb::SubmitStreamRequest>,
) -> (Vec<pb::SubmitStreamResponse>, Result<(), Status>) {
    let answers = server.as_caller("maker").submit_stream(stream::iter(messages)).await;
    match answers {
        Ok(answers) => read(answers.into_inner()).await,
        Err(status) => (Vec::new(), Err(status)),
    }
}

async fn read(
    mut answers: Streaming<pb::SubmitStreamResponse>,
) -> (Vec<pb::SubmitStreamResponse>, Result<(), Status>) {
    let mut read = Vec::new();
    loop {
        match timeout(PATIENCE, answers.message()).await.unwrap() {
            Ok(Some(answer)) => read.push(answer),
            Ok(None) => return (read, Ok(())),
            Err(status) => return (read, Err(status)),
        }
    }
}

/// Position and duplicate of each command, or why it was refused.
fn said(answer: &pb::SubmitStreamResponse, size: u64) -> Vec<String> {
    if let Some(error) = &answer.error {
        assert!(answer.results.is_empty());
        return vec![format!("whole {} {}", error.code, error.reason)];
    }
    let each = answer.results.iter().map(|result| match result.outcome.as_ref().unwrap() {
        Outcome::Receipt(receipt) => format!("{} {}", receipt.position - size, receipt.duplicate),
        Outcome::Error(error) => format!("{} {}", error.code, error.reason),
    });
    each.collect()
}

fn positions(answers: &[pb::SubmitStreamResponse]) -> Vec<u64> {
    let results = answers.iter().flat_map(|answer| &answer.results);
    results
        .map(|result| match result.outcome.as_ref().unwrap() {
            Outcome::Receipt(receipt) => receipt.position,
            Outcome::Error(error) => panic!("{error:?}"),
        })
        .collect()
}

/// Why a stream ended, and at which message.
fn end(ended: Result<(), Status>) -> (Code, String, String) {
    let (code, mut info) = why(ended);
    (code, info.reason, info.metadata.remove("message").unwrap_or_default())
}

#[tokio::test]
async fn messages_are_answered_in_their_order_as_batches_are() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    let size = server.size().await;
    let good = item(allocate(1_000, "alloc-2"));
    let unnamed = |message| pb::SubmitStreamRequest { ledger: String::new(), ..message };
    let messages = vec![
        independent(vec![good.clone(), item(allocate(0, "alloc-3"))]),
        unnamed(independent(vec![good])),
        // Both of one message, or none.
        unnamed(atomic(vec![item(propose_loan(1, 100)), item(disburse(1, 100, "out-1"))])),
        atomic(vec![item(propose_loan(1, 100)), item(allocate(1, "alloc-4"))]),
        // Names another ledger, has no commands, has a command of wrong form.
        pb::SubmitStreamRequest { ledger: "ledgers/x".to_owned(), ..independent(Vec::new()) },
        independent(Vec::new()),
        atomic(vec![item(allocate(1, "alloc-5")), item(allocate(0, "alloc-6"))]),
        pb::SubmitStreamRequest {
            expected_position: Some(size),
            ..atomic(vec![item(allocate(1, "alloc-7"))])
        },
        pb::SubmitStreamRequest {
            validate_only: true,
            expected_position: Some(size + 3),
            ..atomic(vec![item(allocate(1, "alloc-8"))])
        },
        independent(vec![item(disburse(1, 100, "out-1")), item(allocate(1, "alloc-9"))]),
    ];
    let (answers, ended) = send(&server, messages).await;
    ended.unwrap();
    assert_eq!(answers[8].results.len(), 1);
    let validated =
        pb::BatchItemResult { outcome: Some(Outcome::Receipt(pb::BatchReceipt::default())) };
    assert_eq!(answers[8].results[0], validated);
    let all: Vec<_> = answers.iter().enumerate().filter(|(n, _)| *n != 8).collect();
    let all: Vec<Vec<String>> = all.into_iter().map(|(_, answer)| said(answer, size)).collect();
    let expected: [&[&str]; 9] = [
        &["0 false", "3 INVALID_FIELD"],
        &["0 true"],
        &["whole 9 LOAN_NOT_APPROVED"],
        &["1 false", "2 false"],
        &["whole 3 INVALID_FIELD"],
        &["whole 3 INVALID_FIELD"],
        &["whole 3 INVALID_FIELD"],
        &["whole 10 HEAD_MOVED"],
        &["9 LOAN_NOT_APPROVED", "3 false"],
    ];
    assert_eq!(all, expected);
    let refused = answers[2].error.as_ref().unwrap();
    assert_eq!(refused.metadata["item"], "1");
    let wrong = answers[6].error.as_ref().unwrap();
    assert_eq!(wrong.field_violations[0].field, "items[1].command.allocate_fund.amount");
    let Outcome::Receipt(receipt) = answers[3].results[0].outcome.clone().unwrap() else {
        panic!("refused")
    };
    assert_eq!(receipt.balances.unwrap().loan.unwrap().principal, rp(100));
    assert!(answers[3].log_size >= size + 3);
    assert_eq!(server.size().await, size + 4);
    server.stop().await;
}

#[tokio::test]
async fn short_messages_that_come_together_are_answered_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let size = server.size().await;
    let mut messages = registrations(pb::BatchMode::Independent, 3_000, 1);
    // Sizes that differ, and a command that is refused by itself.
    messages[1_500].items.push(item(register(5_000)));
    messages[2_000].items[0] = item(disburse(1, 1, "out-1"));
    let (answers, ended) = send(&server, messages).await;
    ended.unwrap();
    assert_eq!(answers.len(), 3_000);
    assert_eq!(said(&answers[2_000], size), ["5 LOAN_NOT_FOUND"]);
    assert_eq!(said(&answers[1_500], size), ["1500 false", "1501 false"]);
    let others: Vec<_> = [&answers[..2_000], &answers[2_001..]].concat();
    assert_eq!(positions(&others), (size..size + 3_000).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_about_one_message_ends_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let size = server.size().await;

    let good = registrations(pb::BatchMode::Independent, 2, 1);
    let nobody = server.ledgers().submit_stream(stream::iter(good.clone())).await.map(|_| ());
    assert_eq!(reason(nobody), (Code::Unauthenticated, "PRINCIPAL_MISSING".to_owned()));
    for (ledger, code, reason) in [
        ("", Code::InvalidArgument, "INVALID_FIELD"),
        ("kab", Code::InvalidArgument, "INVALID_FIELD"),
        ("ledgers/none", Code::NotFound, "LEDGER_NOT_FOUND"),
    ] {
        let mut messages = good.clone();
        messages[0].ledger = ledger.to_owned();
        let (answers, ended) = send(&server, messages).await;
        assert!(answers.is_empty());
        assert_eq!(end(ended), (code, reason.to_owned(), "0".to_owned()));
    }
    assert_eq!(server.size().await, size);

    // One that is too long comes after two that are answered.
    let mut messages = good;
    let mut long = allocate(1, "alloc-2");
    if let pb::command::Kind::AllocateFund(allocate) = &mut long {
        allocate.reference = "x".repeat(bergulir_server::limits::MAX_MESSAGE_BYTES);
    }
    messages.push(independent(vec![item(long)]));
    messages.extend(registrations(pb::BatchMode::Independent, 1, 3));
    let (answers, ended) = send(&server, messages).await;
    assert_eq!(positions(&answers), [size, size + 1]);
    let too_long = (Code::InvalidArgument, "MESSAGE_TOO_LARGE".to_owned(), "2".to_owned());
    assert_eq!(end(ended), too_long);
    assert_eq!(server.size().await, size + 2);
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_slows_streams_and_refuses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = LedgerOptions { queue: 1, ..LedgerOptions::default() };
    let server = Server::with(folder.path(), options).await;
    server.prepare(0).await;
    let size = server.size().await;
    // Atomic ones do not join, so that each is a piece of work.
    let messages = registrations(pb::BatchMode::Atomic, 900, 2);
    let parts = messages.chunks(300).map(|part| send(&server, part.to_vec()));
    let all = futures::future::join_all(parts).await;
    let mut seen = Vec::new();
    for (answers, ended) in all {
        ended.unwrap();
        assert_eq!(answers.len(), 300);
        let positions = positions(&answers);
        assert!(positions.is_sorted(), "{positions:?}");
        assert!(positions.chunks(2).all(|pair| pair[0] + 1 == pair[1]));
        seen.extend(positions);
    }
    seen.sort_unstable();
    assert_eq!(seen, (size..size + 1_800).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_read_answers_is_not_read_from() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let size = server.size().await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let narrow = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    let mut client = LedgerServiceClient::with_interceptor(narrow, As("maker"));
    let messages = registrations(pb::BatchMode::Atomic, 200, 100);
    let mut answers = client.submit_stream(stream::iter(messages)).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!(first.results.len(), 100);
    let mut before = 0;
    let stalled = loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = server.size().await;
        if now == before {
            break now - size;
        }
        before = now;
    };
    assert!(stalled < 10_000, "{stalled} commands were decided for a caller who does not read");
    let (rest, ended) = read(answers).await;
    ended.unwrap();
    assert_eq!(rest.len(), 199);
    assert_eq!(server.size().await, size + 20_000);
    server.stop().await;
}

/// Sends the messages again as batches: which of them had been recorded?
async fn recorded(server: &Server, messages: Vec<pb::SubmitStreamRequest>) -> Vec<bool> {
    let mut all = Vec::new();
    for message in messages {
        let work = pb::SubmitBatchRequest {
            items: message.items,
            ..batch(pb::BatchMode::Atomic, Vec::new())
        };
        let answer = loop {
            match server.batch("maker", work.clone()).await {
                // The disk is slow just now.
                Err(status) if status.code() == Code::ResourceExhausted => {}
                answered => break answered.unwrap(),
            }
        };
        let duplicates = answer.results.iter().filter(|result| {
            matches!(&result.outcome, Some(Outcome::Receipt(receipt)) if receipt.duplicate)
        });
        let duplicates = duplicates.count();
        assert!([0, answer.results.len()].contains(&duplicates), "half of a batch is recorded");
        all.push(duplicates > 0);
    }
    all
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_whole_messages_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let messages = registrations(pb::BatchMode::Atomic, 400, 20);
    let mut client = server.as_caller("maker");
    let answers = client.submit_stream(stream::iter(messages.clone())).await.unwrap();
    let mut answers = answers.into_inner();
    for _ in 0..20 {
        answers.message().await.unwrap().unwrap();
    }
    drop(answers);
    let recorded = recorded(&server, messages).await;
    assert!(recorded[..20].iter().all(|recorded| *recorded));
    // In their order, and not to the end.
    let count = recorded.iter().filter(|recorded| **recorded).count();
    assert!(recorded[..count].iter().all(|recorded| *recorded), "{recorded:?}");
    assert!(count < 400);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_ends_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let messages = registrations(pb::BatchMode::Atomic, 2_000, 2);
    let (sender, receiver) = mpsc::channel(4);
    let sent = messages.clone();
    tokio::spawn(async move {
        for message in sent {
            if sender.send(message).await.is_err() {
                return;
            }
        }
        // The stream is not ended by its caller.
        std::future::pending::<()>().await;
    });
    let incoming = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|message| (message, receiver))
    });
    let mut client = server.as_caller("maker");
    let mut answers = client.submit_stream(incoming).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    let stopped = server.begin_stop();
    let (rest, ended) = read(answers).await;
    let answered = rest.len() + 1;
    let expected = (Code::Unavailable, "SHUTTING_DOWN".to_owned(), answered.to_string());
    assert_eq!(end(ended), expected);
    timeout(Duration::from_secs(9), stopped).await.unwrap().unwrap().unwrap();

    let server = Server::start(folder.path()).await;
    let recorded = recorded(&server, messages).await;
    // Exactly what was answered.
    let count = recorded.iter().filter(|recorded| **recorded).count();
    assert_eq!(count, answered);
    assert!(recorded[..answered].iter().all(|recorded| *recorded));
    server.stop().await;
}

#[tokio::test]
async fn a_stream_has_a_deadline_as_any_call() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let messages = registrations(pb::BatchMode::Independent, 1, 1);
    let incoming = stream::iter(messages).chain(stream::pending());
    let mut request = Request::new(incoming);
    request.metadata_mut().insert("grpc-timeout", "2S".parse().unwrap());
    let answers = server.as_caller("maker").submit_stream(request).await.unwrap();
    let (answers, ended) = read(answers.into_inner()).await;
    assert_eq!(answers.len(), 1);
    let late = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned(), "1".to_owned());
    assert_eq!(end(ended), late);
    server.stop().await;
}

#[tokio::test]
async fn the_head_says_how_far_balances_and_index_have_come() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let (answers, ended) = send(&server, registrations(pb::BatchMode::Independent, 10, 100)).await;
    ended.unwrap();
    assert_eq!(answers.len(), 10);
    let caught_up = async {
        loop {
            let request = pb::GetHeadRequest { ledger: KAB.to_owned() };
            let head = server.logs().get_head(request).await.unwrap().into_inner();
            assert!(head.projected_size <= head.log_size);
            if head.projected_size == head.log_size {
                return head.log_size;
            }
        }
    };
    let caught_up = timeout(PATIENCE, caught_up).await.unwrap();
    assert_eq!(caught_up, answers[9].log_size.max(server.size().await));
    server.stop().await;
}
