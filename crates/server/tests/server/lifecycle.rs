//! Starting, stopping, damage, health and reflection.

use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::pb::log_service_client::LogServiceClient;
use bergulir_proto::wire::send;
use bergulir_server::{ServerOptions, StartError, start};
use futures::StreamExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn health(server: &Server, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    let mut client = HealthClient::new(server.channel.clone());
    let status = client.check(request).await.unwrap().into_inner().status;
    if status == ServingStatus::Serving as i32 {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

#[tokio::test]
async fn other_addresses_than_loopback_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:50051", "[::ffff:192.0.2.1]:0"] {
        let options = ServerOptions::new(folder.path(), address.parse().unwrap());
        let refused = start(options, |_, _, _| {}).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, StartError::Unprotected { .. }), "{address}: {refused}");
        assert!(refused.to_string().contains("TLS and authentication"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_data_directory_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let options = ServerOptions::new(folder.path(), "127.0.0.1:0".parse().unwrap());
    let refused = start(options, |_, _, _| {}).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StartError::Node(_)), "{refused}");
    let taken = ServerOptions::new(folder.path().join("other"), server.address);
    let refused = start(taken, |_, _, _| {}).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StartError::Listen { .. }), "{refused}");
    server.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let address = server.address;
    let size = server.size().await;
    let (answered, first) = tokio::sync::oneshot::channel();
    let answered = Arc::new(std::sync::Mutex::new(Some(answered)));
    let calls: Vec<_> = (0..400)
        .map(|n| {
            let mut client = server.as_caller("maker");
            let parts = request(allocate(1_000, &format!("more-{n}")));
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                let answer = send(&mut client, parts.clone()).await;
                if let Some(first) = answered.lock().unwrap().take() {
                    let _ = first.send(());
                }
                (parts, answer)
            })
        })
        .collect();
    first.await.unwrap();
    let stopped = server.begin_stop();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.unwrap());
    }
    timeout(Duration::from_secs(30), stopped).await.unwrap().unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it still listens");

    let server = Server::start(folder.path()).await;
    let mut accepted = 0;
    for (parts, outcome) in outcomes {
        let again = server.send("maker", parts).await.unwrap().receipt.unwrap();
        if let Ok(reply) = outcome {
            accepted += 1;
            let first = reply.receipt.unwrap();
            assert!(again.duplicate);
            assert_eq!(again.record_hash, first.record_hash);
        }
    }
    assert!(accepted > 0);
    assert_eq!(server.size().await, size + 400);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_subscriptions() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let request =
        pb::SubscribeRequest { ledger: KAB.to_owned(), ..pb::SubscribeRequest::default() };
    let mut stream = server.logs().subscribe(request).await.unwrap().into_inner();
    let caught_up = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    assert_eq!(caught_up.unwrap().unwrap().records, []);
    let stopped = server.begin_stop();
    let ended = timeout(Duration::from_secs(5), stream.message()).await.unwrap();
    assert_eq!(reason(ended), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
    timeout(Duration::from_secs(5), stopped).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_ends_a_subscription_at_the_end_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(0).await;
    let from = server.size().await;
    let batch = |begin: u32, end: u32| {
        let items = (begin..=end).map(|n| item(register(n))).collect();
        server.batch("maker", batch(pb::BatchMode::Atomic, items))
    };
    // The first batch is too long for one message; the second must not be begun.
    batch(1, 9_000).await.unwrap();
    batch(9_001, 9_500).await.unwrap();
    let request = pb::SubscribeRequest {
        ledger: KAB.to_owned(),
        from_position: Some(from),
        ..pb::SubscribeRequest::default()
    };
    // A window so small that the server is stopped while most of the batch still has to be sent.
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let narrow = endpoint.initial_stream_window_size(65_535).connect().await.unwrap();
    let mut stream = LogServiceClient::new(narrow).subscribe(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap().records;
    assert!(first.last().unwrap().following > 0);
    let stopped = server.begin_stop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut last = first.last().cloned();
    let ended = loop {
        match timeout(Duration::from_secs(5), stream.message()).await.unwrap() {
            Ok(message) => last = message.unwrap().records.pop().or(last),
            ended @ Err(_) => break ended,
        }
    };
    assert_eq!(reason(ended), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
    let last = last.unwrap();
    assert_eq!((last.following, last.position), (0, from + 8_999));
    timeout(Duration::from_secs(15), stopped).await.unwrap().unwrap().unwrap();
}

fn damage(folder: &Path, ledger: &str) {
    let log = folder.join("ledgers").join(ledger).join("log");
    let segment = std::fs::read_dir(log)
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    // In the first frame, which is not the last.
    let at = bytes.windows(6).position(|window| window == b"ledger").unwrap();
    bytes[at] ^= 1;
    std::fs::write(segment, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_ledger_is_refused_and_the_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.prepare(1).await;
    assert_eq!(health(&server, "").await, ServingStatus::Serving);
    assert_eq!(health(&server, KAB).await, ServingStatus::Serving);
    server.stop().await;
    damage(folder.path(), "kab");

    let server = Server::start(folder.path()).await;
    assert_eq!(health(&server, KAB).await, ServingStatus::NotServing);
    assert_eq!(health(&server, "").await, ServingStatus::NotServing);
    let (code, info) = why(server.post("maker", open_fund()).await);
    assert_eq!((code, info.reason.as_str()), (Code::DataLoss, "CHAIN_BROKEN"));
    assert_eq!(info.metadata["position"], "0");
    let head = pb::GetHeadRequest { ledger: KAB.to_owned() };
    assert_eq!(reason(server.logs().get_head(head).await).0, Code::DataLoss);
    assert_eq!(reason(server.post("maker", open_ledger("kab")).await).0, Code::DataLoss);

    server.post_to("other", "maker", open_ledger("other")).await.unwrap();
    assert_eq!(health(&server, "ledgers/other").await, ServingStatus::Serving);
    assert_eq!(health(&server, "").await, ServingStatus::Serving);
    let listed = server.queries().list_ledgers(pb::ListLedgersRequest::default()).await;
    let listed = listed.unwrap().into_inner().ledgers;
    assert!(listed[0].read_only_reason.is_some());
    assert_eq!(listed[1].read_only_reason, None);
    server.stop().await;
}

#[tokio::test]
async fn a_generic_client_finds_the_services_by_reflection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    macro_rules! ask {
        ($version:ident) => {{
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
            };
            let ask = |message_request| ServerReflectionRequest {
                host: String::new(),
                message_request: Some(message_request),
            };
            let asked = futures::stream::iter([
                ask(MessageRequest::ListServices(String::new())),
                ask(MessageRequest::FileContainingSymbol("bergulir.v1.LedgerService".to_owned())),
                ask(MessageRequest::FileByFilename("google/type/money.proto".to_owned())),
            ]);
            let mut client = ServerReflectionClient::new(server.channel.clone());
            let stream = client.server_reflection_info(asked).await.unwrap().into_inner();
            stream
                .map(|answer| format!("{:?}", answer.unwrap().message_response))
                .collect::<Vec<_>>()
                .await
        }};
    }
    for answers in [ask!(v1), ask!(v1alpha)] {
        for service in ["LedgerService", "QueryService", "LogService"] {
            assert!(answers[0].contains(&format!("bergulir.v1.{service}")), "{answers:?}");
        }
        assert!(answers[0].contains("grpc.health.v1.Health"));
        assert!(answers[1..].iter().all(|answer| answer.contains("FileDescriptorResponse")));
    }
    server.stop().await;
}
