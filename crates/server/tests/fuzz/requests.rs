//! Requests made from their descriptors: names that exist and others, numbers at edges, unknown
//! values of enums, huge texts, long lists. A new method or field is in it by itself.

use crate::call::Call;
use bergulir_proto::pb;
use prost::Message as _;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, Value,
};
use std::sync::LazyLock;
use uuid::Uuid;

pub(super) static SCHEMA: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).unwrap());

/// Texts that mean something to the server.
pub(super) const WORDS: &[&str] = &[
    "ledgers/kab",
    "kab",
    "dana",
    "hibah",
    "a-1",
    "c-1",
    "l-1",
    "l-2",
    "maker",
    "checker",
    "IDR",
    "ledgers/kab/funds/dana",
    "ledgers/kab/funds/dana/accounts/a-1",
    "ledgers/kab/loans/l-1",
    "ledgers/kab/cooperatives/c-1",
    "ledgers/-",
    "ledgers/../kab",
    "5",
    "36.03",
    "system",
];

/// Every method of every service of ours.
pub(super) fn methods() -> impl Iterator<Item = MethodDescriptor> {
    SCHEMA.services().flat_map(|service| service.methods().collect::<Vec<_>>())
}

pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// The method with this path.
pub(super) fn method(called: &str) -> Option<MethodDescriptor> {
    methods().find(|method| path(method) == called)
}

/// Each method a few times, the same each time.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut throw = |end: usize| {
        // Knuth's MMIX: good enough to choose samples.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % end.max(1)
    };
    let methods: Vec<_> = methods().collect();
    methods.iter().flat_map(|method| [of(method, &mut throw), of(method, &mut throw)]).collect()
}

/// A call of any method.
pub(super) fn made(throw: &mut dyn FnMut(usize) -> usize) -> Vec<u8> {
    let methods: Vec<_> = methods().collect();
    of(&methods[throw(methods.len())], throw)
}

type Throw<'t> = &'t mut dyn FnMut(usize) -> usize;

fn of(method: &MethodDescriptor, throw: Throw<'_>) -> Vec<u8> {
    let messages = if method.is_client_streaming() { 1 + throw(4) } else { 1 };
    let messages =
        (0..messages).map(|_| message(&method.input(), throw, 0).encode_to_vec()).collect();
    let principal = match throw(20) {
        0 => None,
        1 => Some(text(throw)).filter(|text| text.len() < 300 && text.is_ascii()),
        2 => Some("system".to_owned()),
        even if even % 2 == 0 => Some("checker".to_owned()),
        _ => Some("maker".to_owned()),
    };
    let principal = principal.filter(|name| !name.contains(|letter: char| letter.is_control()));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = (throw(8) == 0).then(|| trace[..throw(trace.len() + 1)].to_owned());
    Call { method: path(method), messages, principal, trace, authorization: None }.write()
}

fn message(of: &MessageDescriptor, throw: Throw<'_>, depth: usize) -> DynamicMessage {
    let mut made = DynamicMessage::new(of.clone());
    let mut chosen: Vec<FieldDescriptor> = Vec::new();
    for oneof in of.oneofs() {
        let fields: Vec<_> = oneof.fields().collect();
        // An optional field is a choice of one, and mostly left out.
        let is_chosen = if fields.len() == 1 { throw(3) == 0 } else { throw(12) > 0 };
        if is_chosen {
            chosen.push(fields[throw(fields.len())].clone());
        }
    }
    chosen.extend(of.fields().filter(|field| field.containing_oneof().is_none()));
    for field in chosen {
        let leaves_out = match field.name() {
            "validate_only" | "page_token" => throw(6) > 0,
            _ => throw(12) == 0,
        };
        if !leaves_out && depth < 8 {
            made.set_field(&field, value(&field, throw, depth));
        }
    }
    made
}

fn value(field: &FieldDescriptor, throw: Throw<'_>, depth: usize) -> Value {
    if field.cardinality() == Cardinality::Repeated {
        let many = if throw(30) == 0 { throw(400) } else { throw(4) };
        return Value::List((0..many).map(|_| single(field, throw, depth)).collect());
    }
    single(field, throw, depth)
}

