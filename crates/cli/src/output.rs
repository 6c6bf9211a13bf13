//! What goes to the standard output: tables for people, one JSON object a line for programs.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::LazyLock;

use bergulir_proto::{minor_from_wire, pb};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use rust_decimal::Decimal;

use crate::failure::Failure;
use crate::parse::CURRENCY;

/// How wide a table of facts is at the most where no terminal says it.
const FACTS_WIDTH: u16 = 140;

static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET)
        .expect("the descriptors were compiled from the same files as this program")
});

/// The descriptor of a message of `bergulir.v1`.
pub(crate) fn descriptor(message: &str) -> MessageDescriptor {
    DESCRIPTORS
        .get_message_by_name(&format!("bergulir.v1.{message}"))
        .expect("the name is that of a message of the package, and a test asks for each")
}

/// An answer of the server, which can be shown to people and to programs.
pub(crate) trait Answer: Message {
    /// The name of the message in `bergulir.v1`.
    const MESSAGE: &'static str;

    /// Shows it to people.
    fn show(&self, page: &mut Page);
}

/// Proto3 JSON on one line, with defaults, so that a program finds every field.
pub(crate) fn json(message: &str, answer: &impl Message) -> String {
    let dynamic = DynamicMessage::decode(descriptor(message), answer.encode_to_vec().as_slice())
        .expect("the message was encoded after the same descriptor");
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut line);
    let options = SerializeOptions::new().skip_default_fields(false);
    dynamic
        .serialize_with_options(&mut serializer, &options)
        .expect("a vector takes everything, and an instant of the server is within its range");
    String::from_utf8(line).expect("serde_json writes UTF-8")
}

/// Shows an answer on the standard output.
pub(crate) fn answer<A: Answer>(answer: &A, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return line(json(A::MESSAGE, answer));
    }
    let mut page = Page::default();
    answer.show(&mut page);
    page.print()
}

/// One line on the standard output, at once.
pub(crate) fn line(line: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}

/// Text for people, put together and written at once.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// A line.
    pub(crate) fn line(&mut self, line: impl Display) {
        use std::fmt::Write as _;
        let _ = writeln!(self.0, "{line}");
    }

    /// A table of two columns: what it is, and what it says.
    pub(crate) fn facts(&mut self, title: &str, facts: &[(&str, String)]) {
        let mut table = new_table();
        if !table.is_tty() {
            // A long sentence is broken into lines here too; a hash stays whole.
            table.set_width(FACTS_WIDTH);
        }
        table.set_header([title, ""]);
        for (name, value) in facts {
            table.add_row([*name, value.as_str()]);
        }
        self.line(table);
    }

    /// A table of two columns with amounts on the right.
    pub(crate) fn amounts(&mut self, title: &str, amounts: &[(&str, Option<&pb::Money>)]) {
        let mut table = new_table();
        table.set_header([title, "Rp"]);
        for (name, amount) in amounts {
            table.add_row([Cell::new(name), right(money(*amount))]);
        }
        self.line(table);
    }

    /// As [`Page::amounts`]; of the second, which most things have not, those that are there.
    pub(crate) fn amounts_and(
        &mut self,
        title: &str,
        amounts: &[(&str, Option<&pb::Money>)],
        if_any: &[(&str, Option<&pb::Money>)],
    ) {
        let there = if_any.iter().filter(|(_, amount)| amount.is_some());
        let all: Vec<_> = amounts.iter().chain(there).copied().collect();
        self.amounts(title, &all);
    }

    /// A table of many columns; those from `amounts_from` on hold amounts.
    pub(crate) fn rows(
        &mut self,
        header: &[&str],
        amounts_from: usize,
        rows: impl Iterator<Item = Vec<String>>,
    ) {
        let mut table = new_table();
        table.set_header(header.iter().enumerate().map(|(i, name)| {
            if i >= amounts_from { right((*name).to_owned()) } else { Cell::new(name) }
        }));
        let mut empty = true;
        for row in rows {
            empty = false;
            table.add_row(
                row.into_iter()
                    .enumerate()
                    .map(|(i, text)| if i >= amounts_from { right(text) } else { Cell::new(text) }),
            );
        }
        if empty {
            self.line("(kosong / none)");
        } else {
            self.line(table);
        }
    }

    /// Writes it to the standard output.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        out.write_all(self.0.as_bytes())?;
        out.flush()?;
        Ok(())
    }
}

