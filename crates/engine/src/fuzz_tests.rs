//! Small files of a ledger and of a data directory, nearly right and wrong: see docs/adr/0036-fuzzing.md.

use crate::continued::Mark;
use crate::{clock_keeper, horizon};
use bergulir_chain::{Hash, LogSize};
use bergulir_domain::PrincipalId;
use bergulir_domain::ledger::Origin;
use bergulir_fuzz::{Target, fuzz};

const WORDS: &[&str] = &[
    "before ",
    "-1",
    "+5",
    "007",
    "9223372036854775807",
    "\r\n",
    "\n",
    "bergulir-horizon 1\n",
    "ledger kab\n",
    "size 18446744073709551615\n",
    "record ",
    "at ",
    "by system\n",
    "by ",
];

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR")).words(WORDS)
}

/// Makes the sum of a horizon right again.
fn repair_sum(bytes: &mut Vec<u8>) {
    if let Some(at) = bytes.windows(5).rposition(|part| part == b"\ncrc ") {
        bytes.truncate(at + 1);
        let sum = crc32fast::hash(bytes);
        bytes.extend_from_slice(format!("crc {sum:08x}\n").as_bytes());
    }
}

#[test]
fn a_horizon_has_one_text() {
    let samples = [1_767_225_600_000_000, i64::MIN, 0].map(|at| horizon::text(at).into_bytes());
    fuzz!(target("horizon").samples(samples).repair(repair_sum), |input| {
        match horizon::parse(input) {
            Some(at) => {
                assert_eq!(horizon::text(at.as_micros()).as_bytes(), input);
                "read".to_owned()
            }
            None => "damaged".to_owned(),
        }
    });
}

#[test]
fn a_mark_of_a_continued_ledger_has_one_text() {
    let mark = Mark {
        ledger: "pilot-2".parse().unwrap(),
        origin: Origin::new("ledger.example.go.id/pilot-2").unwrap(),
        size: LogSize::new(7),
        record: Hash::from_bytes([9; 32]),
    };
    fuzz!(target("continued-mark").sample(mark.to_string()), |input| {
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        match Mark::parse(text) {
            Some(mark) => {
                assert_eq!(mark.to_string(), text);
                "read".to_owned()
            }
            None => "damaged".to_owned(),
        }
    });
}

#[test]
fn what_an_operator_says_of_the_clock_names_who_and_when() {
    let sample = "bergulir-clock 1\nat 1767225600000000\nby ops@kab\n";
    fuzz!(target("clock-accepted").sample(sample), |input| {
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        match clock_keeper::parse(text) {
            Some((at, by)) => {
                let by: PrincipalId = by.parse().expect("who says it is a principal");
                let said: Vec<&str> = text.lines().take(3).collect();
                assert_eq!(said[0], "bergulir-clock 1");
                assert_eq!(said[1].strip_prefix("at ").unwrap().parse(), Ok(at.as_micros()));
                assert_eq!(said[2].strip_prefix("by "), Some(by.as_str()));
                "read".to_owned()
            }
            None => "damaged".to_owned(),
        }
    });
}
