//! Payments one by one on a stream, as most commands come: those that arrive together are asked of the
//! ledger together, and all that holds for one alone holds for each.

use crate::guard::Guarded;
use crate::limits::{PATIENCE, metric, serve};
use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use bergulir_server::Limits;
use futures::stream::{self, StreamExt as _};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tonic::Streaming;

fn message(items: Vec<pb::BatchItem>) -> pb::SubmitStreamRequest {
    pb::SubmitStreamRequest {
        ledger: KAB.to_owned(),
        mode: pb::BatchMode::Independent as i32,
        items,
        ..pb::SubmitStreamRequest::default()
    }
}

fn pay(n: usize) -> pb::SubmitStreamRequest {
    message(vec![item(repay(1, 1, 0, &format!("in-{n}")))])
}

/// What is said of each message: of its commands in their order, or of the whole.
async fn said(answers: Streaming<pb::SubmitStreamResponse>) -> Vec<Vec<String>> {
    let answers: Vec<_> = timeout(PATIENCE, answers.collect()).await.unwrap();
    let said = |answer: pb::SubmitStreamResponse| match answer.error {
        Some(error) => vec![format!("whole {}", error.reason)],
        None => answer.results.into_iter().map(outcome).collect(),
    };
    answers.into_iter().map(|answer| said(answer.unwrap())).collect()
}

fn outcome(result: pb::BatchItemResult) -> String {
    match result.outcome.unwrap() {
        Outcome::Receipt(receipt) if receipt.duplicate => format!("again {}", receipt.position),
        Outcome::Receipt(receipt) => receipt.position.to_string(),
        Outcome::Error(error) => error.reason,
    }
}

#[tokio::test]
async fn each_is_answered_by_itself_and_in_its_order_whatever_comes_between() {
    let folder = tempfile::tempdir().unwrap();
    // Less memory than all of them take.
    let (message_bytes, connection_memory_bytes) = (8_192, 16_384);
    let limits =
        Limits { batch_commands: 3, message_bytes, connection_memory_bytes, ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(1).await;
    server.lend(1, 1_000_000).await;
    let size = server.size().await;
    let mut messages: Vec<_> = (0..400).map(pay).collect();
    messages[50].ledger.clear();
    messages[60].items.push(item(repay(1, 1, 0, "in-60b")));
    messages[100] = messages[99].clone();
    messages[150].items = vec![item(repay(1, 1, 0, "in-149"))];
    messages[200].ledger = "ledgers/other".to_owned();
    messages[210].items.clear();
    messages[220].items = (0..4).map(|n| item(repay(1, 1, 0, &format!("much-{n}")))).collect();
    messages[230].mode = pb::BatchMode::Unspecified as i32;
    messages[240].expected_position = Some(1);
    messages[250].items = vec![item(repay(1, 0, 0, "in-250")), item(repay(1, 1, 0, "in-250"))];
    messages[300] = message(vec![item(register(9)), item(repay(1, 1, 0, "in-300"))]);
    let mut expected: Vec<Vec<String>> = Vec::new();
    let mut next = size;
    for n in 0..messages.len() {
        let mut new = || {
            next += 1;
            (next - 1).to_string()
        };
        let whole = || vec!["whole INVALID_FIELD".to_owned()];
        expected.push(match n {
            60 | 300 => vec![new(), new()],
            100 => vec![format!("again {}", expected[99][0])],
            150 => vec!["BANK_REFERENCE_USED".to_owned()],
            200..=240 if n % 10 == 0 => whole(),
            250 => vec!["INVALID_FIELD".to_owned(), new()],
            _ => vec![new()],
        });
    }
    let answers = server.as_caller("maker").submit_stream(stream::iter(messages)).await.unwrap();
    assert_eq!(said(answers.into_inner()).await, expected);
    assert_eq!(server.size().await, next);
    // What was held for them is given back.
    eventually(async || metric(&server, "bergulir_message_bytes ").await == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn each_is_allowed_or_denied_by_itself() {
    let guarded = Guarded::start(&[
        ("operator", "operator @ *"),
        ("maker", "maker @ kab"),
        ("checker", "checker @ kab"),
        ("dana-maker", "maker @ kab : dana"),
    ])
    .await;
    guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let maker = guarded.who("maker");
    let fund = [open_fund(), allocate(5_800_000_000, "alloc-1")];
    let loan = [propose_loan(1, 100_000_000)];
    for kind in fund.into_iter().chain(cooperative(1)).chain(loan) {
        maker.post(kind).await.unwrap();
    }
    guarded.who("checker").post(approve_loan(1)).await.unwrap();
    maker.post(disburse(1, 50_000_000, "out-1")).await.unwrap();
    for (n, who, denied) in [(0, "checker", 20), (1, "maker", 0), (2, "dana-maker", 0)] {
        let messages = (n * 20..n * 20 + 20).map(pay);
        let answers = guarded.who(who).commands().submit_stream(stream::iter(messages)).await;
        let said = said(answers.unwrap().into_inner()).await;
        assert_eq!(said.len(), 20);
        let missing = said.iter().filter(|said| said[..] == ["ROLE_MISSING"]);
        assert_eq!(missing.count(), denied, "{who}: {said:?}");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn each_counts_for_how_many_commands_may_come() {
    let folder = tempfile::tempdir().unwrap();
    let limits =
        Limits { principal_rate: Some(100), principal_burst: Some(20), ..Limits::default() };
    let server = serve(folder.path(), limits).await;
    server.prepare(1).await;
    server.lend(1, 1_000_000).await;
    let begun = Instant::now();
    let messages = stream::iter((0..120).map(pay));
    let answers = server.as_caller("steady").submit_stream(messages).await.unwrap();
    assert_eq!(said(answers.into_inner()).await.len(), 120);
    // 20 are there at once.
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    server.stop().await;
}
