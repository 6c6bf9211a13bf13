//! Callers that do not read what they asked for, read it slowly, or are gone without a word.

use super::alone;
use super::load::{Call, Office, message};
use super::raw::{Raw, framed, send};
use crate::support::LEDGER;
use bergulir_proto::pb;
use h2::RecvStream;
use std::time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

const SUBSCRIBERS: usize = 100;
/// Records that are there before, and come while nobody reads.
const RECORDS: usize = 10_000;
/// How much more memory a server may have by as many records, and whatever else comes by chance: a
/// tenth of what it would take to keep them for each of the subscribers.
const MEMORY: u64 = 48 << 20;
/// What is kept for one that does not read: the message that was made last, on its way out.
const UNREAD: u64 = 4 << 20;

async fn fill(office: &Office) {
    for _ in 0..RECORDS / 1_000 {
        let batch = Call::Batch(pb::BatchMode::Independent, 1_000);
        let told = batch.send(office.clients[0].clone()).await;
        assert!(told.outcome.is_ok(), "{:?}", told.outcome);
    }
}

/// One of the three kinds of bad readers, and how it goes on.
async fn bad_reader(address: &str, number: usize, readers: &mut JoinSet<()>) {
    let raw = Raw::connect(address).await;
    let name = format!("reader-{}", number % 4);
    let mut records = if number.is_multiple_of(2) {
        let from_the_first = pb::SubscribeRequest {
            ledger: LEDGER.to_owned(),
            from_position: Some(0),
            ..pb::SubscribeRequest::default()
        };
        raw.answers("LogService/Subscribe", &name, &from_the_first).await
    } else {
        let all = pb::ReadRecordsRequest {
            ledger: LEDGER.to_owned(),
            ..pb::ReadRecordsRequest::default()
        };
        raw.answers("LogService/ReadRecords", &name, &all).await
    };
    match number % 3 {
        0 => {}
        1 => raw.fall_silent(),
        _ => {
            readers.spawn(async move {
                let _raw = raw;
                read_slowly(&mut records).await;
            });
            return;
        }
    }
    readers.spawn(async move {
        let _held = (raw, records);
        std::future::pending::<()>().await;
    });
}

async fn read_slowly(records: &mut RecvStream) {
    while let Some(Ok(bytes)) = records.data().await {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = records.flow_control().release_capacity(bytes.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_slows_no_writer_and_takes_no_memory_by_the_record() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let mut office = Office::open(&folder.path().join("data"), &[]).await;
    fill(&office).await;
    let time = Duration::from_millis(1_500);
    let mut alternating = Vec::new();
    let mut most = [0; 3];
    for _ in 0..2 {
        let (without, _) = office.capacity(Call::Single, 16, time).await;
        most[0] = office.server.resident();
        let mut readers = JoinSet::new();
        for number in 0..SUBSCRIBERS {
            bad_reader(&office.server.address, number, &mut readers).await;
        }
        let open = office.metric("bergulir_streams{of=\"records\"}");
        assert!(open >= 90.0, "{open} streams are open");
        let (with, _) = office.capacity(Call::Single, 16, time).await;
        most[1] = office.server.resident();
        fill(&office).await;
        most[2] = office.server.resident();
        alternating.push((without, with));
        let kept = u64::try_from(SUBSCRIBERS).unwrap() * UNREAD;
        assert!(most[1] < most[0] + kept + MEMORY, "{most:?}");
        assert!(most[2] < most[1] + MEMORY, "{most:?}");
        readers.shutdown().await;
    }
    eprintln!(
        "calls a second without and with {SUBSCRIBERS} who do not read: {alternating:.0?}; memory \
         before, with them, and {RECORDS} records later: {most:?}"
    );
    let (without, with): (Vec<f64>, Vec<f64>) = alternating.into_iter().unzip();
    let (without, with) = (without.iter().sum::<f64>(), with.iter().sum::<f64>());
    assert!(with > without / 3.0, "{with} and not {without}");
    // Who reads gets all of it.
    let records = office.clients[0].records().await;
    assert!(records.len() > 3 * RECORDS);
    assert!(records.is_sorted_by_key(|record| record.position));
    assert!(office.server.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_answers_nobody_reads_is_not_read_any_more() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let office = Office::open(&folder.path().join("data"), &[]).await;
    office.one_by_one(20).await;
    let before = office.server.resident();
    let raw = Raw::connect(&office.server.address).await;
    let (_answers, mut sending) = raw.call("LedgerService/SubmitStream", "teller").await;
    let mut sent = 0;
    // Nobody looks at the answers: the server is not told that there is room for more of them.
    loop {
        let ids: Vec<Uuid> = (0..100).map(|_| Uuid::new_v4()).collect();
        let bytes = framed(&message(pb::BatchMode::Independent, &ids));
        let length = bytes.len();
        let taken = tokio::time::timeout(Duration::from_secs(2), send(&mut sending, bytes)).await;
        if !matches!(taken, Ok(true)) {
            break;
        }
        sent += length;
        assert!(sent < 64 << 20, "the server reads on for ever");
    }
    let then = office.server.resident();
    eprintln!("the server took {sent} bytes; memory {before} before, {then} then");
    assert!(then < before + MEMORY, "{before} before, {then} then");
    // Others do not notice.
    office.one_by_one(20).await;
    drop((raw, sending));
    assert!(office.server.stop().success());
}