fn single(field: &FieldDescriptor, throw: Throw<'_>, depth: usize) -> Value {
    match field.kind() {
        Kind::Message(of) => Value::Message(match of.full_name() {
            "google.type.Money" => money(&of, throw),
            "google.type.Date" => date(&of, throw),
            _ => message(&of, throw, depth + 1),
        }),
        Kind::Enum(of) => {
            let known: Vec<i32> = of.values().map(|value| value.number()).collect();
            let odd = [-1, 99, i32::MAX, i32::MIN];
            Value::EnumNumber(if throw(15) == 0 {
                odd[throw(4)]
            } else {
                known[throw(known.len())]
            })
        }
        Kind::Bool => Value::Bool(throw(2) == 0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Value::I32([0, 1, 3, 12, 36, 420, 900_000_000, -1, i32::MAX, i32::MIN][throw(10)])
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(
            [0, 1, 1_785_000_000, 1_000, -1, i64::MAX, i64::MIN, 253_402_300_800][throw(8)],
        ),
        Kind::Uint32 | Kind::Fixed32 => Value::U32([0, 1, 2, 3, 12, 36, 366, u32::MAX][throw(8)]),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(match throw(8) {
            0 => [u64::MAX, 1 << 63, 1 << 32, 1_000_000][throw(4)],
            _ => throw(60) as u64,
        }),
        Kind::Bytes => Value::Bytes(vec![7; [32, 0, 31, 33, 70_000][throw(5)]].into()),
        Kind::String => Value::String(named(field.name(), throw)),
        Kind::Float | Kind::Double => Value::F64(f64::NAN),
    }
}

fn money(of: &MessageDescriptor, throw: Throw<'_>) -> DynamicMessage {
    let units =
        [1_000, 3_030_303, 454_545, 50_000_000, 0, 1, -1, 5_800_000_000, i64::MAX, i64::MIN];
    let nanos = [0, 0, 0, 0, 10_000_000, 1, 999_999_999, -1];
    let mut money = DynamicMessage::new(of.clone());
    let currency = if throw(15) == 0 { text(throw) } else { "IDR".to_owned() };
    money.set_field_by_name("currency_code", Value::String(currency));
    money.set_field_by_name("units", Value::I64(units[throw(units.len())]));
    money.set_field_by_name("nanos", Value::I32(nanos[throw(nanos.len())]));
    money
}

fn date(of: &MessageDescriptor, throw: Throw<'_>) -> DynamicMessage {
    let mut date = DynamicMessage::new(of.clone());
    let year = if throw(15) == 0 {
        [0, -1, 10_000, i32::MAX][throw(4)]
    } else {
        [2024, 2025, 2026][throw(3)]
    };
    let odd = throw(15) == 0;
    date.set_field_by_name("year", Value::I32(year));
    date.set_field_by_name(
        "month",
        Value::I32(if odd { [0, 13, i32::MIN][throw(3)] } else { [3, 7, 12][throw(3)] }),
    );
    date.set_field_by_name(
        "day",
        Value::I32(if odd { [0, 31, 32][throw(3)] } else { [1, 12, 30][throw(3)] }),
    );
    date
}

/// A text as a field of this name takes it, mostly.
fn named(field: &str, throw: Throw<'_>) -> String {
    if throw(14) == 0 {
        return text(throw);
    }
    let few = 1 + throw(6);
    let one_of = |texts: &[&str], throw: Throw<'_>| texts[throw(texts.len())].to_owned();
    match field {
        "ledger" => one_of(
            &["ledgers/kab", "ledgers/kab", "ledgers/kab", "ledgers/new", "ledgers/none"],
            throw,
        ),
        "request_id" => {
            let low = if throw(10) == 0 { throw(4) } else { throw(usize::MAX) };
            Uuid::from_u128(0x0198_c1e0_7a90_7000_8000_0000_0000_0000 | low as u128).to_string()
        }
        "name" | "parent" | "names" => match throw(9) {
            0 | 1 => "ledgers/kab/funds/dana".to_owned(),
            2 => "ledgers/kab/funds/hibah".to_owned(),
            3 => format!("ledgers/kab/funds/dana/accounts/a-{few}"),
            4 => format!("ledgers/kab/funds/dana/accounts/a-{few}/loans/l-{few}"),
            5 => format!("ledgers/kab/loans/l-{few}"),
            6 => format!("ledgers/kab/cooperatives/c-{few}"),
            _ => "ledgers/kab".to_owned(),
        },
        "fund" => one_of(&["dana", "dana", "dana", "hibah", "f-1"], throw),
        "funds" => one_of(&["ledgers/kab/funds/dana", "ledgers/kab/funds/hibah"], throw),
        "accounts" => format!("ledgers/kab/funds/dana/accounts/a-{few}"),
        "cooperatives" => format!("ledgers/kab/cooperatives/c-{few}"),
        "kinds" => one_of(&["repaid", "disbursed", "fund_opened", "x"], throw),
        "account" => format!("a-{few}"),
        "cooperative" => format!("c-{few}"),
        "loan" => format!("l-{few}"),
        "chair" => format!("chair-{few}"),
        "treasurer" | "officer" => format!("treasurer-{few}"),
        "currency_code" => "IDR".to_owned(),
        "region" => "36.03".to_owned(),
        "village_code" => format!("36.03.0{few}.200{few}"),
        "origin" => format!("ledger.example.go.id/new-{few}"),
        "rate_percent" => one_of(&["5", "0", "6.25", "100", "0.0001"], throw),
        "bank" => "bjb".to_owned(),
        "number" => format!("{:010}", throw(100_000)),
        _ => format!("text {}", throw(1_000)),
    }
}

/// A text that fits nowhere, or nearly.
fn text(throw: Throw<'_>) -> String {
    match throw(12) {
        0 => "x".repeat([33, 256, 1_000, 60_000][throw(4)]),
        1 => "\u{202e}\u{0}\u{feff}".to_owned(),
        2 => "../../etc".to_owned(),
        3 => "é\u{301}".repeat(40),
        4 => "00000000-0000-0000-0000-000000000000".to_owned(),
        5 => "ledgers/kab/funds/dana/accounts/a-1/loans/l-1/x".to_owned(),
        _ => WORDS[throw(WORDS.len())].to_owned(),
    }
}
