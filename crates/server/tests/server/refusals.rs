//! Bad calls of every kind: the right code, the right reason, and no record.

use crate::support::*;
use bergulir_engine::LedgerOptions;
use bergulir_proto::pb;
use bergulir_proto::pb::command::Kind;
use bergulir_proto::pb::ledger_service_client::LedgerServiceClient;
use bergulir_proto::wire::{RequestParts, send};
use bergulir_server::PRINCIPAL_KEY;
use futures::StreamExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

#[tokio::test]
async fn a_writer_must_say_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let (code, info) = why(send(&mut server.ledgers(), request(open_ledger("kab"))).await);
    assert_eq!((code, info.reason.as_str()), (Code::Unauthenticated, "PRINCIPAL_MISSING"));
    assert_eq!(info.metadata["metadata_key"], "bergulir-principal");
    let refused = server.post("a b", open_ledger("kab")).await;
    assert_eq!(reason(refused), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    let refused = server.post("system", open_ledger("kab")).await;
    assert_eq!(reason(refused), (Code::PermissionDenied, "RESERVED_PRINCIPAL".to_owned()));
    let nothing = batch(pb::BatchMode::Atomic, vec![]);
    assert_eq!(reason(server.ledgers().submit_batch(nothing).await).0, Code::Unauthenticated);
    // To read, nobody is asked.
    let listed = server.queries().list_ledgers(pb::ListLedgersRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().ledgers, []);
    server.stop().await;
}

