//! Single commands: receipts, retries, conditions, and what a validation leaves behind.

use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::wire::{RequestParts, Resource};
use tonic::Code;

#[tokio::test]
async fn a_receipt_says_where_the_record_stands() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let opened = server.post("maker", open_ledger("kab")).await.unwrap();
    let Some(Resource::Ledger(ledger)) = opened.resource else { panic!("{:?}", opened.resource) };
    let receipt = opened.receipt.unwrap();
    assert_eq!((receipt.position, receipt.log_size, receipt.duplicate), (0, 1, false));
    assert_eq!(ledger.head_hash, receipt.record_hash);
    assert_eq!(ledger.head_recorded_at, receipt.recorded_at);
    assert_eq!(ledger.region, "36.03");
    assert_eq!(ledger.read_only_reason, None);

    let fund = server.post("maker", open_fund()).await.unwrap();
    let receipt = fund.receipt.unwrap();
    let record = pb::GetRecordRequest { ledger: KAB.to_owned(), position: receipt.position };
    let record = server.logs().get_record(record).await.unwrap().into_inner();
    let record = record.record.unwrap();
    assert_eq!(record.record_hash, receipt.record_hash);
    assert_eq!(record.recorded_at, receipt.recorded_at);
    assert_eq!(record.principal, "maker");
    assert_eq!(record.authentication(), pb::Authentication::Stated);
    server.stop().await;
}

#[tokio::test]
async fn a_retry_gets_the_first_receipt_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.lend(1, 100_000_000).await;
    let parts = request(repay(1, 3_030_303, 454_545, "in-1"));
    let first = server.send("maker", parts.clone()).await.unwrap();
    server.post("maker", repay(1, 1_000_000, 0, "in-2")).await.unwrap();
    let size = server.size().await;

    for round in ["while it runs", "after a restart"] {
        let again = server.send("maker", parts.clone()).await.unwrap();
        let receipt = again.receipt.unwrap();
        assert!(receipt.duplicate, "{round}");
        let expected = pb::Receipt { duplicate: true, ..first.receipt.clone().unwrap() };
        assert_eq!(receipt, expected, "{round}");
        // As of its record, whatever came later.
        assert_eq!(again.balances, first.balances, "{round}");
        // As it is now.
        let Some(Resource::Loan(loan)) = again.resource else { panic!("{:?}", again.resource) };
        let repaid = loan.balances.unwrap().principal_repaid;
        assert_eq!(repaid, rp(4_030_303), "{round}");
        assert_eq!(server.size().await, size, "{round}");

        let opened = request(open_ledger("kab"));
        let refused = server.send("maker", opened).await;
        assert_eq!(reason(refused).0, Code::AlreadyExists, "{round}");
        server = server.restart().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_retry_shows_all_that_was_answered_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.lend(1, 100_000_000).await;
    let parts = request(repay(1, 1_000, 0, "in-0"));
    server.send("maker", parts.clone()).await.unwrap();
    // What is shown is projected a moment after it is durable: it takes some rounds to come between.
    for round in 1..=100 {
        server.post("maker", repay(1, 1_000, 0, &format!("in-{round}"))).await.unwrap();
        let again = server.send("maker", parts.clone()).await.unwrap();
        let Some(Resource::Loan(loan)) = again.resource else { panic!("{:?}", again.resource) };
        let repaid = loan.balances.unwrap().principal_repaid;
        assert_eq!(repaid, rp(1_000 * (round + 1)), "round {round}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_payment_is_answered_with_its_loan_right_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.lend(1, 100_000_000).await;
    let paid = server.post("maker", repay(1, 3_030_303, 454_545, "in-1")).await.unwrap();
    let Some(Resource::Loan(shown)) = paid.resource else { panic!("{:?}", paid.resource) };
    assert_eq!(shown.balances.as_ref().unwrap().principal_repaid, rp(3_030_303));
    assert_eq!(shown.balances, paid.balances.unwrap().loan);
    // As everybody sees it.
    let position = Some(paid.receipt.unwrap().position);
    let asked = pb::GetLoanRequest { name: shown.name.clone(), min_position: position };
    let seen = server.queries().get_loan(asked).await.unwrap().into_inner();
    assert_eq!(seen.loan, Some(shown));
    server.stop().await;
}

#[tokio::test]
async fn a_retry_of_opening_a_ledger_is_a_retry_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let parts = request(open_ledger("kab"));
    let first = server.send("maker", parts.clone()).await.unwrap();
    let again = server.send("maker", parts.clone()).await.unwrap();
    assert_eq!(first.receipt.unwrap().record_hash, again.receipt.clone().unwrap().record_hash);
    assert!(again.receipt.unwrap().duplicate);
    server.stop().await;
}

#[tokio::test]
async fn a_request_id_is_for_one_command_of_one_principal() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let parts = request(allocate(1_000_000, "alloc-2"));
    let first_id = parts.request_id.clone();
    let first = server.send("maker", parts.clone()).await.unwrap();
    let size = server.size().await;
    let other_command =
        RequestParts { kind: Some(allocate(2_000_000, "alloc-2")), ..parts.clone() };
    for (who, parts) in [("maker", other_command), ("other", parts)] {
        let (code, info) = why(server.send(who, parts).await);
        assert_eq!((code, info.reason.as_str()), (Code::AlreadyExists, "REQUEST_ID_CONFLICT"));
        let position = first.receipt.as_ref().unwrap().position;
        assert_eq!(info.metadata["position"], position.to_string());
    }
    // The same command again, in another grouping: its record is the answer, not a new id.
    let kind = Some(allocate(1_000_000, "alloc-2"));
    let again = pb::BatchItem { request_id: first_id.clone(), command: Some(pb::Command { kind }) };
    let items = vec![item(allocate(1_000_000, "alloc-3")), again];
    let refused = server.batch("maker", batch(pb::BatchMode::Atomic, items)).await;
    let status = refused.unwrap_err();
    assert!(status.message().contains(&first_id), "{}", status.message());
    assert!(status.message().contains("do not send it again"), "{}", status.message());
    assert_eq!(reason::<()>(Err(status)).1, "REQUEST_ID_CONFLICT");
    assert_eq!(server.size().await, size);
    server.stop().await;
}

