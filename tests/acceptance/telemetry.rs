//! What a server says of itself: metrics, whether it lives and is ready, log lines, traces.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use uuid::Uuid;

use crate::pilot::{allocate, open_fund, open_ledger};
use crate::support::{HttpAnswer, LEDGER, Server, accept, bergulir, http, run, run_briefly};

/// A server with metrics, and where they are.
pub fn watched(data: &Path, more: &[&str]) -> (Server, String) {
    let args = ["serve", "--metrics", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let server = Server::run(args.into_iter().chain(more.iter().copied()));
    let metrics = server.printed_address("serving metrics on http://", "/metrics");
    (server, metrics)
}

pub fn get(address: &str, path: &str) -> HttpAnswer {
    http(address, "GET", path, b"")
}

/// The value of a metric with those labels; `None` if it has no such line.
pub fn value(metrics: &str, line: &str) -> Option<f64> {
    let found = metrics
        .lines()
        .find(|text| text.strip_prefix(line).is_some_and(|rest| rest.starts_with(' ')));
    found.map(|found| found.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Waits until a metric has that value.
pub fn until(address: &str, line: &str, expected: f64) {
    let began = Instant::now();
    loop {
        let answer = get(address, "/metrics");
        if value(answer.text(), line) == Some(expected) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{line}: {}", answer.text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn metrics_count_what_was_done_and_name_no_caller() {
    let folder = tempfile::tempdir().unwrap();
    let anchor = folder.path().join("anchor");
    std::fs::create_dir(&anchor).unwrap();
    let data = folder.path().join("data");
    let (server, metrics) = watched(&data, &["--anchor", anchor.to_str().unwrap()]);
    let mut client = server.client("maker-unmistakable").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    for n in 0..3 {
        client.post(&allocate(1, &format!("A{n}"))).await;
    }
    let again = client.send(Uuid::new_v4(), &allocate(1, "A0")).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);

    until(&metrics, "bergulir_checkpoint_records{ledger=\"pilot\"}", 5.0);
    until(&metrics, "bergulir_projected_records{ledger=\"pilot\"}", 5.0);
    let answer = get(&metrics, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("application/openmetrics-text"), "{}", answer.head);
    let text = answer.text();
    let method = "method=\"bergulir.v1.LedgerService/AllocateFund\"";
    for (line, expected) in [
        (format!("bergulir_call_seconds_count{{{method},code=\"OK\"}}"), 3.0),
        (format!("bergulir_call_seconds_bucket{{le=\"+Inf\",{method},code=\"OK\"}}"), 3.0),
        (format!("bergulir_call_seconds_bucket{{le=\"10.0\",{method},code=\"OK\"}}"), 3.0),
        (format!("bergulir_call_seconds_count{{{method},code=\"ALREADY_EXISTS\"}}"), 1.0),
        (format!("bergulir_calls_in_flight{{{method}}}"), 0.0),
        ("bergulir_refused_total{reason=\"BANK_REFERENCE_USED\"}".to_owned(), 1.0),
        ("bergulir_head_records{ledger=\"pilot\"}".to_owned(), 5.0),
        // The first record is written before there is a writer.
        ("bergulir_group_records_sum{ledger=\"pilot\"}".to_owned(), 4.0),
        ("bergulir_append_seconds_count{ledger=\"pilot\"}".to_owned(), 4.0),
        ("bergulir_queue_work{ledger=\"pilot\"}".to_owned(), 0.0),
        ("bergulir_queue_age_seconds{ledger=\"pilot\"}".to_owned(), 0.0),
        ("bergulir_queue_limit".to_owned(), 4096.0),
        ("bergulir_turn_seconds_count{ledger=\"pilot\"}".to_owned(), 5.0),
        ("bergulir_pushed_back_total{ledger=\"pilot\",why=\"FULL\"}".to_owned(), 0.0),
        ("bergulir_pushed_back_total{ledger=\"pilot\",why=\"LATE\"}".to_owned(), 0.0),
        ("bergulir_ledger_read_only{ledger=\"pilot\",why=\"\"}".to_owned(), 0.0),
        ("bergulir_anchor_failed{ledger=\"pilot\",anchor=\"1\"}".to_owned(), 0.0),
        ("bergulir_connections".to_owned(), 1.0),
        ("bergulir_streams{of=\"records\"}".to_owned(), 0.0),
        ("bergulir_ready".to_owned(), 1.0),
        (format!("bergulir_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        assert_eq!(value(text, &line), Some(expected), "{line}: {text}");
    }
    for line in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "bergulir_data_free_bytes",
        "bergulir_checkpoint_timestamp_seconds{ledger=\"pilot\"}",
        "bergulir_append_seconds_sum{ledger=\"pilot\"}",
    ] {
        assert!(value(text, line).is_some_and(|value| value > 0.0), "{line}: {text}");
    }
    for le in ["0.0001", "0.00025", "0.001", "0.25"] {
        let line = format!("bergulir_append_seconds_bucket{{le=\"{le}\",ledger=\"pilot\"}}");
        assert!(value(text, &line).is_some(), "{line}: {text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("unmistakable"), "{text}");

    assert_eq!(get(&metrics, "/healthz").status, 200);
    assert_eq!(get(&metrics, "/readyz").status, 200);
    assert_eq!(get(&metrics, "/").status, 404);
    assert_eq!(http(&metrics, "POST", "/metrics", b"").status, 405);

    // The anchor is gone: that is seen with the next checkpoint.
    std::fs::remove_dir_all(&anchor).unwrap();
    client.post(&allocate(1, "A4")).await;
    until(&metrics, "bergulir_anchor_failed{ledger=\"pilot\",anchor=\"1\"}", 1.0);
}

async fn health(server: &Server, service: &str) -> i32 {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let request = HealthCheckRequest { service: service.to_owned() };
    client.check(request).await.unwrap().into_inner().status
}

/// What `bergulir status` says: its exit code and its output.
fn status(server: &Server, more: &[&str]) -> (Option<i32>, String) {
    let output = run(["status", "--address", &server.address].iter().chain(more).copied());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn the_status_of_ledgers_is_shown_to_people_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let (server, metrics) = watched(folder.path(), &[]);
    assert_eq!(status(&server, &[]).0, Some(0));
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    until(&metrics, "bergulir_checkpoint_records{ledger=\"pilot\"}", 2.0);
    let (code, line) = status(&server, &["--json"]);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((code, &line["serving"]), (Some(0), &true.into()));
    let ledger = &line["ledgers"][0];
    for (key, expected) in [
        ("ledger", LEDGER.into()),
        ("takesCommands", true.into()),
        ("records", 2.into()),
        ("recordsNotProjected", 0.into()),
        ("recordsNotSigned", 0.into()),
        ("recordsNotWitnessed", serde_json::Value::Null),
        ("readOnlyReason", serde_json::Value::Null),
    ] {
        assert_eq!(ledger[key], expected, "{key}: {line}");
    }
    let (code, table) = status(&server, &["--ledger", "pilot"]);
    assert_eq!(code, Some(0));
    assert!(table.contains("takes commands") && table.contains(LEDGER), "{table}");
    assert_eq!(status(&server, &["--ledger", "other"]).0, Some(1));
    let address = server.address.clone();
    server.kill();
    assert_eq!(run(["status", "--address", &address]).status.code(), Some(2));
}

#[tokio::test]
async fn a_ledger_that_is_read_only_or_cannot_be_opened_is_seen_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = watched(folder.path(), &[]);
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    client.post(&open_fund()).await;
    // Its checkpoint is signed on the way out.
    assert!(server.stop().success());
    let ledger = folder.path().join("ledgers/pilot");
    let segment = ledger.join("log/00000000000000000000.seg");
    let whole = std::fs::read(&segment).unwrap();
    let marker = ledger.join("continued");

    // The checkpoint knows of more; the ledger goes on as another one; it is damaged.
    let begins = |at: &usize| whole[*at..].starts_with(b"BGFR");
    let second = (0..whole.len()).filter(begins).nth(1).unwrap();
    let mut flipped = whole.clone();
    flipped[second + 100] ^= 1;
    let cases: [(&str, &[u8], Option<&str>); 3] = [
        ("ROLLED_BACK", &whole[..second], None),
        ("CONTINUED", &whole, Some("not a mark\n")),
        ("NOT_OPEN", &flipped, None),
    ];
    for (why, log, mark) in cases {
        let _ = std::fs::remove_dir_all(ledger.join("index"));
        std::fs::write(&segment, log).unwrap();
        if let Some(mark) = mark {
            std::fs::write(&marker, mark).unwrap();
        }
        let (server, metrics) = watched(folder.path(), &[]);
        let line = format!("bergulir_ledger_read_only{{ledger=\"pilot\",why=\"{why}\"}}");
        let text = get(&metrics, "/metrics");
        assert_eq!(value(text.text(), &line), Some(1.0), "{why}: {}", text.text());
        assert_eq!(value(text.text(), "bergulir_ready"), Some(0.0));
        assert_eq!(health(&server, LEDGER).await, ServingStatus::NotServing as i32, "{why}");
        assert_eq!(health(&server, "").await, ServingStatus::NotServing as i32, "{why}");
        let ready = get(&metrics, "/readyz");
        assert_eq!(ready.status, 503, "{why}");
        assert!(ready.text().contains("bergulir status"));
        assert_eq!(get(&metrics, "/healthz").status, 200, "{why}");
        let (code, table) = status(&server, &[]);
        assert_eq!(code, Some(1), "{why}: {table}");
        assert!(table.contains("READ-ONLY") && table.contains("pilot is read-only: "), "{table}");
        let (code, line) = status(&server, &["--json"]);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((code, &line["serving"]), (Some(1), &false.into()));
        let reason = line["ledgers"][0]["readOnlyReason"].as_str().unwrap();
        assert!(why == "NOT_OPEN" || reason.starts_with(why), "{reason}");
        server.kill();
        let _ = std::fs::remove_file(&marker);
    }
    let _ = std::fs::remove_dir_all(ledger.join("index"));
    std::fs::write(&segment, &whole).unwrap();
    let (server, metrics) = watched(folder.path(), &[]);
    assert_eq!(health(&server, LEDGER).await, ServingStatus::Serving as i32);
    assert_eq!(get(&metrics, "/readyz").status, 200);
}

/// A child that does not outlive its test, also if that fails.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_that_starts_lives_and_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (server, _) = watched(&data, &[]);
    server.client("maker").await.post(&open_ledger()).await;
    assert!(server.stop().success());

    // A witness that never answers holds the start up.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let key = folder.path().join("w.key");
    let made = ["key", "new", "--witness", "--name", "auditor.example/w", "--json", "--out"];
    let made = crate::support::last_json(&run(made.into_iter().chain([key.to_str().unwrap()])));
    let policy = folder.path().join("policy");
    let (witness, address) = (made["verifier_key"].as_str().unwrap(), silent.local_addr().unwrap());
    std::fs::write(&policy, format!("witness w {witness} http://{address}/\nquorum w\n")).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let starting = bergulir(["serve", "--listen", "127.0.0.1:0", "--metrics", &free])
        .args(["--data", data.to_str().unwrap(), "--policy", policy.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut starting = Mortal(starting.unwrap());
    let asked = accept(&silent, &mut starting.0);
    assert_eq!(get(&free, "/healthz").status, 200);
    let ready = get(&free, "/readyz");
    assert_eq!((ready.status, ready.text()), (503, "the ledgers are being opened\n"));
    let text = get(&free, "/metrics");
    assert_eq!(value(text.text(), "bergulir_ready"), Some(0.0), "{}", text.text());
    drop(asked);
}

#[test]
fn metrics_that_others_could_reach_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let args = ["serve", "--data", data.to_str().unwrap(), "--metrics", "0.0.0.0:0"];
    let refused = run_briefly(args);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--metrics: 0.0.0.0:0 can be reached from other machines"), "{said}");
    assert!(said.contains("--metrics-exposed"), "{said}");
    assert!(!data.exists());
    let server = Server::run(args.into_iter().chain(["--metrics-exposed"]));
    assert!(
        server.printed.iter().any(|line| line.starts_with("serving metrics on http://0.0.0.0:"))
    );
}

#[test]
fn log_lines_are_json_if_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = bergulir(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(["--data", folder.path().to_str().unwrap()])
        .env("BERGULIR_NONSENSE", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let warning = lines.iter().find(|line| line["level"] == "WARN").unwrap();
    assert!(warning["message"].as_str().unwrap().starts_with("BERGULIR_NONSENSE: "), "{warning}");
    assert!(warning["timestamp"].is_string());
}

/// Keeps the spans that it gets.
#[derive(Clone, Default)]
pub struct Collector(pub Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes =
            request.into_inner().resource_spans.into_iter().flat_map(|all| all.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

pub async fn collector() -> (Collector, String) {
    collect(tonic::transport::Server::builder(), "http://127.0.0.1").await
}

async fn collect(mut server: tonic::transport::Server, at: &str) -> (Collector, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("{at}:{}", listener.local_addr().unwrap().port());
    let collector = Collector::default();
    let service = TraceServiceServer::new(collector.clone());
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(server.add_service(service).serve_with_incoming(incoming));
    (collector, address)
}

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

/// Asks for the head, in a trace with that flag, or in none.
async fn ask(server: &Server, flag: Option<&str>) {
    let mut client = server.client("maker").await;
    let head = bergulir_proto::pb::GetHeadRequest { ledger: LEDGER.to_owned() };
    let mut request = Request::new(head);
    if let Some(flag) = flag {
        let trace = format!("00-{TRACE:032x}-{PARENT:016x}-{flag}");
        request.metadata_mut().insert("traceparent", trace.parse().unwrap());
    }
    client.log.get_head(request).await.unwrap();
}

#[tokio::test]
async fn the_trace_of_a_caller_goes_on_in_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (collector, address) = collector().await;
    let data = folder.path().to_str().unwrap();
    // Who is in no trace gets no span; who is in one has decided.
    let args = ["serve", "--data", data, "--otlp", &address, "--otlp-ratio", "0"];
    let server = Server::run(args);
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    ask(&server, None).await;
    ask(&server, Some("00")).await;
    ask(&server, Some("01")).await;
    // What is left is sent at the end.
    assert!(tokio::task::spawn_blocking(move || server.stop()).await.unwrap().success());
    let spans = collector.0.lock().unwrap();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.name, "bergulir.v1.LogService/GetHead");
    assert_eq!(span.trace_id, TRACE.to_be_bytes());
    assert_eq!(span.parent_span_id, PARENT.to_be_bytes());
    let attributes = span.attributes.iter().map(|attribute| attribute.key.as_str());
    let attributes: BTreeSet<&str> = attributes.collect();
    assert!(
        attributes.is_superset(&["rpc.system", "rpc.grpc.status_code", "ledger"].into()),
        "{span:?}"
    );
}

#[tokio::test]
async fn spans_go_to_a_collector_under_tls_whose_authority_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    crate::guarded::papers(folder.path());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let identity = tonic::transport::Identity::from_pem(read("server.pem"), read("server.key"));
    let tls = tonic::transport::ServerTlsConfig::new().identity(identity);
    let encrypted = tonic::transport::Server::builder().tls_config(tls).unwrap();
    let (collector, address) = collect(encrypted, "https://localhost").await;
    for (trusted, expected) in [("operator.pem", false), ("ca.pem", true)] {
        let data = folder.path().join(trusted.replace(".pem", ""));
        let mut command = bergulir(["serve", "--listen", "127.0.0.1:0", "--otlp", &address]);
        command.arg("--data").arg(data).stderr(Stdio::null());
        command.env("SSL_CERT_FILE", folder.path().join(trusted)).env_remove("SSL_CERT_DIR");
        let server = Server::command(command);
        server.client("maker").await.post(&open_ledger()).await;
        assert!(tokio::task::spawn_blocking(move || server.stop()).await.unwrap().success());
        let spans = collector.0.lock().unwrap();
        assert_eq!(!spans.is_empty(), expected, "{trusted}: {spans:?}");
    }
}

#[tokio::test]
async fn calls_without_a_trace_get_one_as_often_as_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (collector, address) = collector().await;
    let server =
        Server::run(["serve", "--data", folder.path().to_str().unwrap(), "--otlp", &address]);
    let mut client = server.client("maker").await;
    client.post(&open_ledger()).await;
    ask(&server, None).await;
    assert!(tokio::task::spawn_blocking(move || server.stop()).await.unwrap().success());
    let spans = collector.0.lock().unwrap();
    let names: BTreeSet<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["bergulir.v1.LedgerService/OpenLedger", "bergulir.v1.LogService/GetHead"].into()
    );
}

#[test]
fn a_collector_that_is_not_there_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{nobody}");
    let server = Server::run(["serve", "--data", data, "--otlp", &address]);
    let opened = bergulir(["ledger", "open", "--origin", "ledger.example.go.id/pilot"])
        .args(["--ledger", "pilot", "--principal", "p", "--address", &server.address])
        .output()
        .unwrap();
    assert!(opened.status.success(), "{opened:?}");
    let began = Instant::now();
    assert!(server.stop().success());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let refused = run_briefly(["serve", "--data", data, "--otlp", "ftp://c:4317"]);
    assert_eq!(refused.status.code(), Some(2));
}
