//! The main job: a whole programme from allocation to repayment, by the real binary.

use crate::support::{last_json, run};
use std::path::Path;

/// What a programme of `n` cooperatives comes to, counted from its description alone.
struct Expected {
    cooperatives: i64,
    further: i64,
}

impl Expected {
    fn of(cooperatives: i64) -> Expected {
        let principal_back = cooperatives * 3 * 3_030_303;
        Expected { cooperatives, further: principal_back / 100_000_000 }
    }

    fn check(&self, report: &serde_json::Value) {
        let Expected { cooperatives: n, further } = self;
        let loans = n + further;
        let (disbursed, repaid) = (loans * 100_000_000, n * 3 * 3_030_303);
        let figures = [
            ("allocated", n * 100_000_000),
            ("disbursed", disbursed),
            ("principal_repaid", repaid),
            ("interest_received", n * 3 * 454_545),
            ("available", n * 100_000_000 - disbursed + repaid),
            ("outstanding", disbursed - repaid),
        ];
        for (key, rupiah) in figures {
            assert_eq!(report[key], format!("{rupiah}.00"), "{key} of {report}");
        }
        assert_eq!(report["cooperatives"], *n, "{report}");
        assert_eq!(report["loans"], loans, "{report}");
    }
}

fn the_demo_and_the_audit_agree(args: &[&str], expected: &Expected) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    let demo = run(["demo", "--json", "--data", data].into_iter().chain(args.iter().copied()));
    let shown = last_json(&demo);
    assert_eq!(demo.status.code(), Some(0), "{shown}");
    assert_eq!(shown["verified"], true, "{shown}");
    expected.check(&shown);

    let audit = run(["audit", "verify", "--json", data]);
    let verified = last_json(&audit);
    assert_eq!(audit.status.code(), Some(0), "{verified}");
    expected.check(&verified);
    for key in ["records", "head_hash"] {
        assert_eq!(shown[key], verified[key], "{key}");
        assert!(!shown[key].is_null(), "{key}");
    }
}

#[test]
fn the_pilot_of_58_cooperatives() {
    let expected = Expected::of(58);
    assert_eq!(expected.further, 5);
    the_demo_and_the_audit_agree(&[], &expected);
}

#[test]
fn the_274_real_villages_of_a_regency() {
    let Some(folder) = std::env::var_os("BERGULIR_TEST_DATA") else {
        println!("BERGULIR_TEST_DATA is not set: ran without the real village codes");
        return;
    };
    let file = Path::new(&folder).join("kode-wilayah-36.03.csv");
    let expected = Expected::of(274);
    assert_eq!(expected.further, 24);
    the_demo_and_the_audit_agree(&["--cooperatives", file.to_str().unwrap()], &expected);
}

#[test]
fn a_file_that_is_not_one_of_villages_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("nothing.csv", "", "village_code"),
        ("header.csv", "code,name\n36.03.01.2003,X\n", "village_code"),
        ("code.csv", "village_code,village_name\n36.03.01.2003,A\n36.03.01,B\n", "3"),
        ("twice.csv", "village_code,village_name\n36.03.01.2003,A\n36.03.01.2003,B\n", "3"),
        ("kind.csv", "village_code,village_name\n36.03.01.9003,A\n", "2"),
    ];
    for (name, content, mentions) in cases {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        let output = run(["demo", "--json", "--cooperatives", file.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{name}");
        assert!(error.contains(mentions), "{name}: {error}");
        assert!(!error.contains("panicked"), "{name}: {error}");
    }
}
