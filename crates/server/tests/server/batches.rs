//! Batches: all or nothing, or each by itself.

use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::pb::batch_item_result::Outcome;
use prost::Message as _;
use tonic::Code;

fn receipts(response: &pb::SubmitBatchResponse) -> Vec<pb::BatchReceipt> {
    let each = response.results.iter();
    each.map(|result| match &result.outcome {
        Some(Outcome::Receipt(receipt)) => receipt.clone(),
        other => panic!("refused: {other:?}"),
    })
    .collect()
}

#[tokio::test]
async fn an_atomic_batch_is_recorded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    server.prepare(1).await;
    let size = server.size().await;
    let kinds = [("maker", propose_loan(1, 100_000_000)), ("maker", allocate(1_000, "alloc-2"))];
    let items = kinds.into_iter().map(|(_, kind)| item(kind)).collect();
    let work = batch(pb::BatchMode::Atomic, items);
    let answer = server.batch("maker", work.clone()).await.unwrap();
    let first = receipts(&answer);
    assert_eq!(first.iter().map(|r| r.position).collect::<Vec<_>>(), [size, size + 1]);
    assert_eq!(answer.log_size, size + 2);
    let balances = first[0].balances.clone().unwrap();
    assert_eq!(balances.loan.unwrap().principal, rp(100_000_000));
    assert_eq!(balances.account.unwrap().pending, rp(100_000_000));
    let fund = first[1].balances.clone().unwrap().fund.unwrap();
    assert_eq!(fund.capital, rp(5_800_001_000));

    server = server.restart().await;
    let again = receipts(&server.batch("maker", work).await.unwrap());
    let expected: Vec<_> =
        first.into_iter().map(|receipt| pb::BatchReceipt { duplicate: true, ..receipt }).collect();
    assert_eq!(again, expected);
    assert_eq!(server.size().await, size + 2);
    server.stop().await;
}

#[tokio::test]
async fn an_atomic_batch_with_one_refused_command_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    let size = server.size().await;
    let items = vec![
        item(allocate(1_000, "alloc-2")),
        item(propose_loan(1, 100_000_000)),
        item(disburse(1, 100_000_000, "out-1")),
    ];
    let (code, info) = why(server.batch("maker", batch(pb::BatchMode::Atomic, items)).await);
    assert_eq!((code, info.reason.as_str()), (Code::FailedPrecondition, "LOAN_NOT_APPROVED"));
    assert_eq!(info.metadata["item"], "2");
    assert_eq!(server.size().await, size);
    // Its request ids and bank references are free.
    server.post("maker", allocate(1_000, "alloc-2")).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn each_command_of_an_independent_batch_has_its_own_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    let size = server.size().await;
    let good = item(allocate(1_000, "alloc-2"));
    let items = vec![
        good.clone(),
        item(allocate(0, "alloc-3")),
        item(disburse(1, 1, "out-1")),
        good,
        item(allocate(1_000, "alloc-2")),
        item(allocate(2_000, "alloc-3")),
    ];
    let answer = server.batch("maker", batch(pb::BatchMode::Independent, items)).await.unwrap();
    let said: Vec<_> = answer
        .results
        .into_iter()
        .map(|result| match result.outcome.unwrap() {
            Outcome::Receipt(receipt) => {
                format!("{} {}", receipt.position - size, receipt.duplicate)
            }
            Outcome::Error(error) => format!("{} {}", error.code, error.reason),
        })
        .collect();
    let expected = [
        "0 false",
        "3 INVALID_FIELD",
        "5 LOAN_NOT_FOUND",
        "0 true",
        "6 BANK_REFERENCE_USED",
        "1 false",
    ];
    assert_eq!(said, expected);
    assert_eq!(answer.log_size, size + 2);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_has_a_mode_and_1_to_10000_commands() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let size = server.size().await;
    let items = |count: u32| (1..=count).map(|n| item(register(n))).collect::<Vec<_>>();
    for work in [
        batch(pb::BatchMode::Unspecified, items(1)),
        batch(pb::BatchMode::Atomic, items(0)),
        batch(pb::BatchMode::Independent, items(10_001)),
    ] {
        let refused = server.batch("maker", work).await;
        assert_eq!(reason(refused), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    }
    assert_eq!(server.size().await, size);
    let work = batch(pb::BatchMode::Independent, items(10_000));
    assert!(work.encoded_len() < bergulir_server::limits::MAX_MESSAGE_BYTES);
    let answer = server.batch("maker", work).await.unwrap();
    assert_eq!(answer.log_size, size + 10_000);
    assert!(receipts(&answer).iter().map(|receipt| receipt.position).eq(size..size + 10_000));
    server.stop().await;
}

#[tokio::test]
async fn a_batch_is_validated_or_refused_on_a_moved_head() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let size = server.size().await;
    let work = |validate_only, expected_position| pb::SubmitBatchRequest {
        validate_only,
        expected_position,
        ..batch(pb::BatchMode::Atomic, vec![item(register(1)), item(register(2))])
    };
    let valid = server.batch("maker", work(true, Some(size))).await.unwrap();
    assert_eq!(receipts(&valid), vec![pb::BatchReceipt::default(); 2]);
    assert_eq!(server.size().await, size);
    let refused = server.batch("maker", work(false, Some(size + 1))).await;
    assert_eq!(reason(refused), (Code::Aborted, "HEAD_MOVED".to_owned()));
    server.batch("maker", work(false, Some(size))).await.unwrap();
    assert_eq!(server.size().await, size + 2);
    server.stop().await;
}