fn new_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// Money of the wire for people, as it is written in Indonesia: `5.800.000.000,00`. Absent: `-`.
pub(crate) fn money(money: Option<&pb::Money>) -> String {
    money.map_or_else(
        || "-".to_owned(),
        |money| match minor_from_wire(money, CURRENCY) {
            Ok(minor) => rupiah(minor),
            // A newer server keeps another currency: shown as it came.
            Err(_) => format!("{} {} + {} nano", money.currency_code, money.units, money.nanos),
        },
    )
}

/// Minor units for people, as they are written in Indonesia: `5.800.000.000,00`.
pub(crate) fn rupiah(minor: i64) -> String {
    let text = exact(minor);
    let unsigned = text.trim_start_matches('-');
    let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "00"));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3 + 1);
    if unsigned.len() < text.len() {
        grouped.push('-');
    }
    grouped.push_str(&thousands(whole));
    grouped.push(',');
    grouped.push_str(decimals);
    grouped
}

/// A whole number for people: `83.762`.
pub(crate) fn count(number: u64) -> String {
    thousands(&number.to_string())
}

fn thousands(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push('.');
        }
        grouped.push(digit);
    }
    grouped
}

/// Minor units for programs: an exact decimal with two decimals, `5800000000.00`.
pub(crate) fn exact(minor: i64) -> String {
    decimal(minor).to_string()
}

fn decimal(minor: i64) -> Decimal {
    bergulir_domain::money::to_decimal(minor, CURRENCY)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An instant of the wire after RFC 3339, in UTC.
pub(crate) fn instant(at: Option<&pb::Timestamp>) -> String {
    let Some(at) = at else {
        return "-".to_owned();
    };
    let nanos = i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos);
    time::OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_else(|| format!("{} s", at.seconds))
}

/// A date of the wire, `2026-03-16`.
pub(crate) fn date(date: Option<&pb::Date>) -> String {
    date.map_or_else(
        || "-".to_owned(),
        |date| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day),
    )
}

#[cfg(test)]
mod tests {
    use bergulir_proto::money_to_wire;

    use super::*;

    #[test]
    fn amounts_are_written_as_in_indonesia() {
        let shown = |minor| money(Some(&money_to_wire(minor, CURRENCY)));
        assert_eq!(shown(580_000_000_000), "5.800.000.000,00");
        assert_eq!(shown(-10_050), "-100,50");
        assert_eq!(shown(100_000), "1.000,00");
        assert_eq!(shown(0), "0,00");
        assert_eq!(rupiah(i64::MIN), "-92.233.720.368.547.758,08");
        assert_eq!(money(None), "-");
        assert_eq!(exact(580_000_000_000), "5800000000.00");
        assert_eq!(count(83_762), "83.762");
    }

    #[test]
    fn an_answer_is_proto3_json_on_one_line() {
        let receipt = pb::Receipt {
            position: 7,
            record_hash: vec![1, 2],
            log_size: 8,
            duplicate: false,
            recorded_at: Some(pb::Timestamp { seconds: 0, nanos: 1_000 }),
        };
        assert_eq!(
            json("Receipt", &receipt),
            "{\"position\":\"7\",\"recordHash\":\"AQI=\",\"logSize\":\"8\",\"duplicate\":false,\
             \"recordedAt\":\"1970-01-01T00:00:00.000001Z\"}"
        );
    }

    #[test]
    fn moments_and_digests_are_written_for_people() {
        let at = pb::Timestamp { seconds: 1, nanos: 0 };
        assert_eq!(instant(Some(&at)), "1970-01-01T00:00:01Z");
        let day = pb::Date { year: 2026, month: 3, day: 6 };
        assert_eq!(date(Some(&day)), "2026-03-06");
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
