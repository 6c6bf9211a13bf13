//! `bergulir bench` against the real binary: a short run of each mode, its keys and its totals.

use crate::support::{Server, last_json, run};
use serde_json::Value;

/// What every mode says.
const KEYS: [&str; 17] = [
    "mode",
    "events",
    "events_per_second",
    "events_per_second_caught_up",
    "p50_us",
    "p99_us",
    "p999_us",
    "server_cpu_seconds",
    "server_rss_bytes",
    "log_bytes",
    "index_bytes",
    "bytes_per_event",
    "verified",
    "records_read_per_second",
    "read_back_whole",
    "refused",
    "duplicates_answered",
];

fn bench(args: &str) -> Value {
    let output = run(["bench", "--json"].into_iter().chain(args.split_whitespace()));
    let said = last_json(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for key in KEYS {
        assert!(said.get(key).is_some(), "{key} is missing: {said}");
    }
    assert_eq!(said["totals_match"], true, "{said}");
    said
}

fn number(said: &Value, key: &str) -> u64 {
    said[key].as_u64().unwrap_or_else(|| panic!("{key}: {said}"))
}

/// A load on a server of its own: nothing may be unknown, and everything sent is counted.
fn loads(args: &str, commands: u64) -> Value {
    let said = bench(args);
    assert_eq!(said["verified"], true, "{said}");
    assert_eq!(said["read_back_whole"], true, "{said}");
    for key in KEYS {
        assert!(!said[key].is_null(), "{key}: {said}");
    }
    let (refused, again) = (number(&said, "refused"), number(&said, "duplicates_answered"));
    assert_eq!(number(&said, "events") + refused + again, commands, "{said}");
    assert!(refused > 0 && again > 0, "{said}");
    assert!(number(&said, "p50_us") > 0 && number(&said, "p50_us") <= number(&said, "p999_us"));
    let rate = |key: &str| said[key].as_f64().unwrap();
    assert!(rate("events_per_second") >= rate("events_per_second_caught_up"), "{said}");
    // A record of a payment has 130 to 200 bytes.
    assert!(rate("bytes_per_event") > 100.0, "{said}");
    said
}

#[test]
fn single_commands() {
    loads("--mode unary --events 3000 --accounts 100 --in-flight 8 --retries-per-mille 50", 3_000);
}

#[test]
fn batches_over_two_ledgers() {
    let args = "--events 20000 --batch 500 --accounts 200 --ledgers 2 --connections 2";
    let said = loads(args, 20_000);
    assert_eq!(said["ledgers"], 2);
}

#[test]
fn streams_of_batches_and_of_single_commands() {
    loads("--mode stream --events 20000 --batch 500 --accounts 200", 20_000);
    loads("--mode stream --events 10000 --batch 1 --accounts 100 --ledgers 2", 10_000);
}

#[test]
fn questions_beside_a_load() {
    let said =
        bench("--mode query --seconds 1 --batch 100 --accounts 100 --queries-per-second 200");
    assert_eq!(said["verified"], true, "{said}");
    assert!(number(&said, "queries") > 20, "{said}");
    for kind in ["balance", "balance_as_of", "trail", "inclusion_proof", "balance_proof"] {
        let (p50, p99) = (format!("{kind}_p50_us"), format!("{kind}_p99_us"));
        assert!(number(&said, &p50) > 0, "{kind}: {said}");
        assert!(number(&said, &p50) <= number(&said, &p99), "{kind}: {said}");
    }
    for key in ["load_share", "top_events_per_second", "alone_events_per_second", "writer_lost"] {
        assert!(said[key].is_number(), "{key}: {said}");
    }
    // Half of the top rate, and not all of it.
    let rate = |key: &str| said[key].as_f64().unwrap();
    assert!(rate("alone_events_per_second") < 0.8 * rate("top_events_per_second"), "{said}");
}

#[test]
fn a_server_elsewhere_is_loaded_and_not_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let args = "--events 2000 --batch 100 --accounts 50 --no-verify --address";
    let said = bench(&format!("{args} {}", server.address));
    for key in ["server_cpu_seconds", "server_rss_bytes", "log_bytes", "verified"] {
        assert!(said[key].is_null(), "{key}: {said}");
    }
    assert!(number(&said, "events") > 1_900, "{said}");
    assert!(server.stop().success());
}
