//! What people write into files and flags, nearly right and wrong: see docs/adr/0036-fuzzing.md.

use std::path::Path;

use bergulir_fuzz::{Target, fuzz};

use crate::demo::roster::Roster;
use crate::{batch, parse};

fn target(name: &'static str) -> Target {
    Target::new(name, env!("CARGO_MANIFEST_DIR"))
}

/// The words of a message that are letters only, of which one kind of message has the same.
fn words(message: &str) -> String {
    let words = message.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic));
    words.take(6).collect::<Vec<_>>().join(" ")
}

/// The number behind these words, as `line 7:` has it.
fn number_after(message: &str, before: &str) -> Option<usize> {
    let (_, rest) = message.split_once(before)?;
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

#[test]
fn villages_are_imported_all_or_none_and_the_wrong_line_is_named() {
    // Made-up codes of a province that does not exist.
    const LIST: &str = "village_code,village_name,district_name\r\n99.03.01.2003,\"Arga, Timur\",A\r\n\
        99.03.01.1001, Banyu ,\"B \"\"b\"\"\"\r\n99.04.02.2001,Cahya,C\n";
    const WORDS: &[&str] = &[
        "village_code",
        "village_name",
        ",",
        "\"",
        "\"\"",
        "\r\n",
        "\u{feff}",
        "99.03.01.2003",
        "99.03.01.9003",
        "\r",
        ";",
    ];
    fuzz!(target("villages-csv").sample(LIST).words(WORDS).memory(1 << 20, 256), |input| {
        match Roster::from_csv(input) {
            Ok(roster) => {
                let mut reader = csv::Reader::from_reader(input);
                assert_eq!(reader.records().flatten().count(), roster.cooperatives.len());
                assert!(roster.cooperatives.is_sorted_by_key(|cooperative| cooperative.village));
                format!("imported, region of {} letters", roster.region.len())
            }
            Err(error) => {
                let lines = input.split(|byte| matches!(byte, b'\n' | b'\r')).count();
                match number_after(&error, "line ") {
                    Some(line) => assert!((1..=lines).contains(&line), "{error}: of {lines} lines"),
                    None => assert!(error.starts_with("there is a header and no row"), "{error}"),
                }
                words(&error)
            }
        }
    });
}

#[test]
fn a_file_of_commands_is_read_whole_or_the_wrong_line_is_named() {
    const FILE: &str = concat!(
        r#"{"command":{"approveLoan":{"loan":"l-1"}}}"#,
        "\n\n",
        r#"{"requestId":"0198c1e0-7a90-7000-8000-000000000001","command":{"disburse":{"loan":"l-1","amount":{"currencyCode":"IDR","units":"100","nanos":5},"valueDate":{"year":2026,"month":3,"day":1}}}}"#,
        "\n",
        r#"{"command":{"openFund":{"fund":"dana","terms":{"kind":"FUND_KIND_LOAN","requiredReadiness":["READINESS_ITEM_BANK_ACCOUNT",1]}}}}"#,
        "\n",
    );
    const WORDS: &[&str] = &[
        "{",
        "}",
        "[",
        "null",
        "\"command\":",
        "\"requestId\":\"x\"",
        "\\u0000",
        "1e999",
        "{}\n",
        "\"units\":\"9223372036854775808\"",
        "true",
    ];
    let path = Path::new("commands.jsonl");
    // The descriptors of the messages are read once, and stay in memory.
    let _ = batch::parse(FILE, path);
    fuzz!(target("batch-file").sample(FILE).words(WORDS).memory(1 << 20, 512), |input| {
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        match batch::parse(text, path) {
            Ok(items) => {
                assert_eq!(items.len(), lines);
                assert!(items.iter().all(|item| !item.request_id.is_empty()));
                format!("{} commands", lines.min(3))
            }
            Err(error) => {
                let error = error.to_string();
                let line = number_after(&error, "commands.jsonl:");
                assert!(
                    line.is_some_and(|line| (1..=text.lines().count()).contains(&line)),
                    "{error}"
                );
                words(&error)
            }
        }
    });
}

#[test]
fn what_is_typed_is_taken_exactly_or_refused() {
    const WORDS: &[&str] =
        &[".", ",", "-", "+", "e", "_", " ", "/", "Z", "T", "+24:00", "00", "92233720368547758.07"];
    let typed = [
        "100000000",
        "1500,50",
        "0.01",
        "2026-03-16",
        "2026-003-16",
        "-5",
        "2026-03-16T08:00:00.5+07:00",
        "6.25",
        "0a0b0c0d0a0b0c0d0a0b0c0d0a0b0c0d0a0b0c0d0a0b0c0d0a0b0c0d0a0b0c0d",
        "dana/a-1/l-1",
        "ledgers/kab/funds/dana",
        "ledger.example.go.id/kab",
        "coop/c-1",
    ];
    fuzz!(target("typed").samples(typed.map(Into::into)).words(WORDS), |input| {
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        let amount = parse::amount(text);
        let part = parse::part(text);
        if let Ok(amount) = &amount {
            assert!(amount.minor() > 0);
            assert!(part.is_ok(), "an amount is a part");
        }
        let date = parse::date(text);
        if let Ok(date) = date {
            assert_eq!(date.to_string(), text);
        }
        let digest = parse::digest(text);
        if let Ok(digest) = digest {
            let bytes = text.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
            let bytes = bytes.map(|pair| u8::from_str_radix(pair, 16).unwrap());
            assert!(bytes.eq(digest));
        }
        let names = [
            parse::ledger,
            parse::owner,
            parse::lender,
            parse::trail,
            parse::fund,
            parse::account,
            parse::cooperative,
            parse::origin,
            parse::rate,
        ];
        let names = names.map(|parse| parse(text));
        for refused in names.iter().filter_map(|name| name.as_ref().err()) {
            assert!(!refused.is_empty());
        }
        let names: Vec<_> = names.iter().map(|name| u8::from(name.is_ok())).collect();
        let (instant, whole) = (parse::instant(text), parse::whole(text));
        format!(
            "{} {} {} {} {} {} {names:?}",
            amount.is_ok(),
            part.is_ok(),
            date.is_ok(),
            digest.is_ok(),
            instant.is_ok(),
            whole.is_ok()
        )
    });
}