#[tokio::test]
async fn a_command_is_refused_if_the_log_is_not_as_long_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let expecting = |expected| RequestParts {
        expected_position: Some(expected),
        ..request(allocate(1_000_000, "alloc-2"))
    };
    let size = server.size().await;
    let (code, info) = why(server.send("maker", expecting(size - 1)).await);
    assert_eq!((code, info.reason.as_str()), (Code::Aborted, "HEAD_MOVED"));
    assert_eq!(info.metadata["log_size"], size.to_string());
    assert_eq!(server.size().await, size);
    let taken = server.send("maker", expecting(size)).await.unwrap();
    assert_eq!(taken.receipt.unwrap().position, size);
    server.stop().await;
}

#[tokio::test]
async fn a_validation_records_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let only = |kind| RequestParts { validate_only: true, ..request(kind) };
    let opened = server.send("maker", only(open_ledger("kab"))).await.unwrap();
    assert_eq!((opened.receipt, opened.resource), (None, None));
    assert_eq!(reason(server.post("maker", open_fund()).await).1, "LEDGER_NOT_FOUND");

    server.prepare(1).await;
    server.lend(1, 100_000_000).await;
    let size = server.size().await;
    let valid = server.send("maker", only(repay(1, 3_030_303, 0, "in-1"))).await.unwrap();
    assert_eq!(valid.receipt, None);
    // As they are now, not as they would be.
    let balances = valid.balances.unwrap().loan.unwrap();
    assert_eq!(balances.principal_repaid, rp(0));
    let Some(Resource::Loan(loan)) = valid.resource else { panic!("{:?}", valid.resource) };
    assert_eq!(loan.balances, Some(balances));
    // What would be made is not there.
    let valid = server.send("maker", only(register(2))).await.unwrap();
    assert_eq!(valid.resource, None);

    let refused = server.send("maker", only(disburse(1, 1, "out-2"))).await;
    assert_eq!(reason(refused).1, "LOAN_LIMIT_EXCEEDED");
    assert_eq!(server.size().await, size);
    server.stop().await;
}

#[tokio::test]
async fn ledgers_of_one_server_are_independent() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    server.prepare(1).await;
    let other = server.post_to("other", "maker", open_ledger("other")).await.unwrap();
    assert_eq!(other.receipt.unwrap().position, 0);
    let refused = server.post_to("other", "maker", allocate(1, "alloc-1")).await;
    assert_eq!(reason(refused).1, "FUND_NOT_FOUND");
    server.post_to("other", "maker", open_fund()).await.unwrap();
    // The same bank reference again: one live posting in each ledger.
    server.post_to("other", "maker", allocate(5, "alloc-1")).await.unwrap();

    server = server.restart().await;
    let listed = server.queries().list_ledgers(pb::ListLedgersRequest::default()).await;
    let listed = listed.unwrap().into_inner().ledgers;
    let sizes: Vec<_> = listed.iter().map(|l| (l.name.as_str(), l.log_size)).collect();
    assert_eq!(sizes, [("ledgers/kab", 7), ("ledgers/other", 3)]);
    server.stop().await;
}

#[tokio::test]
async fn a_seal_binds_the_state_into_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    let size = server.size().await;
    let request = pb::CreateSealRequest { ledger: KAB.to_owned() };
    let unnamed = server.ledgers().create_seal(request.clone()).await;
    assert_eq!(reason(unnamed).1, "PRINCIPAL_MISSING");
    let seal = server.as_caller("maker").create_seal(request).await.unwrap().into_inner();
    assert_eq!(seal.through, size - 1);
    assert_eq!(seal.receipt.unwrap().position, size);
    assert_eq!((seal.balance_root.len(), seal.state_digest.len()), (32, 32));
    server.stop().await;
}
