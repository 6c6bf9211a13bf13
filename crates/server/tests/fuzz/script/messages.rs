//! Commands as messages of their methods, and what their answers hold.

use super::line::Line;
use crate::requests::SCHEMA;
use bergulir_fuzz::{Field, Value, write_fields};
use bergulir_proto::pb;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _};

/// The names of all commands, as `LedgerService` has them.
pub(super) fn commands() -> Vec<String> {
    let command = SCHEMA.get_message_by_name("bergulir.v1.Command").unwrap();
    let names = command.fields().map(|field| match field.kind() {
        Kind::Message(of) => of.name().to_owned(),
        kind => panic!("{kind:?} is no command"),
    });
    names.collect()
}

/// A command as the method of its own takes it: the method, and the message.
pub(super) fn request(
    kind: pb::command::Kind,
    ledger: &str,
    id: &str,
    line: &Line<'_>,
    size: u64,
) -> (String, Vec<u8>) {
    let command = pb::Command { kind: Some(kind) };
    let message = DynamicMessage::decode(
        SCHEMA.get_message_by_name("bergulir.v1.Command").unwrap(),
        &command.encode_to_vec()[..],
    );
    let message = message.unwrap();
    let (field, value) = message.fields().next().unwrap();
    let inner = value.as_message().unwrap().encode_to_vec();
    let name = match field.kind() {
        Kind::Message(of) => of.name().to_owned(),
        _ => unreachable!("see commands()"),
    };
    let mut whole = vec![
        Field { number: 1, value: Value::Bytes(format!("ledgers/{ledger}").into()) },
        Field { number: 2, value: Value::Bytes(id.into()) },
        Field { number: 3, value: Value::Varint(line.validates.into()) },
    ];
    if let Some(more) = line.expects {
        whole.push(Field { number: 4, value: Value::Varint(size.wrapping_add(more)) });
    }
    whole.push(Field { number: 5, value: Value::Bytes(inner) });
    let mut bytes = Vec::new();
    write_fields(&whole, &mut bytes);
    (format!("/bergulir.v1.LedgerService/{name}"), bytes)
}

/// A field of an answer, if it is there.
pub(super) fn part<T: prost::Message + Default>(of: &DynamicMessage, name: &str) -> Option<T> {
    if !of.has_field_by_name(name) {
        return None;
    }
    Some(of.get_field_by_name(name)?.as_message()?.transcode_to().unwrap())
}

/// What came of the items of a batch.
pub(super) fn results(answer: &DynamicMessage) -> Vec<Option<pb::BatchReceipt>> {
    if answer.descriptor().get_field_by_name("results").is_none() {
        return Vec::new();
    }
    let results = answer.get_field_by_name("results").unwrap();
    let results = results.as_list().unwrap().iter();
    let results: Vec<_> =
        results.map(|result| part(result.as_message().unwrap(), "receipt")).collect();
    // A message that was refused as a whole has none.
    if results.is_empty() { vec![None] } else { results }
}
