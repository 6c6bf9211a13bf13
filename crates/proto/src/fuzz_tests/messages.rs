//! Stored events, commands, batches, and the texts in them.

use bergulir_domain::LedgerId;
use bergulir_domain::money::Currency;
use bergulir_fuzz::{fuzz, outcome};
use prost::Message as _;

use super::{drawn, target};
use crate::name::{self, AccountName, FundName, LoanName};
use crate::samples::{command, event};
use crate::wire::{Batch, BatchBytes};
use crate::{
    amount_from_wire, command_from_wire, command_to_wire, date_from_wire, date_to_wire,
    decode_event, encode_event, minor_from_wire, money_to_wire, pb, timestamp_from_wire,
    timestamp_to_wire,
};

/// The name of a variant.
fn kind_of(of: &impl core::fmt::Debug) -> String {
    format!("{of:?}")
        .split(|letter: char| !letter.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn kab() -> LedgerId {
    "kab".parse().unwrap()
}

#[test]
fn an_event_has_one_byte_string() {
    let events = drawn(&event(), 400).into_iter().map(|event| {
        let mut bytes = Vec::new();
        encode_event(&event, &mut bytes);
        bytes
    });
    fuzz!(target("event").samples(events).protobuf(), |input| {
        let read = decode_event(input);
        if let Ok(event) = &read {
            let mut again = Vec::new();
            encode_event(event, &mut again);
            assert_eq!(again, input);
            let _ = (event.command(), event.bank_reference().is_some());
        }
        match read {
            Ok(event) => kind_of(&event),
            Err(error) => outcome(&error),
        }
    });
}

fn wire_commands() -> Vec<pb::Command> {
    drawn(&command(), 400).iter().filter_map(command_to_wire).collect()
}

#[test]
fn a_command_reads_back_or_says_which_fields_are_wrong() {
    let samples = wire_commands().into_iter().map(|command| command.encode_to_vec());
    fuzz!(target("command").samples(samples).protobuf().memory(64 << 10, 64), |input| {
        let Ok(message) = pb::Command::decode(input) else { return "no message".to_owned() };
        let kind = message.kind.as_ref().map(kind_of).unwrap_or_default();
        match command_from_wire(kab(), Currency::Idr, message) {
            Ok(command) => {
                let wire = command_to_wire(&command).expect("nobody may send a seal");
                assert_eq!(command_from_wire(kab(), Currency::Idr, wire), Ok(command));
                format!("{kind} read")
            }
            Err(invalid) => {
                assert!(!invalid.0.is_empty(), "what is refused has a field that is wrong");
                let status = invalid.status();
                assert_eq!(status.code(), tonic::Code::InvalidArgument);
                format!("{kind} {} wrong", invalid.0.len().min(2))
            }
        }
    });
}

#[test]
fn a_batch_is_the_same_read_as_bytes_and_typed() {
    let commands = wire_commands();
    let batches = commands.chunks(3).enumerate().map(|(number, commands)| {
        let items = commands.iter().zip('0'..).map(|(command, last)| pb::BatchItem {
            request_id: format!("0198c1e0-7a90-7000-8000-00000000000{last}"),
            command: Some(command.clone()),
        });
        let mode = if number % 2 == 0 { pb::BatchMode::Atomic } else { pb::BatchMode::Independent };
        pb::SubmitBatchRequest {
            ledger: "ledgers/kab".to_owned(),
            mode: mode.into(),
            expected_position: (number % 4 == 0).then_some(7),
            validate_only: number % 8 == 0,
            items: items.collect(),
        }
        .encode_to_vec()
    });
    // Each of 10,000 items may have two fields that are wrong.
    fuzz!(target("batch").samples(batches).protobuf().memory(4 << 20, 64), |input| {
        let bytes = BatchBytes::from(input.to_vec());
        let read = bytes.parts().and_then(|parts| Batch::read(parts, Currency::Idr));
        // Typed it may take two hundred times its length.
        if input.len() < 2_000
            && let Ok(typed) = pb::SubmitBatchRequest::decode(input)
        {
            let again = BatchBytes::from(typed.encode_to_vec());
            let typed = again.parts().and_then(|parts| Batch::read(parts, Currency::Idr));
            assert_eq!(read, typed);
        }
        if let Ok(batch) = &read {
            return format!(
                "{:?} {} {}",
                batch.mode,
                batch.requests.len().min(2),
                batch.wrong.len().min(2)
            );
        }
        outcome(&read.map(|_| ()))
    });
}

#[test]
fn money_and_moments_are_exact() {
    let money = pb::Money { currency_code: "IDR".to_owned(), units: 1_500, nanos: 250_000_000 };
    let samples = [
        money.encode_to_vec(),
        pb::Date { year: 2026, month: 2, day: 28 }.encode_to_vec(),
        pb::Timestamp { seconds: 1_767_225_600, nanos: 1_000 }.encode_to_vec(),
    ];
    fuzz!(target("money").samples(samples).protobuf(), |input| {
        let mut came = String::new();
        if let Ok(money) = pb::Money::decode(input) {
            let minor = minor_from_wire(&money, Currency::Idr);
            if let Ok(minor) = minor {
                assert_eq!(money_to_wire(minor, Currency::Idr), money, "money has one form");
            }
            let amount = amount_from_wire(&money, Currency::Idr);
            assert!(amount.is_err() || minor.as_ref().is_ok_and(|minor| *minor > 0));
            came += &outcome(&(minor, amount));
        }
        if let Ok(date) = pb::Date::decode(input) {
            let read = date_from_wire(&date);
            if let Ok(read) = read {
                assert_eq!(date_to_wire(read), date);
            }
            came += &outcome(&read.map(|_| ()));
        }
        if let Ok(at) = pb::Timestamp::decode(input) {
            let read = timestamp_from_wire(&at);
            if let Ok(read) = read {
                assert_eq!(timestamp_to_wire(read), at);
            }
            came += &outcome(&read.map(|_| ()));
        }
        came
    });
}

#[test]
fn a_resource_has_one_name() {
    const WORDS: &[&str] = &[
        "ledgers/",
        "/funds/",
        "/accounts/",
        "/loans/",
        "/cooperatives/",
        "..",
        "/",
        "a.b-c",
        "A",
    ];
    let names = [
        "ledgers/kab",
        "ledgers/kab/funds/dana",
        "ledgers/kab/funds/dana/accounts/a1",
        "ledgers/kab/funds/dana/accounts/a1/loans/l1",
        "ledgers/kab/loans/l1",
        "ledgers/kab/cooperatives/c1",
    ];
    fuzz!(target("name").samples(names.map(Into::into)).words(WORDS), |input| {
        let Ok(text) = str::from_utf8(input) else { return "no text".to_owned() };
        let ledger = name::ledger(text);
        if let Ok(ledger) = ledger {
            assert_eq!(name::ledger_name(ledger), text);
        }
        let fund = text.parse::<FundName>();
        if let Ok(fund) = fund {
            assert_eq!(fund.to_string(), text);
        }
        let account = text.parse::<AccountName>();
        if let Ok(account) = account {
            assert_eq!(account.to_string(), text);
        }
        let loan = text.parse::<LoanName>();
        if let Ok(ledger) = ledger.or(fund.map(|fund| fund.ledger)) {
            assert_eq!(name::ledger_of(text), Ok(ledger));
            assert!(!ledger.as_str().starts_with(['.', '-']));
        }
        outcome(&(ledger, fund.is_ok(), account.is_ok(), loan.map(|_| ())))
    });
}