#[tokio::test]
async fn bad_input_is_refused_and_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.lend(1, 100_000_000).await;
    let size = server.size().await;
    let repaying = |change: fn(&mut pb::Repay)| {
        let Kind::Repay(mut repay) = repay(1, 1_000, 0, "in-1") else { unreachable!() };
        change(&mut repay);
        Kind::Repay(repay)
    };
    let wrong: [(Kind, Code, &str); 13] = [
        (repaying(|r| r.amount = None), Code::InvalidArgument, "INVALID_FIELD"),
        (
            repaying(|r| r.amount.as_mut().unwrap().currency_code = "USD".to_owned()),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (
            repaying(|r| r.amount.as_mut().unwrap().nanos = 1_000_000),
            Code::InvalidArgument,
            "INVALID_FIELD",
        ),
        (repaying(|r| r.amount = rp(0)), Code::InvalidArgument, "INVALID_FIELD"),
        (repaying(|r| r.amount = rp(-1)), Code::InvalidArgument, "INVALID_FIELD"),
        (repaying(|r| r.amount = rp(i64::MAX)), Code::InvalidArgument, "INVALID_FIELD"),
        (repaying(|r| r.amount = rp(1_001)), Code::InvalidArgument, "PARTS_DO_NOT_SUM"),
        (repaying(|r| r.loan = "L 1".to_owned()), Code::InvalidArgument, "INVALID_FIELD"),
        (repaying(|r| r.loan = "l-9".to_owned()), Code::NotFound, "LOAN_NOT_FOUND"),
        (
            repaying(|r| r.value_date = day(2024, 2, 29)),
            Code::FailedPrecondition,
            "VALUE_DATE_OUT_OF_RANGE",
        ),
        (
            repaying(|r| r.value_date = day(9999, 1, 1)),
            Code::FailedPrecondition,
            "VALUE_DATE_OUT_OF_RANGE",
        ),
        (
            repaying(|r| r.bank_reference = bank("out-1")),
            Code::AlreadyExists,
            "BANK_REFERENCE_USED",
        ),
        (disburse(1, 1, "out-2"), Code::FailedPrecondition, "LOAN_LIMIT_EXCEEDED"),
    ];
    for (kind, code, expected) in wrong {
        let said = format!("{kind:?}");
        let refused = server.post("maker", kind).await;
        assert_eq!(reason(refused), (code, expected.to_owned()), "{said}");
    }
    let parts = request(repay(1, 1_000, 0, "in-1"));
    for (change, reason_expected) in [
        (RequestParts { request_id: "1".to_owned(), ..parts.clone() }, "INVALID_FIELD"),
        (
            RequestParts { request_id: uuid::Uuid::nil().to_string(), ..parts.clone() },
            "INVALID_FIELD",
        ),
        (RequestParts { ledger: "kab".to_owned(), ..parts.clone() }, "INVALID_FIELD"),
        (RequestParts { ledger: "ledgers/..".to_owned(), ..parts.clone() }, "INVALID_FIELD"),
        (RequestParts { ledger: "ledgers/no".to_owned(), ..parts.clone() }, "LEDGER_NOT_FOUND"),
    ] {
        assert_eq!(reason(server.send("maker", change).await).1, reason_expected);
    }
    assert_eq!(server.size().await, size);
    server.stop().await;
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let request = pb::DisburseRequest {
        ledger: KAB.to_owned(),
        request_id: "no".to_owned(),
        disburse: Some(pb::Disburse::default()),
        ..pb::DisburseRequest::default()
    };
    let status = server.as_caller("maker").disburse(request).await.unwrap_err();
    let bad = status.get_details_bad_request().unwrap();
    let fields: Vec<_> = bad.field_violations.iter().map(|v| v.field.as_str()).collect();
    let expected = [
        "request_id",
        "disburse.loan",
        "disburse.amount",
        "disburse.bank_reference",
        "disburse.value_date",
    ];
    assert_eq!(fields, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_ledger_is_not_named_like_another_place() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    for id in [".", "..", ".kab", "-"] {
        let status = server.post_to(id, "maker", open_ledger("kab")).await.unwrap_err();
        let bad = status.get_details_bad_request().unwrap();
        let [violation] = bad.field_violations.as_slice() else { panic!("{bad:?}") };
        assert_eq!(violation.field, "ledger");
        assert!(violation.description.ends_with("must begin with a letter or a digit"), "{id}");
        assert_eq!(reason::<()>(Err(status)).1, "INVALID_FIELD");
        let head = pb::GetHeadRequest { ledger: format!("ledgers/{id}") };
        assert_eq!(reason(server.logs().get_head(head).await).1, "INVALID_FIELD");
    }
    let listed = server.queries().list_ledgers(pb::ListLedgersRequest::default()).await;
    assert_eq!(listed.unwrap().into_inner().ledgers, []);
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_sum_is_named_by_its_field_alone_and_in_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.lend(1, 100_000_000).await;
    let Kind::Repay(mut wrong) = repay(1, 1_000, 0, "in-1") else { unreachable!() };
    wrong.amount = rp(1_001);
    let fields = |status: &tonic::Status| {
        let bad = status.get_details_bad_request().unwrap();
        bad.field_violations.into_iter().map(|v| v.field).collect::<Vec<_>>()
    };
    let status = server.post("maker", Kind::Repay(wrong.clone())).await.unwrap_err();
    assert_eq!(fields(&status), ["repay.amount"]);
    let items = || vec![item(repay(1, 1_000, 0, "in-2")), item(Kind::Repay(wrong.clone()))];
    let status = server.batch("maker", batch(pb::BatchMode::Atomic, items())).await.unwrap_err();
    assert_eq!(fields(&status), ["items[1].command.repay.amount"]);
    let mixed = [vec![item(repay(1, 1_000, 0, "No Such\n"))], items()].concat();
    let answer = server.batch("maker", batch(pb::BatchMode::Independent, mixed)).await.unwrap();
    let Some(pb::batch_item_result::Outcome::Error(error)) = &answer.results[2].outcome else {
        panic!("{answer:?}")
    };
    assert_eq!(error.field_violations[0].field, "items[2].command.repay.amount");
    assert_eq!(error.metadata["item"], "2");
    server.stop().await;
}

#[tokio::test]
async fn two_people_are_two_principals() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    server.post("maker", propose_loan(1, 100_000_000)).await.unwrap();
    let refused = server.post("maker", approve_loan(1)).await;
    assert_eq!(reason(refused), (Code::FailedPrecondition, "SAME_PERSON".to_owned()));
    server.post("checker", approve_loan(1)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn what_the_protocol_refuses_is_refused_in_our_form() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let Kind::AllocateFund(mut big) = allocate(1, "x") else { unreachable!() };
    big.reference = "x".repeat(5 << 20);
    let refused = server.post("maker", Kind::AllocateFund(big)).await;
    assert_eq!(reason(refused), (Code::InvalidArgument, "MESSAGE_TOO_LARGE".to_owned()));
    // A query read as a command: the first field is no ledger there.
    let mut grpc = tonic::client::Grpc::new(server.channel.clone());
    grpc.ready().await.unwrap();
    let path = "/bergulir.v1.LogService/GetRecord".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<pb::Posting, pb::Posting>::default();
    let malformed = pb::Posting { book: 7, amount: None };
    let refused = grpc.unary(Request::new(malformed), path, codec).await;
    assert_eq!(reason(refused), (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_pushes_back_and_says_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let narrow = LedgerOptions { queue: 1, ..LedgerOptions::default() };
    let server = Server::with(folder.path(), narrow).await;
    server.prepare(0).await;
    let size = server.size().await;
    let calls = (0..200).map(|n| {
        let reference = format!("more-{n}");
        let server = &server;
        async move { server.post("maker", allocate(1_000, &reference)).await }
    });
    let answers: Vec<_> = futures::stream::iter(calls).buffer_unordered(200).collect().await;
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty(), "200 callers at once found room in a queue of one");
    for status in refused {
        assert_eq!(status.code(), Code::ResourceExhausted);
        let retry = status.get_details_retry_info().unwrap();
        assert!(retry.retry_delay.is_some_and(|delay| !delay.is_zero()));
        assert_eq!(reason::<()>(Err(status)).1, "PUSHBACK");
    }
    assert_eq!(server.size().await, size + accepted as u64);
    server.stop().await;
}

#[tokio::test]
async fn a_caller_that_runs_out_of_time_may_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let size = server.size().await;
    // Long to decide, so that the deadline passes first.
    let items: Vec<_> = (1..=5_000).map(|n| item(register(n))).collect();
    let work = batch(pb::BatchMode::Atomic, items);
    let mut hurried = Request::new(work.clone());
    let metadata = hurried.metadata_mut();
    metadata.insert("grpc-timeout", "30m".parse().unwrap());
    metadata.insert(PRINCIPAL_KEY, "maker".parse().unwrap());
    // A channel of tonic would give up by itself; this client waits for what the server says.
    let patient = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let origin = format!("http://{}", server.address).parse().unwrap();
    let mut patient = LedgerServiceClient::with_origin(patient, origin);
    let refused = patient.submit_batch(hurried).await;
    assert_eq!(reason(refused), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
    let answer = server.batch("maker", work).await.unwrap();
    assert_eq!(answer.log_size, size + 5_000);
    server.stop().await;
}
