//! Connections that say nothing, bodies in pieces, messages of every size, and frames that only an
//! enemy sends.

use super::alone;
use super::load::{Call, Office, Told, accepted, message, quantile};
use super::raw::{Raw, code, frame, framed, greeting, headers, send};
use crate::support::LEDGER;
use bergulir_proto::pb;
use h2::SendStream;
use prost::bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

const IDLE: usize = 1_000;
/// What one of those may cost.
const IDLE_BYTES: u64 = 64 << 10;
/// What an enemy may cost.
const MEMORY: u64 = 48 << 20;

async fn office(folder: &Path) -> Office {
    let office = Office::open(&folder.join("data"), &[]).await;
    office.one_by_one(50).await;
    office
}

/// Does it, and has others call one by one meanwhile, which must all be answered.
async fn beside<T>(office: &Office, what: impl Future<Output = T>) -> (T, Vec<Told>) {
    let done = Arc::new(AtomicBool::new(false));
    let (client, seen) = (office.clients[0].clone(), Arc::clone(&done));
    let others = tokio::spawn(async move {
        let mut told = Vec::new();
        while !seen.load(Ordering::Relaxed) {
            told.push(Call::Single.send(client.clone()).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        told
    });
    let result = what.await;
    done.store(true, Ordering::Relaxed);
    let told = others.await.unwrap();
    let refused = told.iter().find_map(|told| told.outcome.as_ref().err());
    assert!(refused.is_none(), "{refused:?}");
    (result, told)
}

/// Whether so many files may be open; raises the limit if that is allowed.
fn may_open(files: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= files) {
        return true;
    }
    let most = limit.maximum.unwrap_or(files).min(files);
    let raised = Rlimit { current: Some(most), maximum: limit.maximum };
    most >= files && setrlimit(Resource::Nofile, raised).is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_that_say_nothing() {
    let _alone = alone().await;
    if !may_open(2 * IDLE as u64 + 500) {
        eprintln!("SKIPPED: not enough files may be open here for {IDLE} connections");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let office = office(folder.path()).await;
    let before = office.server.resident();
    let mut idle = Vec::new();
    for number in 0..IDLE {
        let mut stream = TcpStream::connect(&office.server.address).await.unwrap();
        let greeting = greeting();
        // Some say half of what they should.
        let said = if number % 10 == 0 { &greeting[..12] } else { &greeting[..] };
        stream.write_all(said).await.unwrap();
        idle.push(stream);
    }
    let open = || office.metric("bergulir_connections");
    let began = Instant::now();
    while open() < 950.0 && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (then, connections) = (office.server.resident(), open());
    let each = then.saturating_sub(before) / IDLE as u64;
    let calls = quantile(accepted(&office.one_by_one(50).await), 500);
    eprintln!("{connections} connections: {each} bytes each; calls beside them take {calls:?}");
    // Those of before are closed again if they said too little for too long.
    assert!(connections >= 850.0, "{connections}");
    assert!(each < IDLE_BYTES, "{each}");
    drop(idle);
    let began = Instant::now();
    while open() > 100.0 {
        assert!(began.elapsed() < Duration::from_secs(30), "{} are still open", open());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(office.server.stop().success());
}

/// Sends it piece by piece, with a pause between them.
async fn trickle(sending: &mut SendStream<Bytes>, bytes: &Bytes, pause: Duration) -> bool {
    for at in 0..bytes.len() {
        if !send(sending, bytes.slice(at..=at)).await {
            return false;
        }
        tokio::time::sleep(pause).await;
    }
    true
}

fn single() -> pb::SubmitStreamRequest {
    message(pb::BatchMode::Independent, &[Uuid::new_v4()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_size_and_pace_are_served_or_refused_and_others_go_on() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let office = office(folder.path()).await;
    let before = office.server.resident();
    let address = &office.server.address;
    let pieces = async {
        // Byte by byte, as fast as it goes: a message like any other.
        let raw = Raw::connect(address).await;
        let (answer, mut sending) = raw.call("LedgerService/SubmitBatch", "maker").await;
        assert!(trickle(&mut sending, &framed(&single()), Duration::ZERO).await);
        sending.send_data(Bytes::new(), true).unwrap();
        assert_eq!(code(answer).await.as_deref(), Some("0"));

        // Nothing at all, and half of a message.
        for body in [Bytes::new(), framed(&single()).slice(..20)] {
            let (answer, mut sending) = raw.call("LedgerService/SubmitBatch", "maker").await;
            sending.send_data(body, true).unwrap();
            let code = code(answer).await.expect("it is answered");
            assert_ne!(code, "0");
        }

        // Very slow ones, on connections and calls of their own.
        let mut slow = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let raw = Raw::connect(address).await;
            slow.spawn(async move {
                let (_answer, mut sending) = raw.call("LedgerService/SubmitBatch", "slow").await;
                trickle(&mut sending, &framed(&single()), Duration::from_millis(100)).await
            });
        }

        // Ten thousand messages of one command.
        let mut client = office.clients[1].clone();
        let many = tokio_stream::iter((0..10_000).map(|_| single()));
        let mut answers = client.ledger.submit_stream(many).await.unwrap().into_inner();
        let (mut answered, mut last) = (0, 0);
        while let Some(answer) = answers.message().await.unwrap() {
            let place = super::load::places(answer.results).unwrap()[0].0;
            assert!(place > last);
            (answered, last) = (answered + 1, place);
        }
        assert_eq!(answered, 10_000);

        // As long as a message may be, and a little longer.
        for (bytes, expected) in [(4 << 20, "INVALID_FIELD"), ((4 << 20) + 1, "MESSAGE_TOO_LARGE")]
        {
            let mut request = pb::SubmitBatchRequest {
                mode: pb::BatchMode::Atomic.into(),
                ..pb::SubmitBatchRequest::default()
            };
            // A tag and four bytes of length before the name, and two of the mode.
            request.ledger = "l".repeat(bytes - 2 - 5);
            let refused = client.ledger.submit_batch(request).await.unwrap_err();
            let reason = refused.get_details_error_info().map(|info| info.reason);
            assert_eq!(reason.as_deref(), Some(expected), "{refused:?}");
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
        let name = LEDGER.to_owned();
        let items = message(pb::BatchMode::Atomic, &vec![Uuid::new_v4(); 10_001]).items;
        let too_many = pb::SubmitBatchRequest {
            ledger: name,
            mode: pb::BatchMode::Atomic.into(),
            items,
            ..pb::SubmitBatchRequest::default()
        };
        let refused = client.ledger.submit_batch(too_many).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        slow.shutdown().await;
    };
    let ((), others) = beside(&office, pieces).await;
    let (late, then) = (quantile(accepted(&others), 990), office.server.resident());
    eprintln!("p99 of {} calls beside {late:?}; memory {before} before, {then} then", others.len());
    assert!(late < Duration::from_secs(5), "{late:?}");
    assert!(then < before + 2 * MEMORY, "{before} before, {then} then");
    assert!(office.server.stop().success());
}

/// Sends frames until they are all sent, or nobody takes them; then says whether the server has closed
/// the connection.
async fn flood(address: &str, frames: impl Iterator<Item = Vec<u8>>) -> bool {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&greeting()).await.unwrap();
    let frames: Vec<u8> = frames.flatten().collect();
    let sent = tokio::time::timeout(Duration::from_secs(2), stream.write_all(&frames)).await;
    if matches!(sent, Ok(Err(_))) {
        return true;
    }
    // What it says, at most until it has nothing more to say.
    let mut heard = vec![0; 64 << 10];
    loop {
        match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut heard)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_end_their_connection_or_nothing() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let office = office(folder.path()).await;
    let before = office.server.resident();
    let address = &office.server.address;
    let call = |stream| frame(1, 4, stream, &headers());
    let cancel = |stream| frame(3, 0, stream, &8_u32.to_be_bytes());
    let floods = async {
        let odd = || (0..5_000).map(|number| 2 * number + 1);
        let reset = flood(address, odd().flat_map(|stream| [call(stream), cancel(stream)])).await;
        assert!(reset, "calls that are begun only to be dropped");
        let filler = [&[0_u8, 4][..], b"name", &[100], &[b'v'; 100]].concat().repeat(10);
        let begun = std::iter::once(frame(1, 0, 1, &headers()));
        let more = (0..20_000).map(|_| frame(9, 0, 1, &filler));
        assert!(flood(address, begun.chain(more)).await, "headers without an end");
        let begun = std::iter::once(frame(1, 0, 1, &headers()));
        let more = (0..200).map(|number| frame(9, u8::from(number == 199) * 4, 1, &filler));
        // The call or the connection ends; neither harms others.
        flood(address, begun.chain(more)).await;
        flood(address, (0..200_000).map(|_| frame(6, 0, 0, &[7; 8]))).await;
        flood(address, (0..200_000).map(|_| frame(4, 0, 0, &[]))).await;
        let update = 1_u32.to_be_bytes();
        flood(address, (0..200_000).map(|_| frame(8, 0, 0, &update))).await;
        flood(address, (0..100_000).map(|_| frame(0xee, 0, 0, b"unknown"))).await;
        let empty = (0..100_000).map(|_| frame(0, 0, 1, &[]));
        flood(address, std::iter::once(call(1)).chain(empty)).await;
        assert!(flood(address, std::iter::once(vec![0xff; 1 << 20])).await, "no frames at all");
    };
    let ((), others) = beside(&office, floods).await;
    let (late, then) = (quantile(accepted(&others), 990), office.server.resident());
    eprintln!("p99 of {} calls beside {late:?}; memory {before} before, {then} then", others.len());
    assert!(late < Duration::from_secs(5), "{late:?}");
    assert!(then < before + MEMORY, "{before} before, {then} then");
    assert!(office.server.stop().success());
}
