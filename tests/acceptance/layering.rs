//! Which of our crates may use which: the edges of ARCHITECTURE.md, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Every crate of ours with those of ours that it may use.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("chain", &[]),
    ("proto", &["domain", "chain"]),
    ("store", &["chain"]),
    ("audit", &["domain", "chain", "proto"]),
    ("engine", &["domain", "chain", "store", "proto"]),
    ("server", &["engine", "proto", "domain", "chain"]),
    ("cli", &["domain", "chain", "proto", "store", "audit", "engine", "server"]),
    // For tests; nothing that is shipped may use it.
    ("fuzz", &[]),
];

/// What the two pure crates may use of others: no I/O, clock, randomness or async among them.
const PURE: [(&str, &[&str]); 2] = [
    ("domain", &["hashbrown", "rust_decimal", "thiserror", "time"]),
    ("chain", &["base64ct", "crc32fast", "ed25519-dalek", "sha2", "thiserror", "zeroize"]),
];

/// The direct dependencies of each of our crates, by `cargo metadata`; the root package is `cli`.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter();
            // Development and build dependencies are not part of what is shipped.
            let shipped = used.filter(|dependency| dependency["kind"].is_null());
            let names = shipped.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (package["name"].as_str().unwrap().to_owned(), names.collect())
        })
        .collect()
}

fn short(package: &str) -> &str {
    if package == "bergulir" { "cli" } else { package.strip_prefix("bergulir-").unwrap_or(package) }
}

#[test]
fn our_crates_use_each_other_as_the_architecture_says() {
    let allowed = BTreeMap::from(ALLOWED);
    let dependencies = dependencies();
    assert_eq!(dependencies.len(), allowed.len(), "a new crate needs its line in ALLOWED");
    for (package, used) in &dependencies {
        let ours: BTreeSet<&str> =
            used.iter().filter(|name| name.starts_with("bergulir-")).map(|n| short(n)).collect();
        let may: BTreeSet<&str> = allowed[short(package)].iter().copied().collect();
        let too_many: Vec<_> = ours.difference(&may).collect();
        assert!(too_many.is_empty(), "{} must not use {too_many:?}", short(package));
    }
}

#[test]
fn the_pure_crates_use_nothing_impure() {
    let dependencies = dependencies();
    for (package, may) in PURE {
        let used = &dependencies[&format!("bergulir-{package}")];
        let too_many: Vec<_> = used.iter().filter(|name| !may.contains(&name.as_str())).collect();
        assert!(too_many.is_empty(), "{package} is pure and must not use {too_many:?}");
    }
}

#[test]
fn the_pure_crates_are_no_std() {
    for package in ["domain", "chain"] {
        let path = format!("{}/crates/{package}/src/lib.rs", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).unwrap();
        for line in ["#![no_std]", "#![deny(clippy::float_arithmetic)]"] {
            assert!(source.contains(line), "{package} must say {line}");
        }
    }
}
