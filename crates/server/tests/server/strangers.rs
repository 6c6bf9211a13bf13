//! What a stranger tries beside bad credentials: ways around the table of methods, other protocols, and
//! what is of another ledger or somebody else.

use crate::guard::*;
use crate::support::*;
use bergulir_proto::pb;
use bergulir_proto::wire::RequestParts;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use tonic::body::Body;
use tonic::codegen::http::{Method, Request, Response};
use tonic::{Code, Status};

const ALL: &[(&str, &str)] = &[
    ("operator", "operator @ *"),
    ("maker", "maker auditor @ kab"),
    ("far", "maker auditor @ kota"),
    ("near", "maker auditor @ kab : dana"),
];

/// A message as gRPC frames it.
fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &bytes].concat()
}

/// The status of an answer, in its headers or after its body.
async fn status(answer: Response<hyper::body::Incoming>) -> Status {
    if let Some(status) = Status::from_header_map(answer.headers()) {
        return status;
    }
    let http = answer.status();
    let mut body = axum::body::Body::new(answer.into_body()).into_data_stream();
    while futures::StreamExt::next(&mut body).await.is_some() {}
    Status::new(Code::Ok, format!("HTTP {http}"))
}

#[tokio::test]
async fn no_other_way_to_write_a_method_gets_around_the_table() {
    let guarded = Guarded::start(ALL).await;
    guarded.who("operator").post(open_ledger("kab")).await.unwrap();
    let client: Client<_, Body> =
        Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let open = pb::OpenFundRequest {
        ledger: KAB.to_owned(),
        request_id: fresh(),
        open_fund: match open_fund() {
            pb::command::Kind::OpenFund(command) => Some(command),
            _ => unreachable!(),
        },
        ..Default::default()
    };
    let body = framed(&open);
    let token = guarded.signer.token("maker");
    let call = async |path: &str, change: &dyn Fn(&mut Request<Body>)| {
        let url = format!("http://{}{path}", guarded.server.address);
        let body = Body::new(axum::body::Body::from(body.clone()));
        let mut request = Request::post(url).body(body).unwrap();
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        request.headers_mut().insert("te", "trailers".parse().unwrap());
        change(&mut request);
        match client.request(request).await {
            Ok(answer) => status(answer).await.code(),
            Err(_) => Code::Aborted,
        }
    };
    let bearing = |request: &mut Request<Body>| {
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
    };
    let good = "/bergulir.v1.LedgerService/OpenFund";
    for path in [
        good,
        "/bergulir.v1.LedgerService/openfund",
        "/bergulir.v1.ledgerservice/OpenFund",
        "/bergulir.v1.LedgerService/OpenFund/",
        "//bergulir.v1.LedgerService/OpenFund",
        "/bergulir.v1.LedgerService//OpenFund",
        "/./bergulir.v1.LedgerService/OpenFund",
        "/grpc.health.v1.Health/Check/../../bergulir.v1.LedgerService/OpenFund",
        "/grpc.health.v1.Health/../bergulir.v1.LedgerService/OpenFund",
        "/bergulir.v1.LedgerService/%4fpenFund",
        "/bergulir.v1.LedgerService%2fOpenFund",
        "/bergulir.v1.LedgerService/OpenFund%00",
        "/bergulir.v1.LedgerService/OpenFund;x",
        "/bergulir.v1.QueryService/../LedgerService/OpenFund",
        "/",
        "/grpc.health.v1.Health/",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Watch",
        "/http:list",
    ] {
        let stranger = call(path, &|_| {}).await;
        assert_eq!(stranger, Code::Unauthenticated, "{path}");
        // Who is known is told that there is no such thing.
        if path != good && path.contains("OpenFund") {
            let known = call(path, &bearing).await;
            assert!(matches!(known, Code::Unimplemented | Code::Aborted), "{path}: {known:?}");
        }
    }
    // What stands in other headers is no name of the caller's.
    for (name, value) in [
        ("host", "localhost"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-client-cert", "URI=maker"),
        ("x-principal", "maker"),
        ("bergulir-principal-bin", "bWFrZXI"),
        ("cookie", "authorization=Bearer"),
        ("proxy-authorization", &*format!("Bearer {token}")),
        ("grpc-metadata-authorization", &*format!("Bearer {token}")),
    ] {
        let code = call(good, &|request| {
            request.headers_mut().insert(
                tonic::codegen::http::HeaderName::try_from(name).unwrap(),
                value.parse().unwrap(),
            );
        })
        .await;
        assert_eq!(code, Code::Unauthenticated, "{name}");
    }
    // Other verbs and other kinds of bodies pass by the same gate.
    for method in [Method::GET, Method::PUT, Method::OPTIONS, Method::HEAD, Method::DELETE] {
        let code = call(good, &|request| *request.method_mut() = method.clone()).await;
        assert!(matches!(code, Code::Unauthenticated | Code::Aborted), "{method}: {code:?}");
    }
    for kind in ["application/grpc-web", "application/grpc-web-text", "application/json", "x"] {
        let code = call(good, &|request| {
            request.headers_mut().insert("content-type", kind.parse().unwrap());
        })
        .await;
        assert_eq!(code, Code::Unauthenticated, "{kind}");
    }
    let head = pb::GetHeadRequest { ledger: KAB.to_owned() };
    let head = guarded.who("maker").logs().get_head(head).await.unwrap().into_inner();
    assert_eq!(head.log_size, 1, "nothing of all that was recorded");
    assert_eq!(call(good, &bearing).await, Code::Ok, "it was well formed all the time");
    guarded.server.stop().await;
}

#[tokio::test]
async fn only_http2_is_spoken() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let guarded = Guarded::start(ALL).await;
    let mut stream = tokio::net::TcpStream::connect(guarded.server.address).await.unwrap();
    let request = "POST /bergulir.v1.QueryService/ListLedgers HTTP/1.1\r\nhost: x\r\n\
                   content-type: application/grpc-web\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(30), read).await.unwrap();
    assert!(!answer.starts_with(b"HTTP/1"), "{answer:?}");
    guarded.server.stop().await;
}

