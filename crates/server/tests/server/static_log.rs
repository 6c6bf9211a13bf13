//! The logs over HTTP, as clients that others wrote read them.

use crate::proofs::{records, tree};
use crate::served::Served;
use crate::support::*;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::Levels;
use bergulir_chain::note::{CosignerKey, KeyName, Note, PosixSeconds};
use bergulir_chain::policy::Policy;
use bergulir_chain::proof::LogProof;
use bergulir_chain::tiles::{Bundle, Tile, bundles_added, tiles_added};
use bergulir_engine::NodeOptions;
use bergulir_proto::pb;
use bergulir_server::http::REQUEST_TIMEOUT;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ORIGIN: &str = "ledger.example.go.id/kab";

struct File {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

async fn get(address: SocketAddr, path: &str) -> File {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    File { status, headers: headers.collect(), body: answer[end + 4..].to_vec() }
}

/// A log of exactly so many records.
async fn log_of(server: &Server, size: u32) {
    server.post("maker", open_ledger("kab")).await.unwrap();
    let items = (1..size).map(|n| item(register(n))).collect();
    server.batch("maker", batch(pb::BatchMode::Independent, items)).await.unwrap();
    assert_eq!(server.size().await, u64::from(size));
    covering(server, size.into()).await;
}

async fn covering(server: &Server, size: u64) {
    let request = pb::GetCheckpointRequest { ledger: KAB.to_owned(), min_log_size: Some(size) };
    server.logs().get_checkpoint(request).await.unwrap();
}

/// A file of the log, which must be there, and may be kept for ever.
async fn there(address: SocketAddr, path: impl std::fmt::Display) -> Vec<u8> {
    let file = get(address, &format!("/{ORIGIN}/{path}")).await;
    assert_eq!(file.status, 200, "{path}");
    assert_eq!(file.headers["content-type"], "application/octet-stream");
    assert!(file.headers["cache-control"].contains("immutable"));
    file.body
}

async fn checkpoint(address: SocketAddr) -> Note {
    let file = get(address, &format!("/{ORIGIN}/checkpoint")).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(file.headers["cache-control"], "no-cache");
    Note::parse(&file.body).unwrap()
}

fn expected(tile: Tile, tree: &mut Levels) -> Vec<u8> {
    tile.read(tree).unwrap()
}

#[tokio::test]
async fn every_tile_and_bundle_of_a_log_is_served() {
    const SIZE: u64 = 700;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_http(folder.path(), NodeOptions::default()).await;
    log_of(&server, 700).await;
    let http = server.http.unwrap();
    let records = records(&server).await;
    let mut tree = tree(&records);
    let head = Checkpoint::parse_unverified(checkpoint(http).await.text()).unwrap().head();
    assert_eq!(head, tree.head());

    for tile in tiles_added(0, SIZE) {
        assert_eq!(there(http, tile).await, expected(tile, &mut tree), "{tile}");
    }
    let whole = |bundle: Bundle, bytes: &[u8]| {
        let first = usize::try_from(bundle.first()).unwrap();
        let expected = &records[first..first + usize::from(bundle.width)];
        assert!(bundle.parse(bytes).unwrap().eq(expected.iter().map(Vec::as_slice)), "{bundle}");
    };
    for bundle in bundles_added(0, SIZE) {
        whole(bundle, &there(http, bundle).await);
    }
    // Of older sizes too, as they were.
    for size in [1, 2, 255, 256, 257, 511, 699] {
        for tile in tiles_added(0, size) {
            assert_eq!(there(http, tile).await, expected(tile, &mut tree), "{tile}");
        }
        for bundle in bundles_added(0, size) {
            whole(bundle, &there(http, bundle).await);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_http(folder.path(), NodeOptions::default()).await;
    let http = server.http.unwrap();
    assert_eq!(get(http, "/").await.body, b"");
    log_of(&server, 300).await;
    let list = get(http, "/").await;
    assert_eq!(String::from_utf8(list.body).unwrap(), format!("{ORIGIN} 300\n"));
    for path in [
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/0/002.p/1",
        "tile/1/000",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/7/000.p/1",
        "tile/8/000.p/1",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/0",
        "tile/entries/001",
        "tile/entries/001.p/45",
        "tile/entries/x001/000",
        "tile/entries/../checkpoint",
        "Checkpoint",
        "checkpoint/",
        "",
    ] {
        let file = get(http, &format!("/{ORIGIN}/{path}")).await;
        assert_eq!(file.status, 404, "{path}");
        assert_eq!(file.headers["cache-control"], "no-cache", "{path}");
    }
    for path in [
        "/checkpoint",
        "/kab/checkpoint",
        "/ledger.example.go.id/other/checkpoint",
        "/ledger.example.go.id/kabcheckpoint",
    ] {
        assert_eq!(get(http, path).await.status, 404, "{path}");
    }
    assert_eq!(there(http, "tile/0/001.p/44").await.len(), 44 * 32);
    server.stop().await;
}

/// Their reader authenticates each tile that it reads against the root.
#[tokio::test]
async fn a_client_that_others_wrote_reads_and_proves_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_http(folder.path(), NodeOptions::default()).await;
    log_of(&server, 600).await;
    let http = server.http.unwrap();
    let note = checkpoint(http).await;
    let head = tlog_tiles::Checkpoint::from_bytes(note.text().as_bytes()).unwrap();
    assert_eq!((head.origin(), head.size()), (ORIGIN, 600));
    let mut served = BTreeMap::new();
    for tile in tiles_added(0, head.size()) {
        let path = tile.to_string().replacen("tile/", "tile/8/", 1);
        served.insert(path, there(http, tile).await);
    }
    let served = Served(served);
    let reader = tlog_tiles::TileHashReader::new(head.size(), *head.hash(), &served);
    let records = records(&server).await;
    for index in [0, 255, 256, 511, 512, 599] {
        let path = tlog_tiles::prove_record(head.size(), index, &reader).unwrap();
        let leaf = tlog_tiles::record_hash(&records[usize::try_from(index).unwrap()]);
        tlog_tiles::check_record(&path, head.size(), *head.hash(), index, leaf).unwrap();
    }
    server.stop().await;
}

/// Where witnesses are asked for, nothing is shown that they do not stand for.
#[tokio::test]
async fn a_policy_holds_back_what_is_not_witnessed() {
    let witness = CosignerKey::from_seed(KeyName::new("auditor.example/w1").unwrap(), &[5; 32]);
    let witness = witness.unwrap().verifier().to_string();
    // It has no address, and so is never asked.
    let policy = format!("witness w1 {witness}\nquorum w1\n");
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = NodeOptions { policy: Some(policy), ..NodeOptions::default() };
    let server = Server::with_http(folder.path(), node).await;
    log_of(&server, 3).await;
    let http = server.http.unwrap();
    let file = get(http, &format!("/{ORIGIN}/checkpoint")).await;
    assert_eq!(file.status, 404);
    assert!(String::from_utf8_lossy(&file.body).contains("quorum"));
    assert_eq!(get(http, "/").await.body, format!("{ORIGIN} -\n").into_bytes());
    assert_eq!(there(http, "tile/0/000.p/3").await.len(), 96);
    server.stop().await;
}

/// A quorum stands for the first three records; a fourth came since, and no witness can be asked.
async fn witnessed_and_gone_on(folder: &Path) -> (Server, Policy) {
    let witness = CosignerKey::from_seed(KeyName::new("auditor.example/w1").unwrap(), &[5; 32]);
    let witness = witness.unwrap();
    let policy = format!("witness w1 {}\nquorum w1\n", witness.verifier());
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let server = Server::with_http(folder, NodeOptions::default()).await;
    log_of(&server, 3).await;
    let mut note = checkpoint(server.http.unwrap()).await;
    server.stop().await;
    let signed = Checkpoint::parse_unverified(note.text()).unwrap();
    let time = PosixSeconds::new(1_772_000_000).unwrap();
    note.add(witness.cosign(&signed, time)).unwrap();
    std::fs::write(folder.join("ledgers/kab/checkpoint.witnessed"), note.to_string()).unwrap();
    let node = NodeOptions { policy: Some(policy.clone()), ..NodeOptions::default() };
    let server = Server::with_http(folder, node).await;
    server.post("maker", register(3)).await.unwrap();
    (server, policy)
}

#[tokio::test]
async fn what_witnesses_stand_for_goes_before_what_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    let (server, policy) = witnessed_and_gone_on(folder.path()).await;
    let stands = |note: &Note| policy.witnessed(note).is_ok();
    let parse = |note: &str| Note::parse(note.as_bytes()).unwrap();

    // Who asks for the newest is told of both.
    let request = pb::GetCheckpointRequest { ledger: KAB.to_owned(), min_log_size: Some(4) };
    let answer = server.logs().get_checkpoint(request).await.unwrap().into_inner();
    let (newest, witnessed) = (answer.checkpoint.unwrap(), answer.witnessed.unwrap());
    assert_eq!((newest.log_size, stands(&parse(&newest.note))), (4, false));
    assert_eq!((witnessed.log_size, stands(&parse(&witnessed.note))), (3, true));

    // What is published is what they stand for.
    let http = server.http.unwrap();
    assert_eq!(checkpoint(http).await, parse(&witnessed.note));
    assert_eq!(get(http, "/").await.body, format!("{ORIGIN} 3\n").into_bytes());

    // So is what a record is proved under, if it covers it.
    for (position, asked, size, is_witnessed) in
        [(2, None, 3, true), (2, Some(3), 3, true), (2, Some(4), 4, false), (3, None, 4, false)]
    {
        let ledger = KAB.to_owned();
        let request = pb::GetInclusionProofRequest { ledger, position, log_size: asked };
        let answer = server.logs().get_inclusion_proof(request).await.unwrap().into_inner();
        let proof = LogProof::parse(answer.proof.as_bytes()).unwrap();
        let under = Checkpoint::parse_unverified(proof.checkpoint.text()).unwrap();
        let found = (answer.log_size, under.size.get(), stands(&proof.checkpoint));
        assert_eq!(found, (size, size, is_witnessed), "{position} of {asked:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn each_log_of_a_node_is_listed_and_has_its_own_files() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_http(folder.path(), NodeOptions::default()).await;
    log_of(&server, 3).await;
    // The origin of the first begins those of the others, and is a prefix of none.
    for ledger in ["kab2", "kab-3"] {
        server.post_to(ledger, "maker", open_ledger(ledger)).await.unwrap();
        let ledger = format!("ledgers/{ledger}");
        let request = pb::GetCheckpointRequest { ledger, min_log_size: Some(1) };
        server.logs().get_checkpoint(request).await.unwrap();
    }
    let http = server.http.unwrap();
    let list = String::from_utf8(get(http, "/").await.body).unwrap();
    assert_eq!(list, format!("{ORIGIN} 3\n{ORIGIN}-3 1\n{ORIGIN}2 1\n"));
    let mut bundles = Vec::new();
    for line in list.lines() {
        let (origin, size) = line.split_once(' ').unwrap();
        let note = Note::parse(&get(http, &format!("/{origin}/checkpoint")).await.body).unwrap();
        assert!(note.text().starts_with(&format!("{origin}\n{size}\n")), "{}", note.text());
        bundles.push(get(http, &format!("/{origin}/tile/entries/000.p/{size}")).await);
    }
    for (bundle, line) in bundles.iter().zip(list.lines()) {
        let origin = line.split(' ').next().unwrap().as_bytes();
        // Position 0 names the origin, and after it comes another field.
        let named = [&[u8::try_from(origin.len()).unwrap()], origin].concat();
        assert_eq!(bundle.status, 200, "{line}");
        assert!(bundle.body.windows(named.len()).any(|bytes| bytes == named), "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_http_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_http(folder.path(), NodeOptions::default()).await;
    let http = server.http.unwrap();
    // A connection that says nothing does not keep the server.
    let idle = TcpStream::connect(http).await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(8), server.stop()).await.unwrap();
    assert!(TcpStream::connect(http).await.is_err());
    drop(idle);
}

/// What is answered to the beginning of a request, until the connection is closed, and after how long.
async fn begun(address: SocketAddr, beginning: &str) -> (String, Duration) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(beginning.as_bytes()).await.unwrap();
    let (began, mut answer) = (Instant::now(), Vec::new());
    let closed = tokio::time::timeout(REQUEST_TIMEOUT * 2, stream.read_to_end(&mut answer)).await;
    closed.expect("it is closed").unwrap();
    (String::from_utf8(answer).unwrap(), began.elapsed())
}

#[tokio::test]
async fn a_web_page_whose_name_leads_here_reads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_http(folder.path(), NodeOptions::default()).await;
    log_of(&server, 3).await;
    let http = server.http.unwrap();
    let port = http.port();
    for (hosts, expected) in [
        (format!("Host: 127.0.0.1:{port}\r\n"), 200),
        (format!("Host: [::1]:{port}\r\n"), 200),
        (format!("Host: LOCALHOST:{port}\r\n"), 200),
        (format!("Host: evil.example:{port}\r\n"), 403),
        ("Host: localhost.evil.example\r\n".to_owned(), 403),
        ("Host: 127.0.0.1.evil.example\r\n".to_owned(), 403),
        (format!("Host: localhost:{port}\r\nHost: evil.example\r\n"), 403),
        ("Host: localhost@evil.example\r\n".to_owned(), 403),
    ] {
        for path in ["/", "/ledger.example.go.id/kab/tile/entries/000.p/3"] {
            let request = format!("GET {path} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
            let mut stream = TcpStream::connect(http).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{hosts}: {answer}");
            assert_eq!(answer.contains("ledger.example.go.id"), expected == 200, "{hosts}: {path}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn who_sends_slowly_is_cut_off_and_who_asks_wrongly_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_http(folder.path(), NodeOptions::default()).await;
    let http = server.http.unwrap();
    let head = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    let slow_body = format!("{head}Content-Length: 9\r\n\r\nabc");
    let (in_head, in_body) = tokio::join!(begun(http, head), begun(http, &slow_body));
    for (_, took) in [&in_head, &in_body] {
        let limit = REQUEST_TIMEOUT * 9 / 10..REQUEST_TIMEOUT * 2;
        assert!(limit.contains(took), "{took:?}");
    }
    assert!(in_body.0.starts_with("HTTP/1.1 408 "), "{}", in_body.0);

    let close = "Connection: close\r\n";
    let long = format!("{head}{close}Content-Length: 2000\r\n\r\n{}", "x".repeat(2_000));
    let long = begun(http, &long).await.0;
    assert!(long.starts_with("HTTP/1.1 413 ") && long.contains("at most 1024 bytes"), "{long}");
    let other =
        begun(http, &format!("DELETE / HTTP/1.1\r\nHost: localhost\r\n{close}\r\n")).await.0;
    assert!(other.starts_with("HTTP/1.1 405 ") && other.contains("by that method"), "{other}");
    assert!(other.to_ascii_lowercase().contains("\r\nallow: get"), "{other}");
    server.stop().await;
}
