//! The log as readers and subscribers get it.

use crate::support::*;
use bergulir_chain::{ChainCursor, Hash, Position};
use bergulir_proto::pb;
use bergulir_server::limits::PROGRESS_EVERY;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Code, Streaming};

const SOON: Duration = Duration::from_secs(20);

async fn read(server: &Server, from: u64, limit: Option<u64>) -> Vec<pb::Record> {
    let request = pb::ReadRecordsRequest {
        ledger: KAB.to_owned(),
        from_position: from,
        limit,
        verbatim_only: false,
    };
    let mut stream = server.logs().read_records(request).await.unwrap().into_inner();
    let mut records = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        records.extend(message.records);
    }
    records
}

async fn subscribe(
    server: &Server,
    from: Option<u64>,
    filter: Option<pb::RecordFilter>,
) -> Streaming<pb::SubscribeResponse> {
    let request = pb::SubscribeRequest {
        ledger: KAB.to_owned(),
        from_position: from,
        filter,
        verbatim_only: false,
    };
    server.logs().subscribe(request).await.unwrap().into_inner()
}

/// Takes messages until so many records have come.
async fn take(
    stream: &mut Streaming<pb::SubscribeResponse>,
    count: usize,
) -> (Vec<pb::Record>, u64) {
    let (mut records, mut next) = (Vec::new(), 0);
    while records.len() < count {
        let message = timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        records.extend(message.records);
        next = message.next_position;
    }
    (records, next)
}

#[tokio::test]
async fn what_is_read_is_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(3).await;
    let items = (10..=5_000).map(|n| item(register(n))).collect();
    server.batch("maker", batch(pb::BatchMode::Atomic, items)).await.unwrap();
    let size = server.size().await;

    let records = read(&server, 0, None).await;
    assert_eq!(records.len() as u64, size);
    let mut cursor = ChainCursor::resume(Position::new(0), Hash::ZERO);
    for record in &records {
        let (_, hash) = cursor.check(&record.record).unwrap();
        assert_eq!(hash.as_bytes().as_slice(), record.record_hash);
    }
    let head = pb::GetHeadRequest { ledger: KAB.to_owned() };
    let head = server.logs().get_head(head).await.unwrap().into_inner();
    let last = records.last().unwrap();
    assert_eq!((&head.record_hash, head.log_size), (&last.record_hash, size));
    assert_eq!(head.recorded_at, last.recorded_at);

    assert_eq!(read(&server, 2, Some(3)).await, records[2..5]);
    assert_eq!(read(&server, size - 1, Some(u64::MAX)).await, records[records.len() - 1..]);
    assert_eq!(read(&server, size, None).await, []);
    assert_eq!(read(&server, u64::MAX, Some(5)).await, []);
    let missing = pb::GetRecordRequest { ledger: KAB.to_owned(), position: size };
    let missing = server.logs().get_record(missing).await;
    assert_eq!(reason(missing), (Code::NotFound, "RECORD_NOT_FOUND".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn a_subscriber_catches_up_goes_live_and_goes_on_after_a_break() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path()).await;
    server.prepare(2).await;
    let size = server.size().await;
    let mut stream = subscribe(&server, Some(0), None).await;
    let (mut seen, next) = take(&mut stream, usize::try_from(size).unwrap()).await;
    assert_eq!(next, size);
    // Live.
    server.lend(1, 1_000).await;
    let (live, next) = take(&mut stream, 3).await;
    assert_eq!(next, size + 3);
    seen.extend(live);
    drop(stream);
    // A break, and a restart of the server.
    server.lend(2, 1_000).await;
    server = server.restart().await;
    let mut stream = subscribe(&server, Some(next), None).await;
    seen.extend(take(&mut stream, 3).await.0);
    assert_eq!(seen, read(&server, 0, None).await);

    // From now on, and from a position that is not there yet.
    let size = server.size().await;
    let mut now = subscribe(&server, None, None).await;
    let mut later = subscribe(&server, Some(size + 1), None).await;
    server.post("maker", repay(1, 10, 0, "in-1")).await.unwrap();
    server.post("maker", repay(1, 10, 0, "in-2")).await.unwrap();
    assert_eq!(take(&mut now, 2).await.0[0].position, size);
    assert_eq!(take(&mut later, 1).await.0[0].position, size + 1);
    server.stop().await;
}