/// A fund in each of two ledgers, and people of one of them only.
async fn two_ledgers() -> Guarded {
    let guarded = Guarded::start(ALL).await;
    for (ledger, maker) in [("kab", "maker"), ("kota", "far")] {
        let of = |kind| RequestParts { ledger: format!("ledgers/{ledger}"), ..request(kind) };
        for (who, kind) in [("operator", open_ledger(ledger)), (maker, open_fund())] {
            let mut commands = guarded.who(who).commands();
            bergulir_proto::wire::send(&mut commands, of(kind)).await.unwrap();
        }
    }
    guarded
}

#[tokio::test]
async fn pages_names_and_messages_of_another_ledger_get_nowhere() {
    let guarded = two_ledgers().await;
    let (near, far) = (guarded.who("near"), guarded.who("far"));
    let other = || "ledgers/kota".to_owned();
    // A page of one list is a page of no other, whoever has it.
    let maker = guarded.who("maker");
    let mut second = open_fund();
    if let pb::command::Kind::OpenFund(fund) = &mut second {
        "other".clone_into(&mut fund.fund);
    }
    maker.post(second).await.unwrap();
    let list = |parent: String, page_token: String| pb::ListFundsRequest {
        parent,
        page_size: 1,
        page_token,
        ..Default::default()
    };
    let first = maker.queries().list_funds(list(KAB.to_owned(), String::new())).await.unwrap();
    let token = first.into_inner().next_page_token;
    assert!(!token.is_empty());
    let refused = far.queries().list_funds(list(other(), token.clone())).await;
    assert_eq!(reason(refused), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    let refused = far.queries().list_funds(list(KAB.to_owned(), token.clone())).await;
    assert_eq!(reason(refused).1, "ROLE_MISSING");
    // One that is made up shows nobody more than she may see.
    let made = format!("funds {KAB}\nd");
    let made: Vec<String> = made.bytes().map(|byte| format!("{byte:02x}")).collect();
    let made = made.concat();
    for token in [token, made] {
        let shown = near.queries().list_funds(list(KAB.to_owned(), token)).await.unwrap();
        let names: Vec<String> =
            shown.into_inner().funds.into_iter().map(|fund| fund.name).collect();
        assert!(names.iter().all(|name| name == FUND), "{names:?}");
    }
    // Names that lie elsewhere.
    let names = vec![FUND.to_owned(), "ledgers/kota/funds/dana".to_owned()];
    let request =
        pb::BatchGetBalancesRequest { parent: KAB.to_owned(), names, ..Default::default() };
    assert_eq!(reason(near.queries().batch_get_balances(request).await).1, "INVALID_FIELD");
    let filter = pb::RecordFilter {
        funds: vec!["ledgers/kota/funds/dana".to_owned()],
        ..Default::default()
    };
    let request = pb::SubscribeRequest {
        ledger: KAB.to_owned(),
        from_position: Some(0),
        filter: Some(filter),
        ..Default::default()
    };
    let refused = maker.logs().subscribe(request).await;
    assert_eq!(reason(refused.map(|_| ())).1, "INVALID_FIELD");
    let request = pb::SubscribeRequest { ledger: other(), ..Default::default() };
    assert_eq!(reason(maker.logs().subscribe(request).await.map(|_| ())).1, "ROLE_MISSING");
    // A stream is of one ledger: its later messages name no other one.
    let message = |ledger: &str, reference: &str| {
        let items = vec![item(allocate(1_000, reference))];
        pb::SubmitStreamRequest {
            ledger: ledger.to_owned(),
            mode: pb::BatchMode::Independent as i32,
            items,
            ..Default::default()
        }
    };
    let messages = vec![message(KAB, "a-1"), message("ledgers/kota", "a-2"), message("", "a-3")];
    let answers = near.commands().submit_stream(futures::stream::iter(messages)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut reasons = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        reasons.push(answer.error.map(|error| error.reason).unwrap_or_default());
    }
    assert_eq!(reasons, ["", "INVALID_FIELD", ""]);
    let alone = futures::stream::iter([message("ledgers/kota", "x")]);
    let answers = near.commands().submit_stream(alone).await.unwrap();
    assert_eq!(reason(answers.into_inner().message().await).1, "ROLE_MISSING");
    let head = pb::GetHeadRequest { ledger: other() };
    let head = far.logs().get_head(head).await.unwrap().into_inner();
    assert_eq!(head.log_size, 2);
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_request_id_of_somebody_else_tells_nothing() {
    let guarded = two_ledgers().await;
    let parts = RequestParts { request_id: fresh(), ..request(allocate(1_000, "a-1")) };
    let send = async |who: &str| {
        bergulir_proto::wire::send(&mut guarded.who(who).commands(), parts.clone()).await
    };
    send("maker").await.unwrap();
    assert!(send("maker").await.unwrap().receipt.is_some());
    assert_eq!(reason(send("near").await).1, "REQUEST_ID_CONFLICT");
    assert_eq!(reason(send("far").await).1, "ROLE_MISSING");
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_stream_of_commands_ends_with_its_token() {
    let guarded = two_ledgers().await;
    // Only the leeway is left of it.
    let exp = now() - 26;
    let short = format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"maker","exp":{exp}}}"#);
    let short = guarded.signer.sign(r#"{"alg":"EdDSA","kid":"k"}"#, &short);
    let (send, messages) = tokio::sync::mpsc::channel(1);
    let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
    let message = |reference: &str| pb::SubmitStreamRequest {
        ledger: KAB.to_owned(),
        mode: pb::BatchMode::Independent as i32,
        items: vec![item(allocate(1_000, reference))],
        ..Default::default()
    };
    send.send(message("a-1")).await.unwrap();
    let answers = guarded.bearing(&short).commands().submit_stream(messages).await.unwrap();
    let mut answers = answers.into_inner();
    assert!(answers.message().await.unwrap().unwrap().error.is_none());
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), answers.message()).await;
    assert_eq!(reason(ended.unwrap()).0, Code::DeadlineExceeded);
    let _ = send.send(message("a-2")).await;
    let head = pb::GetHeadRequest { ledger: KAB.to_owned() };
    let head = guarded.who("maker").logs().get_head(head).await.unwrap().into_inner();
    assert_eq!(head.log_size, 3);
    guarded.server.stop().await;
}