#[tokio::test]
async fn a_filter_lets_through_what_concerns_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(2).await;
    server.lend(1, 100_000).await;
    server.lend(2, 100_000).await;
    let paid = server.post("maker", repay(1, 1_000, 0, "in-1")).await.unwrap();
    let proposed = server.post("maker", propose_reversal(paid.receipt.unwrap().position)).await;
    let proposal = proposed.unwrap().receipt.unwrap().position;
    server.post("checker", approve_reversal(proposal)).await.unwrap();
    let all = read(&server, 0, None).await;

    let kind = |record: &pb::Record| record.event.as_ref().unwrap().kind.clone().unwrap();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let by_kind =
        pb::RecordFilter { kinds: names(&["disbursed", "repaid"]), ..pb::RecordFilter::default() };
    let mut stream = subscribe(&server, Some(0), Some(by_kind)).await;
    let (records, next) = take(&mut stream, 3).await;
    assert_eq!(records.len(), 3);
    assert_eq!(next, server.size().await);
    assert!(records.iter().all(|record| matches!(
        kind(record),
        pb::event::Kind::Disbursed(_) | pb::event::Kind::Repaid(_)
    )));

    // Account opened; loan proposed, approved, disbursed, repaid; reversal proposed and approved.
    let by_account = pb::RecordFilter {
        accounts: names(&["ledgers/kab/funds/dana/accounts/a-1"]),
        ..pb::RecordFilter::default()
    };
    let mut stream = subscribe(&server, Some(0), Some(by_account)).await;
    let (of_account, _) = take(&mut stream, 7).await;
    assert!(matches!(kind(&of_account[6]), pb::event::Kind::Reversed(_)));
    // And registered, chair, treasurer.
    let by_cooperative = pb::RecordFilter {
        cooperatives: names(&["ledgers/kab/cooperatives/c-1"]),
        ..pb::RecordFilter::default()
    };
    let mut stream = subscribe(&server, Some(0), Some(by_cooperative)).await;
    let (of_cooperative, _) = take(&mut stream, 10).await;
    assert_eq!(of_cooperative[3..], of_account[..]);
    // Both parts must be met.
    let both = pb::RecordFilter {
        kinds: names(&["disbursed"]),
        funds: names(&[FUND]),
        cooperatives: names(&["ledgers/kab/cooperatives/c-2"]),
        ..pb::RecordFilter::default()
    };
    let mut stream = subscribe(&server, Some(0), Some(both)).await;
    let (one, next) = take(&mut stream, 1).await;
    assert_eq!((one.len(), next), (1, all.len() as u64));
    server.stop().await;
}

#[tokio::test]
async fn a_subscriber_is_told_how_far_it_has_come_though_nothing_passes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    let size = server.size().await;
    let nothing =
        pb::RecordFilter { kinds: vec!["reversed".to_owned()], ..pb::RecordFilter::default() };
    let mut stream = subscribe(&server, Some(0), Some(nothing)).await;
    // At once when it has caught up.
    let message = timeout(PROGRESS_EVERY / 2, stream.message()).await.unwrap();
    let message = message.unwrap().unwrap();
    assert_eq!((message.next_position, message.log_size), (size, size));
    assert_eq!(message.records, []);
    // And again and again, with or without new records.
    for recorded in 1..=2 {
        if recorded == 1 {
            server.post("maker", allocate(1_000, "alloc-2")).await.unwrap();
        }
        let message = timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        assert_eq!((message.next_position, message.log_size), (size + 1, size + 1));
        assert_eq!(message.records, []);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bad_subscription_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let filters = [
        pb::RecordFilter { kinds: vec!["nothing".to_owned()], ..pb::RecordFilter::default() },
        pb::RecordFilter {
            funds: vec!["ledgers/other/funds/dana".to_owned()],
            ..pb::RecordFilter::default()
        },
    ];
    for filter in filters {
        let request = pb::SubscribeRequest {
            ledger: KAB.to_owned(),
            filter: Some(filter),
            ..pb::SubscribeRequest::default()
        };
        let refused = server.logs().subscribe(request).await.map(|_| ());
        assert_eq!(reason(refused), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    }
    let request =
        pb::SubscribeRequest { ledger: "ledgers/no".to_owned(), ..pb::SubscribeRequest::default() };
    let refused = server.logs().subscribe(request).await.map(|_| ());
    assert_eq!(reason(refused), (Code::NotFound, "LEDGER_NOT_FOUND".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_slows_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let from = server.size().await;
    let mut stream = subscribe(&server, Some(from), None).await;
    for begin in [0, 20_000] {
        let items = (begin + 1..=begin + 10_000).map(|n| item(register(n))).collect();
        let work = batch(pb::BatchMode::Independent, items);
        timeout(SOON, server.batch("maker", work)).await.unwrap().unwrap();
    }
    let (records, next) = take(&mut stream, 20_000).await;
    assert_eq!(next, from + 20_000);
    assert!(records.iter().zip(from..).all(|(record, at)| record.position == at));
    server.stop().await;
}
